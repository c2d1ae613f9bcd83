//! Every recorded chat exchange of the vendors that speak openai-chat, against its independently computed digest.
#![cfg(test)]

#[path = "support/digests.rs"]
mod digests;
#[path = "support/recorded.rs"]
mod recorded;
#[path = "support/replies.rs"]
mod replies;
mod support;

use std::{fs, path::Path};

use bytes::Bytes;
use digests::digest;
use http::HeaderMap;
use recorded::corpus;
use replies::{Outcome, run};
use serde_json::{Value, json};
use support::{cuttings, read_json};
use tidegate_wire::{
    ErrorClass,
    client::{ClientDialect, Operation},
    dialect::openai_chat::{ChatDecoder, Inbound, StreamEncoder, WholeEncoder, encode_request},
    framing::Framing,
    host::{Dialect, Emulation, HostRow, Quirk, ReplyPlan, row},
    hub::Event,
    reply::{Relay, Translate},
};

/// Digests that are themselves mistaken, with the reason.
const MISTAKEN: [(&str, &str); 1] = [(
    "openrouter/chat-completions.stream.04-openrouter-stream-error",
    "reads on past the error that fails the stream",
)];

/// Folders of the vendors that speak it. (xAI's recordings are of the Responses API.)
const PROVIDERS: [&str; 15] = [
    "openai",
    "azure",
    "mistral",
    "groq",
    "deepseek",
    "openrouter",
    "perplexity",
    "cerebras",
    "huggingface",
    "zai",
    "ollama",
    "vllm",
    "gpustack",
    "mlx",
    "litellm-proxy",
];

/// What the recordings call the API.
const CHAT: [&str; 4] = ["chat", "chat-completions", "chat/completions", "v1-chat-completions"];

struct Vector {
    id: String,
    /// The vendor's folder.
    provider: String,
    status: u16,
    streaming: bool,
    body: Vec<u8>,
    request: Option<Vec<u8>>,
    expected: Value,
}

impl Vector {
    /// The row of the vendor.
    fn host(&self) -> &'static HostRow {
        row(&self.provider.replace('-', "_")).unwrap()
    }

    /// Whether usage comes in a chunk of its own, which goes to callers who asked for it; beside an answer it stays.
    fn has_usage_chunk(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body);
        let alone = |line: &str| line.contains("\"choices\":[]");
        let text = text.replace(": ", ":");
        let mut reports = text.lines().filter(|line| line.contains("\"usage\":{")).peekable();
        self.streaming && reports.peek().is_some() && reports.all(alone)
    }

    fn plan(&self, include_usage: bool) -> ReplyPlan {
        let choices = self.expected["choices"].as_array().map_or(1, Vec::len);
        ReplyPlan {
            client: ClientDialect::OpenaiChat,
            operation: Operation::Generate,
            dialect: Dialect::OpenaiChat,
            streaming: self.streaming,
            include_usage,
            choices: u32::try_from(choices).unwrap(),
            model: "m".to_owned(),
            response: tidegate_wire::host::ResponseFacts::default(),
            emulation: Emulation::default(),
        }
    }

    fn events(&self, pieces: &[Bytes]) -> Outcome<Event> {
        run(self.plan(true).events(), pieces)
    }

    fn relayed(&self, include_usage: bool, pieces: &[Bytes]) -> Outcome<Bytes> {
        run(self.plan(include_usage).reply("id", 1), pieces)
    }

    fn translated(&self, pieces: &[Bytes]) -> Outcome<Bytes> {
        let plan = self.plan(true);
        let decoder = Box::new(ChatDecoder::new(plan.choices));
        let machine = if self.streaming {
            let encoder = Box::new(StreamEncoder::new("id", 1, "m", true));
            Translate::new(Framing::Sse, decoder, encoder, plan.choices)
        } else {
            let encoder = Box::new(WholeEncoder::new("id", 1, "m"));
            Translate::new(Framing::Whole, decoder, encoder, plan.choices)
        };
        run(Box::new(machine), pieces)
    }

    /// The digest's part that a reply's events show.
    fn wanted(&self) -> Value {
        let mut choices = self.expected["choices"].clone();
        for choice in choices.as_array_mut().unwrap() {
            choice.as_object_mut().unwrap().shift_remove("filtered");
        }
        json!({
            "choices": choices,
            "usage": self.expected["usage"],
            "prompt_filter_results": self.expected.get("prompt_filter_results") == Some(&json!(true)),
        })
    }

    /// A reply's digest; that of a whole reply does not say whether there was a prompt filter verdict.
    fn digest(&self, events: &[Event]) -> Value {
        let mut digest = digest(events);
        if !self.streaming {
            digest["prompt_filter_results"] = false.into();
        }
        digest
    }
}

fn vectors() -> Vec<Vector> {
    let Some(root) = corpus() else { return Vec::new() };
    PROVIDERS.iter().flat_map(|provider| provider_vectors(provider, &root.join(provider))).collect()
}

/// OpenAI's and Azure's.
fn first_hand() -> impl Iterator<Item = Vector> {
    vectors().into_iter().filter(|vector| matches!(&*vector.provider, "openai" | "azure"))
}

fn provider_vectors(provider: &str, folder: &Path) -> Vec<Vector> {
    let expected = read_json(&folder.join("expect.json"));
    let index = read_json(&folder.join("index.json"));
    let chat =
        index.as_array().unwrap().iter().filter(|entry| CHAT.contains(&entry["api"].as_str().unwrap()));
    chat.map(|entry| {
        let id = entry["id"].as_str().unwrap();
        let file = entry["response_file"].as_str().unwrap();
        let mut body = fs::read(folder.join(file)).unwrap();
        if file.ends_with(".jsonl") {
            body = framed(&body);
        }
        let request = entry["request_file"].as_str();
        Vector {
            id: id.to_owned(),
            provider: provider.to_owned(),
            status: u16::try_from(entry["status"].as_u64().unwrap()).unwrap(),
            streaming: entry["streaming"] == true,
            body,
            request: request.map(|file| fs::read(folder.join(file)).unwrap()),
            expected: expected[id].clone(),
        }
    })
    .collect()
}

/// A payload-only recording, one event per line, back in its frames.
fn framed(lines: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(lines).unwrap();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| format!("data: {line}\n\n"))
        .collect::<String>()
        .into()
}

fn good_replies() -> impl Iterator<Item = Vector> {
    vectors()
        .into_iter()
        .filter(|vector| vector.status == 200 && vector.expected.get("error").is_none())
        .filter(|vector| !MISTAKEN.iter().any(|(id, _)| *id == vector.id))
}

/// An error inside a 200 comes after what was decoded before it, whichever machine reads it, and is told as it came.
#[test]
fn a15_every_recorded_error_inside_a_reply_fails_it() {
    let mut checked = 0;
    let failed = |vector: &Vector| vector.expected.get("error").is_some() || vector.id == MISTAKEN[0].0;
    for vector in vectors().into_iter().filter(failed) {
        let told = vector.expected.get("error").map_or("Token limit reached", |told| {
            told["message"].as_str().or(told["error"]["message"].as_str()).unwrap()
        });
        for pieces in cuttings(&vector.body, 7) {
            let events = vector.events(&pieces);
            let relayed = vector.relayed(true, &pieces);
            for result in [&events.result, &relayed.result, &vector.translated(&pieces).result] {
                assert_eq!(result.as_ref().unwrap_err().message(), told, "{}", vector.id);
            }
            let said = digest(&events.items);
            assert_eq!(said["choices"][0]["text"], vector.expected["choices"][0]["text"], "{}", vector.id);
            assert_eq!(relayed.progress, events.progress, "{}", vector.id);
            // What the call used stands beside the error and is not lost with it.
            let usage = events.progress.usage.map(|usage| usage.total_tokens);
            assert_eq!(usage, vector.expected["usage"]["total_tokens"].as_u64(), "{}", vector.id);
        }
        checked += 1;
    }
    println!("openai-chat: {checked} recorded errors inside a reply");
}

#[test]
fn every_reply_decodes_to_its_digest_however_it_is_split() {
    let mut checked = 0;
    for vector in good_replies() {
        let cuttings = cuttings(&vector.body, 1);
        let whole = vector.events(&cuttings[0]);
        assert_eq!(whole.result, Ok(()), "{}", vector.id);
        assert_eq!(whole.items.last(), Some(&Event::End), "{}", vector.id);
        assert_eq!(vector.digest(&whole.items), vector.wanted(), "{}", vector.id);
        assert_eq!(whole.progress.usage_final, whole.progress.usage.is_some(), "{}", vector.id);
        for pieces in &cuttings[1..] {
            let split = vector.events(pieces);
            assert_eq!(split.items, whole.items, "{}", vector.id);
            assert_eq!(split.progress, whole.progress, "{}", vector.id);
        }
        checked += 1;
    }
    println!("openai-chat: {checked} recorded replies checked in 6 splittings each");
}

/// The columns of the table that recordings can show.
#[test]
fn the_quirks_of_the_table_are_those_of_the_recordings() {
    for provider in PROVIDERS {
        let streams: Vec<Vector> =
            good_replies().filter(|vector| vector.provider == provider && vector.streaming).collect();
        // Azure's differs from deployment to deployment.
        let (Some(host), false) = (streams.first().map(Vector::host), provider == "azure") else { continue };
        // Ollama's has its own dialect; its recordings here are of the other one that it speaks.
        if host.dialect != Dialect::OpenaiChat {
            continue;
        }
        let any = |mark: &str| {
            let has =
                |vector: &Vector| String::from_utf8_lossy(&vector.body).replace(": ", ":").contains(mark);
            streams.iter().any(has)
        };
        assert_eq!(host.has(Quirk::EndsWithoutDone), !any("[DONE]"), "{provider}");
        let short = host.has(Quirk::NamesReasoningShort);
        assert!(short || !any("\"reasoning\":\""), "{provider}");
        assert!(!short || !any("\"reasoning_content\":\""), "{provider}");
        let unasked = |vector: &&Vector| {
            let asks = |body: &Vec<u8>| String::from_utf8_lossy(body).contains("include_usage");
            vector.request.as_ref().is_some_and(|body| !asks(body))
        };
        for vector in streams.iter().filter(unasked).filter(|_| host.has(Quirk::ReportsUsageUnasked)) {
            assert!(vector.expected["usage"].is_object(), "{}", vector.id);
        }
    }
}

#[test]
fn every_refusal_keeps_the_backends_message_code_and_class() {
    let mut checked = 0;
    for vector in vectors().into_iter().filter(|vector| vector.status != 200) {
        let endpoint = row("openai").unwrap().endpoint(None, None, None).unwrap();
        let error = endpoint.decode_error(vector.status, &HeaderMap::new(), &vector.body);
        let told = &vector.expected["body"]["error"];
        // What is said about our credentials is not passed on: it may quote them.
        if vector.status == 401 {
            assert_eq!(error.message(), "the backend refused the gateway's credentials (HTTP 401)");
        } else {
            assert_eq!(error.message(), told["message"], "{}", vector.id);
        }
        assert_eq!(error.upstream_status(), Some(vector.status), "{}", vector.id);
        if let Some(code) = told["code"].as_str() {
            assert_eq!(error.code(), Some(code), "{}", vector.id);
        }
        assert_eq!(error.param(), told["param"].as_str(), "{}", vector.id);
        let overflow = ["context length", "too long"].iter().any(|word| error.message().contains(word));
        let class = match (vector.status, told["code"].as_str()) {
            (400, Some("content_filter")) => ErrorClass::ContentFilter,
            (400, _) if overflow => ErrorClass::ContextLength,
            (400, _) => ErrorClass::BadRequest,
            (401, _) => ErrorClass::UpstreamAuth,
            (404, _) => ErrorClass::NotFound,
            (429, _) => ErrorClass::RateLimited,
            other => panic!("{}: {other:?} is not in the table", vector.id),
        };
        assert_eq!(error.class(), class, "{}", vector.id);
        checked += 1;
    }
    println!("openai-chat: {checked} recorded refusals checked");
}

#[test]
fn relaying_and_translating_count_alike_and_tell_the_caller_the_same() {
    let mut checked = 0;
    for vector in good_replies() {
        for pieces in cuttings(&vector.body, 2) {
            let events = vector.events(&pieces);
            let relayed = vector.relayed(true, &pieces);
            let translated = vector.translated(&pieces);
            assert_eq!(relayed.result, Ok(()), "{}", vector.id);
            assert_eq!(relayed.progress, events.progress, "{}", vector.id);
            assert_eq!(translated.progress, events.progress, "{}", vector.id);
            for output in [relayed.bytes(), translated.bytes()] {
                let seen = vector.events(&[output.into()]);
                assert_eq!(seen.result, Ok(()), "{}", vector.id);
                assert_eq!(vector.digest(&seen.items), vector.wanted(), "{}", vector.id);
            }
        }
        checked += 1;
    }
    println!("openai-chat: {checked} replies relayed and translated alike");
}

#[test]
fn an_openai_reply_is_relayed_byte_for_byte() {
    let mut checked = 0;
    for vector in good_replies().filter(|vector| vector.id.starts_with("openai/")) {
        for pieces in cuttings(&vector.body, 3) {
            let relayed = vector.relayed(true, &pieces);
            assert!(relayed.bytes() == vector.body, "{} changed on the way", vector.id);
        }
        checked += 1;
    }
    println!("openai chat: {checked} replies relayed byte for byte");
}

/// By the relay and by the decoder alike.
#[test]
fn every_recorded_usage_object_is_counted_as_it_stands() {
    let mut checked = 0;
    for vector in good_replies().filter(|vector| vector.expected["usage"].is_object()) {
        let wanted = &vector.expected["usage"];
        let pieces = [Bytes::from(vector.body.clone())];
        let relayed = vector.relayed(true, &pieces).progress.usage.expect(&vector.id);
        assert_eq!(Some(&relayed), vector.events(&pieces).progress.usage.as_ref(), "{}", vector.id);
        assert_eq!(Some(relayed.prompt_tokens), wanted["prompt_tokens"].as_u64(), "{}", vector.id);
        assert_eq!(Some(relayed.completion_tokens), wanted["completion_tokens"].as_u64(), "{}", vector.id);
        assert_eq!(Some(relayed.total_tokens), wanted["total_tokens"].as_u64(), "{}", vector.id);
        let (prompt, completion) = (&wanted["prompt_tokens_details"], &wanted["completion_tokens_details"]);
        assert_eq!(relayed.cached_tokens, prompt["cached_tokens"].as_u64(), "{}", vector.id);
        assert_eq!(relayed.cache_write_tokens, prompt["cache_write_tokens"].as_u64(), "{}", vector.id);
        assert_eq!(relayed.reasoning_tokens, completion["reasoning_tokens"].as_u64(), "{}", vector.id);
        checked += 1;
    }
    println!("{checked} usage objects checked");
}

#[test]
fn a_usage_chunk_that_nobody_asked_for_is_withheld_and_counted() {
    let mut withheld = 0;
    for vector in good_replies().filter(Vector::has_usage_chunk) {
        for pieces in cuttings(&vector.body, 4) {
            let relayed = vector.relayed(false, &pieces);
            assert!(relayed.progress.usage.is_some(), "{}", vector.id);
            let seen = vector.events(&[relayed.bytes().into()]);
            assert_eq!(digest(&seen.items)["usage"], Value::Null, "{}", vector.id);
            assert_eq!(digest(&seen.items)["choices"], vector.wanted()["choices"], "{}", vector.id);
        }
        withheld += 1;
    }
    println!("openai and azure chat: usage withheld in {withheld} streams");
}

#[test]
fn every_chunk_that_a_caller_gets_is_one_that_official_clients_read() {
    for vector in good_replies().filter(|vector| vector.streaming) {
        let relayed = vector.relayed(true, &[vector.body.clone().into()]);
        let text = String::from_utf8(relayed.bytes()).unwrap();
        for line in
            text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|line| *line != "[DONE]")
        {
            let chunk: Value = serde_json::from_str(line).unwrap();
            // Perplexity's last chunk is a `chat.completion.done`, mlx's a `chat.completion`.
            assert!(
                chunk["object"].as_str().unwrap().starts_with("chat.completion"),
                "{}: {line}",
                vector.id
            );
            assert_ne!(chunk["id"], "", "{}: {line}", vector.id);
            assert_ne!(chunk["created"], 0, "{}: {line}", vector.id);
            for choice in chunk["choices"].as_array().unwrap() {
                assert!(choice["delta"].is_object(), "{}: {line}", vector.id);
            }
        }
    }
}

/// O5: a stream that ends early is never a success, whichever machine reads it.
#[test]
fn o5_no_prefix_that_lacks_a_finish_is_a_success() {
    let mut checked = 0;
    for vector in good_replies().filter(|vector| vector.streaming) {
        let text = String::from_utf8(vector.body.clone()).unwrap();
        // Some write a space behind the colon; OpenRouter and Perplexity finish more than once.
        let finish = |mark: &str| text.find(mark);
        let last =
            finish("\"finish_reason\":\"").or_else(|| finish("\"finish_reason\": \"")).expect(&vector.id);
        for (at, _) in text.match_indices('\n').filter(|(at, _)| *at < last) {
            let cut = [Bytes::copy_from_slice(&text.as_bytes()[..at])];
            for result in [vector.events(&cut).result, vector.relayed(true, &cut).result] {
                assert_eq!(result.unwrap_err().class(), ErrorClass::Truncated, "{} at {at}", vector.id);
            }
            checked += 1;
        }
    }
    println!("openai-chat: {checked} truncated streams refused");
}

/// Requests that the provider itself refused for their shape: decoding says so, too, naming the place.
const REFUSED_REQUESTS: [(&str, &str); 1] =
    [("openai/chat.unary.03-custom-llm-within-crew", "messages[1].content[0].type")];

#[test]
fn every_request_survives_decoding_and_encoding() {
    let mut checked = 0;
    for vector in first_hand() {
        let Some(request) = vector.request.clone() else { continue };
        // Recorded with an empty array, which is refused before it goes anywhere.
        if vector.id == "openai/chat.unary.07-chat-no-messages" {
            assert_eq!(Inbound::parse(request.into()).unwrap_err().param(), Some("messages"));
            continue;
        }
        let original: Value = serde_json::from_slice(&request).unwrap();
        if original.get("model").is_none() {
            // Azure's deployments surface names the model in the URL only.
            assert_eq!(Inbound::parse(request.into()).unwrap_err().param(), Some("model"), "{}", vector.id);
            continue;
        }
        let inbound = Inbound::parse(request.into()).unwrap();
        if let Some((_, param)) = REFUSED_REQUESTS.iter().find(|(id, _)| *id == vector.id) {
            assert_eq!(inbound.decode().unwrap_err().param(), Some(*param));
            continue;
        }
        let hub = inbound.decode().unwrap_or_else(|error| panic!("{}: {error}", vector.id));
        let encoded: Value = serde_json::from_slice(&encode_request(&hub)).unwrap();
        assert_eq!(normal(encoded), normal(original), "{}", vector.id);
        checked += 1;
    }
    println!("openai and azure chat: {checked} recorded requests survive decode and encode");
}

/// What counts as the same request: a field that is null is absent; `stream: false` is the default; one plain text part
/// is its string; one stop sequence is an array of one, and
/// none is an absent array.
fn normal(mut request: Value) -> Value {
    drop_nulls(&mut request);
    let fields = request.as_object_mut().unwrap();
    if fields.get("stream") == Some(&json!(false)) {
        fields.shift_remove("stream");
    }
    if let Some(Value::String(stop)) = fields.get("stop").cloned() {
        fields.insert("stop".to_owned(), json!([stop]));
    }
    if fields.get("stop") == Some(&json!([])) {
        fields.shift_remove("stop");
    }
    for message in fields.get_mut("messages").unwrap().as_array_mut().unwrap() {
        drop_nulls(message);
        let plain =
            message["content"].as_array().filter(|parts| parts.len() == 1).map(|parts| parts[0].clone());
        if let Some(part) = plain
            && part["type"] == "text"
            && part.as_object().unwrap().len() == 2
        {
            message["content"] = part["text"].clone();
        }
        drop_nulls(message);
    }
    request
}

fn drop_nulls(value: &mut Value) {
    value.as_object_mut().unwrap().retain(|_, field| !field.is_null());
}

#[test]
fn a_relayed_request_differs_only_in_model_and_the_wish_for_usage() {
    let endpoint = row("openai").unwrap().endpoint(None, None, None).unwrap();
    for request in vectors().into_iter().filter_map(|vector| vector.request) {
        let Ok(inbound) = Inbound::parse(request.clone().into()) else { continue };
        let mut expected: Value = serde_json::from_slice(&request).unwrap();
        expected["model"] = json!("renamed");
        if inbound.stream {
            expected["stream_options"]["include_usage"] = json!(true);
        }
        let prepared = endpoint.prepare(&inbound, "renamed").unwrap();
        let sent: Value = serde_json::from_slice(&prepared.outbound.body).unwrap();
        assert_eq!(sent, expected);
        let asks = prepared.plan.streaming && !prepared.plan.include_usage;
        let grown = prepared.outbound.body.len().abs_diff(request.len());
        assert!(grown < 100 && (asks || grown < 40), "the body was rewritten");
    }
}

/// The relay's cheap look must not be what decides: the same stream through a relay that has to read every frame in full
/// (fed with an extra comment line in each event, which the cheap look does not take) counts the same.
#[test]
fn the_cheap_look_counts_what_the_full_read_counts() {
    for vector in good_replies().filter(|vector| vector.streaming) {
        let text = String::from_utf8(vector.body.clone()).unwrap();
        let commented = text.replace("data: ", ": a comment\ndata: ");
        let choices = vector.plan(true).choices;
        let cheap = run(Box::new(Relay::new(choices, true)), &[text.into()]);
        let full = run(Box::new(Relay::new(choices, true)), &[commented.into()]);
        assert_eq!(cheap.progress, full.progress, "{}", vector.id);
    }
}
