//! Messages of the hub into `messages`, each with one text and its pictures.
//!
//! A result names its tool, as Ollama knows calls by their tool's name; the ids, which newer servers know, go along.

use std::collections::HashMap;

use serde_json::{Map, Value, json, value::RawValue};

use super::API;
use crate::{
    WireError,
    dialect::api::tool_input,
    hub::{Image, Message, Part, Role, Source, ToolCall, ToolKind, ToolResult},
};

pub(super) fn encode(messages: &[Message]) -> Result<Vec<Value>, WireError> {
    API.check_names(messages)?;
    let mut conversation =
        Conversation { messages: Vec::with_capacity(messages.len()), calls: HashMap::new() };
    for (at, message) in messages.iter().enumerate() {
        conversation.message(message, &format!("messages[{at}]"))?;
    }
    Ok(conversation.messages)
}

struct Conversation<'a> {
    messages: Vec<Value>,
    /// Names of the calls so far, by id: a result has only the id. A later call takes the id over.
    calls: HashMap<&'a str, &'a str>,
}

impl<'a> Conversation<'a> {
    fn message(&mut self, message: &'a Message, path: &str) -> Result<(), WireError> {
        API.refuse_extras(path, &message.extras, OUTPUT_ONLY)?;
        let role = match message.role {
            Role::System | Role::Developer => "system",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let mut said = Said::default();
        let mut results = false;
        for part in &message.parts {
            match (part, message.role) {
                (Part::Text { text, extras }, _) => {
                    API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
                    said.text(text);
                }
                (Part::Image(image), Role::User | Role::Tool) => said.images.push(base64_of(image, path)?),
                (Part::ToolResult(result), Role::User | Role::Tool) => {
                    results = true;
                    let message = self.tool_result(result, path)?;
                    self.messages.push(message);
                }
                (Part::Refusal(text), Role::Assistant) => said.text(text),
                (Part::Reasoning(reasoning), Role::Assistant) => said.thinking.push_str(&reasoning.text),
                (Part::ToolCall(call), Role::Assistant) => {
                    said.calls.push(tool_call(call, &format!("{path}.tool_calls[{}]", said.calls.len()))?);
                    self.calls.insert(&call.id, &call.name);
                }
                // Ollama caches by itself.
                (Part::CachePoint(_), _) => {}
                (part, _) => return Err(API.misplaced(path, part)),
            }
        }
        // Results are messages of their own; what stands beside them follows.
        if !results || !said.is_empty() {
            self.messages.push(said.into_message(role));
        }
        Ok(())
    }

    fn tool_result(&self, result: &ToolResult, path: &str) -> Result<Value, WireError> {
        let mut said = Said::default();
        for part in &result.parts {
            match part {
                Part::Text { text, extras } => {
                    API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
                    said.text(text);
                }
                Part::CachePoint(_) => {}
                part => return Err(API.misplaced(path, part)),
            }
        }
        if result.is_error == Some(true) {
            // There is no flag for it.
            said.content = json!({ "error": said.content }).to_string();
        }
        let mut message = said.into_fields("tool");
        if let Some(name) = self.calls.get(&*result.id) {
            message.insert("tool_name".to_owned(), (*name).into());
        }
        if !result.id.is_empty() {
            message.insert("tool_call_id".to_owned(), result.id.clone().into());
        }
        Ok(message.into())
    }
}

/// What becomes of a message's parts.
#[derive(Default)]
struct Said {
    content: String,
    thinking: String,
    images: Vec<Value>,
    calls: Vec<Value>,
}

impl Said {
    /// Several texts are one, a line each.
    fn text(&mut self, text: &str) {
        if !self.content.is_empty() {
            self.content.push('\n');
        }
        self.content.push_str(text);
    }

    fn is_empty(&self) -> bool {
        self.content.is_empty() && self.images.is_empty()
    }

    fn into_fields(self, role: &str) -> Map<String, Value> {
        let mut message = Map::new();
        message.insert("role".to_owned(), role.into());
        message.insert("content".to_owned(), self.content.into());
        if !self.thinking.is_empty() {
            message.insert("thinking".to_owned(), self.thinking.into());
        }
        if !self.images.is_empty() {
            message.insert("images".to_owned(), self.images.into());
        }
        if !self.calls.is_empty() {
            message.insert("tool_calls".to_owned(), self.calls.into());
        }
        message
    }

    fn into_message(self, role: &str) -> Value {
        self.into_fields(role).into()
    }
}

fn tool_call(call: &ToolCall, path: &str) -> Result<Value, WireError> {
    if call.kind == ToolKind::Custom {
        return Err(API.unsupported(format!("{path}.type"), "its tools are functions"));
    }
    API.refuse_extras(path, &call.extras, &[])?;
    let param = format!("{path}.function.arguments");
    let broken = |error| {
        WireError::bad_request(format!("tool call arguments are not JSON: {error}")).with_param(&*param)
    };
    let arguments: &RawValue = tool_input(&call.arguments, &param)?;
    let arguments: Map<String, Value> = serde_json::from_str(arguments.get()).map_err(broken)?;
    let mut encoded = json!({ "function": { "name": call.name, "arguments": arguments } });
    if let Some(fields) = encoded.as_object_mut().filter(|_| !call.id.is_empty()) {
        fields.insert("id".to_owned(), call.id.clone().into());
    }
    Ok(encoded)
}

/// `detail` is dropped: `low` allows a cheaper look and demands none.
fn base64_of(image: &Image, path: &str) -> Result<Value, WireError> {
    match &image.source {
        Source::Base64 { data, .. } => Ok(data.clone().into()),
        Source::Url(_) | Source::FileId(_) => {
            let param = format!("{path}.content.image_url");
            Err(API.unsupported(param, "it fetches no pictures; send the bytes"))
        }
    }
}

/// What replies carry and clients send back, and no model reads.
const OUTPUT_ONLY: &[&str] = &["annotations", "citations"];
