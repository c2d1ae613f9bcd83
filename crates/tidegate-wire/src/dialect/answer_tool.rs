//! Structured output from a backend that has none: the schema becomes that of a tool, which the model is to call, and the
//! arguments of that call become the text of the answer.
//!
//! Works on the hub's types alone, so it is the same for every dialect. Which models need it is theirs to say; called by
//! [`crate::host`].

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Decoder;
use crate::{
    WireError,
    dialect::api::Api,
    framing::{Frame, MAX_FRAME, too_long},
    hub::{
        ChatRequest, Event, Extras, FinishReason, Message, ResponseFormat, Role, Tool, ToolChoice, ToolKind,
    },
};

/// How a model can be brought to call a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forcing {
    /// It can be made to.
    Can,
    /// It can only be asked to.
    Asked,
}

/// The request with its format as a tool.
///
/// # Errors
/// The schema is of something else than an object, which a tool's arguments are.
pub(crate) fn with_tool(request: ChatRequest, forcing: Forcing, api: Api) -> Result<ChatRequest, WireError> {
    let (description, schema) = match &request.response_format {
        Some(ResponseFormat::JsonSchema { description, schema: Some(schema), .. }) => {
            (description.clone(), schema.clone())
        }
        _ => (None, json!({ "type": "object" })),
    };
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        let why = "it is answered by a tool call, whose arguments are an object";
        return Err(api.unsupported("response_format.json_schema.schema", why));
    }
    let own_tools = !request.tools.is_empty();
    let mut changed = request;
    changed.response_format = None;
    changed.tools.push(Tool {
        name: NAME.to_owned(),
        description: Some(description.unwrap_or_else(|| "Gives the final answer.".to_owned())),
        parameters: Some(schema),
        strict: None,
        kind: ToolKind::Function,
        cache_point: None,
        extras: Extras::new(),
    });
    if !own_tools {
        // Says something of the caller's own tools, of which there are none.
        changed.parallel_tool_calls = None;
    }
    let choice = match changed.tool_choice.take() {
        // The caller wants a call of its own, and no answer.
        Some(ToolChoice::Named(name)) => Some(ToolChoice::Named(name)),
        _ if forcing == Forcing::Asked => {
            let ask = Message::new(
                Role::System,
                format!("Give your final answer by calling the tool `{NAME}`, and in no other way."),
            );
            changed.messages.insert(0, ask);
            None
        }
        Some(ToolChoice::None) => Some(ToolChoice::Named(NAME.to_owned())),
        _ if own_tools => Some(ToolChoice::Required),
        _ => Some(ToolChoice::Named(NAME.to_owned())),
    };
    changed.tool_choice = choice;
    Ok(changed)
}

/// Reads the reply to such a request: the call is the answer's text again.
pub(crate) struct AnswerDecoder {
    inner: Box<dyn Decoder>,
    answers: BTreeMap<u32, Answer>,
    /// Bytes of text that was held. `held <= MAX_FRAME`.
    held: usize,
    /// Between calls empty.
    decoded: Vec<Event>,
}

/// What one of the answers has come to.
#[derive(Default)]
struct Answer {
    /// Index of the call that is the answer.
    call: Option<u32>,
    /// What was said before it: a model that calls the tool has not answered with it, and one that does not, has.
    held: String,
    /// The caller's own tools, by the backend's index.
    others: Vec<u32>,
}

impl AnswerDecoder {
    pub(crate) fn new(inner: Box<dyn Decoder>) -> Self {
        Self { inner, answers: BTreeMap::new(), held: 0, decoded: Vec::new() }
    }

    fn pass(&mut self, event: Event, events: &mut Vec<Event>) -> Result<(), WireError> {
        match event {
            Event::Text { choice, text } => {
                let answer = self.answers.entry(choice).or_default();
                if answer.call.is_none() {
                    self.held += text.len();
                    if self.held > MAX_FRAME {
                        return Err(too_long("text before its answer", MAX_FRAME));
                    }
                    answer.held.push_str(&text);
                }
            }
            Event::ToolCallStart { choice, index, id, name, kind } => {
                let answer = self.answers.entry(choice).or_default();
                if name != NAME {
                    let before = std::mem::take(&mut answer.held);
                    if !before.is_empty() {
                        events.push(Event::Text { choice, text: before });
                    }
                    let seen = answer.others.len();
                    answer.others.push(index);
                    let index = u32::try_from(seen).unwrap_or(u32::MAX);
                    events.push(Event::ToolCallStart { choice, index, id, name, kind });
                } else if answer.call.is_none() {
                    // Of several the first counts: two documents are none.
                    answer.call = Some(index);
                    answer.held.clear();
                }
            }
            Event::ToolCallArguments { choice, index, fragment } => {
                let answer = self.answers.entry(choice).or_default();
                if answer.call == Some(index) {
                    events.push(Event::Text { choice, text: fragment });
                } else if let Some(at) = answer.others.iter().position(|own| *own == index) {
                    let index = u32::try_from(at).unwrap_or(u32::MAX);
                    events.push(Event::ToolCallArguments { choice, index, fragment });
                }
            }
            Event::Finish { choice, reason } => {
                self.release(choice, events);
                let answer = self.answers.entry(choice).or_default();
                let answered = answer.call.is_some() && answer.others.is_empty();
                let reason = match reason {
                    FinishReason::ToolCalls if answered => FinishReason::Stop,
                    reason => reason,
                };
                events.push(Event::Finish { choice, reason });
            }
            last @ (Event::Error(_) | Event::End) => {
                let open: Vec<u32> = self.answers.keys().copied().collect();
                open.into_iter().for_each(|choice| self.release(choice, events));
                events.push(last);
            }
            other => events.push(other),
        }
        Ok(())
    }

    fn release(&mut self, choice: u32, events: &mut Vec<Event>) {
        let held = self.answers.get_mut(&choice).map(|answer| std::mem::take(&mut answer.held));
        if let Some(text) = held.filter(|held| !held.is_empty()) {
            events.push(Event::Text { choice, text });
        }
    }

    fn pass_all(&mut self, result: Result<(), WireError>, events: &mut Vec<Event>) -> Result<(), WireError> {
        let mut decoded = std::mem::take(&mut self.decoded);
        let passed = decoded.drain(..).try_for_each(|event| self.pass(event, events));
        self.decoded = decoded;
        passed.and(result)
    }
}

impl Decoder for AnswerDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        let result = self.inner.frame(frame, &mut self.decoded);
        self.pass_all(result, events)
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), WireError> {
        let result = self.inner.finish(&mut self.decoded);
        self.pass_all(result, events)
    }
}

/// The tool's name: none that a caller's own would have.
const NAME: &str = "answer_as_json";
