//! Bedrock's errors, as an answer with another status than 2xx and as a frame inside a stream, in the wire's own classes.
//!
//! Both ways name a modelled exception (`ThrottlingException` in a header, `throttlingException` in a frame), so both
//! are classed by [`classify`]. The message is kept as Bedrock gave it, unless it is about our
//! credentials.

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::json;

use crate::{ErrorClass, WireError};

#[cfg(test)]
mod tests;

/// Reads an answer with a status other than 2xx. `body` may be cut off at a bound. The wait that the answer asks for is
/// read for all dialects alike, by [`crate::host::Endpoint::decode_error`].
pub fn decode_error(status: u16, headers: &HeaderMap, body: &[u8]) -> WireError {
    let body_fields = serde_json::from_slice::<ErrorBody>(body).ok();
    let kind = header_kind(headers)
        .or_else(|| body_fields.as_ref().and_then(|fields| fields.kind.clone()))
        .map(|kind| normalise_kind(&kind));
    let message = body_fields
        .and_then(|fields| fields.message)
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| describe(status, kind.as_deref()));
    build(kind.as_deref(), status, message)
}

/// An exception frame: `name` is its `:exception-type`, `payload` its JSON.
pub(crate) fn decode_exception(name: &str, payload: &[u8]) -> WireError {
    let kind = normalise_kind(name);
    let status = modelled_status(&kind);
    let message = serde_json::from_slice::<ErrorBody>(payload)
        .ok()
        .and_then(ErrorBody::into_stream_message)
        .unwrap_or_else(|| describe(status, Some(&kind)));
    build(Some(&kind), status, message)
}

/// An error frame: `code` is its `:error-code`, `message` its `:error-message`.
pub(crate) fn decode_error_message(code: &str, message: &[u8]) -> WireError {
    let kind = normalise_kind(code);
    let status = modelled_status(&kind);
    let message = String::from_utf8_lossy(message);
    let message = if message.is_empty() { describe(status, Some(&kind)) } else { message.into_owned() };
    build(Some(&kind), status, message)
}

/// `malformed_model_output`, `malformed_tool_use`: the model failed, and a finish reason would hide it. `error` is not in the
/// service model; as a finish reason it would mean a failure to callers, after a call that counted as a success.
pub(super) fn failed_stop(reason: &str) -> WireError {
    let message = format!("the model's answer was cut off: Bedrock reports {reason}");
    WireError::new(ErrorClass::UpstreamBroke, message).with_code(reason)
}

fn build(kind: Option<&str>, status: u16, message: String) -> WireError {
    let class = classify(kind, status, &message);
    if class == ErrorClass::UpstreamAuth {
        return WireError::credentials_refused(Some(status), kind.unwrap_or_default());
    }
    let error = WireError::new(class, message).with_upstream_status(status);
    match kind {
        // Where the class has a code of its own, clients act on that one.
        Some(kind) if class.openai_code().is_none() => error.with_code(kind),
        _ => error,
    }
}

fn classify(kind: Option<&str>, status: u16, message: &str) -> ErrorClass {
    match kind.unwrap_or_default() {
        "ThrottlingException" | "ModelNotReadyException" => ErrorClass::RateLimited,
        "ServiceQuotaExceededException" => ErrorClass::QuotaExceeded,
        "ServiceUnavailableException" => ErrorClass::Overloaded,
        "ModelTimeoutException" => ErrorClass::Timeout,
        "ResourceNotFoundException" => ErrorClass::NotFound,
        "ModelErrorException" | "ModelStreamErrorException" | "InternalServerException" => {
            ErrorClass::UpstreamBroke
        }
        kind if CREDENTIALS.contains(&kind) => ErrorClass::UpstreamAuth,
        _ => classify_status(status, message),
    }
}

fn classify_status(status: u16, message: &str) -> ErrorClass {
    match status {
        400 | 422 => classify_validation(message),
        401 | 403 => ErrorClass::UpstreamAuth,
        402 => ErrorClass::QuotaExceeded,
        404 => ErrorClass::NotFound,
        408 | 504 => ErrorClass::Timeout,
        413 => ErrorClass::TooLarge,
        429 => ErrorClass::RateLimited,
        503 => ErrorClass::Overloaded,
        424 | 500.. => ErrorClass::UpstreamBroke,
        400..500 => ErrorClass::BadRequest,
        _ => ErrorClass::Protocol,
    }
}

/// Bedrock answers an unknown model and an overlong prompt with the same ValidationException as everything else; only
/// the text tells them apart.
fn classify_validation(message: &str) -> ErrorClass {
    let message = message.to_ascii_lowercase();
    if message.contains("model identifier is invalid") {
        return ErrorClass::NotFound;
    }
    let overflows = CONTEXT_OVERFLOW.iter().any(|parts| parts.iter().all(|part| message.contains(part)));
    if overflows { ErrorClass::ContextLength } else { ErrorClass::BadRequest }
}

/// The header is `ValidationException:http://internal.amazon.com/coral/...`.
fn header_kind(headers: &HeaderMap) -> Option<String> {
    headers.get("x-amzn-errortype")?.to_str().ok().map(str::to_owned)
}

/// `com.amazon.coral#ThrottlingException:http://...` and `throttlingException` both become `ThrottlingException`.
fn normalise_kind(kind: &str) -> String {
    let kind = kind.split(':').next().unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default().trim();
    let mut characters = kind.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// Status by the service model (`httpStatusCode`); frames carry none. botocore's own clients report 400 for all.
fn modelled_status(kind: &str) -> u16 {
    match kind {
        "ThrottlingException" | "ModelNotReadyException" => 429,
        "ServiceUnavailableException" => 503,
        "ModelStreamErrorException" | "ModelErrorException" => 424,
        "ModelTimeoutException" => 408,
        kind if CREDENTIALS.contains(&kind) => 403,
        "ResourceNotFoundException" => 404,
        "ValidationException" | "ServiceQuotaExceededException" | "ConflictException" => 400,
        _ => 500,
    }
}

fn describe(status: u16, kind: Option<&str>) -> String {
    match kind {
        Some(kind) if !kind.is_empty() => format!("Bedrock answered {status} {kind} without a message"),
        _ => format!("Bedrock answered {status} without a message"),
    }
}

/// The body of an error answer and of an exception frame.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(rename = "originalMessage")]
    original_message: Option<String>,
    #[serde(rename = "__type")]
    kind: Option<String>,
}

impl ErrorBody {
    /// modelStreamErrorException wraps the model's own message.
    fn into_stream_message(self) -> Option<String> {
        let message = self.message.filter(|message| !message.is_empty());
        match (message, self.original_message.filter(|message| !message.is_empty())) {
            (Some(message), Some(original)) if !message.contains(&original) => {
                Some(format!("{message}: {original}"))
            }
            (message, original) => message.or(original),
        }
    }
}

/// Bedrock's error body, for callers.
pub(crate) fn encode_error(error: &WireError) -> Bytes {
    json!({ "message": error.message() }).to_string().into()
}

/// What the header `x-amzn-errortype` says of an error: the exception that AWS's clients raise.
pub(crate) fn error_type(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::BadRequest
        | ErrorClass::ContextLength
        | ErrorClass::ContentFilter
        | ErrorClass::TooLarge => "ValidationException",
        ErrorClass::Unauthorized => "AccessDeniedException",
        ErrorClass::NotFound => "ResourceNotFoundException",
        ErrorClass::RateLimited => "ThrottlingException",
        ErrorClass::QuotaExceeded => "ServiceQuotaExceededException",
        ErrorClass::Overloaded | ErrorClass::Connect => "ServiceUnavailableException",
        ErrorClass::Timeout => "ModelTimeoutException",
        ErrorClass::UpstreamBroke | ErrorClass::Protocol | ErrorClass::Truncated => "ModelErrorException",
        ErrorClass::UpstreamAuth | ErrorClass::Internal => "InternalServerException",
    }
}

/// The exception of a stream: there are five.
pub(super) fn exception(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::BadRequest
        | ErrorClass::ContextLength
        | ErrorClass::ContentFilter
        | ErrorClass::TooLarge
        | ErrorClass::Unauthorized
        | ErrorClass::NotFound => "validationException",
        ErrorClass::RateLimited | ErrorClass::QuotaExceeded => "throttlingException",
        ErrorClass::Overloaded | ErrorClass::Connect => "serviceUnavailableException",
        ErrorClass::UpstreamBroke | ErrorClass::Protocol | ErrorClass::Truncated | ErrorClass::Timeout => {
            "modelStreamErrorException"
        }
        ErrorClass::UpstreamAuth | ErrorClass::Internal => "internalServerException",
    }
}

/// Refusals of who we are. Known by name and not only by status, for AWS's words on a wrong signature quote the request that
/// was signed (IAM User Guide, "Troubleshoot signed requests"), session token included.
const CREDENTIALS: &[&str] = &[
    "AccessDeniedException",
    "ExpiredTokenException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "InvalidClientTokenId",
    "RequestExpired",
    "NotAuthorized",
    "OptInRequired",
];

/// Texts of a prompt that does not fit, lower case; all parts of a row must occur.
const CONTEXT_OVERFLOW: &[&[&str]] = &[
    &["prompt is too long"],
    &["input is too long"],
    &["input tokens exceeded"],
    &["input token count", "exceeds"],
    &["maximum context length"],
    &["context window", "exceed"],
];
