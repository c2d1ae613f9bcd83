//! Credentials put into a request, with time as an argument.
//!
//! Never stores, refreshes or logs a credential; the engine owns those.

use std::{fmt, time::SystemTime};

use http::{HeaderMap, HeaderName};

use crate::{WireError, outbound::Outbound};

/// A secret string: its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A credential, fresh enough to be used now.
#[derive(Clone, Debug)]
pub enum Credential {
    /// None: local servers.
    Anonymous,
    /// `Authorization: Bearer ...`.
    Bearer(Secret),
    /// A header of the host's own, such as Azure's `api-key`.
    Header(HeaderName, Secret),
    /// AWS Signature Version 4.
    Aws(AwsCredential),
}

/// What SigV4 signs with.
#[derive(Clone, Debug)]
pub struct AwsCredential {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: Secret,
    /// For temporary credentials.
    pub session_token: Option<Secret>,
    /// For example `us-east-1`.
    pub region: String,
    /// For example `bedrock`.
    pub service: &'static str,
}

/// Returns the headers that authenticate `request` at time `now`; they are to be added to its own.
///
/// # Errors
/// The credential holds bytes that no header may hold, or the request can't be signed.
pub fn authenticate(
    _request: &Outbound,
    _credential: &Credential,
    _now: SystemTime,
) -> Result<HeaderMap, WireError> {
    Err(WireError::new(crate::ErrorClass::Internal, "signing is not here yet"))
}
