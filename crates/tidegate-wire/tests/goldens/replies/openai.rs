//! OpenAI's two APIs.

use serde_json::{Value, json};

use super::{Call, OVERLOADED, Said, halves, name, sse, with};

pub(super) fn chat_usage() -> Value {
    json!({ "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
        "prompt_tokens_details": { "cached_tokens": 40 }, "completion_tokens_details": { "reasoning_tokens": 10 } })
}

pub(super) fn chat_calls(said: &Said) -> Vec<Value> {
    let call = |call: &Call| {
        json!({ "id": call.id, "type": "function",
        "function": { "name": call.name, "arguments": call.arguments } })
    };
    said.calls.iter().map(call).collect()
}

pub(super) fn chat_finish(said: &Said) -> &'static str {
    if said.calls.is_empty() { "stop" } else { "tool_calls" }
}

pub(super) fn chat_chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({ "id": "chatcmpl-backend", "object": "chat.completion.chunk", "created": 5, "model": "served",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
}

/// As LiteLLM's proxy writes a thinking model's: its blocks beside the text of the reasoning.
pub(super) fn chat_stream(said: &Said) -> Vec<u8> {
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

pub(super) fn chat_whole(said: &Said) -> Value {
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

pub(super) fn response(status: &str, output: Vec<Value>, ended: bool) -> Value {
    let usage = json!({ "input_tokens": 100, "input_tokens_details": { "cached_tokens": 40 }, "output_tokens": 30,
        "output_tokens_details": { "reasoning_tokens": 10 }, "total_tokens": 130 });
    json!({ "id": "resp_backend", "object": "response", "created_at": 5, "status": status, "error": null,
        "incomplete_details": null, "model": "served", "output": output,
        "usage": if ended { usage } else { Value::Null } })
}

/// The items of a response.
pub(super) fn items(said: &Said) -> Vec<Value> {
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

pub(super) fn responses_stream(said: &Said) -> Vec<u8> {
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

pub(super) fn numbered(events: Vec<Value>) -> Vec<u8> {
    let number = |(at, event): (usize, Value)| with(&json!({ "sequence_number": at }), event);
    sse(events.into_iter().enumerate().map(number).map(|event| (name(&event), event)))
}
