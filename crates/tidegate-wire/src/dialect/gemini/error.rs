//! Google's error object (`google.rpc.Status` as JSON), as the body of a refusal and inside a stream.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::put;
use crate::{
    ErrorClass, WireError,
    dialect::openai_chat::{class_by_status, is_about_key, is_context_overflow},
};

/// Reads the body of a reply with a status other than 2xx. A refused stream may come as an array of one.
pub fn decode_error(status: u16, body: &[u8]) -> WireError {
    let value = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    let error = value.get("error").or_else(|| value.get(0)?.get("error"));
    match error.filter(|error| error.get("message").is_some()) {
        Some(error) => from_object(error, Some(status)),
        // A proxy on the way, or a page of the front end.
        None => crate::dialect::openai_chat::decode_error_body(status, body),
    }
}

/// The object under `error`. `status` is the reply's; inside a 200 its code tells.
pub(super) fn from_object(error: &Value, status: Option<u16>) -> WireError {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let (message, name) = (text("message"), text("status"));
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let class = class(status.or(code), name, message, error);
    if class == ErrorClass::UpstreamAuth {
        return WireError::credentials_refused(status, name);
    }
    let mut told = WireError::new(class, message).with_retry_after(retry_delay(error));
    if !name.is_empty() {
        told = told.with_code(name);
    }
    match status {
        Some(status) => told.with_upstream_status(status),
        None => told,
    }
}

fn class(status: Option<u16>, name: &str, message: &str, error: &Value) -> ErrorClass {
    // A bad key is a 400, and only the reason tells (recorded).
    let key_refused = details(error).any(|detail| {
        let reason = detail.get("reason").and_then(Value::as_str);
        matches!(reason, Some("API_KEY_INVALID" | "ACCESS_TOKEN_EXPIRED" | "CREDENTIALS_MISSING"))
    });
    match name {
        _ if key_refused || is_about_key(message) => ErrorClass::UpstreamAuth,
        _ if is_context_overflow(message) => ErrorClass::ContextLength,
        // 499 is a number for callers who left, and the caller has not.
        "CANCELLED" => ErrorClass::UpstreamBroke,
        _ => class_by_status(status),
    }
}

/// `RetryInfo.retryDelay`, a number of seconds with an `s`: there is no `Retry-After` beside it (recorded).
fn retry_delay(error: &Value) -> Option<Duration> {
    let delay = details(error).find_map(|detail| detail.get("retryDelay")?.as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds.min(MAX_WAIT_SECONDS)).ok().filter(|wait| !wait.is_zero())
}

fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error.get("details").and_then(Value::as_array).into_iter().flatten()
}

/// Google's error body, for callers.
pub(crate) fn encode_error(error: &WireError) -> Bytes {
    json!({ "error": status_object(error) }).to_string().into()
}

/// `google.rpc.Status` as JSON, with the details that Google's clients act on.
pub(super) fn status_object(error: &WireError) -> Value {
    let mut details = Vec::new();
    if let Some(code) = error.code() {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "tidegate",
        }));
    }
    if let Some(param) = error.param() {
        let violation = json!({ "field": param, "description": error.message() });
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation],
        }));
    }
    if let Some(wait) = error.retry_after() {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{}s", wait.as_secs_f64()),
        }));
    }
    let mut status =
        json!({ "code": error.status(), "message": error.message(), "status": status_name(error.class()) });
    if !details.is_empty() {
        put(&mut status, "details", details);
    }
    status
}

fn status_name(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::BadRequest
        | ErrorClass::ContextLength
        | ErrorClass::ContentFilter
        | ErrorClass::TooLarge => "INVALID_ARGUMENT",
        ErrorClass::Unauthorized => "UNAUTHENTICATED",
        ErrorClass::NotFound => "NOT_FOUND",
        ErrorClass::RateLimited | ErrorClass::QuotaExceeded => "RESOURCE_EXHAUSTED",
        ErrorClass::Overloaded | ErrorClass::Connect => "UNAVAILABLE",
        ErrorClass::Timeout => "DEADLINE_EXCEEDED",
        ErrorClass::UpstreamAuth
        | ErrorClass::UpstreamBroke
        | ErrorClass::Protocol
        | ErrorClass::Truncated
        | ErrorClass::Internal => "INTERNAL",
    }
}

/// A day, as for the header.
const MAX_WAIT_SECONDS: f64 = 86_400.0;
