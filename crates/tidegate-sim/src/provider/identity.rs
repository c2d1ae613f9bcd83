//! Who a request says it is, as far as a simulator can judge: the form is checked, no secret is.
//!
//! A key that begins with `bad` is refused, so that a test can see its caller handle a refusal.

use http::HeaderMap;

use super::errors;
use crate::journal::Backend;
use crate::plan::Plan;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Bearer,
    ApiKey,
    SigV4,
    /// Nothing that this provider takes.
    Missing,
    /// A credential of the right kind that is wrong.
    Wrong(&'static str),
}

impl Identity {
    pub(super) fn of(backend: Backend, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let authorization = text("authorization").unwrap_or_default();
        let bearer =
            authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let key_header = match backend {
            Backend::Anthropic => "x-api-key",
            Backend::Gemini => "x-goog-api-key",
            _ => "api-key",
        };
        match (backend, bearer, text(key_header)) {
            (_, Some((_, key)), _) => Self::checked(key, Self::Bearer, "bearer"),
            (Backend::Azure | Backend::Anthropic | Backend::Gemini, None, Some(key)) => {
                Self::checked(key, Self::ApiKey, "api_key")
            }
            (Backend::Bedrock, None, _) if authorization.starts_with(SIGV4) => {
                if signature_is_plausible(authorization, text("x-amz-date")) {
                    Self::SigV4
                } else {
                    Self::Wrong("sigv4")
                }
            }
            _ => Self::Missing,
        }
    }

    fn checked(key: &str, good: Self, kind: &'static str) -> Self {
        let key = key.trim();
        if key.is_empty() || key.starts_with("bad") { Self::Wrong(kind) } else { good }
    }

    /// The name that observations give it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::ApiKey => "api_key",
            Self::SigV4 => "sigv4",
            Self::Missing => "none",
            Self::Wrong(kind) => kind,
        }
    }

    /// The provider's answer to a request that is not let in.
    pub(super) fn refusal(self, backend: Backend) -> Option<Plan> {
        match (self, backend) {
            (
                Self::Missing | Self::Wrong(_),
                Backend::Openai
                | Backend::Azure
                | Backend::Bedrock
                | Backend::Anthropic
                | Backend::Gemini
                | Backend::Cohere,
            )
            // A server of one's own asks for none.
            | (Self::Wrong(_), Backend::Ollama) => Some(errors::unauthorized(backend, self == Self::Missing)),
            _ => None,
        }
    }
}

/// Whether a SigV4 header has its three parts, a scope of this service and day, and a signature of the right length.
fn signature_is_plausible(authorization: &str, amz_date: Option<&str>) -> bool {
    let rest = authorization.strip_prefix(SIGV4).unwrap_or_default();
    let part = |name: &str| {
        let mut parts = rest.split(',').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name))
    };
    let scope_holds = part("Credential=").is_some_and(|credential| {
        let scope: Vec<&str> = credential.split('/').collect();
        let day = amz_date.and_then(|date| date.get(..8));
        matches!(scope.as_slice(), [key, date, _, "bedrock", "aws4_request"]
            if !key.is_empty() && !key.starts_with("bad") && Some(*date) == day)
    });
    let signed = part("SignedHeaders=").is_some_and(|names| names.split(';').any(|name| name == "host"));
    let signature = part("Signature=").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    });
    scope_holds && signed && signature
}

const SIGV4: &str = "AWS4-HMAC-SHA256";
