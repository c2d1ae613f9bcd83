//! What holds for every input: no panic, no dependence on how bytes are split.
#![cfg(test)]

#[path = "support/replies.rs"]
mod replies;

use bytes::Bytes;
use proptest::prelude::*;
use replies::{Outcome, run};
use tidegate_wire::{
    client::{ClientDialect, Operation},
    dialect::openai_chat::Inbound,
    framing::{Frame, Framer, Framing},
    host::{Dialect, Emulation, ReplyPlan, row},
};

fn plan(streaming: bool, include_usage: bool) -> ReplyPlan {
    // As many as the chunks below have: a backend that sends more than was asked for is none of these properties.
    let choices = 3;
    ReplyPlan {
        client: ClientDialect::OpenaiChat,
        operation: Operation::Generate,
        dialect: Dialect::OpenaiChat,
        streaming,
        include_usage,
        choices,
        model: "m".to_owned(),
        response: tidegate_wire::host::ResponseFacts::default(),
        emulation: Emulation::default(),
    }
}

/// Bytes that look like a stream now and then: pieces of real ones, put together at random.
fn stream_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("data: ".to_owned()),
        Just("\n\n".to_owned()),
        Just("\r\n\r".to_owned()),
        Just("\r".to_owned()),
        Just("\u{feff}".to_owned()),
        Just(": comment\n".to_owned()),
        Just("event: error\n".to_owned()),
        Just("data: [DONE]\n\n".to_owned()),
        Just("{\"id\":\"i\",\"object\":\"o\",\"choices\":[".to_owned()),
        Just("{\"index\":0,\"delta\":{\"content\":\"a\\u00e9\"},\"finish_reason\":null}".to_owned()),
        Just("{\"index\":1,\"delta\":{\"reasoning\":\"b\"},\"finish_reason\":\"stop\"}".to_owned()),
        Just("{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"arguments\":\"{}\"}}]}}".to_owned()),
        Just("],\"usage\":{\"prompt_tokens\":1}}".to_owned()),
        Just("]}".to_owned()),
        Just(",".to_owned()),
        Just("data: {\"id\":\"i\",\"object\":\"o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n".to_owned()),
        Just("data: {\"id\":\"\",\"object\":\"\",\"choices\":[],\"x\":1}\n\n".to_owned()),
        Just("data: {\"id\":\"i\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_owned()),
        "[ -~]{0,9}",
    ];
    prop_oneof![
        3 => prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat().into_bytes()),
        3 => prop::collection::vec(chunk(), 0..12).prop_map(|chunks| chunks.concat().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

/// A whole chunk with some of what chunks have, right or wrong.
fn chunk() -> impl Strategy<Value = String> {
    let field = |name: &'static str, values: &'static [&'static str]| {
        prop::option::of(prop::sample::select(values))
            .prop_map(move |value| value.map_or(String::new(), |value| format!("\"{name}\":{value},")))
    };
    let texts: &[&str] = &["\"a\"", "\"\"", "null", r#""\u00e9\n""#, "[]", r#""\ud83d\ude00""#, "7"];
    let calls: &[&str] = &[
        r#"[{"index":0,"function":{"arguments":"{}"}}]"#,
        r#"[{"index":1,"id":"c","function":{"name":"f","arguments":""}}]"#,
        r#"[{"index":0,"custom":{"input":"x"}},{"index":1,"function":{"arguments":"y"}}]"#,
        "null",
    ];
    let delta = (
        field("content", texts),
        field("reasoning", texts),
        field("reasoning_content", texts),
        field("refusal", texts),
        field("tool_calls", calls),
    )
        .prop_map(|(a, b, c, d, e)| format!("\"delta\":{{{a}{b}{c}{d}{e}\"x\":{{}}}},"));
    let choice = (
        field("index", &["0", "1", "2"]),
        prop_oneof![9 => delta, 1 => Just(String::new())],
        prop_oneof![4 => Just(String::new()), 1 => field("finish_reason", &["null", "\"stop\"", "\"tool_calls\""])],
    )
        .prop_map(|(a, b, c)| format!("{{{a}{b}{c}\"logprobs\":null}}"));
    (
        field("id", &["\"i\"", "\"\""]),
        field("object", &["\"o\"", "\"\""]),
        prop_oneof![4 => Just(String::new()), 1 => field("usage", &["null", "{\"prompt_tokens\":2}"])],
        prop::collection::vec(choice, 0..3),
    )
        .prop_map(|(a, b, c, d)| format!("data: {{{a}{b}{c}\"choices\":[{}]}}\n\n", d.join(",")))
}

fn split(body: &[u8], sizes: &[usize]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut rest = body;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*size).min(rest.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = behind;
    }
    pieces
}

/// What a caller gets, without line ends: an LF that comes a piece later than its CR may stand behind the event instead
/// of in it, where it is one more blank line and says nothing.
fn text(outcome: &Outcome<Bytes>) -> Vec<u8> {
    outcome.bytes().into_iter().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect()
}

fn frames(framing: Framing, pieces: &[Bytes]) -> (Vec<String>, bool) {
    let mut seen = Vec::new();
    let mut sink = |frame: Frame<'_>| {
        seen.push(format!("{frame:?}"));
        Ok(())
    };
    let mut framer = Framer::new(framing);
    let fed = pieces.iter().all(|piece| framer.push(piece, &mut sink).is_ok());
    let ok = fed && framer.finish(&mut sink).is_ok();
    (seen, ok)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn framing_does_not_depend_on_the_split(body in stream_like(), sizes in prop::collection::vec(1_usize..9, 1..6)) {
        for framing in [Framing::Sse, Framing::EventStream, Framing::JsonLines, Framing::Whole] {
            let whole = frames(framing, &[Bytes::from(body.clone())]);
            prop_assert_eq!(frames(framing, &split(&body, &sizes)), whole);
        }
    }

    #[test]
    fn decoding_does_not_depend_on_the_split(body in stream_like(), sizes in prop::collection::vec(1_usize..9, 1..6)) {
        let whole = [Bytes::from(body.clone())];
        let pieces = split(&body, &sizes);
        for streaming in [true, false] {
            let (a, b) = (run(plan(streaming, true).events(), &whole), run(plan(streaming, true).events(), &pieces));
            prop_assert_eq!((a.items, a.result, a.progress), (b.items, b.result, b.progress));
            for include_usage in [true, false] {
                let a = run(plan(streaming, include_usage).reply("i", 1), &whole);
                let b = run(plan(streaming, include_usage).reply("i", 1), &pieces);
                prop_assert_eq!((text(&a), &a.result, &a.progress), (text(&b), &b.result, &b.progress));
            }
        }
    }

    #[test]
    fn the_relay_counts_and_judges_as_the_decoder_does(body in stream_like()) {
        let whole = [Bytes::from(body)];
        let (relayed, events) = (run(plan(true, true).reply("i", 1), &whole), run(plan(true, true).events(), &whole));
        prop_assert_eq!(relayed.result, events.result);
        prop_assert_eq!(relayed.progress, events.progress);
    }

    #[test]
    fn no_request_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(inbound) = Inbound::parse(body.into()) {
            let _ = inbound.decode();
        }
    }

    #[test]
    fn no_request_of_json_pieces_panics_and_relaying_keeps_it_json(
        model in "\\PC{1,12}", rest in "\\PC{0,30}", stream in any::<bool>(),
        options in prop_oneof![Just(""), Just("null"), Just("{}"), Just("{\"include_usage\":false}"), Just("{\"a\":[]}")],
    ) {
        let mut body = serde_json::json!({ "x": rest, "model": model, "messages": [{}], "stream": stream });
        if !options.is_empty() {
            body["stream_options"] = serde_json::from_str(options).unwrap();
        }
        let inbound = Inbound::parse(body.to_string().into()).unwrap();
        let endpoint = row("openai").unwrap().endpoint(None, None, None).unwrap();
        let sent = endpoint.prepare(&inbound, &format!("{model}\"")).unwrap().outbound.body;
        let sent: serde_json::Value = serde_json::from_slice(&sent).unwrap();
        prop_assert_eq!(&sent["model"], &format!("{model}\""));
        prop_assert_eq!(&sent["x"], &body["x"]);
        prop_assert!(!stream || sent["stream_options"]["include_usage"] == true);
    }

    #[test]
    fn no_refusal_panics(status in 300_u16..600, body in prop::collection::vec(any::<u8>(), 0..100)) {
        let endpoint = row("openai").unwrap().endpoint(None, None, None).unwrap();
        let error = endpoint.decode_error(status, &http::HeaderMap::new(), &body);
        prop_assert!(!error.message().is_empty());
    }
}
