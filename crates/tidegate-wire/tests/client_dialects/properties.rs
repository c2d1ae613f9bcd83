//! Any reply that a backend can give, written for a caller and read again.
//!
//! The replies are generated in the dialect that everybody's are translated from (openai-chat), and go through the ordinary
//! translation.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_wire::host::Dialect;

use crate::{
    PAIRS,
    corpus::chat_whole,
    plan,
    replies::{Outcome, run},
    said::{Part, said},
};

/// A piece of an answer, as a chat chunk's delta.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Reasoning(String),
    Call { name: String, arguments: Vec<String> },
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let text = "[a-zA-Zäöü€😀\"\\\\\n\t {}\\[\\],:]{0,12}";
    let arguments = prop::collection::btree_map("[a-z]{1,4}", text, 0..3).prop_flat_map(|fields| {
        let whole = if fields.is_empty() { String::new() } else { json!(fields).to_string() };
        any::<prop::sample::Index>().prop_map(move |at| {
            let mut cut = at.index(whole.len() + 1);
            while !whole.is_char_boundary(cut) {
                cut -= 1;
            }
            vec![whole[..cut].to_owned(), whole[cut..].to_owned()]
        })
    });
    let piece = prop_oneof![
        4 => text.prop_map(Piece::Text),
        2 => text.prop_map(Piece::Reasoning),
        2 => ("[a-z_]{1,10}", arguments).prop_map(|(name, arguments)| Piece::Call { name, arguments }),
    ];
    prop::collection::vec(piece, 0..9)
}

/// The chunks of a stream of chat completions.
fn chat_stream(pieces: &[Piece], finish: &str, usage: (u64, u64, u64)) -> Vec<u8> {
    let mut deltas: Vec<Value> = vec![json!({ "role": "assistant", "content": "" })];
    let mut calls = 0;
    for piece in pieces {
        match piece {
            Piece::Text(text) => deltas.push(json!({ "content": text })),
            Piece::Reasoning(text) => deltas.push(json!({ "reasoning_content": text })),
            Piece::Call { name, arguments } => {
                let function = json!({ "name": name, "arguments": "" });
                deltas.push(json!({ "tool_calls": [
                    { "index": calls, "id": format!("call_{calls}"), "type": "function", "function": function }] }));
                for fragment in arguments {
                    let function = json!({ "arguments": fragment });
                    deltas.push(json!({ "tool_calls": [{ "index": calls, "function": function }] }));
                }
                calls += 1;
            }
        }
    }
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({ "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "served",
            "choices": choices, "usage": usage });
        format!("data: {chunk}\n\n")
    };
    let mut out = String::new();
    for delta in deltas {
        out += &chunk(json!([{ "index": 0, "delta": delta, "finish_reason": null }]), Value::Null);
    }
    out += &chunk(json!([{ "index": 0, "delta": {}, "finish_reason": finish }]), Value::Null);
    let (prompt, answer, cached) = usage;
    let used = json!({ "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer,
        "prompt_tokens_details": { "cached_tokens": cached } });
    out += &chunk(json!([]), used);
    out += "data: [DONE]\n\n";
    out.into_bytes()
}

proptest! {
    #[test]
    fn what_is_written_for_a_caller_is_read_as_it_was_meant(
        pieces in pieces(),
        length in any::<bool>(),
        usage in (20_u64..5000, 0_u64..5000, 0_u64..20),
    ) {
        let calls = pieces.iter().any(|piece| matches!(piece, Piece::Call { .. }));
        let finish = if length { "length" } else if calls { "tool_calls" } else { "stop" };
        let body = Bytes::from(chat_stream(&pieces, finish, usage));
        let whole = Bytes::from(chat_whole(&run(plan(PAIRS[0].0, Dialect::OpenaiChat, true, 1).events(), std::slice::from_ref(&body)).items));
        for (client, dialect) in PAIRS {
            for (streaming, body) in [(true, &body), (false, &whole)] {
                let source = plan(client, Dialect::OpenaiChat, streaming, 1);
                let wanted = said(&run(source.events(), std::slice::from_ref(body)).items);
                let written: Outcome<Bytes> = run(source.reply("id", 1), std::slice::from_ref(body));
                prop_assert_eq!(&written.result, &Ok(()));
                let own = plan(client, dialect, streaming, 1);
                let read = run(own.events(), &[written.bytes().into()]);
                prop_assert_eq!(&read.result, &Ok(()), "{}", String::from_utf8_lossy(&written.bytes()));
                prop_assert_eq!(said(&read.items), wanted, "{:?} {}", client, String::from_utf8_lossy(&written.bytes()));
            }
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_never_read_as_a_whole_one(
        pieces in pieces(), at in any::<prop::sample::Index>(), usage in (20_u64..50, 0_u64..50, 0_u64..20),
    ) {
        let body = chat_stream(&pieces, "stop", usage);
        let done = body.len() - b"data: [DONE]\n\n".len();
        // Before the finish reason: behind it a reply of this dialect is whole.
        let finish = body.windows(8).position(|window| window == b"\"stop\"}]").unwrap();
        let cut = at.index(done.min(finish));
        let body = Bytes::copy_from_slice(&body[..cut]);
        for (client, dialect) in PAIRS {
            let source = plan(client, Dialect::OpenaiChat, true, 1);
            let mut machine = source.reply("id", 1);
            let mut items = std::collections::VecDeque::new();
            let error = machine.push(body.clone(), &mut items).and_then(|()| machine.finish(&mut items)).unwrap_err();
            machine.fail(&error, &mut items);
            let written = items.iter().flatten().copied().collect::<Vec<u8>>();
            let read = run(plan(client, dialect, true, 1).events(), &[written.into()]);
            let told = read.result.unwrap_err();
            prop_assert_eq!(told.message(), error.message(), "{:?}", client);
        }
    }
}

/// A signature, and reasoning that is withheld, come back to the model that gave them as they were.
#[test]
fn signed_and_withheld_reasoning_comes_back_as_it_was() {
    let events = [
        json!({ "type": "message_start", "message": { "id": "m", "type": "message", "role": "assistant", "model": "c",
            "content": [], "usage": { "input_tokens": 1, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "thinking", "thinking": "", "signature": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "thinking_delta", "thinking": "hm" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "signature_delta", "signature": "Sig+/-_=" } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "redacted_thinking", "data": "cmVk+w==" } }),
        json!({ "type": "content_block_stop", "index": 1 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 3 } }),
        json!({ "type": "message_stop" }),
    ];
    let stream: String = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .collect();
    for (client, dialect) in PAIRS {
        let source = plan(client, Dialect::AnthropicMessages, true, 1);
        let body = Bytes::from(stream.clone());
        let wanted = said(&run(source.events(), std::slice::from_ref(&body)).items);
        assert!(wanted.answers[0].parts.contains(&Part::Signature("Sig+/-_=".to_owned())));
        let written: Outcome<Bytes> = run(source.reply("id", 1), &[body]);
        let read = run(plan(client, dialect, true, 1).events(), &[written.bytes().into()]);
        let turn = crate::requests::turn_of(dialect, &read.items, &written.bytes());
        let reasoning = crate::requests::reasoning_of(client, &turn);
        assert_eq!(
            reasoning,
            [("hm", Some("Sig+/-_="), None), ("", None, Some("cmVk+w=="))].map(
                |(text, signature, redacted): (&str, Option<&str>, Option<&str>)| {
                    (text.to_owned(), signature.map(str::to_owned), redacted.map(str::to_owned))
                }
            ),
            "{client:?}"
        );
    }
}
