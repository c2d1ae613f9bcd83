//! Failures inside a response, both ways. Refusals have the same body as those of chat completions.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{ErrorClass, WireError, dialect::openai_chat::error_of};

/// The error of an `error` event: nested as recorded, flat as the SDK declares it.
pub(super) fn in_band(data: &str) -> WireError {
    classed(error_of(data))
}

/// The `error` of a response that has failed.
pub(super) fn failure_of(error: Option<&str>) -> WireError {
    classed(error_of(&format!("{{\"error\":{}}}", error.unwrap_or("null"))))
}

/// The policies that a prompt can be refused by have codes of their own here.
fn classed(error: WireError) -> WireError {
    match error.code() {
        Some(code @ ("invalid_prompt" | "bio_policy" | "misalignment_policy_violation")) => {
            WireError::new(ErrorClass::ContentFilter, error.message()).with_code(code)
        }
        _ => error,
    }
}

/// The error event of a stream; no terminal event has to follow it.
pub(crate) fn error_event(error: &WireError, sequence: u64) -> Bytes {
    let event = json!({ "type": "error", "sequence_number": sequence, "error": fields(error) });
    format!("event: error\ndata: {event}\n\n").into()
}

/// `{"type","code","message","param"}`.
fn fields(error: &WireError) -> Value {
    json!({
        "type": error.class().openai_type(),
        "code": error.code(),
        "message": error.message(),
        "param": error.param(),
    })
}

/// `{"code","message"}`, as a failed response has it; callers read the code by its name, and the API has a few.
pub(super) fn response_error(error: &WireError) -> Value {
    let code = match error.class() {
        ErrorClass::RateLimited | ErrorClass::QuotaExceeded => "rate_limit_exceeded",
        ErrorClass::BadRequest | ErrorClass::ContentFilter | ErrorClass::ContextLength => "invalid_prompt",
        _ => "server_error",
    };
    json!({ "code": code, "message": error.message() })
}
