//! The one error type of the SDK: opaque, with predicates. Says whose fault it was and whether to try again; never shows a
//! secret.

use std::{fmt, time::Duration};

use http::HeaderMap;
use tidegate_wire::{Blame, ErrorClass, Retry, WireError};

/// Why a call, or the making of a [`Client`](crate::Client), failed.
#[derive(Clone, PartialEq)]
pub struct Error {
    cause: WireError,
    call_id: Option<Box<str>>,
}

impl Error {
    pub(crate) fn of_call(cause: WireError, call_id: &str) -> Self {
        Self { cause, call_id: Some(call_id.into()) }
    }

    pub(crate) fn into_cause(self) -> WireError {
        self.cause
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        WireError::new(ErrorClass::Internal, message).into()
    }

    /// What kind of failure.
    pub fn class(&self) -> ErrorClass {
        self.cause.class()
    }

    /// Who has to change something: the request ([`Blame::Client`]), the backend ([`Blame::Upstream`]), or this program's
    /// configuration and credentials ([`Blame::Gateway`]).
    pub fn blame(&self) -> Blame {
        self.cause.blame()
    }

    /// Whether another attempt could help. A stream that has given events already can't be resumed by one.
    pub fn retry(&self) -> Retry {
        self.cause.retry()
    }

    /// How long the backend asks to wait before another attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        self.cause.retry_after()
    }

    /// HTTP status that stands for this failure, for programs that answer HTTP requests themselves.
    pub fn status(&self) -> u16 {
        self.cause.status()
    }

    /// Status that the backend answered with; `None` if it did not answer, or failed inside a reply.
    pub fn upstream_status(&self) -> Option<u16> {
        self.cause.upstream_status()
    }

    /// Header fields that the backend answered with; empty if it did not answer, or failed inside a reply.
    pub fn upstream_headers(&self) -> &HeaderMap {
        self.cause.upstream_headers()
    }

    /// What went wrong, for people; the backend's own words where it gave some.
    pub fn message(&self) -> &str {
        self.cause.message()
    }

    /// The backend's own code, else the class's. A deadline's is `timeout_` and the clock's name, such as
    /// `timeout_first_token`.
    pub fn code(&self) -> Option<&str> {
        self.cause.code()
    }

    /// The request parameter at fault, where known.
    pub fn param(&self) -> Option<&str> {
        self.cause.param()
    }

    /// The id of the call that failed, as in its [`CallRecord`](crate::CallRecord). `None`: no call had begun.
    pub fn call_id(&self) -> Option<&str> {
        self.call_id.as_deref()
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        self.class() == ErrorClass::Timeout
    }

    /// Whether there was no connection to the backend.
    pub fn is_connect(&self) -> bool {
        self.class() == ErrorClass::Connect
    }

    /// Whether the backend's reply ended before it was complete.
    pub fn is_truncated(&self) -> bool {
        self.class() == ErrorClass::Truncated
    }

    /// Whether the backend limits the rate, and later is better.
    pub fn is_rate_limited(&self) -> bool {
        self.class() == ErrorClass::RateLimited
    }

    /// Whether the backend refused the credentials, or there were none.
    pub fn is_authentication(&self) -> bool {
        self.class() == ErrorClass::UpstreamAuth
    }
}

impl From<WireError> for Error {
    fn from(cause: WireError) -> Self {
        Self { cause, call_id: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("class", &self.class())
            .field("message", &self.message())
            .field("code", &self.code())
            .field("upstream_status", &self.upstream_status())
            .field("call_id", &self.call_id)
            .finish()
    }
}

impl std::error::Error for Error {}
