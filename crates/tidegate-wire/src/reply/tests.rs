use std::collections::VecDeque;

use bytes::Bytes;

use super::*;
use crate::{
    ErrorClass,
    client::{ClientDialect, Operation, StreamForm},
    dialect::{Decoder, openai_chat::ChatDecoder},
    framing::Frame,
    host::{Dialect, Emulation, ReplyPlan, ResponseFacts},
};

const CHUNK: &str = "data: {\"id\":\"i\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";

fn pushed(relay: &mut Relay<super::observe_chat::ChatObserver>, piece: impl Into<Bytes>) -> Vec<Bytes> {
    let mut items = VecDeque::new();
    relay.push(piece.into(), &mut items).unwrap();
    items.into()
}

#[test]
fn frames_that_are_not_changed_go_out_as_one_slice_of_the_piece() {
    let piece = Bytes::from(CHUNK.repeat(50));
    let items = pushed(&mut Relay::new(1, true), piece.clone());
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].as_ptr(), items[0].len()), (piece.as_ptr(), piece.len()));
}

#[test]
fn a_frame_is_held_until_it_is_complete() {
    let mut relay = Relay::new(1, true);
    let (head, tail) = CHUNK.split_at(30);
    assert!(pushed(&mut relay, format!("{CHUNK}{head}"))[0] == CHUNK);
    assert_eq!(pushed(&mut relay, tail.to_owned()).concat(), CHUNK.as_bytes());
}

/// A byte order mark counts as the first bytes of a body only, and heartbeats or what is withheld change which those are.
#[test]
fn a_byte_order_mark_means_to_the_caller_what_it_meant_to_us() {
    let verdict = "data: {\"id\":\"\",\"object\":\"\",\"choices\":[],\"prompt_filter_results\":[]}\n\n";
    let marked = |block: &str| format!("\u{feff}{block}");
    let mut relay = Relay::new(1, true);
    assert_eq!(pushed(&mut relay, marked(CHUNK)).concat(), CHUNK.as_bytes());
    let mut relay = Relay::new(1, true);
    let sent = pushed(&mut relay, format!("{verdict}{}{CHUNK}", marked("data: no event\n\n"))).concat();
    assert!(!sent.starts_with("\u{feff}".as_bytes()), "{sent:?}");
    assert_eq!(relay.progress().content_bytes, 1);
}

/// A backend that drips would otherwise keep a read buffer for every byte.
#[test]
fn pieces_of_a_whole_reply_do_not_keep_their_buffers() {
    let mut relay = WholeRelay::new(1);
    let body = br#"{"id":"i","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}"#;
    let mut buffers = Vec::new();
    for byte in body {
        let buffer = Bytes::from(vec![*byte; 4096]);
        relay.push(buffer.slice(..1), &mut VecDeque::new()).unwrap();
        buffers.push(buffer);
    }
    assert!(buffers.iter().all(Bytes::is_unique));
    let mut items = VecDeque::new();
    relay.finish(&mut items).unwrap();
    assert_eq!(Vec::from(items), [&body[..]]);
}

#[test]
fn a_frame_that_never_ends_is_an_error_and_not_a_leak() {
    let mut relay = Relay::new(1, true);
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let mut items = VecDeque::new();
    let pushes = (0..32).take_while(|_| relay.push(piece.clone(), &mut items).is_ok()).count();
    assert_eq!(pushes, 16);
    assert!(items.is_empty());
}

#[test]
fn what_came_before_an_error_is_delivered_and_the_error_event_ends_the_stream() {
    let mut relay = Relay::new(1, true);
    let mut items = VecDeque::new();
    let piece = format!("{CHUNK}data: {{\"error\":{{\"message\":\"broke\",\"code\":\"c\"}}}}\n\n");
    let error = relay.push(piece.into(), &mut items).unwrap_err();
    relay.fail(&error, &mut items);
    assert_eq!(items[0], CHUNK);
    let event = std::str::from_utf8(&items[1]).unwrap();
    assert!(
        event.starts_with("data: {\"error\":{\"message\":\"broke\"") && event.ends_with("}}\n\n"),
        "{event}"
    );
    assert_eq!(items.len(), 2);
    assert!(!relay.progress().ended);
}

const REFUSED_KEY: &str = r#"{"error":{"message":"Incorrect API key provided: sk-SECRET.","code":"invalid_api_key","param":"sk-SECRET"}}"#;

/// The error that `pieces` end in, and all that the caller got.
fn failed(mut reply: Box<dyn Reply<Item = Bytes>>, pieces: &[Bytes]) -> (WireError, String) {
    let mut items = VecDeque::new();
    let pushed = pieces.iter().try_for_each(|piece| reply.push(piece.clone(), &mut items));
    let error = pushed.and_then(|()| reply.finish(&mut items)).unwrap_err();
    reply.fail(&error, &mut items);
    let sent = items.make_contiguous().concat();
    (error, String::from_utf8(sent).unwrap())
}

#[test]
fn a15_a_stream_that_refuses_our_key_never_quotes_it() {
    for frame in [
        format!("data: {REFUSED_KEY}\n\n"),
        format!("event: error\ndata: {REFUSED_KEY}\n\n"),
        "data: {\"error\":{\"message\":\"sk-SECRET\",\"code\":401}}\n\n".to_owned(),
        "data: {\"error\":{\"message\":\"sk-SECRET\",\"type\":\"authentication_error\"}}\n\n".to_owned(),
        "data: {\"error\":{\"message\":\"Incorrect API key provided: sk-SECRET\"}}\n\n".to_owned(),
    ] {
        for at in [0, 1, 20] {
            let (head, tail) = frame.split_at(at);
            let pieces = [Bytes::from(format!("{CHUNK}{head}")), Bytes::from(tail.to_owned())];
            let (error, sent) = failed(Box::new(Relay::new(1, true)), &pieces);
            assert_eq!(error.class(), ErrorClass::UpstreamAuth, "{frame}");
            assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
            let event = sent.strip_prefix(CHUNK).unwrap();
            assert!(
                event.starts_with(
                    "data: {\"error\":{\"message\":\"the backend refused the gateway's credentials\""
                ) && !event.contains("SECRET"),
                "{event}"
            );
        }
    }
}

/// As OpenAI was recorded to do; some clients read the second alone.
#[test]
fn a_response_that_fails_is_relayed_with_both_of_its_last_events() {
    let named = |name: &str, fields: &str| {
        format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":2,{fields}}}\n\n")
    };
    let told = named("error", r#""error":{"type":"server_error","code":"server_error","message":"broke"}"#);
    let response =
        r#""response":{"id":"r","status":"failed","error":{"code":"server_error","message":"broke"}}"#;
    let last = named("response.failed", response);
    let other = named("response.in_progress", r#""response":{"id":"r","status":"in_progress"}"#);
    for (stream, expected) in [
        (format!("{told}{last}"), format!("{told}{last}")),
        (last.clone(), last.clone()),
        (told.clone(), told.clone()),
        (format!("{told}{other}{last}"), told.clone()),
    ] {
        for at in [0, told.len() - 3, told.len(), stream.len() - 1] {
            let (head, tail) = stream.split_at(at);
            let pieces = [Bytes::from(head.to_owned()), Bytes::from(tail.to_owned())];
            let (error, sent) = failed(Box::new(Relay::responses(None)), &pieces);
            assert_eq!((error.message(), &sent), ("broke", &expected), "{stream} cut at {at}");
        }
    }
    let refused = named("error", r#""error":{"code":"invalid_api_key","message":"sk-SECRET"}"#);
    let pieces = [Bytes::from(refused + &last)];
    let (error, sent) = failed(Box::new(Relay::responses(None)), &pieces);
    assert_eq!(error.class(), ErrorClass::UpstreamAuth);
    assert!(!sent.contains("SECRET") && !sent.contains("broke"), "{sent}");
}

/// O1: the backend is well, so no one need cool it down or try another.
#[test]
fn o1_an_error_event_that_blames_the_request_blames_the_caller() {
    let event =
        "data: {\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\",\"param\":\"p\"}}\n\n";
    let (error, _) = failed(Box::new(Relay::new(1, true)), &[Bytes::from_static(event.as_bytes())]);
    assert_eq!((error.class(), error.param()), (ErrorClass::BadRequest, Some("p")));
}

#[test]
fn a_whole_reply_that_refuses_our_key_is_not_relayed() {
    let (error, sent) = failed(Box::new(WholeRelay::new(1)), &[Bytes::from_static(REFUSED_KEY.as_bytes())]);
    assert_eq!((error.class(), error.code()), (ErrorClass::UpstreamAuth, Some("invalid_api_key")));
    assert_eq!((error.message(), error.param()), ("the backend refused the gateway's credentials", None));
    assert_eq!(sent, "");
}

#[test]
fn nothing_of_the_backends_follows_done() {
    let mut relay = Relay::new(1, true);
    let items = pushed(&mut relay, format!("data: [DONE]\n\n{CHUNK}"));
    assert_eq!(items, [Bytes::from_static(b"data: [DONE]\n\n")]);
    assert!(pushed(&mut relay, CHUNK).is_empty());
    let mut items = VecDeque::new();
    relay.finish(&mut items).unwrap();
    assert!(items.is_empty() && relay.progress().ended);
}

/// O2: the caller that leaves now has had everything.
#[test]
fn o2_progress_says_when_the_answer_is_complete() {
    let mut relay = Relay::new(1, true);
    pushed(&mut relay, CHUNK);
    assert!(!relay.progress().finished);
    pushed(&mut relay, CHUNK.replace("\"a\"}", "\"\"}").replace(":null}", ":\"stop\"}"));
    assert!(relay.progress().finished && !relay.progress().ended);
    assert_eq!((relay.progress().content_events, relay.progress().content_bytes), (1, 1));
    assert_eq!(relay.progress().served_model.as_deref(), Some("m"));
    assert_eq!(relay.progress().upstream_id.as_deref(), Some("i"));
}

#[test]
fn a1_usage_that_the_caller_did_not_ask_for_is_counted_and_withheld() {
    let usage = "data: {\"id\":\"i\",\"object\":\"o\",\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n";
    for (include_usage, expected) in [(true, format!("{CHUNK}{usage}")), (false, CHUNK.to_owned())] {
        let mut relay = Relay::new(1, include_usage);
        assert_eq!(pushed(&mut relay, format!("{CHUNK}{usage}")).concat(), expected.as_bytes());
        assert_eq!(relay.progress().usage.as_ref().map(|usage| usage.prompt_tokens), Some(3));
    }
}

/// Usage and whether it is final, as a relay and as the events of the same bytes have it.
fn usage_of(choices: u32, stream: &str) -> Option<(u64, bool)> {
    let mut relay = Relay::new(choices, true);
    pushed(&mut relay, stream.to_owned());
    let decoder = Box::new(crate::dialect::openai_chat::ChatDecoder::new(choices));
    let mut events = Events::new(crate::framing::Framing::Sse, decoder, choices);
    events.push(stream.to_owned().into(), &mut VecDeque::new()).unwrap();
    assert_eq!(relay.progress(), events.progress());
    let Progress { usage, usage_final, .. } = relay.progress();
    assert!(usage.is_some() || !usage_final);
    usage.as_ref().map(|usage| (usage.completion_tokens, *usage_final))
}

#[test]
fn a1_usage_beside_an_answer_that_goes_on_is_not_final() {
    let running =
        |tokens: u32| CHUNK.replace("]}", &format!("],\"usage\":{{\"completion_tokens\":{tokens}}}}}"));
    let last = running(3).replace("\"finish_reason\":null", "\"finish_reason\":\"stop\"");
    let own = "data: {\"id\":\"i\",\"choices\":[],\"usage\":{\"completion_tokens\":4}}\n\n";
    assert_eq!(usage_of(1, CHUNK), None);
    assert_eq!(usage_of(1, &format!("{}{}", running(1), running(2))), Some((2, false)));
    assert_eq!(usage_of(1, &format!("{}{CHUNK}", running(1))), Some((1, false)));
    assert_eq!(usage_of(1, &format!("{}{last}", running(1))), Some((3, true)));
    assert_eq!(usage_of(2, &last), Some((3, false)), "the other answer goes on");
    assert_eq!(usage_of(1, &format!("{}{own}", running(1))), Some((4, true)));
}

#[test]
fn a_whole_replys_usage_is_final() {
    let mut relay = WholeRelay::new(2);
    let body = r#"{"choices":[{"index":0,"message":{"content":"a"}}],"usage":{"completion_tokens":1}}"#;
    relay.push(body.into(), &mut VecDeque::new()).unwrap();
    assert!(!relay.progress().usage_final);
    relay.finish(&mut VecDeque::new()).unwrap();
    assert!(relay.progress().usage_final);
}

/// Usage without any finish: it is in Bedrock's `metadata`, which is final however the answer ended.
#[test]
fn a15_bedrocks_usage_is_final_even_for_an_answer_that_failed() {
    let mut decoder = crate::dialect::bedrock_converse::ConverseDecoder::new();
    let mut events = Vec::new();
    for (name, payload) in [
        ("messageStop", r#"{"stopReason":"malformed_tool_use"}"#),
        ("metadata", r#"{"usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2}}"#),
    ] {
        let payload = payload.as_bytes();
        let frame = crate::framing::Frame::EventStream { message_type: "event", name, payload };
        crate::dialect::Decoder::frame(&mut decoder, frame, &mut events).unwrap();
    }
    let mut tally = tally::Tally::new(1);
    events.iter().for_each(|event| tally.event(event));
    assert!(tally.progress.usage_final && !tally.progress.finished);
}

#[test]
fn a_whole_message_in_a_chunk_reaches_streaming_clients_as_a_delta() {
    let chunk = "data: {\"id\":\"i\",\"object\":\"o\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"}}]}\n\n";
    let sent = pushed(&mut Relay::new(1, true), chunk).concat();
    let sent = std::str::from_utf8(&sent).unwrap();
    assert!(sent.contains("\"delta\":{\"content\":\"a\"}") && !sent.contains("message"), "{sent}");
}

#[test]
fn a_stream_of_nothing_is_truncated() {
    let error = Relay::new(1, true).finish(&mut VecDeque::new()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Truncated);
}

#[test]
fn a_whole_reply_in_one_piece_is_not_copied() {
    let body = Bytes::from_static(
        b"{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}",
    );
    let mut relay = WholeRelay::new(1);
    let mut items = VecDeque::new();
    relay.push(body.clone(), &mut items).unwrap();
    assert!(items.is_empty());
    relay.finish(&mut items).unwrap();
    assert_eq!(items[0].as_ptr(), body.as_ptr());
    assert!(relay.progress().finished && relay.progress().ended);
}

#[test]
fn a_whole_reply_beyond_the_bound_is_an_error() {
    let mut relay = WholeRelay::new(1);
    let piece = Bytes::from(vec![b' '; 1 << 20]);
    let pushes = (0..100).take_while(|_| relay.push(piece.clone(), &mut VecDeque::new()).is_ok()).count();
    assert_eq!(pushes, 64);
}

/// The cheap look must count escapes as the decoder does, and leave to it what it can't count.
#[test]
fn the_cheap_look_counts_decoded_bytes() {
    let count = |text: &str| {
        let data = format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}},"index":3}}]}}"#);
        scan::scan(data.as_bytes()).map(|plain| plain.pieces().map(|piece| piece.texts[1]).sum::<usize>())
    };
    assert_eq!(count(r#"a\"\\\n\/"#), Some(5));
    assert_eq!(count(r"\u0041\u00e9\u20ac"), Some(6));
    assert_eq!(count("é"), Some(2));
    assert_eq!(count(r"\ud83d\ude00"), None);
    assert_eq!(count(r"\u00"), None);
}

#[test]
fn the_cheap_look_passes_nothing_that_matters() {
    for data in [
        r#"{"choices":[{"index":0,"delta":{}}],"usage":{}}"#,
        r#"{"choices":[{"index":0,"delta":{}}],"error":{}}"#,
        r#"{"choices":[{"index":0,"delta":{}}],"object":""}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":0}]}"#,
        r#"{"choices":[]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":["a"]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a"}}]"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a"}}]} x"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a\q"}}]}"#,
        r#"{"x":"\u12","choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"x":[1,],"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"x":[1},"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"x":nul,"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"x":01,"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":01,"delta":{"content":"a"}}]}"#,
        "{\"x\":\"\u{1}\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
        "[DONE]",
        "",
    ] {
        assert!(scan::scan(data.as_bytes()).is_none(), "{data}");
    }
}

/// A whole reply that the cheap look passes is counted as the decoder counts it.
#[test]
fn the_cheap_look_at_a_whole_reply_counts_what_the_full_read_counts() {
    let reply = |more: &str| {
        format!(
            "{{\n  \"id\": \"chatcmpl-1\",\r\n\t\"object\": \"chat.completion\", \"model\": \"gpt-4o\",
            \"choices\": [{{\"index\": 0, \"message\": {{\"role\": \"assistant\", \"content\": \"T\\u00efde\\n\",
            \"refusal\": null, \"annotations\": [], \"tool_calls\": []}}, \"logprobs\": null,
            \"finish_reason\": \"stop\"}}{more}], \"usage\": {{\"prompt_tokens\": 9, \"completion_tokens\": 2,
            \"total_tokens\": 11, \"prompt_tokens_details\": {{\"cached_tokens\": 4, \"audio_tokens\": 0}},
            \"completion_tokens_details\": null}}, \"service_tier\": \"default\"}}\n"
        )
    };
    let second =
        r#", {"message": {"content": "x", "reasoning": "yy"}, "finish_reason": "length", "index": 1}"#;
    for (body, choices) in [(reply(""), 1), (reply(""), 2), (reply(second), 2)] {
        assert!(scan::scan_whole(body.as_bytes()).is_some());
        let mut relay = WholeRelay::new(choices);
        let mut items = VecDeque::new();
        relay.push(Bytes::from(body.clone()), &mut items).unwrap();
        relay.finish(&mut items).unwrap();
        let mut decoder = ChatDecoder::new(choices);
        let mut events = Vec::new();
        decoder.frame(Frame::Whole(body.as_bytes()), &mut events).unwrap();
        let mut tally = tally::Tally::new(choices);
        events.iter().for_each(|event| tally.event(event));
        assert_eq!(relay.progress(), &tally.progress);
        assert_eq!(relay.progress().usage.as_ref().and_then(|usage| usage.cached_tokens), Some(4));
    }
}

#[test]
fn the_cheap_look_at_a_whole_reply_passes_nothing_that_matters() {
    let answer = r#"{"index":0,"message":{"content":"a"},"finish_reason":"stop"}"#;
    assert!(scan::scan_whole(format!(r#"{{"choices":[{answer}]}}"#).as_bytes()).is_some());
    for body in [
        r#"{"error":null,"choices":[ANSWER]}"#,
        r#"{"object":"error","choices":[ANSWER]}"#,
        r#"{"id":"\u0041","choices":[ANSWER]}"#,
        r#"{"usage":null,"choices":[ANSWER]}"#,
        r#"{"x_groq":{"usage":{}},"choices":[ANSWER]}"#,
        r#"{"choices":[ANSWER,ANSWER,ANSWER,ANSWER,ANSWER]}"#,
        r#"{"choices":[ANSWER]"#,
        r#"{"choices":[ANSWER]}x"#,
        r#"{"choices":[]}"#,
        r#"{"choices":null}"#,
        r#"{"choices":[{"index":0,"finish_reason":"content_filter"}]}"#,
        r#"{"choices":[{"index":0,"message":null,"finish_reason":"content_filter"}]}"#,
        r#"{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"error"}]}"#,
        r#"{"choices":[{"index":0,"message":{"tool_calls":[{"id":"a"}]},"finish_reason":"tool_calls"}]}"#,
        "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\nb\"},\"finish_reason\":\"stop\"}]}",
        "",
    ] {
        let body = body.replace("ANSWER", answer);
        assert!(scan::scan_whole(body.as_bytes()).is_none(), "{body}");
    }
}

/// Decoders and encoders look through what a reply has so far at each of its events.
#[test]
fn a_reply_of_thousands_of_answers_calls_or_parts_is_broken() {
    type Event = fn(usize) -> String;
    let chat = |choice: &str| {
        format!(
            "data: {{\"id\":\"i\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{choice}]}}\n\n"
        )
    };
    let choices = (0..20_000).map(|i| chat(&format!("{{\"index\":{i},\"delta\":{{\"content\":\"a\"}}}}")));
    let calls = (0..20_000).map(|i| {
        chat(&format!("{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":{i},\"id\":\"c{i}\",\"type\":\"function\",\"function\":{{\"name\":\"f\",\"arguments\":\"{{}}\"}}}}]}}}}"))
    });
    let parts: Event = |i| {
        format!(
            "data: {{\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":{i},\"delta\":\"a\"}}\n\n"
        )
    };
    let blocks: Event = |i| {
        format!(
            "data: {{\"type\":\"content_block_start\",\"index\":{i},\"content_block\":{{\"type\":\"server_tool_use\"}}}}\n\n"
        )
    };
    let begin = "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[]}}\n\n";
    let cases: [(Dialect, String); 4] = [
        (Dialect::OpenaiChat, choices.collect()),
        (Dialect::OpenaiChat, calls.collect()),
        (Dialect::OpenaiResponses, (0..20_000).map(parts).collect()),
        (
            Dialect::AnthropicMessages,
            std::iter::once(begin.to_owned()).chain((0..20_000).map(blocks)).collect(),
        ),
    ];
    for (dialect, body) in cases {
        let plan = ReplyPlan {
            client: ClientDialect::Gemini(StreamForm::Events),
            operation: Operation::Generate,
            dialect,
            streaming: true,
            include_usage: true,
            choices: 1,
            model: "m".to_owned(),
            emulation: Emulation::default(),
            response: ResponseFacts::default(),
        };
        let mut reply = plan.reply("id", 1);
        let mut items = VecDeque::new();
        let mut pieces = body.as_bytes().chunks(16 * 1024).map(Bytes::copy_from_slice);
        let refused = pieces.find_map(|piece| reply.push(piece, &mut items).err());
        let told = refused.map(|error| (error.class(), error.message().contains("more than")));
        assert_eq!(told, Some((ErrorClass::Protocol, true)), "{dialect:?}");
    }
}
