//! Replies with a status other than 2xx, per dialect, and the wait that they ask for.

use std::time::Duration;

use http::HeaderMap;

use super::Dialect;
use crate::{
    WireError,
    dialect::{bedrock_converse, openai_chat},
};

pub(super) fn decode(dialect: Dialect, status: u16, headers: &HeaderMap, body: &[u8]) -> WireError {
    let error = match dialect {
        Dialect::OpenaiChat => openai_chat::decode_error_body(status, body),
        Dialect::BedrockConverse => bedrock_converse::decode_error(status, headers, body),
    };
    error.with_upstream_status(status).with_retry_after(retry_after(headers))
}

/// The longer of `retry-after` and `retry-after-ms`: Azure was recorded sending `retry-after: 1` with
/// `retry-after-ms: 0`. The date form is not read, for time is not known here. `None` rather than zero.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse::<f64>().ok())
    };
    let seconds = number("retry-after");
    let from_ms = number("retry-after-ms").map(|ms| ms / 1000.0);
    let wait = seconds.into_iter().chain(from_ms).fold(0.0, f64::max);
    Duration::try_from_secs_f64(wait.min(MAX_WAIT_SECONDS)).ok().filter(|wait| !wait.is_zero())
}

/// A day: a larger value is nonsense, and must not overflow anyone's arithmetic.
const MAX_WAIT_SECONDS: f64 = 86_400.0;
