//! Reads a reply of the Messages API, streamed or whole, into hub events.
//!
//! What the recordings show and the code relies on: a block of the reply begins with `content_block_start`, which may hold
//! all of it (`redacted_thinking`, results of Anthropic's own tools); a signature ends its thinking block; usage comes twice,
//! the prompt's in `message_start` and, cumulative, in `message_delta`, where later values win; `message_stop` is the terminal
//! event. `ping`s say nothing, unknown events, deltas and fields are skipped.
//!
//! Blocks that the hub doesn't model (Anthropic's own tools and their results, compaction) are carried whole, as
//! `delta.content_blocks`: the caller can't answer them, but must be able to give them back.

use serde_json::{Map, Value};

use crate::{
    WireError,
    dialect::{Decoder, MOST_PARTS, openai_chat::error_of, too_many_parts},
    framing::{Frame, MAX_FRAME, too_long},
    hub::{Event, FinishReason, ReplyStart, ToolKind},
    json::raw::{Raw, filled, text, value},
};

use self::payload::{Block, Delta, Ending, Message, StreamEvent, parse};

mod payload;

/// A reply has one answer.
const CHOICE: u32 = 0;

/// Decoder of one reply.
#[derive(Debug, Default)]
pub struct MessagesDecoder {
    /// Blocks that have begun, have not ended, and say something at their end.
    open: Vec<Open>,
    /// Tool calls begun so far; the next one's index.
    tool_calls: u32,
    /// The usage object so far.
    usage: Map<String, Value>,
    /// A stop reason was seen.
    stopped: bool,
    /// An [`Event::End`] or [`Event::Error`] was given; nothing may follow.
    over: bool,
}

#[derive(Debug)]
struct Open {
    /// The backend's index of the block.
    block: u64,
    kind: OpenKind,
}

#[derive(Debug)]
enum OpenKind {
    /// A call of the caller's tool. `input` is what the block began with.
    Call { index: u32, input: Option<String>, has_arguments: bool },
    /// A block that the hub doesn't model, and the pieces of its input. `input.len() <= MAX_FRAME`.
    Other { fields: Map<String, Value>, input: String },
}

impl MessagesDecoder {
    /// A decoder for one reply.
    pub fn new() -> Self {
        Self::default()
    }

    fn data(&mut self, name: &str, data: &str, events: &mut Vec<Event>) -> Result<(), WireError> {
        if data.trim().is_empty() {
            return Ok(());
        }
        let event: StreamEvent<'_> = parse(data, "event")?;
        let kind = filled(event.kind);
        match kind.as_deref().unwrap_or(name) {
            "content_block_delta" => self.delta(event.block(), &parse(event.delta()?, "delta")?, events),
            "content_block_start" => {
                self.block_start(event.block(), event.content_block()?, events);
                Ok(())
            }
            "content_block_stop" => {
                self.block_stop(event.block(), events);
                Ok(())
            }
            "message_start" => {
                self.message_start(&parse(event.message()?, "message")?, events);
                Ok(())
            }
            "message_delta" => {
                self.merge_usage(event.usage);
                self.ending(&parse(event.delta()?, "delta")?, event.context_management, events);
                Ok(())
            }
            "message_stop" => self.message_stop(events),
            "error" => {
                self.fail(error_of(data), events);
                Ok(())
            }
            // `ping`, and what is newer than this code.
            _ => Ok(()),
        }
    }

    fn whole(&mut self, body: &[u8], events: &mut Vec<Event>) -> Result<(), WireError> {
        let body =
            std::str::from_utf8(body).map_err(|_| WireError::protocol("the backend's reply is not UTF-8"))?;
        let message: Message<'_> = serde_json::from_str(body).map_err(|error| match error.is_eof() {
            true => WireError::truncated("the backend's reply ended before it was complete"),
            false => WireError::protocol(format!("the backend sent what is not a message: {error}")),
        })?;
        if message.error.is_some() {
            self.fail(error_of(body), events);
            return Ok(());
        }
        let Some(content) = &message.content else {
            return Err(WireError::protocol("the backend sent a message without content"));
        };
        self.message_start(&message, events);
        for (block, raw) in (0..).zip(content) {
            self.block_start(block, raw.get(), events);
            self.block_stop(block, events);
        }
        let ending = Ending {
            stop_reason: message.stop_reason,
            stop_sequence: message.stop_sequence,
            stop_details: message.stop_details,
            container: message.container,
        };
        self.ending(&ending, message.context_management, events);
        self.message_stop(events)
    }

    fn message_start(&mut self, message: &Message<'_>, events: &mut Vec<Event>) {
        let owned = |raw| filled(raw).map(std::borrow::Cow::into_owned);
        let start =
            ReplyStart { id: owned(message.id), model: owned(message.model), ..ReplyStart::default() };
        events.push(Event::Start(start));
        self.merge_usage(message.usage);
        events.extend(payload::usage(&self.usage, true).map(Event::Usage));
    }

    fn merge_usage(&mut self, raw: Raw<'_>) {
        if let Some(Value::Object(counts)) = value(raw) {
            self.usage.extend(counts.into_iter().filter(|(_, count)| !count.is_null()));
        }
    }

    fn block_start(&mut self, block: u64, raw: &str, events: &mut Vec<Event>) {
        // One that is no object says nothing.
        let Ok(fields) = serde_json::from_str::<Block<'_>>(raw) else { return };
        match filled(fields.kind).as_deref() {
            Some("text") => {
                push(events, text_event, fields.text);
                if let Some(Value::Array(citations)) = value(fields.citations) {
                    events.extend(citations.into_iter().map(payload::citation));
                }
            }
            Some("thinking") => {
                push(events, reasoning_event, fields.thinking);
                push(events, signature_event, fields.signature);
            }
            Some("redacted_thinking") => push(events, redacted_event, fields.data),
            Some("tool_use") => {
                let index = self.tool_call(&fields, events);
                let input = fields.input.map(|raw| raw.get().to_owned()).filter(|text| text != "{}");
                self.open.push(Open { block, kind: OpenKind::Call { index, input, has_arguments: false } });
            }
            _ => {
                let fields = serde_json::from_str(raw).unwrap_or_default();
                self.open.push(Open { block, kind: OpenKind::Other { fields, input: String::new() } });
            }
        }
    }

    /// Begins a tool call and returns its index.
    fn tool_call(&mut self, fields: &Block<'_>, events: &mut Vec<Event>) -> u32 {
        let index = self.tool_calls;
        self.tool_calls = self.tool_calls.saturating_add(1);
        events.push(Event::ToolCallStart {
            choice: CHOICE,
            index,
            id: text(fields.id).unwrap_or_default().into_owned(),
            name: text(fields.name).unwrap_or_default().into_owned(),
            kind: ToolKind::Function,
        });
        index
    }

    fn delta(&mut self, block: u64, delta: &Delta<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        match filled(delta.kind).as_deref() {
            Some("text_delta") => push(events, text_event, delta.text),
            Some("input_json_delta") => return self.input(block, delta.partial_json, events),
            Some("thinking_delta") => push(events, reasoning_event, delta.thinking),
            Some("signature_delta") => push(events, signature_event, delta.signature),
            Some("citations_delta") => events.extend(value(delta.citation).map(payload::citation)),
            Some("compaction_delta") => {
                if let Some(OpenKind::Other { fields, .. }) = self.open(block) {
                    fields.extend(value(delta.content).map(|content| ("content".to_owned(), content)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, block: u64) -> Option<&mut OpenKind> {
        self.open.iter_mut().rev().find(|open| open.block == block).map(|open| &mut open.kind)
    }

    fn input(&mut self, block: u64, raw: Raw<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        let piece = text(raw).unwrap_or_default();
        match self.open(block) {
            Some(OpenKind::Call { index, has_arguments, .. }) => {
                if !piece.is_empty() {
                    *has_arguments = true;
                    events.push(arguments(*index, piece.into_owned()));
                }
                Ok(())
            }
            Some(OpenKind::Other { input, .. }) => {
                if input.len() + piece.len() > MAX_FRAME {
                    return Err(too_long("block", MAX_FRAME));
                }
                input.push_str(&piece);
                Ok(())
            }
            None => Err(WireError::protocol(format!("tool input for block {block}, which has not begun"))),
        }
    }

    fn block_stop(&mut self, block: u64, events: &mut Vec<Event>) {
        let Some(position) = self.open.iter().rposition(|open| open.block == block) else { return };
        match self.open.swap_remove(position).kind {
            // Callers parse what they get, so one without arguments gets an empty object.
            OpenKind::Call { index, input, has_arguments: false } => {
                events.push(arguments(index, input.unwrap_or_else(|| "{}".to_owned())));
            }
            OpenKind::Call { .. } => {}
            OpenKind::Other { mut fields, input } => {
                if !input.is_empty() {
                    let input = serde_json::from_str(&input).unwrap_or(Value::String(input));
                    fields.insert("input".to_owned(), input);
                }
                let value = Value::Array(vec![Value::Object(fields)]);
                events.push(Event::ChoiceExtra { choice: CHOICE, name: "delta.content_blocks", value });
            }
        }
    }

    fn ending(&mut self, ending: &Ending<'_>, context: Raw<'_>, events: &mut Vec<Event>) {
        for (name, raw) in [("context_management", context), ("container", ending.container)] {
            events.extend(value(raw).map(|value| Event::ReplyExtra { name, value }));
        }
        if let Some(reason) = filled(ending.stop_reason) {
            self.stop(&reason, ending, events);
        }
        events.extend(payload::usage(&self.usage, false).map(Event::Usage));
    }

    /// A second one is none: an answer finishes once, and the caller has been told how.
    fn stop(&mut self, reason: &str, ending: &Ending<'_>, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        let (finish, told) = match reason {
            "end_turn" => (FinishReason::Stop, None),
            // vLLM's field for it; its clients look there.
            "stop_sequence" => (FinishReason::Stop, value(ending.stop_sequence)),
            "tool_use" => (FinishReason::ToolCalls, None),
            "max_tokens" => (FinishReason::Length, None),
            "refusal" => (FinishReason::ContentFilter, None),
            // The answer is not all there, for another reason than the caller's own limit.
            "model_context_window_exceeded" | "pause_turn" | "compaction" => {
                (FinishReason::Length, Some(Value::from(reason)))
            }
            other => (FinishReason::Other(other.to_owned()), None),
        };
        for (name, value) in [("stop_reason", told), ("stop_details", value(ending.stop_details))] {
            events.extend(value.map(|value| Event::ChoiceExtra { choice: CHOICE, name, value }));
        }
        events.push(Event::Finish { choice: CHOICE, reason: finish });
    }

    fn message_stop(&mut self, events: &mut Vec<Event>) -> Result<(), WireError> {
        if !self.stopped {
            return Err(WireError::protocol("the backend ended its message without a stop reason"));
        }
        self.over = true;
        events.push(Event::End);
        Ok(())
    }

    fn fail(&mut self, error: WireError, events: &mut Vec<Event>) {
        self.over = true;
        events.push(Event::Error(error));
    }
}

impl Decoder for MessagesDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        match frame {
            Frame::Sse { .. } if self.open.len() > MOST_PARTS => Err(too_many_parts()),
            Frame::Sse { event, data } => self.data(event, data, events),
            Frame::Whole(body) => self.whole(body, events),
            Frame::Line(_) | Frame::EventStream { .. } => Err(WireError::protocol(
                "the Messages API answers with server-sent events or one JSON document",
            )),
        }
    }

    fn finish(&mut self, _: &mut Vec<Event>) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        Err(WireError::truncated("the backend's stream ended before its message_stop"))
    }
}

/// Appends the event of a text, unless there is none.
fn push(events: &mut Vec<Event>, event: fn(String) -> Event, raw: Raw<'_>) {
    events.extend(filled(raw).map(|text| event(text.into_owned())));
}

fn text_event(text: String) -> Event {
    Event::Text { choice: CHOICE, text }
}

fn reasoning_event(text: String) -> Event {
    Event::Reasoning { choice: CHOICE, text }
}

fn signature_event(signature: String) -> Event {
    Event::ReasoningSignature { choice: CHOICE, signature }
}

fn redacted_event(data: String) -> Event {
    Event::ReasoningRedacted { choice: CHOICE, data }
}

fn arguments(index: u32, fragment: String) -> Event {
    Event::ToolCallArguments { choice: CHOICE, index, fragment }
}
