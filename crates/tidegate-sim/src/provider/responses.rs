//! OpenAI's Responses API as OpenAI and Azure have it: named server-sent events with numbers, or one document; and what is asked of
//! a response that is kept. Nothing is: every id is that of a response that is made as the scenario says.
//!
//! Order of a stream as recorded: `response.created`, `response.in_progress`, the items (a reasoning, a message, calls), each begun,
//! told piece by piece and told whole, and `response.completed` with all of them. An answer of more than 64 KiB is told by its pieces
//! only.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::chat::{TOOL_ARGUMENTS, azure_head, hexadecimal, openai_head};
use super::{Ask, thinking, unix_seconds};
use crate::plan::{Body, ContentFrames, Head, NumberedTemplate, Plan, Segment, SseTemplate, Stream};
use crate::scenario::{Scenario, word};

/// What is asked of a kept response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Retrieve { streaming: bool },
    Delete,
    Cancel,
    InputItems,
}

pub(super) fn plan(ask: &Ask, azure: bool, scenario: Scenario) -> Plan {
    answer(ask, &format!("resp_{}", hexadecimal()), azure, scenario)
}

/// What is said of the response `id`, which is kept.
pub(super) fn kept(ask: &Ask, id: &str, operation: &Kept, azure: bool, scenario: Scenario) -> Plan {
    let document = match operation {
        Kept::Retrieve { .. } => return answer(ask, id, azure, scenario),
        Kept::Delete => json!({ "id": id, "object": "response", "deleted": true }),
        Kept::Cancel => response(ask, id, "cancelled", &[]),
        Kept::InputItems => json!({
            "object": "list", "first_id": "msg_1", "last_id": "msg_1", "has_more": false,
            "data": [{ "id": "msg_1", "type": "message", "role": "user", "status": "completed",
                "content": [{ "type": "input_text", "text": "Hi" }] }],
        }),
    };
    let bytes = Bytes::from(document.to_string());
    let body = Body::Whole { bytes, thinking: std::time::Duration::ZERO, completion: 0 };
    Plan { head: head(ask, azure, "application/json"), body, scenario }
}

fn answer(ask: &Ask, id: &str, azure: bool, scenario: Scenario) -> Plan {
    if ask.streaming {
        let body = Body::Stream(Script::new(ask, id, &scenario).stream());
        return Plan { head: head(ask, azure, "text/event-stream; charset=utf-8"), body, scenario };
    }
    let status = status(&scenario);
    let mut document = response(ask, id, status, &output(ask, &scenario, true));
    if status != "queued" {
        put(&mut document, "usage", usage(ask, &scenario));
    }
    let body = Body::Whole {
        bytes: Bytes::from(document.to_string()),
        thinking: thinking(&scenario),
        completion: output_tokens(&scenario),
    };
    Plan { head: head(ask, azure, "application/json"), body, scenario }
}

fn head(ask: &Ask, azure: bool, media: &'static str) -> Head {
    if azure { azure_head(200, media, &ask.model) } else { openai_head(200, media) }
}

/// By the scenario's `finish`: `queued` is a response that runs in the background.
fn status(scenario: &Scenario) -> &'static str {
    match scenario.finish.as_deref() {
        Some("length" | "content_filter") => "incomplete",
        Some("queued") => "queued",
        _ => "completed",
    }
}

fn response(ask: &Ask, id: &str, status: &str, output: &[Value]) -> Value {
    json!({
        "id": id, "object": "response", "created_at": unix_seconds(), "status": status, "background": false,
        "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
        "model": ask.model, "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": { "effort": null, "summary": null }, "store": true, "temperature": 1.0,
        "text": { "format": { "type": "text" } }, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": null, "user": null, "metadata": {},
    })
}

fn put(document: &mut Value, name: &str, value: Value) {
    if let Some(fields) = document.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// The items of the answer, with what they say or as they begin.
fn output(ask: &Ask, scenario: &Scenario, whole: bool) -> Vec<Value> {
    if status(scenario) == "queued" {
        return Vec::new();
    }
    let mut items = Vec::new();
    if scenario.reasoning > 0 {
        let summary = match whole {
            true => json!([{ "type": "summary_text", "text": scenario.reasoning_text() }]),
            false => json!([]),
        };
        items.push(
            json!({ "id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": ENCRYPTED }),
        );
    }
    if scenario.tokens > 0 {
        let content = if whole { json!([text_part(&told(scenario))]) } else { json!([]) };
        items.push(json!({ "id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
            "content": content }));
    }
    for tool in 0..scenario.tools {
        let arguments = if whole { TOOL_ARGUMENTS.concat() } else { String::new() };
        items.push(json!({ "id": format!("fc_{tool}"), "type": "function_call", "status": "completed",
            "call_id": format!("call_{tool:02}"), "name": ask.tool.as_deref().unwrap_or("tide_table"),
            "arguments": arguments }));
    }
    items
}

fn text_part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

/// The whole text, unless it is too long to be told again.
fn told(scenario: &Scenario) -> String {
    let bytes = u64::from(scenario.tokens) * scenario.text.max(8) as u64;
    if bytes <= MAX_TOLD { scenario.whole_text() } else { String::new() }
}

fn usage(ask: &Ask, scenario: &Scenario) -> Value {
    let output = output_tokens(scenario);
    json!({
        "input_tokens": ask.prompt,
        "input_tokens_details": { "cached_tokens": u64::from(scenario.cached).min(ask.prompt), "cache_write_tokens": 0 },
        "output_tokens": output, "output_tokens_details": { "reasoning_tokens": scenario.reasoning },
        "total_tokens": ask.prompt + output,
    })
}

fn output_tokens(scenario: &Scenario) -> u64 {
    let per_tool = TOOL_ARGUMENTS.len() as u64 + 1;
    u64::from(scenario.tokens) + u64::from(scenario.reasoning) + u64::from(scenario.tools) * per_tool
}

/// A stream as it is put together; its events have numbers without a gap.
struct Script<'a> {
    ask: &'a Ask,
    id: &'a str,
    scenario: &'a Scenario,
    segments: Vec<Segment>,
    /// The next event's.
    number: u64,
}

impl<'a> Script<'a> {
    fn new(ask: &'a Ask, id: &'a str, scenario: &'a Scenario) -> Self {
        Self { ask, id, scenario, segments: Vec::new(), number: 0 }
    }

    fn stream(mut self) -> Stream {
        let begun = response(self.ask, self.id, "in_progress", &[]);
        for kind in ["response.created", "response.in_progress"] {
            self.fixed(kind, json!({ "response": begun }));
        }
        let (begun, whole) = (output(self.ask, self.scenario, false), output(self.ask, self.scenario, true));
        for (at, (begun, whole)) in begun.iter().zip(&whole).enumerate() {
            let frame =
                self.event("response.output_item.added", json!({ "output_index": at, "item": begun }));
            // A call's opening is a token.
            let is_call = begun.get("type").is_some_and(|kind| kind == "function_call");
            self.segments.push(if is_call {
                Segment::Listed(vec![frame])
            } else {
                Segment::Fixed(vec![frame])
            });
            match begun.get("type").and_then(Value::as_str) {
                Some("reasoning") => self.reasoning(at),
                Some("message") => self.message(at),
                _ => self.call(at, begun),
            }
            self.fixed("response.output_item.done", json!({ "output_index": at, "item": whole }));
        }
        let status = status(self.scenario);
        let mut last = response(self.ask, self.id, status, &whole);
        put(&mut last, "usage", usage(self.ask, self.scenario));
        if status == "incomplete" {
            let filtered = self.scenario.finish.as_deref() == Some("content_filter");
            let reason = if filtered { "content_filter" } else { "max_output_tokens" };
            put(&mut last, "incomplete_details", json!({ "reason": reason }));
        }
        self.fixed(&format!("response.{status}"), json!({ "response": last }));
        Stream {
            segments: self.segments,
            hidden: 0,
            failure: Bytes::from_static(FAILURE),
            malformed: Bytes::from_static(MALFORMED),
        }
    }

    fn event(&mut self, kind: &str, mut fields: Value) -> Bytes {
        put(&mut fields, "type", kind.into());
        put(&mut fields, "sequence_number", self.number.into());
        self.number += 1;
        Bytes::from(format!("event: {kind}\ndata: {fields}\n\n"))
    }

    fn fixed(&mut self, kind: &str, fields: Value) {
        let frame = self.event(kind, fields);
        self.segments.push(Segment::Fixed(vec![frame]));
    }

    fn reasoning(&mut self, at: usize) {
        let place = |name: &str, value: Value| {
            let mut fields = json!({ "item_id": "rs_1", "output_index": at, "summary_index": 0 });
            put(&mut fields, name, value);
            fields
        };
        let part = |text: &str| json!({ "type": "summary_text", "text": text });
        self.fixed("response.reasoning_summary_part.added", place("part", part("")));
        let words = (0..self.scenario.reasoning).map(word);
        let deltas: Vec<Bytes> = words
            .map(|word| self.event("response.reasoning_summary_text.delta", place("delta", word.into())))
            .collect();
        self.segments.push(Segment::Listed(deltas));
        let text = self.scenario.reasoning_text();
        self.fixed("response.reasoning_summary_text.done", place("text", text.as_str().into()));
        self.fixed("response.reasoning_summary_part.done", place("part", part(&text)));
    }

    fn message(&mut self, at: usize) {
        let place = |name: &str, value: Value| {
            let mut fields = json!({ "item_id": "msg_1", "output_index": at, "content_index": 0 });
            put(&mut fields, name, value);
            fields
        };
        self.fixed("response.content_part.added", place("part", text_part("")));
        let template = NumberedTemplate {
            before_number: "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":".to_owned(),
            first: self.number,
            rest: SseTemplate {
                before_text: format!(
                    ",\"item_id\":\"msg_1\",\"output_index\":{at},\"content_index\":0,\"logprobs\":[],\"delta\":\""
                ),
                after_text: "\",\"obfuscation\":\"".to_owned(),
                after_padding: Some("\"}\n\n".to_owned()),
                text: self.scenario.text,
            },
        };
        self.number += u64::from(self.scenario.tokens);
        let frames = ContentFrames::Numbered(Arc::new(template));
        self.segments.push(Segment::Content { frames, first: 0, count: self.scenario.tokens });
        let text = told(self.scenario);
        self.fixed("response.output_text.done", place("text", text.as_str().into()));
        self.fixed("response.content_part.done", place("part", text_part(&text)));
    }

    fn call(&mut self, at: usize, item: &Value) {
        let id = item.get("id").cloned().unwrap_or_default();
        let place = |name: &str, value: &str| {
            let mut fields = json!({ "item_id": id, "output_index": at });
            put(&mut fields, name, value.into());
            fields
        };
        let kind = "response.function_call_arguments.delta";
        let deltas: Vec<Bytes> =
            TOOL_ARGUMENTS.iter().map(|piece| self.event(kind, place("delta", piece))).collect();
        self.segments.push(Segment::Listed(deltas));
        self.fixed("response.function_call_arguments.done", place("arguments", &TOOL_ARGUMENTS.concat()));
    }
}

/// Bytes of text that are told again at the end.
const MAX_TOLD: u64 = 64 * 1024;
/// Stands for reasoning that only the provider can read: a Fernet token by its beginning, and to be echoed.
const ENCRYPTED: &str = "gAAAAABExampleOfAnEncryptedReasoningOfASimulatedModel";
const FAILURE: &[u8] = b"event: error\ndata: {\"type\":\"error\",\"sequence_number\":2,\"error\":{\"type\":\"server_error\",\"code\":\"server_error\",\"message\":\"The server had an error while processing your request.\",\"param\":null}}\n\n";
const MALFORMED: &[u8] =
    b"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"del\n\n";
