//! A caller's signature (AWS Signature Version 4), checked against the secret that it should have been made with.
//!
//! The same canonical form as for our own requests: the request is signed again, as its caller says it did, and the signatures are
//! compared. Called by the gateway, twice for a request: when its head is there, and, as its body is signed as well, when that is.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_types::{DateTime, date_time::Format};
use http::{HeaderMap, Method, Uri, header::AUTHORIZATION, header::HOST};

use super::{Secret, cannot_sign, equal};
use crate::{ErrorClass, WireError};

/// What of a signed request its signature is over, but for the body.
#[derive(Debug)]
pub struct Signed {
    method: String,
    uri: String,
    /// Those that are signed.
    headers: Vec<(String, String)>,
    access_key_id: String,
    region: String,
    service: String,
    signature: String,
    at: SystemTime,
}

impl Signed {
    /// Reads the head of a request at time `now`. `None`: it is not signed in this way.
    ///
    /// # Errors
    /// [`ErrorClass::Unauthorized`]: the signature is malformed, or was made more than 5 minutes ago or hence.
    pub fn read(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Option<Result<Self, WireError>> {
        let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let fields = authorization.strip_prefix(ALGORITHM)?;
        Some(Self::parse(method, uri, headers, fields).and_then(|signed| signed.check_time(now)))
    }

    fn parse(method: &Method, uri: &Uri, headers: &HeaderMap, fields: &str) -> Result<Self, WireError> {
        let field = |name: &str| {
            let mut pairs = fields.split(',').filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value).ok_or_else(|| {
                refused("IncompleteSignatureException", &format!("the Authorization header has no {name}"))
            })
        };
        let scope: Vec<&str> = field("Credential")?.split('/').collect();
        let [access_key_id, _, region, service, "aws4_request"] = *scope else {
            return Err(refused(
                "IncompleteSignatureException",
                "the credential is not of the form ID/DATE/REGION/SERVICE/aws4_request",
            ));
        };
        let date = headers.get("x-amz-date").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let at = instant(date).ok_or_else(|| {
            refused("IncompleteSignatureException", "there is no X-Amz-Date of the form YYYYMMDDTHHMMSSZ")
        })?;
        let text = |name: &str| {
            let values = headers.get_all(name).iter().map(|value| value.to_str().ok());
            values.collect::<Option<Vec<_>>>().map(|values| values.join(","))
        };
        // HTTP/2 has the host in the URI.
        let host = text(HOST.as_str())
            .filter(|host| !host.is_empty())
            .or_else(|| uri.authority().map(|authority| authority.as_str().to_owned()))
            .unwrap_or_default();
        let mut signed = Vec::new();
        for name in field("SignedHeaders")?.split(';').filter(|name| !matches!(*name, "host" | "x-amz-date"))
        {
            let value = text(name)
                .ok_or_else(|| refused("InvalidSignatureException", "a header that is signed is not text"))?;
            signed.push((name.to_owned(), value));
        }
        signed.push((HOST.as_str().to_owned(), host.clone()));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            method: method.to_string(),
            uri: format!("http://{host}{path}"),
            headers: signed,
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signature: field("Signature")?.to_owned(),
            at,
        })
    }

    fn check_time(self, now: SystemTime) -> Result<Self, WireError> {
        let off = now.duration_since(self.at).unwrap_or_else(|early| early.duration());
        match off > SKEW {
            true => Err(refused(
                "InvalidSignatureException",
                "the signature is not of now: the clocks are more than 5 minutes apart, or it is an old one",
            )),
            false => Ok(self),
        }
    }

    /// Whether `secret` made the signature, over this body.
    ///
    /// # Errors
    /// [`ErrorClass::Unauthorized`]: it did not.
    pub fn verify(&self, body: &[u8], secret: &Secret) -> Result<(), WireError> {
        let identity = Credentials::new(&*self.access_key_id, secret.expose(), None, None, "tidegate").into();
        // What is signed is the caller's to say.
        let mut settings = SigningSettings::default();
        settings.excluded_headers = None;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(self.at)
            .settings(settings)
            .build()
            .map_err(cannot_sign)?
            .into();
        let wrong = || {
            let message = "the request is not signed with the gateway's master key as the secret access key";
            refused("InvalidSignatureException", message)
        };
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new(&self.method, &*self.uri, headers, SignableBody::Bytes(body))
            .map_err(|_| wrong())?;
        let (_, signature) = sign(signable, &parameters).map_err(|_| wrong())?.into_parts();
        if equal(signature.as_bytes(), self.signature.as_bytes()) { Ok(()) } else { Err(wrong()) }
    }
}

/// `20261122T101112Z`.
fn instant(date: &str) -> Option<SystemTime> {
    let digits = |from: usize, to: usize| date.get(from..to);
    let spelled = format!(
        "{}-{}-{}T{}:{}:{}",
        digits(0, 4)?,
        digits(4, 6)?,
        digits(6, 8)?,
        digits(9, 11)?,
        digits(11, 13)?,
        digits(13, 16)?
    );
    let plain = date.len() == 16 && date.get(8..9) == Some("T");
    DateTime::from_str(&spelled, Format::DateTime).ok().filter(|_| plain)?.try_into().ok()
}

fn refused(code: &str, message: &str) -> WireError {
    WireError::new(ErrorClass::Unauthorized, message).with_code(code)
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256 ";
/// As AWS's own.
const SKEW: Duration = Duration::from_secs(5 * 60);
