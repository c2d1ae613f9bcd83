//! Gemini, Cohere and Ollama.

use serde_json::{Value, json};

use super::{Call, OVERLOADED, Said, halves, name, openai::chat_calls, sse, with};

/// Calls have no ids; the signature is on the first of them, else on an empty text at the end.
pub(super) fn gemini_parts(said: &Said) -> Vec<Value> {
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

pub(super) fn gemini_chunk(parts: Vec<Value>, last: bool) -> Value {
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

pub(super) fn gemini_error() -> Value {
    json!({ "error": { "code": 503, "message": OVERLOADED, "status": "UNAVAILABLE" } })
}

pub(super) fn gemini_stream(said: &Said) -> Vec<u8> {
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

pub(super) fn cohere_finish(said: &Said) -> &'static str {
    if said.calls.is_empty() { "COMPLETE" } else { "TOOL_CALL" }
}

/// Billed is less than there was.
pub(super) fn cohere_usage() -> Value {
    json!({ "billed_units": { "input_tokens": 12, "output_tokens": 30 },
        "tokens": { "input_tokens": 100, "output_tokens": 30, "reasoning_tokens": 10 }, "cached_tokens": 40 })
}

pub(super) fn cohere_stream(said: &Said) -> Vec<u8> {
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

pub(super) fn cohere_whole(said: &Said) -> Value {
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

pub(super) fn ollama_line(message: Value, done: bool) -> Value {
    let mut line =
        json!({ "model": "served", "created_at": "2026-11-22T10:00:00Z", "message": message, "done": done });
    if done {
        let end =
            json!({ "done_reason": "stop", "total_duration": 9, "prompt_eval_count": 100, "eval_count": 30 });
        line = with(&end, line);
    }
    line
}

pub(super) fn ollama_calls(said: &Said) -> Vec<Value> {
    let call = |call: &Call| {
        let arguments: Value = serde_json::from_str(call.arguments).unwrap();
        json!({ "function": { "name": call.name, "arguments": arguments } })
    };
    said.calls.iter().map(call).collect()
}

pub(super) fn ollama_message(said: &Said) -> Value {
    let mut message = json!({ "role": "assistant", "content": said.text.unwrap_or_default() });
    if let Some(reasoning) = said.reasoning {
        message["thinking"] = reasoning.into();
    }
    if !said.calls.is_empty() {
        message["tool_calls"] = ollama_calls(said).into();
    }
    message
}

pub(super) fn ollama_stream(said: &Said) -> Vec<u8> {
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
