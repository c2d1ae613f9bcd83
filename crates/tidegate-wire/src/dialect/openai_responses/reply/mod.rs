//! Reads a reply of the Responses API, streamed or whole, into hub events.
//!
//! What the recordings show and the code relies on: an item of the output begins with `response.output_item.added`, without its
//! content, and ends with `response.output_item.done`, which has all of it; between them come deltas and, for each, a `done` with
//! the whole. Items may overlap (OpenRouter ends its reasoning behind the message). Not every backend sends deltas for
//! everything, so what a `done` has and no delta said is said then. `response.completed`, `.incomplete` and `.failed` are the
//! terminal events and have the usage; an `error` ends a stream as well. A tool call's id is its `call_id`. Unknown events, parts
//! and fields are skipped.
//!
//! Reasoning is text, from its summary or its content, and ends with the encrypted form that the backend wants back. Items that
//! the hub doesn't model (the API's own tools and their results) are carried whole, as `delta.output_items`.

use serde_json::{Map, Value};

use crate::{
    WireError,
    dialect::{Decoder, MOST_PARTS, too_many_parts},
    framing::Frame,
    hub::{Event, FinishReason, ReplyStart, ToolKind},
    json::raw::{Raw, filled, text, value},
};

use self::payload::{Item, Part, Response, StreamEvent, parse};
use super::error::{failure_of, in_band};

mod payload;

/// A reply has one answer.
const CHOICE: u32 = 0;

/// Decoder of one reply.
#[derive(Debug, Default)]
pub struct ResponsesDecoder {
    started: bool,
    /// Parts that something has been said of.
    said: Vec<Place>,
    /// Tool calls begun so far.
    calls: Vec<Call>,
    /// Tool calls among them; the next one's index.
    tool_calls: u32,
    /// Ids of items that the hub doesn't model and that were carried.
    carried: Vec<String>,
    /// Whether a whole reply may be one that has not ended: it runs in the background.
    background: bool,
    /// Whether the stream may begin in the middle: it is read again from there.
    resumed: bool,
    /// Sequence number of the last event, plus one.
    sequence: u64,
    /// An [`Event::End`] or [`Event::Error`] was given; nothing may follow.
    over: bool,
}

/// Where in the output something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    output: u64,
    kind: PlaceKind,
    index: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlaceKind {
    Text,
    Refusal,
    Annotations,
    /// A part of a reasoning's summary.
    Summary,
    /// A part of its content.
    Thought,
}

/// What has been said of an item: if anything, then all of it. Deltas may count its parts in another way than the item that
/// has them (Bedrock's mantle endpoint).
#[derive(Clone, Copy)]
struct Told {
    message: bool,
    annotations: bool,
    reasoning: bool,
}

impl Told {
    fn of(said: &[Place], output: u64) -> Self {
        let has = |kinds: &[PlaceKind]| {
            said.iter().any(|place| place.output == output && kinds.contains(&place.kind))
        };
        Self {
            message: has(&[PlaceKind::Text, PlaceKind::Refusal]),
            annotations: has(&[PlaceKind::Annotations]),
            reasoning: has(&[PlaceKind::Summary, PlaceKind::Thought]),
        }
    }
}

#[derive(Debug)]
struct Call {
    output: u64,
    index: u32,
    has_arguments: bool,
}

impl ResponsesDecoder {
    /// A decoder for one reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same for a reply that may still run in the background when it is given.
    pub(crate) fn of_background() -> Self {
        Self { background: true, ..Self::default() }
    }

    /// The same for a stream that is read again, perhaps from its middle on.
    pub(crate) fn of_resumed() -> Self {
        Self { resumed: true, ..Self::of_background() }
    }

    /// What the next event's sequence number would be.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence
    }

    fn data(&mut self, name: &str, data: &str, events: &mut Vec<Event>) -> Result<(), WireError> {
        // Some servers that speak other dialects as well end with chat's `[DONE]`.
        if data.trim().is_empty() || data == "[DONE]" {
            return Ok(());
        }
        let event: StreamEvent<'_> = parse(data, "event")?;
        self.sequence = event.sequence().map_or(self.sequence, |sequence| sequence.saturating_add(1));
        let kind = filled(event.kind);
        match kind.as_deref().unwrap_or(name) {
            "response.output_text.delta" => self.piece(&event, PlaceKind::Text, event.delta, events),
            "response.output_text.done" => self.rest(&event, PlaceKind::Text, event.text, events),
            "response.refusal.delta" => self.piece(&event, PlaceKind::Refusal, event.delta, events),
            "response.refusal.done" => self.rest(&event, PlaceKind::Refusal, event.refusal, events),
            "response.reasoning_summary_text.delta" => {
                self.piece(&event, PlaceKind::Summary, event.delta, events);
            }
            "response.reasoning_summary_text.done" => {
                self.rest(&event, PlaceKind::Summary, event.text, events);
            }
            "response.reasoning_text.delta" => self.piece(&event, PlaceKind::Thought, event.delta, events),
            "response.reasoning_text.done" => self.rest(&event, PlaceKind::Thought, event.text, events),
            "response.output_text.annotation.added" => self.annotation(&event, events),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.arguments(event.output(), event.delta, events)?;
            }
            "response.function_call_arguments.done" => self.all_arguments(&event, event.arguments, events),
            "response.custom_tool_call_input.done" => self.all_arguments(&event, event.input, events),
            "response.output_item.added" => self.item_added(&event, events)?,
            "response.output_item.done" => {
                self.item_done(event.output(), raw("item", event.item)?, events)?
            }
            "response.created" | "response.queued" | "response.in_progress" => {
                self.start(&response(&event)?, events);
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.end(&response(&event)?, events)?;
            }
            "error" => self.fail(in_band(data), events),
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], events: &mut Vec<Event>) -> Result<(), WireError> {
        let body =
            std::str::from_utf8(body).map_err(|_| WireError::protocol("the backend's reply is not UTF-8"))?;
        let response: Response<'_> = serde_json::from_str(body).map_err(|error| match error.is_eof() {
            true => WireError::truncated("the backend's reply ended before it was complete"),
            false => WireError::protocol(format!("the backend sent what is not a response: {error}")),
        })?;
        let Some(output) = &response.output else {
            if value(response.error).is_some_and(|error| !error.is_null()) {
                self.fail(in_band(body), events);
                return Ok(());
            }
            return Err(WireError::protocol("the backend sent a response without output"));
        };
        self.start(&response, events);
        let unfinished =
            matches!(text(response.status).as_deref(), Some("queued" | "in_progress" | "cancelled"));
        if unfinished && self.background {
            self.over = true;
            events.push(Event::End);
            return Ok(());
        }
        for (at, item) in (0..).zip(output) {
            self.item_done(at, item.get(), events)?;
        }
        self.end(&response, events)
    }

    fn start(&mut self, response: &Response<'_>, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let owned = |raw| filled(raw).map(std::borrow::Cow::into_owned);
        events.push(Event::Start(ReplyStart {
            id: owned(response.id),
            model: owned(response.model),
            created: payload::seconds(response.created_at),
            ..ReplyStart::default()
        }));
    }

    /// Appends a delta.
    fn piece(&mut self, event: &StreamEvent<'_>, kind: PlaceKind, delta: Raw<'_>, events: &mut Vec<Event>) {
        if let Some(delta) = filled(delta) {
            self.say(place(event, kind), &delta, events);
        }
    }

    /// Appends the whole of a part unless its deltas have said it.
    fn rest(&mut self, event: &StreamEvent<'_>, kind: PlaceKind, whole: Raw<'_>, events: &mut Vec<Event>) {
        self.say_once(place(event, kind), whole, events);
    }

    fn say_once(&mut self, place: Place, whole: Raw<'_>, events: &mut Vec<Event>) {
        if let Some(whole) = filled(whole).filter(|_| !self.said.contains(&place)) {
            self.say(place, &whole, events);
        }
    }

    fn say(&mut self, place: Place, piece: &str, events: &mut Vec<Event>) {
        let is_reasoning = |kind| matches!(kind, PlaceKind::Summary | PlaceKind::Thought);
        if !self.said.contains(&place) {
            if is_reasoning(place.kind) {
                let of_item = |said: &&Place| said.output == place.output && is_reasoning(said.kind);
                match self.said.iter().find(of_item) {
                    // Shown in both ways it is shown once.
                    Some(said) if said.kind != place.kind => return,
                    Some(_) => events.push(Event::Reasoning { choice: CHOICE, text: "\n\n".to_owned() }),
                    None => {}
                }
            }
            self.said.push(place);
        }
        let text = piece.to_owned();
        events.push(match place.kind {
            PlaceKind::Refusal => Event::Refusal { choice: CHOICE, text },
            PlaceKind::Summary | PlaceKind::Thought => Event::Reasoning { choice: CHOICE, text },
            PlaceKind::Text | PlaceKind::Annotations => Event::Text { choice: CHOICE, text },
        });
    }

    fn annotation(&mut self, event: &StreamEvent<'_>, events: &mut Vec<Event>) {
        let place = place(event, PlaceKind::Annotations);
        if !self.said.contains(&place) {
            self.said.push(place);
        }
        events.extend(value(event.annotation).map(payload::annotation));
    }

    fn item_added(&mut self, event: &StreamEvent<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        let item: Item<'_> = parse(raw("item", event.item)?, "item")?;
        if let Some(kind) = call_kind(&item) {
            let began = self.call(event.output(), &item, kind, events);
            // Most begin empty; one that is there at once is not said again.
            let whole = filled(item.arguments).or(filled(item.input));
            if let Some(whole) = whole {
                self.argue(began, &whole, events);
            }
        }
        Ok(())
    }

    /// Begins a tool call, unless it has begun. Returns its place in `calls`.
    fn call(&mut self, output: u64, item: &Item<'_>, kind: ToolKind, events: &mut Vec<Event>) -> usize {
        if let Some(at) = self.calls.iter().position(|call| call.output == output) {
            return at;
        }
        let index = self.tool_calls;
        self.tool_calls = self.tool_calls.saturating_add(1);
        let id = filled(item.call_id).or(filled(item.id)).unwrap_or_default().into_owned();
        let name = text(item.name).unwrap_or_default().into_owned();
        events.push(Event::ToolCallStart { choice: CHOICE, index, id, name, kind });
        self.calls.push(Call { output, index, has_arguments: false });
        self.calls.len() - 1
    }

    fn arguments(&mut self, output: u64, delta: Raw<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        let Some(at) = self.calls.iter().position(|call| call.output == output) else {
            return match filled(delta) {
                // Of a tool of the API's own (`mcp_call` has events of its own name), or of nothing.
                Some(_) if !self.resumed => Err(WireError::protocol(format!(
                    "arguments for item {output}, which is no tool call that has begun"
                ))),
                _ => Ok(()),
            };
        };
        if let Some(delta) = filled(delta) {
            self.argue(at, &delta, events);
        }
        Ok(())
    }

    fn all_arguments(&mut self, event: &StreamEvent<'_>, whole: Raw<'_>, events: &mut Vec<Event>) {
        let call = self.calls.iter().position(|call| call.output == event.output() && !call.has_arguments);
        if let (Some(at), Some(whole)) = (call, filled(whole)) {
            self.argue(at, &whole, events);
        }
    }

    fn argue(&mut self, at: usize, fragment: &str, events: &mut Vec<Event>) {
        if let Some(call) = self.calls.get_mut(at) {
            call.has_arguments = true;
            let (index, fragment) = (call.index, fragment.to_owned());
            events.push(Event::ToolCallArguments { choice: CHOICE, index, fragment });
        }
    }

    fn item_done(&mut self, output: u64, raw: &str, events: &mut Vec<Event>) -> Result<(), WireError> {
        let item: Item<'_> = parse(raw, "item")?;
        if let Some(kind) = call_kind(&item) {
            let at = self.call(output, &item, kind, events);
            if self.calls.get(at).is_some_and(|call| !call.has_arguments) {
                let whole = filled(item.arguments).or(filled(item.input)).unwrap_or_default();
                // Callers parse what they get, so a function without arguments gets an empty object.
                let empty = if kind == ToolKind::Function { "{}" } else { "" };
                self.argue(at, if whole.is_empty() { empty } else { &whole }, events);
            }
            return Ok(());
        }
        match filled(item.kind).as_deref() {
            Some("message") => {
                let told = Told::of(&self.said, output);
                for (index, part) in (0..).zip(item.content()) {
                    self.message_part(output, index, &part, told, events);
                }
            }
            Some("reasoning") => self.reasoning(output, &item, events),
            _ => {
                let fields: Map<String, Value> = parse(raw, "item")?;
                self.carried.extend(filled(item.id).map(std::borrow::Cow::into_owned));
                let value = Value::Array(vec![Value::Object(fields)]);
                events.push(Event::ChoiceExtra { choice: CHOICE, name: "delta.output_items", value });
            }
        }
        Ok(())
    }

    /// Items that the terminal event shows and no event before it has: lists of tools of several servers are streamed as one.
    fn left_over(&mut self, response: &Response<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        for (at, raw) in (0..).zip(response.output.iter().flatten()) {
            let item: Item<'_> = parse(raw.get(), "item")?;
            let is_modelled = matches!(filled(item.kind).as_deref(), Some("message" | "reasoning"))
                || call_kind(&item).is_some();
            let id = filled(item.id);
            if !is_modelled && id.is_some_and(|id| !self.carried.iter().any(|carried| *carried == id)) {
                self.item_done(at, raw.get(), events)?;
            }
        }
        Ok(())
    }

    fn message_part(
        &mut self,
        output: u64,
        index: u64,
        part: &Part<'_>,
        told: Told,
        events: &mut Vec<Event>,
    ) {
        let at = |kind| Place { output, kind, index };
        if !told.message {
            self.say_once(at(PlaceKind::Text), part.text, events);
            self.say_once(at(PlaceKind::Refusal), part.refusal, events);
        }
        if let (Some(Value::Array(annotations)), false) = (value(part.annotations), told.annotations) {
            events.extend(annotations.into_iter().map(payload::annotation));
        }
    }

    fn reasoning(&mut self, output: u64, item: &Item<'_>, events: &mut Vec<Event>) {
        if !Told::of(&self.said, output).reasoning {
            for (kind, parts) in [(PlaceKind::Thought, item.content()), (PlaceKind::Summary, item.summary())]
            {
                for (index, part) in (0..).zip(parts) {
                    self.say_once(Place { output, kind, index }, part.text, events);
                }
            }
        }
        let Some(encrypted) = filled(item.encrypted_content) else { return };
        events.push(if Told::of(&self.said, output).reasoning {
            Event::ReasoningSignature { choice: CHOICE, signature: encrypted.into_owned() }
        } else {
            Event::ReasoningRedacted { choice: CHOICE, data: encrypted.into_owned() }
        });
    }

    /// How a response ends, by its status: the terminal event's name says the same.
    fn end(&mut self, response: &Response<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        self.start(response, events);
        self.left_over(response, events)?;
        let reason = match text(response.status).as_deref().unwrap_or("completed") {
            "completed" if self.calls.is_empty() => FinishReason::Stop,
            "completed" => FinishReason::ToolCalls,
            "incomplete" => incomplete(response.incomplete_details),
            // What a failed response has cost comes before its failure, which ends everything.
            "failed" => {
                events.extend(payload::usage(response.usage).map(Event::Usage));
                self.fail(failure_of(response.error.map(|raw| raw.get())), events);
                return Ok(());
            }
            status => {
                return Err(WireError::protocol(format!(
                    "the backend answered with a response whose status is {status:?}"
                )));
            }
        };
        for (name, raw) in
            [("service_tier", response.service_tier), ("content_filters", response.content_filters)]
        {
            let told = value(raw).filter(|value| !value.is_null());
            events.extend(told.map(|value| Event::ReplyExtra { name, value }));
        }
        events.push(Event::Finish { choice: CHOICE, reason });
        events.extend(payload::usage(response.usage).map(Event::Usage));
        events.push(Event::End);
        self.over = true;
        Ok(())
    }

    fn fail(&mut self, error: WireError, events: &mut Vec<Event>) {
        self.over = true;
        events.push(Event::Error(error));
    }
}

impl Decoder for ResponsesDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        match frame {
            Frame::Sse { .. } if self.said.len() + self.carried.len() > MOST_PARTS => Err(too_many_parts()),
            Frame::Sse { event, data } => self.data(event, data, events),
            Frame::Whole(body) => self.whole(body, events),
            Frame::Line(_) | Frame::EventStream { .. } => Err(WireError::protocol(
                "the Responses API answers with server-sent events or one JSON document",
            )),
        }
    }

    fn finish(&mut self, _: &mut Vec<Event>) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        Err(WireError::truncated("the backend's stream ended before its terminal event"))
    }
}

fn place(event: &StreamEvent<'_>, kind: PlaceKind) -> Place {
    let index = if kind == PlaceKind::Summary { event.summary() } else { event.content() };
    Place { output: event.output(), kind, index }
}

fn raw<'a>(name: &str, raw: Raw<'a>) -> Result<&'a str, WireError> {
    raw.map(|raw| raw.get()).ok_or_else(|| WireError::protocol(format!("the backend's event has no {name}")))
}

fn response<'a>(event: &StreamEvent<'a>) -> Result<Response<'a>, WireError> {
    parse(raw("response", event.response)?, "response")
}

/// Calls that the caller answers.
fn call_kind(item: &Item<'_>) -> Option<ToolKind> {
    match filled(item.kind).as_deref() {
        Some("function_call") => Some(ToolKind::Function),
        Some("custom_tool_call") => Some(ToolKind::Custom),
        _ => None,
    }
}

fn incomplete(details: Raw<'_>) -> FinishReason {
    let details = value(details).unwrap_or_default();
    match details.get("reason").and_then(Value::as_str) {
        Some("max_output_tokens") | None => FinishReason::Length,
        Some("content_filter") => FinishReason::ContentFilter,
        Some(other) => FinishReason::Other(other.to_owned()),
    }
}
