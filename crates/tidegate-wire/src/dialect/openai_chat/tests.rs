use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{
    ErrorClass, WireError,
    dialect::{Decoder, Encoder},
    framing::Frame,
    hub::{CachePoint, Event, FinishReason, Part, ReplyStart, Role, Source, ToolChoice, ToolKind, Usage},
};

fn refused(body: &str) -> WireError {
    let error = Inbound::parse(Bytes::copy_from_slice(body.as_bytes())).expect_err(body);
    assert_eq!(error.class(), ErrorClass::BadRequest, "{body}");
    error
}

fn parsed(body: &str) -> Inbound {
    Inbound::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn relayed(body: &str, model: &str) -> String {
    let shape = crate::client::RelayShape {
        model,
        stream_options: true,
        rename_max_tokens: false,
        renames: &[],
        continued: None,
    };
    String::from_utf8(parsed(body).relay_body(shape).to_vec()).unwrap()
}

#[test]
fn a_request_that_is_not_json_is_refused_with_its_place() {
    let error = refused("{\"model\":\"m\",\n \"messages\":[1,]}");
    assert!(error.message().contains("line 2 column 16"), "{error}");
    assert!(refused("{\"model\":\"m\"").message().contains("EOF"));
    assert!(refused("").message().contains("not valid JSON"));
    assert!(refused("{\"model\":\"m\",\"messages\":[{}]} x").message().contains("trailing characters"));
    assert!(refused("[]").message().contains("must be a JSON object"));
    let not_utf8 = Inbound::parse(Bytes::from_static(b"{\"model\":\"\xff\"}")).unwrap_err();
    assert!(not_utf8.message().contains("offset 10"), "{not_utf8}");
}

#[test]
fn a_models_name_has_at_most_512_bytes() {
    let body = |model: &str| format!(r#"{{"model":"{model}","messages":[{{}}]}}"#);
    assert_eq!(parsed(&body(&"m".repeat(512))).model.len(), 512);
    for model in ["m".repeat(513), "\u{20ac}".repeat(171), "m".repeat(1 << 20)] {
        let error = refused(&body(&model));
        assert_eq!(error.param(), Some("model"));
        assert!(error.message().contains("512") && error.message().len() < 100, "{error}");
    }
}

#[test]
fn a_field_that_is_missing_or_of_the_wrong_type_is_named() {
    for (body, param) in [
        (r#"{"messages":[{}]}"#, "model"),
        (r#"{"model":5,"messages":[{}]}"#, "model"),
        (r#"{"model":"","messages":[{}]}"#, "model"),
        (r#"{"model":null,"messages":[{}]}"#, "model"),
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"model":"m","messages":[ ]}"#, "messages"),
        (r#"{"model":"m","messages":"hi"}"#, "messages"),
        (r#"{"model":"m","messages":[{}],"stream":"yes"}"#, "stream"),
        (r#"{"model":"m","messages":[{}],"n":-1}"#, "n"),
        (r#"{"model":"m","messages":[{}],"stream_options":[]}"#, "stream_options"),
        (
            r#"{"model":"m","messages":[{}],"stream_options":{"include_usage":1}}"#,
            "stream_options.include_usage",
        ),
    ] {
        let error = refused(body);
        assert_eq!(error.param(), Some(param), "{body}");
        assert!(error.message().contains(param), "{error}");
    }
}

#[test]
fn a_field_given_twice_is_refused() {
    for (body, param) in [
        (r#"{"model":"a","model":"b","messages":[{}]}"#, "model"),
        (r#"{"model":"a","mod\u0065l":"b","messages":[{}]}"#, "model"),
        (r#"{"model":"a","messages":[{}],"messages":[{}]}"#, "messages"),
        (r#"{"model":"a","messages":[{}],"temperature":1,"temperature":2}"#, "temperature"),
        (
            r#"{"model":"a","messages":[{}],"stream_options":{"include_usage":true,"include_usage":false}}"#,
            "stream_options.include_usage",
        ),
    ] {
        assert_eq!(refused(body).param(), Some(param), "{body}");
    }
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = "[".repeat(100_000);
    refused(&format!(r#"{{"model":"m","messages":{deep}"#));
    let closed = format!("{deep}{}", "]".repeat(100_000));
    let inbound = parsed(&format!(r#"{{"model":"m","messages":[{closed}]}}"#));
    assert!(inbound.decode().unwrap_err().message().contains("recursion limit"));
    let keyed = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    parsed(&format!(r#"{{"model":"m","messages":[{keyed}]}}"#)).decode().unwrap_err();
}

#[test]
fn relaying_changes_the_model_and_no_other_byte() {
    let body = "{ \"temperature\" : 1.0e0,\"model\": \"a\\u0062\" ,\n\"messages\":[{ }], \"x\":[1, 2]}";
    assert_eq!(relayed(body, "ab"), body);
    assert_eq!(
        relayed(body, "say \"b\""),
        "{ \"temperature\" : 1.0e0,\"model\": \"say \\\"b\\\"\" ,\n\"messages\":[{ }], \"x\":[1, 2]}"
    );
}

#[test]
fn a1_relaying_a_stream_asks_for_usage_whatever_the_caller_wrote() {
    let head = r#""model":"m","messages":[{}],"stream":true"#;
    for (options, expected) in [
        (r#","stream_options":null"#, r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":{}"#, r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":{ "a":1}"#, r#","stream_options":{"include_usage":true, "a":1}"#),
        (
            r#","stream_options":{"include_usage":false,"a":1}"#,
            r#","stream_options":{"include_usage":true,"a":1}"#,
        ),
        (r#","stream_options":{"include_usage":null}"#, r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":{"include_usage":true}"#, r#","stream_options":{"include_usage":true}"#),
    ] {
        assert_eq!(relayed(&format!("{{{head}{options}}}"), "m"), format!("{{{head}{expected}}}"));
    }
    let unary = r#"{"model":"m","messages":[{}],"stream":false}"#;
    assert_eq!(relayed(unary, "m"), unary);
}

#[test]
fn decoding_names_the_path_of_what_is_wrong() {
    for (message, param) in [
        (r#"{"role":"user","content":[{"text":"x"}]}"#, "messages[0].content[0].type"),
        (r#"{"role":"user","content":[{"type":"text"}]}"#, "messages[0].content[0].text"),
        (r#"{"role":"user","content":[{"type":"image_url"}]}"#, "messages[0].content[0].image_url"),
        (
            r#"{"role":"user","content":[{"type":"image_url","image_url":{}}]}"#,
            "messages[0].content[0].image_url.url",
        ),
        (r#"{"role":"user","content":5}"#, "messages[0].content"),
        (r#"{"content":"x"}"#, "messages[0].role"),
        (r#"{"role":"robot","content":"x"}"#, "messages[0].role"),
        (r#"{"role":"tool","content":"x"}"#, "messages[0].tool_call_id"),
        (
            r#"{"role":"assistant","tool_calls":[{"id":"a","function":{}}]}"#,
            "messages[0].tool_calls[0].function.name",
        ),
        (r#"{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}"#, "messages[0].tool_calls[0].id"),
        (r#""x""#, "messages[0]"),
    ] {
        let body = format!(r#"{{"model":"m","messages":[{message}]}}"#);
        assert_eq!(parsed(&body).decode().expect_err(message).param(), Some(param), "{message}");
    }
    for (field, param) in [
        (r#""tools":[{"type":"function","function":{}}]"#, "tools[0].function.name"),
        (r#""tools":[{}]"#, "tools[0].type"),
        (r#""temperature":"hot""#, "temperature"),
        (r#""stop":[1]"#, "stop[0]"),
        (r#""seed":1.5"#, "seed"),
        (r#""response_format":{"type":"json_schema"}"#, "response_format.json_schema"),
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user"}}],{field}}}"#);
        assert_eq!(parsed(&body).decode().expect_err(field).param(), Some(param), "{field}");
    }
}

/// A request with something of everything.
fn rich_request() -> Value {
    json!({
        "model": "m",
        "messages": [
            { "role": "system", "content": [
                { "type": "text", "text": "be brief", "cache_control": { "type": "ephemeral", "ttl": "1h" } }] },
            { "role": "developer", "content": "now" },
            { "role": "user", "name": "ann", "content": [
                { "type": "text", "text": "look", "prompt_cache_breakpoint": { "mode": "explicit" } },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA", "detail": "low" } },
                { "type": "image_url", "image_url": { "url": "https://e.com/a.png" } },
                { "type": "input_audio", "input_audio": { "data": "AAAA", "format": "wav" } },
                { "type": "file", "file": { "file_id": "f-1" } },
                { "type": "file", "file": { "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf" } },
                { "type": "video_url", "video_url": { "url": "x" } },
                { "type": "image_url", "image_url": { "url": "u", "newer": 1 } }] },
            { "role": "assistant", "content": "calling", "reasoning_content": "hm", "refusal": "no", "audio": { "id": "a" },
              "thinking_blocks": [{ "type": "thinking", "thinking": "hm", "signature": "s" },
                                  { "type": "redacted_thinking", "data": "AAAA" }],
              "tool_calls": [
                { "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{not json" } },
                { "id": "c2", "type": "custom", "custom": { "name": "g", "input": "free" }, "extra": 1 }] },
            { "role": "tool", "tool_call_id": "c1", "content": "result", "cache_control": { "type": "ephemeral" } },
            { "role": "tool", "tool_call_id": "c2", "content": [
                { "type": "text", "text": "a" }, { "type": "text", "text": "b" }] }
        ],
        "tools": [
            { "type": "function", "function": { "name": "f", "description": "d", "parameters": { "type": "object" },
              "strict": true, "newer": 1 }, "cache_control": { "type": "ephemeral" } },
            { "type": "custom", "custom": { "name": "g", "format": { "type": "text" } } },
            { "type": "web_search", "web_search": {} }
        ],
        "tool_choice": { "type": "function", "function": { "name": "f" } },
        "parallel_tool_calls": false,
        "response_format": { "type": "json_schema", "json_schema": { "name": "n", "schema": {}, "strict": true } },
        "temperature": 0.5, "top_p": 1, "top_k": 5, "seed": -3, "frequency_penalty": -1.5, "presence_penalty": 2,
        "logit_bias": { "5": -100 }, "logprobs": true, "top_logprobs": 3,
        "max_completion_tokens": 10, "max_tokens": 9, "stop": ["a", "b"], "n": 2,
        "reasoning_effort": "xhigh", "metadata": { "k": "v" }, "user": "u",
        "stream": true, "stream_options": { "include_usage": true, "include_obfuscation": false },
        "store": false, "service_tier": "flex", "verbosity": "low", "unheard_of": [null, 1]
    })
}

#[test]
fn everything_in_a_request_survives_decoding_and_encoding() {
    let request = rich_request();
    let hub = parsed(&request.to_string()).decode().unwrap();
    let encoded: Value = serde_json::from_slice(&encode_request(&hub)).unwrap();
    assert_eq!(encoded, request);
}

#[test]
fn a_message_means_the_same_after_encoding() {
    let point = json!({ "type": "ephemeral" });
    let refusal = json!({ "type": "refusal", "refusal": "no" });
    let text = json!({ "type": "text", "text": "t" });
    let image = json!({ "type": "image_url", "image_url": { "url": "data:;base64,AAAA" } });
    let call = json!({ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } });
    for message in [
        json!({ "role": "assistant", "thinking_blocks": [{ "thinking": "a" }, { "thinking": "b" }] }),
        json!({ "role": "assistant", "thinking_blocks": [{}], "reasoning_content": "a" }),
        json!({ "role": "assistant", "thinking_blocks": [{ "thinking": "a", "data": "AAAA" }] }),
        json!({ "role": "assistant", "refusal": "" }),
        json!({ "role": "assistant", "content": [refusal, text], "tool_calls": [call] }),
        json!({ "role": "assistant", "content": [refusal], "refusal": "never" }),
        json!({ "role": "assistant", "content": "t", "refusal": "no", "cache_control": point }),
        json!({ "role": "assistant", "tool_calls": [call], "cache_control": point }),
        json!({ "role": "user", "content": [refusal] }),
        json!({ "role": "user", "content": [image] }),
        json!({ "role": "user", "content": [{ "type": "unheard_of", "text": "t" }] }),
        json!({ "role": "user", "content": [{ "type": "text", "text": "t", "cache_control": point }], "cache_control": point }),
        json!({ "role": "tool", "tool_call_id": "c", "content": [refusal, text], "cache_control": point }),
    ] {
        let request = json!({ "model": "m", "messages": [message] });
        let hub = parsed(&request.to_string()).decode().unwrap();
        let encoded = String::from_utf8(encode_request(&hub)).unwrap();
        assert_eq!(parsed(&encoded).decode().unwrap(), hub, "{message} became {encoded}");
    }
}

#[test]
fn what_other_dialects_need_is_in_the_hubs_own_types() {
    let hub = parsed(&rich_request().to_string()).decode().unwrap();
    assert_eq!(hub.messages[0].parts[1], Part::CachePoint(CachePoint { ttl: Some("1h".to_owned()) }));
    let Part::Image(image) = &hub.messages[2].parts[1] else { panic!("no image") };
    let data = "AAAA".to_owned();
    assert_eq!(image.source, Source::Base64 { media_type: "image/png".to_owned(), data });
    assert_eq!(hub.messages[3].role, Role::Assistant);
    let Part::Reasoning(reasoning) = &hub.messages[3].parts[0] else { panic!("no reasoning") };
    assert_eq!((&*reasoning.text, reasoning.signature.as_deref()), ("hm", Some("s")));
    let Part::ToolResult(result) = &hub.messages[4].parts[0] else { panic!("no result") };
    assert_eq!((&*result.id, &*result.parts), ("c1", [Part::text("result")].as_slice()));
    assert_eq!(hub.tool_choice, Some(ToolChoice::Named("f".to_owned())));
    assert_eq!(hub.tools[1].kind, ToolKind::Custom);
    assert_eq!(hub.limits.max_output_tokens, Some(10));
    assert!(hub.extras.contains_key("unheard_of"));
}

/// Texts of the reasoning that an assistant message with `fields` gives back.
fn echoed(fields: Value) -> Vec<String> {
    let mut message = json!({ "role": "assistant", "content": "4" });
    message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let hub = parsed(&json!({ "model": "m", "messages": [message] }).to_string()).decode().unwrap();
    let text = |part: Part| match part {
        Part::Reasoning(reasoning) => Some(reasoning.text),
        _ => None,
    };
    hub.messages.into_iter().flat_map(|message| message.parts).filter_map(text).collect()
}

#[test]
fn reasoning_that_came_in_pieces_is_the_text_of_the_one_signed_block() {
    let signed = json!({ "type": "thinking", "thinking": "", "signature": "s", "index": 0 });
    let withheld = json!({ "type": "redacted_thinking", "data": "AAAA", "index": 1 });
    for text in ["reasoning_content", "reasoning"] {
        assert_eq!(echoed(json!({ text: "hm", "thinking_blocks": [signed] })), ["hm"], "{text}");
    }
    assert_eq!(
        echoed(json!({ "reasoning_content": "hm", "thinking_blocks": [signed, withheld] })),
        ["hm", ""]
    );
    assert_eq!(echoed(json!({ "thinking_blocks": [signed] })), [""], "a signature alone is worth keeping");
}

#[test]
fn reasoning_whose_block_is_not_certain_is_not_guessed_at() {
    let signed = json!({ "type": "thinking", "thinking": "", "signature": "s" });
    let full = json!({ "type": "thinking", "thinking": "hm", "signature": "t" });
    let withheld = json!({ "type": "redacted_thinking", "data": "AAAA" });
    let given = |blocks: &[&Value]| echoed(json!({ "reasoning_content": "hm", "thinking_blocks": blocks }));
    assert_eq!(given(&[&signed, &signed]), ["", ""]);
    assert_eq!(given(&[&full, &signed]), ["hm", ""], "the text is the other block's");
    assert_eq!(given(&[&full]), ["hm"]);
    assert_eq!(given(&[&withheld]), [""]);
}

fn written(include_usage: bool, events: &[Event]) -> String {
    let mut encoder = StreamEncoder::new("id-1", 7, "m", include_usage);
    let mut out = Vec::new();
    for event in events {
        encoder.event(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn tool_turn() -> Vec<Event> {
    let usage = Usage {
        prompt_tokens: 12,
        completion_tokens: 3,
        total_tokens: 15,
        cached_tokens: Some(4),
        ..Usage::default()
    };
    vec![
        Event::Start(ReplyStart { model: Some("served".to_owned()), ..ReplyStart::default() }),
        Event::Reasoning { choice: 0, text: "hm".to_owned() },
        Event::ReasoningSignature { choice: 0, signature: "s".to_owned() },
        Event::Text { choice: 0, text: "say \"é\"\n".to_owned() },
        Event::ToolCallStart {
            choice: 0,
            index: 0,
            id: "c".to_owned(),
            name: "f".to_owned(),
            kind: ToolKind::Function,
        },
        Event::ToolCallArguments { choice: 0, index: 0, fragment: "{}".to_owned() },
        Event::Finish { choice: 0, reason: FinishReason::ToolCalls },
        Event::ReplyExtra { name: "trace", value: json!({ "guardrail": 1 }) },
        Event::Usage(usage),
        Event::End,
    ]
}

#[test]
fn a_stream_is_written_as_openai_writes_it() {
    let chunk = |rest: &str| {
        format!(
            "data: {{\"id\":\"id-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"served\",{rest},\"usage\":null}}\n\n"
        )
    };
    let delta = |fields: &str, finish: &str| {
        chunk(&format!("\"choices\":[{{\"index\":0,\"delta\":{{{fields}}},\"finish_reason\":{finish}}}]"))
    };
    let expected = [
        delta(r#""role":"assistant","reasoning_content":"hm""#, "null"),
        delta(r#""thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"s","index":0}]"#, "null"),
        delta(r#""content":"say \"é\"\n""#, "null"),
        delta(
            r#""tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]"#,
            "null",
        ),
        delta(r#""tool_calls":[{"index":0,"function":{"arguments":"{}"}}]"#, "null"),
        delta("", "\"tool_calls\""),
        chunk(r#""trace":{"guardrail":1},"choices":[]"#).replace(
            "null}",
            r#"{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}}}"#,
        ),
        "data: [DONE]\n\n".to_owned(),
    ];
    assert_eq!(written(true, &tool_turn()), expected.concat());
}

fn cited(sources: &[&str]) -> Event {
    let value = sources.iter().map(|source| json!({ "type": "citation", "citation": source })).collect();
    Event::ChoiceExtra { choice: 0, name: "delta.annotations", value }
}

#[test]
fn entries_of_a_streamed_list_are_numbered_through() {
    let redacted = Event::ReasoningRedacted { choice: 0, data: "x".to_owned() };
    let text = written(false, &[cited(&["a"]), redacted.clone(), cited(&["b", "c"]), redacted]);
    let numbered = |text: &str, name: &str| -> Vec<u64> {
        let deltas = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str::<Value>(data).unwrap()["choices"][0]["delta"][name].clone());
        let entries = deltas.filter_map(|list| list.as_array().cloned()).flatten();
        entries.map(|entry| entry["index"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbered(&text, "annotations"), [0, 1, 2]);
    assert_eq!(numbered(&text, "thinking_blocks"), [0, 1]);
}

#[test]
fn a_whole_reply_keeps_every_annotation() {
    let mut encoder = WholeEncoder::new("id-1", 7, "m");
    let mut out = Vec::new();
    for event in [cited(&["a"]), cited(&["b", "c"]), Event::End] {
        encoder.event(&event, &mut out);
    }
    let value: Value = serde_json::from_slice(&out).unwrap();
    let annotations = value["choices"][0]["message"]["annotations"].as_array().unwrap();
    let sources: Vec<_> =
        annotations.iter().map(|annotation| annotation["citation"].as_str().unwrap()).collect();
    assert_eq!(sources, ["a", "b", "c"]);
}

#[test]
fn usage_is_written_only_for_a_caller_who_asked_for_it() {
    let text = written(false, &tool_turn());
    assert!(!text.contains("usage") && text.contains("\"trace\"") && text.ends_with("data: [DONE]\n\n"));
}

#[test]
fn no_done_follows_an_error() {
    let error = WireError::new(ErrorClass::Overloaded, "busy").with_code("busy_now");
    let text = written(true, &[Event::Text { choice: 0, text: "a".to_owned() }, Event::Error(error)]);
    let last = text.trim_end().rsplit("data: ").next().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(last).unwrap()["error"],
        json!({ "message": "busy", "type": "overloaded_error", "param": null, "code": "busy_now" })
    );
    assert!(!text.contains("[DONE]"));
}

#[test]
fn a_whole_reply_is_written_as_openai_writes_it() {
    let mut encoder = WholeEncoder::new("id-1", 7, "m");
    let mut out = Vec::new();
    for event in tool_turn() {
        assert!(out.is_empty(), "written before its end");
        encoder.event(&event, &mut out);
    }
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        value,
        json!({
            "id": "id-1", "object": "chat.completion", "created": 7, "model": "served",
            "choices": [{ "index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "say \"é\"\n", "refusal": null, "reasoning_content": "hm",
                "thinking_blocks": [{ "type": "thinking", "thinking": "hm", "signature": "s" }],
                "tool_calls": [{ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } }] } }],
            "trace": { "guardrail": 1 },
            "usage": { "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
                "prompt_tokens_details": { "cached_tokens": 4 } },
        })
    );
}

#[test]
fn half_a_surrogate_pair_does_not_break_the_stream() {
    let mut events = Vec::new();
    let data = r#"{"id":"i","choices":[{"index":0,"delta":{"content":"a\ud83d"}}]}"#;
    ChatDecoder::new(1).frame(Frame::Sse { event: "message", data }, &mut events).unwrap();
    assert!(matches!(&events[1], Event::Text { text, .. } if text.starts_with("a\u{fffd}")), "{events:?}");
}

#[test]
fn an_error_is_written_in_openais_shape() {
    let error = WireError::bad_request("no \"model\"").with_param("model");
    let value: Value = serde_json::from_slice(&encode_error(&error)).unwrap();
    assert_eq!(
        value,
        json!({ "error": { "message": "no \"model\"", "type": "invalid_request_error", "param": "model", "code": null } })
    );
}

/// It says which filter refused, which is all that a caller can act on. Recorded: azure/chat.unary.80.
#[test]
fn azures_verdict_on_a_refused_prompt_reaches_the_caller() {
    let verdict = json!({ "code": "ResponsibleAIPolicyViolation", "content_filter_result": {
        "hate": { "filtered": false, "severity": "safe" },
        "jailbreak": { "filtered": true, "detected": true },
    } });
    let facts =
        json!({ "message": "no", "type": null, "param": "prompt", "code": "content_filter", "status": 400 });
    let inside = |name: &str| {
        let mut body = json!({ "error": facts });
        body["error"][name] = verdict.clone();
        body
    };
    let mut beside = json!({ "error": facts });
    beside["innererror"] = verdict.clone();
    for body in [inside("innererror"), inside("inner_error"), beside] {
        let error = decode_error_body(400, body.to_string().as_bytes());
        assert_eq!(error.class(), ErrorClass::ContentFilter);
        let value: Value = serde_json::from_slice(&encode_error(&error)).unwrap();
        assert_eq!(value["error"]["innererror"], verdict, "{body}");
    }
    let other = json!({ "error": { "message": "no", "innererror": verdict } });
    let value: Value =
        serde_json::from_slice(&encode_error(&decode_error_body(500, other.to_string().as_bytes()))).unwrap();
    assert_eq!(value["error"].get("innererror"), None, "only a verdict of the filter");
}

/// The decoder of a backend that speaks LiteLLM's form, for a caller of another dialect: every signature behind its own text.
#[test]
fn thinking_blocks_are_signed_reasoning_to_callers_of_another_dialect() {
    let text = |text: &str| Event::Reasoning { choice: 0, text: text.to_owned() };
    let signature = |text: &str| Event::ReasoningSignature { choice: 0, signature: text.to_owned() };
    let withheld = Event::ReasoningRedacted { choice: 0, data: "x".to_owned() };
    let reasoning = |whole: bool, bodies: &[Value]| -> Vec<Event> {
        let mut decoder = ChatDecoder::for_another(1);
        let mut events = Vec::new();
        for body in bodies {
            let body = body.to_string();
            let frame = if whole {
                Frame::Whole(body.as_bytes())
            } else {
                Frame::Sse { event: "message", data: &body }
            };
            decoder.frame(frame, &mut events).unwrap();
        }
        events.retain(|event| !matches!(event, Event::Start(_) | Event::Finish { .. } | Event::End));
        events
    };
    let chunk = |delta: Value| json!({ "id": "i", "choices": [{ "index": 0, "delta": delta }] });
    let pieces = [
        chunk(
            json!({ "reasoning_content": "a", "thinking_blocks": [{ "type": "thinking", "thinking": "a" }] }),
        ),
        chunk(json!({ "thinking_blocks": [{ "type": "thinking", "thinking": "", "signature": "s" }] })),
        chunk(json!({ "thinking_blocks": [{ "type": "redacted_thinking", "data": "x" }] })),
    ];
    assert_eq!(reasoning(false, &pieces), [text("a"), signature("s"), withheld]);
    let message = |blocks: Value| {
        let message = json!({ "reasoning_content": "ab", "thinking_blocks": blocks });
        json!({ "id": "i", "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] })
    };
    let block =
        |text: &str, signature: &str| json!({ "type": "thinking", "thinking": text, "signature": signature });
    let two = message(json!([block("a", "s"), block("b", "t")]));
    assert_eq!(reasoning(true, &[two]), [text("a"), signature("s"), text("b"), signature("t")]);
    for unsigned in [json!([block("ab", "")]), json!({ "odd": 1 }), Value::Null] {
        assert_eq!(reasoning(true, &[message(unsigned)]), [text("ab")]);
    }
}
