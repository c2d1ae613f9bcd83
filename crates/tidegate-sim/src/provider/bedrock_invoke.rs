//! Bedrock's InvokeModel, InvokeModelWithResponseStream and CountTokens, of Claude: Anthropic's own document or events, these in base64
//! in event-stream frames.

use aws_smithy_types::base64;
use bytes::Bytes;
use memchr::memmem;

use super::{Ask, anthropic, bedrock, thinking};
use crate::plan::{Body, ContentFrames, Plan, Segment, Stream, padding};
use crate::scenario::{Scenario, WORDS};

pub(super) fn plan(ask: &Ask, scenario: Scenario) -> Plan {
    let output = anthropic::output_tokens(&scenario);
    if ask.streaming {
        let Stream { segments, hidden, .. } = anthropic::stream(ask, &scenario);
        let stream = Stream {
            segments: segments.into_iter().map(|segment| enveloped(segment, ask, output)).collect(),
            hidden,
            failure: bedrock::exception(&scenario),
            malformed: bedrock::broken_frame(),
        };
        let head = bedrock::head(200, "application/vnd.amazon.eventstream");
        return Plan { head, body: Body::Stream(stream), scenario };
    }
    let head = bedrock::head(200, "application/json")
        .with("x-amzn-bedrock-input-token-count", ask.prompt.to_string())
        .with("x-amzn-bedrock-output-token-count", output.to_string());
    let bytes = Bytes::from(anthropic::document(ask, &scenario));
    let body = Body::Whole { bytes, thinking: thinking(&scenario), completion: output };
    Plan { head, body, scenario }
}

/// The count of a request's tokens.
pub(super) fn count(ask: &Ask, scenario: Scenario) -> Plan {
    let bytes = Bytes::from(format!(r#"{{"inputTokens":{}}}"#, ask.prompt));
    let body = Body::Whole { bytes, thinking: std::time::Duration::ZERO, completion: 0 };
    Plan { head: bedrock::head(200, "application/json"), body, scenario }
}

/// The request inside one to count it.
pub(super) fn counted(body: &[u8]) -> Option<Bytes> {
    let request: serde_json::Value = serde_json::from_slice(body).ok()?;
    let inside = request.pointer("/input/invokeModel/body")?.as_str()?;
    base64::decode(inside).ok().map(Bytes::from)
}

fn enveloped(segment: Segment, ask: &Ask, output: u64) -> Segment {
    let all = |frames: Vec<Bytes>| frames.iter().filter_map(|event| frame(event, ask, output)).collect();
    match segment {
        Segment::Fixed(frames) => Segment::Fixed(all(frames)),
        Segment::Listed(frames) => Segment::Listed(all(frames)),
        Segment::Content { frames, first, count } => {
            let mut scratch = Vec::new();
            let words = (0..WORDS.len() as u32)
                .filter_map(|index| frame(frames.frame(index, &mut scratch), ask, output));
            Segment::Content { frames: ContentFrames::Cycle(words.collect()), first, count }
        }
    }
}

/// The frame of a server-sent event. Bedrock sends no pings, and has figures of its own on the last event.
fn frame(event: &[u8], ask: &Ask, output: u64) -> Option<Bytes> {
    let start = memmem::find(event, b"data: ")? + 6;
    let json = std::str::from_utf8(event.get(start..)?).ok()?.trim_end();
    let json = match json {
        r#"{"type": "ping"}"# => return None,
        r#"{"type":"message_stop"}"# => format!(
            r#"{{"type":"message_stop","amazon-bedrock-invocationMetrics":{{"inputTokenCount":{},"outputTokenCount":{output},"invocationLatency":1321,"firstByteLatency":439}}}}"#,
            ask.prompt
        ),
        other => other.to_owned(),
    };
    let payload = format!(r#"{{"bytes":"{}","p":"{}"}}"#, base64::encode(&json), padding(json.len() as u32));
    Some(bedrock::frame(":event-type", "chunk", "event", &payload))
}
