use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{ResponsesEncoder, decode_request, kept};
use crate::{
    ErrorClass,
    client::{ClientDialect, Inbound, Outside},
    dialect::Encoder,
    host::{Endpoint, KeptOperation, ResponsesUse, row},
    hub::{Event, FinishReason, ToolKind},
};

fn inbound(fields: Value) -> Inbound {
    let mut body = json!({ "model": "m", "input": "Hello" });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Inbound::read(Outside::of(ClientDialect::OpenaiResponses), body.to_string().into()).unwrap()
}

fn at(host: &str) -> Endpoint {
    let base = (host == "azure").then_some("https://r.openai.azure.com");
    row(host).unwrap().endpoint(base, Some("eu-west-1"), None).unwrap()
}

fn sent(host: &str, model: &str, fields: Value) -> Value {
    serde_json::from_slice(&at(host).prepare(&inbound(fields), model).unwrap().outbound.body).unwrap()
}

#[test]
fn a_request_is_relayed_to_a_host_that_has_the_api() {
    let body = r#"{ "input": [], "model":"openai/x", "brand_new": [1.50], "background": true }"#;
    let asked = Inbound::read(Outside::of(ClientDialect::OpenaiResponses), body.into()).unwrap();
    let prepared = at("openai").prepare(&asked, "gpt-6").unwrap();
    assert_eq!(prepared.outbound.body, body.replace("openai/x", "gpt-6"));
    assert_eq!(prepared.outbound.uri, "https://api.openai.com/v1/responses");
    let azure = at("azure").prepare(&asked, "d").unwrap();
    assert_eq!(azure.outbound.uri, "https://r.openai.azure.com/openai/v1/responses");
}

#[test]
fn an_operator_may_have_requests_translated() {
    let mut endpoint = at("openai");
    endpoint.responses = ResponsesUse::Never;
    let prepared = endpoint.prepare(&inbound(json!({})), "gpt-4o").unwrap();
    assert_eq!(prepared.outbound.uri, "https://api.openai.com/v1/chat/completions");
}

/// To a chat backend, in the terms of chat completions.
#[test]
fn a_translated_request_says_all_that_it_said() {
    let body = sent(
        "mistral",
        "mistral-large",
        json!({
            "instructions": "Be brief.",
            "input": [
                { "role": "developer", "content": "In Dutch." },
                { "role": "user", "content": [
                    { "type": "input_text", "text": "What is it?" },
                    { "type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "low" },
                    { "type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE" },
                ] },
                { "type": "reasoning", "id": "rs_1", "summary": [{ "type": "summary_text", "text": "Hm." }], "encrypted_content": "gAAAAx" },
                { "type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{ "type": "output_text", "text": "Looking.", "annotations": [], "logprobs": [] }] },
                { "type": "function_call", "id": "fc_1", "call_id": "a", "name": "look", "arguments": "{\"x\":1.50}", "status": "completed" },
                { "type": "function_call_output", "call_id": "a", "output": "A cat." },
            ],
            "tools": [{ "type": "function", "name": "look", "description": "Looks.", "parameters": { "type": "object" }, "strict": true }],
            "tool_choice": { "type": "function", "name": "look" },
            "text": { "format": { "type": "json_schema", "name": "answer", "schema": { "type": "object" }, "strict": true }, "verbosity": "low" },
            "reasoning": { "effort": "high", "summary": "auto" },
            "max_output_tokens": 70, "temperature": 0.5, "stream": true, "store": false,
            "include": ["reasoning.encrypted_content"], "metadata": { "a": "b" }, "truncation": "disabled",
        }),
    );
    let schema = json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": { "type": "object" }, "strict": true } });
    for (name, value) in [
        (
            "messages",
            json!([
                { "role": "system", "content": "Be brief." },
                { "role": "developer", "content": "In Dutch." },
                { "role": "user", "content": [
                    { "type": "text", "text": "What is it?" },
                    { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBO", "detail": "low" } },
                    { "type": "file", "file": { "file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf" } },
                ] },
                { "role": "assistant", "content": "Looking.", "reasoning_content": "Hm.",
                  "tool_calls": [{ "id": "a", "type": "function", "function": { "name": "look", "arguments": "{\"x\":1.50}" } }] },
                { "role": "tool", "tool_call_id": "a", "content": "A cat." },
            ]),
        ),
        (
            "tools",
            json!([{ "type": "function", "function": { "name": "look", "description": "Looks.", "parameters": { "type": "object" }, "strict": true } }]),
        ),
        ("tool_choice", json!({ "type": "function", "function": { "name": "look" } })),
        ("response_format", schema),
        ("verbosity", json!("low")),
        ("reasoning_effort", json!("high")),
        ("max_tokens", json!(70)),
        ("temperature", json!(0.5)),
        ("stream", json!(true)),
        ("metadata", json!({ "a": "b" })),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    let fields: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields.len(), 12, "nothing else but the wish for usage: {fields:?}");
}

#[test]
fn what_somebody_would_have_to_keep_is_refused_by_name_where_nobody_does() {
    for (fields, param) in [
        (json!({ "previous_response_id": "resp_1" }), "previous_response_id"),
        (json!({ "conversation": "conv_1" }), "conversation"),
        (json!({ "prompt": { "id": "p" } }), "prompt"),
        (json!({ "background": true }), "background"),
        (json!({ "store": true }), "store"),
        (json!({ "truncation": "auto" }), "truncation"),
        (json!({ "top_logprobs": 2 }), "top_logprobs"),
        (json!({ "include": ["message.output_text.logprobs"] }), "include[0]"),
        (json!({ "input": [{ "type": "item_reference", "id": "rs_1" }] }), "input[0]"),
        (json!({ "input": [{ "type": "function_call", "name": "f" }] }), "input[0].call_id"),
        (json!({ "input": [{ "role": "king", "content": "x" }] }), "input[0].role"),
        (
            json!({ "input": [{ "role": "user", "content": [{ "type": "input_text" }] }] }),
            "input[0].content[0].text",
        ),
        (json!({ "tools": [{ "name": "f" }] }), "tools[0].type"),
    ] {
        let error = at("anthropic").prepare(&inbound(fields.clone()), "claude-sonnet-5").err().unwrap();
        assert_eq!((error.class(), error.param()), (ErrorClass::BadRequest, Some(param)), "{fields}");
    }
    for (body, param) in [
        (json!({ "model": "m" }), "input"),
        (json!({ "model": "m", "input": 7 }), "input"),
        (json!({ "input": "x" }), "model"),
    ] {
        let read = Inbound::read(Outside::of(ClientDialect::OpenaiResponses), body.to_string().into());
        assert_eq!(read.unwrap_err().param(), Some(param), "{body}");
    }
}

/// What a backend signs comes back to it as it was; and a caller can't tell it from OpenAI's own.
#[test]
fn signatures_of_any_backend_survive_a_turn() {
    let mut encoder = ResponsesEncoder::new("call_01", 1, "m", "", false);
    let mut out = Vec::new();
    for event in [
        Event::Reasoning { choice: 0, text: "First.".into() },
        Event::ReasoningSignature { choice: 0, signature: "c2ln".into() },
        Event::ReasoningRedacted { choice: 0, data: "ZW5j".into() },
        Event::Text { choice: 0, text: "Looking.".into() },
        Event::ToolCallStart {
            choice: 0,
            index: 0,
            id: "a".into(),
            name: "look".into(),
            kind: ToolKind::Function,
        },
        Event::ToolCallArguments { choice: 0, index: 0, fragment: "{}".into() },
        Event::Finish { choice: 0, reason: FinishReason::ToolCalls },
        Event::End,
    ] {
        encoder.event(&event, &mut out);
    }
    let response: Value = serde_json::from_slice(&out).unwrap();
    let mut input = vec![json!({ "role": "user", "content": "Well?" })];
    input.extend(response["output"].as_array().unwrap().iter().cloned());
    input.push(json!({ "type": "function_call_output", "call_id": "a", "output": "A cat." }));
    let body = sent("anthropic", "claude-sonnet-5", json!({ "input": input }));
    assert_eq!(
        body["messages"][1]["content"],
        json!([
            { "type": "thinking", "thinking": "First.", "signature": "c2ln" },
            { "type": "redacted_thinking", "data": "ZW5j" },
            { "type": "text", "text": "Looking." },
            { "type": "tool_use", "id": "a", "name": "look", "input": {} },
        ])
    );
    let foreign = json!({ "type": "reasoning", "summary": [], "encrypted_content": "gAAAAx" });
    let body = json!({ "model": "m", "input": [foreign, { "role": "user", "content": "x" }] });
    let request = decode_request(body.to_string().as_bytes()).unwrap();
    assert!(!format!("{:?}", request.messages).contains("gAAAAx"), "OpenAI's own is of no use elsewhere");
}

#[test]
fn an_answer_that_was_cut_off_is_incomplete() {
    for (reason, why) in
        [(FinishReason::Length, "max_output_tokens"), (FinishReason::ContentFilter, "content_filter")]
    {
        let mut encoder = ResponsesEncoder::new("call_01", 1, "m", "", false);
        let mut out = Vec::new();
        encoder.event(&Event::Text { choice: 0, text: "So".into() }, &mut out);
        encoder.event(&Event::Finish { choice: 0, reason }, &mut out);
        encoder.event(&Event::End, &mut out);
        let response: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(response["status"], "incomplete");
        assert_eq!(response["incomplete_details"], json!({ "reason": why }));
        assert_eq!(response["output"][0]["status"], "incomplete");
    }
}

#[test]
fn an_error_in_the_middle_is_an_event_and_a_response_that_failed() {
    let mut encoder = ResponsesEncoder::new("call_01", 1, "m", "", true);
    let mut out = Vec::new();
    encoder.event(&Event::Text { choice: 0, text: "So".into() }, &mut out);
    encoder.event(&Event::Error(crate::WireError::truncated("cut")), &mut out);
    encoder.event(&Event::End, &mut out);
    let text = String::from_utf8(out).unwrap();
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let [.., error, failed] = events.as_slice() else { panic!("{text}") };
    assert_eq!(error["type"], "error");
    assert_eq!(error["error"]["code"], "upstream_truncated");
    assert_eq!(failed["type"], "response.failed");
    assert_eq!(failed["response"]["error"], json!({ "code": "server_error", "message": "cut" }));
    assert_eq!(failed["sequence_number"], events.len() - 1);
}

/// The caller's id says which host keeps the response; the host gets its own.
#[test]
fn a_kept_response_is_continued_where_it_is_kept() {
    let marked = kept::mark("resp_1", "openai");
    assert_eq!(marked, "resp_1.openai");
    let body = sent("openai", "gpt-6", json!({ "previous_response_id": marked }));
    assert_eq!(body["previous_response_id"], "resp_1");
    assert_eq!(
        sent("openai", "gpt-6", json!({ "previous_response_id": "resp_1" }))["previous_response_id"],
        "resp_1"
    );
    let elsewhere = at("xai").prepare(&inbound(json!({ "previous_response_id": marked })), "grok-4");
    assert_eq!(elsewhere.err().unwrap().param(), Some("previous_response_id"));
    for host in ["azure-eu", "llama.cpp", "a_b~c", "größe"] {
        let marked = kept::mark("resp_1", host);
        assert!(
            marked.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_~.".contains(&byte)),
            "{marked}"
        );
        assert_eq!(kept::split(&marked), Some((host.to_owned(), "resp_1")));
    }
    assert_eq!(kept::split("resp_1"), None);
    assert_eq!(kept::split("resp_1.a~zz"), None);
}

#[test]
fn only_what_is_kept_is_marked() {
    let kept_by =
        |fields: Value| at("openai").prepare(&inbound(fields), "gpt-6").unwrap().plan.response.kept_by;
    assert_eq!(kept_by(json!({})).as_deref(), Some("openai"), "the API keeps by default");
    assert_eq!(kept_by(json!({ "store": false })), None);
    let translated = at("anthropic").prepare(&inbound(json!({})), "claude-sonnet-5").unwrap();
    assert_eq!(translated.plan.response.kept_by, None);
}

#[test]
fn a_kept_response_is_asked_for_by_nothing_else_of_the_path_or_query() {
    let uri = |host: &str, id: &str, query: &str| {
        let prepared = at(host).prepare_kept(KeptOperation::Retrieve, id, Some(query));
        prepared.map(|prepared| (prepared.outbound.uri.to_string(), prepared.plan.streaming))
    };
    for id in ["..", "../files/f", "a/../..", "..\\files", "%2e%2e", "a?b", "a#b", "a\nb", "a b", "\u{fffd}"]
    {
        assert_eq!(uri("openai", id, "").expect_err(id).param(), Some("response_id"));
    }
    let resp = "https://api.openai.com/v1/responses/resp_1".to_owned();
    let keys = "key=sk&api-key=sk&Api%2DKey=sk&access_token=sk&api-version=2020-01-01";
    assert_eq!(uri("openai", "resp_1", keys).unwrap(), (resp.clone(), false));
    let asked = uri("openai", "resp_1", "key=sk&include[]=a&stream=%74rue").unwrap();
    assert_eq!(asked, (format!("{resp}?include[]=a&stream=%74rue"), true));
}

/// A stream that is read again from its middle on has not begun what it goes on with, and is paid for.
#[test]
fn a_resumed_stream_is_relayed_from_where_it_begins() {
    let query = Some("stream=true&starting_after=7");
    let prepared = at("openai").prepare_kept(KeptOperation::Retrieve, "resp_1", query).unwrap();
    assert_eq!(
        prepared.outbound.uri,
        "https://api.openai.com/v1/responses/resp_1?stream=true&starting_after=7"
    );
    assert_eq!(prepared.outbound.method, http::Method::GET);
    let mut reply = prepared.plan.reply("id", 1);
    let mut items = VecDeque::new();
    let piece = "event: response.function_call_arguments.delta\ndata: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":1,\"delta\":\"{}\"}\n\n";
    let last = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":5,\"output_tokens\":2}}}\n\n";
    reply.push(format!("{piece}{last}").into(), &mut items).unwrap();
    reply.finish(&mut items).unwrap();
    let sent = items.iter().map(|item| std::str::from_utf8(item).unwrap()).collect::<String>();
    assert_eq!(sent, format!("{piece}{}", last.replace("resp_1", "resp_1.openai")));
    let progress = reply.progress();
    assert!(progress.ended && progress.content_events == 0);
    assert_eq!(progress.usage.as_ref().map(|usage| usage.completion_tokens), Some(0));
}
