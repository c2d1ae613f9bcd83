//! Reasoning that comes out of Claude goes back in unchanged, through an openai-chat caller, streamed or not.

use std::path::Path;

use serde_json::{Value, json};
use tidegate_wire::{dialect::openai_chat::Inbound, host::row};

use crate::{fixtures::reply, plan, replies::run};

fn sent(fixture: &str) -> String {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/anthropic-messages").join(fixture);
    let (body, streaming) = reply(&folder);
    String::from_utf8(run(plan(streaming).reply("id", 1), &[body.into()]).bytes()).unwrap()
}

/// The next request's blocks of the assistant's turn.
fn echoed(message: Value) -> Value {
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "?" }, message] });
    let inbound = Inbound::parse(body.to_string().into()).unwrap();
    let endpoint = row("anthropic").unwrap().endpoint(None, None, None).unwrap();
    let prepared = endpoint.prepare(&inbound, "claude-sonnet-5").unwrap();
    let request: Value = serde_json::from_slice(&prepared.outbound.body).unwrap();
    request["messages"][1]["content"].clone()
}

/// Each with the text that it signs: a signature over another text is refused.
#[test]
fn two_signed_blocks_of_a_stream_come_back_as_two() {
    let stream = sent("two_signed_thinking_blocks_stay_two");
    let chunks =
        stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let (mut content, mut reasoning, mut blocks) = (String::new(), String::new(), Vec::new());
    for chunk in chunks.map(|chunk| serde_json::from_str::<Value>(chunk).unwrap()) {
        let delta = &chunk["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        blocks.extend(delta["thinking_blocks"].as_array().cloned().unwrap_or_default());
    }
    let message = json!({ "role": "assistant", "content": content, "reasoning_content": reasoning, "thinking_blocks": blocks });
    assert_eq!(
        echoed(message),
        json!([
            { "type": "thinking", "thinking": "First.", "signature": "c2lnMQ==" },
            { "type": "thinking", "thinking": "Then.", "signature": "c2lnMg==" },
            { "type": "text", "text": "So far.Done." },
        ])
    );
}

#[test]
fn a_whole_reply_comes_back_with_its_thinking_and_calls() {
    let reply: Value = serde_json::from_str(&sent("whole_text_thinking_and_tools")).unwrap();
    assert_eq!(
        echoed(reply["choices"][0]["message"].clone()),
        json!([
            { "type": "thinking", "thinking": "Hm.", "signature": "c2ln" },
            { "type": "text", "text": "Looking." },
            { "type": "tool_use", "id": "toolu_a", "name": "add", "input": { "a": 1.50, "b": 2 } },
            { "type": "tool_use", "id": "toolu_b", "name": "now", "input": {} },
        ])
    );
}

/// What the hub doesn't model is the caller's to keep, and does no harm in the next turn.
#[test]
fn carried_blocks_can_be_sent_back() {
    let reply: Value = serde_json::from_str(&sent("whole_server_tools_are_carried")).unwrap();
    let message = reply["choices"][0]["message"].clone();
    assert_eq!(message["content_blocks"].as_array().map(Vec::len), Some(2));
    assert_eq!(echoed(message), json!([{ "type": "text", "text": "Found." }]));
}
