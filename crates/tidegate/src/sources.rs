//! Credentials that expire, shared by the hosts that have them from the same source.
//!
//! Looks nothing up before a host asks, and then once for each source. Used by `host.rs`.

use std::{collections::HashMap, fmt, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tidegate_engine::{
    ConnectOptions,
    credentials::{
        AwsChain, AwsSource, Entra, EntraSource, Google, GoogleProjects, GoogleSource, Renewed, TokenClient,
    },
};
use tidegate_wire::{ErrorClass, WireError};
use tokio::sync::OnceCell;

/// Credentials that are fetched and renewed (AWS, Entra ID, Google), kept for all hosts that are made ready with them: many
/// targets, one look-up and one renewal.
///
/// A [`Client`](crate::Client) has one of its own. Programs that call [`Host::target`](crate::Host::target) themselves keep one.
pub struct CredentialSources {
    client: Arc<TokenClient>,
    aws: Mutex<HashMap<AwsScope, Arc<OnceCell<Aws>>>>,
    entra: Mutex<HashMap<(EntraSource, &'static str), Arc<Renewed>>>,
    google: Mutex<HashMap<(GoogleSource, &'static str), Arc<Renewed>>>,
}

/// Source, region and the service that is signed for. A region of `None` is the one that the environment or the profile names.
type AwsScope = (AwsSource, Option<String>, &'static str);

/// What the AWS default chain finds.
#[derive(Clone)]
pub(crate) struct Aws {
    pub(crate) credential: Arc<Renewed>,
    pub(crate) region: Arc<str>,
}

impl CredentialSources {
    /// None yet. Their servers are reached by `options`.
    pub fn new(options: &ConnectOptions) -> Self {
        Self {
            client: Arc::new(TokenClient::new(options)),
            aws: Mutex::default(),
            entra: Mutex::default(),
            google: Mutex::default(),
        }
    }

    /// What the AWS default chain finds for signing requests to `service`.
    ///
    /// # Errors
    /// No region is known. The next call looks again.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the look-up, or leaves it to the next in line; nothing is held.
    pub(crate) async fn aws(
        &self,
        source: &AwsSource,
        region: Option<&str>,
        service: &'static str,
    ) -> Result<Aws, WireError> {
        let region = region.map(str::to_owned);
        // One cell each, so that nobody looks up what somebody else is looking up already.
        let cell = kept(&self.aws, (source.clone(), region.clone(), service), Arc::default);
        let look_up = async || {
            let chain = AwsChain::from_environment(source, region, service, self.client.clone()).await?;
            let region = chain.region().into();
            Ok(Aws { credential: Arc::new(Renewed::new(chain)), region })
        };
        cell.get_or_try_init(look_up).await.cloned()
    }

    /// Tokens of Entra ID, of `scope` if the source names none.
    pub(crate) fn entra(&self, source: &EntraSource, scope: &'static str) -> Arc<Renewed> {
        let make = || Arc::new(Renewed::new(Entra::new(source, scope, self.client.clone())));
        kept(&self.entra, (source.clone(), scope), make)
    }

    /// Tokens of Google Cloud.
    pub(crate) fn google(&self, source: &GoogleSource, scope: &'static str) -> Arc<Renewed> {
        let make = || Arc::new(Renewed::new(Google::new(source, scope, self.client.clone())));
        kept(&self.google, (source.clone(), scope), make)
    }

    /// The projects that Google's credentials name.
    ///
    /// # Errors
    /// Their file can't be used, or there is none and no metadata server either.
    ///
    /// # Cancel safety
    /// Dropping the future gives the look-up up; nothing is held.
    pub(crate) async fn google_projects(
        &self,
        source: &GoogleSource,
        wanted: bool,
    ) -> Result<GoogleProjects, WireError> {
        let found = Google::new(source, "", self.client.clone()).projects(wanted).await;
        found.map_err(|why| WireError::new(ErrorClass::Internal, format!("{source}: {why}")))
    }
}

fn kept<K: Eq + Hash, V: Clone>(kept: &Mutex<HashMap<K, V>>, key: K, make: impl FnOnce() -> V) -> V {
    let mut kept = kept.lock();
    if kept.len() >= MOST_KEPT {
        kept.clear();
    }
    kept.entry(key).or_insert_with(make).clone()
}

impl Default for CredentialSources {
    fn default() -> Self {
        Self::new(&ConnectOptions::default())
    }
}

impl fmt::Debug for CredentialSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialSources").finish_non_exhaustive()
    }
}

/// More than any program has on purpose: names of sessions may be made up for every call.
const MOST_KEPT: usize = 1000;
