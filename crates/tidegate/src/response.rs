//! A reply that is complete, and how it is gathered from events.
//!
//! Streamed or not, a reply is gathered here, so both have the same content. Never makes anything up: what the backend
//! did not say is `None`.

use serde_json::Value;
use tidegate_wire::hub::{Event, Extras, FinishReason, Message, Part, Reasoning, Role, ToolCall, Usage};

/// A complete reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatResponse {
    /// The call's id, as in its [`CallRecord`](crate::CallRecord).
    pub call_id: String,
    /// The backend's id of the reply.
    pub id: Option<String>,
    /// The model that served it.
    pub model: Option<String>,
    /// When it was made, in Unix seconds.
    pub created: Option<u64>,
    /// The answers, by index; one unless the request asked for more.
    pub answers: Vec<Answer>,
    /// Tokens, as the backend reported them.
    pub usage: Option<Usage>,
    /// Parameters that the backend can't honour and that were left out, as the request allowed.
    pub dropped_params: Vec<String>,
    /// What the hub doesn't model, as the backend spelled it.
    pub extras: Extras,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Its index.
    pub index: u32,
    /// What the model said.
    pub text: String,
    /// What it thought, where the provider shows it.
    pub reasoning: Vec<Reasoning>,
    /// How it declined; empty if it did not.
    pub refusal: String,
    /// Tools that it calls.
    pub tool_calls: Vec<ToolCall>,
    /// Why it is complete.
    pub finish: Option<FinishReason>,
    /// What the hub doesn't model (log-probabilities, annotations, filter verdicts). A name inside the message is written
    /// `delta.NAME`. Of a stream, lists are joined and objects merged.
    pub extras: Extras,
}

impl ChatResponse {
    /// Text of the first answer.
    pub fn text(&self) -> &str {
        self.answers.first().map_or("", |answer| &answer.text)
    }

    /// Tools that the first answer calls.
    pub fn tool_calls(&self) -> &[ToolCall] {
        self.answers.first().map_or(&[], |answer| &answer.tool_calls)
    }

    /// Why the first answer is complete.
    pub fn finish(&self) -> Option<&FinishReason> {
        self.answers.first()?.finish.as_ref()
    }

    /// The first answer as a message of the next request. `None`: there is no answer.
    pub fn message(&self) -> Option<Message> {
        self.answers.first().map(Answer::message)
    }
}

impl Answer {
    /// The answer as a message of the next request: reasoning (with its signature, as some models demand), text, tool
    /// calls.
    pub fn message(&self) -> Message {
        let mut parts: Vec<Part> = self.reasoning.iter().cloned().map(Part::Reasoning).collect();
        if !self.text.is_empty() {
            parts.push(Part::text(&*self.text));
        }
        if !self.refusal.is_empty() {
            parts.push(Part::Refusal(self.refusal.clone()));
        }
        parts.extend(self.tool_calls.iter().cloned().map(Part::ToolCall));
        Message::of_parts(Role::Assistant, parts)
    }

    /// The block of reasoning that is being written: a signature or a withheld block closes one.
    fn open_block(&mut self) -> &mut Reasoning {
        let closed = |last: &Reasoning| last.signature.is_some() || last.redacted.is_some();
        if self.reasoning.last().is_none_or(closed) {
            self.reasoning.push(Reasoning::default());
        }
        let last = self.reasoning.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "not empty: one was pushed if it was")]
        &mut self.reasoning[last]
    }
}

/// Gathers the events of one reply.
#[derive(Default)]
pub(crate) struct Accumulator {
    response: ChatResponse,
}

impl Accumulator {
    pub(crate) fn event(&mut self, event: Event) {
        match event {
            Event::Start(start) => {
                self.response.id = start.id;
                self.response.model = start.model;
                self.response.created = start.created;
                self.response.extras.extend(start.extras);
            }
            Event::Usage(usage) => self.response.usage = Some(usage),
            Event::ReplyExtra { name, value } => merge(&mut self.response.extras, name, value),
            Event::End | Event::Error(_) => {}
            event => self.answer_event(event),
        }
    }

    pub(crate) fn into_response(mut self, call_id: &str) -> ChatResponse {
        call_id.clone_into(&mut self.response.call_id);
        self.response.answers.sort_by_key(|answer| answer.index);
        self.response
    }

    fn answer_event(&mut self, event: Event) {
        match event {
            Event::Text { choice, text } => self.answer(choice).text.push_str(&text),
            Event::Reasoning { choice, text } => self.answer(choice).open_block().text.push_str(&text),
            Event::ReasoningSignature { choice, signature } => {
                self.answer(choice).open_block().signature = Some(signature);
            }
            Event::ReasoningRedacted { choice, data } => {
                let redacted = Reasoning { redacted: Some(data), ..Reasoning::default() };
                self.answer(choice).reasoning.push(redacted);
            }
            Event::Refusal { choice, text } => self.answer(choice).refusal.push_str(&text),
            Event::ToolCallStart { choice, id, name, kind, .. } => {
                let call = ToolCall { id, name, arguments: String::new(), kind, extras: Extras::new() };
                self.answer(choice).tool_calls.push(call);
            }
            Event::ToolCallArguments { choice, index, fragment } => {
                if let Some(call) = self.answer(choice).tool_calls.get_mut(index as usize) {
                    call.arguments.push_str(&fragment);
                }
            }
            Event::ChoiceExtra { choice, name, value } => merge(&mut self.answer(choice).extras, name, value),
            Event::Finish { choice, reason } => self.answer(choice).finish = Some(reason),
            Event::Start(_) | Event::Usage(_) | Event::ReplyExtra { .. } | Event::Error(_) | Event::End => {}
        }
    }

    fn answer(&mut self, index: u32) -> &mut Answer {
        let answers = &mut self.response.answers;
        let at = answers.iter().position(|answer| answer.index == index).unwrap_or_else(|| {
            answers.push(Answer { index, ..Answer::default() });
            answers.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "`at` was found or made just now")]
        &mut answers[at]
    }
}

/// Adds a later piece to what has come under the same name: lists are continued, objects merged, the rest is replaced.
/// Within `delta.audio` the pieces of `data` and `transcript` are continued too.
fn merge(extras: &mut Extras, name: &str, value: Value) {
    match extras.get_mut(name) {
        Some(before) => join(before, value, name == AUDIO),
        None => drop(extras.insert(name.to_owned(), value)),
    }
}

fn join(before: &mut Value, value: Value, audio: bool) {
    match (before, value) {
        (Value::Array(before), Value::Array(more)) => before.extend(more),
        (Value::Object(before), Value::Object(more)) => {
            for (name, value) in more {
                match (before.get_mut(&name), value) {
                    (Some(Value::String(text)), Value::String(more))
                        if audio && AUDIO_PIECES.contains(&&*name) =>
                    {
                        text.push_str(&more);
                    }
                    (Some(before), value) => join(before, value, false),
                    (None, value) => drop(before.insert(name, value)),
                }
            }
        }
        (before, value) => *before = value,
    }
}

/// Where a streamed answer's sound is.
const AUDIO: &str = "delta.audio";
/// What of it comes in pieces.
const AUDIO_PIECES: [&str; 2] = ["data", "transcript"];

#[cfg(test)]
mod tests;
