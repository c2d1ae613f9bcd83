//! What must hold for any input: no panic, nothing after the end, and no made-up success.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_wire::{
    ErrorClass,
    dialect::{
        Decoder,
        bedrock_converse::{ConverseDecoder, decode_error},
    },
    framing::Frame,
    hub::Event,
};

use crate::{
    fixtures::successful_streams,
    stream::{decode_pieces, decode_whole},
};

#[test]
fn no_proper_prefix_of_a_valid_stream_is_a_success_o5() {
    let streams = successful_streams();
    assert!(!streams.is_empty(), "there are streams to cut");
    for body in &streams {
        for end in 0..body.len() {
            let decoded = decode_pieces([&body[..end]]);
            assert!(decoded.outcome.is_err(), "cut at {end} of {}", body.len());
            assert!(!decoded.events.contains(&Event::End), "cut at {end} of {}", body.len());
        }
    }
    println!("own bedrock streams cut at every byte: {}", streams.len());
}

#[test]
fn no_proper_prefix_of_a_whole_reply_is_a_success_o5() {
    let body =
        br#"{"output":{"message":{"role":"assistant","content":[{"text":"Hi"}]}},"stopReason":"end_turn"}"#;
    assert!(decode_whole(body).is_success());
    for end in 0..body.len() {
        let error = decode_whole(&body[..end]).outcome.expect_err("cut off");
        assert_eq!(error.class(), ErrorClass::Truncated, "cut at {end}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "contentBlockIndex",
        "delta",
        "start",
        "text",
        "toolUse",
        "input",
        "toolUseId",
        "name",
        "type",
        "reasoningContent",
        "signature",
        "redactedContent",
        "citation",
        "image",
        "stopReason",
        "usage",
        "inputTokens",
        "outputTokens",
        "trace",
        "message",
        "content",
        "output",
        "citationsContent",
        "citations",
        "p",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!("server_tool_use")),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..4).prop_map(|pairs| pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

/// Payloads near enough to the real ones that the code behind the parser is reached.
fn any_frame() -> impl Strategy<Value = (&'static str, String, Vec<u8>)> {
    let plausible = prop_oneof![
        Just(json!({"role": "assistant"})),
        (0..3u64).prop_map(|block| json!({"contentBlockIndex": block})),
        (0..3u64, ".{0,4}")
            .prop_map(|(block, text)| json!({"contentBlockIndex": block, "delta": {"text": text}})),
        (0..3u64, ".{0,4}").prop_map(
            |(block, text)| json!({"contentBlockIndex": block, "delta": {"toolUse": {"input": text}}})
        ),
        (0..3u64).prop_map(|block| json!({"contentBlockIndex": block,
            "start": {"toolUse": {"toolUseId": "t", "name": "n"}}})),
        prop::sample::select(vec!["end_turn", "tool_use", "malformed_tool_use", "new"])
            .prop_map(|reason| json!({"stopReason": reason})),
        Just(json!({"usage": {"inputTokens": 1, "outputTokens": u64::MAX}})),
        any_json(),
    ];
    let payload = prop_oneof![
        8 => plausible.prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..32),
    ];
    let kind = prop::sample::select(vec!["event", "event", "event", "event", "exception", "error", "other"]);
    let name = prop_oneof![
        8 => prop::sample::select(vec!["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop",
            "messageStop", "metadata"]).prop_map(str::to_owned),
        1 => ".{0,12}",
    ];
    (kind, name, payload)
}

proptest! {
    #[test]
    fn arbitrary_frames_neither_panic_nor_go_on_after_the_end(frames in prop::collection::vec(any_frame(), 0..12)) {
        let mut decoder = ConverseDecoder::new();
        let mut events = Vec::new();
        let mut broken = false;
        for (message_type, name, payload) in &frames {
            let frame = Frame::EventStream { message_type, name, payload };
            broken |= decoder.frame(frame, &mut events).is_err();
        }
        let finished = decoder.finish(&mut events).is_ok();
        let ends = events.iter().filter(|event| matches!(event, Event::End | Event::Error(_))).count();
        prop_assert!(ends <= 1);
        let last_is_end = matches!(events.last(), Some(Event::End | Event::Error(_)));
        prop_assert_eq!(ends == 1, last_is_end, "nothing follows the end");
        prop_assert!(!finished || last_is_end, "success needs a terminal event");
        prop_assert!(broken || finished == last_is_end);
    }

    #[test]
    fn arbitrary_whole_replies_do_not_panic(body in any_json()) {
        let decoded = decode_whole(body.to_string().as_bytes());
        prop_assert_eq!(decoded.outcome.is_ok(), decoded.events.last().is_some_and(
            |event| matches!(event, Event::End | Event::Error(_))));
    }

    #[test]
    fn arbitrary_error_answers_do_not_panic(status in 300..600u16, body in prop::collection::vec(any::<u8>(), 0..64)) {
        let error = decode_error(status, &http::HeaderMap::new(), &body);
        prop_assert_eq!(error.upstream_status(), Some(status));
        prop_assert!(!error.message().is_empty());
    }
}
