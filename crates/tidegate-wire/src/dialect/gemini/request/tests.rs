//! What becomes of each part of a request.

use serde_json::{Value, json};

use crate::{WireError, dialect::openai_chat::Inbound};

fn encode(request: Value, model: &str) -> Result<Value, WireError> {
    let mut request = request;
    request["model"] = "m".into();
    let hub = Inbound::parse(request.to_string().into()).unwrap().decode()?;
    super::encode_request(&hub, model).map(|body| serde_json::from_slice(&body).unwrap())
}

fn encoded(request: Value) -> Value {
    encode(request, "gemini-2.5-flash").unwrap()
}

fn refused(request: Value) -> String {
    encode(request, "gemini-2.5-flash").unwrap_err().param().unwrap().to_owned()
}

fn hi() -> Value {
    json!([{ "role": "user", "content": "Hi" }])
}

#[test]
fn messages_become_contents_and_a_system_instruction() {
    let body = encoded(json!({ "messages": [
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "One" },
        { "role": "user", "content": "Two" },
        { "role": "assistant", "content": "Three" },
        { "role": "developer", "content": "Be kind." },
        { "role": "user", "content": "Four" },
    ] }));
    assert_eq!(
        body,
        json!({
            "contents": [
                { "role": "user", "parts": [{ "text": "One" }, { "text": "Two" }] },
                { "role": "model", "parts": [{ "text": "Three" }] },
                { "role": "user", "parts": [{ "text": "Four" }] },
            ],
            "systemInstruction": { "parts": [{ "text": "Be brief." }, { "text": "Be kind." }] },
        })
    );
}

#[test]
fn parameters_go_to_the_generation_config() {
    let schema = json!({ "type": "object" });
    let body = encoded(
        json!({ "messages": hi(), "temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 7, "n": 2,
        "max_completion_tokens": 9, "stop": ["a"], "presence_penalty": 1, "frequency_penalty": -1, "logprobs": true,
        "top_logprobs": 3, "reasoning_effort": "low", "safety_settings": [{ "category": "c" }],
        "response_format": { "type": "json_schema", "json_schema": { "name": "x", "schema": schema, "strict": true } } }),
    );
    assert_eq!(
        body["generationConfig"],
        json!({ "temperature": 0.5, "topP": 0.9, "topK": 4, "seed": 7, "presencePenalty": 1, "frequencyPenalty": -1,
            "responseLogprobs": true, "logprobs": 3, "candidateCount": 2, "maxOutputTokens": 9, "stopSequences": ["a"],
            "responseMimeType": "application/json", "responseJsonSchema": schema,
            "thinkingConfig": { "includeThoughts": true, "thinkingBudget": 1024 } })
    );
    assert_eq!(body["safetySettings"], json!([{ "category": "c" }]));
}

#[test]
fn each_generation_is_told_to_think_in_its_own_way() {
    let thinking = |effort: &str, model: &str| {
        let body = encode(json!({ "messages": hi(), "reasoning_effort": effort }), model);
        body.map(|body| body["generationConfig"]["thinkingConfig"].clone())
    };
    let level = json!({ "includeThoughts": true, "thinkingLevel": "HIGH" });
    assert_eq!(thinking("high", "gemini-3.1-pro-preview").unwrap(), level);
    assert_eq!(thinking("high", "publishers/google/models/gemini-3-flash").unwrap(), level);
    assert_eq!(thinking("none", "gemini-2.5-flash").unwrap(), json!({ "thinkingBudget": 0 }));
    assert_eq!(thinking("none", "gemini-2.0-flash").unwrap(), Value::Null);
    for (effort, model) in [("none", "gemini-3-flash"), ("max", "gemini-2.5-pro"), ("low", "gemma-3-27b-it")]
    {
        assert_eq!(
            thinking(effort, model).unwrap_err().param(),
            Some("reasoning_effort"),
            "{effort} {model}"
        );
    }
}

#[test]
fn what_can_not_be_honoured_is_named() {
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    let cases = [
        (json!({ "logit_bias": { "1": 1 } }), "logit_bias"),
        (json!({ "tools": tools, "parallel_tool_calls": false }), "parallel_tool_calls"),
        (json!({ "service_tier": "flex" }), "service_tier"),
        (json!({ "verbosity": "low" }), "verbosity"),
        (json!({ "store": true }), "store"),
        (json!({ "modalities": ["text", "audio"] }), "modalities"),
        (json!({ "tool_choice": "required" }), "tool_choice"),
        (json!({ "tools": [{ "type": "custom", "custom": { "name": "f" } }] }), "tools[0].type"),
        (json!({ "tools": [{ "type": "web_search" }] }), "tools[0].type"),
        (
            json!({ "messages": [{ "role": "user", "content": "a", "name": "x" },
            { "role": "user", "content": "b", "name": "y" }] }),
            "messages[1].name",
        ),
        (
            json!({ "messages": [{ "role": "tool", "tool_call_id": "lost", "content": "" }] }),
            "messages[0].tool_call_id",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "file", "file": { "file_id": "f-1" } }] }] }),
            "messages[0].content.file",
        ),
    ];
    for (fields, param) in cases {
        let mut request = json!({ "messages": hi() });
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(refused(request), param);
    }
    let hints = encoded(json!({ "messages": hi(), "user": "u", "prompt_cache_key": "k", "store": false }));
    assert_eq!(hints.as_object().unwrap().len(), 1, "{hints}");
}

#[test]
fn tools_are_declared_forced_and_forbidden() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let tools = json!([
        { "type": "function", "function": { "name": "f", "description": "d", "parameters": schema } },
        { "type": "google_search", "googleSearch": {} },
    ]);
    let mode = |choice: Value| {
        encoded(json!({ "messages": hi(), "tools": tools, "tool_choice": choice }))["toolConfig"].clone()
    };
    let config = |config: Value| json!({ "functionCallingConfig": config });
    assert_eq!(mode(Value::Null), Value::Null);
    assert_eq!(mode("auto".into()), config(json!({ "mode": "AUTO" })));
    assert_eq!(mode("none".into()), config(json!({ "mode": "NONE" })));
    assert_eq!(mode("required".into()), config(json!({ "mode": "ANY" })));
    let named = json!({ "type": "function", "function": { "name": "f" } });
    assert_eq!(mode(named), config(json!({ "mode": "ANY", "allowedFunctionNames": ["f"] })));
    let body = encoded(json!({ "messages": hi(), "tools": tools }));
    let declaration = json!({ "name": "f", "description": "d", "parametersJsonSchema": schema });
    assert_eq!(body["tools"], json!([{ "functionDeclarations": [declaration] }, { "googleSearch": {} }]));
    let strict = json!([{ "type": "function", "function": { "name": "f", "strict": true } }]);
    let body = encoded(json!({ "messages": hi(), "tools": strict }));
    assert_eq!(body["toolConfig"], config(json!({ "mode": "VALIDATED" })));
}

/// Parallel calls, a result that is a picture, and ids that name their calls.
#[test]
fn a_round_of_tools_goes_back_as_gemini_wants_it() {
    let call = |id: &str, name: &str, arguments: &str| {
        json!({ "id": id, "type": "function",
        "function": { "name": name, "arguments": arguments } })
    };
    let picture = json!([{ "type": "text", "text": "seen" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==" } }]);
    let messages = json!([
        { "role": "user", "content": "Look" },
        { "role": "assistant", "content": null, "tool_calls": [call("1", "f", r#"{"a":1}"#), call("2", "g", "")],
          "thinking_blocks": [{ "type": "thinking", "thinking": "", "signature": "SIG" }] },
        { "role": "tool", "tool_call_id": "1", "content": r#"{"ok":true}"# },
        { "role": "tool", "tool_call_id": "2", "content": picture },
    ]);
    let body = encode(json!({ "messages": messages }), "gemini-3-flash").unwrap();
    assert_eq!(
        body["contents"][1],
        json!({ "role": "model", "parts": [
            { "functionCall": { "id": "1", "name": "f", "args": { "a": 1 } }, "thoughtSignature": "SIG" },
            { "functionCall": { "id": "2", "name": "g", "args": {} } },
        ] })
    );
    assert_eq!(
        body["contents"][2],
        json!({ "role": "user", "parts": [
            { "functionResponse": { "id": "1", "name": "f", "response": { "ok": true } } },
            { "functionResponse": { "id": "2", "name": "g", "response": { "result": "seen" } } },
            { "inlineData": { "mimeType": "image/png", "data": "AA==" } },
        ] })
    );
}

#[test]
fn signatures_go_back_to_where_they_were() {
    let turn = |fields: Value, model: &str| {
        let mut turn = json!({ "role": "assistant" });
        turn.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let messages = json!([{ "role": "user", "content": "Hi" }, turn]);
        encode(json!({ "messages": messages }), model).unwrap()["contents"][1]["parts"].clone()
    };
    let block = |signature: &str| json!({ "type": "thinking", "thinking": "t", "signature": signature });
    let signed = turn(json!({ "content": "Yes", "thinking_blocks": [block("S")] }), "gemini-3-flash");
    assert_eq!(signed, json!([{ "text": "Yes", "thoughtSignature": "S" }]));
    let call = json!([{ "id": "1", "type": "function", "function": { "name": "f", "arguments": "{}" },
        "extra_content": { "google": { "thought_signature": "G" } } }]);
    let google = turn(json!({ "tool_calls": call }), "gemini-3-flash");
    assert_eq!(google[0]["thoughtSignature"], "G");
    let bare = json!([{ "id": "1", "type": "function", "function": { "name": "f", "arguments": "{}" } }]);
    let lost = turn(json!({ "tool_calls": bare }), "gemini-3-flash");
    assert_eq!(lost[0]["thoughtSignature"], super::contents::UNSIGNED);
    assert!(turn(json!({ "tool_calls": bare }), "gemini-2.5-pro")[0].get("thoughtSignature").is_none());
    let two =
        turn(json!({ "content": "Yes", "thinking_blocks": [block("A"), block("B")] }), "gemini-3-flash");
    assert_eq!(
        two,
        json!([{ "text": "", "thoughtSignature": "A" }, { "text": "Yes", "thoughtSignature": "B" }])
    );
}

#[test]
fn media_are_inline_or_named_by_their_uri() {
    let part = |part: Value| {
        encoded(json!({ "messages": [{ "role": "user", "content": [part] }] }))["contents"][0]["parts"][0]
            .clone()
    };
    let url = |url: &str| json!({ "type": "image_url", "image_url": { "url": url, "detail": "low" } });
    assert_eq!(
        part(url("gs://b/a.png")),
        json!({ "fileData": { "fileUri": "gs://b/a.png", "mimeType": "image/png" } })
    );
    let sound = json!({ "type": "input_audio", "input_audio": { "data": "AA==", "format": "wav" } });
    assert_eq!(part(sound), json!({ "inlineData": { "mimeType": "audio/wav", "data": "AA==" } }));
    let file = json!({ "type": "file", "file": { "filename": "a.pdf", "file_data": "AA==" } });
    assert_eq!(part(file), json!({ "inlineData": { "mimeType": "application/pdf", "data": "AA==" } }));
    let video = json!({ "fileData": { "fileUri": "https://y/v" }, "videoMetadata": { "fps": 1 } });
    assert_eq!(part(json!({ "type": "text", "text": "x" })), json!({ "text": "x" }));
    let hub = crate::hub::ChatRequest::new("m").message(crate::hub::Message::of_parts(
        crate::hub::Role::User,
        vec![crate::hub::Part::Opaque(video.clone())],
    ));
    let body: Value = serde_json::from_slice(&super::encode_request(&hub, "gemini-3").unwrap()).unwrap();
    assert_eq!(body["contents"][0]["parts"][0], video);
}
