//! What becomes of each part of a request.

use serde_json::{Value, json};

use crate::{WireError, client::ClientDialect, dialect::openai_chat::Inbound};

fn encode_for(model: &str, request: Value) -> Result<Value, WireError> {
    let mut request = request;
    request["model"] = "m".into();
    let hub = Inbound::parse(request.to_string().into()).unwrap().decode()?;
    super::encode_request(&hub, model).map(|body| serde_json::from_slice(&body).unwrap())
}

fn encoded(request: Value) -> Value {
    encode_for("llama3.1", request).unwrap()
}

fn refused(request: Value) -> String {
    encode_for("llama3.1", request).unwrap_err().param().unwrap().to_owned()
}

/// A request of one message and this beside it.
fn asking(more: Value) -> Value {
    let mut request = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

fn tool(name: &str) -> Value {
    json!({ "type": "function", "function": { "name": name, "description": "d", "parameters": { "type": "object" } } })
}

#[test]
fn a_plain_request_says_whether_to_stream() {
    let expected = |stream: bool| json!({ "model": "llama3.1", "messages": [{ "role": "user", "content": "Hi" }], "stream": stream });
    assert_eq!(encoded(asking(json!({}))), expected(false));
    assert_eq!(encoded(asking(json!({ "stream": true }))), expected(true));
}

#[test]
fn a_message_is_one_text_and_its_pictures_and_a_result_names_its_tool() {
    let body = encoded(json!({ "messages": [
        { "role": "developer", "content": "Be brief." },
        { "role": "user", "content": [{ "type": "text", "text": "See" }, { "type": "text", "text": "this" },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==", "detail": "low" } }] },
        { "role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [
            { "id": "a", "type": "function", "function": { "name": "f", "arguments": "{\"n\": 1}" } },
            { "id": "b", "type": "function", "function": { "name": "g", "arguments": "" } }] },
        { "role": "tool", "tool_call_id": "b", "content": "two" },
        { "role": "tool", "tool_call_id": "lost", "content": "three" },
        { "role": "assistant", "content": "Done" },
    ] }));
    assert_eq!(
        body["messages"],
        json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "See\nthis", "images": ["AA=="] },
            { "role": "assistant", "content": "", "thinking": "hm", "tool_calls": [
                { "id": "a", "function": { "name": "f", "arguments": { "n": 1 } } },
                { "id": "b", "function": { "name": "g", "arguments": {} } }] },
            { "role": "tool", "content": "two", "tool_name": "g", "tool_call_id": "b" },
            { "role": "tool", "content": "three", "tool_call_id": "lost" },
            { "role": "assistant", "content": "Done" },
        ])
    );
}

#[test]
fn results_are_messages_of_their_own_and_a_failure_is_said() {
    let request = json!({ "model": "m", "max_tokens": 9, "messages": [
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "a", "name": "f", "input": {} }] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "a", "content": "boom", "is_error": true },
            { "type": "text", "text": "And now?" }] },
    ] });
    let hub = ClientDialect::AnthropicMessages.decode(request.to_string().as_bytes()).unwrap();
    let body: Value = serde_json::from_slice(&super::encode_request(&hub, "m").unwrap()).unwrap();
    assert_eq!(
        body["messages"].as_array().unwrap()[1..],
        [
            json!({ "role": "tool", "content": "{\"error\":\"boom\"}", "tool_name": "f", "tool_call_id": "a" }),
            json!({ "role": "user", "content": "And now?" })
        ]
    );
}

#[test]
fn parameters_are_options_and_ollamas_own_words_count() {
    let schema = json!({ "type": "object" });
    let body = encoded(asking(
        json!({ "temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 7, "max_completion_tokens": 9, "stop": ["a"],
        "presence_penalty": 1, "frequency_penalty": -0.5, "logprobs": true, "top_logprobs": 2, "n": 1, "user": "u",
        "num_ctx": 8192, "options": { "num_predict": 11, "mirostat": 1 }, "keep_alive": "5m",
        "response_format": { "type": "json_schema", "json_schema": { "name": "x", "schema": schema } } }),
    ));
    assert_eq!(
        body["options"],
        json!({ "temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 7, "frequency_penalty": -0.5, "presence_penalty": 1,
            "num_predict": 11, "stop": ["a"], "num_ctx": 8192, "mirostat": 1 })
    );
    assert_eq!((&body["format"], &body["keep_alive"]), (&schema, &json!("5m")));
    assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&json!(true), &json!(2)));
    let json = encoded(asking(json!({ "response_format": { "type": "json_object" } })));
    assert_eq!(json["format"], "json");
}

#[test]
fn models_think_or_do_not_and_gpt_oss_has_levels() {
    let think = |model: &str, level: &str| {
        encode_for(model, asking(json!({ "reasoning_effort": level }))).map(|body| body["think"].clone())
    };
    assert_eq!(think("qwen3", "none").unwrap(), json!(false));
    assert_eq!(think("qwen3", "xhigh").unwrap(), json!(true));
    assert_eq!(think("library/gpt-oss:120b", "minimal").unwrap(), json!("low"));
    assert_eq!(think("gpt-oss:120b", "high").unwrap(), json!("high"));
    for (model, level) in [("gpt-oss", "none"), ("gpt-oss", "max"), ("qwen3", "beyond")] {
        assert_eq!(think(model, level).unwrap_err().param(), Some("reasoning_effort"), "{model} {level}");
    }
    let own = encoded(asking(json!({ "reasoning_effort": "low", "think": "high" })));
    assert_eq!(own["think"], "high");
}

#[test]
fn tools_that_must_not_be_called_are_not_offered() {
    let with =
        |choice: Value| encode_for("m", asking(json!({ "tools": [tool("f")], "tool_choice": choice })));
    assert_eq!(with(json!("auto")).unwrap()["tools"], json!([tool("f")]));
    assert_eq!(with(json!("none")).unwrap().get("tools"), None);
    let named = json!({ "type": "function", "function": { "name": "f" } });
    for choice in [json!("required"), named] {
        assert_eq!(with(choice).unwrap_err().param(), Some("tool_choice"));
    }
}

#[test]
fn what_ollama_has_no_place_for_is_refused_by_name() {
    for (more, param) in [
        (json!({ "n": 2 }), "n"),
        (json!({ "logit_bias": { "1": 2 } }), "logit_bias"),
        (json!({ "service_tier": "flex" }), "service_tier"),
        (json!({ "web_search_options": {} }), "web_search_options"),
        (json!({ "tools": [tool("f")], "parallel_tool_calls": false }), "parallel_tool_calls"),
        (json!({ "tools": [{ "type": "custom", "custom": { "name": "c" } }] }), "tools[0].type"),
        (json!({ "options": 7 }), "options"),
    ] {
        assert_eq!(refused(asking(more.clone())), param, "{more}");
    }
    for (part, param) in [
        (
            json!({ "type": "image_url", "image_url": { "url": "https://a/b.png" } }),
            "messages[0].content.image_url",
        ),
        (
            json!({ "type": "input_audio", "input_audio": { "data": "AA==", "format": "wav" } }),
            "messages[0].content",
        ),
        (
            json!({ "type": "file", "file": { "file_data": "data:text/plain;base64,AA==" } }),
            "messages[0].content",
        ),
    ] {
        let request =
            json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "t" }, part] }] });
        assert_eq!(refused(request), param);
    }
    let broken = json!({ "messages": [{ "role": "assistant", "tool_calls": [
        { "id": "a", "type": "function", "function": { "name": "f", "arguments": "[]" } }] }] });
    assert_eq!(refused(broken), "messages[0].tool_calls[0].function.arguments");
}
