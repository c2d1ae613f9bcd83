//! Bedrock's Converse and ConverseStream: event-stream frames with the padding field `p`, or one document.
//!
//! Order of a stream as recorded: `messageStart`, blocks (a block start for tool use only), `messageStop`, `metadata`.

use std::sync::{Arc, OnceLock};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;

use super::chat::{TOOL_ARGUMENTS, guid};
use super::{Ask, date, quoted, thinking};
use crate::plan::{Body, ContentFrames, Head, Plan, Segment, Stream, padding};
use crate::scenario::{Scenario, WORDS, word};

pub(super) fn plan(ask: &Ask, scenario: Scenario) -> Plan {
    if ask.streaming {
        let body = Body::Stream(stream(ask, &scenario));
        return Plan { head: head(200, "application/vnd.amazon.eventstream"), body, scenario };
    }
    let body = Body::Whole {
        bytes: Bytes::from(document(ask, &scenario)),
        thinking: thinking(&scenario),
        completion: output_tokens(&scenario),
    };
    Plan { head: head(200, "application/json"), body, scenario }
}

pub(super) fn head(status: u16, media: &'static str) -> Head {
    Head::new(status, media).with("date", date()).with("x-amzn-requestid", guid())
}

pub(super) fn error_head(status: u16, exception: &str) -> Head {
    let kind = format!("{exception}:http://internal.amazon.com/coral/com.amazon.bedrock/");
    head(status, "application/json").with("x-amzn-errortype", kind)
}

fn stream(ask: &Ask, scenario: &Scenario) -> Stream {
    let mut block = 0;
    let mut segments = vec![Segment::Fixed(vec![event("messageStart", 2, r#""role":"assistant""#)])];
    if scenario.reasoning > 0 {
        segments.push(Segment::Listed(
            (0..scenario.reasoning).map(|index| reasoning_delta(block, index)).collect(),
        ));
        let signature = format!(
            r#""contentBlockIndex":{block},"delta":{{"reasoningContent":{{"signature":"{SIGNATURE}"}}}}"#
        );
        segments.push(Segment::Fixed(vec![event("contentBlockDelta", 7, &signature), block_stop(block)]));
        block += 1;
    }
    if scenario.tokens > 0 {
        let frames = ContentFrames::Cycle(text_deltas(block, scenario));
        segments.push(Segment::Content { frames, first: 0, count: scenario.tokens });
        segments.push(Segment::Fixed(vec![block_stop(block)]));
        block += 1;
    }
    for tool in 0..scenario.tools {
        segments.push(Segment::Listed(tool_frames(block + tool, tool, ask)));
        segments.push(Segment::Fixed(vec![block_stop(block + tool)]));
    }
    segments.push(Segment::Fixed(closing(ask, scenario)));
    Stream { segments, hidden: 0, failure: exception(scenario), malformed: broken_frame() }
}

fn closing(ask: &Ask, scenario: &Scenario) -> Vec<Bytes> {
    let stop = format!(r#""stopReason":{}"#, quoted(stop_reason(scenario)));
    let metadata = format!(r#""metrics":{{"latencyMs":412}},"usage":{}"#, usage(ask, scenario));
    vec![event("messageStop", 11, &stop), event("metadata", 12, &metadata)]
}

fn reasoning_delta(block: u32, index: u32) -> Bytes {
    let text = quoted(word(index));
    let fields = format!(r#""contentBlockIndex":{block},"delta":{{"reasoningContent":{{"text":{text}}}}}"#);
    event("contentBlockDelta", index, &fields)
}

/// The frames of the built-in text. Those of the usual block and size are made once per process.
fn text_deltas(block: u32, scenario: &Scenario) -> Arc<[Bytes]> {
    static USUAL: OnceLock<Arc<[Bytes]>> = OnceLock::new();
    let make = || -> Arc<[Bytes]> {
        (0..WORDS.len() as u32).map(|index| text_delta(block, index, &scenario.token_text(index))).collect()
    };
    if block == 0 && scenario.text == 0 {
        return Arc::clone(USUAL.get_or_init(make));
    }
    make()
}

fn text_delta(block: u32, index: u32, text: &str) -> Bytes {
    let fields = format!(r#""contentBlockIndex":{block},"delta":{{"text":{}}}"#, quoted(text));
    event("contentBlockDelta", index, &fields)
}

fn tool_frames(block: u32, tool: u32, ask: &Ask) -> Vec<Bytes> {
    let (id, name) = (tool_use_id(tool), quoted(tool_name(ask)));
    let start = format!(
        r#""contentBlockIndex":{block},"start":{{"toolUse":{{"name":{name},"toolUseId":"{id}","type":"tool_use"}}}}"#
    );
    let mut frames = vec![event("contentBlockStart", tool, &start)];
    for (index, piece) in (0..).zip(TOOL_ARGUMENTS) {
        let piece = quoted(piece);
        let fields = format!(r#""contentBlockIndex":{block},"delta":{{"toolUse":{{"input":{piece}}}}}"#);
        frames.push(event("contentBlockDelta", index, &fields));
    }
    frames
}

fn block_stop(block: u32) -> Bytes {
    event("contentBlockStop", block + 3, &format!(r#""contentBlockIndex":{block}"#))
}

pub(super) fn exception(scenario: &Scenario) -> Bytes {
    let kind = scenario.exception.as_deref().unwrap_or("modelStreamErrorException");
    let payload = match kind {
        "modelStreamErrorException" => {
            r#"{"message":"The model stream was interrupted.","originalStatusCode":500,"originalMessage":"internal"}"#
        }
        _ => {
            r#"{"message":"The system encountered an unexpected error during processing. Try your request again."}"#
        }
    };
    frame(":exception-type", kind, "exception", payload)
}

/// A frame whose last four bytes, its CRC, are wrong.
pub(super) fn broken_frame() -> Bytes {
    let mut bytes =
        event("contentBlockDelta", 4, r#""contentBlockIndex":0,"delta":{"text":"never read"}"#).to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 0xff;
    }
    Bytes::from(bytes)
}

/// One event. Bedrock sorts a payload's fields by name; `p` comes where the alphabet has it.
fn event(kind: &str, pad: u32, fields: &str) -> Bytes {
    let padding = padding(pad);
    let payload = match kind {
        "messageStart" | "messageStop" => format!(r#"{{"p":"{padding}",{fields}}}"#),
        "metadata" | "contentBlockStart" => {
            let before = if kind == "metadata" { r#","usage":"# } else { r#","start":"# };
            format!("{{{}}}", fields.replacen(before, &format!(r#","p":"{padding}"{before}"#), 1))
        }
        _ => format!(r#"{{{fields},"p":"{padding}"}}"#),
    };
    frame(":event-type", kind, "event", &payload)
}

pub(super) fn frame(
    type_header: &'static str,
    kind: &str,
    message_type: &'static str,
    payload: &str,
) -> Bytes {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let message = Message::new(Bytes::copy_from_slice(payload.as_bytes()))
        .add_header(Header::new(type_header, text(kind)))
        .add_header(Header::new(":content-type", text("application/json")))
        .add_header(Header::new(":message-type", text(message_type)));
    let mut bytes = Vec::with_capacity(payload.len() + 128);
    match write_message_to(&message, &mut bytes) {
        Ok(()) => Bytes::from(bytes),
        // Only a header or payload beyond the format's limits cannot be written; a scenario's exception name could be.
        Err(_) => Bytes::new(),
    }
}

fn document(ask: &Ask, scenario: &Scenario) -> String {
    let mut blocks = Vec::new();
    if scenario.reasoning > 0 {
        let text = quoted(&scenario.reasoning_text());
        blocks.push(format!(
            r#"{{"reasoningContent":{{"reasoningText":{{"signature":"{SIGNATURE}","text":{text}}}}}}}"#
        ));
    }
    if scenario.tokens > 0 {
        blocks.push(format!(r#"{{"text":{}}}"#, quoted(&scenario.whole_text())));
    }
    for tool in 0..scenario.tools {
        let (id, name, input) = (tool_use_id(tool), quoted(tool_name(ask)), TOOL_ARGUMENTS.concat());
        blocks.push(format!(
            r#"{{"toolUse":{{"input":{input},"name":{name},"toolUseId":"{id}","type":"tool_use"}}}}"#
        ));
    }
    format!(
        r#"{{"metrics":{{"latencyMs":412}},"output":{{"message":{{"content":[{}],"role":"assistant"}}}},"stopReason":{},"usage":{}}}"#,
        blocks.join(","),
        quoted(stop_reason(scenario)),
        usage(ask, scenario)
    )
}

/// Bedrock's `inputTokens` leave out what came from the cache.
fn usage(ask: &Ask, scenario: &Scenario) -> String {
    let output = output_tokens(scenario);
    let cached = u64::from(scenario.cached).min(ask.prompt);
    let input = ask.prompt - cached;
    let total = ask.prompt + output;
    let cache = match cached {
        0 => String::new(),
        read => format!(
            r#""cacheReadInputTokenCount":{read},"cacheReadInputTokens":{read},"cacheWriteInputTokenCount":0,"cacheWriteInputTokens":0,"#
        ),
    };
    format!(
        r#"{{{cache}"inputTokens":{input},"outputTokens":{output},"serverToolUsage":{{}},"totalTokens":{total}}}"#
    )
}

fn output_tokens(scenario: &Scenario) -> u64 {
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

fn tool_use_id(tool: u32) -> String {
    format!("tooluse_{tool:02}{}", guid().replace('-', "").get(..20).unwrap_or_default())
}

/// Stands for a model's signature over its reasoning: opaque, and to be echoed.
const SIGNATURE: &str = "RXhhbXBsZSBzaWduYXR1cmUgb2YgYSBzaW11bGF0ZWQgcmVhc29uaW5nIGJsb2Nr";
