//! Requests of the dialects: whatever comes is read or refused; what is recorded is read.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_wire::{
    client::{ClientDialect, Inbound, Outside},
    host::{Dialect, row},
    hub::{Event, Part},
};

use crate::{PAIRS, recorded::corpus, support::read_json};

/// A request as the surface hands it on.
pub(crate) fn inbound(client: ClientDialect, body: Bytes) -> Result<Inbound, tidegate_wire::WireError> {
    let outside = Outside { model: Some("m".to_owned()), stream: Some(true), ..Outside::of(client) };
    Inbound::read(outside, body)
}

/// The turn that a client would keep of a reply, in its own dialect.
pub(crate) fn turn_of(dialect: Dialect, events: &[Event], written: &[u8]) -> Value {
    match dialect {
        Dialect::BedrockConverse => {
            let mut blocks: Vec<Value> = Vec::new();
            for event in events {
                match event {
                    Event::Reasoning { text, .. } => {
                        blocks.push(json!({ "reasoningContent": { "reasoningText": { "text": text } } }))
                    }
                    Event::ReasoningSignature { signature, .. } => {
                        blocks.last_mut().unwrap()["reasoningContent"]["reasoningText"]["signature"] =
                            signature.clone().into();
                    }
                    Event::ReasoningRedacted { data, .. } => {
                        blocks.push(json!({ "reasoningContent": { "redactedContent": data } }))
                    }
                    _ => {}
                }
            }
            json!({ "messages": [{ "role": "assistant", "content": blocks }, { "role": "user", "content": [{ "text": "go on" }] }] })
        }
        Dialect::Gemini => {
            let text = String::from_utf8(written.to_vec()).unwrap();
            let chunks = text.split("\r\n\r\n").filter_map(|block| block.strip_prefix("data: "));
            let contents = chunks.map(|chunk| {
                let chunk: Value = serde_json::from_str(chunk).unwrap();
                chunk["candidates"][0]["content"].clone()
            });
            let user = json!({ "role": "user", "parts": [{ "text": "go on" }] });
            json!({ "contents": contents.chain([user]).collect::<Vec<_>>() })
        }
        _ => panic!("no turns are kept of {dialect:?}"),
    }
}

/// Text, signature and withheld form of each reasoning in a request.
pub(crate) fn reasoning_of(
    client: ClientDialect,
    request: &Value,
) -> Vec<(String, Option<String>, Option<String>)> {
    let request = inbound(client, request.to_string().into()).unwrap().decode().unwrap();
    let parts = request.messages.into_iter().flat_map(|message| message.parts);
    let reasoning = parts.filter_map(|part| match part {
        Part::Reasoning(reasoning) => Some((reasoning.text, reasoning.signature, reasoning.redacted)),
        _ => None,
    });
    reasoning.collect()
}

/// A request with everything that the dialect has.
fn rich(client: ClientDialect) -> Value {
    match client {
        ClientDialect::Gemini(_) => json!({
            "system_instruction": { "parts": { "text": "Be brief." } },
            "contents": [
                { "role": "user", "parts": [
                    { "text": "Look" },
                    { "inlineData": { "mimeType": "image/png", "data": "iVBO_-8" } },
                    { "inline_data": { "mime_type": "application/pdf", "data": "AAAA", "display_name": "a.pdf" } },
                    { "fileData": { "fileUri": "gs://b/a.mp3", "mimeType": "audio/mpeg" } },
                ] },
                { "role": "model", "parts": [
                    { "text": "hm", "thought": true },
                    { "functionCall": { "name": "tide", "args": { "harbour": "Delfzijl" } }, "thoughtSignature": "AAAA" },
                    { "functionCall": { "name": "tide", "args": {} } },
                ] },
                { "role": "user", "parts": [
                    { "functionResponse": { "name": "tide", "response": { "result": "03:12" } } },
                    { "functionResponse": { "name": "tide", "response": { "error": "closed" } } },
                ] },
            ],
            "tools": [{ "functionDeclarations": [{ "name": "tide", "description": "d", "parameters": {
                "type": "OBJECT", "properties": { "harbour": { "type": "STRING", "nullable": true } } } }] }],
            "toolConfig": { "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["tide"] } },
            "safetySettings": [{ "category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE" }],
            "generationConfig": { "temperature": 0.5, "topP": 0.9, "maxOutputTokens": 4000, "stopSequences": ["x"],
                "responseMimeType": "application/json", "responseSchema": { "type": "OBJECT" },
                "candidateCount": 1, "thinkingConfig": { "thinkingBudget": 1024 } },
        }),
        ClientDialect::BedrockConverse => json!({
            "system": [{ "text": "Be brief." }, { "cachePoint": { "type": "default" } }],
            "messages": [
                { "role": "user", "content": [
                    { "text": "Look" },
                    { "image": { "format": "png", "source": { "bytes": "AAAA" } } },
                    { "document": { "format": "pdf", "name": "a", "source": { "bytes": "AAAA" } } },
                    { "cachePoint": { "type": "default", "ttl": "1h" } },
                ] },
                { "role": "assistant", "content": [
                    { "reasoningContent": { "reasoningText": { "text": "hm", "signature": "s" } } },
                    { "toolUse": { "toolUseId": "t1", "name": "tide", "input": { "harbour": "Delfzijl" } } },
                ] },
                { "role": "user", "content": [
                    { "toolResult": { "toolUseId": "t1", "content": [{ "json": { "at": "03:12" } }], "status": "success" } },
                ] },
            ],
            "toolConfig": { "tools": [{ "toolSpec": { "name": "tide", "inputSchema": { "json": { "type": "object" } } } }],
                "toolChoice": { "auto": {} } },
            "inferenceConfig": { "maxTokens": 4000, "stopSequences": ["x"] },
            "additionalModelRequestFields": { "thinking": { "type": "enabled", "budget_tokens": 1024 } },
        }),
        _ => panic!("no requests are written in {client:?}"),
    }
}

#[test]
fn a_rich_request_is_one_for_every_backend_that_can_honour_it() {
    for (client, _) in PAIRS {
        let mut request = rich(client);
        // What some backend can't honour.
        if let Some(parts) = request.pointer_mut("/contents/0/parts") {
            parts.as_array_mut().unwrap().truncate(3);
        }
        let inbound = inbound(client, request.to_string().into()).unwrap();
        for host in ["openai", "anthropic"] {
            let endpoint = row(host).unwrap().endpoint(None, None, None).unwrap();
            let model = if host == "anthropic" { "claude-sonnet-4-5" } else { "gpt-4o" };
            let sent = endpoint.prepare(&inbound, model).unwrap_or_else(|error| panic!("{host}: {error}"));
            let body: Value = serde_json::from_slice(&sent.outbound.body).unwrap();
            assert_eq!(body["model"], model);
            assert_eq!(body["stream"], true, "{host}");
        }
    }
}

#[test]
fn what_a_backend_has_no_place_for_is_refused_by_name() {
    let gemini = ClientDialect::Gemini(tidegate_wire::client::StreamForm::Events);
    let contents = json!([{ "parts": [{ "text": "hi" }] }]);
    for (more, name) in [
        (json!({ "cachedContent": "cachedContents/1" }), "cachedContent"),
        (json!({ "generationConfig": { "speechConfig": {} } }), "generationConfig.speechConfig"),
        (
            json!({ "safetySettings": [{ "category": "C", "threshold": "BLOCK_LOW_AND_ABOVE" }] }),
            "safetySettings",
        ),
        (json!({ "tools": [{ "googleSearch": {} }] }), "tools[0]"),
        (json!({ "generationConfig": { "candidateCount": 2 } }), "n"),
        (
            json!({ "contents": [{ "parts": [{ "inlineData": { "mimeType": "video/mp4", "data": "AAAA" } }] }] }),
            "messages[0].content",
        ),
    ] {
        let mut request = json!({ "contents": contents });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let inbound = inbound(gemini, request.to_string().into()).unwrap();
        for host in ["anthropic", "bedrock"] {
            let endpoint = row(host).unwrap().endpoint(Some("http://localhost"), None, None).unwrap();
            let error = endpoint.prepare(&inbound, "anthropic.claude-sonnet-4-5").err().unwrap();
            assert_eq!(error.status(), 400, "{name}");
            let param = error.param().unwrap_or_default().to_owned();
            assert!(param.starts_with(name) || param == "max_tokens", "{host}: {name}: {param}: {error}");
        }
    }
}

#[test]
fn what_a_backend_has_no_place_for_of_converse_is_refused_by_name() {
    for (more, name) in [
        (
            json!({ "guardrailConfig": { "guardrailIdentifier": "g", "guardrailVersion": "1" } }),
            "guardrailConfig",
        ),
        (json!({ "promptVariables": { "a": { "text": "b" } } }), "promptVariables"),
        (
            json!({ "additionalModelRequestFields": { "anthropic_beta": ["x"] } }),
            "additionalModelRequestFields.anthropic_beta",
        ),
        (json!({ "inferenceConfig": { "minTokens": 1 } }), "inferenceConfig.minTokens"),
        (json!({ "toolConfig": { "tools": [{ "systemTool": { "name": "nova_grounding" } }] } }), "tools[0]"),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "video": { "format": "mp4", "source": { "bytes": "AAAA" } } }] }] }),
            "messages[0].content",
        ),
    ] {
        let mut request = json!({ "messages": [{ "role": "user", "content": [{ "text": "hi" }] }] });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let inbound = inbound(ClientDialect::BedrockConverse, request.to_string().into()).unwrap();
        for host in ["anthropic", "gemini"] {
            let endpoint = row(host).unwrap().endpoint(Some("http://localhost"), None, None).unwrap();
            let error = endpoint.prepare(&inbound, "claude-sonnet-4-5").err().unwrap();
            assert_eq!(error.status(), 400, "{name}");
            assert!(
                error.param().unwrap_or_default().starts_with(name),
                "{host}: {name}: {:?}: {error}",
                error.param()
            );
        }
    }
}

proptest! {
    #[test]
    fn no_prefix_or_mutation_of_a_request_panics(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        for (client, _) in PAIRS {
            let body = rich(client).to_string().into_bytes();
            let prefix = &body[..cut.index(body.len())];
            prop_assert!(inbound(client, prefix.to_vec().into()).is_err(), "a prefix is no request");
            let mut mutated = body.clone();
            let at = at.index(mutated.len());
            mutated[at] = byte;
            if let Ok(inbound) = inbound(client, mutated.into()) {
                let _ = inbound.decode();
            }
        }
    }

    /// Values of any type in every place.
    #[test]
    fn no_value_in_any_place_panics(place in any::<prop::sample::Index>(), value in 0..8_usize) {
        let values = [json!(null), json!(true), json!(-1), json!("x"), json!([]), json!({}), json!([{}]), json!({ "a": [1] })];
        for (client, _) in PAIRS {
            let mut request = rich(client);
            let mut pointers = Vec::new();
            pointers_of(&request, String::new(), &mut pointers);
            let pointer = &pointers[place.index(pointers.len())];
            *request.pointer_mut(pointer).unwrap() = values[value].clone();
            if let Ok(inbound) = inbound(client, request.to_string().into()) {
                let _ = inbound.decode();
            }
        }
    }
}

fn pointers_of(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                pointers_of(value, format!("{at}/{name}"), out);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                pointers_of(value, format!("{at}/{index}"), out);
            }
        }
        _ => {}
    }
    out.push(at);
}

/// Every recorded request of Gemini's is read; relayed it is the caller's own bytes.
#[test]
fn every_recorded_request_of_gemini_is_read_and_relayed_unchanged() {
    let Some(root) = corpus() else { return };
    let gemini = ClientDialect::Gemini(tidegate_wire::client::StreamForm::Events);
    let (mut read, mut odd) = (0, Vec::new());
    for provider in ["gemini", "vertex"] {
        let folder = root.join(provider);
        for entry in read_json(&folder.join("index.json")).as_array().unwrap() {
            let api = entry["api"].as_str().unwrap_or_default();
            if !api.to_ascii_lowercase().contains("generatecontent") {
                continue;
            }
            let Some(file) = entry["request_file"].as_str() else { continue };
            let body = Bytes::from(std::fs::read(folder.join(file)).unwrap());
            let Ok(request) = inbound(gemini, body.clone()) else {
                odd.push(file.to_owned());
                continue;
            };
            let endpoint = row("gemini").unwrap().endpoint(None, None, None).unwrap();
            assert_eq!(endpoint.prepare(&request, "m").unwrap().outbound.body, body, "{file}");
            match request.decode() {
                Ok(_) => read += 1,
                Err(error) => odd.push(format!("{file}: {error}")),
            }
        }
    }
    println!("gemini: {read} recorded requests read, {} refused: {odd:#?}", odd.len());
    assert!(read > 60, "{read}: {odd:#?}");
}

/// Every recorded request of Converse's is read, and written again as it was; relayed it is the caller's own bytes.
#[test]
fn every_recorded_request_of_converse_is_read_and_relayed_unchanged() {
    let Some(root) = corpus() else { return };
    let (mut read, mut odd) = (0, Vec::new());
    let folder = root.join("bedrock");
    for entry in read_json(&folder.join("index.json")).as_array().unwrap() {
        if !entry["api"].as_str().unwrap_or_default().starts_with("converse") {
            continue;
        }
        let Some(file) = entry["request_file"].as_str() else { continue };
        let body = Bytes::from(std::fs::read(folder.join(file)).unwrap());
        let request = match inbound(ClientDialect::BedrockConverse, body.clone()) {
            Ok(request) => request,
            Err(error) => {
                odd.push(format!("{file}: {error}"));
                continue;
            }
        };
        let endpoint = row("bedrock").unwrap().endpoint(Some("http://localhost"), None, None).unwrap();
        assert_eq!(endpoint.prepare(&request, "m").unwrap().outbound.body, body, "{file}");
        match request.decode() {
            Ok(_) => read += 1,
            Err(error) => odd.push(format!("{file}: {error}")),
        }
    }
    println!("bedrock: {read} recorded requests read, {} refused: {odd:#?}", odd.len());
    assert!(read > 60, "{read}: {odd:#?}");
}
