//! Gemini's generateContent and streamGenerateContent (`alt=sse`), of AI Studio and of Vertex AI: server-sent events with CRLF and
//! without `[DONE]`, or one document.
//!
//! Order of a stream as recorded: chunks of parts, each with the counts so far; the last has the finish reason and all counts, and
//! then the body ends.

use std::sync::Arc;

use bytes::Bytes;

use super::chat::{TOOL_ARGUMENTS, guid};
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
    Plan { head: head(200, "application/json; charset=UTF-8"), body, scenario }
}

/// countTokens.
pub(super) fn count(ask: &Ask, scenario: Scenario) -> Plan {
    let document = format!(
        "{{\n  \"totalTokens\": {0},\n  \"promptTokensDetails\": [{{\"modality\": \"TEXT\",\"tokenCount\": {0}}}]\n}}\n",
        ask.prompt
    );
    let body = Body::Whole { bytes: document.into(), thinking: scenario.first_token_delay, completion: 0 };
    Plan { head: head(200, "application/json; charset=UTF-8"), body, scenario }
}

pub(super) fn head(status: u16, media: &'static str) -> Head {
    Head::new(status, media)
        .with("date", date())
        .with("server", "scaffolding on HTTPServer2")
        .with("vary", "Origin, X-Origin, Referer")
        .with("x-content-type-options", "nosniff")
        .with("server-timing", "gfet4t7; dur=412")
}

/// Google's error object, pretty-printed as it comes.
pub(super) fn error(status: u16, name: &str, message: &str) -> String {
    format!(
        "{{\n  \"error\": {{\n    \"code\": {status},\n    \"message\": {},\n    \"status\": \"{name}\"\n  }}\n}}\n",
        quoted(message)
    )
}

/// The name of a status, in Google's vocabulary.
pub(super) fn status_name(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

fn stream(ask: &Ask, scenario: &Scenario) -> Stream {
    let tail = tail(ask);
    let mut segments = Vec::new();
    let thoughts = (0..scenario.reasoning).map(|index| thought(word(index), &tail));
    segments.push(Segment::Listed(thoughts.collect()));
    let template = SseTemplate {
        before_text: r#"data: {"candidates": [{"content": {"parts": [{"text": ""#.to_owned(),
        after_text: format!(r#""}}],"role": "model"}},"index": 0}}],{}{tail}"#, counts_so_far(ask)),
        after_padding: None,
        text: scenario.text,
    };
    segments.push(Segment::Content {
        frames: ContentFrames::Sse(Arc::new(template)),
        first: 0,
        count: scenario.tokens,
    });
    segments.push(Segment::Listed((0..scenario.tools).map(|tool| call(tool, ask, &tail)).collect()));
    let last = format!(
        r#"data: {{"candidates": [{{"content": {{"parts": [{{"text": ""}}],"role": "model"}},"finishReason": {},"index": 0}}],{}{tail}"#,
        quoted(finish_reason(scenario)),
        usage(ask, scenario)
    );
    segments.push(Segment::Fixed(vec![Bytes::from(last)]));
    Stream {
        segments,
        hidden: 0,
        failure: Bytes::from(
            error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.") + "\r\n",
        ),
        malformed: Bytes::from_static(b"data: {\"candidates\": [{\"content\": {\"par\r\n\r\n"),
    }
}

/// The end of every chunk, and its blank line.
fn tail(ask: &Ask) -> String {
    format!("\"modelVersion\": {},\"responseId\": \"{}\"}}\r\n\r\n", quoted(&ask.model), guid())
}

fn counts_so_far(ask: &Ask) -> String {
    format!(r#""usageMetadata": {{"promptTokenCount": {0},"totalTokenCount": {0}}},"#, ask.prompt)
}

fn thought(text: &str, tail: &str) -> Bytes {
    Bytes::from(format!(
        r#"data: {{"candidates": [{{"content": {{"parts": [{{"text": {},"thought": true}}],"role": "model"}},"index": 0}}],{tail}"#,
        quoted(text)
    ))
}

/// A call comes whole, and the first has the signature.
fn call(tool: u32, ask: &Ask, tail: &str) -> Bytes {
    Bytes::from(format!(
        r#"data: {{"candidates": [{{"content": {{"parts": [{}],"role": "model"}},"index": 0}}],{tail}"#,
        call_part(tool, ask)
    ))
}

fn call_part(tool: u32, ask: &Ask) -> String {
    let signature = if tool == 0 { format!(r#","thoughtSignature": "{SIGNATURE}""#) } else { String::new() };
    let (name, arguments) = (quoted(ask.tool.as_deref().unwrap_or("tide_table")), TOOL_ARGUMENTS.concat());
    format!(r#"{{"functionCall": {{"name": {name},"args": {arguments}}}{signature}}}"#)
}

fn document(ask: &Ask, scenario: &Scenario) -> String {
    let mut parts = Vec::new();
    if scenario.reasoning > 0 {
        parts.push(format!(r#"{{"text": {},"thought": true}}"#, quoted(&scenario.reasoning_text())));
    }
    if scenario.tokens > 0 {
        parts.push(format!(r#"{{"text": {}}}"#, quoted(&scenario.whole_text())));
    }
    parts.extend((0..scenario.tools).map(|tool| call_part(tool, ask)));
    format!(
        r#"{{"candidates": [{{"content": {{"parts": [{}],"role": "model"}},"finishReason": {},"index": 0}}],{}"modelVersion": {},"responseId": "{}"}}"#,
        parts.join(","),
        quoted(finish_reason(scenario)),
        usage(ask, scenario),
        quoted(&ask.model),
        guid()
    )
}

/// The prompt's count includes what came from the cache, that of the candidates no thoughts.
fn usage(ask: &Ask, scenario: &Scenario) -> String {
    let candidates = output_tokens(scenario) - u64::from(scenario.reasoning);
    let total = ask.prompt + output_tokens(scenario);
    let mut counts = format!(r#""promptTokenCount": {},"candidatesTokenCount": {candidates}"#, ask.prompt);
    if scenario.reasoning > 0 {
        counts.push_str(&format!(r#","thoughtsTokenCount": {}"#, scenario.reasoning));
    }
    if scenario.cached > 0 {
        counts.push_str(&format!(r#","cachedContentTokenCount": {}"#, scenario.cached));
    }
    format!(r#""usageMetadata": {{{counts},"totalTokenCount": {total}}},"#)
}

fn output_tokens(scenario: &Scenario) -> u64 {
    u64::from(scenario.tokens) + u64::from(scenario.reasoning) + u64::from(scenario.tools)
}

/// Also of an answer that calls tools.
fn finish_reason(scenario: &Scenario) -> &str {
    scenario.finish.as_deref().unwrap_or("STOP")
}

/// Stands for a model's signature over its thoughts: opaque, and to be echoed.
const SIGNATURE: &str = "c2lnbmF0dXJlIG9mIGEgc2ltdWxhdGVkIHRob3VnaHQ=";
