//! The client side of a streamed reply: hub events into server-sent chunks, written straight into the output.
//!
//! Every chunk has id, object, created, model and choices, as official clients expect. The usage chunk comes last, and
//! only to a caller who asked for it. After an error there is no `[DONE]`.

use std::io::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::{encode_request::thinking_block, error::write_error};
use crate::{
    dialect::Encoder,
    hub::{Event, Extras, Reasoning, ReplyStart, ToolKind, Usage},
};

/// Encodes one streamed reply.
#[derive(Debug)]
pub struct StreamEncoder {
    head: Head,
    /// `data: {"id":...,"model":"...",`: what every chunk begins with. Empty until the first chunk.
    prefix: Vec<u8>,
    include_usage: bool,
    /// Answers that have told their role.
    begun: Vec<u32>,
    /// Custom tool calls, whose pieces are called `input`.
    custom_calls: Vec<(u32, u32)>,
    /// How many entries each list of an answer's delta has had so far, by answer and field.
    entries: Vec<(u32, &'static str, u64)>,
    /// The reasoning of each answer that no signature has closed: what one signs goes with it, so that several stay apart.
    unsigned: Vec<(u32, String)>,
    /// Fields of the reply that wait for the next chunk.
    waiting: Extras,
    usage: Option<Usage>,
}

/// Who the reply is, as far as known.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) extras: Extras,
}

impl Head {
    pub(super) fn new(id: &str, created: u64, model: &str) -> Self {
        Self { id: id.to_owned(), created, model: model.to_owned(), extras: Extras::new() }
    }

    pub(super) fn start(&mut self, start: &ReplyStart) {
        if let Some(id) = &start.id {
            self.id.clone_from(id);
        }
        if let Some(model) = &start.model {
            self.model.clone_from(model);
        }
        if let Some(created) = start.created {
            self.created = created;
        }
        self.extras.clone_from(&start.extras);
    }

    /// `"id":...,"object":...,"created":...,"model":...,` and the extras.
    pub(super) fn write(&self, object: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"id\":");
        write_json(out, &self.id);
        out.extend_from_slice(b",\"object\":");
        write_json(out, object);
        out.extend_from_slice(b",\"created\":");
        write_json(out, &self.created);
        out.extend_from_slice(b",\"model\":");
        write_json(out, &self.model);
        out.push(b',');
        for (name, value) in &self.extras {
            write_json(out, name);
            out.push(b':');
            write_json(out, value);
            out.push(b',');
        }
    }
}

impl StreamEncoder {
    /// `id`, `created` and `model` stand in for what the backend doesn't say.
    pub fn new(id: &str, created: u64, model: &str, include_usage: bool) -> Self {
        Self {
            head: Head::new(id, created, model),
            prefix: Vec::new(),
            include_usage,
            begun: Vec::new(),
            custom_calls: Vec::new(),
            entries: Vec::new(),
            unsigned: Vec::new(),
            waiting: Extras::new(),
            usage: None,
        }
    }

    /// A chunk up to the value of `choices`.
    fn open(&mut self, out: &mut Vec<u8>) {
        if self.prefix.is_empty() {
            self.prefix.extend_from_slice(b"data: {");
            self.head.write("chat.completion.chunk", &mut self.prefix);
        }
        out.extend_from_slice(&self.prefix);
        for (name, value) in std::mem::take(&mut self.waiting) {
            write_json(out, &name);
            out.push(b':');
            write_json(out, &value);
            out.push(b',');
        }
        out.extend_from_slice(b"\"choices\":[");
    }

    fn close(&self, usage: Option<&Usage>, out: &mut Vec<u8>) {
        out.push(b']');
        if let Some(usage) = usage {
            out.extend_from_slice(b",\"usage\":");
            write_usage(out, usage);
        } else if self.include_usage {
            out.extend_from_slice(b",\"usage\":null");
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// One chunk with one choice; `delta` writes the fields of its delta.
    fn chunk(
        &mut self,
        choice: u32,
        delta: impl FnOnce(&mut Vec<u8>),
        extra: Option<(&str, &Value)>,
        finish: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        self.open(out);
        let _ = write!(out, "{{\"index\":{choice},\"delta\":{{");
        let fields = out.len();
        if !self.begun.contains(&choice) {
            self.begun.push(choice);
            out.extend_from_slice(b"\"role\":\"assistant\",");
        }
        delta(out);
        if out.len() > fields && out.last() == Some(&b',') {
            out.pop();
        }
        out.push(b'}');
        if let Some((name, value)) = extra {
            out.push(b',');
            write_json(out, name);
            out.push(b':');
            write_json(out, value);
        }
        out.extend_from_slice(b",\"finish_reason\":");
        write_json(out, &finish);
        out.push(b'}');
        self.close(None, out);
    }

    fn delta(&mut self, choice: u32, name: &str, value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
        self.chunk(
            choice,
            |out| {
                write_json(out, name);
                out.push(b':');
                write_json(out, value);
            },
            None,
            None,
            out,
        );
    }

    fn unsigned(&mut self, choice: u32) -> &mut String {
        let at = match self.unsigned.iter().position(|(of, _)| *of == choice) {
            Some(at) => at,
            None => {
                self.unsigned.push((choice, String::new()));
                self.unsigned.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "`at` was found or made just now")]
        &mut self.unsigned[at].1
    }

    fn choice_extra(&mut self, choice: u32, name: &'static str, value: &Value, out: &mut Vec<u8>) {
        match (name.strip_prefix("delta."), value) {
            (Some(name), Value::Array(entries)) => self.list(choice, name, entries.clone(), out),
            (Some(name), _) => self.delta(choice, name, value, out),
            (None, _) => self.chunk(choice, |_| {}, Some((name, value)), None, out),
        }
    }

    /// Entries of a list that grows from delta to delta. Official clients put such a list together by the entries'
    /// `index`, as they do with tool calls, and fail at the second delta if there is none.
    fn list(&mut self, choice: u32, name: &'static str, mut entries: Vec<Value>, out: &mut Vec<u8>) {
        let at = self.entries.iter().position(|(of, field, _)| (*of, *field) == (choice, name));
        let mut index = at.and_then(|at| self.entries.get(at)).map_or(0, |(_, _, count)| *count);
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            entry.entry("index").or_insert_with(|| index.into());
            index += 1;
        }
        match at.and_then(|at| self.entries.get_mut(at)) {
            Some((_, _, count)) => *count = index,
            None => self.entries.push((choice, name, index)),
        }
        self.delta(choice, name, &entries, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let usage = self.usage.take().filter(|_| self.include_usage);
        if usage.is_some() || !self.waiting.is_empty() {
            self.open(out);
            self.close(usage.as_ref(), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl Encoder for StreamEncoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start(start) => self.head.start(start),
            Event::Text { choice, text } => self.delta(*choice, "content", text, out),
            Event::Reasoning { choice, text } => {
                self.unsigned(*choice).push_str(text);
                self.delta(*choice, "reasoning_content", text, out);
            }
            Event::ReasoningSignature { choice, signature } => {
                let text = std::mem::take(self.unsigned(*choice));
                let signature = Some(signature.clone());
                let block = thinking_block(&Reasoning { text, signature, redacted: None });
                self.list(*choice, "thinking_blocks", vec![block], out);
            }
            Event::ReasoningRedacted { choice, data } => {
                let redacted = Some(data.clone());
                let block = thinking_block(&Reasoning { redacted, ..Reasoning::default() });
                self.list(*choice, "thinking_blocks", vec![block], out);
            }
            Event::Refusal { choice, text } => self.delta(*choice, "refusal", text, out),
            Event::ToolCallStart { choice, index, id, name, kind } => {
                let call = match kind {
                    ToolKind::Function => json!({ "index": index, "id": id, "type": "function",
                        "function": { "name": name, "arguments": "" } }),
                    ToolKind::Custom => {
                        self.custom_calls.push((*choice, *index));
                        json!({ "index": index, "id": id, "type": "custom",
                            "custom": { "name": name, "input": "" } })
                    }
                };
                self.delta(*choice, "tool_calls", &[call], out);
            }
            Event::ToolCallArguments { choice, index, fragment } => {
                let custom = self.custom_calls.contains(&(*choice, *index));
                let (outer, inner) = if custom { ("custom", "input") } else { ("function", "arguments") };
                let piece = |out: &mut Vec<u8>| {
                    let _ = write!(out, "\"tool_calls\":[{{\"index\":{index},\"{outer}\":{{\"{inner}\":");
                    write_json(out, fragment);
                    out.extend_from_slice(b"}}]");
                };
                self.chunk(*choice, piece, None, None, out);
            }
            Event::ChoiceExtra { choice, name, value } => self.choice_extra(*choice, name, value, out),
            Event::ReplyExtra { name, value } => {
                self.waiting.insert((*name).to_owned(), value.clone());
            }
            Event::Finish { choice, reason } => {
                self.chunk(*choice, |_| {}, None, Some(reason.as_openai()), out);
            }
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Error(error) => {
                out.extend_from_slice(b"data: ");
                write_error(error, out);
                out.extend_from_slice(b"\n\n");
            }
            Event::End => self.end(out),
        }
    }
}

/// Appends the backend's own usage object where it is OpenAI's, else one of the normalised counts.
pub(super) fn write_usage(out: &mut Vec<u8>, usage: &Usage) {
    if let Some(raw) = usage.raw.as_deref().filter(|raw| raw.contains("\"prompt_tokens\"")) {
        return out.extend_from_slice(raw.as_bytes());
    }
    let mut value = json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    });
    let mut detail = |object: &str, name: &str, count: Option<u64>| {
        if let (Some(count), Some(fields)) = (count, value.as_object_mut()) {
            let details = fields.entry(object).or_insert_with(|| json!({}));
            if let Some(details) = details.as_object_mut() {
                details.insert(name.to_owned(), count.into());
            }
        }
    };
    detail("prompt_tokens_details", "cached_tokens", usage.cached_tokens);
    detail("prompt_tokens_details", "cache_write_tokens", usage.cache_write_tokens);
    detail("completion_tokens_details", "reasoning_tokens", usage.reasoning_tokens);
    write_json(out, &value);
}

/// Appends `value` as JSON. Strings, numbers and trees of them always encode, and a `Vec` takes every byte.
pub(super) fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let _ = serde_json::to_writer(out, value);
}
