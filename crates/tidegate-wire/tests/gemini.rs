//! Gemini's replies: every recorded one of AI Studio and Vertex AI against the corpus's digests, and the project's own fixtures, a
//! folder each: what came (`reply.sse` or `reply.json`) and what an openai-chat caller gets of it (`told.sse`, `told.json`).
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
    host::{Dialect, Emulation, Endpoint, Place, ReplyPlan, row},
    hub::Event,
};

struct Vector {
    id: String,
    status: u16,
    streaming: bool,
    body: Vec<u8>,
    expected: Value,
}

fn plan(streaming: bool, choices: u32) -> ReplyPlan {
    ReplyPlan {
        client: ClientDialect::OpenaiChat,
        operation: Operation::Generate,
        dialect: Dialect::Gemini,
        streaming,
        include_usage: true,
        choices,
        model: "m".to_owned(),
        response: tidegate_wire::host::ResponseFacts::default(),
        emulation: Emulation::default(),
    }
}

impl Vector {
    fn events(&self, pieces: &[Bytes]) -> Outcome<Event> {
        run(plan(self.streaming, 1).events(), pieces)
    }

    /// A stream whose calls come in pieces: the digest lists the pieces.
    fn streams_arguments(&self) -> bool {
        String::from_utf8_lossy(&self.body).contains("\"partialArgs\"")
    }
}

fn vectors() -> Vec<Vector> {
    let Some(root) = corpus() else { return Vec::new() };
    let folders = ["gemini", "vertex"].map(|provider| root.join(provider));
    folders
        .iter()
        .flat_map(|folder| {
            let expected = read_json(&folder.join("expect.json"));
            let index = read_json(&folder.join("index.json"));
            let chat = index.as_array().unwrap().iter().filter(|entry| {
                matches!(entry["api"].as_str(), Some("generateContent" | "streamGenerateContent"))
            });
            chat.map(|entry| {
                let id = entry["id"].as_str().unwrap();
                let file = entry["response_file"].as_str().unwrap();
                let mut body = fs::read(folder.join(file)).unwrap();
                if file.ends_with(".jsonl") {
                    let text = String::from_utf8(body).unwrap();
                    let lines = text.lines().filter(|line| !line.is_empty());
                    body = lines.map(|line| format!("data: {line}\r\n\r\n")).collect::<String>().into();
                }
                Vector {
                    id: id.to_owned(),
                    status: u16::try_from(entry["status"].as_u64().unwrap()).unwrap(),
                    streaming: entry["streaming"] == true,
                    body,
                    expected: expected[id].clone(),
                }
            })
            .collect::<Vec<_>>()
        })
        .collect()
}

fn good_replies() -> impl Iterator<Item = Vector> {
    vectors().into_iter().filter(|vector| vector.status == 200)
}

/// What events say, in the form of the corpus' digests.
fn digest(events: &[Event]) -> Value {
    let (mut text, mut thought) = (String::new(), String::new());
    let (mut calls, mut signatures) = (Vec::<Value>::new(), 0);
    let (mut finish, mut usage) = (Value::Null, Value::Null);
    for event in events {
        match event {
            Event::Text { text: piece, .. } => text.push_str(piece),
            Event::Reasoning { text: piece, .. } => thought.push_str(piece),
            Event::ReasoningSignature { .. } => signatures += 1,
            Event::ToolCallStart { id, name, .. } => {
                calls.push(json!({ "id": id, "name": name, "arguments": "" }))
            }
            Event::ToolCallArguments { index, fragment, .. } => {
                calls[*index as usize]["arguments"] = serde_json::from_str(fragment).unwrap();
            }
            Event::Finish { reason, .. } => finish = reason.as_openai().into(),
            Event::Usage(seen) if !seen.running => {
                usage = serde_json::from_str(seen.raw.as_deref().unwrap()).unwrap()
            }
            _ => {}
        }
    }
    json!({ "text": text, "thought": thought, "tool_calls": calls, "finish_reason": finish, "usage": usage,
        "thought_signatures": signatures })
}

fn check(vector: &Vector, said: &Value) {
    let (id, expected) = (&vector.id, &vector.expected);
    for field in ["text", "thought", "thought_signatures", "usage"] {
        assert_eq!(said[field], expected[field], "{id}: {field}");
    }
    let calls = said["tool_calls"].as_array().unwrap();
    let finish = match (expected["finish_reason"].as_str(), calls.is_empty()) {
        // One client got the number of STOP.
        (Some("STOP") | None, true) => "stop",
        (Some("STOP"), false) => "tool_calls",
        (Some("MAX_TOKENS"), _) => "length",
        (Some("SAFETY"), _) => "content_filter",
        other => panic!("{id}: no recording had {other:?}"),
    };
    assert_eq!(said["finish_reason"], finish, "{id}");
    if vector.streams_arguments() {
        return;
    }
    let wanted = expected["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), wanted.len(), "{id}: calls");
    for (call, wanted) in calls.iter().zip(wanted) {
        assert_eq!(call["name"], wanted["name"], "{id}");
        assert_eq!(
            call["arguments"],
            serde_json::from_str::<Value>(wanted["arguments"].as_str().unwrap()).unwrap(),
            "{id}"
        );
        assert!(wanted["id"].is_null() || wanted["id"] == call["id"], "{id}");
        let same = calls.iter().filter(|other| other["id"] == call["id"]).count();
        assert_eq!(same, 1, "{id}: ids are unique");
    }
}

#[test]
fn every_reply_decodes_to_its_digest_however_it_is_split() {
    let mut checked = 0;
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
        checked += 1;
    }
    println!("gemini and vertex: {checked} recorded replies checked in 6 splittings each");
}

#[test]
fn usage_is_normalised() {
    let mut checked = 0;
    for vector in good_replies() {
        let usage = vector.events(&[vector.body.clone().into()]).progress.usage.unwrap();
        let count = |name: &str| vector.expected["usage"][name].as_u64();
        let sum = |one, other| count(one).unwrap_or(0) + count(other).unwrap_or(0);
        assert_eq!(usage.prompt_tokens, sum("promptTokenCount", "toolUsePromptTokenCount"), "{}", vector.id);
        assert_eq!(
            usage.completion_tokens,
            sum("candidatesTokenCount", "thoughtsTokenCount"),
            "{}",
            vector.id
        );
        assert_eq!(Some(usage.total_tokens), count("totalTokenCount"), "{}", vector.id);
        assert_eq!(usage.cached_tokens, count("cachedContentTokenCount"), "{}", vector.id);
        assert_eq!(usage.reasoning_tokens, count("thoughtsTokenCount"), "{}", vector.id);
        checked += 1;
    }
    println!("gemini and vertex: {checked} usage objects");
}

/// What a caller gets of a reply decodes to the same answer.
#[test]
fn an_openai_chat_caller_is_told_the_same() {
    for vector in good_replies() {
        let pieces = [Bytes::from(vector.body.clone())];
        let told = run(plan(vector.streaming, 1).reply("id", 1), &pieces);
        assert_eq!(told.result, Ok(()), "{}", vector.id);
        let chat = ReplyPlan { dialect: Dialect::OpenaiChat, ..plan(vector.streaming, 1) };
        let heard = run(chat.events(), &[told.bytes().into()]);
        assert_eq!(heard.result, Ok(()), "{}", vector.id);
        let (one, other) = (digest_of_answer(&vector.events(&pieces).items), digest_of_answer(&heard.items));
        assert_eq!(one, other, "{}", vector.id);
        let usage = |progress: &tidegate_wire::reply::Progress| {
            progress
                .usage
                .as_ref()
                .map(|usage| (usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens))
        };
        assert_eq!(usage(&told.progress), usage(&heard.progress), "{}", vector.id);
    }
}

fn digest_of_answer(events: &[Event]) -> Value {
    let events: Vec<Event> =
        events.iter().filter(|event| !matches!(event, Event::Usage(_))).cloned().collect();
    let mut digest = digest(&events);
    // In openai-chat the signature is in a block that the observing decoder carries without reading.
    digest["thought_signatures"] = Value::Null;
    digest
}

#[test]
fn o5_no_proper_prefix_is_a_success() {
    let mut checked = 0;
    for vector in good_replies() {
        let finish = String::from_utf8_lossy(&vector.body).find("\"finishReason\"").unwrap();
        for end in (0..=finish).step_by(if vector.body.len() > 20_000 { 97 } else { 7 }) {
            let cut = [Bytes::copy_from_slice(&vector.body[..end])];
            let class = vector.events(&cut).result.unwrap_err().class();
            assert_eq!(class, ErrorClass::Truncated, "{} at {end}", vector.id);
            checked += 1;
        }
    }
    println!("gemini and vertex: {checked} prefixes");
}

/// In streams and whole, with fields that nobody knows yet at every level.
#[test]
fn unknown_fields_and_values_survive() {
    for vector in good_replies().filter(|vector| !vector.streams_arguments()) {
        let text = String::from_utf8(vector.body.clone()).unwrap();
        let marked = text
            .replace("\"parts\":", "\"new\": {\"a\": [1]}, \"parts\":")
            .replace("\"candidates\":", "\"newer\": null, \"candidates\":");
        let outcome = vector.events(&[marked.into()]);
        assert_eq!(outcome.result, Ok(()), "{}", vector.id);
        check(&vector, &digest(&outcome.items));
    }
}

fn endpoint() -> Endpoint {
    row("gemini").unwrap().endpoint(None, None, None).unwrap()
}

#[test]
fn every_refusal_keeps_googles_message_status_and_wait() {
    let mut checked = 0;
    for vector in vectors().into_iter().filter(|vector| vector.status != 200) {
        let error = endpoint().decode_error(vector.status, &HeaderMap::new(), &vector.body);
        let told = &vector.expected["body"]["error"];
        let message = told["message"].as_str().unwrap();
        let class = match vector.status {
            400 if message.starts_with("API key not valid") => ErrorClass::UpstreamAuth,
            400 if message.starts_with("The input token count") => ErrorClass::ContextLength,
            400 => ErrorClass::BadRequest,
            404 => ErrorClass::NotFound,
            429 => ErrorClass::RateLimited,
            other => panic!("no recording had {other}"),
        };
        assert_eq!(error.class(), class, "{}", vector.id);
        assert_eq!(error.upstream_status(), Some(vector.status), "{}", vector.id);
        assert_eq!(error.code(), told["status"].as_str(), "{}", vector.id);
        if class == ErrorClass::UpstreamAuth {
            assert_eq!(error.message(), "the backend refused the gateway's credentials (HTTP 400)");
        } else {
            assert_eq!(error.message(), message, "{}", vector.id);
        }
        let delay =
            told["details"].as_array().into_iter().flatten().find_map(|detail| detail["retryDelay"].as_str());
        assert_eq!(
            error.retry_after().map(|wait| format!("{}s", wait.as_secs())).as_deref(),
            delay,
            "{}",
            vector.id
        );
        checked += 1;
    }
    println!("gemini and vertex: {checked} recorded refusals");
}

/// Google's own answers for the tests of its SDKs: failures are failures, and no answer breaks the decoder.
#[test]
fn googles_mock_answers_are_read() {
    let Some(root) = corpus() else { return };
    let (mut good, mut failed) = (0, 0);
    for folder in ["googleai", "vertexai"] {
        for entry in fs::read_dir(root.join("_vendor_mocks/firebase-gemini").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let body = fs::read(&path).unwrap();
            let streaming = name.starts_with("streaming");
            // Not all are answers: some are counts of tokens.
            let answer = memchr::memmem::find(&body, b"totalTokens\"").is_none();
            if streaming != name.ends_with(".txt") || !answer {
                continue;
            }
            let outcome = run(plan(streaming, 1).events(), &[body.clone().into()]);
            for pieces in cuttings(&body, 3) {
                let split = run(plan(streaming, 1).events(), &pieces);
                assert_eq!((&split.items, &split.result), (&outcome.items, &outcome.result), "{name}");
            }
            match &outcome.result {
                Ok(()) => good += 1,
                Err(error) => {
                    // A stream without a finish reason is not whole, whatever its name says.
                    let finished = memchr::memmem::find(&body, b"finishReason").is_some();
                    assert!(!name.contains("success") || !finished, "{name}: {error}");
                    failed += 1;
                }
            }
            let refusal = ["http-error", "error-mid-stream", "api-key", "unknown-model", "invalid-json"];
            if refusal.iter().any(|mark| name.contains(mark)) {
                assert!(outcome.result.is_err(), "{name}");
            }
        }
    }
    println!("{good} mock answers read, {failed} failures told");
}

#[test]
fn vertex_and_ai_studio_have_urls_of_their_own() {
    let request = br#"{"model":"x","messages":[{"role":"user","content":"Hi"}]}"#;
    let inbound = tidegate_wire::dialect::openai_chat::Inbound::parse(Bytes::from_static(request)).unwrap();
    let place = Place { region: Some("eu"), account: Some("p-1"), ..Place::default() };
    let uri = |host: &str, model: &str| {
        let endpoint = row(host).unwrap().endpoint_at(place).unwrap();
        endpoint.prepare(&inbound, model).map(|prepared| prepared.outbound.uri.to_string())
    };
    let studio = "https://generativelanguage.googleapis.com/v1beta/models";
    assert_eq!(
        uri("gemini", "models/gemini-3-flash").unwrap(),
        format!("{studio}/gemini-3-flash:generateContent")
    );
    let vertex =
        "https://aiplatform.eu.rep.googleapis.com/v1beta1/projects/p-1/locations/eu/publishers/google/models";
    assert_eq!(
        uri("vertex_ai", "gemini-3-flash").unwrap(),
        format!("{vertex}/gemini-3-flash:generateContent")
    );
    assert_eq!(uri("gemini", "..").unwrap_err().param(), Some("model"));
}

#[test]
fn every_fixture_is_told_as_expected_however_it_is_split() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gemini");
    let mut checked = 0;
    for entry in fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let streaming = folder.join("reply.sse").is_file();
        let end = if streaming { "sse" } else { "json" };
        let body = fs::read(folder.join(format!("reply.{end}"))).unwrap();
        for pieces in cuttings(&body, 8) {
            let choices = if name.contains("two_answers") { 2 } else { 1 };
            let mut told = run(plan(streaming, choices).reply("id", 1), &pieces);
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
    println!("gemini: {checked} own fixtures");
}

/// Recorded chunks broken at will: whatever comes is an error or an answer, and nothing panics.
#[test]
fn no_bytes_break_the_decoder() {
    let mut random = support::Seeded::new(17);
    let seeds: Vec<Vec<u8>> =
        good_replies().map(|vector| vector.body).filter(|body| body.len() < 6000).collect();
    let own = br#"data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","partialArgs":[{"jsonPath":"$.a[0].b","stringValue":"x"}],"willContinue":true}}]}}]}"#;
    for mut body in seeds.into_iter().chain([[&own[..], b"\r\n\r\n"].concat()]) {
        for _ in 0..40 {
            let at = random.below(body.len());
            body[at] = b"{}[]\",:0a\n$."[random.below(12)];
            for streaming in [true, false] {
                let outcome = run(plan(streaming, 1).events(), &[body.clone().into()]);
                let ended = outcome.items.last() == Some(&Event::End);
                assert_eq!(outcome.result.is_ok(), ended, "an end, or an error");
            }
        }
    }
}
