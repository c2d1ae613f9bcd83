//! Anthropic's error object, for callers.

use bytes::Bytes;
use serde_json::json;

use crate::{ErrorClass, WireError};

/// Anthropic's JSON error object, `{"type":"error","error":{"type","message"}}`.
pub(crate) fn encode_error(error: &WireError) -> Bytes {
    value(error).to_string().into()
}

/// The error event of a stream; no `message_stop` follows it.
pub(crate) fn error_event(error: &WireError) -> Bytes {
    format!("event: error\ndata: {}\n\n", value(error)).into()
}

fn value(error: &WireError) -> serde_json::Value {
    json!({ "type": "error", "error": { "type": kind(error.class()), "message": error.message() } })
}

fn kind(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::BadRequest | ErrorClass::ContextLength | ErrorClass::ContentFilter => {
            "invalid_request_error"
        }
        ErrorClass::Unauthorized => "authentication_error",
        ErrorClass::NotFound => "not_found_error",
        ErrorClass::TooLarge => "request_too_large",
        ErrorClass::RateLimited | ErrorClass::QuotaExceeded => "rate_limit_error",
        ErrorClass::Overloaded => "overloaded_error",
        ErrorClass::Timeout => "timeout_error",
        ErrorClass::UpstreamAuth
        | ErrorClass::UpstreamBroke
        | ErrorClass::Protocol
        | ErrorClass::Truncated
        | ErrorClass::Connect
        | ErrorClass::Internal => "api_error",
    }
}
