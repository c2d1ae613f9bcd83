//! What the backends answer: the same small reply in each backend's dialect, streamed and whole. Written by hand, from WIRE facts.
//!
//! Every reply has the same usage, as far as its dialect can say it: 100 tokens of prompt, of which 40 were read from a cache and,
//! where that is told, 10 written to one; 30 tokens of answer, of which 10 are reasoning.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use serde_json::{Value, json};
use tidegate_wire::host::Dialect;

/// What a reply says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) reasoning: Option<&'static str>,
    /// Over the reasoning; only of dialects that sign it.
    pub(crate) signature: Option<&'static str>,
    pub(crate) text: Option<&'static str>,
    pub(crate) calls: Vec<Call>,
    /// The stream breaks off with the dialect's in-band error behind the text.
    pub(crate) fails: bool,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: &'static str,
    pub(crate) name: String,
    pub(crate) arguments: &'static str,
}

pub(crate) const OVERLOADED: &str = "The model is overloaded.";

/// What the dialect's backend puts into its place for a signature. `None`: it has no such place.
pub(crate) fn signature(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::OpenaiChat => Some("sig-chat+/=="),
        Dialect::OpenaiResponses => Some("gAAAAABresponses-_=="),
        Dialect::AnthropicMessages | Dialect::BedrockInvoke | Dialect::VertexMessages => {
            Some("EqQBmessages+/==")
        }
        Dialect::BedrockConverse => Some("EqQBconverse+/=="),
        Dialect::Gemini => Some("Z2VtaW5pLXNpZ25hdHVyZQ=="),
        Dialect::CohereChat | Dialect::Ollama => None,
    }
}

/// The reply's body.
pub(crate) fn body(dialect: Dialect, said: &Said, streaming: bool) -> Vec<u8> {
    match (dialect, streaming) {
        (Dialect::OpenaiChat, true) => chat_stream(said),
        (Dialect::OpenaiChat, false) => whole(chat_whole(said)),
        (Dialect::OpenaiResponses, true) => responses_stream(said),
        (Dialect::OpenaiResponses, false) => whole(response("completed", items(said), true)),
        (Dialect::AnthropicMessages | Dialect::VertexMessages, true) => {
            sse(messages_events(said).into_iter().map(|event| (name(&event), event)))
        }
        (Dialect::BedrockInvoke, true) => invoke_stream(said),
        (Dialect::AnthropicMessages | Dialect::BedrockInvoke | Dialect::VertexMessages, false) => {
            whole(messages_whole(said))
        }
        (Dialect::BedrockConverse, true) => converse_stream(said),
        (Dialect::BedrockConverse, false) => whole(converse_whole(said)),
        (Dialect::Gemini, true) => gemini_stream(said),
        (Dialect::Gemini, false) => whole(gemini_chunk(gemini_parts(said), true)),
        (Dialect::CohereChat, true) => cohere_stream(said),
        (Dialect::CohereChat, false) => whole(cohere_whole(said)),
        (Dialect::Ollama, true) => ollama_stream(said),
        (Dialect::Ollama, false) => whole(ollama_line(ollama_message(said), true)),
    }
}

/// A refusal with a status: too much is asked of the backend.
pub(crate) fn refusal(dialect: Dialect) -> (u16, HeaderMap, Vec<u8>) {
    let mut headers = HeaderMap::new();
    let (status, body) = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => (
            503,
            json!({ "error": { "message": OVERLOADED, "type": "server_error", "param": null, "code": null } }),
        ),
        Dialect::AnthropicMessages => (529, messages_error()),
        Dialect::BedrockConverse | Dialect::BedrockInvoke => {
            headers.insert("x-amzn-errortype", http::HeaderValue::from_static("ServiceUnavailableException"));
            (503, json!({ "message": OVERLOADED }))
        }
        Dialect::Gemini | Dialect::VertexMessages => (503, gemini_error()),
        Dialect::CohereChat => (503, json!({ "message": OVERLOADED })),
        Dialect::Ollama => (503, json!({ "error": OVERLOADED })),
    };
    (status, headers, whole(body))
}

fn whole(body: Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

/// Server-sent events; without a name, data alone.
fn sse(events: impl IntoIterator<Item = (Option<String>, Value)>) -> Vec<u8> {
    let event = |(name, data): (Option<String>, Value)| match name {
        Some(name) => format!("event: {name}\ndata: {data}\n\n"),
        None => format!("data: {data}\n\n"),
    };
    events.into_iter().map(event).collect::<String>().into_bytes()
}

/// The name that an event's data repeats.
fn name(event: &Value) -> Option<String> {
    event["type"].as_str().map(str::to_owned)
}

/// A text in two pieces.
fn halves(text: &str) -> [&str; 2] {
    let (first, second) = text.split_at(text.len() / 2);
    [first, second]
}

fn chat_usage() -> Value {
    json!({ "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
        "prompt_tokens_details": { "cached_tokens": 40 }, "completion_tokens_details": { "reasoning_tokens": 10 } })
}

fn chat_calls(said: &Said) -> Vec<Value> {
    let call = |call: &Call| {
        json!({ "id": call.id, "type": "function",
        "function": { "name": call.name, "arguments": call.arguments } })
    };
    said.calls.iter().map(call).collect()
}

fn chat_finish(said: &Said) -> &'static str {
    if said.calls.is_empty() { "stop" } else { "tool_calls" }
}

fn chat_chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({ "id": "chatcmpl-backend", "object": "chat.completion.chunk", "created": 5, "model": "served",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
}

/// As LiteLLM's proxy writes a thinking model's: its blocks beside the text of the reasoning.
fn chat_stream(said: &Said) -> Vec<u8> {
    let mut chunks = vec![chat_chunk(json!({ "role": "assistant", "content": "" }), None)];
    if let Some(reasoning) = said.reasoning {
        for piece in halves(reasoning) {
            let blocks = json!([{ "type": "thinking", "thinking": piece }]);
            chunks.push(chat_chunk(json!({ "reasoning_content": piece, "thinking_blocks": blocks }), None));
        }
    }
    if let Some(signature) = said.signature {
        let blocks = json!([{ "type": "thinking", "thinking": "", "signature": signature }]);
        chunks.push(chat_chunk(json!({ "reasoning_content": "", "thinking_blocks": blocks }), None));
    }
    for piece in said.text.iter().copied().flat_map(halves) {
        chunks.push(chat_chunk(json!({ "content": piece }), None));
    }
    if said.fails {
        chunks.push(json!({ "error": { "message": OVERLOADED, "type": "overloaded_error", "param": null, "code": "503" } }));
        return sse(chunks.into_iter().map(|chunk| (None, chunk)));
    }
    for (index, call) in said.calls.iter().enumerate() {
        let start = json!({ "index": index, "id": call.id, "type": "function",
            "function": { "name": call.name, "arguments": "" } });
        chunks.push(chat_chunk(json!({ "tool_calls": [start] }), None));
        for piece in halves(call.arguments) {
            let more = json!({ "index": index, "function": { "arguments": piece } });
            chunks.push(chat_chunk(json!({ "tool_calls": [more] }), None));
        }
    }
    chunks.push(chat_chunk(json!({}), Some(chat_finish(said))));
    let mut usage = chat_chunk(json!({}), None);
    usage["choices"] = json!([]);
    usage["usage"] = chat_usage();
    chunks.push(usage);
    let mut body = sse(chunks.into_iter().map(|chunk| (None, chunk)));
    body.extend_from_slice(b"data: [DONE]\n\n");
    body
}

fn chat_whole(said: &Said) -> Value {
    let mut message = json!({ "role": "assistant", "content": said.text });
    if let Some(reasoning) = said.reasoning {
        message["reasoning_content"] = reasoning.into();
        message["thinking_blocks"] =
            json!([{ "type": "thinking", "thinking": reasoning, "signature": said.signature }]);
    }
    if !said.calls.is_empty() {
        message["tool_calls"] = chat_calls(said).into();
    }
    json!({ "id": "chatcmpl-backend", "object": "chat.completion", "created": 5, "model": "served",
        "choices": [{ "index": 0, "message": message, "finish_reason": chat_finish(said) }], "usage": chat_usage() })
}

fn response(status: &str, output: Vec<Value>, ended: bool) -> Value {
    let usage = json!({ "input_tokens": 100, "input_tokens_details": { "cached_tokens": 40 }, "output_tokens": 30,
        "output_tokens_details": { "reasoning_tokens": 10 }, "total_tokens": 130 });
    json!({ "id": "resp_backend", "object": "response", "created_at": 5, "status": status, "error": null,
        "incomplete_details": null, "model": "served", "output": output,
        "usage": if ended { usage } else { Value::Null } })
}

/// The items of a response.
fn items(said: &Said) -> Vec<Value> {
    let reasoning = said.reasoning.map(|text| {
        json!({ "id": "rs_backend", "type": "reasoning", "summary": [{ "type": "summary_text", "text": text }],
            "encrypted_content": said.signature })
    });
    let text = said.text.map(|text| {
        let part = json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
        json!({ "id": "msg_backend", "type": "message", "role": "assistant", "status": "completed", "content": [part] })
    });
    let call = |call: &Call| {
        json!({ "id": format!("fc_{}", call.id), "type": "function_call", "status": "completed",
            "call_id": call.id, "name": call.name, "arguments": call.arguments })
    };
    reasoning.into_iter().chain(text).chain(said.calls.iter().map(call)).collect()
}

fn responses_stream(said: &Said) -> Vec<u8> {
    let mut events = vec![
        json!({ "type": "response.created", "response": response("in_progress", vec![], false) }),
        json!({ "type": "response.in_progress", "response": response("in_progress", vec![], false) }),
    ];
    let items = items(said);
    for (at, item) in items.iter().enumerate() {
        let id = &item["id"];
        let mut added = item.clone();
        match item["type"].as_str().unwrap() {
            "reasoning" => {
                added["summary"] = json!([]);
                let (part, text) = (&item["summary"][0], item["summary"][0]["text"].as_str().unwrap());
                let about = json!({ "item_id": id, "output_index": at, "summary_index": 0 });
                events
                    .push(json!({ "type": "response.output_item.added", "output_index": at, "item": added }));
                events.push(with(
                    &about,
                    json!({ "type": "response.reasoning_summary_part.added",
                    "part": { "type": "summary_text", "text": "" } }),
                ));
                events.extend(halves(text).map(|piece| {
                    with(&about, json!({ "type": "response.reasoning_summary_text.delta", "delta": piece }))
                }));
                events.push(with(
                    &about,
                    json!({ "type": "response.reasoning_summary_text.done", "text": text }),
                ));
                events.push(with(
                    &about,
                    json!({ "type": "response.reasoning_summary_part.done", "part": part }),
                ));
            }
            "message" => {
                added["content"] = json!([]);
                added["status"] = "in_progress".into();
                let (part, text) = (&item["content"][0], item["content"][0]["text"].as_str().unwrap());
                let about = json!({ "item_id": id, "output_index": at, "content_index": 0 });
                events
                    .push(json!({ "type": "response.output_item.added", "output_index": at, "item": added }));
                events.push(with(
                    &about,
                    json!({ "type": "response.content_part.added",
                    "part": { "type": "output_text", "text": "", "annotations": [], "logprobs": [] } }),
                ));
                events.extend(halves(text).map(|piece| {
                    with(
                        &about,
                        json!({ "type": "response.output_text.delta", "delta": piece, "logprobs": [] }),
                    )
                }));
                if said.fails {
                    let error = json!({ "type": "server_error", "code": "server_error", "message": OVERLOADED,
                        "param": null });
                    events.push(json!({ "type": "error", "error": error }));
                    let mut failed = response("failed", vec![], false);
                    failed["error"] = json!({ "code": "server_error", "message": OVERLOADED });
                    events.push(json!({ "type": "response.failed", "response": failed }));
                    return numbered(events);
                }
                events.push(with(
                    &about,
                    json!({ "type": "response.output_text.done", "text": text, "logprobs": [] }),
                ));
                events.push(with(&about, json!({ "type": "response.content_part.done", "part": part })));
            }
            _ => {
                added["arguments"] = "".into();
                added["status"] = "in_progress".into();
                let arguments = item["arguments"].as_str().unwrap();
                let about = json!({ "item_id": id, "output_index": at });
                events
                    .push(json!({ "type": "response.output_item.added", "output_index": at, "item": added }));
                events.extend(halves(arguments).map(|piece| {
                    with(&about, json!({ "type": "response.function_call_arguments.delta", "delta": piece }))
                }));
                events.push(with(
                    &about,
                    json!({ "type": "response.function_call_arguments.done",
                    "arguments": arguments }),
                ));
            }
        }
        events.push(json!({ "type": "response.output_item.done", "output_index": at, "item": item }));
    }
    events.push(json!({ "type": "response.completed", "response": response("completed", items, true) }));
    numbered(events)
}

fn with(about: &Value, mut event: Value) -> Value {
    for (name, value) in about.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn numbered(events: Vec<Value>) -> Vec<u8> {
    let number = |(at, event): (usize, Value)| with(&json!({ "sequence_number": at }), event);
    sse(events.into_iter().enumerate().map(number).map(|event| (name(&event), event)))
}

fn messages_blocks(said: &Said) -> Vec<Value> {
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

fn messages_usage(output: u64) -> Value {
    json!({ "input_tokens": 50, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 40, "output_tokens": output })
}

fn messages_stop(said: &Said) -> &'static str {
    if said.calls.is_empty() { "end_turn" } else { "tool_use" }
}

fn messages_error() -> Value {
    json!({ "type": "error", "error": { "type": "overloaded_error", "message": OVERLOADED } })
}

fn messages_whole(said: &Said) -> Value {
    let mut usage = messages_usage(30);
    usage["output_tokens_details"] = json!({ "thinking_tokens": 10 });
    json!({ "id": "msg_backend", "type": "message", "role": "assistant", "model": "served",
        "content": messages_blocks(said), "stop_reason": messages_stop(said), "stop_sequence": null, "usage": usage })
}

fn messages_events(said: &Said) -> Vec<Value> {
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
fn frame(kind: &'static str, name: &str, payload: &Value) -> Vec<u8> {
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

fn exception() -> Vec<u8> {
    frame("exception", "serviceUnavailableException", &json!({ "message": OVERLOADED }))
}

fn invoke_stream(said: &Said) -> Vec<u8> {
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

fn converse_usage() -> Value {
    json!({ "inputTokens": 50, "outputTokens": 30, "totalTokens": 130, "cacheReadInputTokens": 40,
        "cacheWriteInputTokens": 10 })
}

fn converse_stream(said: &Said) -> Vec<u8> {
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

fn converse_whole(said: &Said) -> Value {
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

/// Calls have no ids; the signature is on the first of them, else on an empty text at the end.
fn gemini_parts(said: &Said) -> Vec<Value> {
    let mut parts: Vec<Value> = Vec::new();
    parts.extend(said.reasoning.map(|text| json!({ "text": text, "thought": true })));
    parts.extend(said.text.map(|text| json!({ "text": text })));
    for (at, call) in said.calls.iter().enumerate() {
        let args: Value = serde_json::from_str(call.arguments).unwrap();
        let mut part = json!({ "functionCall": { "name": call.name, "args": args } });
        if let Some(signature) = said.signature.filter(|_| at == 0) {
            part["thoughtSignature"] = signature.into();
        }
        parts.push(part);
    }
    if let Some(signature) = said.signature.filter(|_| said.calls.is_empty()) {
        parts.push(json!({ "text": "", "thoughtSignature": signature }));
    }
    parts
}

fn gemini_chunk(parts: Vec<Value>, last: bool) -> Value {
    let mut chunk = json!({ "candidates": [{ "content": { "role": "model", "parts": parts }, "index": 0 }],
        "usageMetadata": { "promptTokenCount": 100, "cachedContentTokenCount": 40, "totalTokenCount": 100 },
        "modelVersion": "served", "responseId": "gemini-backend" });
    if last {
        chunk["candidates"][0]["finishReason"] = "STOP".into();
        chunk["usageMetadata"] = json!({ "promptTokenCount": 100, "cachedContentTokenCount": 40,
            "candidatesTokenCount": 20, "thoughtsTokenCount": 10, "totalTokenCount": 130 });
    }
    chunk
}

fn gemini_error() -> Value {
    json!({ "error": { "code": 503, "message": OVERLOADED, "status": "UNAVAILABLE" } })
}

fn gemini_stream(said: &Said) -> Vec<u8> {
    let parts = gemini_parts(said);
    let last = parts.len() - 1;
    let chunk = |(at, part)| (None, gemini_chunk(vec![part], at == last && !said.fails));
    let mut body = sse(parts.into_iter().enumerate().map(chunk));
    if said.fails {
        body.extend(serde_json::to_vec_pretty(&gemini_error()).unwrap());
        body.extend_from_slice(b"\n\n");
    }
    body
}

fn cohere_finish(said: &Said) -> &'static str {
    if said.calls.is_empty() { "COMPLETE" } else { "TOOL_CALL" }
}

/// Billed is less than there was.
fn cohere_usage() -> Value {
    json!({ "billed_units": { "input_tokens": 12, "output_tokens": 30 },
        "tokens": { "input_tokens": 100, "output_tokens": 30, "reasoning_tokens": 10 }, "cached_tokens": 40 })
}

fn cohere_stream(said: &Said) -> Vec<u8> {
    let start =
        json!({ "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": [] });
    let mut events =
        vec![json!({ "id": "cohere-backend", "type": "message-start", "delta": { "message": start } })];
    let reasoning = said.reasoning.map(|text| ("thinking", text));
    let contents = reasoning.into_iter().chain(said.text.map(|text| ("text", text)));
    for (at, (kind, text)) in contents.enumerate() {
        let event = |name: &str, content: Value| json!({ "type": name, "index": at, "delta": { "message": { "content": content } } });
        events.push(event("content-start", json!({ "type": kind, kind: "" })));
        events.extend(halves(text).map(|piece| event("content-delta", json!({ kind: piece }))));
        if !said.fails {
            events.push(json!({ "type": "content-end", "index": at }));
        }
    }
    for (at, call) in said.calls.iter().enumerate() {
        let event = |name: &str, call: Value| json!({ "type": name, "index": at, "delta": { "message": { "tool_calls": call } } });
        let function = json!({ "name": call.name, "arguments": "" });
        let start = json!({ "id": call.id, "type": "function", "function": function });
        events.push(event("tool-call-start", start));
        let delta = |piece| event("tool-call-delta", json!({ "function": { "arguments": piece } }));
        events.extend(halves(call.arguments).map(delta));
        events.push(json!({ "type": "tool-call-end", "index": at }));
    }
    let delta = if said.fails {
        json!({ "finish_reason": "ERROR", "error": OVERLOADED, "usage": cohere_usage() })
    } else {
        json!({ "finish_reason": cohere_finish(said), "usage": cohere_usage() })
    };
    events.push(json!({ "type": "message-end", "delta": delta }));
    sse(events.into_iter().map(|event| (name(&event), event)))
}

fn cohere_whole(said: &Said) -> Value {
    let thinking = said.reasoning.map(|text| json!({ "type": "thinking", "thinking": text }));
    let text = said.text.map(|text| json!({ "type": "text", "text": text }));
    let content: Vec<Value> = thinking.into_iter().chain(text).collect();
    let mut message = json!({ "role": "assistant", "content": content });
    if !said.calls.is_empty() {
        message["tool_calls"] = chat_calls(said).into();
    }
    json!({ "id": "cohere-backend", "finish_reason": cohere_finish(said), "message": message,
        "usage": cohere_usage() })
}

fn ollama_line(message: Value, done: bool) -> Value {
    let mut line =
        json!({ "model": "served", "created_at": "2026-11-22T10:00:00Z", "message": message, "done": done });
    if done {
        let end =
            json!({ "done_reason": "stop", "total_duration": 9, "prompt_eval_count": 100, "eval_count": 30 });
        line = with(&end, line);
    }
    line
}

fn ollama_calls(said: &Said) -> Vec<Value> {
    let call = |call: &Call| {
        let arguments: Value = serde_json::from_str(call.arguments).unwrap();
        json!({ "function": { "name": call.name, "arguments": arguments } })
    };
    said.calls.iter().map(call).collect()
}

fn ollama_message(said: &Said) -> Value {
    let mut message = json!({ "role": "assistant", "content": said.text.unwrap_or_default() });
    if let Some(reasoning) = said.reasoning {
        message["thinking"] = reasoning.into();
    }
    if !said.calls.is_empty() {
        message["tool_calls"] = ollama_calls(said).into();
    }
    message
}

fn ollama_stream(said: &Said) -> Vec<u8> {
    let mut lines: Vec<Value> = Vec::new();
    for piece in said.reasoning.iter().copied().flat_map(halves) {
        let message = json!({ "role": "assistant", "content": "", "thinking": piece });
        lines.push(ollama_line(message, false));
    }
    for piece in said.text.iter().copied().flat_map(halves) {
        lines.push(ollama_line(json!({ "role": "assistant", "content": piece }), false));
    }
    if !said.calls.is_empty() {
        let message = json!({ "role": "assistant", "content": "", "tool_calls": ollama_calls(said) });
        lines.push(ollama_line(message, false));
    }
    lines.push(if said.fails {
        json!({ "error": OVERLOADED })
    } else {
        ollama_line(json!({ "role": "assistant", "content": "" }), true)
    });
    lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes()
}
