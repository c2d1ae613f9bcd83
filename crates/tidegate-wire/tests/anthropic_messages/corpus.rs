//! Every recorded Messages reply, errors included, against the corpus's digests.

use std::fs;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value, json};
use tidegate_wire::{
    ErrorClass,
    client::{ClientDialect, Inbound, Outside},
    dialect::anthropic_messages::{EncodeOptions, encode_request},
    host::{Dialect, ReplyPlan, row},
    hub::Event,
};

use crate::{
    plan,
    recorded::corpus,
    replies::{Outcome, run},
    summary::{Digest, digest},
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

/// By the relay, which counts what the decoder counts.
#[test]
fn every_recorded_reply_is_relayed_byte_for_byte() {
    let mut checked = 0;
    for vector in good_replies() {
        for body in &vector.replies {
            let relay = ReplyPlan { client: ClientDialect::AnthropicMessages, ..plan(vector.streaming) };
            for pieces in cuttings(body, 3) {
                let relayed: Outcome<Bytes> = run(relay.reply("id", 1), &pieces);
                assert_eq!(relayed.result, Ok(()), "{}", vector.id);
                assert!(relayed.bytes() == *body, "{} changed on the way", vector.id);
                assert_eq!(relayed.progress, run(relay.events(), &pieces).progress, "{}", vector.id);
            }
        }
        checked += 1;
    }
    println!("anthropic messages: {checked} replies relayed byte for byte");
}

/// What OpenAI and Azure said reaches a caller of the Messages API, and is read there as it was meant.
#[test]
fn every_recorded_chat_reply_reaches_an_anthropic_caller_whole() {
    let Some(root) = corpus() else { return };
    let mut checked = 0;
    for provider in ["openai", "azure"] {
        let folder = root.join(provider);
        let index = read_json(&folder.join("index.json"));
        let entries = index.as_array().unwrap().iter();
        for entry in entries.filter(|entry| entry["api"] == "chat" && entry["status"] == 200) {
            let id = entry["id"].as_str().unwrap();
            let file = entry["response_file"].as_str().unwrap();
            let body = Bytes::from(fs::read(folder.join(file)).unwrap());
            let streaming = file.ends_with(".sse");
            if file.ends_with(".jsonl") || (entry["streaming"] == true) != streaming {
                continue;
            }
            let chat = ReplyPlan { dialect: Dialect::OpenaiChat, ..plan(streaming) };
            let events = run(chat.events(), std::slice::from_ref(&body)).items;
            if events.iter().any(|event| matches!(event, Event::Finish { choice: 1.., .. })) {
                // A message has one answer, and its callers can't ask for more.
                continue;
            }
            let translated = ReplyPlan { client: ClientDialect::AnthropicMessages, ..chat };
            let sent: Outcome<Bytes> = run(translated.reply("id", 1), &[body]);
            assert_eq!(sent.result, Ok(()), "{id}");
            let read = run(plan(streaming).events(), &[sent.bytes().into()]);
            assert_eq!(read.result, Ok(()), "{id}");
            check_alike(id, &digest(&read.items), &digest(&events), &events);
            checked += 1;
        }
    }
    println!("openai and azure chat: {checked} replies translated for anthropic callers");
}

fn check_alike(id: &str, got: &Digest, wanted: &Digest, events: &[Event]) {
    let refusal: String = events
        .iter()
        .filter_map(|event| match event {
            Event::Refusal { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(got.text, wanted.text.clone() + &refusal, "{id}: text");
    assert_eq!(got.reasoning, wanted.reasoning, "{id}: reasoning");
    assert_eq!(got.tool_calls.len(), wanted.tool_calls.len(), "{id}: calls");
    for (got, wanted) in got.tool_calls.iter().zip(&wanted.tool_calls) {
        assert_eq!((&got.0, &got.1), (&wanted.0, &wanted.1), "{id}: call");
        let parse = |arguments: &str| serde_json::from_str::<Value>(arguments).ok();
        assert_eq!(parse(&got.2), parse(&wanted.2), "{id}: arguments");
    }
    let finish = match wanted.finish.as_deref() {
        _ if !refusal.is_empty() => Some("content_filter"),
        Some("stop") if !wanted.tool_calls.is_empty() => Some("tool_calls"),
        Some("function_call") => Some("tool_calls"),
        finish => finish,
    };
    assert_eq!(got.finish.as_deref(), finish, "{id}: finish");
    let counts = |digest: &Digest| {
        let usage = digest.usage.clone().unwrap_or_default();
        let cached = usage.cached_tokens.unwrap_or(0);
        // A Grok reported more cached tokens than tokens.
        (usage.prompt_tokens.max(cached), usage.completion_tokens, cached)
    };
    assert_eq!(counts(got), counts(wanted), "{id}: usage");
}

/// What the hub models of a recorded request is written again as it was; what it has no place for is refused by name.
#[test]
fn every_recorded_request_survives_the_hub() {
    let Some(root) = corpus() else { return };
    let folder = root.join("anthropic");
    let (mut same, mut refused) = (0, 0);
    for entry in read_json(&folder.join("index.json")).as_array().unwrap() {
        let Some(file) = entry["request_file"].as_str() else { continue };
        let original = read_json(&folder.join(file));
        // Not an object, or none that says anything: the provider refused it too.
        let Ok(inbound) =
            Inbound::read(Outside::of(ClientDialect::AnthropicMessages), original.to_string().into())
        else {
            assert_eq!(entry["status"], 400, "{file}");
            continue;
        };
        let hub = match inbound.decode() {
            Ok(hub) => hub,
            Err(error) => {
                assert_eq!(entry["status"], 400, "{file}: {error}");
                continue;
            }
        };
        match encode_request(&hub, &EncodeOptions { model: &hub.model }) {
            Ok(body) => {
                let body: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(normal(body), normal(original), "{file}");
                same += 1;
            }
            Err(error) => {
                assert!(error.param().is_some(), "{file}: {error}");
                refused += 1;
            }
        }
    }
    println!(
        "anthropic messages: {same} recorded requests survive decode and encode, {refused} are refused by name"
    );
    assert!(same > 50);
}

/// What counts as the same request: text is a block of text, results of tools come first, what happens anyway is not said,
/// and a budget is the level that it makes.
fn normal(mut request: Value) -> Value {
    let fields = request.as_object_mut().unwrap();
    fields.retain(|name, value| {
        !value.is_null()
            && *value != Value::Bool(false)
            && *value != Value::Array(Vec::new())
            && name != "thinking"
    });
    if let Some(output) = fields.get_mut("output_config").and_then(Value::as_object_mut) {
        output.shift_remove("effort");
        if output.is_empty() {
            fields.shift_remove("output_config");
        }
    }
    // Without one the longest is asked for.
    if fields.get("max_tokens").is_none_or(|limit| *limit == 32_000) {
        fields.shift_remove("max_tokens");
    }
    let system = fields.shift_remove("system").map(blocks);
    fields.extend(system.map(|system| ("system".to_owned(), system)));
    // The cache is asked for where the last message ends.
    let cache = fields.shift_remove("cache_control");
    for tool in fields.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
        let tool = tool.as_object_mut().unwrap();
        tool.retain(|name, value| *value != Value::Bool(false) && !(name == "description" && *value == ""));
    }
    let mut merged: Vec<Value> = Vec::new();
    for mut message in fields.shift_remove("messages").unwrap().as_array().unwrap().clone() {
        message["content"] = blocks(message["content"].take());
        match merged.last_mut() {
            Some(last) if last["role"] == message["role"] => {
                let more = message["content"].as_array().unwrap().clone();
                last["content"].as_array_mut().unwrap().extend(more);
            }
            _ => merged.push(message),
        }
    }
    if let (Some(cache), Some(last)) = (cache, merged.last_mut()) {
        let block = last["content"].as_array_mut().unwrap().last_mut().unwrap();
        block.as_object_mut().unwrap().entry("cache_control").or_insert(cache);
    }
    fields.insert("messages".to_owned(), merged.into());
    request
}

fn blocks(content: Value) -> Value {
    let mut items = match content {
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        Value::Array(items) => items,
        other => return other,
    };
    for block in &mut items {
        if let Some(inside) = block.as_object_mut().unwrap().get_mut("content") {
            *inside = blocks(inside.take());
        }
    }
    items.retain(|block| {
        block["type"] != "text" || !block["text"].as_str().unwrap_or_default().trim().is_empty()
    });
    items.sort_by_key(|block| block["type"] != "tool_result");
    items.into()
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
