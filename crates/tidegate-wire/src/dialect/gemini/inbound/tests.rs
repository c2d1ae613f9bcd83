//! What becomes of a request's parts, as the hub has them.

use serde_json::{Value, json};

use super::decode_request;
use crate::{
    WireError,
    dialect::gemini::thought::{self, Carried},
    hub::{ChatRequest, Document, Image, Part, ReasoningEffort, ResponseFormat, Role, Source, ToolChoice},
};

fn decode(request: Value) -> Result<ChatRequest, WireError> {
    decode_request(request.to_string().as_bytes())
}

fn with(more: Value) -> ChatRequest {
    let mut request = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    decode(request).unwrap()
}

#[test]
fn functions_and_their_responses_meet_by_name_and_order_where_there_are_no_ids() {
    let call = |name: &str| json!({ "functionCall": { "name": name, "args": {} } });
    let response =
        |name: &str| json!({ "functionResponse": { "name": name, "response": { "result": name } } });
    let request = decode(json!({ "contents": [
        { "role": "user", "parts": [{ "text": "go" }] },
        { "role": "model", "parts": [call("a"), call("b"), call("a")] },
        { "role": "user", "parts": [response("b"), response("a"), response("a"), { "text": "and?" }] },
    ] }))
    .unwrap();
    let ids = |wanted: Role| -> Vec<&str> {
        let messages = request.messages.iter().filter(|message| message.role == wanted);
        messages
            .flat_map(|message| &message.parts)
            .filter_map(|part| match part {
                Part::ToolCall(call) => Some(&*call.id),
                Part::ToolResult(result) => Some(&*result.id),
                _ => None,
            })
            .collect()
    };
    assert_eq!(ids(Role::Assistant), ["call_0", "call_1", "call_2"]);
    assert_eq!(ids(Role::Tool), ["call_1", "call_0", "call_2"]);
    assert_eq!(request.messages.last().unwrap().parts, [Part::text("and?")], "results come first");
    let error = decode(json!({ "contents": [{ "parts": [response("a")] }] })).unwrap_err();
    assert_eq!(error.param(), Some("contents[0].parts[0].functionResponse"));
}

#[test]
fn the_pieces_of_a_streamed_turn_are_one_turn() {
    let signature = thought::write(&Carried::Signature("s".to_owned()));
    let piece = |part: Value| json!({ "role": "model", "parts": [part] });
    let request = decode(json!({ "contents": [
        { "parts": [{ "text": "go" }] },
        piece(json!({ "text": "I ", "thought": true })),
        piece(json!({ "text": "think", "thought": true })),
        piece(json!({ "text": "", "thought": true, "thoughtSignature": signature })),
        piece(json!({ "text": "Hel" })),
        piece(json!({ "text": "lo" })),
        piece(json!({ "text": "" })),
        { "parts": [{ "text": "on" }] },
    ] }))
    .unwrap();
    let [_, turn, _] = &*request.messages else { panic!("{:?}", request.messages) };
    let [Part::Reasoning(thought), Part::Text { text, .. }] = &*turn.parts else { panic!("{turn:?}") };
    assert_eq!((&*thought.text, thought.signature.as_deref(), &**text), ("I think", Some("s"), "Hello"));
}

#[test]
fn a_signature_of_another_gateway_or_of_gemini_is_left_out() {
    let part = json!({ "text": "hm", "thought": true, "thoughtSignature": "Q2lR_-==" });
    let request =
        decode(json!({ "contents": [{ "role": "model", "parts": [part] }, { "parts": [{ "text": "x" }] }] }));
    let request = request.unwrap();
    let Part::Reasoning(thought) = &request.messages[0].parts[0] else { panic!("{request:?}") };
    assert_eq!(thought.signature, None);
    assert_eq!(thought::read("Q2lR_-=="), None);
}

#[test]
fn media_is_read_in_either_spelling_and_alphabet() {
    let parts = json!([
        { "inline_data": { "mime_type": "image/png", "data": "_-8" } },
        { "inlineData": { "mimeType": "application/pdf", "data": "AAAA", "displayName": "a.pdf" } },
        { "fileData": { "fileUri": "https://x/y.png", "mimeType": "image/png" } },
        { "inlineData": { "mimeType": "video/mp4", "data": "AAAA" } },
    ]);
    let request = decode(json!({ "contents": { "parts": parts } })).unwrap();
    let base64 = |media_type: &str, data: &str| Source::Base64 {
        media_type: media_type.to_owned(),
        data: data.to_owned(),
    };
    assert_eq!(
        request.messages[0].parts[..3],
        [
            Part::Image(Image { source: base64("image/png", "/+8="), detail: None }),
            Part::Document(Document {
                source: base64("application/pdf", "AAAA"),
                name: Some("a.pdf".to_owned())
            }),
            Part::Image(Image { source: Source::Url("https://x/y.png".to_owned()), detail: None }),
        ]
    );
    assert!(matches!(request.messages[0].parts[3], Part::Opaque(_)), "the hub has no video");
}

#[test]
fn a_schema_of_googles_becomes_json_schema() {
    let schema = json!({ "type": "OBJECT", "propertyOrdering": ["a"], "required": ["a"], "properties": {
        "a": { "type": "ARRAY", "minItems": "2", "items": { "type": "STRING", "format": "enum", "enum": ["x"], "nullable": true } },
    } });
    let wanted = json!({ "type": "object", "required": ["a"], "properties": {
        "a": { "type": "array", "minItems": 2, "items": { "type": ["string", "null"], "enum": ["x", null] } },
    } });
    let request = with(json!({
        "tools": [{ "functionDeclarations": [{ "name": "f", "parameters": schema }] }],
        "generationConfig": { "responseMimeType": "application/json", "responseSchema": schema },
    }));
    assert_eq!(request.tools[0].parameters.as_ref(), Some(&wanted));
    let Some(ResponseFormat::JsonSchema { schema, .. }) = &request.response_format else {
        panic!("{request:?}")
    };
    assert_eq!(schema.as_ref(), Some(&wanted));
}

#[test]
fn settings_are_the_hubs_or_carried_by_their_paths() {
    let request = with(json!({
        "toolConfig": { "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["a", "b"] } },
        "tools": [{ "functionDeclarations": [{ "name": "a" }, { "name": "b" }, { "name": "c" }] }],
        "safetySettings": [{ "category": "X", "threshold": "BLOCK_NONE" }],
        "labels": { "team": "x" },
        "cachedContent": "cachedContents/1",
        "generationConfig": { "maxOutputTokens": 9, "topK": 4, "seed": -1, "responseLogprobs": true, "logprobs": 2,
            "thinkingConfig": { "thinkingLevel": "LOW", "includeThoughts": true }, "speechConfig": { "a": 1 } },
    }));
    assert_eq!(request.tool_choice, Some(ToolChoice::Required));
    let names: Vec<_> = request.tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["a", "b"], "the model is told of those that it may call");
    assert_eq!((request.limits.max_output_tokens, request.sampling.seed), (Some(9), Some(-1)));
    assert_eq!((request.sampling.logprobs, request.sampling.top_logprobs), (Some(true), Some(2)));
    assert_eq!(request.reasoning_effort, Some(ReasoningEffort::Low));
    let carried: Vec<_> = request.extras.keys().map(String::as_str).collect();
    assert_eq!(carried, ["generationConfig.speechConfig", "cachedContent"]);
}

#[test]
fn errors_name_the_path() {
    for (request, param) in [
        (json!({}), "contents"),
        (json!({ "contents": [{ "role": "system", "parts": [] }] }), "contents[0].role"),
        (json!({ "contents": [{ "parts": [{ "text": 1 }] }] }), "contents[0].parts[0].text"),
        (json!({ "contents": [{ "parts": [{}] }] }), "contents[0].parts[0].text"),
        (
            json!({ "contents": [{ "parts": [{ "inlineData": { "data": "" } }] }] }),
            "contents[0].parts[0].inlineData.mimeType",
        ),
        (
            json!({ "contents": [{ "parts": [{ "text": "" }] }], "generationConfig": { "topP": "x" } }),
            "generationConfig.topP",
        ),
    ] {
        assert_eq!(decode(request.clone()).unwrap_err().param(), Some(param), "{request}");
    }
}
