//! Ollama's own chat: every recorded reply against the corpus' digests, every recorded request through the hub and back, and the
//! project's own fixtures, a folder each: what came (`reply.ndjson` or `reply.json`) and what an openai-chat caller gets of it
//! (`told.sse`, `told.json`).
//!
//! Recorded streams there are of `/api/generate` only, whose lines differ in the name of the text: they are read as those of a chat.
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
    streaming: bool,
    body: Vec<u8>,
    request: Option<Value>,
    expected: Value,
}

fn plan(streaming: bool) -> ReplyPlan {
    ReplyPlan {
        client: ClientDialect::OpenaiChat,
        operation: Operation::Generate,
        dialect: Dialect::Ollama,
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

/// Replies to chats, and to prompts read as such.
fn vectors() -> Vec<Vector> {
    let Some(root) = corpus() else { return Vec::new() };
    let folder = root.join("ollama");
    let expected = read_json(&folder.join("expect.json"));
    let index = read_json(&folder.join("index.json"));
    let own = index
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| matches!(entry["api"].as_str(), Some("api-chat" | "api-generate")));
    own.map(|entry| {
        let id = entry["id"].as_str().unwrap();
        let mut body = fs::read_to_string(folder.join(entry["response_file"].as_str().unwrap())).unwrap();
        let is_chat = entry["api"] == "api-chat";
        if !is_chat {
            body = body.lines().map(as_chat).collect();
        }
        let request = entry["request_file"].as_str().filter(|_| is_chat);
        Vector {
            id: id.to_owned(),
            streaming: entry["streaming"] == true,
            body: body.into(),
            request: request.map(|file| read_json(&folder.join(file))),
            expected: expected[id].clone(),
        }
    })
    .collect()
}

/// A line of `/api/generate` as `/api/chat` would have written it.
fn as_chat(line: &str) -> String {
    let mut piece: Value = serde_json::from_str(line).unwrap();
    let text = piece["response"].take();
    piece["message"] = json!({ "role": "assistant", "content": text });
    format!("{piece}\n")
}

/// What events say, in the form of the corpus' digests.
fn digest(events: &[Event]) -> Value {
    let (mut text, mut thinking) = (String::new(), String::new());
    let mut calls = Vec::<Value>::new();
    let (mut finish, mut usage) = (Value::Null, Value::Null);
    for event in events {
        match event {
            Event::Text { text: piece, .. } => text.push_str(piece),
            Event::Reasoning { text: piece, .. } => thinking.push_str(piece),
            Event::ToolCallStart { id, name, .. } => calls.push(json!({ "id": id, "name": name })),
            Event::ToolCallArguments { index, fragment, .. } => {
                calls[*index as usize]["arguments"] = serde_json::from_str(fragment).unwrap();
            }
            Event::Finish { reason, .. } => finish = reason.as_openai().into(),
            Event::Usage(seen) => {
                usage = json!([seen.prompt_tokens, seen.completion_tokens, seen.total_tokens])
            }
            _ => {}
        }
    }
    json!({ "text": text, "thinking": thinking, "tool_calls": calls, "finish_reason": finish, "usage": usage })
}

fn check(vector: &Vector, said: &Value) {
    let (id, expected) = (&vector.id, &vector.expected);
    for field in ["text", "thinking", "tool_calls"] {
        assert_eq!(said[field], expected[field], "{id}: {field}");
    }
    assert_eq!((&said["finish_reason"], &expected["done_reason"]), (&json!("stop"), &json!("stop")), "{id}");
    // A prompt that came whole from the cache is not counted.
    let count = |name: &str| expected["usage"][name].as_u64().unwrap_or(0);
    let (prompt, completion) = (count("prompt_eval_count"), count("eval_count"));
    assert_eq!(said["usage"], json!([prompt, completion, prompt + completion]), "{id}");
}

#[test]
fn every_reply_decodes_to_its_digest_however_it_is_split() {
    let (mut streams, mut whole_replies) = (0, 0);
    for vector in vectors().into_iter() {
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
    println!("ollama: {streams} streams and {whole_replies} whole replies checked in 6 splittings each");
}

#[test]
fn an_openai_chat_caller_is_told_the_same() {
    for vector in vectors().into_iter() {
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
    for vector in vectors().into_iter() {
        // A reply is over with its last line's last brace.
        let last = vector.body.iter().rposition(|byte| *byte == b'}').unwrap();
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
    println!("ollama: {checked} prefixes");
}

/// Fields and events that nobody knows yet, at every level.
#[test]
fn unknown_fields_and_events_survive() {
    for vector in vectors() {
        let text = String::from_utf8(vector.body.clone()).unwrap();
        let marked = text
            .replace("\"message\":{", "\"new\":[{\"a\":1}],\"message\":{\"newer\":null,")
            .replace("\"done\":", "\"newest\":{},\"done\":");
        let outcome = vector.events(&[marked.into()]);
        assert_eq!(outcome.result, Ok(()), "{}", vector.id);
        check(&vector, &digest(&outcome.items));
    }
}

fn endpoint(host: &str, base: Option<&str>) -> Endpoint {
    row(host).unwrap().endpoint(base, None, None).unwrap()
}

/// Ollama's words, as its client and its cloud know them (WIRE facts, "Error body shapes").
#[test]
fn every_refusal_keeps_the_servers_words_and_says_whose_fault_it_is() {
    for (status, body, class) in [
        (404, r#"{"error":"model 'nobody' not found"}"#, ErrorClass::NotFound),
        (400, r#"{"error":"registry.ollama.ai/library/x does not support tools"}"#, ErrorClass::BadRequest),
        (
            400,
            r#"{"error":"prompt too long; exceeded max context length by 7 tokens"}"#,
            ErrorClass::ContextLength,
        ),
        (429, r#"{"error":"too many requests"}"#, ErrorClass::RateLimited),
        (500, r#"{"error":"model runner has unexpectedly stopped"}"#, ErrorClass::UpstreamBroke),
        (
            503,
            r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#,
            ErrorClass::Overloaded,
        ),
    ] {
        let error = endpoint("ollama", None).decode_error(status, &HeaderMap::new(), body.as_bytes());
        let told: Value = serde_json::from_str(body).unwrap();
        assert_eq!((error.class(), Some(error.message())), (class, told["error"].as_str()), "{body}");
        assert_eq!(error.upstream_status(), Some(status));
    }
    let error =
        endpoint("ollama_cloud", None).decode_error(401, &HeaderMap::new(), br#"{"error":"Unauthorized"}"#);
    assert_eq!(error.message(), "the backend refused the gateway's credentials (HTTP 401)");
}

/// As an OpenAI client would have said the same: calls have ids and results repeat them.
fn as_openai(recorded: &Value) -> Value {
    let messages = recorded["messages"].as_array().unwrap().iter().map(|message| {
        let mut message = message.clone();
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            let arguments = call["function"]["arguments"].to_string();
            call["function"]["arguments"] = arguments.into();
            call["id"] = "the-call".into();
            call["type"] = "function".into();
        }
        if message["role"] == "tool" {
            message["tool_call_id"] = "the-call".into();
        }
        message
    });
    json!({ "model": recorded["model"], "messages": messages.collect::<Vec<_>>(), "stream": recorded["stream"] })
}

/// What the official client writes of nothing is left out, and a result of a call has its name and its id.
fn normal(recorded: &Value) -> Value {
    let mut request = recorded.clone();
    let fields = request.as_object_mut().unwrap();
    fields.retain(|name, value| {
        let empty = [json!([]), json!({}), json!(""), Value::Null].contains(value);
        !empty || matches!(name.as_str(), "messages")
    });
    for message in fields["messages"].as_array_mut().unwrap() {
        if message["role"] == "tool" {
            message["tool_name"] = "get_current_weather".into();
            message["tool_call_id"] = "the-call".into();
        }
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            call["id"] = "the-call".into();
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
        let sent = endpoint("ollama", None).prepare(&inbound, model).unwrap();
        let sent: Value = serde_json::from_slice(&sent.outbound.body).unwrap();
        assert_eq!(sent, normal(recorded), "{}", vector.id);
        checked += 1;
    }
    println!("ollama: {checked} recorded requests");
}

#[test]
fn a_base_url_may_be_that_of_the_openai_compatible_api() {
    let body = br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let inbound = Inbound::parse(Bytes::from_static(body)).unwrap();
    for (host, base, uri) in [
        ("ollama", None, "http://localhost:11434/api/chat"),
        ("ollama_chat", Some("http://h:1"), "http://h:1/api/chat"),
        ("ollama", Some("http://h:1/v1/"), "http://h:1/api/chat"),
        ("ollama", Some("http://h:1/api"), "http://h:1/api/chat"),
        ("ollama_cloud", None, "https://ollama.com/api/chat"),
    ] {
        let outbound = endpoint(host, base).prepare(&inbound, "m").unwrap().outbound;
        assert_eq!(outbound.uri, uri);
        assert_eq!(outbound.headers["accept"], "application/x-ndjson");
    }
}

/// One id each in a conversation, whose replies tell no ids of their own.
#[test]
fn calls_of_two_replies_have_ids_of_their_own() {
    let reply = |time: &str| {
        let call = r#"{"function":{"name":"f","arguments":{"a":1}}}"#;
        format!(
            "{{\"model\":\"m\",\"created_at\":\"{time}\",\"message\":{{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{call},{call}]}},\"done\":false}}\n{{\"done\":true,\"done_reason\":\"stop\"}}\n"
        )
    };
    let mut ids = Vec::new();
    for time in ["2026-11-22T10:00:00.123456789Z", "2026-11-22T10:00:00.123456790Z"] {
        let outcome = run(plan(true).events(), &[reply(time).into()]);
        assert_eq!(outcome.result, Ok(()));
        ids.extend(outcome.items.into_iter().filter_map(|event| match event {
            Event::ToolCallStart { id, .. } => Some(id),
            _ => None,
        }));
    }
    assert_eq!(ids[0], "call_20261122T100000123456789Z_0");
    let unique: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), unique.len()), (4, 4));
    // Bedrock's bound, should the conversation go on there.
    assert!(ids.iter().all(|id| id.len() <= 64));
}

#[test]
fn every_fixture_is_told_as_expected_however_it_is_split() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ollama");
    let mut checked = 0;
    for entry in fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let streaming = folder.join("reply.ndjson").is_file();
        let (came, end) = if streaming { ("reply.ndjson", "sse") } else { ("reply.json", "json") };
        let body = fs::read(folder.join(came)).unwrap();
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
    println!("ollama: {checked} own fixtures");
}

/// Recorded replies broken at will: whatever comes is an error or an answer, and nothing panics.
#[test]
fn no_bytes_break_the_decoder() {
    let mut random = support::Seeded::new(23);
    let own = br#"{"created_at":"t","message":{"content":"x","tool_calls":[{"function":{"name":"f","arguments":{"a":[1]}}}]},"done":true}"#;
    let seeds = vectors().into_iter().map(|vector| vector.body).filter(|body| body.len() < 8000);
    for mut body in seeds.chain([own.to_vec()]) {
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
