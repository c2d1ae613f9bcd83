//! The client side of a reply: hub events into Converse's content blocks, as event-stream frames or as one document.
//!
//! [`ConverseEncoder`] turns the hub's flat events into blocks that begin and end; a [`Sink`] writes them. What Converse has no
//! place for (log-probabilities, filter verdicts, pictures) is left out; so is its `metrics`, for which there is no clock here.

use serde_json::{Map, Value, json};

use super::error::exception;
use crate::{
    WireError,
    dialect::Encoder,
    framing::event_stream::{write_event, write_exception},
    hub::{Event, FinishReason, Usage},
};

/// Writes a stream.
pub(crate) fn stream_encoder() -> impl Encoder {
    ConverseEncoder::new(Frames)
}

/// Writes a whole reply at its end; after an error nothing.
pub(crate) fn whole_encoder() -> impl Encoder {
    ConverseEncoder::new(Gathered::default())
}

/// An error as the last frame of a stream.
pub(crate) fn error_frame(error: &WireError) -> Vec<u8> {
    let mut frame = Vec::new();
    let payload = json!({ "message": error.message() }).to_string();
    write_exception(exception(error.class()), payload.as_bytes(), &mut frame);
    frame
}

struct ConverseEncoder<S> {
    sink: S,
    started: bool,
    /// The block that is being written; its index is `blocks - 1`.
    open: Option<Open>,
    /// Blocks begun so far.
    blocks: u32,
    /// The block of each tool call, by its index in the hub.
    calls: Vec<u32>,
    finish: Option<FinishReason>,
    met_stop_sequence: bool,
    refused: bool,
    usage: Option<Usage>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Reasoning,
    Call,
}

/// A piece of a block.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Text(&'a str),
    Reasoning(&'a str),
    Signature(&'a str),
    Redacted(&'a str),
    Input(&'a str),
    Citation(&'a Value),
}

/// Where blocks go.
trait Sink: Send {
    fn start(&mut self, out: &mut Vec<u8>);
    /// Begins a block; `tool` is the id and the name of a call.
    fn open(&mut self, index: u32, tool: Option<(&str, &str)>, out: &mut Vec<u8>);
    fn piece(&mut self, index: u32, piece: Piece<'_>, out: &mut Vec<u8>);
    fn close(&mut self, index: u32, out: &mut Vec<u8>);
    fn end(&mut self, stop_reason: &str, usage: Option<Value>, out: &mut Vec<u8>);
    fn fail(&mut self, error: &WireError, out: &mut Vec<u8>);
}

impl<S: Sink> ConverseEncoder<S> {
    fn new(sink: S) -> Self {
        Self {
            sink,
            started: false,
            open: None,
            blocks: 0,
            calls: Vec::new(),
            finish: None,
            met_stop_sequence: false,
            refused: false,
            usage: None,
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            self.sink.start(out);
        }
    }

    fn begin(&mut self, kind: Open, tool: Option<(&str, &str)>, out: &mut Vec<u8>) -> u32 {
        self.start(out);
        self.close(out);
        let index = self.blocks;
        self.blocks = self.blocks.saturating_add(1);
        self.sink.open(index, tool, out);
        self.open = Some(kind);
        index
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            self.sink.close(self.blocks.saturating_sub(1), out);
        }
    }

    /// Adds to the open block of this kind, which is begun if there is none.
    fn add(&mut self, kind: Open, piece: Piece<'_>, out: &mut Vec<u8>) {
        let index = match self.open == Some(kind) {
            true => self.blocks.saturating_sub(1),
            false => self.begin(kind, None, out),
        };
        self.sink.piece(index, piece, out);
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.add(Open::Text, Piece::Text(text), out);
        }
    }

    fn extra(&mut self, name: &str, value: &Value, out: &mut Vec<u8>) {
        match name {
            "delta.annotations" => {
                for citation in value.as_array().into_iter().flatten().filter_map(citation) {
                    self.add(Open::Text, Piece::Citation(&citation), out);
                }
            }
            "stop_reason" => self.met_stop_sequence = value.is_string(),
            _ => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        let finish = self.finish.take();
        let reason = match &finish {
            _ if self.refused => "content_filtered",
            // Some backends end a call that was forced with `stop`.
            Some(FinishReason::Stop) if !self.calls.is_empty() => "tool_use",
            Some(FinishReason::Stop) if self.met_stop_sequence => "stop_sequence",
            Some(FinishReason::Stop) | None => "end_turn",
            Some(FinishReason::Length) => "max_tokens",
            Some(FinishReason::ToolCalls | FinishReason::FunctionCall) => "tool_use",
            Some(FinishReason::ContentFilter) => "content_filtered",
            Some(FinishReason::Other(other)) => other,
        };
        let usage = self.usage.take().map(|used| usage(&used));
        self.sink.end(reason, usage, out);
    }
}

impl<S: Sink> Encoder for ConverseEncoder<S> {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start(_) => self.start(out),
            Event::Text { choice: 0, text } => self.text(text, out),
            Event::Refusal { choice: 0, text } => {
                self.refused = true;
                self.text(text, out);
            }
            Event::Reasoning { choice: 0, text } if !text.is_empty() => {
                self.add(Open::Reasoning, Piece::Reasoning(text), out);
            }
            // A signature ends what it signs, so that the next reasoning is a block of its own.
            Event::ReasoningSignature { choice: 0, signature } => {
                self.add(Open::Reasoning, Piece::Signature(signature), out);
                self.close(out);
            }
            Event::ReasoningRedacted { choice: 0, data } => {
                self.close(out);
                self.add(Open::Reasoning, Piece::Redacted(data), out);
                self.close(out);
            }
            Event::ToolCallStart { choice: 0, id, name, .. } => {
                let index = self.begin(Open::Call, Some((id, name)), out);
                self.calls.push(index);
            }
            // Backends write one call after the other; a piece for an earlier one still goes to its own block.
            Event::ToolCallArguments { choice: 0, index, fragment } if !fragment.is_empty() => {
                if let Some(block) = self.calls.get(*index as usize) {
                    self.sink.piece(*block, Piece::Input(fragment), out);
                }
            }
            Event::ChoiceExtra { choice: 0, name, value } => self.extra(name, value, out),
            Event::Finish { choice: 0, reason } => self.finish = Some(reason.clone()),
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Error(error) => self.sink.fail(error, out),
            Event::End => self.end(out),
            // A message has one answer.
            _ => {}
        }
    }
}

/// Event-stream frames.
struct Frames;

impl Sink for Frames {
    fn start(&mut self, out: &mut Vec<u8>) {
        write_event("messageStart", br#"{"role":"assistant"}"#, out);
    }

    /// Only calls have a start of their own, as in Bedrock's streams.
    fn open(&mut self, index: u32, tool: Option<(&str, &str)>, out: &mut Vec<u8>) {
        if let Some((id, name)) = tool {
            let start = json!({ "contentBlockIndex": index, "start": { "toolUse": { "toolUseId": id, "name": name } } });
            write_event("contentBlockStart", start.to_string().as_bytes(), out);
        }
    }

    fn piece(&mut self, index: u32, piece: Piece<'_>, out: &mut Vec<u8>) {
        let delta = match piece {
            Piece::Text(text) => json!({ "text": text }),
            Piece::Reasoning(text) => json!({ "reasoningContent": { "text": text } }),
            Piece::Signature(signature) => json!({ "reasoningContent": { "signature": signature } }),
            Piece::Redacted(data) => json!({ "reasoningContent": { "redactedContent": data } }),
            Piece::Input(input) => json!({ "toolUse": { "input": input } }),
            Piece::Citation(citation) => json!({ "citation": citation }),
        };
        let event = json!({ "contentBlockIndex": index, "delta": delta });
        write_event("contentBlockDelta", event.to_string().as_bytes(), out);
    }

    fn close(&mut self, index: u32, out: &mut Vec<u8>) {
        write_event("contentBlockStop", json!({ "contentBlockIndex": index }).to_string().as_bytes(), out);
    }

    fn end(&mut self, stop_reason: &str, usage: Option<Value>, out: &mut Vec<u8>) {
        write_event("messageStop", json!({ "stopReason": stop_reason }).to_string().as_bytes(), out);
        let metadata: Map<_, _> = usage.into_iter().map(|usage| ("usage".to_owned(), usage)).collect();
        write_event("metadata", Value::from(metadata).to_string().as_bytes(), out);
    }

    fn fail(&mut self, error: &WireError, out: &mut Vec<u8>) {
        out.extend_from_slice(&error_frame(error));
    }
}

/// One document.
#[derive(Default)]
struct Gathered {
    blocks: Vec<Block>,
}

#[derive(Default)]
struct Block {
    tool: Option<(String, String)>,
    text: String,
    reasoning: Option<String>,
    signature: Option<String>,
    redacted: Option<String>,
    input: String,
    citations: Vec<Value>,
}

impl Sink for Gathered {
    fn start(&mut self, _: &mut Vec<u8>) {}

    fn open(&mut self, _: u32, tool: Option<(&str, &str)>, _: &mut Vec<u8>) {
        let tool = tool.map(|(id, name)| (id.to_owned(), name.to_owned()));
        self.blocks.push(Block { tool, ..Block::default() });
    }

    fn piece(&mut self, index: u32, piece: Piece<'_>, _: &mut Vec<u8>) {
        let Some(block) = self.blocks.get_mut(index as usize) else { return };
        match piece {
            Piece::Text(text) => block.text.push_str(text),
            Piece::Reasoning(text) => block.reasoning.get_or_insert_default().push_str(text),
            Piece::Signature(signature) => block.signature = Some(signature.to_owned()),
            Piece::Redacted(data) => block.redacted = Some(data.to_owned()),
            Piece::Input(input) => block.input.push_str(input),
            Piece::Citation(citation) => block.citations.push(citation.clone()),
        }
    }

    fn close(&mut self, _: u32, _: &mut Vec<u8>) {}

    fn end(&mut self, stop_reason: &str, usage: Option<Value>, out: &mut Vec<u8>) {
        let content: Vec<Value> = self.blocks.drain(..).map(Block::into_json).collect();
        let mut reply = json!({
            "output": { "message": { "role": "assistant", "content": content } }, "stopReason": stop_reason,
        });
        if let (Some(usage), Some(fields)) = (usage, reply.as_object_mut()) {
            fields.insert("usage".to_owned(), usage);
        }
        out.extend_from_slice(reply.to_string().as_bytes());
    }

    /// Nothing: the caller gets a status and an error body.
    fn fail(&mut self, _: &WireError, _: &mut Vec<u8>) {}
}

impl Block {
    fn into_json(self) -> Value {
        if let Some((id, name)) = self.tool {
            let text = if self.input.trim().is_empty() { "{}" } else { &*self.input };
            // What is no JSON is the model's mistake, and the caller's to see.
            let input = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
            return json!({ "toolUse": { "toolUseId": id, "name": name, "input": input } });
        }
        if let Some(data) = self.redacted {
            return json!({ "reasoningContent": { "redactedContent": data } });
        }
        if self.reasoning.is_some() || self.signature.is_some() {
            let mut shown = json!({ "text": self.reasoning.unwrap_or_default() });
            if let (Some(signature), Some(fields)) = (self.signature, shown.as_object_mut()) {
                fields.insert("signature".to_owned(), signature.into());
            }
            return json!({ "reasoningContent": { "reasoningText": shown } });
        }
        if !self.citations.is_empty() {
            return json!({ "citationsContent": { "content": [{ "text": self.text }], "citations": self.citations } });
        }
        json!({ "text": self.text })
    }
}

/// Bedrock's own object where it is carried, else what there is of a web page.
fn citation(annotation: &Value) -> Option<Value> {
    if let Some(own) = annotation.get("citation").filter(|own| own.get("location").is_some()) {
        return Some(own.clone());
    }
    let page = annotation.get("url_citation")?;
    Some(json!({ "title": page.get("title"), "location": { "web": { "url": page.get("url")? } } }))
}

/// WIRE facts, "Usage normalisation": `inputTokens` leave out what was read from or written to the cache.
fn usage(usage: &Usage) -> Value {
    let (read, written) = (usage.cached_tokens, usage.cache_write_tokens);
    let cached = read.unwrap_or_default().saturating_add(written.unwrap_or_default());
    let mut value = json!({
        "inputTokens": usage.prompt_tokens.saturating_sub(cached),
        "outputTokens": usage.completion_tokens,
        "totalTokens": usage.total_tokens,
    });
    for (name, count) in [("cacheReadInputTokens", read), ("cacheWriteInputTokens", written)] {
        if let (Some(count), Some(fields)) = (count, value.as_object_mut()) {
            fields.insert(name.to_owned(), count.into());
        }
    }
    value
}
