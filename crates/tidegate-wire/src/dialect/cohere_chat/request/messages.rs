//! Messages of the hub into `messages` and `documents`.
//!
//! Reasoning: what a model thought before it called tools is the turn's `tool_plan`, and of any other turn a `thinking` part, as both
//! came (recorded). Signatures and what a provider withheld are other models', and Cohere has no use for them.

use serde_json::{Map, Value, json};

use super::API;
use crate::{
    WireError,
    dialect::api::{document_text, tool_input},
    hub::{Document, Image, Message, Part, Role, Source, ToolCall, ToolKind, ToolResult},
};

/// Puts `messages` into the body and returns the documents that were among them.
pub(super) fn encode(messages: &[Message], body: &mut Map<String, Value>) -> Result<Vec<Value>, WireError> {
    API.check_names(messages)?;
    let mut conversation = Conversation::default();
    for (at, message) in messages.iter().enumerate() {
        conversation.message(message, &format!("messages[{at}]"))?;
    }
    body.insert("messages".to_owned(), conversation.messages.into());
    Ok(conversation.documents)
}

#[derive(Default)]
struct Conversation {
    messages: Vec<Value>,
    documents: Vec<Value>,
}

impl Conversation {
    fn message(&mut self, message: &Message, path: &str) -> Result<(), WireError> {
        API.refuse_extras(path, &message.extras, OUTPUT_ONLY)?;
        match message.role {
            Role::System | Role::Developer => {
                let content = content(texts(&message.parts, path)?);
                self.messages.push(json!({ "role": "system", "content": content }));
            }
            Role::User | Role::Tool => self.user(&message.parts, path)?,
            Role::Assistant => self.messages.push(assistant(&message.parts, path)?),
        }
        Ok(())
    }

    /// Each result is a message of its own; what stands beside results follows them.
    fn user(&mut self, parts: &[Part], path: &str) -> Result<(), WireError> {
        let mut said = Vec::with_capacity(parts.len());
        let documents = self.documents.len();
        let results = self.messages.len();
        for part in parts {
            match part {
                Part::Text { text, extras } => {
                    API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
                    said.push(json!({ "type": "text", "text": text }));
                }
                Part::Image(image) => said.push(image_url(image, path)?),
                Part::Document(document) => self.documents.push(text_document(document, path)?),
                Part::ToolResult(result) => self.messages.push(tool_result(result, path)?),
                // Cohere caches by itself.
                Part::CachePoint(_) => {}
                part => return Err(API.misplaced(path, part)),
            }
        }
        if said.is_empty() && self.messages.len() > results {
            return Ok(());
        }
        if said.is_empty() && self.documents.len() > documents {
            return Err(WireError::bad_request(
                "Cohere takes no message of documents alone; say what to do with them",
            )
            .with_param(format!("{path}.content")));
        }
        self.messages.push(json!({ "role": "user", "content": content(said) }));
        Ok(())
    }
}

fn assistant(parts: &[Part], path: &str) -> Result<Value, WireError> {
    let (mut said, mut thought) = (Vec::new(), Vec::new());
    let mut calls = Vec::new();
    for part in parts {
        match part {
            Part::Text { text, extras } => {
                API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
                said.push(json!({ "type": "text", "text": text }));
            }
            Part::Refusal(text) => said.push(json!({ "type": "text", "text": text })),
            Part::Reasoning(reasoning) if reasoning.text.is_empty() => {}
            Part::Reasoning(reasoning) => thought.push(&*reasoning.text),
            Part::ToolCall(call) => {
                calls.push(tool_call(call, &format!("{path}.tool_calls[{}]", calls.len()))?);
            }
            Part::CachePoint(_) => {}
            part => return Err(API.misplaced(path, part)),
        }
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    if calls.is_empty() {
        let thought = thought.iter().map(|text| json!({ "type": "thinking", "thinking": text }));
        said.splice(0..0, thought);
    } else if !thought.is_empty() {
        message.insert("tool_plan".to_owned(), thought.concat().into());
    }
    if !said.is_empty() || calls.is_empty() {
        message.insert("content".to_owned(), content(said));
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    Ok(message.into())
}

fn tool_call(call: &ToolCall, path: &str) -> Result<Value, WireError> {
    if call.kind == ToolKind::Custom {
        return Err(API.unsupported(format!("{path}.type"), "its tools are functions"));
    }
    API.refuse_extras(path, &call.extras, &[])?;
    let arguments = tool_input(&call.arguments, &format!("{path}.function.arguments"))?.get();
    Ok(
        json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } }),
    )
}

fn tool_result(result: &ToolResult, path: &str) -> Result<Value, WireError> {
    let mut said = Vec::with_capacity(result.parts.len());
    for part in &result.parts {
        match part {
            Part::Text { text, extras } => {
                API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
                said.push(json!({ "type": "text", "text": text }));
            }
            Part::Document(document) => {
                said.push(json!({ "type": "document", "document": text_document(document, path)? }));
            }
            Part::CachePoint(_) => {}
            part => return Err(API.misplaced(path, part)),
        }
    }
    let mut content = content(said);
    if result.is_error == Some(true) {
        // There is no flag for it.
        content = json!({ "error": content }).to_string().into();
    }
    Ok(json!({ "role": "tool", "tool_call_id": result.id, "content": content }))
}

fn texts(parts: &[Part], path: &str) -> Result<Vec<Value>, WireError> {
    let mut said = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Text { text, extras } => {
                API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
                said.push(json!({ "type": "text", "text": text }));
            }
            Part::CachePoint(_) => {}
            part => return Err(API.misplaced(path, part)),
        }
    }
    Ok(said)
}

/// A string if it is one text or nothing, else the parts.
fn content(mut parts: Vec<Value>) -> Value {
    let only = match parts.as_mut_slice() {
        [] => Some(Value::from("")),
        [part] if part.get("type").is_some_and(|kind| kind == "text") => {
            part.get_mut("text").map(Value::take)
        }
        _ => None,
    };
    only.unwrap_or_else(|| parts.into())
}

fn image_url(image: &Image, path: &str) -> Result<Value, WireError> {
    let url = match &image.source {
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Source::Url(url) => url.clone(),
        Source::FileId(_) => {
            let param = format!("{path}.content.image_url");
            return Err(API.unsupported(param, "it stores no files; send the bytes or a URL"));
        }
    };
    let mut fields = Map::new();
    fields.insert("url".to_owned(), url.into());
    if let Some(detail) = &image.detail {
        fields.insert("detail".to_owned(), detail.clone().into());
    }
    Ok(json!({ "type": "image_url", "image_url": fields }))
}

/// Documents are texts that the model can cite.
fn text_document(document: &Document, path: &str) -> Result<Value, WireError> {
    let param = format!("{path}.content.file");
    let text = match &document.source {
        Source::Base64 { media_type, data } if media_type.starts_with("text/") => {
            document_text(data, &param)?
        }
        _ => return Err(API.unsupported(param, "its documents are text, sent as such")),
    };
    let mut data = Map::new();
    if let Some(name) = &document.name {
        data.insert("title".to_owned(), name.clone().into());
    }
    data.insert("text".to_owned(), text.into());
    Ok(json!({ "data": data }))
}

/// What replies carry and clients send back, and no model reads.
const OUTPUT_ONLY: &[&str] = &["annotations", "citations"];
