//! Reads a reply of Converse (one JSON document) or ConverseStream (event-stream frames) into hub events.
//!
//! What the recordings show and the code relies on: `contentBlockStart` comes for tool blocks only, so text and reasoning
//! begin with their first delta; a tool's index counts tool calls, not content blocks; usage comes after the stop
//! reason, in `metadata`, which is the terminal event (32 of 32 finished recordings end with it). A stream that stops
//! between the two is truncated: its text may be whole, but what it cost was never said.
//!
//! Blocks of tools that Bedrock runs itself (`server_tool_use`) and their results are skipped: the caller can't answer
//! them. Latency metrics and padding (`p`) are not carried.

use crate::{
    WireError,
    dialect::Decoder,
    framing::Frame,
    hub::{Event, FinishReason, ReplyStart, ToolKind},
};

use super::error;

mod payload;
mod whole;

use payload::{BlockStart, BlockStop, Citation, Delta, DeltaEvent, MessageStop, Metadata, StartEvent};

#[cfg(test)]
mod tests;

/// Converse replies have one answer.
const CHOICE: u32 = 0;

/// Decoder of one Converse or ConverseStream reply.
#[derive(Debug, Default)]
pub struct ConverseDecoder {
    started: bool,
    /// Tool blocks that have begun and not ended. Text and reasoning blocks need no entry.
    open_tools: Vec<OpenTool>,
    /// Tool calls begun so far; the next one's index.
    tool_calls: u32,
    /// `messageStop` was seen.
    stopped: bool,
    /// `metadata` was seen.
    metered: bool,
    /// A failure told by the stop reason, held back until the usage that follows it is known (A15).
    failure: Option<WireError>,
    /// A failure that a stop reason tells is a finish: the caller reads it for itself.
    keeps_failures: bool,
    /// An [`Event::End`] or [`Event::Error`] was given; nothing may follow.
    over: bool,
}

#[derive(Debug)]
struct OpenTool {
    block: u64,
    /// Index among the caller's tool calls; `None` for a tool that Bedrock runs.
    index: Option<u32>,
    has_arguments: bool,
}

impl ConverseDecoder {
    /// A decoder for one reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same for a reply that its caller reads for itself: a failure that a stop reason tells is no error.
    pub(crate) fn relayed() -> Self {
        Self { keeps_failures: true, ..Self::default() }
    }

    fn event(&mut self, name: &str, payload: &[u8], events: &mut Vec<Event>) -> Result<(), WireError> {
        match name {
            "contentBlockDelta" => {
                let DeltaEvent { block, delta } = payload::parse(name, payload)?;
                self.start(events);
                self.delta(block, delta, events)
            }
            "contentBlockStart" => {
                let StartEvent { block, start } = payload::parse(name, payload)?;
                self.start(events);
                self.block_start(block, start, events);
                Ok(())
            }
            "contentBlockStop" => {
                let BlockStop { block } = payload::parse(name, payload)?;
                self.block_stop(block, events);
                Ok(())
            }
            "messageStart" => {
                self.start(events);
                Ok(())
            }
            "messageStop" => {
                self.message_stop(payload::parse(name, payload)?, events);
                Ok(())
            }
            "metadata" => {
                self.metadata(payload::parse(name, payload)?, events);
                Ok(())
            }
            // New event types must not break old clients.
            _ => Ok(()),
        }
    }

    fn start(&mut self, events: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            events.push(Event::Start(ReplyStart::default()));
        }
    }

    fn block_start(&mut self, block: u64, start: BlockStart, events: &mut Vec<Event>) {
        let Some(tool) = start.tool_use else { return };
        let index = (!tool.is_server_tool()).then(|| self.tool_call(tool.id, tool.name, events));
        self.open_tools.push(OpenTool { block, index, has_arguments: false });
    }

    /// Begins a tool call and returns its index.
    fn tool_call(&mut self, id: String, name: String, events: &mut Vec<Event>) -> u32 {
        let index = self.tool_calls;
        self.tool_calls = self.tool_calls.saturating_add(1);
        events.push(Event::ToolCallStart { choice: CHOICE, index, id, name, kind: ToolKind::Function });
        index
    }

    fn delta(&mut self, block: u64, delta: Delta<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        if let Some(text) = delta.text {
            events.push(Event::Text { choice: CHOICE, text });
        }
        if let Some(tool_use) = delta.tool_use {
            self.tool_arguments(block, tool_use.input, events)?;
        }
        if let Some(reasoning) = delta.reasoning_content {
            push_reasoning(reasoning.text, reasoning.signature, reasoning.redacted_content, events);
        }
        if let Some(citation) = delta.citation {
            events.push(Citation::parse(citation)?.into_event());
        }
        if let Some(image) = delta.image {
            events.push(payload::choice_extra("delta.image", image)?);
        }
        Ok(())
    }

    fn tool_arguments(
        &mut self,
        block: u64,
        fragment: String,
        events: &mut Vec<Event>,
    ) -> Result<(), WireError> {
        let Some(tool) = self.open_tools.iter_mut().rev().find(|tool| tool.block == block) else {
            return Err(WireError::protocol(format!(
                "contentBlockDelta: tool input for block {block}, which has not begun"
            )));
        };
        tool.has_arguments |= !fragment.is_empty();
        if let Some(index) = tool.index {
            events.push(Event::ToolCallArguments { choice: CHOICE, index, fragment });
        }
        Ok(())
    }

    fn block_stop(&mut self, block: u64, events: &mut Vec<Event>) {
        if let Some(position) = self.open_tools.iter().position(|tool| tool.block == block) {
            close_tool(&self.open_tools.swap_remove(position), events);
        }
    }

    /// A second one is none: an answer finishes once, and the caller has been told how.
    fn message_stop(&mut self, stop: MessageStop, events: &mut Vec<Event>) {
        if self.stopped {
            return;
        }
        self.start(events);
        for tool in self.open_tools.drain(..) {
            close_tool(&tool, events);
        }
        if let Some(value) = stop.additional_model_response_fields {
            events.push(Event::ReplyExtra { name: "additionalModelResponseFields", value });
        }
        self.stopped = true;
        match finish_reason(stop.stop_reason) {
            Ok(reason) => events.push(Event::Finish { choice: CHOICE, reason }),
            Err(failure) if self.keeps_failures => {
                let told = failure.code().unwrap_or_default().to_owned();
                events.push(Event::Finish { choice: CHOICE, reason: FinishReason::Other(told) });
            }
            Err(failure) => self.failure = Some(failure),
        }
        self.conclude(events);
    }

    fn metadata(&mut self, metadata: Metadata, events: &mut Vec<Event>) {
        self.start(events);
        metadata.append_events(events);
        self.metered = true;
        self.conclude(events);
    }

    /// Ends the reply once both the stop reason and the usage are known.
    fn conclude(&mut self, events: &mut Vec<Event>) {
        if self.stopped && self.metered {
            self.over = true;
            events.push(self.failure.take().map_or(Event::End, Event::Error));
        }
    }

    fn fail(&mut self, error: WireError, events: &mut Vec<Event>) {
        self.over = true;
        events.push(Event::Error(error));
    }
}

impl Decoder for ConverseDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        match frame {
            Frame::EventStream { message_type: "event", name, payload } => self.event(name, payload, events),
            Frame::EventStream { message_type: "exception", name, payload } => {
                self.fail(error::decode_exception(name, payload), events);
                Ok(())
            }
            Frame::EventStream { message_type: "error", name, payload } => {
                self.fail(error::decode_error_message(name, payload), events);
                Ok(())
            }
            Frame::EventStream { message_type, .. } => {
                Err(WireError::protocol(format!("event stream: unknown message type {message_type:?}")))
            }
            Frame::Whole(body) => self.whole(body, events),
            Frame::Sse { .. } | Frame::Line(_) => {
                Err(WireError::protocol("Bedrock answers with an event stream or one JSON document"))
            }
        }
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        // The model's own failure says more than the missing usage.
        if let Some(failure) = self.failure.take() {
            self.fail(failure, events);
            return Ok(());
        }
        Err(WireError::truncated(match (self.stopped, self.started) {
            (true, _) => "Bedrock's stream ended before its usage",
            (false, true) => "Bedrock's stream ended before its stop reason",
            (false, false) => "Bedrock's stream ended before it began",
        }))
    }
}

/// A tool without input sends no fragments, or empty ones; callers parse what they get, so they get an empty object.
fn close_tool(tool: &OpenTool, events: &mut Vec<Event>) {
    if let (Some(index), false) = (tool.index, tool.has_arguments) {
        events.push(Event::ToolCallArguments { choice: CHOICE, index, fragment: "{}".to_owned() });
    }
}

fn push_reasoning(
    text: Option<String>,
    signature: Option<String>,
    redacted: Option<String>,
    events: &mut Vec<Event>,
) {
    if let Some(text) = text {
        events.push(Event::Reasoning { choice: CHOICE, text });
    }
    if let Some(signature) = signature {
        events.push(Event::ReasoningSignature { choice: CHOICE, signature });
    }
    if let Some(data) = redacted {
        events.push(Event::ReasoningRedacted { choice: CHOICE, data });
    }
}

/// The stop reason in the hub's words, or the failure that it tells.
fn finish_reason(reason: String) -> Result<FinishReason, WireError> {
    match reason.as_str() {
        "end_turn" | "stop_sequence" => Ok(FinishReason::Stop),
        "tool_use" => Ok(FinishReason::ToolCalls),
        "max_tokens" | "model_context_window_exceeded" => Ok(FinishReason::Length),
        "guardrail_intervened" | "content_filtered" => Ok(FinishReason::ContentFilter),
        // By prefix, so that a newer malformed_* is not passed off as an answer.
        failed if failed == "error" || failed.starts_with("malformed_") => Err(error::failed_stop(failed)),
        _ => Ok(FinishReason::Other(reason)),
    }
}
