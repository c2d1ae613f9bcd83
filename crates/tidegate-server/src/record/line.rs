//! One finished call as one log line: JSON for machines, a short sentence for people.
//!
//! Written directly rather than through `tracing`'s fields and visitors, for it is the one line that every call pays for.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;
use tidegate_engine::CallRecord;
use tidegate_wire::host::AbortBilling;

use crate::config::LogFormat;

/// The JSON form. Times are microseconds; `null` is unknown or none.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    target: &'static str,
    id: &'a str,
    model: &'a str,
    host: &'a str,
    served_model: Option<&'a str>,
    upstream_id: Option<&'a str>,
    streaming: bool,
    outcome: &'static str,
    status: u16,
    error: Option<&'a str>,
    prompt_tokens: u64,
    completion_tokens: u64,
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    usage: &'static str,
    delivered_bytes: u64,
    unacknowledged_bytes: u64,
    ttft_us: Option<u64>,
    duration_us: u64,
    hang_up_to_closed_us: Option<u64>,
    /// Whether this host bills on after a close.
    billing_after_close: &'static str,
}

/// Appends the line of `record` to `out`.
pub(super) fn write(record: &CallRecord, format: LogFormat, out: &mut Vec<u8>) {
    match format {
        LogFormat::Json => json(record, out),
        LogFormat::Text => out.extend_from_slice(text(record).as_bytes()),
    }
    out.push(b'\n');
}

fn json(record: &CallRecord, out: &mut Vec<u8>) {
    let line = Line {
        timestamp: humantime::format_rfc3339_micros(record.started).to_string(),
        level: "INFO",
        target: "tidegate::call",
        id: &record.id,
        model: &record.model,
        host: record.host,
        served_model: record.served_model.as_deref(),
        upstream_id: record.upstream_id.as_deref(),
        streaming: record.streaming,
        outcome: record.outcome.name(),
        status: record.status,
        error: record.error.as_ref().map(|error| error.message()),
        prompt_tokens: record.usage.prompt_tokens,
        completion_tokens: record.usage.completion_tokens,
        cached_tokens: record.usage.cached_tokens,
        reasoning_tokens: record.usage.reasoning_tokens,
        usage: record.provenance.name(),
        delivered_bytes: record.delivered_bytes,
        unacknowledged_bytes: record.unacknowledged_bytes,
        ttft_us: record.time_to_first_token.map(micros),
        duration_us: micros(record.duration),
        hang_up_to_closed_us: record.hang_up_to_closed.map(micros),
        billing_after_close: match record.abort_billing {
            AbortBilling::Stops => "stops",
            AbortBilling::RunsOn => "runs_on",
            AbortBilling::Unknown => "unknown",
        },
    };
    // A struct of strings and numbers always encodes, and a `Vec` takes every byte.
    let _ = serde_json::to_writer(out, &line);
}

fn text(record: &CallRecord) -> String {
    let mut line = format!(
        "{}  INFO call {} {} {} in {:.1?}, {}+{} tokens ({})",
        humantime::format_rfc3339_micros(record.started),
        record.model.escape_debug(),
        record.outcome.name(),
        record.status,
        record.duration,
        record.usage.prompt_tokens,
        record.usage.completion_tokens,
        record.provenance.name(),
    );
    // Writing into a string does not fail.
    if let Some(first) = record.time_to_first_token {
        let _ = write!(line, ", first token after {first:.1?}");
    }
    if let Some(closed) = record.hang_up_to_closed {
        let _ = write!(line, ", backend closed {closed:.1?} after the hang-up");
    }
    if let Some(error) = &record.error {
        let _ = write!(line, ": {}", error.message().escape_debug());
    }
    let _ = write!(line, " [{}]", record.id);
    line
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
