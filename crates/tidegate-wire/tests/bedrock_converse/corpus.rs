//! Every recorded Converse and ConverseStream reply, errors included, against the corpus's digests.

use std::{fs, path::PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use tidegate_wire::{ErrorClass, dialect::bedrock_converse::decode_error, hub::Event};

use crate::{
    stream::{Decoded, decode_messages, decode_pieces, decode_whole, messages},
    summary::digest,
};

/// A recorded exchange.
pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) api: String,
    pub(crate) request: Option<Vec<u8>>,
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    expect: Value,
}

/// The corpus's exchanges of the two operations; empty, and said so, where it is absent.
pub(crate) fn vectors() -> Vec<Vector> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/bedrock");
    let Ok(index) = fs::read(folder.join("index.json")) else {
        println!("corpus absent: recorded Bedrock traffic not checked");
        return Vec::new();
    };
    let index: Vec<Value> = serde_json::from_slice(&index).unwrap();
    let mut expect: Map<String, Value> =
        serde_json::from_slice(&fs::read(folder.join("expect.json")).unwrap()).unwrap();
    let is_converse = |entry: &&Value| matches!(text(entry, "api"), "converse" | "converse-stream");
    let read = |entry: &Value| Vector {
        id: text(entry, "id").to_owned(),
        api: text(entry, "api").to_owned(),
        request: entry["request_file"].as_str().and_then(|name| fs::read(folder.join(name)).ok()),
        status: entry["status"].as_u64().unwrap().try_into().unwrap(),
        headers: headers(&entry["response_headers"]),
        body: fs::read(folder.join(text(entry, "response_file"))).unwrap(),
        expect: expect.remove(text(entry, "id")).expect("every vector has a digest"),
    };
    let vectors: Vec<Vector> = index.iter().filter(is_converse).map(read).collect();
    assert!(!vectors.is_empty(), "a corpus that is there has Converse exchanges");
    vectors
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap_or_default()
}

fn headers(recorded: &Value) -> HeaderMap {
    let pair = |(name, value): (&String, &Value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_str(value.as_str().unwrap()).unwrap())
    };
    recorded.as_object().unwrap().iter().map(pair).collect()
}

#[test]
fn every_recorded_reply_decodes_to_its_digest() {
    let mut checked = [0, 0, 0];
    for vector in vectors() {
        match (vector.status, vector.api.as_str()) {
            (200, "converse") => {
                check_reply(&vector, &decode_whole(&vector.body));
                checked[0] += 1;
            }
            (200, _) => {
                check_reply(&vector, &decode_pieces([&vector.body[..]]));
                checked[1] += 1;
            }
            _ => {
                check_error(&vector);
                checked[2] += 1;
            }
        }
    }
    let [whole, streamed, errors] = checked;
    println!("bedrock vectors checked: {whole} converse, {streamed} converse-stream, {errors} error answers");
}

#[test]
fn recorded_streams_decode_alike_however_they_are_split() {
    let mut checked = 0;
    for vector in vectors().iter().filter(|vector| vector.api == "converse-stream") {
        let whole = decode_pieces([&vector.body[..]]);
        assert_eq!(decode_pieces(vector.body.chunks(1)), whole, "{}: byte by byte", vector.id);
        for seed in 1..=5 {
            assert_eq!(decode_pieces(split(&vector.body, seed)), whole, "{}: seed {seed}", vector.id);
        }
        checked += 1;
    }
    println!("bedrock streams checked at every byte and at random splits: {checked}");
}

#[test]
fn no_proper_prefix_of_a_recorded_stream_is_a_success_o5() {
    let mut prefixes = 0;
    for vector in vectors().iter().filter(|vector| vector.api == "converse-stream") {
        let messages = messages(&vector.body);
        for end in 0..messages.len() {
            let decoded = decode_messages(&messages[..end]);
            let error = decoded.outcome.expect_err("a prefix is truncated");
            assert_eq!(error.class(), ErrorClass::Truncated, "{}: {end} frames", vector.id);
            assert!(!decoded.events.contains(&Event::End), "{}: {end} frames", vector.id);
            prefixes += 1;
        }
    }
    println!("bedrock stream prefixes checked: {prefixes}");
}

/// Pieces of pseudo-random length (a linear congruential generator), the same at every run.
fn split(body: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut state = seed;
    let mut rest = body;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = 1 + (state >> 33) as usize % 200;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn check_reply(vector: &Vector, decoded: &Decoded) {
    let Vector { id, expect, .. } = vector;
    assert_eq!(decoded.outcome, Ok(()), "{id}");
    let got = digest(&decoded.events);
    if let Some(exception) = expect.get("exception") {
        let exception: Value = match exception.as_str() {
            Some(text) => serde_json::from_str(text).unwrap(),
            None => exception.clone(),
        };
        let (status, message) = got.error.expect("the exception is an error");
        assert_eq!(exception["type"], "validationException", "{id}");
        assert_eq!((status, message.as_str()), (Some(400), text(&exception, "message")), "{id}");
        return;
    }
    assert!(decoded.is_success(), "{id}");
    assert_eq!(got.text, expected_text(vector), "{id}: text");
    assert_eq!(got.reasoning, text(expect, "reasoning"), "{id}: reasoning");
    assert_eq!(got.finish.as_deref(), Some(finish(text(expect, "stop_reason"))), "{id}: finish");
    check_tool_calls(id, &got.tool_calls, &expect["tool_calls"]);
    check_usage(vector, got.usage.as_ref().expect("usage"));
    let trace = expect.get("has_trace").and_then(Value::as_bool);
    assert!(trace.is_none_or(|trace| trace == got.has_trace), "{id}: trace");
}

/// The digest's text, but for its mistake: it leaves out the text that Converse puts into `citationsContent.content`,
/// which is generated text like any other (in streams the same text comes as `delta.text` and is in the digest).
fn expected_text(vector: &Vector) -> String {
    if vector.api == "converse-stream" {
        return text(&vector.expect, "text").to_owned();
    }
    let reply: Value = serde_json::from_slice(&vector.body).unwrap();
    let blocks = reply["output"]["message"]["content"].as_array().unwrap();
    let plain: String = blocks.iter().map(|block| text(block, "text")).collect();
    assert_eq!(plain, text(&vector.expect, "text"), "{}: no other mistake", vector.id);
    let cited = |block: &Value| -> String {
        let parts = block["citationsContent"]["content"].as_array();
        parts.into_iter().flatten().map(|part| text(part, "text").to_owned()).collect()
    };
    blocks.iter().map(|block| text(block, "text").to_owned() + &cited(block)).collect()
}

fn finish(stop_reason: &str) -> &str {
    match stop_reason {
        "end_turn" | "stop_sequence" => "stop",
        "tool_use" => "tool_calls",
        "max_tokens" => "length",
        "guardrail_intervened" | "content_filtered" => "content_filter",
        other => panic!("no recording had {other}"),
    }
}

fn check_tool_calls(id: &str, got: &[(String, String, String)], expected: &Value) {
    let expected = expected.as_array().unwrap();
    assert_eq!(got.len(), expected.len(), "{id}: tool calls");
    for ((call_id, name, arguments), expected) in got.iter().zip(expected) {
        assert_eq!((call_id.as_str(), name.as_str()), (text(expected, "id"), text(expected, "name")), "{id}");
        // As values: the digest re-serialised the objects of whole replies.
        let parse = |arguments: &str| serde_json::from_str::<Value>(arguments).unwrap();
        assert_eq!(parse(arguments), parse(text(expected, "arguments")), "{id}: arguments");
    }
}

fn check_usage(vector: &Vector, got: &tidegate_wire::hub::Usage) {
    let expected = vector.expect["usage"].as_object().unwrap();
    let count = |name: &str| expected.get(name).and_then(Value::as_u64);
    let (read, written) = (count("cacheReadInputTokens"), count("cacheWriteInputTokens"));
    assert_eq!(
        got.raw.as_deref().map(|raw| serde_json::from_str(raw).unwrap()),
        Some(expected.clone()),
        "{}: raw usage",
        vector.id
    );
    assert_eq!((got.cached_tokens, got.cache_write_tokens), (read, written), "{}: cache", vector.id);
    assert_eq!(Some(got.completion_tokens), count("outputTokens"), "{}", vector.id);
    assert_eq!(Some(got.total_tokens), count("totalTokens"), "{}", vector.id);
    assert_eq!(
        got.prompt_tokens + got.completion_tokens,
        got.total_tokens,
        "{}: prompt tokens include cached ones",
        vector.id
    );
}

fn check_error(vector: &Vector) {
    let error = decode_error(vector.status, &vector.headers, &vector.body);
    let class = match vector.status {
        403 => ErrorClass::UpstreamAuth,
        400 => ErrorClass::BadRequest,
        other => panic!("no recording had {other}"),
    };
    assert_eq!(error.class(), class, "{}", vector.id);
    assert_eq!(error.upstream_status(), Some(vector.status), "{}", vector.id);
    let message = match class {
        // Bedrock's words about our credentials are not the caller's.
        ErrorClass::UpstreamAuth => "the backend refused the gateway's credentials (HTTP 403)",
        _ => text(&vector.expect["body"], "message"),
    };
    assert_eq!(error.message(), message, "{}", vector.id);
}
