//! Anthropic's Messages, alone and in InvokeModel's envelope, and Bedrock's Converse.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Call, OVERLOADED, Said, halves};

pub(super) fn messages_blocks(said: &Said) -> Vec<Value> {
    let thinking = said
        .reasoning
        .map(|text| json!({ "type": "thinking", "thinking": text, "signature": said.signature }));
    let text = said.text.map(|text| json!({ "type": "text", "text": text }));
    let call = |call: &Call| {
        let input: Value = serde_json::from_str(call.arguments).unwrap();
        json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input })
    };
    thinking.into_iter().chain(text).chain(said.calls.iter().map(call)).collect()
}

pub(super) fn messages_usage(output: u64) -> Value {
    json!({ "input_tokens": 50, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 40, "output_tokens": output })
}

pub(super) fn messages_stop(said: &Said) -> &'static str {
    if said.calls.is_empty() { "end_turn" } else { "tool_use" }
}

pub(super) fn messages_error() -> Value {
    json!({ "type": "error", "error": { "type": "overloaded_error", "message": OVERLOADED } })
}

pub(super) fn messages_whole(said: &Said) -> Value {
    let mut usage = messages_usage(30);
    usage["output_tokens_details"] = json!({ "thinking_tokens": 10 });
    json!({ "id": "msg_backend", "type": "message", "role": "assistant", "model": "served",
        "content": messages_blocks(said), "stop_reason": messages_stop(said), "stop_sequence": null, "usage": usage })
}

pub(super) fn messages_events(said: &Said) -> Vec<Value> {
    let message = json!({ "id": "msg_backend", "type": "message", "role": "assistant", "model": "served",
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": messages_usage(1) });
    let mut events = vec![json!({ "type": "message_start", "message": message })];
    for (at, block) in messages_blocks(said).into_iter().enumerate() {
        let mut start = block.clone();
        let deltas: Vec<Value> = match block["type"].as_str().unwrap() {
            "thinking" => {
                start["thinking"] = "".into();
                start["signature"] = "".into();
                let pieces = halves(block["thinking"].as_str().unwrap());
                let thinking = pieces.map(|piece| json!({ "type": "thinking_delta", "thinking": piece }));
                let signature = json!({ "type": "signature_delta", "signature": block["signature"] });
                thinking.into_iter().chain([signature]).collect()
            }
            "text" => {
                start["text"] = "".into();
                let pieces = halves(block["text"].as_str().unwrap());
                pieces.map(|piece| json!({ "type": "text_delta", "text": piece })).into()
            }
            _ => {
                start["input"] = json!({});
                let input = block["input"].to_string();
                let pieces =
                    ["", &*input].map(|piece| json!({ "type": "input_json_delta", "partial_json": piece }));
                pieces.into()
            }
        };
        events.push(json!({ "type": "content_block_start", "index": at, "content_block": start }));
        if at == 0 {
            events.push(json!({ "type": "ping" }));
        }
        for delta in deltas {
            events.push(json!({ "type": "content_block_delta", "index": at, "delta": delta }));
        }
        if said.fails {
            events.push(messages_error());
            return events;
        }
        events.push(json!({ "type": "content_block_stop", "index": at }));
    }
    let mut usage = messages_usage(30);
    usage["output_tokens_details"] = json!({ "thinking_tokens": 10 });
    let delta = json!({ "stop_reason": messages_stop(said), "stop_sequence": null });
    events.push(json!({ "type": "message_delta", "delta": delta, "usage": usage }));
    events.push(json!({ "type": "message_stop" }));
    events
}

/// A message of an event stream.
pub(super) fn frame(kind: &'static str, name: &str, payload: &Value) -> Vec<u8> {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let named = if kind == "exception" { ":exception-type" } else { ":event-type" };
    let headers = vec![
        Header::new(named, text(name)),
        Header::new(":content-type", text("application/json")),
        Header::new(":message-type", text(kind)),
    ];
    let mut bytes = Vec::new();
    write_message_to(&Message::new_from_parts(headers, payload.to_string().into_bytes()), &mut bytes)
        .unwrap();
    bytes
}

pub(super) fn exception() -> Vec<u8> {
    frame("exception", "serviceUnavailableException", &json!({ "message": OVERLOADED }))
}

pub(super) fn invoke_stream(said: &Said) -> Vec<u8> {
    let mut body = Vec::new();
    for event in messages_events(said) {
        if event["type"] == "error" {
            body.extend(exception());
        } else {
            body.extend(frame("event", "chunk", &json!({ "bytes": STANDARD.encode(event.to_string()) })));
        }
    }
    body
}

pub(super) fn converse_usage() -> Value {
    json!({ "inputTokens": 50, "outputTokens": 30, "totalTokens": 130, "cacheReadInputTokens": 40,
        "cacheWriteInputTokens": 10 })
}

pub(super) fn converse_stream(said: &Said) -> Vec<u8> {
    let mut body = frame("event", "messageStart", &json!({ "role": "assistant" }));
    let mut at = 0;
    let mut block = |start: Option<Value>, deltas: Vec<Value>, ends: bool| {
        if let Some(start) = start {
            body.extend(frame(
                "event",
                "contentBlockStart",
                &json!({ "contentBlockIndex": at, "start": start }),
            ));
        }
        for delta in deltas {
            body.extend(frame(
                "event",
                "contentBlockDelta",
                &json!({ "contentBlockIndex": at, "delta": delta }),
            ));
        }
        if ends {
            body.extend(frame("event", "contentBlockStop", &json!({ "contentBlockIndex": at })));
        }
        at += 1;
    };
    if let Some(reasoning) = said.reasoning {
        let pieces = halves(reasoning).map(|piece| json!({ "reasoningContent": { "text": piece } }));
        let signature = json!({ "reasoningContent": { "signature": said.signature } });
        block(None, pieces.into_iter().chain([signature]).collect(), true);
    }
    if let Some(text) = said.text {
        block(None, halves(text).map(|piece| json!({ "text": piece })).into(), !said.fails);
    }
    for call in &said.calls {
        let start = json!({ "toolUse": { "toolUseId": call.id, "name": call.name } });
        let pieces = ["", call.arguments].map(|piece| json!({ "toolUse": { "input": piece } }));
        block(Some(start), pieces.into(), true);
    }
    if said.fails {
        body.extend(exception());
        return body;
    }
    body.extend(frame("event", "messageStop", &json!({ "stopReason": messages_stop(said) })));
    let metadata = json!({ "usage": converse_usage(), "metrics": { "latencyMs": 9 } });
    body.extend(frame("event", "metadata", &metadata));
    body
}

pub(super) fn converse_whole(said: &Said) -> Value {
    let reasoning = said.reasoning.map(|text| {
        json!({ "reasoningContent": { "reasoningText": { "text": text, "signature": said.signature } } })
    });
    let text = said.text.map(|text| json!({ "text": text }));
    let call = |call: &Call| {
        let input: Value = serde_json::from_str(call.arguments).unwrap();
        json!({ "toolUse": { "toolUseId": call.id, "name": call.name, "input": input } })
    };
    let content: Vec<Value> = reasoning.into_iter().chain(text).chain(said.calls.iter().map(call)).collect();
    json!({ "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": messages_stop(said), "usage": converse_usage(), "metrics": { "latencyMs": 9 } })
}
