//! Recorded requests: relayed as they came, and through the hub to the API again with everything that they said.

use serde_json::{Map, Value, json};
use tidegate_wire::{
    client::{ClientDialect, Inbound, Outside},
    dialect::openai_responses::{EncodeOptions, encode_request},
    host::row,
};

use crate::corpus::vectors;

fn inbound(request: &Value) -> Inbound {
    Inbound::read(Outside::of(ClientDialect::OpenaiResponses), request.to_string().into()).unwrap()
}

fn requests() -> Vec<(String, Value)> {
    vectors().into_iter().filter_map(|vector| Some((vector.id, vector.request?))).collect()
}

#[test]
fn every_recorded_request_is_relayed_as_it_came() {
    let requests = requests();
    for (id, request) in &requests {
        let endpoint = row("openai").unwrap().endpoint(None, None, None).unwrap();
        let model = request["model"].as_str().unwrap();
        let prepared = endpoint.prepare(&inbound(request), model).unwrap();
        assert_eq!(prepared.outbound.body, request.to_string(), "{id}");
        assert_eq!(prepared.outbound.uri, "https://api.openai.com/v1/responses", "{id}");
    }
    println!("openai responses: {} recorded requests relayed", requests.len());
}

#[test]
fn every_recorded_request_survives_the_hub() {
    let (mut checked, mut refused) = (0, 0);
    for (id, request) in requests() {
        let model = request["model"].as_str().unwrap().to_owned();
        let encoded =
            inbound(&request).decode().and_then(|hub| encode_request(&hub, &EncodeOptions { model: &model }));
        let body: Value = match encoded {
            Ok(body) => serde_json::from_slice(&body).unwrap(),
            Err(error) => {
                let reasons = ["previous_response_id", "store", "input", "messages", "text"];
                let param = error.param().unwrap_or_default();
                assert!(reasons.iter().any(|reason| param.starts_with(reason)), "{id}: {error}");
                refused += 1;
                continue;
            }
        };
        assert_eq!(plain(&body), plain(&request), "{id}");
        checked += 1;
    }
    println!("openai responses: {checked} recorded requests survive the hub, {refused} are refused by name");
}

/// A request in one spelling: items with their types, text in parts, without what is without effect.
fn plain(request: &Value) -> Value {
    let mut fields = request.as_object().unwrap().clone();
    let mut input = Vec::new();
    if let Some(instructions) = fields.shift_remove("instructions").filter(|text| *text != "") {
        input.extend((!instructions.is_null()).then(|| message("system", &instructions)));
    }
    match fields.shift_remove("input").unwrap() {
        Value::Array(items) => items.iter().for_each(|item| input.extend(plain_item(item))),
        text => input.push(message("user", &text)),
    }
    for tool in fields.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
        let tool = tool.as_object_mut().unwrap();
        if tool["type"] == "function" && tool.get("strict").is_none_or(Value::is_null) {
            tool.insert("strict".to_owned(), false.into());
        }
        tool.retain(|_, value| !value.is_null());
    }
    let reasoning = fields.get("reasoning").and_then(|reasoning| reasoning.get("effort")).cloned();
    fields.insert("reasoning".to_owned(), reasoning.unwrap_or_default());
    if fields.get("text").is_some_and(|text| *text == json!({ "format": { "type": "text" } })) {
        fields.shift_remove("text");
    }
    let effects = |name: &String, value: &Value| match &**name {
        "include" | "store" | "tools" | "parallel_tool_calls" => false,
        "stream" => value != false,
        "truncation" => value != "disabled",
        _ => !value.is_null(),
    };
    let tools = fields.get("tools").filter(|tools| !tools.as_array().is_none_or(Vec::is_empty)).cloned();
    fields.retain(|name, value| effects(name, value));
    fields.extend(tools.map(|tools| ("tools".to_owned(), tools)));
    fields.insert("input".to_owned(), merged(input).into());
    fields.sort_keys();
    Value::Object(fields)
}

fn message(role: &str, content: &Value) -> Value {
    let kind = if role == "assistant" { "output_text" } else { "input_text" };
    let part = |part: &Value| match part.as_object() {
        Some(fields) => {
            let kept = |(name, value): &(&String, &Value)| {
                !value.is_null() && !matches!(&***name, "annotations" | "logprobs")
            };
            let fields: Map<String, Value> =
                fields.iter().filter(kept).map(|(name, value)| (name.clone(), value.clone())).collect();
            Value::Object(fields)
        }
        None => json!({ "type": kind, "text": part }),
    };
    let content: Vec<Value> = match content {
        Value::Array(parts) => parts.iter().map(part).collect(),
        text => vec![part(text)],
    };
    json!({ "type": "message", "role": role, "content": content })
}

/// What an item says to a model; of reasoning nothing, which a translated conversation does without.
fn plain_item(item: &Value) -> Option<Value> {
    match item["type"].as_str() {
        None | Some("message") => Some(message(item["role"].as_str().unwrap(), &item["content"])),
        Some("reasoning") => None,
        _ => {
            let mut fields = item.as_object().unwrap().clone();
            fields.retain(|name, value| !matches!(&**name, "id" | "status") && !value.is_null());
            fields.sort_keys();
            Some(Value::Object(fields))
        }
    }
}

/// Neighbouring messages of the assistant's are one.
fn merged(items: Vec<Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for mut item in items {
        if let Value::Object(fields) = &mut item {
            fields.sort_keys();
        }
        let is_assistant = |item: &Value| item["role"] == "assistant";
        match merged.last_mut().filter(|last| is_assistant(last) && is_assistant(&item)) {
            Some(last) => {
                let more = item["content"].as_array().unwrap().clone();
                last["content"].as_array_mut().unwrap().extend(more);
            }
            None => merged.push(item),
        }
    }
    merged
}
