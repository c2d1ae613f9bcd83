//! Every recorded reply of the Responses API, errors included, against the corpus's digests.

use std::fs;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use tidegate_wire::{
    ErrorClass,
    client::ClientDialect,
    host::{Dialect, ReplyPlan, ResponseFacts, row},
    hub::{Event, Usage},
};

use crate::{
    plan,
    recorded::corpus,
    replies::{Outcome, run},
    summary::{Digest, digest},
    support::{cuttings, read_json},
};

pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) status: u16,
    pub(crate) streaming: bool,
    /// Mostly one; two recordings are of several calls, one behind the other. Their digest is of the last one's end, and of the text
    /// of all.
    pub(crate) replies: Vec<Vec<u8>>,
    pub(crate) request: Option<Value>,
    pub(crate) expected: Value,
}

/// Of chat completions, though its index says otherwise: every line is a `chat.completion.chunk`, and the digest has no response.
const NO_RESPONSE: &str = "azure/responses.payload.02-vercel-azure-deepseek-reasoning-1";

/// A recording that was shortened: of the text only a few deltas are left, and the whole of it stands in the `done` events.
const SHORTENED: &str = "openai/responses.payload.03-vercel-openai-phase-1";

pub(crate) fn vectors() -> Vec<Vector> {
    let Some(root) = corpus() else { return Vec::new() };
    let mut vectors = Vec::new();
    for provider in ["openai", "azure", "xai", "deepseek", "openrouter", "bedrock-mantle"] {
        let folder = root.join(provider);
        let expected = read_json(&folder.join("expect.json"));
        for entry in read_json(&folder.join("index.json")).as_array().unwrap() {
            let id = entry["id"].as_str().unwrap();
            if !is_response(entry) || id == NO_RESPONSE {
                continue;
            }
            let file = entry["response_file"].as_str().unwrap();
            let body = fs::read(folder.join(file)).unwrap();
            vectors.push(Vector {
                id: id.to_owned(),
                status: u16::try_from(entry["status"].as_u64().unwrap()).unwrap(),
                streaming: entry["streaming"] == true,
                replies: if file.ends_with(".jsonl") { framed(&body) } else { vec![body] },
                request: entry["request_file"].as_str().map(|file| read_json(&folder.join(file))),
                expected: expected[id].clone(),
            });
        }
    }
    assert!(!vectors.is_empty(), "a corpus that is there has responses");
    vectors
}

/// Of what is beside the creation of responses, the response that was read again.
fn is_response(entry: &Value) -> bool {
    let retrieved = || entry["method"] == "GET" && entry["api"] == "responses-sub";
    entry["api"] == "responses" || retrieved()
}

/// Payload-only recordings, one event per line, back in their frames.
fn framed(lines: &[u8]) -> Vec<Vec<u8>> {
    let mut replies: Vec<Vec<u8>> = Vec::new();
    for line in std::str::from_utf8(lines).unwrap().lines().filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_str(line).unwrap();
        let kind = event["type"].as_str().unwrap();
        if kind == "response.created" {
            replies.push(Vec::new());
        }
        replies.last_mut().unwrap().extend(format!("event: {kind}\ndata: {line}\n\n").bytes());
    }
    replies
}

/// Those that end well.
pub(crate) fn good_replies() -> impl Iterator<Item = Vector> {
    vectors()
        .into_iter()
        .filter(|vector| vector.status == 200 && vector.expected["terminal"] != "response.failed")
}

#[test]
fn every_recorded_reply_decodes_to_its_digest_however_it_is_split() {
    let mut checked = 0;
    for vector in good_replies() {
        let Vector { id, streaming, .. } = &vector;
        let mut said = Vec::new();
        for body in &vector.replies {
            let cuttings = cuttings(body, 1);
            let whole: Outcome<Event> = run(plan(*streaming).events(), &cuttings[0]);
            assert_eq!(whole.result, Ok(()), "{id}");
            assert_eq!(whole.items.last(), Some(&Event::End), "{id}");
            assert!(whole.progress.finished && whole.progress.ended, "{id}");
            for pieces in &cuttings[1..] {
                let split = run(plan(*streaming).events(), pieces);
                assert_eq!(split.items, whole.items, "{id}");
                assert_eq!(split.progress, whole.progress, "{id}");
            }
            said.push(whole.items);
        }
        check(&vector, &said);
        checked += 1;
    }
    println!("openai responses: {checked} recorded replies checked in 6 splittings each");
}

fn check(vector: &Vector, replies: &[Vec<Event>]) {
    let Vector { id, expected, streaming, .. } = vector;
    let all: String = replies.iter().map(|events| digest(events).text).collect();
    let events = replies.last().unwrap();
    let said = digest(events);
    let last = if *streaming { &expected["final"] } else { expected };
    let text = if *streaming { &expected["delta_text"] } else { &expected["text"] };
    assert_eq!(all, text.as_str().unwrap(), "{id}: text");
    assert!(said.text == text_of(last) || id == SHORTENED, "{id}: the deltas are the text");
    let summary = last["reasoning_summary"].as_str().unwrap();
    if !summary.is_empty() {
        assert_eq!(said.reasoning, summary, "{id}: reasoning");
    }
    let calls = last["tool_calls"].as_array().unwrap();
    assert_eq!(said.tool_calls.len(), calls.len(), "{id}: tool calls");
    for ((call_id, name, arguments), wanted) in said.tool_calls.iter().zip(calls) {
        let wanted = ["id", "name", "arguments"].map(|field| wanted[field].as_str().unwrap());
        assert_eq!([call_id.as_str(), name, arguments], wanted, "{id}");
    }
    let finish = if calls.is_empty() { "stop" } else { "tool_calls" };
    assert_eq!(last["status"], "completed", "{id}: no other was recorded");
    assert_eq!(said.finish.as_deref(), Some(finish), "{id}");
    let modelled = ["message", "reasoning", "function_call", "custom_tool_call"];
    let items = last["items"].as_array().unwrap().iter().map(|item| item.as_str().unwrap());
    let carried = events.iter().filter_map(|event| match event {
        Event::ChoiceExtra { name: "delta.output_items", value, .. } => value[0]["type"].as_str(),
        _ => None,
    });
    let mut carried: Vec<_> = carried.collect();
    let mut wanted: Vec<_> = items.filter(|item| !modelled.contains(item)).collect();
    carried.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(carried, wanted, "{id}: items that the hub doesn't model come whole");
    check_usage(id, said.usage.as_ref(), &last["usage"]);
}

fn text_of(expected: &Value) -> &str {
    expected["text"].as_str().unwrap()
}

fn check_usage(id: &str, got: Option<&Usage>, wanted: &Value) {
    if wanted.is_null() {
        assert_eq!(got, None, "{id}: no usage is made up");
        return;
    }
    let got = got.unwrap();
    let count = |path: &str| wanted.pointer(path).and_then(Value::as_u64);
    assert_eq!(Some(got.prompt_tokens), count("/input_tokens"), "{id}");
    assert_eq!(Some(got.completion_tokens), count("/output_tokens"), "{id}");
    assert_eq!(Some(got.total_tokens), count("/total_tokens"), "{id}");
    assert_eq!(got.cached_tokens, count("/input_tokens_details/cached_tokens"), "{id}");
    assert_eq!(got.cache_write_tokens, count("/input_tokens_details/cache_write_tokens"), "{id}");
    assert_eq!(got.reasoning_tokens, count("/output_tokens_details/reasoning_tokens"), "{id}");
    let raw: Value = serde_json::from_str(got.raw.as_deref().unwrap()).unwrap();
    assert_eq!(raw, *wanted, "{id}");
}

/// What an openai-chat caller gets is a reply that says the same.
#[test]
fn every_recorded_reply_reaches_a_chat_caller_whole() {
    let mut checked = 0;
    for vector in good_replies() {
        let Vector { id, streaming, .. } = &vector;
        for body in &vector.replies {
            let pieces = [Bytes::from(body.clone())];
            let events = run(plan(*streaming).events(), &pieces);
            let sent: Outcome<Bytes> = run(plan(*streaming).reply("id", 1), &pieces);
            assert_eq!(sent.result, Ok(()), "{id}");
            assert_eq!(sent.progress, events.progress, "{id}");
            let chat = ReplyPlan { dialect: Dialect::OpenaiChat, ..plan(*streaming) };
            let read = run(chat.events(), &[sent.bytes().into()]).items;
            assert_same(id, &digest(&read), &digest(&events.items));
        }
        checked += 1;
    }
    println!("openai responses: {checked} replies translated for openai-chat callers");
}

pub(crate) fn assert_same(id: &str, got: &Digest, wanted: &Digest) {
    assert_eq!((&got.text, &got.reasoning), (&wanted.text, &wanted.reasoning), "{id}");
    assert_eq!((&got.tool_calls, &got.finish), (&wanted.tool_calls, &wanted.finish), "{id}");
    let counts = |usage: &Option<Usage>| {
        usage.as_ref().map(|usage| (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens))
    };
    assert_eq!(counts(&got.usage), counts(&wanted.usage), "{id}");
}

/// O5: a stream that ends early is never a success.
#[test]
fn o5_no_proper_prefix_of_a_recorded_stream_is_a_success() {
    let mut checked = 0;
    for vector in good_replies().filter(|vector| vector.streaming) {
        let text = std::str::from_utf8(vector.replies.last().unwrap()).unwrap();
        let last = text.rfind("data: {").unwrap();
        for (at, _) in text.match_indices('\n').filter(|(at, _)| *at < last) {
            let cut = [Bytes::copy_from_slice(&text.as_bytes()[..at])];
            let events = run(plan(true).events(), &cut);
            let error = events.result.unwrap_err();
            assert_eq!(error.class(), ErrorClass::Truncated, "{} at {at}", vector.id);
            assert!(!events.items.contains(&Event::End), "{} at {at}", vector.id);
            checked += 1;
        }
    }
    println!("openai responses: {checked} truncated streams refused");
}

#[test]
fn a_recorded_failure_ends_the_stream_with_the_backends_words() {
    for vector in vectors().into_iter().filter(|vector| vector.expected["terminal"] == "response.failed") {
        let error = run(plan(true).events(), &[vector.replies.concat().into()]).result.unwrap_err();
        assert_eq!(error.class(), ErrorClass::QuotaExceeded, "{}", vector.id);
        let told = vector.expected["final"]["error"]["message"].as_str().unwrap();
        assert_eq!(error.message(), told, "{}", vector.id);
    }
}

#[test]
fn every_refusal_keeps_the_backends_message_and_class() {
    let mut checked = 0;
    for vector in vectors().into_iter().filter(|vector| vector.status != 200) {
        let endpoint = row("openai").unwrap().endpoint(None, None, None).unwrap();
        let error = endpoint.decode_error(vector.status, &HeaderMap::new(), &vector.replies[0]);
        let told = &vector.expected["body"]["error"];
        // What is said about our credentials is not passed on.
        let (class, message) = match (vector.status, told["code"].as_str()) {
            (401, _) => {
                (ErrorClass::UpstreamAuth, "the backend refused the gateway's credentials (HTTP 401)")
            }
            (_, Some("context_length_exceeded")) => {
                (ErrorClass::ContextLength, told["message"].as_str().unwrap())
            }
            (_, Some("model_not_found")) => (ErrorClass::NotFound, told["message"].as_str().unwrap()),
            _ => (ErrorClass::BadRequest, told["message"].as_str().unwrap()),
        };
        assert_eq!((error.class(), error.message()), (class, message), "{}", vector.id);
        checked += 1;
    }
    println!("openai responses: {checked} recorded refusals checked");
}

/// By the relay, which counts what the decoder counts.
#[test]
fn every_recorded_reply_is_relayed_byte_for_byte() {
    let mut checked = 0;
    for vector in good_replies() {
        for body in &vector.replies {
            let relay = ReplyPlan { client: ClientDialect::OpenaiResponses, ..plan(vector.streaming) };
            for pieces in cuttings(body, 3) {
                let relayed: Outcome<Bytes> = run(relay.reply("id", 1), &pieces);
                assert_eq!(relayed.result, Ok(()), "{}", vector.id);
                assert!(relayed.bytes() == up_to_its_end(body), "{} changed on the way", vector.id);
                assert_eq!(relayed.progress, run(relay.events(), &pieces).progress, "{}", vector.id);
            }
        }
        checked += 1;
    }
    println!("openai responses: {checked} replies relayed byte for byte");
}

/// OpenRouter says chat's `[DONE]` behind the terminal event, which no client of this API waits for.
fn up_to_its_end(body: &[u8]) -> &[u8] {
    body.strip_suffix(b"data: [DONE]\n\n").unwrap_or(body)
}

/// Where the backend keeps the response, its id says which host that is, and nothing else is changed.
#[test]
fn a_kept_response_differs_in_its_ids_only() {
    let mut checked = 0;
    for vector in good_replies() {
        for body in &vector.replies {
            let response = ResponseFacts { kept_by: Some("eu.1".to_owned()), ..ResponseFacts::default() };
            let relay =
                ReplyPlan { client: ClientDialect::OpenaiResponses, response, ..plan(vector.streaming) };
            for pieces in cuttings(body, 3) {
                let relayed = String::from_utf8(run(relay.reply("id", 1), &pieces).bytes()).unwrap();
                let marks = relayed.matches(".eu~2e1\"").count();
                // Created, in progress and completed, if it is a stream.
                assert!(if vector.streaming { marks >= 2 } else { marks >= 1 }, "{}: {marks}", vector.id);
                assert!(
                    relayed.replace(".eu~2e1\"", "\"").as_bytes() == up_to_its_end(body),
                    "{}",
                    vector.id
                );
            }
        }
        checked += 1;
    }
    println!("openai responses: {checked} kept replies marked");
}

/// What any backend said reaches a caller of the Responses API, and is read there as it was meant.
#[test]
fn every_recorded_chat_and_messages_reply_reaches_a_responses_caller_whole() {
    let Some(root) = corpus() else { return };
    let mut checked = 0;
    for (provider, api, dialect) in [
        ("openai", "chat", Dialect::OpenaiChat),
        ("azure", "chat", Dialect::OpenaiChat),
        ("anthropic", "messages", Dialect::AnthropicMessages),
    ] {
        let folder = root.join(provider);
        let index = read_json(&folder.join("index.json"));
        let entries = index.as_array().unwrap().iter();
        for entry in entries.filter(|entry| entry["api"] == api && entry["status"] == 200) {
            let id = entry["id"].as_str().unwrap();
            let file = entry["response_file"].as_str().unwrap();
            let body = Bytes::from(fs::read(folder.join(file)).unwrap());
            let streaming = file.ends_with(".sse");
            if file.ends_with(".jsonl") || (entry["streaming"] == true) != streaming {
                continue;
            }
            let backend = ReplyPlan { dialect, ..plan(streaming) };
            let events = run(backend.events(), std::slice::from_ref(&body)).items;
            if events.iter().any(|event| matches!(event, Event::Finish { choice: 1.., .. })) {
                // A response has one answer, and its callers can't ask for more.
                continue;
            }
            let translated = ReplyPlan { client: ClientDialect::OpenaiResponses, ..backend };
            let sent: Outcome<Bytes> = run(translated.reply("call_01", 1), &[body]);
            assert_eq!(sent.result, Ok(()), "{id}");
            if streaming {
                is_in_order(id, &sent.bytes());
            }
            let read = run(plan(streaming).events(), &[sent.bytes().into()]);
            assert_eq!(read.result, Ok(()), "{id}");
            let (got, wanted) = (digest(&read.items), digest(&events));
            assert_eq!(got.text, wanted.text, "{id}");
            assert_eq!(got.tool_calls.len(), wanted.tool_calls.len(), "{id}");
            for (got, wanted) in got.tool_calls.iter().zip(&wanted.tool_calls) {
                assert_eq!((&got.0, &got.1), (&wanted.0, &wanted.1), "{id}");
                assert_eq!(got.2, if wanted.2.is_empty() { "{}" } else { &wanted.2 }, "{id}");
            }
            assert_eq!(got.reasoning.replace("\n\n", ""), wanted.reasoning.replace("\n\n", ""), "{id}");
            let counts = |usage: &Option<Usage>| {
                usage.as_ref().map(|usage| (usage.prompt_tokens, usage.completion_tokens))
            };
            assert_eq!(counts(&got.usage), counts(&wanted.usage), "{id}");
            checked += 1;
        }
    }
    println!("openai responses: {checked} replies of other dialects translated for its callers");
}

/// Numbers count from 0, every item and part that begins ends, and the response that completes has all items.
fn is_in_order(id: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["response.created", "response.in_progress"], "{id}");
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{id}");
    }
    let count = |kind: &str| kinds.iter().filter(|other| **other == kind).count();
    assert_eq!(count("response.output_item.added"), count("response.output_item.done"), "{id}");
    assert_eq!(count("response.content_part.added"), count("response.content_part.done"), "{id}");
    let last = &events[events.len() - 1];
    let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
    let mut done: Vec<(u64, &Value)> =
        done.map(|event| (event["output_index"].as_u64().unwrap(), &event["item"])).collect();
    done.sort_by_key(|(at, _)| *at);
    let output: Vec<&Value> = last["response"]["output"].as_array().unwrap().iter().collect();
    assert_eq!(
        done.iter().map(|(_, item)| &item["id"]).collect::<Vec<_>>(),
        output.iter().map(|item| &item["id"]).collect::<Vec<_>>(),
        "{id}"
    );
}
