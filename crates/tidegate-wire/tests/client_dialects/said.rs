//! What a reply's events say, however it was cut into pieces.

use serde_json::Value;
use tidegate_wire::hub::{Event, Usage};

/// A reply, put together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) answers: Vec<Answer>,
    /// Of the prompt, of the answer, and of the prompt from a cache.
    pub(crate) tokens: (u64, u64, u64),
    pub(crate) error: Option<String>,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) choice: u32,
    /// Neighbours of one kind are one.
    pub(crate) parts: Vec<Part>,
    pub(crate) finish: Option<String>,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Reasoning(String),
    Signature(String),
    Redacted(String),
    /// Name, id, arguments.
    Call(String, String, Value),
}

pub(crate) fn said(events: &[Event]) -> Said {
    let mut said = Said::default();
    // Arguments come in pieces.
    let mut arguments: Vec<(u32, u32, String)> = Vec::new();
    for event in events {
        match event {
            Event::Text { choice, text } | Event::Refusal { choice, text } if !text.is_empty() => {
                said.answer(*choice).push(Part::Text(text.clone()));
            }
            Event::Reasoning { choice, text } if !text.is_empty() => {
                said.answer(*choice).push(Part::Reasoning(text.clone()));
            }
            Event::ReasoningSignature { choice, signature } => {
                said.answer(*choice).push(Part::Signature(signature.clone()));
            }
            Event::ReasoningRedacted { choice, data } => {
                said.answer(*choice).push(Part::Redacted(data.clone()));
            }
            Event::ToolCallStart { choice, index, id, name, .. } => {
                arguments.push((*choice, *index, String::new()));
                said.answer(*choice).push(Part::Call(name.clone(), id.clone(), Value::Null));
            }
            Event::ToolCallArguments { choice, index, fragment } => {
                let call = arguments.iter_mut().find(|(of, at, _)| (of, at) == (choice, index));
                call.unwrap().2.push_str(fragment);
            }
            Event::Finish { choice, reason } => {
                said.answer(*choice).finish = Some(reason.as_openai().to_owned());
            }
            Event::Usage(usage) if !usage.running => said.tokens = tokens(usage),
            Event::Error(error) => said.error = Some(error.message().to_owned()),
            _ => {}
        }
    }
    for answer in &mut said.answers {
        let mut texts = arguments.iter().filter(|(choice, ..)| *choice == answer.choice);
        for part in &mut answer.parts {
            if let Part::Call(_, _, value) = part {
                let (_, _, text) = texts.next().unwrap();
                let text = if text.trim().is_empty() { "{}" } else { text };
                *value = serde_json::from_str(text).unwrap_or(Value::Null);
            }
        }
    }
    said.answers.sort_by_key(|answer| answer.choice);
    said
}

impl Said {
    fn answer(&mut self, choice: u32) -> &mut Answer {
        let at = self.answers.iter().position(|answer| answer.choice == choice).unwrap_or_else(|| {
            self.answers.push(Answer { choice, ..Answer::default() });
            self.answers.len() - 1
        });
        &mut self.answers[at]
    }
}

impl Answer {
    fn push(&mut self, part: Part) {
        match (self.parts.last_mut(), part) {
            (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
            (Some(Part::Reasoning(before)), Part::Reasoning(text)) => before.push_str(&text),
            (_, part) => self.parts.push(part),
        }
    }
}

fn tokens(usage: &Usage) -> (u64, u64, u64) {
    (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens.unwrap_or(0))
}
