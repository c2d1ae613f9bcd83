//! The client side of a reply: hub events into `GenerateContentResponse`s, one for each piece or one for all.
//!
//! Google's clients know no pieces of a function call, so calls are held until they are whole. Finish reasons and counts come last,
//! together, as in Google's own streams. What this API has no place for (filter verdicts of other vendors) is left out.

use std::io::Write as _;

use serde_json::{Map, Value, json};

use super::{
    error::status_object,
    put,
    thought::{self, Carried},
};
use crate::{
    dialect::Encoder,
    hub::{Event, FinishReason, ReplyStart, Usage},
};

/// How responses become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// All of the reply in one.
    Whole,
    /// Server-sent events.
    Events,
    /// Elements of one JSON array.
    Array,
}

/// Encodes one reply.
pub(crate) struct GeminiEncoder {
    form: Form,
    id: String,
    model: String,
    answers: Vec<Answer>,
    feedback: Option<Value>,
    usage: Option<Usage>,
    /// Whether an array has its first element.
    begun: bool,
}

/// One answer, as far as it has not been written.
#[derive(Default)]
struct Answer {
    choice: u32,
    parts: Vec<Value>,
    calls: Vec<Call>,
    finish: Option<FinishReason>,
    refused: bool,
    /// Why a call can't be told.
    broken_call: Option<String>,
    logprobs: Vec<Value>,
    annotations: Vec<Value>,
}

struct Call {
    index: u32,
    id: String,
    name: String,
    arguments: String,
}

impl GeminiEncoder {
    /// `id` and `model` stand in for what the backend doesn't say.
    pub(crate) fn new(form: Form, id: &str, model: &str) -> Self {
        Self {
            form,
            id: id.to_owned(),
            model: model.to_owned(),
            answers: Vec::new(),
            feedback: None,
            usage: None,
            begun: false,
        }
    }

    fn start(&mut self, start: &ReplyStart) {
        if let Some(id) = &start.id {
            self.id.clone_from(id);
        }
        if let Some(model) = &start.model {
            self.model.clone_from(model);
        }
    }

    /// The answer, which begins now if it has not.
    fn answer(&mut self, choice: u32) -> Option<&mut Answer> {
        if !self.answers.iter().any(|answer| answer.choice == choice) {
            self.answers.push(Answer { choice, ..Answer::default() });
        }
        self.answers.iter_mut().find(|answer| answer.choice == choice)
    }

    /// Adds a part behind the calls that came before it.
    fn part(&mut self, choice: u32, part: Value, out: &mut Vec<u8>) {
        self.finish_calls(choice, out);
        if let Some(answer) = self.answer(choice) {
            answer.push(part);
        }
        self.flush(choice, out);
    }

    fn text(&mut self, choice: u32, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.part(choice, json!({ "text": text }), out);
        }
    }

    fn thought(&mut self, choice: u32, text: &str, carried: Option<Carried>, out: &mut Vec<u8>) {
        if text.is_empty() && carried.is_none() {
            return;
        }
        let mut part = json!({ "text": text, "thought": true });
        if let Some(carried) = carried {
            put(&mut part, "thoughtSignature", thought::write(&carried));
        }
        self.part(choice, part, out);
    }

    fn finish_calls(&mut self, choice: u32, out: &mut Vec<u8>) {
        if let Some(answer) = self.answer(choice)
            && !answer.calls.is_empty()
        {
            answer.finish_calls();
            self.flush(choice, out);
        }
    }

    /// Writes the parts that an answer has, if replies come in pieces.
    fn flush(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.form == Form::Whole {
            return;
        }
        let parts = self.answer(choice).map(|answer| std::mem::take(&mut answer.parts)).unwrap_or_default();
        if !parts.is_empty() {
            let candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": choice });
            self.write(vec![candidate], Map::new(), out);
        }
    }

    fn extra(&mut self, choice: u32, name: &str, value: &Value, out: &mut Vec<u8>) {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match name {
            "delta.images" => {
                for image in items.iter().filter_map(image) {
                    self.part(choice, image, out);
                }
            }
            "delta.annotations" => {
                if let Some(answer) = self.answer(choice) {
                    answer
                        .annotations
                        .extend(items.iter().filter_map(|one| one.get("url_citation")).cloned());
                }
            }
            "logprobs" => {
                let tokens = value.get("content").and_then(Value::as_array).cloned().unwrap_or_default();
                if let Some(answer) = self.answer(choice) {
                    answer.logprobs.extend(tokens);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let mut answers = std::mem::take(&mut self.answers);
        let streamed = self.form != Form::Whole;
        for answer in &mut answers {
            answer.finish_calls();
        }
        let candidates = match &self.feedback {
            // A prompt that was refused has no answer.
            Some(_) if answers.iter().all(|answer| answer.parts.is_empty()) => Vec::new(),
            _ => answers.into_iter().map(|answer| answer.conclude(streamed)).collect(),
        };
        let mut rest = Map::new();
        if let Some(feedback) = self.feedback.take() {
            rest.insert("promptFeedback".to_owned(), feedback);
        }
        if let Some(used) = self.usage.take() {
            rest.insert("usageMetadata".to_owned(), usage(&used));
        }
        self.write(candidates, rest, out);
        if self.form == Form::Array {
            out.extend_from_slice(ARRAY_END);
        }
    }

    fn write(&mut self, candidates: Vec<Value>, rest: Map<String, Value>, out: &mut Vec<u8>) {
        let mut response = Map::new();
        if !candidates.is_empty() {
            response.insert("candidates".to_owned(), candidates.into());
        }
        response.extend(rest);
        response.insert("modelVersion".to_owned(), (&*self.model).into());
        response.insert("responseId".to_owned(), (&*self.id).into());
        // A map always encodes, and a `Vec` takes every byte.
        match self.form {
            Form::Whole => drop(serde_json::to_writer(out, &response)),
            Form::Events => {
                out.extend_from_slice(b"data: ");
                let _ = serde_json::to_writer(&mut *out, &response);
                out.extend_from_slice(b"\r\n\r\n");
            }
            Form::Array => {
                out.extend_from_slice(array_lead(&mut self.begun));
                drop(serde_json::to_writer(out, &response));
            }
        }
    }

    fn fail(&mut self, error: &crate::WireError, out: &mut Vec<u8>) {
        match self.form {
            // The caller gets a status and an error body.
            Form::Whole => {}
            Form::Events => out.extend_from_slice(&error_event(error)),
            Form::Array => out.extend_from_slice(&error_element(error, &mut self.begun)),
        }
    }
}

impl Encoder for GeminiEncoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start(start) => self.start(start),
            Event::Text { choice, text } => self.text(*choice, text, out),
            Event::Refusal { choice, text } => {
                if let Some(answer) = self.answer(*choice) {
                    answer.refused = true;
                }
                self.text(*choice, text, out);
            }
            Event::Reasoning { choice, text } => self.thought(*choice, text, None, out),
            Event::ReasoningSignature { choice, signature } => {
                self.thought(*choice, "", Some(Carried::Signature(signature.clone())), out);
            }
            Event::ReasoningRedacted { choice, data } => {
                self.thought(*choice, "", Some(Carried::Redacted(data.clone())), out);
            }
            Event::ToolCallStart { choice, index, id, name, .. } => {
                if let Some(answer) = self.answer(*choice) {
                    answer.calls.push(Call {
                        index: *index,
                        id: id.clone(),
                        name: name.clone(),
                        arguments: String::new(),
                    });
                }
            }
            Event::ToolCallArguments { choice, index, fragment } => {
                let calls = self.answer(*choice).into_iter().flat_map(|answer| &mut answer.calls);
                for call in calls.filter(|call| call.index == *index) {
                    call.arguments.push_str(fragment);
                }
            }
            Event::ChoiceExtra { choice, name, value } => self.extra(*choice, name, value, out),
            Event::ReplyExtra { name: "promptFeedback", value } => self.feedback = Some(value.clone()),
            Event::ReplyExtra { .. } => {}
            Event::Finish { choice, reason } => {
                self.finish_calls(*choice, out);
                if let Some(answer) = self.answer(*choice) {
                    answer.finish = Some(reason.clone());
                }
            }
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Error(error) => self.fail(error, out),
            Event::End => self.end(out),
        }
    }
}

impl Answer {
    /// Pieces of one text become one part; a signature belongs to the thought before it, and ends it.
    fn push(&mut self, part: Value) {
        if let Some(last) = self.parts.last_mut()
            && last.get("thoughtSignature").is_none()
            && last.get("thought") == part.get("thought")
            && let (Some(Value::String(said)), Some(text)) =
                (last.get_mut("text"), part.get("text").and_then(Value::as_str))
        {
            said.push_str(text);
            if let Some(signature) = part.get("thoughtSignature") {
                put(last, "thoughtSignature", signature.clone());
            }
            return;
        }
        self.parts.push(part);
    }

    /// Arguments are an object in this API; for those that are none it has a finish reason.
    fn finish_calls(&mut self) {
        for call in self.calls.drain(..) {
            let text = if call.arguments.trim().is_empty() { "{}" } else { &*call.arguments };
            match serde_json::from_str::<Map<String, Value>>(text) {
                Ok(args) => self
                    .parts
                    .push(json!({ "functionCall": { "id": call.id, "name": call.name, "args": args } })),
                Err(error) => {
                    let said = format!("The arguments of {} are no JSON object: {error}.", call.name);
                    self.broken_call = Some(said);
                }
            }
        }
    }

    /// The candidate as it is written last.
    fn conclude(self, streamed: bool) -> Value {
        let mut parts = self.parts;
        if streamed && parts.is_empty() {
            // As Google's streams end; its clients take a piece without content for a broken turn.
            parts.push(json!({ "text": "" }));
        }
        let mut candidate = json!({ "content": { "parts": parts, "role": "model" } });
        let (reason, message) = match (self.broken_call, self.finish) {
            (Some(said), _) => (Some("MALFORMED_FUNCTION_CALL"), Some(said)),
            (None, Some(_)) if self.refused => (Some("SAFETY"), None),
            (None, Some(FinishReason::Other(other))) => (Some("OTHER"), Some(other)),
            (None, finish) => (finish.map(|reason| finish_reason(&reason)), None),
        };
        if let Some(reason) = reason {
            put(&mut candidate, "finishReason", reason);
        }
        if let Some(message) = message {
            put(&mut candidate, "finishMessage", message);
        }
        put(&mut candidate, "index", self.choice);
        if !self.logprobs.is_empty() {
            put(&mut candidate, "logprobsResult", logprobs(&self.logprobs));
        }
        if !self.annotations.is_empty() {
            put(&mut candidate, "groundingMetadata", grounding(&self.annotations));
        }
        candidate
    }
}

/// An error in a stream of events. An event and not the bare JSON that Google writes: its clients look for both, but that for
/// JavaScript finds bare JSON only where nothing came with it.
pub(crate) fn error_event(error: &crate::WireError) -> Vec<u8> {
    format!("data: {}\r\n\r\n", json!({ "error": status_object(error) })).into_bytes()
}

/// An error as the last element of an array.
pub(crate) fn error_element(error: &crate::WireError, begun: &mut bool) -> Vec<u8> {
    let mut element = array_lead(begun).to_vec();
    let _ = write!(element, "{}", json!({ "error": status_object(error) }));
    element.extend_from_slice(ARRAY_END);
    element
}

/// What stands before an element of an array.
pub(crate) fn array_lead(begun: &mut bool) -> &'static [u8] {
    if std::mem::replace(begun, true) { b",\r\n" } else { b"[" }
}

pub(crate) const ARRAY_END: &[u8] = b"]";

/// A call finishes with `STOP` here.
fn finish_reason(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::ToolCalls | FinishReason::FunctionCall => "STOP",
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter => "SAFETY",
        FinishReason::Other(_) => "OTHER",
    }
}

/// A drawn picture: only its bytes have a place.
fn image(image: &Value) -> Option<Value> {
    let url = image.pointer("/image_url/url")?.as_str()?;
    let (kind, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some(json!({ "inlineData": { "mimeType": kind, "data": data } }))
}

fn logprobs(tokens: &[Value]) -> Value {
    let one = |token: &Value| json!({ "token": token.get("token"), "logProbability": token.get("logprob") });
    let top = |token: &Value| {
        let others = token.get("top_logprobs").and_then(Value::as_array);
        json!({ "candidates": others.into_iter().flatten().map(one).collect::<Vec<_>>() })
    };
    json!({
        "chosenCandidates": tokens.iter().map(one).collect::<Vec<_>>(),
        "topCandidates": tokens.iter().map(top).collect::<Vec<_>>(),
    })
}

/// Sources of the text, each with the segment that rests on it.
fn grounding(citations: &[Value]) -> Value {
    let chunk = |cited: &Value| json!({ "web": { "uri": cited.get("url"), "title": cited.get("title") } });
    let support = |(at, cited): (usize, &Value)| {
        json!({
            "segment": { "startIndex": cited.get("start_index"), "endIndex": cited.get("end_index") },
            "groundingChunkIndices": [at],
        })
    };
    json!({
        "groundingChunks": citations.iter().map(chunk).collect::<Vec<_>>(),
        "groundingSupports": citations.iter().enumerate().map(support).collect::<Vec<_>>(),
    })
}

/// WIRE facts, "Usage normalisation": the prompt includes what was cached, the candidates exclude the thoughts.
fn usage(usage: &Usage) -> Value {
    let thoughts = usage.reasoning_tokens.unwrap_or_default().min(usage.completion_tokens);
    let mut counts = json!({
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": usage.completion_tokens - thoughts,
        "totalTokenCount": usage.total_tokens,
    });
    if let Some(cached) = usage.cached_tokens {
        put(&mut counts, "cachedContentTokenCount", cached);
    }
    if usage.reasoning_tokens.is_some() {
        put(&mut counts, "thoughtsTokenCount", thoughts);
    }
    counts
}
