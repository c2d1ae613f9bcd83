//! The AWS default chain, shared by the hosts that leave their credentials to it.
//!
//! Looks nothing up before a host asks, and then once for each region. Used by `host.rs`.

use std::{collections::HashMap, fmt, sync::Arc};

use parking_lot::Mutex;
use tidegate_engine::credentials::{AwsChain, AwsSource};
use tidegate_wire::WireError;
use tokio::sync::OnceCell;

/// What the AWS default chain finds (environment, profile, SSO, web identity, container, instance), kept for all hosts that
/// are made ready with it: many targets, one look-up and one renewal.
///
/// A [`Client`](crate::Client) has one of its own. Programs that call [`Host::target`](crate::Host::target) themselves keep one.
#[derive(Default)]
pub struct AwsChains {
    /// A region of `None` is the one that the environment or the profile names. One cell each, so that nobody looks up what
    /// somebody else is looking up already.
    by_scope: Mutex<HashMap<Scope, Arc<OnceCell<Arc<AwsChain>>>>>,
}

/// Source, region and the service that is signed for.
type Scope = (AwsSource, Option<String>, &'static str);

impl AwsChains {
    /// The chain for signing requests to `service`.
    ///
    /// # Errors
    /// No region is known. The next call looks again.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the look-up, or leaves it to the next in line; nothing is held.
    pub(crate) async fn chain(
        &self,
        source: &AwsSource,
        region: Option<&str>,
        service: &'static str,
    ) -> Result<Arc<AwsChain>, WireError> {
        let region = region.map(str::to_owned);
        let cell = {
            let mut by_scope = self.by_scope.lock();
            if by_scope.len() >= MOST_KEPT {
                by_scope.clear();
            }
            by_scope.entry((source.clone(), region.clone(), service)).or_default().clone()
        };
        let look_up = async || AwsChain::from_environment(source, region, service).await.map(Arc::new);
        cell.get_or_try_init(look_up).await.cloned()
    }
}

impl fmt::Debug for AwsChains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsChains").finish_non_exhaustive()
    }
}

/// More than any program has on purpose: names of sessions may be made up for every call.
const MOST_KEPT: usize = 1000;
