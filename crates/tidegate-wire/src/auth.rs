//! Credentials put into a request, with time as an argument.
//!
//! Never stores, refreshes or logs a credential; the engine owns those. Callers' own signatures are checked in [`Signed`].

use std::{fmt, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use crate::{ErrorClass, WireError, outbound::Outbound};

mod signed;

#[cfg(test)]
mod tests;

pub use signed::Signed;

/// A secret string: its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
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

impl Secret {
    /// Whether this is the secret, in time that depends on the lengths alone.
    pub fn is(&self, given: &[u8]) -> bool {
        equal(given, self.0.as_bytes())
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

/// Adds the header fields that authenticate `request` at time `now`.
///
/// # Errors
/// The credential holds bytes that no header may hold, or the request can't be signed.
pub fn authenticate(
    request: &mut Outbound,
    credential: &Credential,
    now: SystemTime,
) -> Result<(), WireError> {
    match credential {
        Credential::Anonymous => {}
        Credential::Bearer(token) => {
            let value = secret_value(&format!("Bearer {}", token.expose()))?;
            request.headers.insert(AUTHORIZATION, value);
        }
        Credential::Header(name, secret) => {
            request.headers.insert(name.clone(), secret_value(secret.expose())?);
        }
        Credential::Aws(aws) => {
            let uri = request.uri.to_string();
            let Outbound { method, headers, body, .. } = request;
            let signed = sign_v4(method.as_str(), &uri, headers, body, aws, now)?;
            headers.extend(signed);
        }
    }
    Ok(())
}

/// Signs a request with AWS Signature Version 4 and returns the headers to add. All of `headers` are signed except
/// `authorization` and what proxies may change (`user-agent`, `transfer-encoding`, `x-amzn-trace-id`).
///
/// The path is percent-encoded once more for the canonical request, as every AWS service but S3 expects: a model id
/// sent as `v1%3A0` is signed as `v1%253A0`.
///
/// # Errors
/// The URI or a header can't be signed.
pub fn sign_v4(
    method: &str,
    uri: &str,
    headers: &HeaderMap,
    body: &[u8],
    credential: &AwsCredential,
    now: SystemTime,
) -> Result<HeaderMap, WireError> {
    let identity = Credentials::new(
        &*credential.access_key_id,
        credential.secret_access_key.expose(),
        credential.session_token.as_ref().map(|token| token.expose().to_owned()),
        None,
        "tidegate",
    )
    .into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&credential.region)
        .name(credential.service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(cannot_sign)?
        .into();
    let mut signed: Vec<(&str, &str)> = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        // Already out by the settings' default; said again because a signed Authorization is never accepted.
        if name != AUTHORIZATION {
            signed.push((name.as_str(), value.to_str().map_err(cannot_sign)?));
        }
    }
    let signable = SignableRequest::new(method, uri, signed.into_iter(), SignableBody::Bytes(body))
        .map_err(cannot_sign)?;
    let (instructions, _signature) = sign(signable, &parameters).map_err(cannot_sign)?.into_parts();
    instructions
        .headers()
        .map(|(name, value)| Ok((HeaderName::try_from(name).map_err(cannot_sign)?, secret_value(value)?)))
        .collect()
}

/// In time that depends on the lengths alone.
fn equal(given: &[u8], expected: &[u8]) -> bool {
    let difference = given.iter().zip(expected).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0 && given.len() == expected.len()
}

fn secret_value(text: &str) -> Result<HeaderValue, WireError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        WireError::new(ErrorClass::Internal, "the backend's credential holds bytes that no header may hold")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn cannot_sign(error: impl fmt::Display) -> WireError {
    WireError::new(ErrorClass::Internal, format!("the backend's request can't be signed: {error}"))
}
