//! The client side of a reply: hub events into Anthropic's content blocks, streamed or gathered.
//!
//! [`MessagesEncoder`] turns the hub's flat events into blocks that begin and end; a [`Sink`] writes them, as server-sent events
//! or as one JSON object at the end. What the Messages API has no place for (log-probabilities, filter verdicts) can't be asked
//! for in it either, and is left out.

use std::io::Write as _;

use serde_json::{Map, Value, json};

use super::error::error_event;
use crate::{
    dialect::Encoder,
    hub::{Event, FinishReason, ReplyStart, Usage},
};

/// Writes a streamed reply. `id` and `model` stand in for what the backend doesn't say.
pub(crate) fn stream_encoder(id: &str, model: &str) -> impl Encoder + use<> {
    MessagesEncoder::new(id, model, Events)
}

/// Writes a whole reply at its end; after an error nothing.
pub(crate) fn whole_encoder(id: &str, model: &str) -> impl Encoder + use<> {
    MessagesEncoder::new(id, model, Gathered::default())
}

/// Encodes one reply.
struct MessagesEncoder<S> {
    sink: S,
    id: String,
    model: String,
    started: bool,
    /// The block that is being written; its index is `blocks - 1`.
    open: Option<Open>,
    /// Blocks begun so far.
    blocks: u32,
    /// The block of each tool call, by its index in the hub.
    calls: Vec<u32>,
    ending: Ending,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Call,
}

/// How the message ends.
#[derive(Default)]
struct Ending {
    reason: Option<FinishReason>,
    stop_sequence: Option<Value>,
    stop_details: Option<Value>,
    refused: bool,
    usage: Option<Usage>,
}

/// A piece of a block.
#[derive(Clone, Copy)]
enum Piece {
    Text,
    Thinking,
    Signature,
    Input,
}

/// Where blocks go.
trait Sink: Send {
    fn start(&mut self, message: Value, out: &mut Vec<u8>);
    fn open(&mut self, index: u32, block: Value, out: &mut Vec<u8>);
    fn piece(&mut self, index: u32, piece: Piece, text: &str, out: &mut Vec<u8>);
    fn citation(&mut self, index: u32, citation: &Value, out: &mut Vec<u8>);
    fn close(&mut self, index: u32, out: &mut Vec<u8>);
    /// `delta` has the stop reason and its like.
    fn end(&mut self, delta: Map<String, Value>, usage: Value, out: &mut Vec<u8>);
    fn fail(&mut self, error: &crate::WireError, out: &mut Vec<u8>);
}

impl<S: Sink> MessagesEncoder<S> {
    fn new(id: &str, model: &str, sink: S) -> Self {
        Self {
            sink,
            id: id.to_owned(),
            model: model.to_owned(),
            started: false,
            open: None,
            blocks: 0,
            calls: Vec::new(),
            ending: Ending::default(),
        }
    }

    fn identify(&mut self, start: &ReplyStart) {
        if let Some(id) = &start.id {
            self.id.clone_from(id);
        }
        if let Some(model) = &start.model {
            self.model.clone_from(model);
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        // What the prompt took is mostly known at the end only; there, later values win.
        let message = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage(&Usage::default()),
        });
        self.sink.start(message, out);
    }

    /// Begins a block and returns its index.
    fn begin(&mut self, kind: Option<Open>, block: Value, out: &mut Vec<u8>) -> u32 {
        self.start(out);
        self.close(out);
        let index = self.blocks;
        self.blocks = self.blocks.saturating_add(1);
        self.sink.open(index, block, out);
        self.open = kind;
        if kind.is_none() {
            self.sink.close(index, out);
        }
        index
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            self.sink.close(self.blocks.saturating_sub(1), out);
        }
    }

    /// The index of the open block of this kind, which is begun if there is none.
    fn block(&mut self, kind: Open, out: &mut Vec<u8>) -> u32 {
        if self.open == Some(kind) {
            return self.blocks.saturating_sub(1);
        }
        let block = match kind {
            Open::Thinking => json!({ "type": "thinking", "thinking": "", "signature": "" }),
            Open::Text | Open::Call => json!({ "type": "text", "text": "" }),
        };
        self.begin(Some(kind), block, out)
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            let index = self.block(Open::Text, out);
            self.sink.piece(index, Piece::Text, text, out);
        }
    }

    fn reasoning(&mut self, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            let index = self.block(Open::Thinking, out);
            self.sink.piece(index, Piece::Thinking, text, out);
        }
    }

    /// A signature ends what it signs, so that the next reasoning is a block of its own.
    fn signature(&mut self, signature: &str, out: &mut Vec<u8>) {
        let index = self.block(Open::Thinking, out);
        self.sink.piece(index, Piece::Signature, signature, out);
        self.close(out);
    }

    fn call(&mut self, id: &str, name: &str, out: &mut Vec<u8>) {
        let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
        let index = self.begin(Some(Open::Call), block, out);
        self.calls.push(index);
    }

    /// Backends write one call after the other; a piece for an earlier one still goes to its own block.
    fn arguments(&mut self, call: u32, fragment: &str, out: &mut Vec<u8>) {
        if let (Some(index), false) = (self.calls.get(call as usize), fragment.is_empty()) {
            self.sink.piece(*index, Piece::Input, fragment, out);
        }
    }

    fn extra(&mut self, name: &str, value: &Value, out: &mut Vec<u8>) {
        match name {
            "delta.annotations" => {
                for citation in value.as_array().into_iter().flatten().filter_map(citation) {
                    let index = self.block(Open::Text, out);
                    self.sink.citation(index, &citation, out);
                }
            }
            "delta.content_blocks" => {
                for block in value.as_array().into_iter().flatten() {
                    self.begin(None, block.clone(), out);
                }
            }
            "stop_reason" => self.ending.stop_sequence = Some(value.clone()),
            "stop_details" => self.ending.stop_details = Some(value.clone()),
            _ => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        let Ending { reason, stop_sequence, stop_details, refused, usage: used } =
            std::mem::take(&mut self.ending);
        let told = stop_sequence.filter(|value| value.is_string());
        let reason = match reason {
            _ if refused => "refusal".to_owned(),
            // Some backends end a call that was forced with `stop`.
            Some(FinishReason::Stop) if !self.calls.is_empty() => "tool_use".to_owned(),
            Some(FinishReason::Stop) if told.is_some() => "stop_sequence".to_owned(),
            Some(FinishReason::Stop) | None => "end_turn".to_owned(),
            Some(FinishReason::Length) => "max_tokens".to_owned(),
            Some(FinishReason::ToolCalls | FinishReason::FunctionCall) => "tool_use".to_owned(),
            Some(FinishReason::ContentFilter) => "refusal".to_owned(),
            Some(FinishReason::Other(other)) => other,
        };
        let told = told.filter(|_| reason == "stop_sequence");
        let mut delta = Map::new();
        delta.insert("stop_reason".to_owned(), reason.into());
        delta.insert("stop_sequence".to_owned(), told.unwrap_or(Value::Null));
        delta.extend(stop_details.map(|details| ("stop_details".to_owned(), details)));
        self.sink.end(delta, usage(&used.unwrap_or_default()), out);
    }
}

impl<S: Sink> Encoder for MessagesEncoder<S> {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start(start) => {
                self.identify(start);
                self.start(out);
            }
            Event::Text { choice: 0, text } => self.text(text, out),
            Event::Refusal { choice: 0, text } => {
                self.ending.refused = true;
                self.text(text, out);
            }
            Event::Reasoning { choice: 0, text } => self.reasoning(text, out),
            Event::ReasoningSignature { choice: 0, signature } => self.signature(signature, out),
            Event::ReasoningRedacted { choice: 0, data } => {
                self.begin(None, json!({ "type": "redacted_thinking", "data": data }), out);
            }
            Event::ToolCallStart { choice: 0, id, name, .. } => self.call(id, name, out),
            Event::ToolCallArguments { choice: 0, index, fragment } => self.arguments(*index, fragment, out),
            Event::ChoiceExtra { choice: 0, name, value } => self.extra(name, value, out),
            Event::Finish { choice: 0, reason } => self.ending.reason = Some(reason.clone()),
            Event::Usage(usage) => self.ending.usage = Some(usage.clone()),
            Event::Error(error) => self.sink.fail(error, out),
            Event::End => self.end(out),
            // A message has one answer.
            _ => {}
        }
    }
}

/// Server-sent events.
struct Events;

impl Sink for Events {
    fn start(&mut self, message: Value, out: &mut Vec<u8>) {
        let _ = write!(
            out,
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{message}}}\n\n"
        );
    }

    fn open(&mut self, index: u32, block: Value, out: &mut Vec<u8>) {
        let _ = write!(
            out,
            "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{block}}}\n\n"
        );
    }

    fn piece(&mut self, index: u32, piece: Piece, text: &str, out: &mut Vec<u8>) {
        let (kind, field) = match piece {
            Piece::Text => ("text_delta", "text"),
            Piece::Thinking => ("thinking_delta", "thinking"),
            Piece::Signature => ("signature_delta", "signature"),
            Piece::Input => ("input_json_delta", "partial_json"),
        };
        let _ = write!(
            out,
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"{kind}\",\"{field}\":"
        );
        // A string always encodes, and a `Vec` takes every byte.
        let _ = serde_json::to_writer(&mut *out, text);
        out.extend_from_slice(b"}}\n\n");
    }

    fn citation(&mut self, index: u32, citation: &Value, out: &mut Vec<u8>) {
        let _ = write!(
            out,
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"citations_delta\",\"citation\":{citation}}}}}\n\n"
        );
    }

    fn close(&mut self, index: u32, out: &mut Vec<u8>) {
        let _ = write!(
            out,
            "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":{index}}}\n\n"
        );
    }

    fn end(&mut self, delta: Map<String, Value>, usage: Value, out: &mut Vec<u8>) {
        let delta = Value::Object(delta);
        let _ = write!(
            out,
            "event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{delta},\"usage\":{usage}}}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        );
    }

    fn fail(&mut self, error: &crate::WireError, out: &mut Vec<u8>) {
        out.extend_from_slice(&error_event(error));
    }
}

/// One JSON object.
#[derive(Default)]
struct Gathered {
    message: Map<String, Value>,
    content: Vec<Value>,
    /// The arguments of each block, as text.
    inputs: Vec<String>,
}

impl Gathered {
    fn field(&mut self, index: u32, name: &str) -> Option<&mut Value> {
        self.content.get_mut(index as usize)?.get_mut(name)
    }
}

impl Sink for Gathered {
    fn start(&mut self, message: Value, _: &mut Vec<u8>) {
        if let Value::Object(message) = message {
            self.message = message;
        }
    }

    fn open(&mut self, _: u32, block: Value, _: &mut Vec<u8>) {
        self.content.push(block);
        self.inputs.push(String::new());
    }

    fn piece(&mut self, index: u32, piece: Piece, text: &str, _: &mut Vec<u8>) {
        let field = match piece {
            Piece::Text => "text",
            Piece::Thinking => "thinking",
            Piece::Signature => "signature",
            Piece::Input => {
                if let Some(input) = self.inputs.get_mut(index as usize) {
                    input.push_str(text);
                }
                return;
            }
        };
        if let Some(Value::String(said)) = self.field(index, field) {
            said.push_str(text);
        }
    }

    fn citation(&mut self, index: u32, citation: &Value, _: &mut Vec<u8>) {
        let block = self.content.get_mut(index as usize).and_then(Value::as_object_mut);
        if let Some(block) = block
            && let Value::Array(citations) = block.entry("citations").or_insert_with(|| json!([]))
        {
            citations.push(citation.clone());
        }
    }

    fn close(&mut self, _: u32, _: &mut Vec<u8>) {}

    fn end(&mut self, delta: Map<String, Value>, usage: Value, out: &mut Vec<u8>) {
        for (block, input) in self.content.iter_mut().zip(&self.inputs).filter(|(_, input)| !input.is_empty())
        {
            // What is no JSON is the model's mistake, and the caller's to see.
            let input = serde_json::from_str(input).unwrap_or_else(|_| Value::from(&**input));
            if let Some(field) = block.get_mut("input") {
                *field = input;
            }
        }
        self.message.insert("content".to_owned(), std::mem::take(&mut self.content).into());
        self.message.extend(delta);
        self.message.insert("usage".to_owned(), usage);
        let _ = serde_json::to_writer(out, &self.message);
    }

    /// Nothing: the caller gets a status and an error body.
    fn fail(&mut self, _: &crate::WireError, _: &mut Vec<u8>) {}
}

/// Anthropic's own object where it is carried, else what there is of a web page.
fn citation(annotation: &Value) -> Option<Value> {
    if let Some(own) = annotation.get("citation").filter(|own| own.get("type").is_some()) {
        return Some(own.clone());
    }
    let page = annotation.get("url_citation")?;
    Some(json!({
        "type": "web_search_result_location", "url": page.get("url")?, "title": page.get("title"),
        "cited_text": "", "encrypted_index": "",
    }))
}

/// Anthropic's `input_tokens` leave out what was read from or written to the cache.
fn usage(usage: &Usage) -> Value {
    let (read, written) =
        (usage.cached_tokens.unwrap_or_default(), usage.cache_write_tokens.unwrap_or_default());
    let mut value = json!({
        "input_tokens": usage.prompt_tokens.saturating_sub(read).saturating_sub(written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.completion_tokens,
    });
    if let (Some(tokens), Some(fields)) = (usage.reasoning_tokens, value.as_object_mut()) {
        fields.insert("output_tokens_details".to_owned(), json!({ "thinking_tokens": tokens }));
    }
    value
}
