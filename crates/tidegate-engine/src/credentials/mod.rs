//! Credentials: static ones as they are, and those that expire, each kept fresh by its own [`Renewed`].
//!
//! What the vendors differ in is where a credential comes from: a [`Source`] each (`aws.rs`, `entra.rs`, `google.rs`). What they have in
//! common is here and in `renewed.rs`: one fetch at a time, renewal before the end, a failure that costs nothing as long as the
//! old credential is good. Never logs a credential. Called by `exchange.rs`, which waits under the call's connect deadline.

mod aws;
mod entra;
mod google;
mod http;
mod renewed;

use std::{fmt, pin::Pin, sync::Arc, time::SystemTime};

use tidegate_wire::{ErrorClass, WireError, auth::Credential};

pub use aws::{AwsChain, AwsRole, AwsSource};
pub use entra::{Entra, EntraIdentity, EntraSource};
pub use google::{Google, GoogleProjects, GoogleSource};
pub use http::TokenClient;
pub use renewed::Renewed;

/// Where a target's credentials come from.
#[derive(Clone)]
pub enum Credentials {
    /// Given once: keys and tokens.
    Static(Credential),
    /// Fetched, and renewed before they expire.
    Renewed(Arc<Renewed>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static(_) => "Static",
            Self::Renewed(_) => "Renewed",
        })
    }
}

/// Something that credentials can be fetched from, each of which expires.
pub trait Source: Send + Sync + 'static {
    /// Its name in errors and in the log, such as `Entra ID (client secret)`. No secret in it.
    fn name(&self) -> &str;

    /// What whoever runs this can do if it fails: variables and settings.
    fn remedy(&self) -> &str;

    /// A new credential. Not one that was there before, where the source has the choice. It may run for as long as it takes:
    /// [`Renewed`] bounds it, and drops it when the time is up.
    fn fetch(&self) -> Fetch<'_>;
}

/// A fetch under way. What it says when it fails holds no secret.
pub type Fetch<'a> = Pin<Box<dyn Future<Output = Result<Issued, String>> + Send + 'a>>;

/// A credential as its source gave it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The credential.
    pub credential: Credential,
    /// When it ceases to be good. `None`: never.
    pub expires: Option<SystemTime>,
}

/// What a call to `host` fails with if `source` has nothing for it.
fn unavailable(host: &str, source: &dyn Source, why: &str) -> WireError {
    let message = format!("no credential for {host} from {}: {why}; {}", source.name(), source.remedy());
    WireError::new(ErrorClass::UpstreamAuth, message)
}

/// In one line and of bounded length: it goes into errors and the log.
fn brief(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// In characters: the longest of Entra ID's descriptions that help are half of it.
const LONGEST_REASON: usize = 600;
