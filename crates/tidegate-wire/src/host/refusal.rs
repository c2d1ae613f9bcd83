//! Replies with a status other than 2xx, per dialect, and the wait that they ask for.

use std::time::Duration;

use http::HeaderMap;

use super::Dialect;
use crate::{
    WireError,
    dialect::{bedrock_converse, cohere_chat, gemini, openai_chat},
};

pub(super) fn decode(dialect: Dialect, status: u16, headers: &HeaderMap, body: &[u8]) -> WireError {
    let error = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses | Dialect::AnthropicMessages | Dialect::Ollama => {
            openai_chat::decode_error_body(status, body)
        }
        Dialect::BedrockConverse | Dialect::BedrockInvoke => {
            bedrock_converse::decode_error(status, headers, body)
        }
        Dialect::Gemini | Dialect::VertexMessages => gemini::decode_error(status, body),
        Dialect::CohereChat => cohere_chat::decode_error(status, body),
    };
    let wait = retry_after(headers).max(error.retry_after());
    error.with_upstream_status(status).with_retry_after(wait).with_upstream_headers(headers.clone())
}

/// The longer of `retry-after` and `retry-after-ms`: Azure was recorded sending `retry-after: 1` with
/// `retry-after-ms: 0`. `None` rather than zero.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| text(headers, name)?.parse::<f64>().ok();
    let seconds = number("retry-after").or_else(|| until_date(headers));
    let from_ms = number("retry-after-ms").map(|ms| ms / 1000.0);
    let wait = seconds.into_iter().chain(from_ms).fold(0.0, f64::max);
    Duration::try_from_secs_f64(wait.min(MAX_WAIT_SECONDS)).ok().filter(|wait| !wait.is_zero())
}

/// Seconds from the reply's own date to that of `retry-after`. Time is not known here, and the backend's clock is the one
/// that it means.
fn until_date(headers: &HeaderMap) -> Option<f64> {
    let date = |name: &str| httpdate::parse_http_date(text(headers, name)?).ok();
    let wait = date("retry-after")?.duration_since(date("date")?).ok()?;
    Some(wait.as_secs_f64())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A day: a larger value is nonsense, and must not overflow anyone's arithmetic.
const MAX_WAIT_SECONDS: f64 = 86_400.0;
