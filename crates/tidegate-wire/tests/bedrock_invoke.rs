//! Claude on Bedrock by InvokeModel: every recorded reply of it against the corpus' digests, relayed to a caller of Anthropic's
//! Messages event by event, and every recorded request as that caller would have sent it.
#![cfg(test)]

#[path = "support/recorded.rs"]
mod recorded;
#[path = "support/replies.rs"]
mod replies;
mod support;

use std::fs;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use recorded::corpus;
use replies::{Outcome, run};
use serde_json::{Value, json};
use support::{cuttings, read_json};
use tidegate_wire::{
    ErrorClass,
    client::{ClientDialect, Inbound, Operation, Outside},
    framing::{Frame, Framer, Framing},
    host::{Dialect, Emulation, ReplyPlan, row},
    hub::Event,
};

struct Vector {
    id: String,
    model: String,
    streaming: bool,
    body: Vec<u8>,
    request: Value,
    expected: Value,
}

fn plan(client: ClientDialect, streaming: bool) -> ReplyPlan {
    ReplyPlan {
        client,
        operation: Operation::Generate,
        dialect: Dialect::BedrockInvoke,
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
        run(plan(ClientDialect::AnthropicMessages, self.streaming).events(), pieces)
    }

    fn relayed(&self, pieces: &[Bytes]) -> Outcome<Bytes> {
        run(plan(ClientDialect::AnthropicMessages, self.streaming).reply("id", 1), pieces)
    }
}

/// Those whose events are Anthropic's Messages; other vendors' and Claude's old completions have digests of another kind.
fn vectors() -> Vec<Vector> {
    let Some(root) = corpus() else { return Vec::new() };
    let folder = root.join("bedrock");
    let expected = read_json(&folder.join("expect.json"));
    let index = read_json(&folder.join("index.json"));
    let of_messages = index.as_array().unwrap().iter().filter(|entry| {
        let invoked = entry["api"].as_str().unwrap().starts_with("invoke");
        invoked && expected[entry["id"].as_str().unwrap()]["blocks"].is_array()
    });
    of_messages
        .map(|entry| {
            let id = entry["id"].as_str().unwrap();
            Vector {
                id: id.to_owned(),
                model: entry["model"].as_str().unwrap().to_owned(),
                streaming: entry["streaming"] == true,
                body: fs::read(folder.join(entry["response_file"].as_str().unwrap())).unwrap(),
                request: read_json(&folder.join(entry["request_file"].as_str().unwrap())),
                expected: expected[id].clone(),
            }
        })
        .collect()
}

/// What the frames hold.
fn unwrapped(body: &[u8]) -> Vec<Value> {
    let mut inside = Vec::new();
    let mut sink = |frame: Frame<'_>| {
        let Frame::EventStream { payload, .. } = frame else { panic!("{frame:?}") };
        let chunk: Value = serde_json::from_slice(payload).unwrap();
        let bytes = STANDARD.decode(chunk["bytes"].as_str().unwrap()).unwrap();
        inside.push(serde_json::from_slice(&bytes).unwrap());
        Ok(())
    };
    let mut framer = Framer::new(Framing::EventStream);
    framer.push(&Bytes::copy_from_slice(body), &mut sink).unwrap();
    framer.finish(&mut sink).unwrap();
    inside
}

fn digest(events: &[Event]) -> Value {
    let (mut text, mut thinking) = (String::new(), String::new());
    let (mut finish, mut usage) = (Value::Null, Value::Null);
    for event in events {
        match event {
            Event::Text { text: piece, .. } => text.push_str(piece),
            Event::Reasoning { text: piece, .. } => thinking.push_str(piece),
            Event::ToolCallStart { .. } => panic!("no recording has one"),
            Event::Finish { reason, .. } => finish = reason.as_openai().into(),
            Event::Usage(seen) if !seen.running => {
                usage = serde_json::from_str(seen.raw.as_deref().unwrap()).unwrap()
            }
            _ => {}
        }
    }
    json!({ "text": text, "thinking": thinking, "finish": finish, "usage": usage })
}

#[test]
fn every_reply_decodes_to_its_digest_however_it_is_split() {
    let (mut streams, mut whole_replies) = (0, 0);
    for vector in vectors() {
        let cuttings = cuttings(&vector.body, 3);
        let whole = vector.events(&cuttings[0]);
        assert_eq!(whole.result, Ok(()), "{}", vector.id);
        assert_eq!(whole.items.last(), Some(&Event::End), "{}", vector.id);
        let (said, wanted) = (digest(&whole.items), &vector.expected);
        assert_eq!(
            (&said["text"], &said["thinking"]),
            (&wanted["text"], &wanted["thinking"]),
            "{}",
            vector.id
        );
        let finish = match wanted["stop_reason"].as_str() {
            Some("end_turn" | "stop_sequence") => "stop",
            Some("max_tokens") => "length",
            other => panic!("{}: no recording had {other:?}", vector.id),
        };
        assert_eq!(said["finish"], finish, "{}", vector.id);
        assert_eq!(said["usage"], wanted["usage"], "{}", vector.id);
        for pieces in &cuttings[1..] {
            let split = vector.events(pieces);
            assert_eq!((&split.items, &split.progress), (&whole.items, &whole.progress), "{}", vector.id);
        }
        *(if vector.streaming { &mut streams } else { &mut whole_replies }) += 1;
    }
    println!(
        "bedrock invoke: {streams} streams and {whole_replies} whole replies checked in 6 splittings each"
    );
}

/// Event by event the same, with Bedrock's own account of the call and without its padding.
#[test]
fn a_messages_caller_gets_the_vendors_own_events() {
    let mut relayed = 0;
    for vector in vectors() {
        for pieces in cuttings(&vector.body, 5) {
            let told = vector.relayed(&pieces);
            assert_eq!(told.result, Ok(()), "{}", vector.id);
            assert!(told.progress.ended && told.progress.usage_final, "{}", vector.id);
            if !vector.streaming {
                assert_eq!(told.bytes(), vector.body, "{}", vector.id);
                continue;
            }
            let text = String::from_utf8(told.bytes()).unwrap();
            let events: Vec<Value> = text
                .split_terminator("\n\n")
                .map(|block| {
                    let (name, data) = block.split_once('\n').unwrap();
                    let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                    assert_eq!(name.strip_prefix("event: "), event["type"].as_str(), "{}", vector.id);
                    event
                })
                .collect();
            assert_eq!(events, unwrapped(&vector.body), "{}", vector.id);
        }
        relayed += 1;
    }
    println!("bedrock invoke: {relayed} replies relayed");
}

#[test]
fn o5_no_proper_prefix_is_a_success() {
    let mut checked = 0;
    for vector in vectors() {
        for end in (0..vector.body.len() - 3).step_by(7) {
            let cut = [Bytes::copy_from_slice(&vector.body[..end])];
            for class in [vector.events(&cut).result.map(drop), vector.relayed(&cut).result.map(drop)] {
                assert_eq!(class.unwrap_err().class(), ErrorClass::Truncated, "{} at {end}", vector.id);
            }
            checked += 1;
        }
    }
    println!("bedrock invoke: {checked} prefixes");
}

fn frame(kind: (&'static str, &str), message_type: &'static str, payload: &str) -> Vec<u8> {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let message = Message::new(Bytes::copy_from_slice(payload.as_bytes()))
        .add_header(Header::new(kind.0, text(kind.1)))
        .add_header(Header::new(":message-type", text(message_type)));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

fn chunk(event: &str) -> Vec<u8> {
    let payload = json!({ "bytes": STANDARD.encode(event), "p": "abc", "new": 1 }).to_string();
    frame((":event-type", "chunk"), "event", &payload)
}

/// The exceptions of InvokeModelWithResponseStream (botocore), and what breaks the envelope.
#[test]
fn a_failure_inside_the_stream_surfaces_as_what_it_is() {
    let start = chunk(
        r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"c","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}"#,
    );
    let exception = |kind: &str| frame((":exception-type", kind), "exception", r#"{"message":"told"}"#);
    for (bad, class) in [
        (exception("throttlingException"), ErrorClass::RateLimited),
        (exception("modelTimeoutException"), ErrorClass::Timeout),
        (exception("modelStreamErrorException"), ErrorClass::UpstreamBroke),
        (exception("serviceUnavailableException"), ErrorClass::Overloaded),
        (exception("validationException"), ErrorClass::BadRequest),
        (frame((":event-type", "chunk"), "event", "{}"), ErrorClass::Protocol),
        (frame((":event-type", "chunk"), "event", r#"{"bytes":"%"}"#), ErrorClass::Protocol),
        (chunk("no json"), ErrorClass::Protocol),
    ] {
        let body = [start.clone(), bad].concat();
        for pieces in cuttings(&body, 9) {
            for client in [ClientDialect::AnthropicMessages, ClientDialect::OpenaiChat] {
                let told = run(plan(client, true).reply("id", 1), &pieces);
                let error = told.result.clone().unwrap_err();
                assert_eq!(error.class(), class, "{error}");
                assert!(class == ErrorClass::Protocol || error.message() == "told");
                assert!(!told.progress.ended);
            }
        }
    }
    // An error of Anthropic's own, in the envelope.
    let own = chunk(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#);
    let told =
        run(plan(ClientDialect::AnthropicMessages, true).reply("id", 1), &[[start, own].concat().into()]);
    assert_eq!(told.result.unwrap_err().class(), ErrorClass::Overloaded);
}

/// Events and frames that are newer than this code.
#[test]
fn unknown_frames_and_events_survive() {
    for vector in vectors().into_iter().filter(|vector| vector.streaming) {
        let new =
            [frame((":event-type", "audit"), "event", "{}"), chunk(r#"{"type":"tide","height":3}"#)].concat();
        let told = vector.events(&[[new, vector.body.clone()].concat().into()]);
        assert_eq!(told.result, Ok(()), "{}", vector.id);
        assert_eq!(digest(&told.items)["text"], vector.expected["text"], "{}", vector.id);
    }
}

#[test]
fn every_recorded_request_is_what_a_messages_caller_would_have_sent() {
    let bedrock = row("bedrock").unwrap().endpoint(None, Some("us-east-1"), None).unwrap();
    let mut checked = 0;
    for vector in vectors() {
        let mut asked = vector.request.clone();
        let fields = asked.as_object_mut().unwrap();
        fields.shift_remove("anthropic_version");
        fields.insert("model".to_owned(), "claude".into());
        fields.insert("stream".to_owned(), vector.streaming.into());
        let outside = Outside::of(ClientDialect::AnthropicMessages);
        let inbound = Inbound::read(outside, asked.to_string().into()).unwrap();
        let outbound = bedrock.prepare(&inbound, &vector.model).unwrap().outbound;
        let sent: Value = serde_json::from_slice(&outbound.body).unwrap();
        assert_eq!(sent, vector.request, "{}", vector.id);
        let operation = if vector.streaming { "/invoke-with-response-stream" } else { "/invoke" };
        assert!(outbound.uri.path().ends_with(operation), "{}", vector.id);
        checked += 1;
    }
    println!("bedrock invoke: {checked} recorded requests");
}
