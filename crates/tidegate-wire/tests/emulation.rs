//! What a backend can't do and Tidegate makes good: structured output from models that have none, by a tool call which the caller
//! sees as the answer's text; one tool call at a time.

#![cfg(test)]

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_wire::{
    ErrorClass,
    client::Inbound,
    host::{Place, Prepared, row},
};

const OLD_CLAUDE: &str = "claude-3-5-haiku-latest";

fn prepared(host: &str, model: &str, fields: Value) -> Prepared {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let place = Place { region: Some("eu-west-1"), base_url: Some("http://backend"), ..Place::default() };
    let endpoint = row(host).unwrap().endpoint_at(place).unwrap();
    endpoint.prepare(&Inbound::parse(body.to_string().into()).unwrap(), model).unwrap()
}

fn sent(host: &str, model: &str, fields: Value) -> Value {
    serde_json::from_slice(&prepared(host, model, fields).outbound.body).unwrap()
}

fn schema() -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "tide", "schema": {"type": "object", "properties": {"high": {"type": "string"}}}}})
}

#[test]
fn a_schema_is_a_tool_for_those_who_have_no_schemas() {
    let body = sent("anthropic", OLD_CLAUDE, json!({"response_format": schema()}));
    assert_eq!(body["tools"][0]["input_schema"]["properties"]["high"]["type"], "string");
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": body["tools"][0]["name"]}));
    assert_eq!(body.get("output_config"), None);
    let body = sent("bedrock", "amazon.nova-lite-v1:0", json!({"response_format": schema()}));
    let tool = &body["toolConfig"]["tools"][0]["toolSpec"];
    assert_eq!(tool["inputSchema"]["json"]["properties"]["high"]["type"], "string");
    assert_eq!(body["toolConfig"]["toolChoice"], json!({"tool": {"name": tool["name"]}}));
}

#[test]
fn those_who_have_schemas_get_it_as_one() {
    let body = sent("anthropic", "claude-sonnet-4-5", json!({"response_format": schema()}));
    assert_eq!((body.get("tools"), &body["output_config"]["format"]["type"]), (None, &json!("json_schema")));
    let body = sent("bedrock", "eu.anthropic.claude-haiku-4-5-v1:0", json!({"response_format": schema()}));
    assert_eq!((body.get("toolConfig"), body["outputConfig"]["textFormat"].is_object()), (None, true));
}

/// Neither API knows it.
#[test]
fn json_without_a_schema_is_a_tool_for_every_model() {
    for (host, model) in [("anthropic", "claude-sonnet-4-5"), ("bedrock", "amazon.nova-lite-v1:0")] {
        assert!(
            prepared(host, model, json!({"response_format": {"type": "json_object"}}))
                .plan
                .emulation
                .answer_tool,
            "{host}"
        );
    }
}

/// Claude refuses to be made to call a tool while it thinks, and Llama always.
#[test]
fn a_model_that_can_not_be_made_to_is_asked() {
    let asked =
        json!({"response_format": {"type": "json_object"}, "reasoning_effort": "low", "max_tokens": 4000});
    let body = sent("anthropic", "claude-sonnet-4-5", asked);
    assert_eq!(body.get("tool_choice"), None);
    assert!(body["system"].to_string().contains(body["tools"][0]["name"].as_str().unwrap()));
    let body = sent("bedrock", "meta.llama3-1-8b-instruct-v1:0", json!({"response_format": schema()}));
    assert_eq!(body["toolConfig"].get("toolChoice"), None);
    assert!(body["system"].to_string().contains("answer_as_json"));
}

#[test]
fn a_callers_own_tools_may_be_called_first() {
    let tools = json!([{"type": "function", "function": {"name": "tide_table"}}]);
    let with = |choice: Value| {
        sent(
            "anthropic",
            OLD_CLAUDE,
            json!({"response_format": schema(), "tools": tools, "tool_choice": choice}),
        )
    };
    assert_eq!(with(json!("auto"))["tool_choice"]["type"], "any");
    assert_eq!(with(json!("auto"))["tools"].as_array().map(Vec::len), Some(2));
    assert_eq!(with(json!("none"))["tool_choice"]["name"], "answer_as_json");
    let named = with(json!({"type": "function", "function": {"name": "tide_table"}}));
    assert_eq!(named["tool_choice"]["name"], "tide_table");
}

#[test]
fn a_schema_of_something_else_than_an_object_is_refused() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}}});
    let endpoint = row("anthropic").unwrap().endpoint(None, None, None).unwrap();
    let refused = endpoint.prepare(&Inbound::parse(body.to_string().into()).unwrap(), OLD_CLAUDE);
    let error = refused.err().unwrap();
    assert_eq!(error.param(), Some("response_format.json_schema.schema"));
}

/// What a chat caller gets of a stream of Anthropic's with these blocks.
fn streamed(blocks: &[Value], stop: &str) -> (String, Vec<String>, Value) {
    let mut events =
        vec![json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
        "model": "c", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}})];
    for (index, block) in blocks.iter().enumerate() {
        let (start, delta) = match block {
            Value::String(text) => {
                (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": text}))
            }
            call => (
                json!({"type": "tool_use", "id": format!("t{index}"), "name": call["name"], "input": {}}),
                json!({"type": "input_json_delta", "partial_json": call["input"].to_string()}),
            ),
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(
        json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 9}}),
    );
    events.push(json!({"type": "message_stop"}));
    let sse: String = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .collect();
    let asked = json!({"response_format": schema(), "stream": true});
    let mut reply = prepared("anthropic", OLD_CLAUDE, asked).plan.reply("id", 1);
    let mut items = VecDeque::new();
    // One byte at a time: nothing may depend on how it is cut.
    for byte in sse.into_bytes() {
        reply.push(Bytes::from(vec![byte]), &mut items).unwrap();
    }
    reply.finish(&mut items).unwrap();
    let all: Vec<u8> = items.into_iter().flatten().collect();
    let chunks: Vec<Value> = String::from_utf8(all)
        .unwrap()
        .split("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    let choices: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]).collect();
    let text = choices.iter().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
    let calls = choices
        .iter()
        .filter_map(|choice| {
            let call = &choice["delta"]["tool_calls"][0];
            Some(format!("{}:{}", call["index"], call["function"]["name"].as_str()?))
        })
        .collect();
    let finish = choices.iter().find(|choice| choice["finish_reason"].is_string()).unwrap();
    (text, calls, finish["finish_reason"].clone())
}

fn call(name: &str) -> Value {
    json!({"name": name, "input": {"high": "03:12"}})
}

const ANSWER: &str = r#"{"high":"03:12"}"#;

#[test]
fn the_call_is_the_answers_text() {
    let expected = (ANSWER.to_owned(), vec![], json!("stop"));
    assert_eq!(streamed(&[call("answer_as_json")], "tool_use"), expected);
    assert_eq!(
        streamed(&["Here it is:".into(), call("answer_as_json")], "tool_use"),
        expected,
        "no document has that before it"
    );
    assert_eq!(
        streamed(&[call("answer_as_json"), call("answer_as_json")], "tool_use"),
        expected,
        "two documents are none"
    );
}

#[test]
fn a_model_that_answers_in_text_has_answered() {
    assert_eq!(streamed(&[ANSWER.into()], "end_turn"), (ANSWER.to_owned(), vec![], json!("stop")));
}

#[test]
fn calls_of_the_callers_own_tools_stay_calls() {
    let expected = ("Let me see.".to_owned(), vec!["0:tide_table".to_owned()], json!("tool_calls"));
    assert_eq!(streamed(&["Let me see.".into(), call("tide_table")], "tool_use"), expected);
    let both = streamed(&[call("answer_as_json"), call("tide_table")], "tool_use");
    assert_eq!(both, (ANSWER.to_owned(), vec!["0:tide_table".to_owned()], json!("tool_calls")));
}

#[test]
fn an_answer_that_is_cut_short_says_so() {
    assert_eq!(streamed(&[call("answer_as_json")], "max_tokens").2, "length");
}

/// A program that can't handle two calls at once gets one.
#[test]
fn of_several_calls_the_first_is_passed_on_to_those_who_want_one() {
    let call = |harbour: &str| json!({"functionCall": {"name": "tide_table", "args": {"harbour": harbour}}});
    let calls = |parallel: Value| {
        let tools = json!([{"type": "function", "function": {"name": "tide_table"}}]);
        let asked = json!({"tools": tools, "parallel_tool_calls": parallel});
        let mut reply = prepared("gemini", "gemini-2.5-flash", asked).plan.reply("id", 1);
        let mut items = VecDeque::new();
        let said = json!({"candidates": [{"content": {"parts": [call("Delfzijl"), call("Harlingen")]}, "finishReason": "STOP"}]});
        reply.push(Bytes::from(said.to_string()), &mut items).unwrap();
        reply.finish(&mut items).unwrap();
        let whole: Value = serde_json::from_slice(&items.into_iter().flatten().collect::<Vec<u8>>()).unwrap();
        let choice = &whole["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls");
        let calls = choice["message"]["tool_calls"].as_array().unwrap();
        calls
            .iter()
            .map(|call| call["function"]["arguments"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (first, second) = (r#"{"harbour":"Delfzijl"}"#, r#"{"harbour":"Harlingen"}"#);
    assert_eq!(calls(json!(false)), [first]);
    assert_eq!(calls(json!(true)), [first, second]);
    assert_eq!(calls(Value::Null), [first, second]);
}

/// Anthropic's API can be held to it.
#[test]
fn those_who_can_be_held_to_one_call_are_asked_to() {
    let tools = json!([{"type": "function", "function": {"name": "tide_table"}}]);
    let asked = json!({"tools": tools, "parallel_tool_calls": false});
    let one_call = |host: &str, model: &str| prepared(host, model, asked.clone()).plan.emulation.one_call;
    assert!(!one_call("anthropic", OLD_CLAUDE) && one_call("bedrock", OLD_CLAUDE));
    assert_eq!(
        sent("anthropic", OLD_CLAUDE, asked.clone())["tool_choice"]["disable_parallel_tool_use"],
        true
    );
}

#[test]
fn backends_that_call_as_many_tools_as_they_like_are_read_as_if_they_called_one() {
    let tools = json!([{"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}]);
    for (host, model) in
        [("cohere", "command-a-03-2025"), ("ollama", "qwen3"), ("vertex_ai", "gemini-3-flash")]
    {
        let asked = |parallel: bool| json!({"tools": tools.clone(), "parallel_tool_calls": parallel});
        assert!(prepared(host, model, asked(false)).plan.emulation.one_call, "{host}");
        assert!(!prepared(host, model, asked(true)).plan.emulation.one_call, "{host}");
    }
    // Claude can be told, wherever it is.
    let claude = json!({"tools": tools, "parallel_tool_calls": false});
    let body = sent("vertex_ai", "claude-opus-4-5@20251101", claude);
    assert_eq!(body["tool_choice"]["disable_parallel_tool_use"], true);
}

/// What is held back until more has come is bounded, however small its pieces are.
#[test]
fn a_backend_can_not_make_us_hold_without_end() {
    let event = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [],
        "usage": {"input_tokens": 3, "output_tokens": 1}});
    let piece = "x".repeat(1 << 20);
    let cases = [
        (schema(), json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": piece})),
        (
            json!({"type": "text"}),
            json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
            json!({"type": "input_json_delta", "partial_json": piece}),
        ),
    ];
    for (format, block, delta) in cases {
        let asked = json!({"response_format": format, "stream": true});
        let mut reply = prepared("anthropic", OLD_CLAUDE, asked).plan.reply("id", 1);
        let mut items = VecDeque::new();
        let begin = event(json!({"type": "message_start", "message": message}))
            + &event(json!({"type": "content_block_start", "index": 0, "content_block": block}));
        reply.push(begin.into(), &mut items).unwrap();
        let more = Bytes::from(event(json!({"type": "content_block_delta", "index": 0, "delta": delta})));
        let refused = (0..20).find_map(|_| reply.push(more.clone(), &mut items).err());
        assert_eq!(refused.map(|error| error.class()), Some(ErrorClass::Protocol), "{block}");
    }
}
