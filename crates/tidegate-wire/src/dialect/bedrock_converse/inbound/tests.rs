//! What becomes of a request's blocks and settings, as the hub has them.

use serde_json::{Value, json};

use super::decode_request;
use crate::{
    WireError,
    hub::{
        CachePoint, ChatRequest, Document, Image, Part, Reasoning, ReasoningEffort, ResponseFormat, Role,
        Source, ToolChoice,
    },
};

fn decode(request: Value) -> Result<ChatRequest, WireError> {
    decode_request(request.to_string().as_bytes())
}

fn with(more: Value) -> ChatRequest {
    let mut request = json!({ "messages": [{ "role": "user", "content": [{ "text": "hi" }] }] });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    decode(request).unwrap()
}

fn parts(content: Value) -> Vec<Part> {
    let request = decode(json!({ "messages": [{ "role": "user", "content": content }] })).unwrap();
    request.messages.into_iter().flat_map(|message| message.parts).collect()
}

#[test]
fn blocks_are_parts() {
    let base64 = |media_type: &str, data: &str| Source::Base64 {
        media_type: media_type.to_owned(),
        data: data.to_owned(),
    };
    let read = parts(json!([
        { "text": "a" },
        { "image": { "format": "jpeg", "source": { "bytes": "AAAA" } } },
        { "image": { "format": "png", "source": { "s3Location": { "uri": "s3://b/k", "bucketOwner": "1" } } } },
        { "document": { "format": "md", "name": "notes", "source": { "text": "hi" }, "citations": { "enabled": false } } },
        { "cachePoint": { "type": "default", "ttl": "1h" } },
        { "reasoningContent": { "reasoningText": { "text": "hm", "signature": "s" } } },
        { "reasoningContent": { "redactedContent": "AAAA" } },
        { "citationsContent": { "content": [{ "text": "x" }, { "text": "y" }], "citations": [{}] } },
    ]));
    assert_eq!(
        read,
        [
            Part::text("a"),
            Part::Image(Image { source: base64("image/jpeg", "AAAA"), detail: None }),
            Part::Image(Image { source: Source::Url("s3://b/k".to_owned()), detail: None }),
            Part::Document(Document {
                source: base64("text/markdown", "aGk="),
                name: Some("notes.md".to_owned())
            }),
            Part::CachePoint(CachePoint { ttl: Some("1h".to_owned()) }),
            Part::Reasoning(Reasoning {
                text: "hm".to_owned(),
                signature: Some("s".to_owned()),
                redacted: None
            }),
            Part::Reasoning(Reasoning { redacted: Some("AAAA".to_owned()), ..Reasoning::default() }),
            Part::text("xy"),
        ]
    );
    // What the hub has no place for is carried whole.
    for block in [
        json!({ "video": { "format": "mp4", "source": { "bytes": "AAAA" } } }),
        json!({ "guardContent": { "text": { "text": "x" } } }),
        json!({ "document": { "format": "pdf", "name": "a", "source": { "bytes": "AAAA" }, "citations": { "enabled": true } } }),
    ] {
        assert_eq!(parts(json!([block])), [Part::Opaque(block)]);
    }
}

#[test]
fn results_of_tools_are_messages_of_their_own_and_come_first() {
    let result = |id: &str, status: &str| json!({ "toolResult": { "toolUseId": id, "status": status, "content": [{ "json": { "a": 1 } }, { "text": "x" }] } });
    let request = decode(json!({ "messages": [
        { "role": "assistant", "content": [{ "toolUse": { "toolUseId": "t", "name": "f", "input": { "n": 1.50 } } }] },
        { "role": "user", "content": [{ "text": "and?" }, result("t", "error"), result("u", "success")] },
    ] }))
    .unwrap();
    let roles: Vec<_> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::Assistant, Role::Tool, Role::Tool, Role::User]);
    let Part::ToolCall(call) = &request.messages[0].parts[0] else { panic!("{request:?}") };
    assert_eq!((&*call.id, &*call.name, &*call.arguments), ("t", "f", r#"{"n":1.5}"#));
    let Part::ToolResult(first) = &request.messages[1].parts[0] else { panic!("{request:?}") };
    assert_eq!((&*first.id, first.is_error), ("t", Some(true)));
    assert_eq!(first.parts, [Part::text(r#"{"a":1}"#), Part::text("x")]);
}

#[test]
fn settings_are_the_hubs_or_carried_by_their_paths() {
    let request = with(json!({
        "inferenceConfig": { "maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"] },
        "toolConfig": {
            "tools": [
                { "toolSpec": { "name": "f", "description": "d", "inputSchema": { "json": { "type": "object" } } } },
                { "cachePoint": { "type": "default" } },
            ],
            "toolChoice": { "tool": { "name": "f" } },
        },
        "additionalModelRequestFields": { "top_k": 4, "thinking": { "type": "enabled", "budget_tokens": 3000 }, "more": 1 },
        "outputConfig": { "textFormat": { "type": "json_schema", "structure": { "jsonSchema": { "name": "n", "schema": "{\"type\":\"object\"}" } } } },
        "requestMetadata": { "team": "x" },
        "serviceTier": { "type": "flex" },
        "performanceConfig": { "latency": "optimized" },
        "guardrailConfig": { "guardrailIdentifier": "g" },
    }));
    assert_eq!((request.limits.max_output_tokens, &*request.limits.stop), (Some(9), &["x".to_owned()][..]));
    assert_eq!(request.sampling.top_k, Some(4.into()));
    assert_eq!(request.reasoning_effort, Some(ReasoningEffort::Medium));
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".to_owned())));
    assert_eq!(request.tools[0].cache_point, Some(CachePoint { ttl: None }));
    let Some(ResponseFormat::JsonSchema { schema, .. }) = &request.response_format else {
        panic!("{request:?}")
    };
    assert_eq!(schema, &Some(json!({ "type": "object" })));
    assert_eq!(request.metadata["team"], "x");
    let carried: Vec<_> = request.extras.keys().map(String::as_str).collect();
    assert_eq!(carried, ["service_tier", "additionalModelRequestFields.more", "guardrailConfig"]);
}

#[test]
fn errors_name_the_path() {
    let user = |content: Value| json!({ "messages": [{ "role": "user", "content": content }] });
    for (request, param) in [
        (json!({}), "messages"),
        (json!({ "messages": [{ "content": [] }] }), "messages[0].role"),
        (user(json!("text")), "messages[0].content"),
        (user(json!([{ "text": "a", "image": {} }])), "messages[0].content[0]"),
        (user(json!([{ "image": { "source": {} } }])), "messages[0].content[0].image.format"),
        (user(json!([{ "toolResult": {} }])), "messages[0].content[0].toolResult.toolUseId"),
        (json!({ "messages": [], "inferenceConfig": { "topP": "x" } }), "inferenceConfig.topP"),
        (json!({ "messages": [], "toolConfig": { "toolChoice": {} } }), "toolConfig.toolChoice"),
    ] {
        assert_eq!(decode(request.clone()).unwrap_err().param(), Some(param), "{request}");
    }
}
