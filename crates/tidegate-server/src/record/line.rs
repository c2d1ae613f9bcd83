//! One finished call as one log line: JSON for machines, a short sentence for people.
//!
//! Written directly rather than through `tracing`'s fields and visitors, for it is the one line that every call pays for.

use std::{
    fmt::Write as _,
    io::Write as _,
    time::{Duration, SystemTime},
};

use tidegate_engine::CallRecord;
use tidegate_wire::host::AbortBilling;

use tidegate_config::LogFormat;

/// Appends the line of `record` to `out`.
pub(super) fn write(record: &CallRecord, format: LogFormat, out: &mut Vec<u8>) {
    match format {
        LogFormat::Json => json(record, out),
        LogFormat::Text => out.extend_from_slice(text(record).as_bytes()),
    }
    out.push(b'\n');
}

/// Appends a line about the log itself.
pub(super) fn note(message: &str, at: SystemTime, format: LogFormat, out: &mut Vec<u8>) {
    let at = humantime::format_rfc3339_micros(at);
    // Writing into a `Vec` does not fail.
    let _ = match format {
        LogFormat::Json => {
            let _ = write!(out, "{{\"timestamp\":\"{at}\",\"level\":\"WARN\",\"target\":\"tidegate::call\"");
            Line(out).text("message", Some(message));
            writeln!(out, "}}")
        }
        LogFormat::Text => writeln!(out, "{at}  WARN {message}"),
    };
}

/// The JSON form. Times are microseconds; `null` is unknown or none.
fn json(record: &CallRecord, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    // Writing into a `Vec` does not fail, here and below.
    let _ = write!(out, "{}", humantime::format_rfc3339_micros(record.started));
    out.extend_from_slice(b"\",\"level\":\"INFO\",\"target\":\"tidegate::call\"");
    let mut line = Line(out);
    line.text("id", Some(&record.id));
    line.text("model", Some(&record.model));
    line.name("host", record.host);
    line.text("served_model", record.served_model.as_deref());
    line.text("upstream_id", record.upstream_id.as_deref());
    line.name("operation", record.operation);
    line.word("streaming", if record.streaming { "true" } else { "false" });
    line.name("outcome", record.outcome.name());
    line.number("status", Some(record.status.into()));
    line.text("error", record.error.as_ref().map(|error| error.message()));
    line.number("prompt_tokens", Some(record.usage.prompt_tokens));
    line.number("completion_tokens", Some(record.usage.completion_tokens));
    line.number("cached_tokens", record.usage.cached_tokens);
    line.number("reasoning_tokens", record.usage.reasoning_tokens);
    line.name("usage", record.provenance.name());
    line.number("delivered_bytes", Some(record.delivered_bytes));
    line.number("unacknowledged_bytes", Some(record.unacknowledged_bytes));
    line.number("ttft_us", record.time_to_first_token.map(micros));
    line.number("duration_us", Some(micros(record.duration)));
    line.number("hang_up_to_closed_us", record.hang_up_to_closed.map(micros));
    // Whether this host bills on after a close.
    line.name(
        "billing_after_close",
        match record.abort_billing {
            AbortBilling::Stops => "stops",
            AbortBilling::RunsOn => "runs_on",
            AbortBilling::Unknown => "unknown",
        },
    );
    out.push(b'}');
}

/// Appends the fields of a JSON object that has one already. The keys are ours and need no escapes.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    fn key(&mut self, key: &'static str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// A text that came from outside.
    fn text(&mut self, key: &'static str, text: Option<&str>) {
        self.key(key);
        let _ = serde_json::to_writer(&mut *self.0, &text);
    }

    fn number(&mut self, key: &'static str, number: Option<u64>) {
        self.key(key);
        let _ = serde_json::to_writer(&mut *self.0, &number);
    }

    /// A text of our own, without quotes or escapes in it.
    fn name(&mut self, key: &'static str, name: &'static str) {
        self.key(key);
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
    }

    /// `true` or `false`.
    fn word(&mut self, key: &'static str, word: &'static str) {
        self.key(key);
        self.0.extend_from_slice(word.as_bytes());
    }
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
