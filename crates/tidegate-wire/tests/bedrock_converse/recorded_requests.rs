//! Recorded Converse requests: read into hub values by a small reader that only this test has, encoded, and compared as
//! JSON with what was sent.

use serde_json::{Map, Value, json};
use tidegate_wire::{
    dialect::bedrock_converse::{EncodeOptions, encode_request},
    hub::{
        CachePoint, ChatRequest, Document, Extras, Image, Message, Part, Reasoning, Role, Source, Tool,
        ToolCall, ToolChoice, ToolKind, ToolResult,
    },
};

use crate::corpus::vectors;

#[test]
fn every_recorded_request_survives_the_way_through_the_hub() {
    let mut checked = 0;
    for vector in vectors() {
        let Some(body) = &vector.request else { continue };
        let recorded: Value = serde_json::from_slice(body).unwrap();
        let request = read_request(&recorded);
        let encoded = encode_request(&request, &EncodeOptions { model: "recorded" })
            .unwrap_or_else(|error| panic!("{}: {error:?}", vector.id));
        let encoded: Value = serde_json::from_slice(&encoded).unwrap();
        assert_eq!(encoded, normalised(recorded), "{}", vector.id);
        checked += 1;
    }
    println!("recorded bedrock requests checked: {checked}");
}

#[test]
fn a_conversation_with_every_kind_of_block_survives_the_way_through_the_hub() {
    let recorded = json!({
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {"role": "user", "content": [
                {"text": "Look."},
                {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
                {"document": {"format": "pdf", "name": "Report 1", "source": {"bytes": "JVBERi0="}}},
                {"document": {"format": "txt", "name": "b", "source": {"text": "x"}, "citations": {"enabled": true}}},
                {"cachePoint": {"type": "default", "ttl": "1h"}}]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
                {"reasoningContent": {"redactedContent": "AAAA"}},
                {"text": "I'll ask."},
                {"toolUse": {"toolUseId": "t1", "name": "add", "input": {"a": 1.0, "b": 12345678901234567890u64}}},
                {"toolUse": {"toolUseId": "t2", "name": "now", "input": {}}}]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"json": {"sum": 3}}], "status": "success"}},
                {"toolResult": {"toolUseId": "t2", "content": [{"text": "no clock"}], "status": "error"}},
                {"text": "Go on."}]}],
        "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "topP": 0.9, "stopSequences": ["|"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "add", "description": "Adds.", "inputSchema": {"json": {"type": "object"}}}},
                {"systemTool": {"name": "nova_grounding"}},
                {"cachePoint": {"type": "default"}}],
            "toolChoice": {"tool": {"name": "add"}}},
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "additionalModelRequestFields": {"top_k": 3},
    });
    let encoded = encode_request(&read_request(&recorded), &EncodeOptions { model: "recorded" }).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&encoded).unwrap(), recorded);
}

/// What was sent, as the encoder puts the same: without empty fields, and with neighbouring turns of one side in one (a
/// single recording has two, and that its model took them is no reason to count on it).
fn normalised(mut recorded: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let fields = recorded.as_object_mut().unwrap();
    if let Some(config) = fields.get_mut("inferenceConfig").and_then(Value::as_object_mut) {
        config.retain(|_, value| !is_empty(value));
    }
    fields.retain(|_, value| !is_empty(value));
    let turns = fields["messages"].as_array_mut().unwrap();
    turns.dedup_by(|turn, before| {
        let same_side = turn["role"] == before["role"];
        if same_side {
            before["content"].as_array_mut().unwrap().append(turn["content"].as_array_mut().unwrap());
        }
        same_side
    });
    recorded
}

fn read_request(body: &Value) -> ChatRequest {
    let mut request = ChatRequest { model: "recorded".to_owned(), ..ChatRequest::default() };
    let system: Vec<Part> = items(&body["system"]).map(read_part).collect();
    if !system.is_empty() {
        request.messages.push(message(Role::System, system));
    }
    for turn in items(&body["messages"]) {
        request.messages.extend(read_turn(turn));
    }
    read_inference(&body["inferenceConfig"], &mut request);
    for entry in items(&body["toolConfig"]["tools"]) {
        read_tool(entry, &mut request.tools);
    }
    request.tool_choice = body["toolConfig"].get("toolChoice").map(read_choice);
    let known = ["messages", "system", "inferenceConfig", "toolConfig"];
    let others = body.as_object().unwrap().iter().filter(|(name, _)| !known.contains(&name.as_str()));
    request.extras = others.map(|(name, value)| (name.clone(), value.clone())).collect();
    request
}

/// One message for each tool result, as OpenAI clients send them; the rest of the turn is one more.
fn read_turn(turn: &Value) -> Vec<Message> {
    let role = if turn["role"] == "user" { Role::User } else { Role::Assistant };
    let mut messages: Vec<Message> = Vec::new();
    for block in items(&turn["content"]) {
        let part = read_part(block);
        let role = if matches!(part, Part::ToolResult(_)) { Role::Tool } else { role };
        match messages.last_mut() {
            Some(last) if last.role == role && role != Role::Tool => last.parts.push(part),
            _ => messages.push(message(role, vec![part])),
        }
    }
    messages
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, name: None, parts, extras: Extras::new() }
}

fn read_part(block: &Value) -> Part {
    let (kind, value) = block.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "text" => Part::text(string(value)),
        "image" => Part::Image(Image { source: source(value, "image/"), detail: None }),
        "document" if is_plain_document(value) => {
            Part::Document(Document { source: source(value, ""), name: Some(string(&value["name"])) })
        }
        "toolUse" if value.get("type").is_none() => Part::ToolCall(ToolCall {
            id: string(&value["toolUseId"]),
            name: string(&value["name"]),
            arguments: value["input"].to_string(),
            kind: ToolKind::Function,
            extras: Extras::new(),
        }),
        "toolResult" if value.get("type").is_none() => Part::ToolResult(ToolResult {
            id: string(&value["toolUseId"]),
            parts: items(&value["content"]).map(read_part).collect(),
            is_error: value.get("status").map(|status| status == "error"),
        }),
        "reasoningContent" => Part::Reasoning(Reasoning {
            text: value["reasoningText"]["text"].as_str().unwrap_or_default().to_owned(),
            signature: value["reasoningText"].get("signature").map(string),
            redacted: value.get("redactedContent").map(string),
        }),
        "cachePoint" => Part::CachePoint(cache_point(value)),
        _ => Part::Opaque(block.clone()),
    }
}

/// Documents with citations, context or inline text are beyond the hub's and travel in Converse's own form.
fn is_plain_document(value: &Value) -> bool {
    let plain_source = value["source"].get("bytes").is_some() || value["source"].get("s3Location").is_some();
    plain_source && value.as_object().unwrap().len() == 3
}

fn source(value: &Value, media: &str) -> Source {
    match value["source"]["s3Location"].get("uri") {
        Some(uri) => Source::Url(string(uri)),
        None => Source::Base64 {
            media_type: format!("{media}{}", string(&value["format"])),
            data: string(&value["source"]["bytes"]),
        },
    }
}

fn cache_point(value: &Value) -> CachePoint {
    CachePoint { ttl: value.get("ttl").map(string) }
}

fn read_inference(config: &Value, request: &mut ChatRequest) {
    request.limits.max_output_tokens = config["maxTokens"].as_u64();
    request.limits.stop = items(&config["stopSequences"]).map(string).collect();
    request.sampling.temperature = config["temperature"].as_number().cloned();
    request.sampling.top_p = config["topP"].as_number().cloned();
}

fn read_tool(entry: &Value, tools: &mut Vec<Tool>) {
    if let Some(point) = entry.get("cachePoint") {
        tools.last_mut().unwrap().cache_point = Some(cache_point(point));
        return;
    }
    let spec = &entry["toolSpec"];
    let extras: Map<String, Value> =
        entry.get("systemTool").map(|tool| ("systemTool".to_owned(), tool.clone())).into_iter().collect();
    tools.push(Tool {
        name: spec["name"].as_str().unwrap_or_default().to_owned(),
        description: spec.get("description").map(string),
        parameters: spec["inputSchema"].get("json").cloned(),
        strict: spec.get("strict").and_then(Value::as_bool),
        kind: ToolKind::Function,
        cache_point: None,
        extras,
    });
}

fn read_choice(choice: &Value) -> ToolChoice {
    let (kind, value) = choice.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        _ => ToolChoice::Named(string(&value["name"])),
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
