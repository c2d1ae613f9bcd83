//! The client side of a reply: hub events into the items of a response, streamed or gathered.
//!
//! Items begin and end as OpenAI's do: reasoning and messages one after the other, tool calls when the reply ends, since backends
//! may write several at once. Sequence numbers count from 0 without a gap. The response repeats what its request asked for. What
//! the API has no place for can't be asked for in it either, and is left out.

mod item;

use std::io::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use self::item::{Body, Content, ContentKind, Item, Status, summary_part};
use super::{
    carried,
    error::{error_event, response_error},
};
use crate::{
    WireError,
    dialect::Encoder,
    hub::{Event, FinishReason, ReplyStart, ToolKind, Usage},
};

/// Encodes one reply.
pub(crate) struct ResponsesEncoder {
    streaming: bool,
    head: Head,
    /// Number of the next event.
    sequence: u64,
    started: bool,
    output: Vec<Item>,
    /// The message or the reasoning that is being written: an index of `output`.
    open: Option<usize>,
    /// The item of each tool call, by its index in the hub.
    calls: Vec<usize>,
    reason: Option<FinishReason>,
    usage: Option<Usage>,
    over: bool,
}

/// Who the response is.
struct Head {
    /// What its id and those of its items have in common.
    base: String,
    created: u64,
    model: String,
    /// JSON fields of its request, each with a comma behind it.
    echo: String,
}

impl ResponsesEncoder {
    /// `id`, `created` and `model` stand in for what the backend doesn't say; `echo` is what [`super::echo()`] says.
    pub(crate) fn new(id: &str, created: u64, model: &str, echo: &str, streaming: bool) -> Self {
        let base = id.rsplit_once('_').map_or(id, |(_, base)| base).to_owned();
        Self {
            streaming,
            head: Head { base, created, model: model.to_owned(), echo: echo.to_owned() },
            sequence: 0,
            started: false,
            output: Vec::new(),
            open: None,
            calls: Vec::new(),
            reason: None,
            usage: None,
            over: false,
        }
    }

    fn identify(&mut self, start: &ReplyStart) {
        if let Some(model) = &start.model {
            self.head.model.clone_from(model);
        }
        if let Some(created) = start.created {
            self.head.created = created;
        }
    }

    /// Appends an event of a stream; `fields` writes what follows its number.
    fn emit(&mut self, kind: &str, fields: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
        if self.begin_event(kind, out) {
            fields(out);
            out.extend_from_slice(b"}\n\n");
        }
    }

    /// Appends an event's beginning, up to its number. False: there is no stream.
    fn begin_event(&mut self, kind: &str, out: &mut Vec<u8>) -> bool {
        if self.streaming {
            let sequence = self.sequence;
            self.sequence = self.sequence.saturating_add(1);
            let _ = write!(out, "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{sequence},");
        }
        self.streaming
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) || !self.streaming {
            return;
        }
        let mut response = Vec::new();
        self.write_response("in_progress", Value::Null, Value::Null, &mut response);
        for kind in ["response.created", "response.in_progress"] {
            self.emit(kind, |out| field(out, "response", &response), out);
        }
    }

    /// Begins an item and returns its index.
    fn begin(&mut self, body: Body, out: &mut Vec<u8>) -> usize {
        self.start(out);
        let at = self.output.len();
        let item = Item::new(&self.head.base, at, body);
        let value = item.value(Status::InProgress);
        self.output.push(item);
        self.emit("response.output_item.added", |out| item_field(out, at, &value), out);
        at
    }

    /// Ends the message or the reasoning that is being written.
    fn close(&mut self, status: Status, out: &mut Vec<u8>) {
        let Some(at) = self.open.take() else { return };
        match self.output.get(at).map(|item| &item.body) {
            Some(Body::Message(_)) => self.close_part(at, out),
            Some(Body::Reasoning { summary: Some(text), .. }) => {
                let (text, part) = (text.clone(), summary_part(text));
                let kind = "response.reasoning_summary_text.done";
                self.emit_in(at, kind, "summary_index", 0, ("text", &*text), out);
                let kind = "response.reasoning_summary_part.done";
                self.emit_in(at, kind, "summary_index", 0, ("part", &part), out);
            }
            _ => {}
        }
        self.end_item(at, status, out);
    }

    fn end_item(&mut self, at: usize, status: Status, out: &mut Vec<u8>) {
        let Some(item) = self.output.get(at) else { return };
        let value = item.value(status);
        self.emit("response.output_item.done", |out| item_field(out, at, &value), out);
    }

    /// An event about a part of item `at`: `part` names what its index is called.
    fn emit_in<T: Serialize + ?Sized>(
        &mut self,
        at: usize,
        kind: &str,
        part: &str,
        index: usize,
        (name, value): (&str, &T),
        out: &mut Vec<u8>,
    ) {
        if self.begin_event(kind, out) {
            self.write_place(at, out);
            let _ = write!(out, ",\"{part}\":{index},\"{name}\":");
            json_text(out, value);
            // The SDK declares it as always there.
            if matches!(kind, "response.output_text.delta" | "response.output_text.done") {
                out.extend_from_slice(b",\"logprobs\":[]");
            }
            out.extend_from_slice(b"}\n\n");
        }
    }

    /// An event about an item without parts.
    fn emit_whole(&mut self, at: usize, kind: &str, (name, text): (&str, &str), out: &mut Vec<u8>) {
        if self.begin_event(kind, out) {
            self.write_place(at, out);
            let _ = write!(out, ",\"{name}\":");
            json_text(out, text);
            out.extend_from_slice(b"}\n\n");
        }
    }

    fn write_place(&self, at: usize, out: &mut Vec<u8>) {
        let id = self.output.get(at).map_or("", |item| &item.id);
        let _ = write!(out, "\"item_id\":\"{id}\",\"output_index\":{at}");
    }

    /// The open message, which is begun if there is none.
    fn message(&mut self, out: &mut Vec<u8>) -> usize {
        if let Some(at) = self.open {
            if matches!(self.output.get(at).map(|item| &item.body), Some(Body::Message(_))) {
                return at;
            }
            self.close(Status::Completed, out);
        }
        let at = self.begin(Body::Message(Vec::new()), out);
        self.open = Some(at);
        at
    }

    /// The open part of this kind, which is begun if there is none: its item, and its index.
    fn part(&mut self, kind: ContentKind, out: &mut Vec<u8>) -> (usize, usize) {
        let at = self.message(out);
        let last = self.content(at).and_then(|parts| Some((parts.len().checked_sub(1)?, parts.last()?.kind)));
        match last {
            Some((index, open)) if open == kind => return (at, index),
            Some(_) => self.close_part(at, out),
            None => {}
        }
        let part = Content::new(kind);
        let value = part.value();
        let index = self.content(at).map_or(0, |parts| {
            parts.push(part);
            parts.len() - 1
        });
        self.emit_in(at, "response.content_part.added", "content_index", index, ("part", &value), out);
        (at, index)
    }

    fn content(&mut self, at: usize) -> Option<&mut Vec<Content>> {
        match self.output.get_mut(at).map(|item| &mut item.body) {
            Some(Body::Message(parts)) => Some(parts),
            _ => None,
        }
    }

    /// Ends the last part of a message.
    fn close_part(&mut self, at: usize, out: &mut Vec<u8>) {
        let last = self.content(at).and_then(|parts| Some((parts.len().checked_sub(1)?, parts.last()?)));
        let Some((index, part)) = last else { return };
        let (text, value) = (part.text.clone(), part.value());
        let (kind, name) = match part.kind {
            ContentKind::Text => ("response.output_text.done", "text"),
            ContentKind::Refusal => ("response.refusal.done", "refusal"),
        };
        self.emit_in(at, kind, "content_index", index, (name, &*text), out);
        self.emit_in(at, "response.content_part.done", "content_index", index, ("part", &value), out);
    }

    fn say(&mut self, kind: ContentKind, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let (at, index) = self.part(kind, out);
        if let Some(part) = self.content(at).and_then(|parts| parts.get_mut(index)) {
            part.text.push_str(piece);
        }
        let event = match kind {
            ContentKind::Text => "response.output_text.delta",
            ContentKind::Refusal => "response.refusal.delta",
        };
        self.emit_in(at, event, "content_index", index, ("delta", piece), out);
    }

    /// The open reasoning, which is begun if there is none.
    fn reasoning(&mut self, out: &mut Vec<u8>) -> usize {
        if let Some(at) = self.open {
            if matches!(self.output.get(at).map(|item| &item.body), Some(Body::Reasoning { .. })) {
                return at;
            }
            self.close(Status::Completed, out);
        }
        let at = self.begin(Body::Reasoning { summary: None, encrypted: None }, out);
        self.open = Some(at);
        at
    }

    fn think(&mut self, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let at = self.reasoning(out);
        let mut begins = false;
        if let Some(Body::Reasoning { summary, .. }) = self.output.get_mut(at).map(|item| &mut item.body) {
            begins = summary.is_none();
            summary.get_or_insert_default().push_str(piece);
        }
        if begins {
            let kind = "response.reasoning_summary_part.added";
            self.emit_in(at, kind, "summary_index", 0, ("part", &summary_part("")), out);
        }
        let kind = "response.reasoning_summary_text.delta";
        self.emit_in(at, kind, "summary_index", 0, ("delta", piece), out);
    }

    /// What is encrypted ends its item, so that the next reasoning is one of its own.
    fn seal(&mut self, content: String, out: &mut Vec<u8>) {
        let at = self.reasoning(out);
        if let Some(Body::Reasoning { encrypted, .. }) = self.output.get_mut(at).map(|item| &mut item.body) {
            *encrypted = Some(content);
        }
        self.close(Status::Completed, out);
    }

    fn call(&mut self, id: &str, name: &str, kind: ToolKind, out: &mut Vec<u8>) {
        self.close(Status::Completed, out);
        let (call_id, name, arguments) = (id.to_owned(), name.to_owned(), String::new());
        let at = self.begin(Body::Call { call_id, name, arguments, kind }, out);
        self.calls.push(at);
    }

    fn argue(&mut self, call: u32, piece: &str, out: &mut Vec<u8>) {
        let Some(&at) = self.calls.get(call as usize).filter(|_| !piece.is_empty()) else { return };
        let Some(item) = self.output.get_mut(at) else { return };
        let Body::Call { arguments, kind, .. } = &mut item.body else { return };
        arguments.push_str(piece);
        let event = match kind {
            ToolKind::Function => "response.function_call_arguments.delta",
            ToolKind::Custom => "response.custom_tool_call_input.delta",
        };
        self.emit_whole(at, event, ("delta", piece), out);
    }

    fn close_calls(&mut self, status: Status, out: &mut Vec<u8>) {
        for at in self.calls.clone() {
            let Some(Body::Call { arguments, kind, .. }) = self.output.get(at).map(|item| &item.body) else {
                continue;
            };
            let (event, name) = match kind {
                ToolKind::Function => ("response.function_call_arguments.done", "arguments"),
                ToolKind::Custom => ("response.custom_tool_call_input.done", "input"),
            };
            let arguments = arguments.clone();
            self.emit_whole(at, event, (name, &arguments), out);
            self.end_item(at, status, out);
        }
    }

    /// Chat's form of a web page back into this API's, where it has none other.
    fn annotate(&mut self, annotations: &Value, out: &mut Vec<u8>) {
        for annotation in annotations.as_array().into_iter().flatten().filter_map(annotation) {
            let (at, index) = self.part(ContentKind::Text, out);
            let Some(part) = self.content(at).and_then(|parts| parts.get_mut(index)) else { continue };
            let number = part.annotations.len();
            part.annotations.push(annotation.clone());
            let id = self.output.get(at).map(|item| item.id.clone()).unwrap_or_default();
            let write = |out: &mut Vec<u8>| {
                let _ = write!(
                    out,
                    "\"item_id\":\"{id}\",\"output_index\":{at},\"content_index\":{index},\"annotation_index\":{number},\"annotation\":{annotation}"
                );
            };
            self.emit("response.output_text.annotation.added", write, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        let (status, why) = match &self.reason {
            Some(FinishReason::Length) => (Status::Incomplete, Some("max_output_tokens")),
            Some(FinishReason::ContentFilter) => (Status::Incomplete, Some("content_filter")),
            _ => (Status::Completed, None),
        };
        self.close(status, out);
        self.close_calls(status, out);
        let details = why.map_or(Value::Null, |reason| json!({ "reason": reason }));
        let mut response = Vec::new();
        self.write_response(status.name(), Value::Null, details, &mut response);
        if self.streaming {
            let kind = format!("response.{}", status.name());
            self.emit(&kind, |out| field(out, "response", &response), out);
        } else {
            out.extend_from_slice(&response);
        }
        self.over = true;
    }

    /// As recorded, a failed response follows the error.
    fn fail(&mut self, error: &WireError, out: &mut Vec<u8>) {
        self.over = true;
        if !self.streaming {
            return;
        }
        self.start(out);
        out.extend_from_slice(&error_event(error, self.sequence));
        self.sequence = self.sequence.saturating_add(1);
        let mut response = Vec::new();
        self.write_response("failed", response_error(error), Value::Null, &mut response);
        self.emit("response.failed", |out| field(out, "response", &response), out);
    }

    /// The response object.
    fn write_response(&self, status: &str, error: Value, details: Value, out: &mut Vec<u8>) {
        let Head { base, created, model, echo } = &self.head;
        let _ = write!(
            out,
            "{{\"id\":\"resp_{base}\",\"object\":\"response\",\"created_at\":{created},\"model\":"
        );
        json_text(out, model);
        let _ = write!(
            out,
            ",\"status\":\"{status}\",\"error\":{error},\"incomplete_details\":{details},{echo}\"output\":["
        );
        let incomplete = status == Status::Incomplete.name();
        for (at, item) in self.output.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let last = at + 1 == self.output.len();
            json_text(
                out,
                &item.value(if incomplete && last { Status::Incomplete } else { Status::Completed }),
            );
        }
        out.extend_from_slice(b"],\"usage\":");
        json_text(out, &self.usage.as_ref().map_or(Value::Null, usage));
        out.push(b'}');
    }
}

impl Encoder for ResponsesEncoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start(start) => {
                self.identify(start);
                self.start(out);
            }
            Event::Text { choice: 0, text } => self.say(ContentKind::Text, text, out),
            Event::Refusal { choice: 0, text } => self.say(ContentKind::Refusal, text, out),
            Event::Reasoning { choice: 0, text } => self.think(text, out),
            Event::ReasoningSignature { choice: 0, signature } => {
                self.seal(carried::signature(signature), out);
            }
            Event::ReasoningRedacted { choice: 0, data } => {
                self.close(Status::Completed, out);
                self.seal(carried::redacted(data), out);
            }
            Event::ToolCallStart { choice: 0, id, name, kind, .. } => self.call(id, name, *kind, out),
            Event::ToolCallArguments { choice: 0, index, fragment } => self.argue(*index, fragment, out),
            Event::ChoiceExtra { choice: 0, name: "delta.annotations", value } => self.annotate(value, out),
            Event::Finish { choice: 0, reason } => self.reason = Some(reason.clone()),
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Error(error) => self.fail(error, out),
            Event::End => self.end(out),
            // A response has one answer.
            _ => {}
        }
    }
}

fn item_field(out: &mut Vec<u8>, at: usize, item: &Value) {
    let _ = write!(out, "\"output_index\":{at},\"item\":{item}");
}

fn field(out: &mut Vec<u8>, name: &str, json: &[u8]) {
    let _ = write!(out, "\"{name}\":");
    out.extend_from_slice(json);
}

/// Appends `value` as JSON. Strings and trees of them always encode, and a `Vec` takes every byte.
fn json_text(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let _ = serde_json::to_writer(out, value);
}

fn annotation(annotation: &Value) -> Option<Value> {
    let page = annotation.get("url_citation")?;
    let offset = |name: &str| page.get(name).and_then(Value::as_u64).unwrap_or_default();
    Some(json!({
        "type": "url_citation", "url": page.get("url")?, "title": page.get("title").and_then(Value::as_str).unwrap_or_default(),
        "start_index": offset("start_index"), "end_index": offset("end_index"),
    }))
}

fn usage(usage: &Usage) -> Value {
    let mut input = json!({ "cached_tokens": usage.cached_tokens.unwrap_or_default() });
    if let (Some(written), Some(details)) = (usage.cache_write_tokens, input.as_object_mut()) {
        details.insert("cache_write_tokens".to_owned(), written.into());
    }
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": input,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning_tokens.unwrap_or_default() },
        "total_tokens": usage.total_tokens,
    })
}
