//! Ollama's own chat API: a JSON object for each line, or one for all.
//!
//! Order of a stream as recorded: lines with a piece of the message, then one with `done`, the counts and the durations. Calls come
//! whole and without ids.

use std::sync::Arc;

use bytes::Bytes;

use super::chat::TOOL_ARGUMENTS;
use super::{Ask, date, quoted, thinking, unix_nanos};
use crate::plan::{Body, ContentFrames, Head, Plan, Segment, SseTemplate, Stream};
use crate::scenario::{Scenario, word};

pub(super) fn plan(ask: &Ask, scenario: Scenario) -> Plan {
    let start = head_of_line(ask);
    if ask.streaming {
        let body = Body::Stream(stream(ask, &scenario, &start));
        return Plan { head: head(200, "application/x-ndjson"), body, scenario };
    }
    let message = message(ask, &scenario);
    let body = Body::Whole {
        bytes: Bytes::from(format!("{start}{message},{}}}", ending(ask, &scenario))),
        thinking: thinking(&scenario),
        completion: output_tokens(&scenario),
    };
    Plan { head: head(200, "application/json; charset=utf-8"), body, scenario }
}

pub(super) fn head(status: u16, media: &'static str) -> Head {
    Head::new(status, media).with("date", date())
}

/// Ollama's error object, in its answers and inside a stream alike.
pub(super) fn error(message: &str) -> String {
    format!(r#"{{"error":{}}}"#, quoted(message))
}

fn stream(ask: &Ask, scenario: &Scenario, start: &str) -> Stream {
    let line = |message: &str| Bytes::from(format!("{start}{message},\"done\":false}}\n"));
    let thought =
        |at| line(&format!(r#"{{"role":"assistant","content":"","thinking":{}}}"#, quoted(word(at))));
    let call = |_| line(&format!(r#"{{"role":"assistant","content":"","tool_calls":[{}]}}"#, call(ask)));
    let template = SseTemplate {
        before_text: format!(r#"{start}{{"role":"assistant","content":""#),
        after_text: "\"},\"done\":false}\n".to_owned(),
        after_padding: None,
        text: scenario.text,
    };
    let segments = vec![
        Segment::Listed((0..scenario.reasoning).map(thought).collect()),
        Segment::Content { frames: ContentFrames::Sse(Arc::new(template)), first: 0, count: scenario.tokens },
        Segment::Listed((0..scenario.tools).map(call).collect()),
        Segment::Fixed(vec![Bytes::from(format!(
            "{start}{{\"role\":\"assistant\",\"content\":\"\"}},{}}}\n",
            ending(ask, scenario)
        ))]),
    ];
    Stream {
        segments,
        hidden: 0,
        failure: Bytes::from(
            error("model runner has unexpectedly stopped, this may be due to resource limitations") + "\n",
        ),
        malformed: Bytes::from_static(b"{\"model\":\"m\",\"created_at\":\n"),
    }
}

/// A line up to its message.
fn head_of_line(ask: &Ask) -> String {
    let nanos = unix_nanos();
    let time = format!(
        "2026-11-22T{:02}:{:02}:{:02}.{:09}Z",
        nanos / 3_600_000_000_000 % 24,
        nanos / 60_000_000_000 % 60,
        nanos / 1_000_000_000 % 60,
        nanos % 1_000_000_000
    );
    format!(r#"{{"model":{},"created_at":"{time}","message":"#, quoted(&ask.model))
}

fn message(ask: &Ask, scenario: &Scenario) -> String {
    let thinking = match scenario.reasoning {
        0 => String::new(),
        _ => format!(r#","thinking":{}"#, quoted(&scenario.reasoning_text())),
    };
    let calls: Vec<String> = (0..scenario.tools).map(|_| call(ask)).collect();
    let calls =
        if calls.is_empty() { String::new() } else { format!(r#","tool_calls":[{}]"#, calls.join(",")) };
    let text = if scenario.tokens > 0 { scenario.whole_text() } else { String::new() };
    format!(r#"{{"role":"assistant","content":{}{thinking}{calls}}}"#, quoted(&text))
}

fn call(ask: &Ask) -> String {
    let (name, arguments) = (quoted(ask.tool.as_deref().unwrap_or("tide_table")), TOOL_ARGUMENTS.concat());
    format!(r#"{{"function":{{"name":{name},"arguments":{arguments}}}}}"#)
}

/// Also of an answer that calls tools the reason is `stop`.
fn ending(ask: &Ask, scenario: &Scenario) -> String {
    let reason = quoted(scenario.finish.as_deref().unwrap_or("stop"));
    let (prompt, output) = (ask.prompt, output_tokens(scenario));
    format!(
        r#""done_reason":{reason},"done":true,"total_duration":1078043917,"load_duration":109557375,"prompt_eval_count":{prompt},"prompt_eval_duration":153401750,"eval_count":{output},"eval_duration":814595750"#
    )
}

fn output_tokens(scenario: &Scenario) -> u64 {
    u64::from(scenario.tokens) + u64::from(scenario.reasoning) + u64::from(scenario.tools)
}
