//! The client side of a reply that is not streamed: hub events gathered, and one JSON object written at the end.
//!
//! After an error nothing is written: the caller gets a status and an error body instead.

use serde_json::{Map, Value, json};

use super::{
    encode_request::thinking_block,
    encoder::{Head, write_json, write_usage},
};
use crate::{
    dialect::Encoder,
    hub::{Event, Extras, Reasoning, ToolKind, Usage},
};

/// Encodes one whole reply.
#[derive(Debug)]
pub struct WholeEncoder {
    head: Head,
    answers: Vec<Answer>,
    extras: Extras,
    usage: Option<Usage>,
    failed: bool,
}

#[derive(Debug, Default)]
struct Answer {
    choice: u32,
    content: Option<String>,
    refusal: Option<String>,
    reasoning: Vec<Reasoning>,
    calls: Vec<Call>,
    message_extras: Map<String, Value>,
    choice_extras: Map<String, Value>,
    finish_reason: Option<String>,
}

#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    kind: ToolKind,
    arguments: String,
}

impl WholeEncoder {
    /// `id`, `created` and `model` stand in for what the backend doesn't say.
    pub fn new(id: &str, created: u64, model: &str) -> Self {
        Self {
            head: Head::new(id, created, model),
            answers: Vec::new(),
            extras: Extras::new(),
            usage: None,
            failed: false,
        }
    }

    fn answer(&mut self, choice: u32) -> &mut Answer {
        let at = match self.answers.iter().position(|answer| answer.choice == choice) {
            Some(at) => at,
            None => {
                self.answers.push(Answer { choice, ..Answer::default() });
                self.answers.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "`at` was found or made just now")]
        &mut self.answers[at]
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        if self.failed {
            return;
        }
        self.answers.sort_by_key(|answer| answer.choice);
        out.push(b'{');
        self.head.write("chat.completion", out);
        out.extend_from_slice(b"\"choices\":");
        write_json(out, &self.answers.iter().map(Answer::value).collect::<Vec<_>>());
        for (name, value) in &self.extras {
            out.push(b',');
            write_json(out, name);
            out.push(b':');
            write_json(out, value);
        }
        if let Some(usage) = &self.usage {
            out.extend_from_slice(b",\"usage\":");
            write_usage(out, usage);
        }
        out.push(b'}');
    }
}

impl Encoder for WholeEncoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start(start) => self.head.start(start),
            Event::Text { choice, text } => {
                self.answer(*choice).content.get_or_insert_default().push_str(text);
            }
            Event::Reasoning { choice, text } => self.answer(*choice).open_block().text.push_str(text),
            Event::ReasoningSignature { choice, signature } => {
                self.answer(*choice).open_block().signature = Some(signature.clone());
            }
            Event::ReasoningRedacted { choice, data } => {
                let redacted = Some(data.clone());
                self.answer(*choice).reasoning.push(Reasoning { redacted, ..Reasoning::default() });
            }
            Event::Refusal { choice, text } => {
                self.answer(*choice).refusal.get_or_insert_default().push_str(text);
            }
            Event::ToolCallStart { choice, id, name, kind, .. } => {
                let call = Call { id: id.clone(), name: name.clone(), kind: *kind, arguments: String::new() };
                self.answer(*choice).calls.push(call);
            }
            Event::ToolCallArguments { choice, index, fragment } => {
                if let Some(call) = self.answer(*choice).calls.get_mut(*index as usize) {
                    call.arguments.push_str(fragment);
                }
            }
            Event::ChoiceExtra { choice, name, value } => {
                let answer = self.answer(*choice);
                let (name, fields) = match name.strip_prefix("delta.") {
                    Some(name) => (name, &mut answer.message_extras),
                    None => (*name, &mut answer.choice_extras),
                };
                match (fields.get_mut(name), value) {
                    // What a stream would send piece by piece, such as annotations.
                    (Some(Value::Array(entries)), Value::Array(more)) => entries.extend_from_slice(more),
                    _ => drop(fields.insert(name.to_owned(), value.clone())),
                }
            }
            Event::ReplyExtra { name, value } => {
                self.extras.insert((*name).to_owned(), value.clone());
            }
            Event::Finish { choice, reason } => {
                self.answer(*choice).finish_reason = Some(reason.as_openai().to_owned());
            }
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Error(_) => self.failed = true,
            Event::End => self.write(out),
        }
    }
}

impl Answer {
    /// The block of reasoning that is being written: a signature or a withheld block closes one.
    fn open_block(&mut self) -> &mut Reasoning {
        if self.reasoning.last().is_none_or(|last| last.signature.is_some() || last.redacted.is_some()) {
            self.reasoning.push(Reasoning::default());
        }
        let last = self.reasoning.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "not empty: one was pushed if it was")]
        &mut self.reasoning[last]
    }

    fn value(&self) -> Value {
        let mut message = Map::new();
        message.insert("role".to_owned(), "assistant".into());
        message.insert("content".to_owned(), self.content.clone().into());
        message.insert("refusal".to_owned(), self.refusal.clone().into());
        let reasoning: String = self.reasoning.iter().map(|block| &*block.text).collect();
        if !reasoning.is_empty() {
            message.insert("reasoning_content".to_owned(), reasoning.into());
        }
        if self.reasoning.iter().any(|block| block.signature.is_some() || block.redacted.is_some()) {
            let blocks: Vec<Value> = self.reasoning.iter().map(thinking_block).collect();
            message.insert("thinking_blocks".to_owned(), blocks.into());
        }
        if !self.calls.is_empty() {
            let calls: Vec<Value> = self.calls.iter().map(Call::value).collect();
            message.insert("tool_calls".to_owned(), calls.into());
        }
        message.extend(self.message_extras.clone());
        let mut choice = Map::new();
        choice.insert("index".to_owned(), self.choice.into());
        choice.insert("message".to_owned(), message.into());
        choice.insert("logprobs".to_owned(), Value::Null);
        choice.insert("finish_reason".to_owned(), self.finish_reason.clone().into());
        choice.extend(self.choice_extras.clone());
        Value::Object(choice)
    }
}

impl Call {
    fn value(&self) -> Value {
        let Self { id, name, arguments, .. } = self;
        match self.kind {
            ToolKind::Function => {
                json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
            }
            ToolKind::Custom => {
                json!({ "id": id, "type": "custom", "custom": { "name": name, "input": arguments } })
            }
        }
    }
}
