//! The one error type of the wire: whose fault, whether to try again, and what the caller is told.
//!
//! Mapped to an HTTP status and to a client dialect's JSON elsewhere (`dialect::*::encode_error` and the server's one
//! `respond` file); here it only says what happened.

use std::{fmt, time::Duration};

use http::HeaderMap;
use serde_json::Value;

/// Who has to change something for the call to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The caller: the request itself is wrong, or asks for what the backend can't do.
    Client,
    /// The backend: it refused, broke, or talked nonsense.
    Upstream,
    /// This gateway: its configuration, its credentials, its own limits.
    Gateway,
}

/// Whether another attempt could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same request would fail the same way.
    Never,
    /// Another attempt may succeed, as long as nothing has reached the caller.
    BeforeFirstByte,
}

/// What kind of failure it was, in the field's own classes (WIRE facts, "Errors to client").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Malformed or invalid request.
    BadRequest,
    /// The prompt does not fit the model's context window.
    ContextLength,
    /// A content filter refused the prompt.
    ContentFilter,
    /// The caller did not authenticate to us.
    Unauthorized,
    /// The backend refused our credentials.
    UpstreamAuth,
    /// Unknown model, deployment or path.
    NotFound,
    /// The request body is larger than allowed.
    TooLarge,
    /// Rate limited; try later.
    RateLimited,
    /// The account's quota is used up; trying later does not help.
    QuotaExceeded,
    /// The backend is overloaded.
    Overloaded,
    /// The backend answered with a failure of its own.
    UpstreamBroke,
    /// The backend's bytes do not follow its own wire format.
    Protocol,
    /// The backend's stream ended before its terminal event.
    Truncated,
    /// No connection to the backend.
    Connect,
    /// A deadline passed.
    Timeout,
    /// Our own fault.
    Internal,
}

impl ErrorClass {
    /// HTTP status that a caller gets for this class.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::ContextLength | Self::ContentFilter => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimited | Self::QuotaExceeded => 429,
            Self::UpstreamAuth | Self::UpstreamBroke | Self::Protocol | Self::Truncated | Self::Connect => {
                502
            }
            Self::Overloaded => 503,
            Self::Timeout => 504,
            Self::Internal => 500,
        }
    }

    /// `error.type` in OpenAI's error shape.
    pub fn openai_type(self) -> &'static str {
        match self {
            Self::BadRequest
            | Self::ContextLength
            | Self::ContentFilter
            | Self::NotFound
            | Self::TooLarge => "invalid_request_error",
            Self::Unauthorized => "authentication_error",
            Self::UpstreamAuth => "upstream_authentication_error",
            Self::RateLimited => "rate_limit_error",
            Self::QuotaExceeded => "insufficient_quota",
            Self::Overloaded => "overloaded_error",
            Self::Timeout => "timeout_error",
            Self::UpstreamBroke | Self::Protocol | Self::Truncated | Self::Connect | Self::Internal => {
                "server_error"
            }
        }
    }

    /// `error.code` in OpenAI's error shape, where the class alone decides it.
    pub fn openai_code(self) -> Option<&'static str> {
        match self {
            Self::ContextLength => Some("context_length_exceeded"),
            Self::ContentFilter => Some("content_filter"),
            Self::NotFound => Some("model_not_found"),
            Self::Unauthorized => Some("invalid_api_key"),
            Self::QuotaExceeded => Some("insufficient_quota"),
            Self::RateLimited => Some("rate_limit_exceeded"),
            Self::Truncated => Some("upstream_truncated"),
            Self::Protocol => Some("upstream_protocol_error"),
            Self::Connect => Some("upstream_unreachable"),
            _ => None,
        }
    }

    /// Who has to change something.
    pub fn blame(self) -> Blame {
        match self {
            Self::BadRequest
            | Self::ContextLength
            | Self::ContentFilter
            | Self::Unauthorized
            | Self::NotFound
            | Self::TooLarge => Blame::Client,
            Self::UpstreamAuth | Self::Internal => Blame::Gateway,
            _ => Blame::Upstream,
        }
    }

    /// Whether another attempt could help.
    pub fn retry(self) -> Retry {
        match self {
            Self::RateLimited
            | Self::Overloaded
            | Self::UpstreamBroke
            | Self::Protocol
            | Self::Truncated
            | Self::Connect
            | Self::Timeout => Retry::BeforeFirstByte,
            _ => Retry::Never,
        }
    }
}

/// A failure of a call, from whichever side.
///
/// Boxed inside, so that a `Result` on the hot path stays one word wide.
#[derive(Clone, PartialEq)]
pub struct WireError(Box<Inner>);

#[derive(Clone, PartialEq)]
struct Inner {
    class: ErrorClass,
    message: String,
    param: Option<String>,
    code: Option<String>,
    inner_error: Option<Value>,
    upstream_status: Option<u16>,
    retry_after: Option<Duration>,
    upstream_headers: HeaderMap,
}

impl WireError {
    /// An error of `class`; `message` is shown to the caller and must hold no secret.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            class,
            message: message.into(),
            param: None,
            code: None,
            inner_error: None,
            upstream_status: None,
            retry_after: None,
            upstream_headers: HeaderMap::new(),
        }))
    }

    /// The caller's request is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::BadRequest, message)
    }

    /// The backend's bytes do not follow its wire format.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Protocol, message)
    }

    /// The backend's stream ended before its terminal event.
    pub fn truncated(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Truncated, message)
    }

    /// The backend refused our credentials. Made without its words, wherever they stood: they may quote the credentials
    /// (OpenAI shows a part of the key) and are not the caller's to read. Its code is kept; an empty one is none.
    pub(crate) fn credentials_refused(status: Option<u16>, code: &str) -> Self {
        let answered = status.map_or_else(String::new, |status| format!(" (HTTP {status})"));
        let message = format!("the backend refused the gateway's credentials{answered}");
        let mut error = Self::new(ErrorClass::UpstreamAuth, message);
        error.0.code = (!code.is_empty()).then(|| code.to_owned());
        error.0.upstream_status = status;
        error
    }

    /// Names the request parameter at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// Keeps the backend's own error code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Keeps what a content filter said of the prompt, as the backend put it. For the caller to read.
    #[must_use]
    pub fn with_inner_error(mut self, verdict: Value) -> Self {
        self.0.inner_error = Some(verdict);
        self
    }

    /// Keeps the status that the backend answered with.
    #[must_use]
    pub fn with_upstream_status(mut self, status: u16) -> Self {
        self.0.upstream_status = Some(status);
        self
    }

    /// How long the backend asks to wait before another attempt.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// Keeps the header fields that the backend answered with.
    #[must_use]
    pub fn with_upstream_headers(mut self, headers: HeaderMap) -> Self {
        self.0.upstream_headers = headers;
        self
    }

    /// What kind of failure.
    pub fn class(&self) -> ErrorClass {
        self.0.class
    }

    /// Who has to change something.
    pub fn blame(&self) -> Blame {
        self.0.class.blame()
    }

    /// Whether another attempt could help.
    pub fn retry(&self) -> Retry {
        self.0.class.retry()
    }

    /// HTTP status for the caller.
    pub fn status(&self) -> u16 {
        self.0.class.status()
    }

    /// What went wrong, for people. The backend's own message where it gave one, unless it is about our credentials.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The request parameter at fault, where known.
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The backend's own code, else the class's.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref().or_else(|| self.0.class.openai_code())
    }

    /// What a content filter said of the prompt: Azure's `innererror`, with its `content_filter_result`.
    pub fn inner_error(&self) -> Option<&Value> {
        self.0.inner_error.as_ref()
    }

    /// Status that the backend answered with, where it answered.
    pub fn upstream_status(&self) -> Option<u16> {
        self.0.upstream_status
    }

    /// How long the backend asks to wait before another attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Header fields that the backend answered with, such as its id of the request and what its limits have left. Empty where
    /// it did not answer.
    pub fn upstream_headers(&self) -> &HeaderMap {
        &self.0.upstream_headers
    }
}

impl fmt::Debug for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireError")
            .field("class", &self.0.class)
            .field("message", &self.0.message)
            .field("param", &self.0.param)
            .field("code", &self.0.code)
            .field("inner_error", &self.0.inner_error)
            .field("upstream_status", &self.0.upstream_status)
            .field("retry_after", &self.0.retry_after)
            .finish()
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for WireError {}
