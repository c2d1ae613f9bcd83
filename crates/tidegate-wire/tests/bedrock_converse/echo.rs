//! A turn that a caller streamed, put together as the official clients do it, and gave back: what Bedrock gets then.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};
use tidegate_wire::{
    dialect::openai_chat::Inbound,
    host::{Endpoint, row},
};

use crate::stream::encode;

const MODEL: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

fn bedrock() -> Endpoint {
    row("bedrock").unwrap().endpoint(None, Some("eu-west-1"), None).unwrap()
}

fn request(messages: &Value) -> Inbound {
    let body = json!({ "model": MODEL, "stream": true, "messages": messages });
    Inbound::parse(body.to_string().into()).unwrap()
}

/// The message that a caller's client makes of a streamed reply.
fn streamed(frames: &[(&str, Value)]) -> Value {
    let frames: Vec<_> = frames
        .iter()
        .map(|(name, payload)| ("event".to_owned(), (*name).to_owned(), payload.to_string()))
        .collect();
    let prepared =
        bedrock().prepare(&request(&json!([{ "role": "user", "content": "2+2?" }])), MODEL).unwrap();
    let mut reply = prepared.plan.reply("id", 1);
    let mut items = VecDeque::new();
    reply.push(encode(&frames).into(), &mut items).unwrap();
    reply.finish(&mut items).unwrap();
    let text = String::from_utf8(items.make_contiguous().concat()).unwrap();
    let mut message = Map::new();
    for data in text.lines().filter_map(|line| line.strip_prefix("data: {")) {
        let chunk: Value = serde_json::from_str(&format!("{{{data}")).unwrap();
        if let Some(Value::Object(delta)) = chunk["choices"][0].get("delta") {
            accumulate(&mut message, delta);
        }
    }
    message.into()
}

/// The rules of OpenAI's clients: texts are joined, entries of lists meet by their `index`.
fn accumulate(message: &mut Map<String, Value>, delta: &Map<String, Value>) {
    for (name, value) in delta {
        match (message.get_mut(name), value) {
            (Some(Value::String(before)), Value::String(more)) => before.push_str(more),
            (Some(Value::Array(entries)), Value::Array(more)) => {
                for entry in more {
                    match entries.iter_mut().find(|known| known["index"] == entry["index"]) {
                        Some(known) => accumulate(known.as_object_mut().unwrap(), entry.as_object().unwrap()),
                        None => entries.push(entry.clone()),
                    }
                }
            }
            _ => drop(message.insert(name.clone(), value.clone())),
        }
    }
}

#[test]
fn signed_reasoning_that_was_streamed_goes_back_with_its_text() {
    let reasoning = |value: Value| json!({ "contentBlockIndex": 0, "delta": { "reasoningContent": value } });
    let turn = streamed(&[
        ("messageStart", json!({ "role": "assistant" })),
        ("contentBlockDelta", reasoning(json!({ "text": "Two and " }))),
        ("contentBlockDelta", reasoning(json!({ "text": "two." }))),
        ("contentBlockDelta", reasoning(json!({ "signature": "c2ln" }))),
        ("contentBlockDelta", json!({ "contentBlockIndex": 1, "delta": { "text": "4" } })),
        ("messageStop", json!({ "stopReason": "end_turn" })),
        ("metadata", json!({ "usage": { "inputTokens": 3, "outputTokens": 2 } })),
    ]);
    let messages = json!([
        { "role": "user", "content": "2+2?" },
        turn,
        { "role": "user", "content": "And 3+3?" },
    ]);
    let sent = bedrock().prepare(&request(&messages), MODEL).unwrap().outbound.body;
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!(
        sent["messages"][1]["content"],
        json!([
            { "reasoningContent": { "reasoningText": { "text": "Two and two.", "signature": "c2ln" } } },
            { "text": "4" },
        ])
    );
}
