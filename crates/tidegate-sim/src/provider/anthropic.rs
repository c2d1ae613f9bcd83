//! Anthropic's Messages API: named server-sent events, or one document; and the count of a request's tokens.
//!
//! Order of a stream as recorded: `message_start`, blocks (a `ping` behind the first one's start), `message_delta` with the stop
//! reason and the usage, `message_stop`.

use std::sync::Arc;

use bytes::Bytes;

use super::chat::{TOOL_ARGUMENTS, hexadecimal};
use super::{Ask, date, quoted, thinking};
use crate::plan::{Body, ContentFrames, Head, Plan, Segment, SseTemplate, Stream};
use crate::scenario::{Scenario, word};

pub(super) fn plan(ask: &Ask, scenario: Scenario) -> Plan {
    if ask.streaming {
        let body = Body::Stream(stream(ask, &scenario));
        return Plan { head: head(200, "text/event-stream; charset=utf-8"), body, scenario };
    }
    let body = Body::Whole {
        bytes: Bytes::from(document(ask, &scenario)),
        thinking: thinking(&scenario),
        completion: output_tokens(&scenario),
    };
    Plan { head: head(200, "application/json"), body, scenario }
}

/// The count of a request's tokens.
pub(super) fn count(ask: &Ask, scenario: Scenario) -> Plan {
    let bytes = Bytes::from(format!(r#"{{"input_tokens":{}}}"#, ask.prompt));
    let body = Body::Whole { bytes, thinking: std::time::Duration::ZERO, completion: 0 };
    Plan { head: head(200, "application/json"), body, scenario }
}

pub(super) fn head(status: u16, media: &'static str) -> Head {
    Head::new(status, media)
        .with("date", date())
        .with("request-id", request_id())
        .with("anthropic-ratelimit-requests-limit", "4000")
        .with("anthropic-ratelimit-requests-remaining", "3999")
        .with("anthropic-ratelimit-requests-reset", "2026-11-22T10:11:12Z")
        .with("anthropic-ratelimit-tokens-limit", "2400000")
        .with("anthropic-ratelimit-tokens-remaining", "2400000")
        .with("anthropic-ratelimit-tokens-reset", "2026-11-22T10:11:12Z")
}

/// Anthropic's error object for a status.
pub(super) fn error(status: u16, message: &str) -> String {
    let kind = match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    format!(
        r#"{{"type":"error","error":{{"type":"{kind}","message":{}}},"request_id":"{}"}}"#,
        quoted(message),
        request_id()
    )
}

pub(super) fn stream(ask: &Ask, scenario: &Scenario) -> Stream {
    let mut segments = vec![Segment::Fixed(vec![message_start(ask, scenario)])];
    let mut block = 0;
    let mut open = |start: &str| {
        let mut frames =
            vec![event("content_block_start", &format!(r#""index":{block},"content_block":{start}"#))];
        if block == 0 {
            frames.push(Bytes::from_static(PING));
        }
        block += 1;
        (block - 1, Segment::Fixed(frames))
    };
    if scenario.reasoning > 0 {
        let (index, start) = open(r#"{"type":"thinking","thinking":"","signature":""}"#);
        let deltas =
            (0..scenario.reasoning).map(|at| delta(index, "thinking_delta", "thinking", word(at))).collect();
        let signature = delta(index, "signature_delta", "signature", SIGNATURE);
        segments.extend([start, Segment::Listed(deltas), Segment::Fixed(vec![signature, block_stop(index)])]);
    }
    if scenario.tokens > 0 {
        let (index, start) = open(r#"{"type":"text","text":""}"#);
        let frames = ContentFrames::Sse(Arc::new(template(index, scenario.text)));
        segments.extend([
            start,
            Segment::Content { frames, first: 0, count: scenario.tokens },
            Segment::Fixed(vec![block_stop(index)]),
        ]);
    }
    for tool in 0..scenario.tools {
        let name = quoted(tool_name(ask));
        let (index, start) = open(&format!(
            r#"{{"type":"tool_use","id":"{}","name":{name},"input":{{}}}}"#,
            tool_use_id(tool)
        ));
        // As recorded, the first piece is empty; it counts for the call's opening.
        let pieces = std::iter::once("").chain(TOOL_ARGUMENTS);
        let deltas = pieces.map(|piece| delta(index, "input_json_delta", "partial_json", piece)).collect();
        segments.extend([start, Segment::Listed(deltas), Segment::Fixed(vec![block_stop(index)])]);
    }
    segments.push(Segment::Fixed(closing(ask, scenario)));
    Stream {
        segments,
        hidden: 0,
        failure: Bytes::from_static(FAILURE),
        malformed: Bytes::from_static(MALFORMED),
    }
}

fn message_start(ask: &Ask, scenario: &Scenario) -> Bytes {
    let (model, id) = (quoted(&ask.model), message_id());
    // What the answer takes is not known yet, and said all the same.
    let usage = usage(ask, scenario, 1);
    event(
        "message_start",
        &format!(
            r#""message":{{"model":{model},"id":"{id}","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{usage}}}"#
        ),
    )
}

fn closing(ask: &Ask, scenario: &Scenario) -> Vec<Bytes> {
    let stop = quoted(stop_reason(scenario));
    let (cached, input) = split_prompt(ask, scenario);
    let output = output_tokens(scenario);
    let delta = format!(
        r#""delta":{{"stop_reason":{stop},"stop_sequence":null}},"usage":{{"input_tokens":{input},"cache_creation_input_tokens":0,"cache_read_input_tokens":{cached},"output_tokens":{output}}}"#
    );
    vec![
        event("message_delta", &delta),
        Bytes::from_static(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
    ]
}

fn template(index: u32, text: usize) -> SseTemplate {
    SseTemplate {
        before_text: format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"text_delta\",\"text\":\""
        ),
        after_text: "\"}}\n\n".to_owned(),
        after_padding: None,
        text,
    }
}

fn delta(index: u32, kind: &str, field: &str, text: &str) -> Bytes {
    let text = quoted(text);
    event("content_block_delta", &format!(r#""index":{index},"delta":{{"type":"{kind}","{field}":{text}}}"#))
}

fn block_stop(index: u32) -> Bytes {
    event("content_block_stop", &format!(r#""index":{index}"#))
}

fn event(kind: &str, fields: &str) -> Bytes {
    Bytes::from(format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{fields}}}\n\n"))
}

pub(super) fn document(ask: &Ask, scenario: &Scenario) -> String {
    let mut blocks = Vec::new();
    if scenario.reasoning > 0 {
        let text = quoted(&scenario.reasoning_text());
        blocks.push(format!(r#"{{"type":"thinking","thinking":{text},"signature":"{SIGNATURE}"}}"#));
    }
    if scenario.tokens > 0 {
        blocks.push(format!(r#"{{"type":"text","text":{}}}"#, quoted(&scenario.whole_text())));
    }
    for tool in 0..scenario.tools {
        let (id, name, input) = (tool_use_id(tool), quoted(tool_name(ask)), TOOL_ARGUMENTS.concat());
        blocks.push(format!(r#"{{"type":"tool_use","id":"{id}","name":{name},"input":{input}}}"#));
    }
    format!(
        r#"{{"model":{},"id":"{}","type":"message","role":"assistant","content":[{}],"stop_reason":{},"stop_sequence":null,"usage":{}}}"#,
        quoted(&ask.model),
        message_id(),
        blocks.join(","),
        quoted(stop_reason(scenario)),
        usage(ask, scenario, output_tokens(scenario))
    )
}

/// Anthropic's `input_tokens` leave out what came from the cache.
fn usage(ask: &Ask, scenario: &Scenario, output: u64) -> String {
    let (cached, input) = split_prompt(ask, scenario);
    format!(
        r#"{{"input_tokens":{input},"cache_creation_input_tokens":0,"cache_read_input_tokens":{cached},"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}},"output_tokens":{output},"service_tier":"standard"}}"#
    )
}

fn split_prompt(ask: &Ask, scenario: &Scenario) -> (u64, u64) {
    let cached = u64::from(scenario.cached).min(ask.prompt);
    (cached, ask.prompt - cached)
}

pub(super) fn output_tokens(scenario: &Scenario) -> u64 {
    let per_tool = TOOL_ARGUMENTS.len() as u64 + 1;
    u64::from(scenario.tokens) + u64::from(scenario.reasoning) + u64::from(scenario.tools) * per_tool
}

fn stop_reason(scenario: &Scenario) -> &str {
    let usual = if scenario.tools > 0 { "tool_use" } else { "end_turn" };
    scenario.finish.as_deref().unwrap_or(usual)
}

fn tool_name(ask: &Ask) -> &str {
    ask.tool.as_deref().unwrap_or("tide_table")
}

fn message_id() -> String {
    format!("msg_01{}", hexadecimal().get(..22).unwrap_or_default())
}

fn request_id() -> String {
    format!("req_01{}", hexadecimal().get(..22).unwrap_or_default())
}

fn tool_use_id(tool: u32) -> String {
    format!("toolu_{tool:02}{}", hexadecimal().get(..22).unwrap_or_default())
}

const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";
const FAILURE: &[u8] = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"Internal server error\"}}\n\n";
const MALFORMED: &[u8] = b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"ind\n\n";
/// Stands for a model's signature over its reasoning: opaque, and to be echoed.
const SIGNATURE: &str = "RXhhbXBsZSBzaWduYXR1cmUgb2YgYSBzaW11bGF0ZWQgcmVhc29uaW5nIGJsb2Nr";
