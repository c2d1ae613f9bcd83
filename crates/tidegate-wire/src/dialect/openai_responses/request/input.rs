//! Messages of the hub into items of the input.

use serde_json::{Value, json};

use super::{API, Fields};
use crate::{
    WireError,
    dialect::openai_responses::is_own_reasoning,
    hub::{Document, Image, Message, Part, Reasoning, Role, Source, ToolCall, ToolKind, ToolResult},
};

pub(super) fn encode(messages: &[Message]) -> Result<Vec<Value>, WireError> {
    let mut input = Input::default();
    for (index, message) in messages.iter().enumerate() {
        input.push(message, &format!("messages[{index}]"))?;
    }
    Ok(input.items)
}

/// The items so far.
#[derive(Default)]
struct Input<'a> {
    items: Vec<Value>,
    /// Ids of calls of custom tools: their results are items of another type.
    custom: Vec<&'a str>,
    /// The name of each role that has had one.
    names: Vec<(Role, &'a str)>,
}

impl<'a> Input<'a> {
    fn push(&mut self, message: &'a Message, path: &str) -> Result<(), WireError> {
        API.refuse_extras(path, &message.extras, OUTPUT_ONLY)?;
        self.check_name(message, path)?;
        let mut content = Vec::new();
        for part in &message.parts {
            match (part, message.role) {
                (Part::CachePoint(_), _) => {}
                (Part::ToolCall(call), Role::Assistant) => {
                    self.close(&mut content, message.role);
                    self.call(call, path)?;
                }
                (Part::Reasoning(reasoning), Role::Assistant) => {
                    self.close(&mut content, message.role);
                    self.items.extend(reasoning_item(reasoning));
                }
                (Part::ToolResult(result), Role::Tool | Role::User) => {
                    self.close(&mut content, message.role);
                    let item = self.result(result, path)?;
                    self.items.push(item);
                }
                (part, role) => content.extend(content_part(part, role, path)?),
            }
        }
        self.close(&mut content, message.role);
        // One that nothing follows any more (an answer that was cut off) is refused by the API.
        while message.role == Role::Assistant && self.items.last().is_some_and(is_reasoning) {
            self.items.pop();
        }
        Ok(())
    }

    /// Names tell speakers of one role apart, and the API has none. Where there is only one to tell, nothing is lost. A tool's
    /// repeats what its call's id already says.
    fn check_name(&mut self, message: &'a Message, path: &str) -> Result<(), WireError> {
        let Some(name) = message.name.as_deref().filter(|_| message.role != Role::Tool) else {
            return Ok(());
        };
        match self.names.iter().find(|(role, _)| *role == message.role) {
            Some((_, other)) if *other != name => {
                let why =
                    format!("its messages have no names to tell {other:?} from {name:?}; say it in the text");
                Err(API.unsupported(format!("{path}.name"), &why))
            }
            Some(_) => Ok(()),
            None => {
                self.names.push((message.role, name));
                Ok(())
            }
        }
    }

    /// Ends a message, if it has something to say.
    fn close(&mut self, content: &mut Vec<Value>, role: Role) {
        let content = std::mem::take(content);
        if content.is_empty() {
            return;
        }
        let role = match role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::Assistant => "assistant",
            Role::User | Role::Tool => "user",
        };
        self.items.push(json!({ "type": "message", "role": role, "content": content }));
    }

    fn call(&mut self, call: &'a ToolCall, path: &str) -> Result<(), WireError> {
        API.refuse_extras(&format!("{path}.tool_calls"), &call.extras, CALL_OUTPUT_ONLY)?;
        let ToolCall { id, name, arguments, .. } = call;
        self.items.push(match call.kind {
            ToolKind::Function => {
                // As a model leaves them that calls a tool without arguments, in some dialects.
                let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
                json!({ "type": "function_call", "call_id": id, "name": name, "arguments": arguments })
            }
            ToolKind::Custom => {
                self.custom.push(id);
                json!({ "type": "custom_tool_call", "call_id": id, "name": name, "input": arguments })
            }
        });
        Ok(())
    }

    fn result(&self, result: &ToolResult, path: &str) -> Result<Value, WireError> {
        let kind = match self.custom.contains(&&*result.id) {
            true => "custom_tool_call_output",
            false => "function_call_output",
        };
        let output = match result.parts.as_slice() {
            [] => Value::from(""),
            [Part::Text { text, .. }] => Value::from(&**text),
            parts => {
                let mut content = Vec::with_capacity(parts.len());
                for part in parts {
                    content.extend(content_part(part, Role::Tool, path)?);
                }
                Value::Array(content)
            }
        };
        Ok(json!({ "type": kind, "call_id": result.id, "output": output }))
    }
}

fn is_reasoning(item: &Value) -> bool {
    item.get("type").is_some_and(|kind| kind == "reasoning")
}

/// Without its encrypted form, which is the API's own, reasoning is another model's, or its client lost it: the API refuses it, and
/// does without it.
fn reasoning_item(reasoning: &Reasoning) -> Option<Value> {
    let encrypted = reasoning.redacted.as_deref().or(reasoning.signature.as_deref())?;
    if !is_own_reasoning(encrypted) {
        return None;
    }
    let summary = match reasoning.text.as_str() {
        "" => Vec::new(),
        text => vec![json!({ "type": "summary_text", "text": text })],
    };
    Some(json!({ "type": "reasoning", "summary": summary, "encrypted_content": encrypted }))
}

/// `None`: it says nothing.
fn content_part(part: &Part, role: Role, path: &str) -> Result<Option<Value>, WireError> {
    let assistant = role == Role::Assistant;
    Ok(match part {
        Part::Text { text, extras } => {
            API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
            // `"content": ""` beside tool calls is common.
            let kind = if assistant { "output_text" } else { "input_text" };
            let says = !text.is_empty() || !assistant;
            says.then(|| json!({ "type": kind, "text": text }))
        }
        Part::Refusal(text) if assistant => Some(json!({ "type": "refusal", "refusal": text })),
        Part::Image(image) if !assistant => Some(input_image(image)),
        Part::Document(document) if !assistant => Some(input_file(document)),
        Part::CachePoint(_) => None,
        Part::Opaque(value) => {
            let kind = value.get("type").and_then(Value::as_str).unwrap_or("unknown");
            return Err(API.unsupported(format!("{path}.content"), &format!("a part of type {kind:?}")));
        }
        part => return Err(API.misplaced(path, part)),
    })
}

fn input_image(image: &Image) -> Value {
    let mut fields = Fields::default();
    fields.put("type", "input_image");
    match &image.source {
        Source::FileId(id) => fields.put("file_id", &**id),
        Source::Url(url) => fields.put("image_url", &**url),
        Source::Base64 { media_type, data } => {
            fields.put("image_url", format!("data:{media_type};base64,{data}"));
        }
    }
    fields.put_some("detail", image.detail.clone());
    Value::Object(fields.0)
}

fn input_file(document: &Document) -> Value {
    let mut fields = Fields::default();
    fields.put("type", "input_file");
    match &document.source {
        Source::FileId(id) => fields.put("file_id", &**id),
        Source::Url(url) => fields.put("file_url", &**url),
        // Bare base64, as some callers write it.
        Source::Base64 { media_type, data } if media_type.is_empty() => fields.put("file_data", &**data),
        Source::Base64 { media_type, data } => {
            fields.put("file_data", format!("data:{media_type};base64,{data}"));
        }
    }
    fields.put_some("filename", document.name.clone());
    Value::Object(fields.0)
}

/// What replies carry and clients send back, and no model reads.
const OUTPUT_ONLY: &[&str] =
    &["annotations", "audio", "citations", "content_blocks", "logprobs", "output_items"];
/// The same of calls: `index` is what is left of a streamed one, and Gemini's signature means nothing to others.
const CALL_OUTPUT_ONLY: &[&str] = &["index", "extra_content"];
