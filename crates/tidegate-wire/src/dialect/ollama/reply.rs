//! Reads a reply, whole or a line for each piece, into hub events.
//!
//! What the recordings show and the code relies on: every line is an object of the same form, and so is a whole reply; the last one
//! has `done`, the counts and the durations. A call comes whole, from most servers without an id. A failure is an object with `error`,
//! also behind a 200. Unknown fields are skipped.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

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
pub struct OllamaDecoder {
    /// What makes ids of calls unique over the replies of a conversation: the time of the reply's first line, which is the only thing
    /// that tells it from others. `None` before.
    moment: Option<String>,
    /// Tool calls so far; the next one's index.
    tool_calls: u32,
    /// An [`Event::End`] or [`Event::Error`] was given; nothing may follow.
    over: bool,
}

impl OllamaDecoder {
    /// A decoder for one reply.
    pub fn new() -> Self {
        Self::default()
    }

    fn line(&mut self, line: &[u8], whole: bool, events: &mut Vec<Event>) -> Result<(), WireError> {
        let line = std::str::from_utf8(line).map_err(|error| match error.error_len() {
            // A character that is cut off.
            None => WireError::truncated("Ollama's reply ended inside its JSON"),
            Some(_) => WireError::protocol("Ollama's reply is not UTF-8"),
        })?;
        // A line is whole, however it reads.
        let piece: Piece<'_> =
            if whole { parse(line)? } else { serde_json::from_str(line).map_err(|error| broken(&error))? };
        if piece.error.is_some_and(|error| error.get() != "null") {
            self.over = true;
            events.push(Event::Error(error_of(line)));
            return Ok(());
        }
        if piece.message.is_none() && piece.done.is_none() {
            return Err(WireError::protocol("Ollama's reply has neither a message nor an end"));
        }
        if self.moment.is_none() {
            let time = text(piece.created_at).unwrap_or_default();
            self.moment = Some(time.chars().filter(char::is_ascii_alphanumeric).collect());
            let model = filled(piece.model).map(Cow::into_owned);
            events.push(Event::Start(ReplyStart { model, ..ReplyStart::default() }));
        }
        self.message(piece.message, events)?;
        let items: Vec<Value> = inner(piece.logprobs)?;
        if !items.is_empty() {
            events.push(Event::ChoiceExtra { choice: CHOICE, name: "logprobs", value: logprobs(items) });
        }
        if value(piece.done) == Some(Value::Bool(true)) {
            self.end(&piece, line, events);
        }
        Ok(())
    }

    fn message(&mut self, message: Raw<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        let message: Message<'_> = inner(message)?;
        if let Some(text) = filled(message.thinking) {
            events.push(Event::Reasoning { choice: CHOICE, text: text.into_owned() });
        }
        if let Some(text) = filled(message.content) {
            events.push(Event::Text { choice: CHOICE, text: text.into_owned() });
        }
        for call in inner::<Vec<&RawValue>>(message.tool_calls)? {
            self.call(&inner(Some(call))?, events);
        }
        if let Some(images) = value(message.images).filter(Value::is_array) {
            events.push(Event::ChoiceExtra {
                choice: CHOICE,
                name: "delta.images",
                value: pictures(&images),
            });
        }
        Ok(())
    }

    /// Arguments are an object; callers parse the text of it, so a call without any gets an empty one.
    fn call(&mut self, call: &Call<'_>, events: &mut Vec<Event>) {
        let index = self.tool_calls;
        self.tool_calls = self.tool_calls.saturating_add(1);
        let id = filled(call.id).map_or_else(
            || match self.moment.as_deref().unwrap_or_default() {
                "" => format!("call_{index}"),
                moment => format!("call_{moment}_{index}"),
            },
            Cow::into_owned,
        );
        let name = text(call.function.name).unwrap_or_default().into_owned();
        events.push(Event::ToolCallStart { choice: CHOICE, index, id, name, kind: ToolKind::Function });
        let arguments = call.function.arguments.map(RawValue::get).filter(|arguments| *arguments != "null");
        let fragment = arguments.unwrap_or("{}").to_owned();
        events.push(Event::ToolCallArguments { choice: CHOICE, index, fragment });
    }

    fn end(&mut self, last: &Piece<'_>, line: &str, events: &mut Vec<Event>) {
        let reason = match filled(last.done_reason).as_deref() {
            None | Some("stop") if self.tool_calls > 0 => FinishReason::ToolCalls,
            // Servers of 2023 say only that it is done.
            None | Some("stop") => FinishReason::Stop,
            Some("length") => FinishReason::Length,
            Some(other) => FinishReason::Other(other.to_owned()),
        };
        let told: Map<String, Value> = serde_json::from_str(line).unwrap_or_default();
        events.extend(durations(&told));
        events.push(Event::Finish { choice: CHOICE, reason });
        events.extend(usage(told).map(Event::Usage));
        self.over = true;
        events.push(Event::End);
    }
}

impl Decoder for OllamaDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        match frame {
            _ if self.over => Ok(()),
            Frame::Line(line) => self.line(line, false, events),
            Frame::Whole(body) => self.line(body, true, events),
            Frame::Sse { .. } | Frame::EventStream { .. } => {
                Err(WireError::new(ErrorClass::Internal, "Ollama has no frames of this kind"))
            }
        }
    }

    fn finish(&mut self, _: &mut Vec<Event>) -> Result<(), WireError> {
        match self.over {
            true => Ok(()),
            false => Err(WireError::truncated("Ollama's reply ended before it was done")),
        }
    }
}

/// How long what took, in nanoseconds.
fn durations(last: &Map<String, Value>) -> Option<Event> {
    let named = last.iter().filter(|(name, _)| name.ends_with("_duration"));
    let durations: Map<String, Value> = named.map(|(name, time)| (name.clone(), time.clone())).collect();
    let value = Value::Object(durations);
    (value != json!({})).then_some(Event::ReplyExtra { name: "durations", value })
}

/// The counts of the last line. `None` where nothing was counted: a model was only loaded. A prompt that came
/// whole from the cache is not counted (WIRE facts, "Usage normalisation"), so its count is the 0 tokens that were read.
fn usage(last: Map<String, Value>) -> Option<Usage> {
    let counts = last.into_iter().filter(|(name, _)| name.ends_with("_count") || name.ends_with("_duration"));
    let raw: Map<String, Value> = counts.collect();
    let count = |name: &str| raw.get(name).and_then(Value::as_u64);
    let (prompt, completion) = (count("prompt_eval_count"), count("eval_count"));
    prompt.or(completion)?;
    let (prompt_tokens, completion_tokens) = (prompt.unwrap_or(0), completion.unwrap_or(0));
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens.saturating_add(completion_tokens),
        raw: Some(Value::Object(raw).to_string().into()),
        ..Usage::default()
    })
}

/// In OpenAI's form, which Ollama's is but for what it leaves out.
fn logprobs(items: Vec<Value>) -> Value {
    let complete = |item: Value| {
        let of = |name: &str| item.get(name).cloned().unwrap_or_default();
        let top = of("top_logprobs").as_array().cloned().unwrap_or_default();
        json!({ "token": of("token"), "logprob": of("logprob"), "bytes": of("bytes"), "top_logprobs": top })
    };
    json!({ "content": items.into_iter().map(complete).collect::<Vec<_>>(), "refusal": null })
}

/// What a model drew goes where clients look for pictures. Ollama does not say of what kind they are.
fn pictures(images: &Value) -> Value {
    let bytes = images.as_array().into_iter().flatten().filter_map(Value::as_str);
    let urls = bytes.map(|bytes| format!("data:image/png;base64,{bytes}"));
    urls.map(|url| json!({ "type": "image_url", "image_url": { "url": url } })).collect::<Vec<_>>().into()
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, WireError> {
    // A number that is cut off is no end of input to the parser; an object that does not end is one to anybody.
    let cut_off = !text.trim_end().ends_with('}');
    serde_json::from_str(text).map_err(|error| match error.is_eof() || cut_off {
        true => WireError::truncated("Ollama's reply ended inside its JSON"),
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

fn broken(error: &serde_json::Error) -> WireError {
    WireError::protocol(format!("Ollama's reply: {error}"))
}

/// A line, or a whole reply.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    created_at: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    logprobs: Raw<'a>,
    #[serde(borrow)]
    done: Raw<'a>,
    #[serde(borrow)]
    done_reason: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    thinking: Raw<'a>,
    #[serde(borrow)]
    tool_calls: Raw<'a>,
    #[serde(borrow)]
    images: Raw<'a>,
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
