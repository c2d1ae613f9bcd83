use serde_json::json;

use super::*;
use crate::dialect::openai_chat::Inbound;

const BUDGET: &str = "claude-sonnet-4-20250514";
const ADAPTIVE: &str = "claude-opus-4-6";
const NEWEST: &str = "claude-sonnet-5";

/// What becomes of an OpenAI request, whose messages are one of the user's unless it has its own.
fn encode_for(model: &str, request: Value) -> Result<Value, WireError> {
    let mut fields = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hello" }] });
    fields.as_object_mut().unwrap().extend(request.as_object().unwrap().clone());
    let hub = Inbound::parse(fields.to_string().into()).unwrap().decode().unwrap();
    encode_request(&hub, &EncodeOptions { model }).map(|body| serde_json::from_slice(&body).unwrap())
}

fn encode(request: Value) -> Value {
    encode_for(BUDGET, request).unwrap()
}

fn messages(messages: Value) -> Value {
    encode(json!({ "messages": messages }))["messages"].clone()
}

fn refused(model: &str, request: Value) -> String {
    let error = encode_for(model, request).unwrap_err();
    assert_eq!(error.class(), ErrorClass::BadRequest);
    error.param().unwrap().to_owned()
}

const PNG: &str = "data:image/png;base64,iVBO";

#[test]
fn a_limit_is_the_callers_or_the_models() {
    assert_eq!(encode(json!({ "max_tokens": 7 }))["max_tokens"], 7);
    assert_eq!(encode(json!({}))["max_tokens"], 32_000);
    assert_eq!(encode_for("claude-3-haiku-20240307", json!({})).unwrap()["max_tokens"], 4096);
    assert_eq!(encode_for("kimi-k3", json!({})).unwrap()["max_tokens"], 4096);
}

#[test]
fn instructions_become_the_system_prompt_in_their_order() {
    let body = encode(json!({ "messages": [
        { "role": "system", "content": [{ "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral", "ttl": "1h" } }] },
        { "role": "user", "content": "Hello" },
        { "role": "developer", "content": "In Dutch." },
    ] }));
    assert_eq!(
        body["system"],
        json!([
            { "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral", "ttl": "1h" } },
            { "type": "text", "text": "In Dutch." },
        ])
    );
    assert_eq!(
        body["messages"],
        json!([{ "role": "user", "content": [{ "type": "text", "text": "Hello" }] }])
    );
}

#[test]
fn results_of_parallel_calls_stand_in_one_message_behind_their_thinking_and_calls() {
    let call = |id: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": "add", "arguments": arguments } });
    let conversation = messages(json!([
        { "role": "user", "content": "Add." },
        { "role": "assistant", "content": null, "tool_calls": [call("a", "{\"x\": 1.50}"), call("b", "")],
          "thinking_blocks": [
            { "type": "thinking", "thinking": "First.", "signature": "c2lnMQ==" },
            { "type": "thinking", "thinking": "Then.", "signature": "c2lnMg==" },
            { "type": "redacted_thinking", "data": "ZW5j" },
            { "type": "thinking", "thinking": "Another model's." },
          ] },
        { "role": "tool", "tool_call_id": "a", "content": [{ "type": "text", "text": "2" }, { "type": "image_url", "image_url": { "url": PNG } }] },
        { "role": "tool", "tool_call_id": "b", "content": "3" },
        { "role": "user", "content": "Well?" },
    ]));
    assert_eq!(
        conversation,
        json!([
            { "role": "user", "content": [{ "type": "text", "text": "Add." }] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "First.", "signature": "c2lnMQ==" },
                { "type": "thinking", "thinking": "Then.", "signature": "c2lnMg==" },
                { "type": "redacted_thinking", "data": "ZW5j" },
                { "type": "tool_use", "id": "a", "name": "add", "input": { "x": 1.50 } },
                { "type": "tool_use", "id": "b", "name": "add", "input": {} },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "a", "content": [
                    { "type": "text", "text": "2" },
                    { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "iVBO" } },
                ] },
                { "type": "tool_result", "tool_use_id": "b", "content": [{ "type": "text", "text": "3" }] },
                { "type": "text", "text": "Well?" },
            ] },
        ])
    );
}

#[test]
fn media_are_sent_as_they_came() {
    let content = messages(json!([{ "role": "user", "content": [
        { "type": "image_url", "image_url": { "url": "https://example.com/a.png", "detail": "low" } },
        { "type": "file", "file": { "file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf" } },
        { "type": "file", "file": { "file_data": "data:text/plain;base64,aGk=" } },
        { "type": "file", "file": { "file_id": "file_1" } },
        { "type": "document", "source": { "type": "text", "media_type": "text/plain", "data": "x" }, "citations": { "enabled": true } },
        { "type": "text", "text": "What is it?", "cache_control": { "type": "ephemeral" } },
    ] }]));
    assert_eq!(
        content[0]["content"],
        json!([
            { "type": "image", "source": { "type": "url", "url": "https://example.com/a.png" } },
            { "type": "document", "source": { "type": "base64", "media_type": "application/pdf", "data": "JVBE" }, "title": "a.pdf" },
            { "type": "document", "source": { "type": "text", "media_type": "text/plain", "data": "hi" } },
            { "type": "document", "source": { "type": "file", "file_id": "file_1" } },
            { "type": "document", "source": { "type": "text", "media_type": "text/plain", "data": "x" }, "citations": { "enabled": true } },
            { "type": "text", "text": "What is it?", "cache_control": { "type": "ephemeral" } },
        ])
    );
}

#[test]
fn tools_and_their_choice() {
    let function = json!({ "type": "function", "function": { "name": "add", "description": "Adds.", "strict": true,
        "parameters": { "type": "object" } }, "cache_control": { "type": "ephemeral" } });
    let hosted = json!({ "type": "web_search_20250305", "name": "web_search", "max_uses": 3 });
    let with = |choice: Value, parallel: Value| {
        encode(json!({ "tools": [function, hosted], "tool_choice": choice, "parallel_tool_calls": parallel }))
    };
    let body = with(json!("auto"), Value::Null);
    assert_eq!(
        body["tools"],
        json!([
            { "name": "add", "description": "Adds.", "input_schema": { "type": "object" }, "strict": true, "cache_control": { "type": "ephemeral" } },
            { "type": "web_search_20250305", "name": "web_search", "max_uses": 3 },
        ])
    );
    assert_eq!(body["tool_choice"], json!({ "type": "auto" }));
    assert_eq!(with(Value::Null, Value::Null)["tool_choice"], Value::Null);
    assert_eq!(with(json!("none"), json!(false))["tool_choice"], json!({ "type": "none" }));
    assert_eq!(
        with(Value::Null, json!(false))["tool_choice"],
        json!({ "type": "auto", "disable_parallel_tool_use": true })
    );
    assert_eq!(with(json!("required"), json!(true))["tool_choice"], json!({ "type": "any" }));
    let named = json!({ "type": "function", "function": { "name": "add" } });
    assert_eq!(
        with(named, json!(false))["tool_choice"],
        json!({ "type": "tool", "name": "add", "disable_parallel_tool_use": true })
    );
}

#[test]
fn effort_is_a_budget_or_adaptive_by_model() {
    let high = json!({ "reasoning_effort": "high" });
    assert_eq!(encode(high.clone())["thinking"], json!({ "type": "enabled", "budget_tokens": 4096 }));
    let adaptive = encode_for(ADAPTIVE, high).unwrap();
    assert_eq!(adaptive["thinking"], json!({ "type": "adaptive" }));
    assert_eq!(adaptive["output_config"], json!({ "effort": "high" }));
    let off = encode_for(NEWEST, json!({ "reasoning_effort": "none" })).unwrap();
    assert_eq!(off["thinking"], json!({ "type": "disabled" }));
    let own = json!({ "reasoning_effort": "low", "thinking": { "type": "adaptive", "display": "omitted" } });
    assert_eq!(
        encode_for(NEWEST, own).unwrap()["thinking"],
        json!({ "type": "adaptive", "display": "omitted" })
    );
    assert_eq!(refused(BUDGET, json!({ "reasoning_effort": "max" })), "reasoning_effort");
    assert_eq!(refused("claude-3-haiku-20240307", json!({ "reasoning_effort": "low" })), "reasoning_effort");
    assert_eq!(refused("kimi-k3", json!({ "reasoning_effort": "low" })), "reasoning_effort");
    assert_eq!(refused(BUDGET, json!({ "reasoning_effort": "low", "max_tokens": 900 })), "max_tokens");
    let contradiction = json!({ "reasoning_effort": "low", "output_config": { "effort": "high" } });
    assert_eq!(refused(NEWEST, contradiction), "reasoning_effort");
}

#[test]
fn sampling_is_for_models_that_take_it() {
    let body = encode(json!({ "temperature": 0.5, "top_p": 1, "top_k": 5, "stop": "END" }));
    assert_eq!((&body["temperature"], &body["top_p"], &body["top_k"]), (&json!(0.5), &json!(1), &json!(5)));
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(
        encode_for(NEWEST, json!({ "temperature": 1, "top_p": 1.0 })).unwrap().get("temperature"),
        None
    );
    assert_eq!(refused(NEWEST, json!({ "temperature": 0.5 })), "temperature");
    assert_eq!(refused(NEWEST, json!({ "top_k": 5 })), "top_k");
    assert_eq!(refused(BUDGET, json!({ "temperature": 1.5 })), "temperature");
}

#[test]
fn a_schema_is_followed_and_mere_json_is_refused() {
    let schema = json!({ "type": "object", "properties": {} });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema, "strict": true } });
    let body = encode(json!({ "response_format": format }));
    assert_eq!(body["output_config"], json!({ "format": { "type": "json_schema", "schema": schema } }));
    assert_eq!(refused(BUDGET, json!({ "response_format": { "type": "json_object" } })), "response_format");
}

#[test]
fn what_the_api_knows_by_another_name_is_renamed() {
    let body = encode(
        json!({ "user": "u1", "service_tier": "default", "stream": true, "container": "c1", "store": false }),
    );
    assert_eq!(body["metadata"], json!({ "user_id": "u1" }));
    assert_eq!(body["service_tier"], "standard_only");
    assert_eq!(body["stream"], true);
    assert_eq!(body["container"], "c1");
    assert_eq!(body.get("store"), None);
}

#[test]
fn what_the_api_has_no_way_to_do_is_refused_by_name() {
    let tool = |kind: &str| json!({ "tools": [{ "type": kind, "custom": { "name": "x" } }] });
    for (request, param) in [
        (json!({ "seed": 7 }), "seed"),
        (json!({ "n": 2 }), "n"),
        (json!({ "logprobs": true }), "logprobs"),
        (json!({ "frequency_penalty": 0.5 }), "frequency_penalty"),
        (json!({ "logit_bias": { "5": 1 } }), "logit_bias"),
        (json!({ "metadata": { "team": "a" } }), "metadata.team"),
        (json!({ "service_tier": "flex" }), "service_tier"),
        (json!({ "brand_new": 1 }), "brand_new"),
        (json!({ "tool_choice": "required" }), "tool_choice"),
        (tool("custom"), "tools[0].type"),
        (tool("code_interpreter"), "tools[0].type"),
        (json!({ "messages": [{ "role": "system", "content": "x" }] }), "messages"),
        (json!({ "messages": [{ "role": "user", "content": "" }] }), "messages[0].content"),
        (json!({ "messages": [{ "role": "user", "content": "x", "colour": "red" }] }), "messages[0].colour"),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "input_audio", "input_audio": { "data": "x", "format": "wav" } }] }] }),
            "messages[0].content",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:image/bmp;base64,x" } }] }] }),
            "messages[0].content.image_url",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "file", "file": { "file_data": "data:application/msword;base64,x" } }] }] }),
            "messages[0].content.file",
        ),
        (
            json!({ "messages": [{ "role": "assistant", "tool_calls": [{ "id": "a", "type": "function", "function": { "name": "f", "arguments": "[1]" } }] }] }),
            "messages[0].tool_calls[0].function.arguments",
        ),
    ] {
        assert_eq!(refused(BUDGET, request.clone()), param, "{request}");
    }
}
