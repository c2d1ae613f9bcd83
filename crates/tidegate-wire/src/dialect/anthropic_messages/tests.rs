//! The client side: requests in, replies out.

use serde_json::{Value, json};

use super::*;
use crate::{
    ErrorClass, WireError,
    client::{ClientDialect, Inbound, Operation, Outside},
    dialect::Encoder,
    dialect::openai_chat,
    host::row,
    hub::{Event, FinishReason, ReplyStart, ToolKind, Usage},
};

/// What becomes of a Messages request at an openai-chat backend.
fn as_chat(request: Value) -> Value {
    let hub = decode_request(request.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&openai_chat::encode_request(&hub)).unwrap()
}

/// What becomes of it if it is written again as a Messages request.
fn as_messages(request: Value) -> Value {
    let hub = decode_request(request.to_string().as_bytes()).unwrap();
    let body = encode_request(&hub, &EncodeOptions { model: &hub.model }).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn refused(request: Value) -> String {
    decode_request(request.to_string().as_bytes()).unwrap_err().param().unwrap().to_owned()
}

#[test]
fn a_conversation_with_tools_reaches_an_openai_backend() {
    let request = json!({
        "model": "m", "max_tokens": 50, "stream": true,
        "system": [{ "type": "text", "text": "Be brief." }],
        "tools": [{ "name": "add", "description": "Adds.", "input_schema": { "type": "object" }, "strict": true, "eager_input_streaming": true }],
        "tool_choice": { "type": "tool", "name": "add", "disable_parallel_tool_use": true },
        "stop_sequences": ["END"], "temperature": 0.5, "metadata": { "user_id": "u" },
        "messages": [
            { "role": "user", "content": "Add." },
            { "role": "assistant", "content": [
                { "type": "text", "text": "Yes." },
                { "type": "tool_use", "id": "a", "name": "add", "input": { "x": 1 }, "caller": { "type": "direct" } },
                { "type": "tool_use", "id": "b", "name": "add", "input": {} },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "a", "content": "2" },
                { "type": "tool_result", "tool_use_id": "b", "content": [{ "type": "text", "text": "3" }], "is_error": false },
                { "type": "text", "text": "Well?" },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "iVBO" } },
            ] },
        ],
    });
    let call = |id: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": "add", "arguments": arguments } });
    assert_eq!(
        as_chat(request),
        json!({
            "model": "m", "max_tokens": 50, "stream": true, "stream_options": { "include_usage": true },
            "tools": [{ "type": "function", "function": { "name": "add", "description": "Adds.", "parameters": { "type": "object" }, "strict": true } }],
            "tool_choice": { "type": "function", "function": { "name": "add" } }, "parallel_tool_calls": false,
            "stop": ["END"], "temperature": 0.5, "user": "u",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "Add." },
                { "role": "assistant", "content": "Yes.", "tool_calls": [call("a", "{\"x\":1}"), call("b", "{}")] },
                { "role": "tool", "tool_call_id": "a", "content": "2" },
                { "role": "tool", "tool_call_id": "b", "content": "3" },
                { "role": "user", "content": [
                    { "type": "text", "text": "Well?" },
                    { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBO" } },
                ] },
            ],
        })
    );
}

#[test]
fn what_the_hub_models_is_written_again_as_it_was() {
    let request = json!({
        "model": "claude-sonnet-4-5", "max_tokens": 9000,
        "system": [{ "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } }],
        "tools": [
            { "name": "add", "input_schema": { "type": "object" }, "cache_control": { "type": "ephemeral", "ttl": "1h" } },
            { "type": "web_search_20250305", "name": "web_search", "max_uses": 1 },
        ],
        "thinking": { "type": "enabled", "budget_tokens": 4096 },
        "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } } },
        "messages": [
            { "role": "user", "content": [
                { "type": "document", "source": { "type": "base64", "media_type": "application/pdf", "data": "JVBE" }, "title": "a.pdf" },
                { "type": "document", "source": { "type": "text", "media_type": "text/plain", "data": "x" }, "citations": { "enabled": true } },
                { "type": "image", "source": { "type": "url", "url": "https://example.com/a.png" }, "cache_control": { "type": "ephemeral" } },
            ] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "Hm.", "signature": "c2ln" },
                { "type": "redacted_thinking", "data": "ZW5j" },
                { "type": "server_tool_use", "id": "s", "name": "web_search", "input": { "query": "x" } },
                { "type": "web_search_tool_result", "tool_use_id": "s", "content": [] },
                { "type": "tool_use", "id": "a", "name": "add", "input": { "x": 1 } },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "a", "is_error": true, "content": [
                    { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "iVBO" } },
                ] },
            ] },
        ],
    });
    assert_eq!(as_messages(request.clone()), request);
}

/// OpenAI's tools answer in text only, and its API refuses what is not its own.
#[test]
fn openai_itself_gets_what_it_takes() {
    let image = |data: &str| json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": data } });
    let ephemeral = json!({ "type": "ephemeral" });
    let call = |id: &str| json!({ "type": "tool_use", "id": id, "name": "look", "input": {} });
    let request = json!({
        "model": "m", "max_tokens": 5, "system": [{ "type": "text", "text": "Be brief.", "cache_control": ephemeral }],
        "tools": [{ "name": "look", "input_schema": { "type": "object" }, "cache_control": ephemeral }],
        "messages": [
            { "role": "user", "content": "Look." },
            { "role": "assistant", "content": [{ "type": "thinking", "thinking": "Hm.", "signature": "s" }, call("a"), call("b")] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "a", "content": [{ "type": "text", "text": "Here." }, image("iVBO")] },
                { "type": "tool_result", "tool_use_id": "b", "content": "Nothing.", "cache_control": ephemeral },
                { "type": "text", "text": "Well?" },
            ] },
        ],
    });
    let inbound =
        Inbound::read(Outside::of(ClientDialect::AnthropicMessages), request.to_string().into()).unwrap();
    let sent = |model: &str| -> Value {
        let endpoint = row("openai").unwrap().endpoint(None, None, None).unwrap();
        serde_json::from_slice(&endpoint.prepare(&inbound, model).unwrap().outbound.body).unwrap()
    };
    let chat = sent("gpt-4o");
    assert!(!chat.to_string().contains("cache_control") && !chat.to_string().contains("thinking"), "{chat}");
    let shown: Vec<_> = chat["messages"].as_array().unwrap()[3..].to_vec();
    assert_eq!(
        shown,
        [
            json!({ "role": "tool", "tool_call_id": "a", "content": [
                { "type": "text", "text": "Here." },
                { "type": "text", "text": "(The tool's files follow in the next message.)" },
            ] }),
            json!({ "role": "tool", "tool_call_id": "b", "content": "Nothing." }),
            json!({ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBO" } }] }),
            json!({ "role": "user", "content": "Well?" }),
        ]
    );
    assert_eq!((chat.get("max_tokens"), chat.get("max_completion_tokens")), (Some(&json!(5)), None));
    assert_eq!(
        sent("gpt-5.1").get("max_completion_tokens"),
        Some(&json!(5)),
        "its reasoning models know the new name only"
    );
}

/// The caller's own bytes but for the model's name, and the header fields that are a part of its request.
#[test]
fn a_request_is_relayed_to_anthropic() {
    let body = r#"{ "max_tokens": 5, "model":"claude/x", "brand_new": [1.50], "messages": [{"role":"user","content":"x"}] }"#;
    let prepared = |version: &str, operation| {
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", version.parse().unwrap());
        headers.insert("anthropic-beta", "files-api-2025-04-14".parse().unwrap());
        let endpoint = row("anthropic").unwrap().endpoint(None, None, None).unwrap();
        let outside = Outside { operation, headers, ..Outside::of(ClientDialect::AnthropicMessages) };
        let inbound = Inbound::read(outside, body.into()).unwrap();
        endpoint.prepare(&inbound, "claude-x").unwrap().outbound
    };
    let outbound = prepared("2026-10-21", Operation::Generate);
    assert_eq!(outbound.body, body.replace("claude/x", "claude-x"));
    assert_eq!(outbound.uri, "https://api.anthropic.com/v1/messages");
    assert_eq!(outbound.headers["anthropic-version"], "2026-10-21");
    assert_eq!(outbound.headers["anthropic-beta"], "files-api-2025-04-14");
    let counting = prepared("2031-01-01", Operation::CountTokens);
    assert_eq!(counting.uri, "https://api.anthropic.com/v1/messages/count_tokens");
    assert_eq!(
        counting.headers["anthropic-version"], "2023-06-01",
        "one that nobody here knows is not passed on"
    );
}

#[test]
fn thinking_becomes_an_effort_and_hints_are_left_out() {
    let effort = |fields: Value| {
        let mut request =
            json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "x" }] });
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        as_chat(request).get("reasoning_effort").cloned().unwrap_or_default()
    };
    assert_eq!(effort(json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } })), "low");
    assert_eq!(effort(json!({ "thinking": { "type": "enabled", "budget_tokens": 31_999 } })), "high");
    assert_eq!(
        effort(json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": "max" } })),
        "max"
    );
    assert_eq!(effort(json!({ "thinking": { "type": "disabled" } })), Value::Null);
    let hints = json!({ "context_management": { "edits": [] }, "speed": "fast", "container": "c" });
    let mut request =
        json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "x" }] });
    request.as_object_mut().unwrap().extend(hints.as_object().unwrap().clone());
    let chat = as_chat(request);
    assert_eq!(
        (chat.get("context_management"), chat.get("speed"), &chat["container"]),
        (None, None, &json!("c"))
    );
}

#[test]
fn errors_name_the_path() {
    let user = |content: Value| json!({ "model": "m", "messages": [{ "role": "user", "content": content }] });
    assert_eq!(refused(json!({ "model": "m" })), "messages");
    assert_eq!(refused(json!({ "messages": [] })), "model");
    assert_eq!(refused(user(json!(7))), "messages[0].content");
    assert_eq!(refused(user(json!([{ "type": "text" }]))), "messages[0].content[0].text");
    assert_eq!(refused(user(json!([{ "type": "image" }]))), "messages[0].content[0].source");
    assert_eq!(refused(user(json!([{ "type": "tool_result" }]))), "messages[0].content[0].tool_use_id");
    assert_eq!(refused(json!({ "model": "m", "messages": [], "tools": [{}] })), "tools[0].name");
    assert_eq!(
        refused(json!({ "model": "m", "messages": [], "tool_choice": { "type": "all" } })),
        "tool_choice.type"
    );
    assert_eq!(
        refused(json!({ "model": "m", "messages": [{ "role": "tool", "content": "x" }] })),
        "messages[0].role"
    );
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.to_owned() }
}

fn reply() -> Vec<Event> {
    let call = |index, id: &str| Event::ToolCallStart {
        choice: 0,
        index,
        id: id.to_owned(),
        name: "add".to_owned(),
        kind: ToolKind::Function,
    };
    let arguments =
        |index, fragment: &str| Event::ToolCallArguments { choice: 0, index, fragment: fragment.to_owned() };
    vec![
        Event::Start(ReplyStart { model: Some("served".to_owned()), ..ReplyStart::default() }),
        Event::Reasoning { choice: 0, text: "Fir".to_owned() },
        Event::Reasoning { choice: 0, text: "st.".to_owned() },
        Event::ReasoningSignature { choice: 0, signature: "c2lnMQ==".to_owned() },
        Event::Reasoning { choice: 0, text: "Then.".to_owned() },
        Event::ReasoningSignature { choice: 0, signature: "c2lnMg==".to_owned() },
        text("Loo"),
        text(""),
        text("king."),
        call(0, "a"),
        arguments(0, "{\"x\":"),
        arguments(0, "1}"),
        call(1, "b"),
        Event::Finish { choice: 0, reason: FinishReason::ToolCalls },
        Event::Usage(Usage {
            prompt_tokens: 20,
            completion_tokens: 9,
            total_tokens: 29,
            cached_tokens: Some(5),
            reasoning_tokens: Some(4),
            ..Usage::default()
        }),
        Event::End,
    ]
}

fn encoded(mut encoder: impl Encoder, events: &[Event]) -> String {
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn a_stream_is_written_in_blocks_that_begin_and_end() {
    let stream = encoded(stream_encoder("msg_1", "m"), &reply());
    let lines: Vec<&str> = stream.lines().filter(|line| !line.is_empty()).collect();
    let mut shown = Vec::new();
    for pair in lines.chunks(2) {
        let data: Value = serde_json::from_str(pair[1].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(pair[0].strip_prefix("event: "), data["type"].as_str());
        shown.push(match data["type"].as_str().unwrap() {
            "content_block_start" => {
                format!("{} {}", data["index"], data["content_block"]["type"].as_str().unwrap())
            }
            "content_block_stop" => format!("{} stop", data["index"]),
            "content_block_delta" => {
                let delta = data["delta"].as_object().unwrap();
                format!("{} {}", data["index"], delta.values().nth(1).unwrap().as_str().unwrap())
            }
            other => other.to_owned(),
        });
    }
    assert_eq!(
        shown,
        [
            "message_start",
            "0 thinking",
            "0 Fir",
            "0 st.",
            "0 c2lnMQ==",
            "0 stop",
            "1 thinking",
            "1 Then.",
            "1 c2lnMg==",
            "1 stop",
            "2 text",
            "2 Loo",
            "2 king.",
            "2 stop",
            "3 tool_use",
            "3 {\"x\":",
            "3 1}",
            "3 stop",
            "4 tool_use",
            "4 stop",
            "message_delta",
            "message_stop",
        ]
    );
    assert!(
        lines[1].contains(r#""id":"msg_1","type":"message","role":"assistant","model":"served""#),
        "{}",
        lines[1]
    );
    let delta: Value = serde_json::from_str(lines[lines.len() - 3].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(delta["delta"], json!({ "stop_reason": "tool_use", "stop_sequence": null }));
    assert_eq!(
        delta["usage"],
        json!({ "input_tokens": 15, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5, "output_tokens": 9,
            "output_tokens_details": { "thinking_tokens": 4 } })
    );
}

#[test]
fn a_whole_reply_says_the_same() {
    let message: Value = serde_json::from_str(&encoded(whole_encoder("msg_1", "m"), &reply())).unwrap();
    assert_eq!(
        message["content"],
        json!([
            { "type": "thinking", "thinking": "First.", "signature": "c2lnMQ==" },
            { "type": "thinking", "thinking": "Then.", "signature": "c2lnMg==" },
            { "type": "text", "text": "Looking." },
            { "type": "tool_use", "id": "a", "name": "add", "input": { "x": 1 } },
            { "type": "tool_use", "id": "b", "name": "add", "input": {} },
        ])
    );
    assert_eq!(
        (&message["stop_reason"], &message["usage"]["input_tokens"]),
        (&json!("tool_use"), &json!(15))
    );
}

#[test]
fn stop_reasons_have_anthropics_names() {
    let stop = |events: &[Event]| {
        let events = [events, &[Event::End]].concat();
        let message: Value = serde_json::from_str(&encoded(whole_encoder("i", "m"), &events)).unwrap();
        (message["stop_reason"].as_str().unwrap().to_owned(), message["stop_sequence"].clone())
    };
    let finish = |reason| Event::Finish { choice: 0, reason };
    let told = |value: &str| Event::ChoiceExtra { choice: 0, name: "stop_reason", value: value.into() };
    let named = |name: &str| (name.to_owned(), Value::Null);
    assert_eq!(stop(&[finish(FinishReason::Stop)]), named("end_turn"));
    assert_eq!(stop(&[told("END"), finish(FinishReason::Stop)]), ("stop_sequence".to_owned(), json!("END")));
    assert_eq!(stop(&[finish(FinishReason::Length)]), named("max_tokens"));
    assert_eq!(stop(&[finish(FinishReason::ContentFilter)]), named("refusal"));
    let refusal = Event::Refusal { choice: 0, text: "No.".to_owned() };
    assert_eq!(stop(&[refusal, finish(FinishReason::Stop)]), named("refusal"));
    // vLLM ends a call that was forced with `stop`.
    let forced = [reply()[9].clone(), finish(FinishReason::Stop)];
    assert_eq!(stop(&forced), named("tool_use"));
}

#[test]
fn an_error_is_an_event_in_a_stream_and_nothing_in_a_whole_reply() {
    let events = [text("Hi"), Event::Error(WireError::new(ErrorClass::Overloaded, "Full"))];
    let stream = encoded(stream_encoder("i", "m"), &events);
    let wanted = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Full\"}}\n\n";
    assert!(stream.ends_with(wanted), "{stream}");
    assert_eq!(encoded(whole_encoder("i", "m"), &events), "");
}
