//! The backend side: a reply's frames into hub events.
//!
//! A whole reply is one frame through the same code as a chunk. The terminal event is `[DONE]`; a body that ends without
//! it is complete only if every answer has finished. Never makes up a finish.

use std::borrow::Cow;

use serde_json::{Value, value::RawValue};

use super::{
    chunk::{Called, Choice, Chunk, Delta, ToolFragment, filled, text, text_or_json, value},
    error::ErrorFacts,
    thinking_blocks,
    usage::usage,
};
use crate::{
    ErrorClass, WireError,
    dialect::Decoder,
    framing::Frame,
    hub::{Event, Extras, FinishReason, ReplyStart, ToolKind, Usage},
    json::Cursor,
};

/// Decodes one reply.
#[derive(Debug, Default)]
pub struct ChatDecoder {
    /// How many answers were asked for: with two asked for, one that has finished is not yet the end.
    expected: u32,
    /// Whether blocks of thinking are told as the hub tells reasoning, and not as they came.
    for_another: bool,
    started: bool,
    /// An end or an error was seen; nothing after it counts.
    over: bool,
    answers: Vec<Answer>,
    /// What came before the reply said who it is (Azure's prompt filter verdict).
    early: Vec<Event>,
}

#[derive(Debug)]
struct Answer {
    choice: u32,
    finished: bool,
    calls: Vec<Call>,
}

/// A tool call that has begun. Its place among its answer's calls is its index in the hub.
#[derive(Debug)]
struct Call {
    /// The backend's index.
    index: u32,
    id: String,
}

impl ChatDecoder {
    /// A decoder for a request that asked for `choices` answers.
    pub fn new(choices: u32) -> Self {
        Self { expected: choices, ..Self::default() }
    }

    /// The same for a caller of another dialect, who knows no `thinking_blocks`.
    pub(crate) fn for_another(choices: u32) -> Self {
        Self { expected: choices, for_another: true, ..Self::default() }
    }

    /// Notes that an answer has begun; for the relay, which doesn't hand every frame to [`Decoder::frame`].
    pub(crate) fn begin(&mut self, choice: u32) {
        self.answer(choice);
    }

    /// Whether every answer has finished, those included that were asked for and have not begun.
    pub(crate) fn all_finished(&self) -> bool {
        !self.answers.is_empty()
            && self.answers.len() >= self.expected as usize
            && self.answers.iter().all(|answer| answer.finished)
    }

    fn answer(&mut self, choice: u32) -> &mut Answer {
        let at = match self.answers.iter().position(|answer| answer.choice == choice) {
            Some(at) => at,
            None => {
                self.answers.push(Answer { choice, finished: false, calls: Vec::new() });
                self.answers.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "`at` was found or made just now")]
        &mut self.answers[at]
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        events.append(&mut self.early);
        events.push(Event::End);
        self.over = true;
    }

    fn fail(&mut self, error: WireError, events: &mut Vec<Event>) {
        events.push(Event::Error(error));
        self.over = true;
    }

    fn data(&mut self, event: &str, data: &str, events: &mut Vec<Event>) -> Result<(), WireError> {
        let data = data.trim();
        if data.is_empty() {
            return Ok(());
        }
        if data == "[DONE]" {
            self.end(events);
            return Ok(());
        }
        if event == "error" {
            self.fail(error_of(data), events);
            return Ok(());
        }
        self.chunk(data, false, events)
    }

    fn whole(&mut self, body: &[u8], events: &mut Vec<Event>) -> Result<(), WireError> {
        let body =
            std::str::from_utf8(body).map_err(|_| WireError::protocol("the backend's reply is not UTF-8"))?;
        if body.trim().is_empty() {
            return Err(WireError::truncated("the backend's reply is empty"));
        }
        self.chunk(body, true, events)?;
        if !self.over {
            self.end(events);
        }
        Ok(())
    }

    fn chunk(&mut self, data: &str, whole: bool, events: &mut Vec<Event>) -> Result<(), WireError> {
        let chunk: Chunk<'_> = serde_json::from_str(data).map_err(|error| not_json(&error, whole))?;
        if is_error(&chunk) {
            // OpenRouter says beside it what was used (A15).
            let usage = chunk.usage.and_then(|raw| usage(&mut Cursor::over(raw.get())));
            events.extend(usage.map(Event::Usage));
            self.fail(error_of(data), events);
            return Ok(());
        }
        if chunk.choices.is_none() && chunk.usage.is_none() {
            return Err(WireError::protocol("the backend sent a chunk without choices"));
        }
        self.start(&chunk, events);
        self.reply_extras(&chunk, events);
        for (at, choice) in chunk.choices.iter().flatten().enumerate() {
            self.choice(choice, at, whole, events);
            if self.over {
                return Ok(());
            }
        }
        // OpenAI's own usage chunk has no choices; others put the usage beside the last piece of the answer.
        let beside_answer = chunk.choices.as_ref().is_some_and(|choices| !choices.is_empty());
        let running = !whole && beside_answer && !self.all_finished();
        let usage = chunk.usage.and_then(|raw| usage(&mut Cursor::over(raw.get())));
        let usage = usage.or_else(|| groq_usage(&chunk));
        events.extend(usage.map(|usage| Event::Usage(Usage { running, ..usage })));
        Ok(())
    }

    /// The first chunk that says who the reply is begins it. Azure's filter chunks have empty ids and say nothing.
    fn start(&mut self, chunk: &Chunk<'_>, events: &mut Vec<Event>) {
        if self.started {
            return;
        }
        let id = filled(chunk.id);
        let model = filled(chunk.model);
        let begins = chunk.choices.as_ref().is_some_and(|choices| !choices.is_empty());
        if id.is_none() && model.is_none() && !begins {
            return;
        }
        self.started = true;
        let mut extras = Extras::new();
        for (name, raw) in
            [("system_fingerprint", chunk.system_fingerprint), ("service_tier", chunk.service_tier)]
        {
            extras.extend(value(raw).map(|value| (name.to_owned(), value)));
        }
        events.push(Event::Start(ReplyStart {
            id: id.map(Cow::into_owned),
            model: model.map(Cow::into_owned),
            created: value(chunk.created).and_then(|created| created.as_f64()).and_then(whole_seconds),
            extras,
        }));
        events.append(&mut self.early);
    }

    fn reply_extras(&mut self, chunk: &Chunk<'_>, events: &mut Vec<Event>) {
        let fields = [
            ("prompt_filter_results", chunk.prompt_filter_results),
            ("prompt_annotations", chunk.prompt_annotations),
            ("moderation", chunk.moderation),
            ("latency_checkpoint", chunk.latency_checkpoint),
            ("routing", chunk.routing),
            ("x_groq", chunk.x_groq),
            ("provider", chunk.provider),
            ("citations", chunk.citations),
            ("search_results", chunk.search_results),
        ];
        let to = if self.started { events } else { &mut self.early };
        for (name, raw) in fields {
            to.extend(value(raw).map(|value| Event::ReplyExtra { name, value }));
        }
    }

    fn choice(&mut self, choice: &Choice<'_>, at: usize, whole: bool, events: &mut Vec<Event>) {
        let index = choice.index.unwrap_or(u32::try_from(at).unwrap_or(u32::MAX));
        self.answer(index);
        // Perplexity has both: a whole answer beside an empty delta, and in a stream's last chunk the whole answer once more.
        let (first, second) =
            if whole { (&choice.message, &choice.delta) } else { (&choice.delta, &choice.message) };
        if let Some(delta) = first.as_ref().or(second.as_ref()) {
            self.delta(index, delta, whole, events);
        }
        let fields = [
            ("logprobs", choice.logprobs),
            ("content_filter_results", choice.content_filter_results),
            ("content_filter_offsets", choice.content_filter_offsets),
            ("stop_reason", choice.stop_reason),
        ];
        choice_extras(index, &fields, events);
        if let Some(reason) = filled(choice.finish_reason) {
            self.finish_choice(index, &reason, events);
        }
    }

    fn finish_choice(&mut self, choice: u32, reason: &str, events: &mut Vec<Event>) {
        let reason = match reason {
            "stop" => FinishReason::Stop,
            "length" => FinishReason::Length,
            "tool_calls" => FinishReason::ToolCalls,
            "content_filter" => FinishReason::ContentFilter,
            "function_call" => FinishReason::FunctionCall,
            "error" => {
                let error = WireError::new(ErrorClass::UpstreamBroke, "the backend gave up on its answer");
                return self.fail(error, events);
            }
            other => FinishReason::Other(other.to_owned()),
        };
        // OpenRouter repeats the finish on its usage chunk.
        if !std::mem::replace(&mut self.answer(choice).finished, true) {
            events.push(Event::Finish { choice, reason });
        }
    }

    fn delta(&mut self, choice: u32, delta: &Delta<'_>, whole: bool, events: &mut Vec<Event>) {
        let blocks = value(delta.thinking_blocks.filter(|_| self.for_another)).unwrap_or_default();
        let told = whole && thinking_blocks::of_whole(choice, &blocks, events);
        // The same text may come under both names: it is one text.
        let text = filled(delta.reasoning_content).or_else(|| filled(delta.reasoning)).filter(|_| !told);
        events.extend(text.map(|text| Event::Reasoning { choice, text: text.into_owned() }));
        if !whole {
            thinking_blocks::of_piece(choice, &blocks, events);
        }
        content(choice, delta.content, events);
        if let Some(text) = filled(delta.refusal) {
            events.push(Event::Refusal { choice, text: text.into_owned() });
        }
        for (at, fragment) in delta.tool_calls.iter().flatten().enumerate() {
            self.tool_call(choice, at, fragment, events);
        }
        let fields = [
            ("delta.function_call", delta.function_call),
            ("delta.audio", delta.audio),
            ("delta.annotations", delta.annotations),
            ("delta.reasoning_details", delta.reasoning_details),
            ("delta.thinking_blocks", delta.thinking_blocks.filter(|_| !self.for_another)),
        ];
        choice_extras(choice, &fields, events);
    }

    fn tool_call(&mut self, choice: u32, at: usize, fragment: &ToolFragment<'_>, events: &mut Vec<Event>) {
        let nothing = Called::default();
        let (called, kind) = match (&fragment.custom, &fragment.function) {
            (Some(custom), _) => (custom, ToolKind::Custom),
            (None, function) => (function.as_ref().unwrap_or(&nothing), ToolKind::Function),
        };
        let wire_index = fragment.index.unwrap_or(u32::try_from(at).unwrap_or(u32::MAX));
        let id = filled(fragment.id).unwrap_or_default();
        let name = filled(called.name);
        let calls = &mut self.answer(choice).calls;
        // A new id with a name is a new call even at an index in use: some backends number every call 0.
        let known = calls
            .iter()
            .rposition(|call| call.index == wire_index && (id.is_empty() || name.is_none() || call.id == id));
        let position = known.unwrap_or(calls.len());
        let index = u32::try_from(position).unwrap_or(u32::MAX);
        if known.is_none() {
            calls.push(Call { index: wire_index, id: id.clone().into_owned() });
            // Without an id the caller could not answer: one that is unique within the reply.
            let id = if id.is_empty() { format!("call_{choice}_{index}") } else { id.into_owned() };
            let name = name.unwrap_or_default().into_owned();
            events.push(Event::ToolCallStart { choice, index, id, name, kind });
        }
        let piece = match kind {
            ToolKind::Function => called.arguments,
            ToolKind::Custom => called.input,
        };
        let arguments = text_or_json(piece).unwrap_or_default();
        if !arguments.is_empty() {
            events.push(Event::ToolCallArguments { choice, index, fragment: arguments.into_owned() });
        }
    }
}

impl Decoder for ChatDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        match frame {
            Frame::Sse { event, data } => self.data(event, data, events),
            Frame::Whole(body) => self.whole(body, events),
            Frame::Line(_) | Frame::EventStream { .. } => {
                Err(WireError::new(ErrorClass::Internal, "openai-chat has no frames of this kind"))
            }
        }
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        if self.all_finished() {
            self.end(events);
            return Ok(());
        }
        Err(WireError::truncated("the backend's stream ended before the answer was complete"))
    }
}

/// A string, or Mistral's array of text and thinking parts.
fn content(choice: u32, raw: Option<&RawValue>, events: &mut Vec<Event>) {
    if let Some(text) = text(raw) {
        events.push(Event::Text { choice, text: text.into_owned() });
        return;
    }
    let Some(Value::Array(parts)) = value(raw) else { return };
    for part in parts {
        let (name, thinking) = match part.get("type").and_then(Value::as_str) {
            Some("thinking") => ("thinking", true),
            _ => ("text", false),
        };
        let text = match part.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(pieces)) => {
                pieces.iter().filter_map(|piece| piece.get("text")?.as_str()).collect()
            }
            _ => continue,
        };
        events.push(if thinking { Event::Reasoning { choice, text } } else { Event::Text { choice, text } });
    }
}

fn choice_extras(choice: u32, fields: &[(&'static str, Option<&RawValue>)], events: &mut Vec<Event>) {
    for (name, raw) in fields {
        let filled = raw.filter(|raw| !matches!(raw.get(), "{}" | "[]"));
        events.extend(value(filled).map(|value| Event::ChoiceExtra { choice, name, value }));
    }
}

fn groq_usage(chunk: &Chunk<'_>) -> Option<Usage> {
    let mut found = None;
    Cursor::over(chunk.x_groq?.get()).fields(|cursor, key| match key {
        b"usage" => {
            found = Some(usage(cursor)?);
            Some(())
        }
        _ => cursor.skip(),
    })?;
    found
}

/// Whether this is a failure in the place of a chunk: a truthy `error` (as the OpenAI SDK tests it), or an error object
/// without that wrapping.
fn is_error(chunk: &Chunk<'_>) -> bool {
    let falsy = |raw: &RawValue| matches!(raw.get(), "null" | "false" | "\"\"" | "{}" | "[]" | "0");
    chunk.error.is_some_and(|error| !falsy(error)) || text(chunk.object).as_deref() == Some("error")
}

/// The error that `data` tells inside a reply.
pub(crate) fn error_of(data: &str) -> WireError {
    let value = serde_json::from_str::<Value>(data).unwrap_or(Value::Null);
    let facts = ErrorFacts::read(&value);
    if facts.message.is_empty() {
        return WireError::new(ErrorClass::UpstreamBroke, "the backend reported an error without a message");
    }
    facts.into_error(None)
}

fn not_json(error: &serde_json::Error, whole: bool) -> WireError {
    if whole && error.is_eof() {
        return WireError::truncated("the backend's reply ended before it was complete");
    }
    WireError::protocol(format!("the backend sent what is not a chat completion: {error}"))
}

fn whole_seconds(seconds: f64) -> Option<u64> {
    (seconds > 0.0 && seconds < 1e15).then_some(seconds as u64)
}
