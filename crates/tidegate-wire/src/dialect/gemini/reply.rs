//! Reads a reply, whole (one JSON document) or streamed (server-sent events without `[DONE]`), into hub events.
//!
//! What the recordings show and the code relies on: a stream's last chunk has the finish reason and the counts, and then the body
//! ends; so finish, counts and what was said about the whole answer (grounding, citations, safety) are given at the body's end,
//! as chunks may still follow a finish reason (old models repeat it). Usage counts are cumulative and come in parts, so they are
//! merged. A tool call finishes with `STOP`. A failure inside the stream is a bare JSON object.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{error, partial::PartialArg, put};
use crate::{
    ErrorClass, WireError,
    dialect::Decoder,
    framing::{Frame, MAX_FRAME, too_long},
    hub::{Event, FinishReason, ReplyStart, ToolKind, Usage},
};

/// Decoder of one reply.
#[derive(Debug, Default)]
pub struct GeminiDecoder {
    /// How many answers were asked for.
    expected: u32,
    started: bool,
    /// The reply's id, for ids of tool calls that have none.
    id: String,
    answers: Vec<Answer>,
    /// All of `usageMetadata` so far, later counts in the place of earlier ones.
    usage: Map<String, Value>,
    /// What the last running count said.
    running: Usage,
    /// The prompt was refused.
    blocked: bool,
    /// A failure that a finish reason tells is a finish: the caller reads it for itself.
    keeps_failures: bool,
    /// An [`Event::End`] or [`Event::Error`] was given; nothing may follow.
    over: bool,
}

#[derive(Debug, Default)]
struct Answer {
    choice: u32,
    tool_calls: u32,
    /// The arguments of a call that goes on in the next part.
    open_call: Option<Value>,
    /// Bytes of its pieces. `open_size <= MAX_FRAME`.
    open_size: usize,
    finish: Option<String>,
    finish_message: Option<String>,
    grounding: Option<Value>,
    /// What else was said about the answer, by name.
    said: Vec<(&'static str, Value)>,
}

impl GeminiDecoder {
    /// A decoder for a request that asked for `choices` answers.
    pub fn new(choices: u32) -> Self {
        Self { expected: choices, ..Self::default() }
    }

    /// The same for a reply that its caller reads for itself: a failure that a finish reason tells is no error.
    pub(crate) fn relayed(choices: u32) -> Self {
        Self { expected: choices, keeps_failures: true, ..Self::default() }
    }

    fn chunk(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), WireError> {
        // A number that is cut off is no end of input to the parser; an object that does not end is one to anybody.
        let cut_off = !data.trim_ascii_end().ends_with(b"}");
        let chunk: Chunk = serde_json::from_slice(data).map_err(|error| match error.is_eof() || cut_off {
            true => WireError::truncated("Gemini's reply ended inside its JSON"),
            false => WireError::protocol(format!("Gemini's reply: {error}")),
        })?;
        if let Some(error) = &chunk.error {
            self.fail(error::from_object(error, None), events);
            return Ok(());
        }
        self.start(&chunk, events);
        if let Some(feedback) = chunk.prompt_feedback {
            self.blocked |= feedback.get("blockReason").is_some();
            events.push(Event::ReplyExtra { name: "promptFeedback", value: feedback });
        }
        for (at, candidate) in chunk.candidates.into_iter().enumerate() {
            let choice = candidate.index.unwrap_or(u32::try_from(at).unwrap_or(u32::MAX));
            self.candidate(choice, candidate, events)?;
        }
        if let Some(usage) = chunk.usage_metadata {
            self.usage.extend(usage);
            let counts = self.counts();
            // Counts that do not move are no news.
            if counts.total_tokens > 0 && counts != self.running {
                self.running = counts.clone();
                events.push(Event::Usage(Usage { running: true, ..counts }));
            }
        }
        Ok(())
    }

    fn start(&mut self, chunk: &Chunk, events: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            self.id = chunk.response_id.clone().unwrap_or_default();
            events.push(Event::Start(ReplyStart {
                id: chunk.response_id.clone(),
                model: chunk.model_version.clone(),
                ..ReplyStart::default()
            }));
        }
    }

    fn candidate(
        &mut self,
        choice: u32,
        candidate: Candidate,
        events: &mut Vec<Event>,
    ) -> Result<(), WireError> {
        let at = self.answers.iter().position(|answer| answer.choice == choice).unwrap_or_else(|| {
            self.answers.push(Answer { choice, ..Answer::default() });
            self.answers.len() - 1
        });
        let Some(answer) = self.answers.get_mut(at) else { return Ok(()) };
        for part in candidate.content.unwrap_or_default().parts {
            answer.part(part, &self.id, events)?;
        }
        if let Some(logprobs) = candidate.logprobs_result {
            events.push(Event::ChoiceExtra { choice, name: "logprobs", value: openai_logprobs(&logprobs) });
        }
        if let Some(reason) = candidate.finish_reason {
            answer.finish = Some(finish_name(reason));
        }
        answer.finish_message = candidate.finish_message.or(answer.finish_message.take());
        answer.grounding = candidate.grounding_metadata.or(answer.grounding.take());
        for (name, value) in [
            ("safetyRatings", candidate.safety_ratings),
            ("citationMetadata", candidate.citation_metadata),
            ("urlContextMetadata", candidate.url_context_metadata),
        ] {
            let Some(value) = value else { continue };
            answer.said.retain(|(other, _)| *other != name);
            answer.said.push((name, value));
        }
        Ok(())
    }

    /// The body has ended: what each answer came to, and what it cost.
    fn conclude(&mut self, events: &mut Vec<Event>) {
        let mut failure = None;
        for answer in &mut self.answers {
            failure = failure.or(answer.conclude(self.keeps_failures, events).err());
        }
        if self.answers.is_empty() && self.blocked {
            events.push(Event::Finish { choice: 0, reason: FinishReason::ContentFilter });
        }
        if !self.usage.is_empty() {
            let raw = serde_json::to_string(&self.usage).ok().map(Into::into);
            events.push(Event::Usage(Usage { raw, ..self.counts() }));
        }
        self.over = true;
        events.push(failure.map_or(Event::End, Event::Error));
    }

    /// WIRE facts, "Usage normalisation": the prompt includes what was cached, the candidates exclude the thoughts.
    fn counts(&self) -> Usage {
        let count = |name: &str| self.usage.get(name).and_then(Value::as_u64);
        let sum = |one: &str, other: &str| count(one).unwrap_or(0).saturating_add(count(other).unwrap_or(0));
        let prompt_tokens = sum("promptTokenCount", "toolUsePromptTokenCount");
        let completion_tokens = sum("candidatesTokenCount", "thoughtsTokenCount");
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: count("totalTokenCount").unwrap_or(prompt_tokens.saturating_add(completion_tokens)),
            cached_tokens: count("cachedContentTokenCount"),
            cache_write_tokens: None,
            reasoning_tokens: count("thoughtsTokenCount"),
            running: false,
            raw: None,
        }
    }

    /// Whether the answers that began, and those that were asked for, have finished; or the prompt was refused.
    fn all_finished(&self) -> bool {
        let finished = self.answers.iter().all(|answer| answer.finish.is_some());
        let all_began = !self.answers.is_empty() && self.answers.len() >= self.expected as usize;
        finished && (all_began || (self.answers.is_empty() && self.blocked))
    }

    fn fail(&mut self, error: WireError, events: &mut Vec<Event>) {
        self.over = true;
        events.push(Event::Error(error));
    }
}

impl Answer {
    fn part(&mut self, part: Part, reply: &str, events: &mut Vec<Event>) -> Result<(), WireError> {
        let choice = self.choice;
        let signature =
            part.thought_signature.map(|signature| Event::ReasoningSignature { choice, signature });
        // A call's signature stands before it, as the thoughts that led to it do; any other part's stands behind.
        let before = part.function_call.is_some();
        let (before, behind) = if before { (signature, None) } else { (None, signature) };
        events.extend(before);
        // An empty text that carries a signature says nothing else.
        if let Some(text) = part.text.filter(|text| !text.is_empty() || behind.is_none()) {
            events.push(match part.thought {
                true => Event::Reasoning { choice, text },
                false => Event::Text { choice, text },
            });
        }
        if let Some(call) = part.function_call {
            self.function_call(call, reply, events)?;
        }
        events.extend(part.inline_data.map(|data| inline(choice, data)));
        let known = part.rest.into_iter().filter(|(name, _)| CARRIED.contains(&name.as_str()));
        for (name, value) in known {
            let value = json!([{ name: value }]);
            events.push(Event::ChoiceExtra { choice, name: "delta.gemini_parts", value });
        }
        events.extend(behind);
        Ok(())
    }

    fn function_call(
        &mut self,
        call: FunctionCall,
        reply: &str,
        events: &mut Vec<Event>,
    ) -> Result<(), WireError> {
        let choice = self.choice;
        if let Some(name) = call.name {
            let index = self.tool_calls;
            self.tool_calls = self.tool_calls.saturating_add(1);
            // Unique over the replies of a conversation, or a result would find the wrong call.
            let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| match reply {
                "" => format!("call_{choice}_{index}"),
                reply => format!("call_{reply}_{choice}_{index}"),
            });
            events.push(Event::ToolCallStart { choice, index, id, name, kind: ToolKind::Function });
            self.open_call = Some(Value::Null);
            self.open_size = 0;
        }
        let Some(arguments) = &mut self.open_call else {
            return Err(WireError::protocol("Gemini's reply: arguments of a function call that never began"));
        };
        if let Some(whole) = call.args {
            *arguments = whole;
        }
        for piece in call.partial_args {
            self.open_size += piece.size();
            if self.open_size > MAX_FRAME {
                return Err(too_long("function call", MAX_FRAME));
            }
            piece.apply(arguments)?;
        }
        if !call.will_continue {
            self.close_call(events);
        }
        Ok(())
    }

    /// Callers parse what they get, so a call without arguments gets an empty object.
    fn close_call(&mut self, events: &mut Vec<Event>) {
        let Some(arguments) = self.open_call.take() else { return };
        let fragment = if arguments.is_null() { "{}".to_owned() } else { arguments.to_string() };
        let index = self.tool_calls.saturating_sub(1);
        events.push(Event::ToolCallArguments { choice: self.choice, index, fragment });
    }

    fn conclude(&mut self, keeps_failures: bool, events: &mut Vec<Event>) -> Result<(), WireError> {
        let choice = self.choice;
        self.close_call(events);
        if let Some(grounding) = self.grounding.take() {
            let annotations = annotations(&grounding);
            if !annotations.is_empty() {
                let value = annotations.into();
                events.push(Event::ChoiceExtra { choice, name: "delta.annotations", value });
            }
            events.push(Event::ChoiceExtra { choice, name: "groundingMetadata", value: grounding });
        }
        let said = self.said.drain(..);
        events.extend(said.map(|(name, value)| Event::ChoiceExtra { choice, name, value }));
        let Some(finish) = self.finish.take() else { return Ok(()) };
        let reason = match &*finish {
            "STOP" if self.tool_calls > 0 => FinishReason::ToolCalls,
            "STOP" => FinishReason::Stop,
            "MAX_TOKENS" | "CONTINUATION" => FinishReason::Length,
            "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE"
            | "MODEL_ARMOR" => FinishReason::ContentFilter,
            image if image.starts_with("IMAGE_") => FinishReason::ContentFilter,
            failed if is_failure(failed) && !keeps_failures => return Err(self.failed(failed)),
            _ => FinishReason::Other(finish),
        };
        events.push(Event::Finish { choice, reason });
        Ok(())
    }

    fn failed(&self, reason: &str) -> WireError {
        let told = self.finish_message.as_deref().unwrap_or("the model gave up on its answer");
        WireError::new(ErrorClass::UpstreamBroke, format!("Gemini finished with {reason}: {told}"))
            .with_code(reason)
    }
}

impl Decoder for GeminiDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        match frame {
            Frame::Sse { data, .. } if data.trim().is_empty() => Ok(()),
            Frame::Sse { data, .. } => self.chunk(data.as_bytes(), events),
            Frame::Whole(body) if body.trim_ascii().is_empty() => {
                Err(WireError::truncated("Gemini's reply is empty"))
            }
            Frame::Whole(body) => {
                let first = !self.started;
                self.chunk(body, events)?;
                // A document is whole even if it does not say why it ends; then no reason is made up.
                let whole = first && !self.answers.is_empty();
                if !self.over && (whole || self.all_finished()) {
                    self.conclude(events);
                }
                Ok(())
            }
            Frame::Line(_) | Frame::EventStream { .. } => {
                Err(WireError::new(ErrorClass::Internal, "Gemini has no frames of this kind"))
            }
        }
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        if self.all_finished() {
            self.conclude(events);
            return Ok(());
        }
        Err(WireError::truncated("Gemini's reply ended before its finish reason"))
    }
}

/// By meaning, and by prefix, so that a newer malformed one is not passed off as an answer.
fn is_failure(reason: &str) -> bool {
    reason.starts_with("MALFORMED_")
        || matches!(
            reason,
            "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" | "MISSING_THOUGHT_SIGNATURE" | "OTHER"
        )
}

/// One client was recorded getting the number of the enumeration.
fn finish_name(reason: Value) -> String {
    match reason {
        Value::String(name) => name,
        Value::Number(number) => {
            let at = number.as_u64().and_then(|number| usize::try_from(number).ok());
            at.and_then(|at| FINISH_REASONS.get(at))
                .map_or_else(|| number.to_string(), |name| (*name).to_owned())
        }
        other => other.to_string(),
    }
}

/// `Candidate.FinishReason` of Vertex's service definition, by number.
const FINISH_REASONS: [&str; 10] = [
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
];

/// Members of a part that the hub has no place for: tools that Google runs itself, and what they found. Clients get them as they
/// are.
const CARRIED: &[&str] = &["executableCode", "codeExecutionResult", "toolCall", "toolResponse", "fileData"];

/// What a model drew goes where clients look for pictures; other media as they came.
fn inline(choice: u32, data: Value) -> Event {
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    match (text("mimeType"), text("data")) {
        (Some(kind), Some(bytes)) if kind.starts_with("image/") => {
            let url = format!("data:{kind};base64,{bytes}");
            let value = json!([{ "type": "image_url", "image_url": { "url": url } }]);
            Event::ChoiceExtra { choice, name: "delta.images", value }
        }
        _ => {
            let value = json!([{ "inlineData": data }]);
            Event::ChoiceExtra { choice, name: "delta.gemini_parts", value }
        }
    }
}

/// `groundingSupports` as OpenAI's annotations: each web source of each segment.
fn annotations(grounding: &Value) -> Vec<Value> {
    let list =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let chunks = list(grounding, "groundingChunks");
    let mut found = Vec::new();
    for support in list(grounding, "groundingSupports") {
        let segment = support.get("segment").cloned().unwrap_or_default();
        for index in list(&support, "groundingChunkIndices") {
            let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
            let web = index.and_then(|index| chunks.get(index)).and_then(|chunk| chunk.get("web"));
            let Some(web) = web else { continue };
            found.push(json!({ "type": "url_citation", "url_citation": {
                "url": web.get("uri"),
                "title": web.get("title"),
                "start_index": segment.get("startIndex").and_then(Value::as_u64).unwrap_or(0),
                "end_index": segment.get("endIndex"),
            } }));
        }
    }
    found
}

/// `logprobsResult` in OpenAI's form.
fn openai_logprobs(result: &Value) -> Value {
    let one = |candidate: &Value| json!({ "token": candidate.get("token"), "logprob": candidate.get("logProbability"), "bytes": null });
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let top = list(result.get("topCandidates"));
    let tokens = list(result.get("chosenCandidates")).into_iter().enumerate().map(|(at, chosen)| {
        let mut token = one(&chosen);
        let others = list(top.get(at).and_then(|top| top.get("candidates")));
        put(&mut token, "top_logprobs", others.iter().map(one).collect::<Vec<_>>());
        token
    });
    json!({ "content": tokens.collect::<Vec<_>>(), "refusal": null })
}

/// A chunk, or a whole reply. Unknown fields are skipped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    #[serde(default)]
    candidates: Vec<Candidate>,
    usage_metadata: Option<Map<String, Value>>,
    model_version: Option<String>,
    response_id: Option<String>,
    prompt_feedback: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    index: Option<u32>,
    content: Option<Content>,
    finish_reason: Option<Value>,
    finish_message: Option<String>,
    safety_ratings: Option<Value>,
    citation_metadata: Option<Value>,
    grounding_metadata: Option<Value>,
    url_context_metadata: Option<Value>,
    logprobs_result: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    thought_signature: Option<String>,
    function_call: Option<FunctionCall>,
    inline_data: Option<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionCall {
    id: Option<String>,
    name: Option<String>,
    args: Option<Value>,
    #[serde(default)]
    partial_args: Vec<PartialArg>,
    #[serde(default)]
    will_continue: bool,
}
