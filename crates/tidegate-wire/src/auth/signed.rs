//! A caller's signature (AWS Signature Version 4), checked against the secret that it should have been made with.
//!
//! The canonical form is made here and not by `aws-sigv4`, which signs for a client: of a caller's request just those header fields
//! count that it says it signed, and over HTTP/2 the SDK for JavaScript signs `:authority` in the place of `host`. Called by the
//! gateway, twice for a request: when its head is there, and, as its body is signed as well, when that is.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_types::{DateTime, date_time::Format};
use http::{HeaderMap, Method, Uri, header::AUTHORIZATION, header::HOST};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::{Secret, equal};
use crate::{ErrorClass, WireError};

/// What of a signed request its signature is over, but for the body.
#[derive(Debug)]
pub struct Signed {
    /// The canonical request, but for the hash of the body at its end.
    canonical: String,
    /// `YYYYMMDD/REGION/SERVICE/aws4_request`.
    scope: String,
    region: String,
    service: String,
    signature: String,
    /// As the request says it.
    date: String,
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
        let credential = field("Credential")?;
        let parts: Vec<&str> = credential.split('/').collect();
        let [_, day, region, service, "aws4_request"] = *parts else {
            let why = "the credential is not of the form ID/DATE/REGION/SERVICE/aws4_request";
            return Err(refused("IncompleteSignatureException", why));
        };
        let date = headers.get("x-amz-date").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let at = instant(date).filter(|_| date.get(..8) == Some(day)).ok_or_else(|| {
            let why = "there is no X-Amz-Date of the form YYYYMMDDTHHMMSSZ, on the day of the credential";
            refused("IncompleteSignatureException", why)
        })?;
        let names = field("SignedHeaders")?;
        let mut canonical = format!("{method}\n{}\n{}\n", path(uri), query(uri));
        for name in names.split(';') {
            let value = value(name, uri, headers).ok_or_else(|| {
                refused("InvalidSignatureException", "a header that is signed is not there, or no text")
            })?;
            // A `String` takes everything.
            let _ = writeln!(canonical, "{name}:{value}");
        }
        // Without them a signature would be good for another host, or for ever.
        let has = |name| names.split(';').any(|signed| signed == name);
        if !(has("x-amz-date") && (has("host") || has(AUTHORITY))) {
            return Err(refused("InvalidSignatureException", "the host and X-Amz-Date have to be signed"));
        }
        let _ = write!(canonical, "\n{names}\n");
        Ok(Self {
            canonical,
            scope: format!("{day}/{region}/{service}/aws4_request"),
            region: region.to_owned(),
            service: service.to_owned(),
            signature: field("Signature")?.to_owned(),
            date: date.to_owned(),
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
        let request = hash(format!("{}{}", self.canonical, hash(body)).as_bytes());
        let signed = format!("{}\n{}\n{}\n{request}", ALGORITHM.trim_end(), self.date, self.scope);
        let key = generate_signing_key(secret.expose(), self.at, &self.region, &self.service);
        let signature = calculate_signature(key, signed.as_bytes());
        match equal(signature.as_bytes(), self.signature.as_bytes()) {
            true => Ok(()),
            false => Err(refused(
                "InvalidSignatureException",
                "the request is not signed with the gateway's master key as the secret access key",
            )),
        }
    }
}

/// The path, encoded once more, as every AWS service but S3 expects it.
fn path(uri: &Uri) -> String {
    utf8_percent_encode(uri.path(), PATH).to_string()
}

fn query(uri: &Uri) -> String {
    let encoded = |text: &str| {
        let decoded = percent_decode_str(text).collect::<Vec<u8>>();
        percent_encoding::percent_encode(&decoded, UNRESERVED).to_string()
    };
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// The value of a header field, with its spaces made one. HTTP/2 has the host in the URI.
fn value(name: &str, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let authority = || uri.authority().map(|authority| authority.as_str().to_owned());
    if name == AUTHORITY {
        return authority();
    }
    let given: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
    if given.is_empty() {
        return (HOST == name).then(authority).flatten();
    }
    let values = given.into_iter().collect::<Option<Vec<_>>>()?;
    let plain = values.iter().map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
    Some(plain.collect::<Vec<_>>().join(","))
}

/// SHA-256 in hexadecimal.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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
const AUTHORITY: &str = ":authority";
/// RFC 3986's unreserved characters stay.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');
