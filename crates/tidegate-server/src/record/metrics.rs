//! Metrics, counted from the records of finished calls by the log's thread, so that no call pays for them; only what the log
//! has no room for is counted where it ends.

use std::fmt::Write as _;

use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tidegate_engine::CallRecord;

/// The gateway's metrics.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    calls: Family<CallLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    first_token: Family<HostLabels, Histogram>,
    duration: Family<HostLabels, Histogram>,
    hang_up: Family<HostLabels, Histogram>,
    dropped: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    host: &'static str,
    outcome: &'static str,
    streaming: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    host: &'static str,
    kind: &'static str,
    usage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HostLabels {
    host: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("tidegate");
        let calls = Family::default();
        registry.register(
            "calls",
            "Finished calls by outcome; an empty host: those that reached no backend",
            calls.clone(),
        );
        let tokens = Family::default();
        registry.register("tokens", "Tokens by kind and by how they are known", tokens.clone());
        let first_token = Family::new_with_constructor(duration_buckets as fn() -> Histogram);
        registry.register_with_unit(
            "time_to_first_token",
            "From the start of a call to the first item for its caller that came with generated content",
            Unit::Seconds,
            first_token.clone(),
        );
        let duration = Family::new_with_constructor(duration_buckets as fn() -> Histogram);
        registry.register_with_unit(
            "call_duration",
            "From the start of a call to its settlement",
            Unit::Seconds,
            duration.clone(),
        );
        let hang_up = Family::new_with_constructor(hang_up_buckets as fn() -> Histogram);
        registry.register_with_unit(
            "hang_up_to_backend_closed",
            "From when the gateway noticed a caller's hang-up until it had closed its backend: an HTTP/1.1 connection is \
             closed by then, an HTTP/2 stream is given up and its RST_STREAM written right after",
            Unit::Seconds,
            hang_up.clone(),
        );
        let dropped = Counter::default();
        registry.register(
            "calls_not_logged",
            "Finished calls that are counted but not in the call log, which did not keep up",
            dropped.clone(),
        );
        Self { registry: Mutex::new(registry), calls, tokens, first_token, duration, hang_up, dropped }
    }

    /// Counts a call that the log has no room for.
    pub(super) fn count_dropped(&self) {
        self.dropped.inc();
    }

    /// Calls that the log had no room for.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Counts one finished call.
    pub(crate) fn count(&self, record: &CallRecord) {
        let host = record.host;
        let streaming = if record.streaming { "true" } else { "false" };
        self.calls.get_or_create(&CallLabels { host, outcome: record.outcome.name(), streaming }).inc();
        let usage = record.provenance.name();
        for (kind, tokens) in
            [("prompt", record.usage.prompt_tokens), ("completion", record.usage.completion_tokens)]
        {
            if tokens > 0 {
                self.tokens.get_or_create(&TokenLabels { host, kind, usage }).inc_by(tokens);
            }
        }
        let labels = HostLabels { host };
        self.duration.get_or_create(&labels).observe(record.duration.as_secs_f64());
        if let Some(first) = record.time_to_first_token {
            self.first_token.get_or_create(&labels).observe(first.as_secs_f64());
        }
        if let Some(closed) = record.hang_up_to_closed {
            self.hang_up.get_or_create(&labels).observe(closed.as_secs_f64());
        }
    }

    /// All metrics in the OpenMetrics text format.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry.lock()).is_err() {
            // Writing into a string fails only if a value refuses to be formatted.
            text.clear();
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}

/// 1 ms to about 9 minutes.
fn duration_buckets() -> Histogram {
    Histogram::new(exponential_buckets(1e-3, 2.0, 20))
}

/// 1 µs to about half a second.
fn hang_up_buckets() -> Histogram {
    Histogram::new(exponential_buckets(1e-6, 2.0, 20))
}
