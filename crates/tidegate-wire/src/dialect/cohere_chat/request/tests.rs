//! What becomes of each part of a request.

use serde_json::{Value, json};

use crate::{WireError, client::ClientDialect, dialect::openai_chat::Inbound};

fn encode(request: Value) -> Result<Value, WireError> {
    let mut request = request;
    request["model"] = "m".into();
    let hub = Inbound::parse(request.to_string().into()).unwrap().decode()?;
    super::encode_request(&hub, "command-a-03-2025").map(|body| serde_json::from_slice(&body).unwrap())
}

fn encoded(request: Value) -> Value {
    encode(request).unwrap()
}

fn refused(request: Value) -> String {
    encode(request).unwrap_err().param().unwrap().to_owned()
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
fn a_plain_request_is_short() {
    assert_eq!(
        encoded(asking(json!({}))),
        json!({ "model": "command-a-03-2025", "messages": [{ "role": "user", "content": "Hi" }], "stream": false })
    );
    assert_eq!(encoded(asking(json!({ "stream": true })))["stream"], true);
}

#[test]
fn messages_keep_their_order_and_their_roles() {
    let body = encoded(json!({ "messages": [
        { "role": "developer", "content": "Be brief." },
        { "role": "user", "content": [{ "type": "text", "text": "See" },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==", "detail": "low" } },
            { "type": "image_url", "image_url": { "url": "https://a/b.png" } }] },
        { "role": "assistant", "content": "I do", "reasoning_content": "hm" },
        { "role": "user", "content": "Look up" },
        { "role": "assistant", "content": null, "reasoning_content": "I will look.", "tool_calls": [
            { "id": "a", "type": "function", "function": { "name": "f", "arguments": "{\"n\": 1.0}" } },
            { "id": "b", "type": "function", "function": { "name": "g", "arguments": "" } }] },
        { "role": "tool", "tool_call_id": "a", "content": "one" },
        { "role": "tool", "tool_call_id": "b", "content": [{ "type": "text", "text": "t" }, { "type": "text", "text": "u" }] },
    ] }));
    assert_eq!(
        body["messages"],
        json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "See" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==", "detail": "low" } },
                { "type": "image_url", "image_url": { "url": "https://a/b.png" } }] },
            { "role": "assistant", "content": [{ "type": "thinking", "thinking": "hm" }, { "type": "text", "text": "I do" }] },
            { "role": "user", "content": "Look up" },
            { "role": "assistant", "tool_plan": "I will look.", "tool_calls": [
                { "id": "a", "type": "function", "function": { "name": "f", "arguments": "{\"n\": 1.0}" } },
                { "id": "b", "type": "function", "function": { "name": "g", "arguments": "{}" } }] },
            { "role": "tool", "tool_call_id": "a", "content": "one" },
            { "role": "tool", "tool_call_id": "b", "content": [{ "type": "text", "text": "t" }, { "type": "text", "text": "u" }] },
        ])
    );
}

/// Anthropic's callers say it all in one message, and that a tool failed.
#[test]
fn results_are_messages_of_their_own_and_a_failure_is_said() {
    let request = json!({ "model": "m", "max_tokens": 9, "messages": [
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "a", "name": "f", "input": {} }] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "a", "content": "boom", "is_error": true },
            { "type": "text", "text": "And now?" },
            { "type": "document", "title": "tides.txt", "source": { "type": "text", "media_type": "text/plain", "data": "High at noon." } }] },
    ] });
    let hub = ClientDialect::AnthropicMessages.decode(request.to_string().as_bytes()).unwrap();
    let body: Value = serde_json::from_slice(&super::encode_request(&hub, "m").unwrap()).unwrap();
    assert_eq!(
        body["messages"].as_array().unwrap()[1..],
        [
            json!({ "role": "tool", "tool_call_id": "a", "content": "{\"error\":\"boom\"}" }),
            json!({ "role": "user", "content": "And now?" })
        ]
    );
    assert_eq!(body["documents"], json!([{ "data": { "title": "tides.txt", "text": "High at noon." } }]));
}

#[test]
fn parameters_have_coheres_names() {
    let schema = json!({ "type": "object" });
    let body = encoded(asking(
        json!({ "temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 7, "max_completion_tokens": 9,
        "stop": ["a"], "presence_penalty": 1, "frequency_penalty": 0.5, "logprobs": true, "n": 1, "user": "u",
        "metadata": { "a": "b" }, "service_tier": "auto", "safety_identifier": "s", "prompt_cache_key": "k",
        "response_format": { "type": "json_schema", "json_schema": { "name": "x", "schema": schema, "strict": true } },
        "citation_options": { "mode": "FAST" }, "safety_mode": "STRICT", "priority": 3 }),
    ));
    let mut expected = json!({ "temperature": 0.5, "p": 0.9, "k": 4, "seed": 7, "max_tokens": 9, "stop_sequences": ["a"],
        "presence_penalty": 1, "frequency_penalty": 0.5, "logprobs": true,
        "response_format": { "type": "json_object", "json_schema": schema },
        "citation_options": { "mode": "FAST" }, "safety_mode": "STRICT", "priority": 3 });
    for name in ["model", "messages", "stream"] {
        expected[name] = body[name].clone();
    }
    assert_eq!(body, expected);
}

#[test]
fn an_effort_is_a_budget_and_the_apis_own_word_counts() {
    let thinking = |level: &str| {
        encode(asking(json!({ "reasoning_effort": level }))).map(|body| body["thinking"].clone())
    };
    assert_eq!(thinking("none").unwrap(), json!({ "type": "disabled" }));
    assert_eq!(thinking("low").unwrap(), json!({ "type": "enabled", "token_budget": 1024 }));
    assert_eq!(thinking("xhigh").unwrap(), json!({ "type": "enabled", "token_budget": 8192 }));
    assert_eq!(thinking("max").unwrap(), json!({ "type": "enabled" }));
    assert_eq!(thinking("beyond").unwrap_err().param(), Some("reasoning_effort"));
    let own = json!({ "type": "enabled", "token_budget": 77 });
    let both = encoded(asking(json!({ "reasoning_effort": "low", "thinking": own })));
    assert_eq!(both["thinking"], own);
}

#[test]
fn a_choice_of_tools_is_made_by_offering_them() {
    let choose = |choice: Value| {
        encode(asking(json!({ "tools": [tool("f"), tool("g")], "tool_choice": choice })))
            .map(|body| (body["tools"].as_array().unwrap().len(), body["tool_choice"].clone()))
    };
    assert_eq!(choose(json!("auto")).unwrap(), (2, Value::Null));
    assert_eq!(choose(json!("none")).unwrap(), (2, json!("NONE")));
    assert_eq!(choose(json!("required")).unwrap(), (2, json!("REQUIRED")));
    let named = |name: &str| json!({ "type": "function", "function": { "name": name } });
    assert_eq!(choose(named("g")).unwrap(), (1, json!("REQUIRED")));
    assert_eq!(choose(named("h")).unwrap_err().param(), Some("tool_choice"));
    assert_eq!(refused(asking(json!({ "tool_choice": "required" }))), "tool_choice");
    let body = encoded(asking(json!({ "tools": [tool("f"), tool("g")], "tool_choice": named("g") })));
    assert_eq!(body["tools"], json!([tool("g")]));
    assert_eq!(body.get("strict_tools"), None);
    let mut strict = tool("f");
    strict["function"]["strict"] = true.into();
    let body = encoded(asking(json!({ "tools": [strict] })));
    assert_eq!((&body["strict_tools"], &body["tools"]), (&json!(true), &json!([tool("f")])));
}

#[test]
fn what_cohere_has_no_place_for_is_refused_by_name() {
    for (more, param) in [
        (json!({ "n": 2 }), "n"),
        (json!({ "logit_bias": { "1": 2 } }), "logit_bias"),
        (json!({ "logprobs": true, "top_logprobs": 3 }), "top_logprobs"),
        (json!({ "service_tier": "flex" }), "service_tier"),
        (json!({ "web_search_options": {} }), "web_search_options"),
        (json!({ "tools": [tool("f")], "parallel_tool_calls": false }), "parallel_tool_calls"),
        (json!({ "tools": [{ "type": "custom", "custom": { "name": "c" } }] }), "tools[0].type"),
        (json!({ "tools": [{ "type": "web_search" }] }), "tools[0].type"),
        (json!({ "max_tokens": 1, "max_completion_tokens": 2 }), "max_tokens"),
        (json!({ "documents": "none" }), "documents"),
    ] {
        assert_eq!(refused(asking(more.clone())), param, "{more}");
    }
    for (part, param) in [
        (
            json!({ "type": "input_audio", "input_audio": { "data": "AA==", "format": "wav" } }),
            "messages[0].content",
        ),
        (
            json!({ "type": "file", "file": { "file_data": "data:application/pdf;base64,AA==" } }),
            "messages[0].content.file",
        ),
        (json!({ "type": "file", "file": { "file_id": "f" } }), "messages[0].content.file"),
    ] {
        let request =
            json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "t" }, part] }] });
        assert_eq!(refused(request), param);
    }
    let broken = json!({ "messages": [{ "role": "assistant", "tool_calls": [
        { "id": "a", "type": "function", "function": { "name": "f", "arguments": "{" } }] }] });
    assert_eq!(refused(broken), "messages[0].tool_calls[0].function.arguments");
    let named = json!({ "messages": [{ "role": "user", "name": "Ann", "content": "a" }, { "role": "user", "name": "Ben", "content": "b" }] });
    assert_eq!(refused(named), "messages[1].name");
}
