//! Reads a reply, whole or streamed, into hub events.
//!
//! What the recordings show and the code relies on: `message-end` is the terminal event, with the finish reason and the usage; a
//! `[DONE]` behind it says no more. A call without arguments has no piece of them. The plan that goes before calls (`tool_plan`) is
//! what the model thinks of them, so it is given as reasoning. Unknown events and fields are skipped.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    ErrorClass, WireError,
    dialect::{Decoder, openai_chat::error_of},
    framing::Frame,
    hub::{Event, FinishReason, ReplyStart, ToolKind, Usage},
    json::raw::{Raw, filled, text, value},
};

/// A reply has one answer.
const CHOICE: u32 = 0;

/// Decoder of one reply.
#[derive(Debug, Default)]
pub struct CohereDecoder {
    /// Tool calls begun so far; the next one's index.
    tool_calls: u32,
    /// The backend's index of the call that is being streamed, and whether it has arguments.
    open: Option<(u64, bool)>,
    /// An [`Event::End`] or [`Event::Error`] was given; nothing may follow.
    over: bool,
}

impl CohereDecoder {
    /// A decoder for one reply.
    pub fn new() -> Self {
        Self::default()
    }

    fn stream_event(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), WireError> {
        if data.trim().is_empty() || data == "[DONE]" {
            return Ok(());
        }
        let event: StreamEvent<'_> = parse(data)?;
        let block = value(event.index).and_then(|index| index.as_u64()).unwrap_or(0);
        match text(event.kind).as_deref() {
            Some("message-start") => events.push(start(event.id)),
            Some("content-start" | "content-delta") => {
                content(&inner(event.adds()?.content)?, events);
                events.extend(value(event.logprobs).map(|item| logprobs(&[item])));
            }
            Some("tool-plan-delta") => events.extend(filled(event.adds()?.tool_plan).map(reasoning)),
            Some("tool-call-start") => {
                self.close_call(events);
                self.begin_call(&inner(event.adds()?.tool_calls)?, block, events);
            }
            Some("tool-call-delta") => {
                let call: Call<'_> = inner(event.adds()?.tool_calls)?;
                self.arguments(block, &text(call.function.arguments).unwrap_or_default(), events)?;
            }
            Some("tool-call-end") => self.close_call(events),
            Some("citation-start") => events.extend(value(event.adds()?.citations).map(citation)),
            Some("message-end") => {
                self.close_call(events);
                self.end(&inner(event.delta)?, events)?;
            }
            None if event.message.is_some() || event.error.is_some() => self.fail(error_of(data), events),
            // `content-end`, `citation-end`, `debug`, and what is newer than this code.
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], events: &mut Vec<Event>) -> Result<(), WireError> {
        let body = std::str::from_utf8(body).map_err(|error| match error.error_len() {
            // A character that is cut off.
            None => WireError::truncated("Cohere's reply ended inside its JSON"),
            Some(_) => WireError::protocol("Cohere's reply is not UTF-8"),
        })?;
        let reply: Whole<'_> = parse(body)?;
        // A failure's message is a text.
        if text(reply.message).is_some() {
            self.fail(error_of(body), events);
            return Ok(());
        }
        if reply.message.is_none() {
            return Err(WireError::protocol("Cohere's reply has no message"));
        }
        let message: Message<'_> = inner(reply.message)?;
        events.push(start(reply.id));
        events.extend(filled(message.tool_plan).map(reasoning));
        for part in list(message.content)? {
            content(&inner(Some(part))?, events);
        }
        for call in list(message.tool_calls)? {
            self.begin_call(&inner(Some(call))?, 0, events);
            self.close_call(events);
        }
        let citations = list(message.citations)?.into_iter();
        events.extend(citations.filter_map(|raw| value(Some(raw))).map(citation));
        let items: Vec<Value> = inner(reply.logprobs)?;
        events.extend((!items.is_empty()).then(|| logprobs(&items)));
        let ending = Ending { finish_reason: reply.finish_reason, usage: reply.usage, error: None };
        self.end(&ending, events)
    }

    fn begin_call(&mut self, call: &Call<'_>, block: u64, events: &mut Vec<Event>) {
        let index = self.tool_calls;
        self.tool_calls = self.tool_calls.saturating_add(1);
        events.push(Event::ToolCallStart {
            choice: CHOICE,
            index,
            id: text(call.id).unwrap_or_default().into_owned(),
            name: text(call.function.name).unwrap_or_default().into_owned(),
            kind: ToolKind::Function,
        });
        let arguments = filled(call.function.arguments);
        self.open = Some((block, arguments.is_some()));
        events.extend(arguments.map(|fragment| {
            let fragment = fragment.into_owned();
            Event::ToolCallArguments { choice: CHOICE, index, fragment }
        }));
    }

    fn arguments(&mut self, block: u64, fragment: &str, events: &mut Vec<Event>) -> Result<(), WireError> {
        match &mut self.open {
            Some((open, some)) if *open == block => {
                *some |= !fragment.is_empty();
                let index = self.tool_calls.saturating_sub(1);
                let fragment = fragment.to_owned();
                events.push(Event::ToolCallArguments { choice: CHOICE, index, fragment });
                Ok(())
            }
            _ => Err(WireError::protocol("Cohere's reply: arguments of a tool call that is not open")),
        }
    }

    /// Callers parse what they get, so a call without arguments gets an empty object.
    fn close_call(&mut self, events: &mut Vec<Event>) {
        if let Some((_, false)) = self.open.take() {
            let index = self.tool_calls.saturating_sub(1);
            events.push(Event::ToolCallArguments { choice: CHOICE, index, fragment: "{}".to_owned() });
        }
    }

    fn end(&mut self, ending: &Ending<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        let counts = value(ending.usage).filter(Value::is_object).map(|counts| Event::Usage(usage(&counts)));
        let Some(finish) = filled(ending.finish_reason) else {
            return Err(WireError::protocol("Cohere's reply does not say why it ends"));
        };
        let reason = match &*finish {
            "COMPLETE" | "STOP_SEQUENCE" => FinishReason::Stop,
            "MAX_TOKENS" => FinishReason::Length,
            "TOOL_CALL" => FinishReason::ToolCalls,
            "ERROR_TOXIC" => FinishReason::ContentFilter,
            failed if failed.starts_with("ERROR") || failed == "TIMEOUT" => {
                let class = if failed == "TIMEOUT" { ErrorClass::Timeout } else { ErrorClass::UpstreamBroke };
                let told = filled(ending.error).unwrap_or("the model gave up on its answer".into());
                events.extend(counts);
                let error = WireError::new(class, format!("Cohere finished with {failed}: {told}"));
                self.fail(error.with_code(failed), events);
                return Ok(());
            }
            other => FinishReason::Other(other.to_owned()),
        };
        events.push(Event::Finish { choice: CHOICE, reason });
        events.extend(counts);
        self.over = true;
        events.push(Event::End);
        Ok(())
    }

    fn fail(&mut self, error: WireError, events: &mut Vec<Event>) {
        self.over = true;
        events.push(Event::Error(error));
    }
}

impl Decoder for CohereDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        match frame {
            _ if self.over => Ok(()),
            Frame::Sse { data, .. } => self.stream_event(data, events),
            Frame::Whole(body) => self.whole(body, events),
            Frame::Line(_) | Frame::EventStream { .. } => {
                Err(WireError::new(ErrorClass::Internal, "Cohere has no frames of this kind"))
            }
        }
    }

    fn finish(&mut self, _: &mut Vec<Event>) -> Result<(), WireError> {
        match self.over {
            true => Ok(()),
            false => Err(WireError::truncated("Cohere's reply ended before its message did")),
        }
    }
}

fn start(id: Raw<'_>) -> Event {
    let id = filled(id).map(Cow::into_owned);
    Event::Start(ReplyStart { id, ..ReplyStart::default() })
}

/// A part of the content, or a piece of one. What is neither text nor thought is newer than this code.
fn content(part: &Part<'_>, events: &mut Vec<Event>) {
    events.extend(filled(part.thinking).map(reasoning));
    let said = filled(part.text);
    events.extend(said.map(|text| Event::Text { choice: CHOICE, text: text.into_owned() }));
}

fn reasoning(text: Cow<'_, str>) -> Event {
    Event::Reasoning { choice: CHOICE, text: text.into_owned() }
}

/// What the text rests on, in an array of one, as a streamed `delta.annotations` is: OpenAI's `url_citation` where a source is a
/// document with a URL, and in any case Cohere's own object under `citation`.
fn citation(citation: Value) -> Event {
    let sources = citation.get("sources").and_then(Value::as_array).into_iter().flatten();
    let web = sources.filter_map(|source| source.get("document")).find(|source| source.get("url").is_some());
    let annotation = match web {
        Some(source) => {
            let (start, end) = (citation.get("start"), citation.get("end"));
            let url_citation = json!({ "url": source.get("url"), "title": source.get("title"),
                "start_index": start, "end_index": end });
            json!({ "type": "url_citation", "url_citation": url_citation, "citation": citation })
        }
        None => json!({ "type": "citation", "citation": citation }),
    };
    Event::ChoiceExtra { choice: CHOICE, name: "delta.annotations", value: json!([annotation]) }
}

/// OpenAI's form. Cohere's items are pieces of text, of one token or of several, whose probability is the product.
fn logprobs(items: &[Value]) -> Event {
    let content = items.iter().map(|item| {
        let logprobs = item.get("logprobs").and_then(Value::as_array).into_iter().flatten();
        let logprob: f64 = logprobs.filter_map(Value::as_f64).sum();
        json!({ "token": item.get("text"), "logprob": logprob, "bytes": null, "top_logprobs": [] })
    });
    let value = json!({ "content": content.collect::<Vec<_>>(), "refusal": null });
    Event::ChoiceExtra { choice: CHOICE, name: "logprobs", value }
}

/// WIRE facts, "Usage normalisation": `tokens` are what the model read and wrote, with the vendor's own preamble, and what was
/// cached is a part of them; `billed_units`, which are fewer, stay in the raw object for whoever prices the call. Pictures are counted
/// beside the text (recorded).
fn usage(raw: &Value) -> Usage {
    let of = |group: &str, name: &str| raw.get(group)?.get(name).and_then(whole_number);
    let either = |name: &str| of("tokens", name).or_else(|| of("billed_units", name)).unwrap_or(0);
    let prompt_tokens = either("input_tokens").saturating_add(of("tokens", "image_tokens").unwrap_or(0));
    let completion_tokens = either("output_tokens");
    Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens.saturating_add(completion_tokens),
        cached_tokens: raw.get("cached_tokens").and_then(whole_number),
        cache_write_tokens: None,
        reasoning_tokens: of("tokens", "reasoning_tokens"),
        running: false,
        raw: Some(raw.to_string().into()),
    }
}

/// The vendor's client reads its counts as numbers with a fraction.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
fn whole_number(count: &Value) -> Option<u64> {
    count.as_u64().or_else(|| count.as_f64().map(|count| count as u64))
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, WireError> {
    // A number that is cut off is no end of input to the parser; an object that does not end is one to anybody.
    let cut_off = !text.trim_end().ends_with('}');
    serde_json::from_str(text).map_err(|error| match error.is_eof() || cut_off {
        true => WireError::truncated("Cohere's reply ended inside its JSON"),
        false => broken(&error),
    })
}

/// What is within a reply; absent and null are empty.
fn inner<'a, T: Deserialize<'a> + Default>(raw: Raw<'a>) -> Result<T, WireError> {
    match raw.filter(|raw| raw.get() != "null") {
        Some(raw) => serde_json::from_str(raw.get()).map_err(|error| broken(&error)),
        None => Ok(T::default()),
    }
}

fn list(raw: Raw<'_>) -> Result<Vec<&RawValue>, WireError> {
    inner(raw)
}

fn broken(error: &serde_json::Error) -> WireError {
    WireError::protocol(format!("Cohere's reply: {error}"))
}

#[derive(Deserialize)]
struct StreamEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    index: Raw<'a>,
    #[serde(borrow)]
    delta: Raw<'a>,
    #[serde(borrow)]
    logprobs: Raw<'a>,
    /// Of a failure.
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

impl<'a> StreamEvent<'a> {
    /// What it adds to the message.
    fn adds(&self) -> Result<Message<'a>, WireError> {
        inner(self.delta).map(|Delta { message }| message)
    }
}

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    logprobs: Raw<'a>,
    #[serde(borrow)]
    finish_reason: Raw<'a>,
    #[serde(borrow)]
    usage: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

/// A message, or what a piece of a stream adds to it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    tool_plan: Raw<'a>,
    #[serde(borrow)]
    tool_calls: Raw<'a>,
    #[serde(borrow)]
    citations: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(borrow)]
    text: Raw<'a>,
    #[serde(borrow)]
    thinking: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ending<'a> {
    #[serde(borrow)]
    finish_reason: Raw<'a>,
    #[serde(borrow)]
    usage: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Call<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Function<'a> {
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    arguments: Raw<'a>,
}
