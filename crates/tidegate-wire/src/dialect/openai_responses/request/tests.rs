use serde_json::json;

use super::*;
use crate::{ErrorClass, dialect::openai_chat::Inbound};

/// What becomes of an OpenAI request, whose messages are one of the user's unless it has its own.
fn encode_for(model: &str, request: Value) -> Result<Value, WireError> {
    let mut fields = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hello" }] });
    fields.as_object_mut().unwrap().extend(request.as_object().unwrap().clone());
    let hub = Inbound::parse(fields.to_string().into()).unwrap().decode().unwrap();
    encode_request(&hub, &EncodeOptions { model }).map(|body| serde_json::from_slice(&body).unwrap())
}

fn encode(request: Value) -> Value {
    encode_for("gpt-6", request).unwrap()
}

fn input(messages: Value) -> Value {
    encode(json!({ "messages": messages }))["input"].clone()
}

fn refused(request: Value) -> String {
    let error = encode_for("gpt-6", request).unwrap_err();
    assert_eq!(error.class(), ErrorClass::BadRequest);
    error.param().unwrap().to_owned()
}

#[test]
fn nothing_is_kept_and_reasoning_is_asked_for_unless_the_caller_says_otherwise() {
    assert_eq!(
        encode(json!({})),
        json!({
            "model": "gpt-6",
            "input": [{ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "Hello" }] }],
            "store": false,
            "include": ["reasoning.encrypted_content"],
        })
    );
    assert_eq!(encode(json!({ "store": true }))["store"], true);
    let include = encode(json!({ "include": ["web_search_call.action.sources"] }))["include"].clone();
    assert_eq!(include, json!(["web_search_call.action.sources", "reasoning.encrypted_content"]));
    assert_eq!(encode_for("gpt-4.1", json!({})).unwrap().get("include"), None, "a model without reasoning");
}

#[test]
fn messages_stay_in_their_order() {
    let items = input(json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "name": "ann", "content": [
            { "type": "text", "text": "What is it?" },
            { "type": "image_url", "image_url": { "url": "https://example.com/a.png", "detail": "low" } },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBO" } },
            { "type": "file", "file": { "file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf" } },
            { "type": "file", "file": { "file_id": "file_1" } },
        ] },
        { "role": "assistant", "content": "A cat.", "annotations": [] },
        { "role": "assistant", "refusal": "No." },
        { "role": "developer", "content": "In Dutch." },
    ]));
    assert_eq!(
        items,
        json!([
            { "type": "message", "role": "system", "content": [{ "type": "input_text", "text": "Be brief." }] },
            { "type": "message", "role": "user", "content": [
                { "type": "input_text", "text": "What is it?" },
                { "type": "input_image", "image_url": "https://example.com/a.png", "detail": "low" },
                { "type": "input_image", "image_url": "data:image/png;base64,iVBO" },
                { "type": "input_file", "file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf" },
                { "type": "input_file", "file_id": "file_1" },
            ] },
            { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "A cat." }] },
            { "type": "message", "role": "assistant", "content": [{ "type": "refusal", "refusal": "No." }] },
            { "type": "message", "role": "developer", "content": [{ "type": "input_text", "text": "In Dutch." }] },
        ])
    );
}

/// The API refuses reasoning that nothing follows, and reasoning that it has not encrypted.
#[test]
fn reasoning_goes_back_before_what_it_led_to() {
    let call = |id: &str, arguments: &str| json!({ "id": id, "type": "function", "index": 0, "function": { "name": "add", "arguments": arguments } });
    let items = input(json!([
        { "role": "user", "content": "Add." },
        { "role": "assistant", "content": "", "tool_calls": [call("a", "{\"x\": 1.50}"), call("b", "")],
          "thinking_blocks": [
            { "type": "thinking", "thinking": "First.", "signature": "gAAAAsig" },
            { "type": "redacted_thinking", "data": "gAAAAenc" },
            { "type": "thinking", "thinking": "Claude's.", "signature": "EqQB" },
          ] },
        { "role": "tool", "tool_call_id": "a", "content": [{ "type": "text", "text": "2" }, { "type": "image_url", "image_url": { "url": "https://e.org/a" } }] },
        { "role": "tool", "tool_call_id": "b", "content": "3" },
        { "role": "assistant", "content": null, "thinking_blocks": [{ "type": "redacted_thinking", "data": "gAAAAcut" }] },
        { "role": "user", "content": "Well?" },
    ]));
    assert_eq!(
        items.as_array().unwrap()[1..],
        [
            json!({ "type": "reasoning", "summary": [{ "type": "summary_text", "text": "First." }], "encrypted_content": "gAAAAsig" }),
            json!({ "type": "reasoning", "summary": [], "encrypted_content": "gAAAAenc" }),
            json!({ "type": "function_call", "call_id": "a", "name": "add", "arguments": "{\"x\": 1.50}" }),
            json!({ "type": "function_call", "call_id": "b", "name": "add", "arguments": "{}" }),
            json!({ "type": "function_call_output", "call_id": "a", "output": [
                { "type": "input_text", "text": "2" },
                { "type": "input_image", "image_url": "https://e.org/a" },
            ] }),
            json!({ "type": "function_call_output", "call_id": "b", "output": "3" }),
            json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "Well?" }] }),
        ]
    );
}

#[test]
fn custom_tools_have_items_of_their_own() {
    let grammar = json!({ "type": "grammar", "grammar": { "syntax": "lark", "definition": "start: /x/" } });
    let body = encode(json!({
        "messages": [
            { "role": "assistant", "tool_calls": [{ "id": "c", "type": "custom", "custom": { "name": "sql", "input": "SELECT 1" } }] },
            { "role": "tool", "tool_call_id": "c", "content": "1" },
        ],
        "tools": [{ "type": "custom", "custom": { "name": "sql", "description": "Runs.", "format": grammar } }],
        "tool_choice": { "type": "custom", "custom": { "name": "sql" } },
    }));
    assert_eq!(
        body["input"],
        json!([
            { "type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "SELECT 1" },
            { "type": "custom_tool_call_output", "call_id": "c", "output": "1" },
        ])
    );
    let format = json!({ "type": "grammar", "syntax": "lark", "definition": "start: /x/" });
    assert_eq!(
        body["tools"],
        json!([{ "type": "custom", "name": "sql", "description": "Runs.", "format": format }])
    );
    assert_eq!(body["tool_choice"], json!({ "type": "custom", "name": "sql" }));
}

/// The API's default is strict, and chat's is not.
#[test]
fn functions_are_strict_only_if_they_were_called_so() {
    let function = |strict: Value| json!({ "type": "function", "function": { "name": "add", "parameters": { "type": "object" }, "strict": strict } });
    let body = encode(json!({
        "tools": [function(Value::Null), function(json!(true)), { "type": "web_search", "search_context_size": "low" }],
        "tool_choice": { "type": "allowed_tools", "allowed_tools": { "mode": "auto", "tools": [{ "type": "function", "function": { "name": "add" } }] } },
        "parallel_tool_calls": false,
    }));
    let tools = &body["tools"];
    assert_eq!((&tools[0]["strict"], &tools[1]["strict"]), (&json!(false), &json!(true)));
    assert_eq!(tools[2], json!({ "type": "web_search", "search_context_size": "low" }));
    assert_eq!(
        body["tool_choice"],
        json!({ "type": "allowed_tools", "mode": "auto", "tools": [{ "type": "function", "name": "add" }] })
    );
    assert_eq!(body["parallel_tool_calls"], false);
}

#[test]
fn parameters_have_their_names_here() {
    let schema = json!({ "type": "object", "properties": {} });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema, "strict": true } });
    let body = encode(json!({
        "max_tokens": 70, "temperature": 1, "top_p": 0.5, "reasoning_effort": "high",
        "reasoning": { "summary": "auto" }, "verbosity": "low", "response_format": format,
        "metadata": { "team": "a" }, "user": "u1", "service_tier": "flex", "prompt_cache_key": "k",
        "stream": true, "stream_options": { "include_usage": true, "include_obfuscation": false },
    }));
    for (name, value) in [
        ("max_output_tokens", json!(70)),
        ("temperature", json!(1)),
        ("top_p", json!(0.5)),
        ("reasoning", json!({ "summary": "auto", "effort": "high" })),
        (
            "text",
            json!({ "format": { "type": "json_schema", "name": "answer", "schema": schema, "strict": true }, "verbosity": "low" }),
        ),
        ("metadata", json!({ "team": "a" })),
        ("user", json!("u1")),
        ("service_tier", json!("flex")),
        ("prompt_cache_key", json!("k")),
        ("stream", json!(true)),
        ("stream_options", json!({ "include_obfuscation": false })),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
}

#[test]
fn what_the_api_has_no_way_to_do_is_refused_by_name() {
    let message = |fields: Value| json!({ "messages": [fields] });
    let sound = json!({ "type": "input_audio", "input_audio": { "data": "x", "format": "wav" } });
    for (request, param) in [
        (json!({ "stop": "END" }), "stop"),
        (json!({ "seed": 7 }), "seed"),
        (json!({ "n": 2 }), "n"),
        (json!({ "top_k": 2 }), "top_k"),
        (json!({ "logprobs": true }), "logprobs"),
        (json!({ "frequency_penalty": 0.5 }), "frequency_penalty"),
        (json!({ "logit_bias": { "5": 1 } }), "logit_bias"),
        (json!({ "modalities": ["text", "audio"] }), "modalities"),
        (json!({ "brand_new": 1 }), "brand_new"),
        (json!({ "reasoning_effort": "low", "reasoning": { "effort": "high" } }), "reasoning_effort"),
        (
            json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "a" } } }),
            "response_format.json_schema.schema",
        ),
        (json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] }), "tools[0].type"),
        (message(json!({ "role": "user", "content": "x", "colour": "red" })), "messages[0].colour"),
        (message(json!({ "role": "user", "content": [sound] })), "messages[0].content"),
        (
            json!({ "messages": [{ "role": "user", "name": "a", "content": "x" }, { "role": "user", "name": "b", "content": "y" }] }),
            "messages[1].name",
        ),
    ] {
        assert_eq!(refused(request.clone()), param, "{request}");
    }
}
