//! Recorded replies: relayed byte for byte where the caller speaks the backend's dialect, and what chat completions said written for
//! callers of each.

use std::fs;

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_wire::{
    client::{ClientDialect, StreamForm},
    host::Dialect,
    hub::{Event, FinishReason},
};

use crate::{
    PAIRS, plan,
    recorded::corpus,
    replies::{Outcome, run},
    said::{Part, Said, said},
    support::{cuttings, read_json},
};

/// Bodies of recorded good replies of `provider`, and whether they are streams.
fn replies(provider: &str, api: impl Fn(&str) -> bool) -> Vec<(String, Bytes, bool)> {
    let Some(root) = corpus() else { return Vec::new() };
    let folder = root.join(provider);
    let index = read_json(&folder.join("index.json"));
    let entries = index.as_array().unwrap().iter();
    entries
        .filter(|entry| entry["status"] == 200 && api(entry["api"].as_str().unwrap_or_default()))
        .filter_map(|entry| {
            let file = entry["response_file"].as_str().unwrap();
            let streaming = entry["streaming"] == true;
            let framed = [".sse", ".eventstream"].iter().any(|end| file.ends_with(end));
            let body = fs::read(folder.join(file)).unwrap();
            let id = entry["id"].as_str().unwrap().to_owned();
            (streaming == framed && !file.ends_with(".jsonl")).then(|| (id, body.into(), streaming))
        })
        .collect()
}

/// By the relay, which counts what the decoder counts.
fn check_relay(client: ClientDialect, dialect: Dialect, replies: &[(String, Bytes, bool)]) {
    for (id, body, streaming) in replies {
        let plan = plan(client, dialect, *streaming, 1);
        for pieces in cuttings(body, 3) {
            let events = run(plan.events(), &pieces);
            let relayed: Outcome<Bytes> = run(plan.reply("id", 1), &pieces);
            assert_eq!(relayed.progress.usage, events.progress.usage, "{id}");
            if events.result.is_ok() {
                assert_eq!(relayed.result, Ok(()), "{id}");
                assert_eq!(relayed.progress, events.progress, "{id}");
                assert!(relayed.bytes() == *body, "{id} changed on the way");
            }
        }
    }
}

#[test]
fn every_recorded_reply_of_gemini_is_relayed_byte_for_byte() {
    let is_generate = |api: &str| api.to_ascii_lowercase().contains("generatecontent");
    for provider in ["gemini", "vertex"] {
        let replies = replies(provider, is_generate);
        check_relay(ClientDialect::Gemini(StreamForm::Events), Dialect::Gemini, &replies);
        for (id, body, _) in replies.iter().filter(|(_, _, streaming)| *streaming) {
            let array = ClientDialect::Gemini(StreamForm::Array);
            let relayed: Outcome<Bytes> =
                run(plan(array, Dialect::Gemini, true, 1).reply("id", 1), &cuttings(body, 1)[1]);
            assert_eq!(relayed.result, Ok(()), "{id}");
            let elements: Vec<Value> = serde_json::from_slice(&relayed.bytes()).unwrap();
            let text = std::str::from_utf8(body).unwrap();
            let sent: Vec<Value> = text
                .lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .map(|data| serde_json::from_str(data).unwrap())
                .collect();
            assert_eq!(elements, sent, "{id}");
        }
        println!("{provider}: {} replies relayed", replies.len());
    }
}

#[test]
fn every_recorded_reply_of_converse_is_relayed_byte_for_byte() {
    let replies = replies("bedrock", |api| api.starts_with("converse"));
    check_relay(ClientDialect::BedrockConverse, Dialect::BedrockConverse, &replies);
    println!("bedrock: {} replies relayed", replies.len());
}

/// What OpenAI and Azure said reaches a caller of each dialect, and is read there as it was meant.
#[test]
fn every_recorded_chat_reply_reaches_every_caller_whole() {
    let mut checked = 0;
    for provider in ["openai", "azure", "deepseek", "groq", "mistral", "vllm"] {
        for (id, body, streaming) in replies(provider, |api| api == "chat") {
            for (client, dialect) in PAIRS {
                let source = plan(client, Dialect::OpenaiChat, streaming, 1);
                let events = run(source.events(), std::slice::from_ref(&body));
                let several =
                    events.items.iter().any(|event| matches!(event, Event::Finish { choice: 1.., .. }));
                if events.result.is_err() || (several && dialect != Dialect::Gemini) {
                    continue;
                }
                let written: Outcome<Bytes> = run(source.reply("id", 1), std::slice::from_ref(&body));
                assert_eq!(written.result, Ok(()), "{id}");
                let read = run(plan(client, dialect, streaming, 1).events(), &[written.bytes().into()]);
                let mut wanted = adjusted(said(&events.items), &events.items);
                if dialect == Dialect::BedrockConverse {
                    // A Grok reported more cached tokens than tokens; here the one is counted beside the other.
                    wanted.tokens.0 = wanted.tokens.0.max(wanted.tokens.2);
                }
                let mut got = said(&read.items);
                for answer in &mut got.answers {
                    // A signature of ours, in a caller's wrapping.
                    answer.parts.retain(|part| !matches!(part, Part::Signature(_)));
                }
                if wanted.error.is_none() {
                    assert_eq!(read.result, Ok(()), "{id} {}", String::from_utf8_lossy(&written.bytes()));
                }
                assert_eq!(got, wanted, "{client:?} {id}");
                checked += 1;
            }
        }
    }
    println!("chat: {checked} replies translated for callers of other dialects");
}

/// What these dialects have no word for.
fn adjusted(mut said: Said, events: &[Event]) -> Said {
    let refused = events.iter().any(|event| matches!(event, Event::Refusal { .. }));
    for answer in &mut said.answers {
        let calls = answer.parts.iter().any(|part| matches!(part, Part::Call(..)));
        answer.parts.retain(|part| !matches!(part, Part::Signature(_)));
        answer.finish = match answer.finish.as_deref() {
            Some(_) if refused => Some("content_filter".to_owned()),
            Some("stop") if calls => Some("tool_calls".to_owned()),
            Some("function_call") => Some(if calls { "tool_calls" } else { "stop" }.to_owned()),
            other => other.map(str::to_owned),
        };
    }
    said
}

/// The whole reply of chat completions that says what these events say.
pub(crate) fn chat_whole(events: &[Event]) -> Vec<u8> {
    let said = said(events);
    let answer = &said.answers[0];
    let mut message =
        json!({ "role": "assistant", "content": "", "reasoning_content": "", "tool_calls": [] });
    let mut append = |name: &str, text: &str| {
        let Value::String(before) = &mut message[name] else { panic!("{name}") };
        before.push_str(text);
    };
    let mut calls = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Text(text) => append("content", text),
            Part::Reasoning(text) => append("reasoning_content", text),
            Part::Call(name, id, arguments) => calls.push(json!({ "id": id, "type": "function",
                "function": { "name": name, "arguments": arguments.to_string() } })),
            Part::Signature(_) | Part::Redacted(_) => {}
        }
    }
    message["tool_calls"] = calls.into();
    let (prompt, completion, cached) = said.tokens;
    let finish = events.iter().find_map(|event| match event {
        Event::Finish { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    json!({ "id": "c1", "object": "chat.completion", "created": 1, "model": "served",
        "choices": [{ "index": 0, "message": message, "finish_reason": finish.unwrap_or(FinishReason::Stop).as_openai() }],
        "usage": { "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_tokens_details": { "cached_tokens": cached } } })
    .to_string()
    .into_bytes()
}
