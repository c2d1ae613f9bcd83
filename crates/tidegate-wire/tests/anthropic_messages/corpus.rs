//! Every recorded Messages reply, errors included, against the corpus's digests.

use std::fs;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};
use tidegate_wire::{
    ErrorClass,
    host::{Dialect, ReplyPlan, row},
    hub::Event,
};

use crate::{
    plan,
    recorded::corpus,
    replies::{Outcome, run},
    summary::digest,
    support::{cuttings, read_json},
};

struct Vector {
    id: String,
    status: u16,
    streaming: bool,
    /// Mostly one; see [`TWO_REPLIES`].
    replies: Vec<Vec<u8>>,
    expected: Value,
}

/// A recording of two replies, one behind the other. Its digest is over both, with blocks of one index thrown together, so
/// that of its text and blocks only the amount is right.
const TWO_REPLIES: &str = "anthropic/messages.payload.03-vercel-anthropic-tool-search-regex-1";

fn vectors() -> Vec<Vector> {
    let Some(root) = corpus() else { return Vec::new() };
    let folder = root.join("anthropic");
    let expected = read_json(&folder.join("expect.json"));
    let index = read_json(&folder.join("index.json"));
    let messages = index.as_array().unwrap().iter().filter(|entry| entry["api"] == "messages");
    let read = |entry: &Value| {
        let id = entry["id"].as_str().unwrap();
        let file = entry["response_file"].as_str().unwrap();
        let body = fs::read(folder.join(file)).unwrap();
        let replies = if file.ends_with(".jsonl") { framed(&body) } else { vec![body] };
        assert!(replies.len() == 1 || id == TWO_REPLIES, "{id}");
        Vector {
            id: id.to_owned(),
            status: u16::try_from(entry["status"].as_u64().unwrap()).unwrap(),
            streaming: entry["streaming"] == true,
            replies,
            expected: expected[id].clone(),
        }
    };
    let vectors: Vec<Vector> = messages.map(read).collect();
    assert!(!vectors.is_empty(), "a corpus that is there has Messages exchanges");
    vectors
}

/// Payload-only recordings, one event per line, back in their frames.
fn framed(lines: &[u8]) -> Vec<Vec<u8>> {
    let mut replies: Vec<Vec<u8>> = Vec::new();
    for line in std::str::from_utf8(lines).unwrap().lines().filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_str(line).unwrap();
        let kind = event["type"].as_str().unwrap();
        if kind == "message_start" {
            replies.push(Vec::new());
        }
        replies.last_mut().unwrap().extend(format!("event: {kind}\ndata: {line}\n\n").bytes());
    }
    replies
}

fn good_replies() -> impl Iterator<Item = Vector> {
    vectors().into_iter().filter(|vector| vector.status == 200)
}

#[test]
fn every_recorded_reply_decodes_to_its_digest_however_it_is_split() {
    let mut checked = 0;
    for vector in good_replies() {
        let mut said = Vec::new();
        for body in &vector.replies {
            let cuttings = cuttings(body, 1);
            let whole: Outcome<Event> = run(plan(vector.streaming).events(), &cuttings[0]);
            assert_eq!(whole.result, Ok(()), "{}", vector.id);
            assert_eq!(whole.items.last(), Some(&Event::End), "{}", vector.id);
            assert!(whole.progress.usage_final && whole.progress.finished, "{}", vector.id);
            for pieces in &cuttings[1..] {
                let split = run(plan(vector.streaming).events(), pieces);
                assert_eq!(split.items, whole.items, "{}", vector.id);
                assert_eq!(split.progress, whole.progress, "{}", vector.id);
            }
            said.push(whole.items);
        }
        check(&vector, &said);
        checked += 1;
    }
    println!("anthropic messages: {checked} recorded replies checked in 6 splittings each");
}

fn check(vector: &Vector, replies: &[Vec<Event>]) {
    let Vector { id, expected, .. } = vector;
    let digests: Vec<_> = replies.iter().map(|events| digest(events)).collect();
    let joined = |field: fn(&crate::summary::Digest) -> &str| digests.iter().map(field).collect::<String>();
    let (said, wanted) = (joined(|digest| &digest.text), expected["text"].as_str().unwrap());
    assert_eq!(said.len(), wanted.len(), "{id}: text");
    assert!(said == wanted || id == TWO_REPLIES, "{id}: {said} is not {wanted}");
    assert_eq!(joined(|digest| &digest.reasoning), expected["thinking"].as_str().unwrap(), "{id}: thinking");
    let last = digests.last().unwrap();
    assert_eq!(last.finish.as_deref(), Some(finish(expected["stop_reason"].as_str().unwrap())), "{id}");
    let calls: Vec<_> = digests.iter().flat_map(|digest| &digest.tool_calls).collect();
    let wanted = expected["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), wanted.len(), "{id}: tool calls");
    for ((call_id, name, arguments), wanted) in calls.into_iter().zip(wanted) {
        assert_eq!((call_id.as_str(), name.as_str()), (text(wanted, "id"), text(wanted, "name")), "{id}");
        let parse = |arguments: &str| serde_json::from_str::<Value>(arguments).unwrap();
        assert_eq!(parse(arguments), parse(text(wanted, "arguments")), "{id}: arguments");
    }
    check_blocks(vector, replies);
    check_usage(id, last.usage.as_ref().unwrap(), expected["usage"].as_object().unwrap());
}

/// Every block of the digest has come, the ones among them that the hub doesn't model whole.
fn check_blocks(vector: &Vector, replies: &[Vec<Event>]) {
    let wanted = vector.expected["blocks"].as_array().unwrap();
    let modelled = ["text", "thinking", "tool_use", "redacted_thinking"];
    let wanted: Vec<&str> = wanted
        .iter()
        .map(|block| block.as_str().unwrap())
        .filter(|block| !modelled.contains(block))
        .collect();
    let events = || replies.iter().flatten();
    let carried: Vec<&str> = events()
        .filter_map(|event| match event {
            Event::ChoiceExtra { name: "delta.content_blocks", value, .. } => value[0]["type"].as_str(),
            _ => None,
        })
        .collect();
    let whole =
        if vector.id == TWO_REPLIES { &carried[carried.len() - wanted.len()..] } else { &carried[..] };
    assert_eq!(whole, wanted, "{}: blocks", vector.id);
    let signed = events().any(|event| matches!(event, Event::ReasoningSignature { .. }));
    if let Some(wanted) = vector.expected["has_signature"].as_bool() {
        assert_eq!(signed, wanted, "{}: signature", vector.id);
    }
}

fn check_usage(id: &str, got: &tidegate_wire::hub::Usage, wanted: &Map<String, Value>) {
    let count = |name: &str| wanted.get(name).and_then(Value::as_u64);
    let (read, written) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
    let prompt = count("input_tokens").unwrap() + read.unwrap_or(0) + written.unwrap_or(0);
    assert_eq!(got.prompt_tokens, prompt, "{id}: prompt tokens include cached ones");
    assert_eq!((got.cached_tokens, got.cache_write_tokens), (read, written), "{id}: cache");
    assert_eq!(Some(got.completion_tokens), count("output_tokens"), "{id}");
    assert_eq!(got.total_tokens, prompt + got.completion_tokens, "{id}");
    let thinking =
        wanted.get("output_tokens_details").and_then(|details| details["thinking_tokens"].as_u64());
    assert_eq!(got.reasoning_tokens, thinking, "{id}: reasoning");
    let raw: Value = serde_json::from_str(got.raw.as_deref().unwrap()).unwrap();
    assert!(raw == Value::Object(wanted.clone()) || id == TWO_REPLIES, "{id}: {raw} is not {wanted:?}");
}

fn finish(stop_reason: &str) -> &str {
    match stop_reason {
        "end_turn" | "stop_sequence" => "stop",
        "tool_use" => "tool_calls",
        "max_tokens" => "length",
        other => panic!("no recording had {other}"),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

/// What an openai-chat caller gets is a reply that says the same.
#[test]
fn every_recorded_reply_reaches_an_openai_caller_whole() {
    let mut checked = 0;
    for vector in good_replies() {
        for body in &vector.replies {
            let pieces = [Bytes::from(body.clone())];
            let events = run(plan(vector.streaming).events(), &pieces);
            let sent: Outcome<Bytes> = run(plan(vector.streaming).reply("id", 1), &pieces);
            assert_eq!(sent.result, Ok(()), "{}", vector.id);
            assert_eq!(sent.progress, events.progress, "{}", vector.id);
            let chat = ReplyPlan { dialect: Dialect::OpenaiChat, ..plan(vector.streaming) };
            let read = run(chat.events(), &[sent.bytes().into()]);
            let (got, wanted) = (digest(&read.items), digest(&events.items));
            assert_eq!((got.text, got.reasoning), (wanted.text, wanted.reasoning), "{}", vector.id);
            assert_eq!((got.tool_calls, got.finish), (wanted.tool_calls, wanted.finish), "{}", vector.id);
            let counts = |usage: Option<tidegate_wire::hub::Usage>| {
                usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens))
            };
            assert_eq!(counts(got.usage), counts(wanted.usage), "{}", vector.id);
        }
        checked += 1;
    }
    println!("anthropic messages: {checked} replies translated for openai callers");
}

/// O5: a stream that ends early is never a success, not even behind its stop reason.
#[test]
fn o5_no_proper_prefix_of_a_recorded_stream_is_a_success() {
    let mut checked = 0;
    for vector in good_replies().filter(|vector| vector.streaming) {
        for body in &vector.replies {
            let text = std::str::from_utf8(body).unwrap();
            let last = text.rfind("event: message_stop").unwrap();
            for (at, _) in text.match_indices('\n').filter(|(at, _)| *at < last) {
                let cut = [Bytes::copy_from_slice(&body[..at])];
                let events = run(plan(true).events(), &cut);
                assert_eq!(
                    events.result.unwrap_err().class(),
                    ErrorClass::Truncated,
                    "{} at {at}",
                    vector.id
                );
                assert!(!events.items.contains(&Event::End), "{} at {at}", vector.id);
                checked += 1;
            }
        }
    }
    println!("anthropic messages: {checked} truncated streams refused");
}

#[test]
fn every_refusal_keeps_the_backends_message_and_class() {
    let mut checked = 0;
    for vector in vectors().into_iter().filter(|vector| vector.status != 200) {
        let endpoint = row("anthropic").unwrap().endpoint(None, None, None).unwrap();
        let error = endpoint.decode_error(vector.status, &HeaderMap::new(), &vector.replies[0]);
        let told = &vector.expected["body"]["error"];
        let overflow = text(told, "message").starts_with("prompt is too long");
        let class = match vector.status {
            400 if overflow => ErrorClass::ContextLength,
            400 => ErrorClass::BadRequest,
            401 => ErrorClass::UpstreamAuth,
            404 => ErrorClass::NotFound,
            other => panic!("no recording had {other}"),
        };
        assert_eq!(error.class(), class, "{}", vector.id);
        // What is said about our credentials is not passed on.
        let message = match class {
            ErrorClass::UpstreamAuth => "the backend refused the gateway's credentials (HTTP 401)",
            _ => text(told, "message"),
        };
        assert_eq!(error.message(), message, "{}", vector.id);
        assert_eq!(error.upstream_status(), Some(vector.status), "{}", vector.id);
        checked += 1;
    }
    println!("anthropic messages: {checked} recorded refusals checked");
}
