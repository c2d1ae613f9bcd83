//! Cohere's chat: every recorded reply against the corpus' digests, every recorded request through the hub and back, and the project's
//! own fixtures, a folder each: what came (`reply.sse` or `reply.json`) and what an openai-chat caller gets of it (`told.sse`,
//! `told.json`).
#![cfg(test)]

#[path = "support/recorded.rs"]
mod recorded;
#[path = "support/replies.rs"]
mod replies;
mod support;

use std::{fs, path::PathBuf};

use bytes::Bytes;
use http::HeaderMap;
use recorded::corpus;
use replies::{Outcome, run};
use serde_json::{Value, json};
use support::{cuttings, read_json};
use tidegate_wire::{
    ErrorClass,
    client::{ClientDialect, Operation},
    dialect::openai_chat::Inbound,
    host::{Dialect, Emulation, Endpoint, ReplyPlan, row},
    hub::Event,
};

struct Vector {
    id: String,
    status: u16,
    streaming: bool,
    body: Vec<u8>,
    request: Option<Value>,
    expected: Value,
}

fn plan(streaming: bool) -> ReplyPlan {
    ReplyPlan {
        client: ClientDialect::OpenaiChat,
        operation: Operation::Generate,
        dialect: Dialect::CohereChat,
        streaming,
        include_usage: true,
        choices: 1,
        model: "m".to_owned(),
        emulation: Emulation::default(),
        response: tidegate_wire::host::ResponseFacts::default(),
    }
}

impl Vector {
    fn events(&self, pieces: &[Bytes]) -> Outcome<Event> {
        run(plan(self.streaming).events(), pieces)
    }
}

/// All of the API's second version.
fn vectors() -> Vec<Vector> {
    let Some(root) = corpus() else { return Vec::new() };
    let folder = root.join("cohere");
    let expected = read_json(&folder.join("expect.json"));
    let index = read_json(&folder.join("index.json"));
    let chat = index.as_array().unwrap().iter().filter(|entry| entry["api"] == "v2-chat");
    chat.map(|entry| {
        let id = entry["id"].as_str().unwrap();
        let file = entry["response_file"].as_str().unwrap();
        let mut body = fs::read(folder.join(file)).unwrap();
        if file.ends_with(".jsonl") {
            let text = String::from_utf8(body).unwrap();
            let lines = text.lines().filter(|line| !line.is_empty());
            body = lines.map(|line| format!("data: {line}\n\n")).collect::<String>().into();
        }
        Vector {
            id: id.to_owned(),
            status: u16::try_from(entry["status"].as_u64().unwrap()).unwrap(),
            streaming: entry["streaming"] == true,
            body,
            request: entry["request_file"].as_str().map(|file| read_json(&folder.join(file))),
            expected: expected[id].clone(),
        }
    })
    .collect()
}

fn good_replies() -> impl Iterator<Item = Vector> {
    vectors().into_iter().filter(|vector| vector.status == 200)
}

/// What events say, in the form of the corpus' digests; the plan goes before the thoughts, as both are reasoning.
fn digest(events: &[Event]) -> Value {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let (mut calls, mut citations) = (Vec::<Value>::new(), 0);
    let (mut finish, mut usage) = (Value::Null, Value::Null);
    for event in events {
        match event {
            Event::Text { text: piece, .. } => text.push_str(piece),
            Event::Reasoning { text: piece, .. } => reasoning.push_str(piece),
            Event::ToolCallStart { id, name, .. } => {
                calls.push(json!({ "id": id, "name": name, "arguments": "" }))
            }
            Event::ToolCallArguments { index, fragment, .. } => {
                let before = calls[*index as usize]["arguments"].as_str().unwrap().to_owned();
                calls[*index as usize]["arguments"] = (before + fragment).into();
            }
            Event::ChoiceExtra { name: "delta.annotations", value, .. } => {
                citations += value.as_array().unwrap().len();
            }
            Event::Finish { reason, .. } => finish = reason.as_openai().into(),
            Event::Usage(seen) => usage = serde_json::from_str(seen.raw.as_deref().unwrap()).unwrap(),
            _ => {}
        }
    }
    json!({ "text": text, "reasoning": reasoning, "tool_calls": calls, "finish_reason": finish, "usage": usage,
        "citations": citations })
}

fn check(vector: &Vector, said: &Value) {
    let (id, expected) = (&vector.id, &vector.expected);
    let text = |name: &str| expected[name].as_str().unwrap_or_default();
    assert_eq!(said["text"], text("text"), "{id}");
    assert_eq!(said["reasoning"], format!("{}{}", text("tool_plan"), text("thinking")), "{id}");
    assert_eq!(said["usage"], expected["usage"], "{id}");
    if vector.streaming {
        assert_eq!(said["citations"], expected["citations"], "{id}");
    }
    let finish = match text("finish_reason") {
        "COMPLETE" | "STOP_SEQUENCE" => "stop",
        "TOOL_CALL" => "tool_calls",
        "MAX_TOKENS" => "length",
        other => panic!("{id}: no recording had {other:?}"),
    };
    assert_eq!(said["finish_reason"], finish, "{id}");
    let mut calls = expected["tool_calls"].clone();
    for call in calls.as_array_mut().unwrap() {
        if call["arguments"] == "" {
            call["arguments"] = "{}".into();
        }
    }
    assert_eq!(said["tool_calls"], calls, "{id}");
}

#[test]
fn every_reply_decodes_to_its_digest_however_it_is_split() {
    let (mut streams, mut whole_replies) = (0, 0);
    for vector in good_replies() {
        let cuttings = cuttings(&vector.body, 1);
        let whole = vector.events(&cuttings[0]);
        assert_eq!(whole.result, Ok(()), "{}", vector.id);
        assert_eq!(whole.items.last(), Some(&Event::End), "{}", vector.id);
        check(&vector, &digest(&whole.items));
        assert!(whole.progress.usage_final && whole.progress.ended, "{}", vector.id);
        for pieces in &cuttings[1..] {
            let split = vector.events(pieces);
            assert_eq!(split.items, whole.items, "{}", vector.id);
            assert_eq!(split.progress, whole.progress, "{}", vector.id);
        }
        *(if vector.streaming { &mut streams } else { &mut whole_replies }) += 1;
    }
    println!("cohere: {streams} streams and {whole_replies} whole replies checked in 6 splittings each");
}

/// The size of prompt and answer, not what is billed: what was cached is a part of the former only.
#[test]
fn usage_is_normalised() {
    let mut checked = 0;
    for vector in good_replies() {
        let usage = vector.events(&[vector.body.clone().into()]).progress.usage.unwrap();
        let counts = &vector.expected["usage"];
        let tokens = |name: &str| counts["tokens"][name].as_u64();
        let prompt = tokens("input_tokens").unwrap() + tokens("image_tokens").unwrap_or(0);
        assert_eq!(usage.prompt_tokens, prompt, "{}", vector.id);
        assert_eq!(Some(usage.completion_tokens), tokens("output_tokens"), "{}", vector.id);
        assert_eq!(usage.reasoning_tokens, tokens("reasoning_tokens"), "{}", vector.id);
        assert_eq!(usage.cached_tokens, counts["cached_tokens"].as_u64(), "{}", vector.id);
        assert!(usage.cached_tokens.unwrap_or(0) <= usage.prompt_tokens, "{}", vector.id);
        assert!(usage.reasoning_tokens.unwrap_or(0) <= usage.completion_tokens, "{}", vector.id);
        checked += 1;
    }
    println!("cohere: {checked} usage objects");
}

#[test]
fn an_openai_chat_caller_is_told_the_same() {
    for vector in good_replies() {
        let pieces = [Bytes::from(vector.body.clone())];
        let told = run(plan(vector.streaming).reply("id", 1), &pieces);
        assert_eq!(told.result, Ok(()), "{}", vector.id);
        let chat = ReplyPlan { dialect: Dialect::OpenaiChat, ..plan(vector.streaming) };
        let heard = run(chat.events(), &[told.bytes().into()]);
        assert_eq!(heard.result, Ok(()), "{}", vector.id);
        let answer = |events: &[Event]| {
            let mut digest = digest(events);
            digest["usage"] = Value::Null;
            digest
        };
        assert_eq!(answer(&vector.events(&pieces).items), answer(&heard.items), "{}", vector.id);
        assert_eq!(
            told.progress.usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)),
            heard.progress.usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)),
            "{}",
            vector.id
        );
    }
}

#[test]
fn o5_no_proper_prefix_is_a_success() {
    let mut checked = 0;
    for vector in good_replies() {
        // A stream is over with its last event's first line end; a document with its last byte.
        let last = if vector.streaming {
            memchr::memmem::rfind(&vector.body, b"message-end\"").unwrap()
        } else {
            vector.body.len() - 3
        };
        for end in (0..=last).step_by(if vector.body.len() > 5_000 { 13 } else { 3 }) {
            let cut = [Bytes::copy_from_slice(&vector.body[..end])];
            let outcome = vector.events(&cut);
            let class = outcome.result.unwrap_err().class();
            assert_eq!(class, ErrorClass::Truncated, "{} at {end}", vector.id);
            assert!(
                !outcome.items.iter().any(|event| matches!(event, Event::Finish { .. })),
                "{}",
                vector.id
            );
            checked += 1;
        }
    }
    println!("cohere: {checked} prefixes");
}

/// Fields and events that nobody knows yet, at every level.
#[test]
fn unknown_fields_and_events_survive() {
    for vector in good_replies() {
        let text = String::from_utf8(vector.body.clone()).unwrap();
        let marked = text
            .replace("\"message\":{", "\"message\":{\"new\":[{\"a\":1}],")
            .replace("\"usage\":", "\"newer\":null,\"usage\":")
            .replace(
                "{\"type\":\"content-end\"",
                "{\"type\":\"content-audit\",\"delta\":7}\n\ndata: {\"type\":\"content-end\"",
            );
        let outcome = vector.events(&[marked.into()]);
        assert_eq!(outcome.result, Ok(()), "{}", vector.id);
        check(&vector, &digest(&outcome.items));
    }
}

fn endpoint() -> Endpoint {
    row("cohere").unwrap().endpoint(None, None, None).unwrap()
}

#[test]
fn every_refusal_keeps_coheres_message_and_says_whose_fault_it_is() {
    let mut checked = 0;
    for vector in vectors().into_iter().filter(|vector| vector.status != 200) {
        let error = endpoint().decode_error(vector.status, &HeaderMap::new(), &vector.body);
        let told = vector.expected["body"]["message"].as_str().unwrap();
        assert_eq!(error.upstream_status(), Some(vector.status), "{}", vector.id);
        match vector.status {
            401 => {
                assert_eq!(error.class(), ErrorClass::UpstreamAuth);
                assert_eq!(error.message(), "the backend refused the gateway's credentials (HTTP 401)");
            }
            400 => assert_eq!((error.class(), error.message()), (ErrorClass::ContextLength, told)),
            other => panic!("no recording had {other}"),
        }
        checked += 1;
    }
    println!("cohere: {checked} recorded refusals");
    let body = br#"{"id":"x","message":"said"}"#;
    for (status, class) in [
        (404, ErrorClass::NotFound),
        (422, ErrorClass::BadRequest),
        (429, ErrorClass::RateLimited),
        (499, ErrorClass::UpstreamBroke),
        (500, ErrorClass::UpstreamBroke),
        (503, ErrorClass::Overloaded),
    ] {
        let error = endpoint().decode_error(status, &HeaderMap::new(), body);
        assert_eq!((error.class(), error.message()), (class, "said"), "{status}");
        assert_eq!(error.upstream_status(), Some(status));
    }
}

/// As an OpenAI client would have said the same.
fn as_openai(recorded: &Value) -> Value {
    let mut request = recorded.clone();
    if let Some(choice) = request.get("tool_choice").and_then(Value::as_str) {
        request["tool_choice"] = choice.to_lowercase().into();
    }
    if let Some(schema) = request.pointer("/response_format/json_schema").cloned() {
        request["response_format"] =
            json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": schema } });
    }
    for (own, openai) in [("stop_sequences", "stop"), ("p", "top_p"), ("k", "top_k")] {
        if let Some(value) = request.as_object_mut().unwrap().shift_remove(own) {
            request[openai] = value;
        }
    }
    request
}

/// One text is written as a string, and nothing as nothing.
fn normal(recorded: &Value) -> Value {
    let mut request = recorded.clone();
    request["stream"] = (request["stream"] == true).into();
    for message in request["messages"].as_array_mut().unwrap() {
        let calls = message.get("tool_calls").is_some();
        let content = message["content"].take();
        let content = match content.as_array().map(Vec::as_slice) {
            Some([only]) if only["type"] == "text" => only["text"].clone(),
            _ => content,
        };
        match content.is_null() && calls {
            true => drop(message.as_object_mut().unwrap().shift_remove("content")),
            false => message["content"] = content,
        }
    }
    request
}

#[test]
fn every_recorded_request_survives_the_hub() {
    let mut checked = 0;
    for vector in vectors() {
        let Some(recorded) = &vector.request else { continue };
        let inbound = Inbound::parse(as_openai(recorded).to_string().into()).unwrap();
        let model = recorded["model"].as_str().unwrap();
        let sent =
            endpoint().prepare(&inbound, model).unwrap_or_else(|error| panic!("{}: {error}", vector.id));
        let sent: Value = serde_json::from_slice(&sent.outbound.body).unwrap();
        assert_eq!(sent, normal(recorded), "{}", vector.id);
        checked += 1;
    }
    println!("cohere: {checked} recorded requests");
}

#[test]
fn a_base_url_may_name_the_version_or_all_of_the_path() {
    let inbound =
        Inbound::parse(Bytes::from_static(br#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#))
            .unwrap();
    for base in [None, Some("https://api.cohere.com/v2/"), Some("https://api.cohere.com/v2/chat")] {
        let endpoint = row("cohere_chat").unwrap().endpoint(base, None, None).unwrap();
        let outbound = endpoint.prepare(&inbound, "m").unwrap().outbound;
        assert_eq!(outbound.uri, "https://api.cohere.com/v2/chat");
        assert_eq!(outbound.headers["accept"], "application/json");
    }
}

#[test]
fn every_fixture_is_told_as_expected_however_it_is_split() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cohere-chat");
    let mut checked = 0;
    for entry in fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let streaming = folder.join("reply.sse").is_file();
        let end = if streaming { "sse" } else { "json" };
        let body = fs::read(folder.join(format!("reply.{end}"))).unwrap();
        for pieces in cuttings(&body, 8) {
            let mut told = run(plan(streaming).reply("id", 1), &pieces);
            assert!(told.progress.usage.is_some() || !name.ends_with("usage_counts"), "{name}");
            // As the engine does: an error becomes the stream's last event, or a status and a body.
            let mut bytes = told.bytes();
            if let Err(error) = std::mem::replace(&mut told.result, Ok(())) {
                let class = format!("{:?}: {}\n", error.class(), error.message());
                bytes.extend_from_slice(class.as_bytes());
            }
            let expected = folder.join(format!("told.{end}"));
            let told = String::from_utf8(bytes).unwrap();
            match fs::read_to_string(&expected) {
                Ok(expected) => assert_eq!(told, expected, "{name}"),
                Err(_) if std::env::var_os("TIDEGATE_WRITE_FIXTURES").is_some() => {
                    fs::write(expected, told).unwrap()
                }
                Err(error) => panic!("{name}: {error}"),
            }
        }
        checked += 1;
    }
    println!("cohere: {checked} own fixtures");
}

/// Recorded replies broken at will: whatever comes is an error or an answer, and nothing panics.
#[test]
fn no_bytes_break_the_decoder() {
    let mut random = support::Seeded::new(23);
    let own = br#"data: {"type":"tool-call-start","index":1,"delta":{"message":{"tool_calls":{"id":"a","function":{"name":"f","arguments":"{"}}}}}"#;
    let seeds = good_replies().map(|vector| vector.body).filter(|body| body.len() < 6000);
    for mut body in seeds.chain([[&own[..], b"\n\n"].concat()]) {
        for _ in 0..40 {
            let at = random.below(body.len());
            body[at] = b"{}[]\",:0a\n$."[random.below(12)];
            for streaming in [true, false] {
                let outcome = run(plan(streaming).events(), &[body.clone().into()]);
                let ended = outcome.items.last() == Some(&Event::End);
                assert_eq!(outcome.result.is_ok(), ended, "an end, or an error");
            }
        }
    }
}
