//! Cohere's chat API, version 2: named server-sent events with `[DONE]` behind them, or one document.
//!
//! Order of a stream as recorded: `message-start`, parts of the content, tool calls, `message-end` with the finish reason and the
//! usage.

use std::sync::Arc;

use bytes::Bytes;

use super::chat::{TOOL_ARGUMENTS, guid, hexadecimal};
use super::{Ask, date, quoted, thinking};
use crate::plan::{Body, ContentFrames, Head, Plan, Segment, SseTemplate, Stream};
use crate::scenario::{Scenario, word};

pub(super) fn plan(ask: &Ask, scenario: Scenario) -> Plan {
    if ask.streaming {
        let body = Body::Stream(stream(ask, &scenario));
        return Plan { head: head(200, "text/event-stream"), body, scenario };
    }
    let body = Body::Whole {
        bytes: Bytes::from(document(ask, &scenario)),
        thinking: thinking(&scenario),
        completion: output_tokens(&scenario),
    };
    Plan { head: head(200, "application/json"), body, scenario }
}

pub(super) fn head(status: u16, media: &'static str) -> Head {
    Head::new(status, media).with("date", date()).with("x-envoy-upstream-service-time", "112")
}

/// Cohere's error object, which has no `error` in it.
pub(super) fn error(status: u16, message: &str) -> String {
    let kind = if status == 400 && message.starts_with("too many tokens") {
        r#""error_type":"TOO_MANY_TOKENS","#
    } else {
        ""
    };
    format!(r#"{{{kind}"id":"{}","message":{}}}"#, guid(), quoted(message))
}

fn stream(ask: &Ask, scenario: &Scenario) -> Stream {
    let start = format!(
        r#"event: message-start
data: {{"id":"{}","type":"message-start","delta":{{"message":{{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}}}}

"#,
        guid()
    );
    let mut segments = vec![Segment::Fixed(vec![Bytes::from(start)])];
    let mut part = 0;
    let mut open = |kind: &str| {
        let content = format!(r#"{{"type":"{kind}","{kind}":""}}"#);
        let start = event("content-start", part, &format!(r#""content":{content}"#));
        part += 1;
        (part - 1, Segment::Fixed(vec![start]))
    };
    if scenario.reasoning > 0 {
        let (index, start) = open("thinking");
        let deltas = (0..scenario.reasoning).map(|at| {
            event("content-delta", index, &format!(r#""content":{{"thinking":{}}}"#, quoted(word(at))))
        });
        segments.extend([
            start,
            Segment::Listed(deltas.collect()),
            Segment::Fixed(vec![end("content", index)]),
        ]);
    }
    if scenario.tokens > 0 {
        let (index, start) = open("text");
        let template = SseTemplate {
            before_text: format!(
                "event: content-delta\ndata: {{\"type\":\"content-delta\",\"index\":{index},\"delta\":{{\"message\":{{\"content\":{{\"text\":\""
            ),
            after_text: "\"}}}}\n\n".to_owned(),
            after_padding: None,
            text: scenario.text,
        };
        let frames = ContentFrames::Sse(Arc::new(template));
        segments.extend([
            start,
            Segment::Content { frames, first: 0, count: scenario.tokens },
            Segment::Fixed(vec![end("content", index)]),
        ]);
    }
    for tool in 0..scenario.tools {
        let call = format!(r#""tool_calls":{}"#, call(tool, ask, ""));
        let pieces = TOOL_ARGUMENTS.iter().map(|piece| {
            let piece = format!(r#""tool_calls":{{"function":{{"arguments":{}}}}}"#, quoted(piece));
            event("tool-call-delta", tool, &piece)
        });
        // The opening is a token of its own.
        let frames = std::iter::once(event("tool-call-start", tool, &call)).chain(pieces).collect();
        segments.extend([Segment::Listed(frames), Segment::Fixed(vec![end("tool-call", tool)])]);
    }
    let last = format!(
        "event: message-end\ndata: {{\"type\":\"message-end\",\"delta\":{{{}}}}}\n\n",
        ending(ask, scenario)
    );
    segments.push(Segment::Fixed(vec![Bytes::from(last), Bytes::from_static(b"data: [DONE]\n\n")]));
    Stream {
        segments,
        hidden: 0,
        failure: Bytes::from_static(FAILURE),
        malformed: Bytes::from_static(b"event: content-delta\ndata: {\"type\":\"content-delta\",\"ind\n\n"),
    }
}

fn event(kind: &str, index: u32, message: &str) -> Bytes {
    Bytes::from(format!(
        "event: {kind}\ndata: {{\"type\":\"{kind}\",\"index\":{index},\"delta\":{{\"message\":{{{message}}}}}}}\n\n"
    ))
}

fn end(what: &str, index: u32) -> Bytes {
    Bytes::from(format!("event: {what}-end\ndata: {{\"type\":\"{what}-end\",\"index\":{index}}}\n\n"))
}

fn call(tool: u32, ask: &Ask, arguments: &str) -> String {
    let name = ask.tool.as_deref().unwrap_or("tide_table");
    let id = format!("{name}_{tool}{}", hexadecimal().get(..12).unwrap_or_default());
    format!(
        r#"{{"id":{},"type":"function","function":{{"name":{},"arguments":{}}}}}"#,
        quoted(&id),
        quoted(name),
        quoted(arguments)
    )
}

fn document(ask: &Ask, scenario: &Scenario) -> String {
    let mut content = Vec::new();
    if scenario.reasoning > 0 {
        let text = quoted(&scenario.reasoning_text());
        content.push(format!(r#"{{"type":"thinking","thinking":{text}}}"#));
    }
    if scenario.tokens > 0 {
        content.push(format!(r#"{{"type":"text","text":{}}}"#, quoted(&scenario.whole_text())));
    }
    let calls: Vec<String> =
        (0..scenario.tools).map(|tool| call(tool, ask, &TOOL_ARGUMENTS.concat())).collect();
    let calls =
        if calls.is_empty() { String::new() } else { format!(r#","tool_calls":[{}]"#, calls.join(",")) };
    format!(
        r#"{{"id":"{}","message":{{"role":"assistant","content":[{}]{calls}}},{}}}"#,
        guid(),
        content.join(","),
        ending(ask, scenario)
    )
}

/// Finish reason and usage. What is billed leaves out the vendor's preamble, and so is less than what was read.
fn ending(ask: &Ask, scenario: &Scenario) -> String {
    let usual = if scenario.tools > 0 { "TOOL_CALL" } else { "COMPLETE" };
    let reason = quoted(scenario.finish.as_deref().unwrap_or(usual));
    let (prompt, output) = (ask.prompt, output_tokens(scenario));
    let reasoning = match scenario.reasoning {
        0 => String::new(),
        count => format!(r#","reasoning_tokens":{count}"#),
    };
    let (billed, cached) = (prompt.div_ceil(2), scenario.cached);
    format!(
        r#""finish_reason":{reason},"usage":{{"billed_units":{{"input_tokens":{billed},"output_tokens":{output}}},"tokens":{{"input_tokens":{prompt},"output_tokens":{output}{reasoning}}},"cached_tokens":{cached}}}"#
    )
}

fn output_tokens(scenario: &Scenario) -> u64 {
    let per_tool = TOOL_ARGUMENTS.len() as u64 + 1;
    u64::from(scenario.tokens) + u64::from(scenario.reasoning) + u64::from(scenario.tools) * per_tool
}

const FAILURE: &[u8] = b"event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"internal server error\"}}\n\n";
