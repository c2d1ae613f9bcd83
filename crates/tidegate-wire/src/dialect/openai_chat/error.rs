//! OpenAI's error object, both ways, and the reading of its many relatives.
//!
//! Providers differ in where they put message, code and type (WIRE facts, "Error body shapes"); all are read here, and
//! sorted into the gateway's classes by status, code, type and, last, by telling words of the message. What a backend
//! says about our credentials is never passed on, as an answer of its own or inside a 200.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{ErrorClass, WireError};

/// OpenAI's JSON error object, `{"error":{"message","type","param","code"}}`.
pub fn encode_error(error: &WireError) -> Bytes {
    let mut out = Vec::with_capacity(128 + error.message().len());
    write_error(error, &mut out);
    out.into()
}

/// Appends OpenAI's JSON error object.
pub(crate) fn write_error(error: &WireError, out: &mut Vec<u8>) {
    let mut fields = json!({
        "message": error.message(),
        "type": error.class().openai_type(),
        "param": error.param(),
        "code": error.code(),
    });
    if let (Some(verdict), Some(fields)) = (error.inner_error(), fields.as_object_mut()) {
        fields.insert("innererror".to_owned(), verdict.clone());
    }
    let value = json!({ "error": fields });
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Reads the body of a reply with a status other than 2xx, in any of the shapes that OpenAI-like backends use.
pub fn decode_error_body(status: u16, body: &[u8]) -> WireError {
    let value = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    let facts = ErrorFacts::read(&value);
    let error = facts.into_error(Some(status));
    if error.message().is_empty() { without_message(status, error.class(), body) } else { error }
}

/// A refusal that gives no message in JSON: the beginning of its text, if it is text and not a page.
fn without_message(status: u16, class: ErrorClass, body: &[u8]) -> WireError {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let message = if text.is_empty() || text.starts_with(['<', '{', '[']) {
        format!("the backend answered with status {status} and no message")
    } else {
        text.chars().take(MAX_TEXT).collect()
    };
    WireError::new(class, message).with_upstream_status(status)
}

/// How much of an error body that is plain text is passed on.
const MAX_TEXT: usize = 500;

/// What an error object says, wherever it says it.
#[derive(Debug, Default)]
pub(crate) struct ErrorFacts<'a> {
    pub(crate) message: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) param: Option<&'a str>,
    pub(crate) code: String,
    /// Azure's account of a refusal.
    inner_error: Option<&'a Value>,
}

impl<'a> ErrorFacts<'a> {
    /// `body` is a whole error body or an in-band error chunk.
    pub(crate) fn read(body: &'a Value) -> Self {
        let inner = match body.get("error") {
            Some(inner @ Value::Object(_)) => inner,
            _ => body,
        };
        let text = |name: &str| inner.get(name).and_then(Value::as_str);
        // xAI and LM Studio put the message itself under "error"; Mistral calls it "detail"; AWS services "Message".
        let message = text("message")
            .or_else(|| body.get("error").and_then(Value::as_str))
            .or_else(|| text("detail"))
            .or_else(|| text("Message"))
            .unwrap_or_default();
        let code = match inner.get("code") {
            Some(Value::String(code)) => code.clone(),
            Some(Value::Number(code)) => code.to_string(),
            _ => String::new(),
        };
        Self {
            message,
            kind: text("type").or_else(|| text("error_type")).unwrap_or_default(),
            param: text("param"),
            code,
            // The other two places are older ones (WIRE facts, "Content filtering").
            inner_error: inner
                .get("innererror")
                .or_else(|| inner.get("inner_error"))
                .or_else(|| body.get("innererror")),
        }
    }

    /// `status` is the reply's; an in-band error has none, and its code may be one.
    pub(crate) fn into_error(self, status: Option<u16>) -> WireError {
        let class = self.class(status);
        if class == ErrorClass::UpstreamAuth {
            return WireError::credentials_refused(status, &self.code);
        }
        let mut error = WireError::new(class, self.message);
        if let Some(param) = self.param {
            error = error.with_param(param);
        }
        if !self.code.is_empty() {
            error = error.with_code(&*self.code);
        }
        // Which filter it was is all that a caller can act on. Of other failures it is the backend's own business.
        if let Some(verdict) =
            self.inner_error.filter(|verdict| class == ErrorClass::ContentFilter && verdict.is_object())
        {
            error = error.with_inner_error(verdict.clone());
        }
        match status {
            Some(status) => error.with_upstream_status(status),
            None => error,
        }
    }

    fn class(&self, status: Option<u16>) -> ErrorClass {
        self.class_by_name().unwrap_or_else(|| {
            let status = status.or_else(|| self.code.parse().ok().filter(|code| (400..600).contains(code)));
            match (status, self.kind) {
                // Inside a 200 nothing else says whose fault it is.
                (None, "invalid_request_error") => ErrorClass::BadRequest,
                (status, _) => class_by_status(status),
            }
        })
    }

    fn class_by_name(&self) -> Option<ErrorClass> {
        let class = match &*self.code {
            "context_length_exceeded" => ErrorClass::ContextLength,
            "content_filter" | "content_policy_violation" => ErrorClass::ContentFilter,
            "insufficient_quota" | "billing_hard_limit_reached" => ErrorClass::QuotaExceeded,
            "model_not_found" | "DeploymentNotFound" => ErrorClass::NotFound,
            "invalid_api_key" => ErrorClass::UpstreamAuth,
            "rate_limit_exceeded" | "RateLimitReached" => ErrorClass::RateLimited,
            _ => match self.kind {
                "insufficient_quota" => ErrorClass::QuotaExceeded,
                "TOO_MANY_TOKENS" => ErrorClass::ContextLength,
                "overloaded_error" => ErrorClass::Overloaded,
                // Inside a 200 there is no status to tell it. Anthropic has a type for each.
                "authentication_error" | "permission_error" => ErrorClass::UpstreamAuth,
                "billing_error" => ErrorClass::QuotaExceeded,
                _ if is_context_overflow(self.message) => ErrorClass::ContextLength,
                _ if is_about_key(self.message) => ErrorClass::UpstreamAuth,
                "rate_limit_error" => ErrorClass::RateLimited,
                "not_found_error" => ErrorClass::NotFound,
                "request_too_large" => ErrorClass::TooLarge,
                "timeout_error" => ErrorClass::Timeout,
                _ => return None,
            },
        };
        Some(class)
    }
}

/// Whether the message says that the prompt does not fit, in the words of any provider recorded.
pub(crate) fn is_context_overflow(message: &str) -> bool {
    const WORDS: [&str; 8] = [
        "maximum context length",
        "max context length",
        "length of all messages is too long",
        "prompt is too long",
        "Input Tokens Exceeded",
        "Input is too long",
        "context window",
        "exceeds the maximum number of tokens",
    ];
    WORDS.iter().any(|words| message.contains(words))
        || (message.contains("input token count") && message.contains("exceeds"))
}

/// Google's and OpenAI's words for a wrong key; OpenAI's go on to quote it.
pub(crate) fn is_about_key(message: &str) -> bool {
    ["API key not valid", "Incorrect API key provided"].iter().any(|words| message.contains(words))
}

/// The class of a refusal whose body tells nothing more. `None`: an error inside a reply that began well.
pub(crate) fn class_by_status(status: Option<u16>) -> ErrorClass {
    match status {
        Some(401 | 403) => ErrorClass::UpstreamAuth,
        Some(402) => ErrorClass::QuotaExceeded,
        Some(404) => ErrorClass::NotFound,
        Some(408 | 504) => ErrorClass::Timeout,
        Some(413) => ErrorClass::TooLarge,
        Some(424) => ErrorClass::UpstreamBroke,
        Some(429) => ErrorClass::RateLimited,
        Some(503 | 529) => ErrorClass::Overloaded,
        Some(400..=499) => ErrorClass::BadRequest,
        _ => ErrorClass::UpstreamBroke,
    }
}
