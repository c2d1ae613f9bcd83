//! Messages into `contents` and `systemInstruction`.
//!
//! Signatures: Gemini puts one on the first call of a turn, or on its last text, and from 3 on refuses the turn if it does not come
//! back there. The hub carries it as reasoning of the turn ([`Part::Reasoning`]), or as Google's own field of a tool call, so here it
//! is put back where it was. Thoughts themselves are not sent: they are summaries that no model reads.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{API, Family, media, unsupported};
use crate::{
    WireError,
    dialect::gemini::put,
    hub::{Message, Part, Role, ToolCall, ToolKind, ToolResult},
};

/// The body, as far as the messages make it.
pub(super) fn encode(messages: &[Message], family: Family) -> Result<Map<String, Value>, WireError> {
    API.check_names(messages)?;
    let mut conversation =
        Conversation { family, contents: Vec::new(), system: Vec::new(), calls: HashMap::new() };
    for (at, message) in messages.iter().enumerate() {
        conversation.message(message, &format!("messages[{at}]"))?;
    }
    if conversation.contents.is_empty() {
        return Err(WireError::bad_request("there is no message besides instructions").with_param("messages"));
    }
    let mut body = Map::new();
    body.insert("contents".to_owned(), conversation.contents.into());
    if !conversation.system.is_empty() {
        body.insert("systemInstruction".to_owned(), json!({ "parts": conversation.system }));
    }
    Ok(body)
}

struct Conversation<'a> {
    family: Family,
    contents: Vec<Value>,
    system: Vec<Value>,
    /// Names of the calls so far, by id: a result has only the id, and Gemini wants the name. A later call takes the id over.
    calls: HashMap<&'a str, &'a str>,
}

impl<'a> Conversation<'a> {
    fn message(&mut self, message: &'a Message, path: &str) -> Result<(), WireError> {
        API.refuse_extras(path, &message.extras, OUTPUT_ONLY)?;
        match message.role {
            Role::System | Role::Developer => {
                for part in &message.parts {
                    match part {
                        Part::Text { text, extras } => {
                            API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
                            self.system.push(json!({ "text": text }));
                        }
                        Part::CachePoint(_) => {}
                        part => return Err(API.misplaced(path, part)),
                    }
                }
            }
            Role::User | Role::Tool => {
                let parts = self.user_parts(&message.parts, path)?;
                if parts.is_empty() {
                    return Err(WireError::bad_request("Gemini takes no empty message")
                        .with_param(format!("{path}.content")));
                }
                self.push("user", parts);
            }
            Role::Assistant => {
                let parts = self.model_parts(&message.parts, path)?;
                self.push("model", parts);
            }
        }
        Ok(())
    }

    /// Results of parallel calls belong into one turn, and Gemini takes neighbours of one side for one turn anyway.
    fn push(&mut self, role: &str, parts: Vec<Value>) {
        match self.contents.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.get("role") == Some(&role.into()) => {
                if let Some(before) = last.get_mut("parts").and_then(Value::as_array_mut) {
                    before.extend(parts);
                }
            }
            _ => self.contents.push(json!({ "role": role, "parts": parts })),
        }
    }

    fn user_parts(&self, parts: &[Part], path: &str) -> Result<Vec<Value>, WireError> {
        let mut encoded = Vec::with_capacity(parts.len());
        // Media of results stand behind all results, so that those of parallel calls stay together.
        let mut behind = Vec::new();
        for part in parts {
            match part {
                Part::Text { text, extras } => {
                    API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
                    encoded.push(json!({ "text": text }));
                }
                Part::ToolResult(result) => encoded.push(self.tool_result(result, path, &mut behind)?),
                // Gemini caches by itself, or what `cachedContent` names.
                Part::CachePoint(_) => {}
                other => encoded.push(media_part(other, path)?),
            }
        }
        encoded.append(&mut behind);
        Ok(encoded)
    }

    fn tool_result(
        &self,
        result: &ToolResult,
        path: &str,
        behind: &mut Vec<Value>,
    ) -> Result<Value, WireError> {
        let Some(name) = self.calls.get(&*result.id) else {
            return Err(WireError::bad_request("no tool call before has this id")
                .with_param(format!("{path}.tool_call_id")));
        };
        let mut text = String::new();
        for part in &result.parts {
            match part {
                Part::Text { text: piece, extras } => {
                    API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
                    text.push_str(piece);
                }
                Part::CachePoint(_) => {}
                other => behind.push(media_part(other, path)?),
            }
        }
        // A `response` is an object.
        let response = match (result.is_error, serde_json::from_str::<Value>(&text)) {
            (Some(true), _) => json!({ "error": text }),
            (_, Ok(Value::Object(fields))) => fields.into(),
            _ => json!({ "result": text }),
        };
        Ok(json!({ "functionResponse": { "id": result.id, "name": name, "response": response } }))
    }

    fn model_parts(&mut self, parts: &'a [Part], path: &str) -> Result<Vec<Value>, WireError> {
        let mut encoded: Vec<Value> = Vec::with_capacity(parts.len());
        let mut signatures: Vec<&str> = Vec::new();
        let mut calls = 0;
        for part in parts {
            match part {
                Part::Text { text, extras } => {
                    API.refuse_extras(&format!("{path}.content"), extras, OUTPUT_ONLY)?;
                    encoded.push(json!({ "text": text }));
                }
                Part::Refusal(text) => encoded.push(json!({ "text": text })),
                Part::Reasoning(reasoning) => signatures.extend(reasoning.signature.as_deref()),
                Part::ToolCall(call) => {
                    encoded.push(tool_call(call, &format!("{path}.tool_calls[{calls}]"))?);
                    self.calls.insert(&call.id, &call.name);
                    calls += 1;
                }
                Part::CachePoint(_) => {}
                other => encoded.push(media_part(other, path)?),
            }
        }
        sign(&mut encoded, signatures, self.family);
        Ok(encoded)
    }
}

/// Puts signatures back: the last one on the first call, or behind the last text; what is left of them on texts of their own, in
/// front, as they came from parts that have no place in the hub.
fn sign(parts: &mut Vec<Value>, mut signatures: Vec<&str>, family: Family) {
    let first_call = parts.iter().position(|part| part.get("functionCall").is_some());
    let place = first_call.or(parts.iter().rposition(|part| part.get("text").is_some()));
    let signed =
        place.and_then(|at| parts.get(at)).is_some_and(|part| part.get("thoughtSignature").is_some());
    let last = match (first_call, signatures.pop()) {
        _ if signed => None,
        // The turn was another model's, or its client lost the signature. Without a word Gemini 3 refuses it; this word says that
        // there is none (Google's documentation, by way of LiteLLM 1.109.1).
        (Some(_), None) if family == Family::Level => Some(UNSIGNED),
        (_, last) => last,
    };
    if let Some(last) = last {
        match place.and_then(|at| parts.get_mut(at)) {
            Some(part) => put(part, "thoughtSignature", last),
            None => parts.push(json!({ "text": "", "thoughtSignature": last })),
        }
    }
    let others = signatures.into_iter().map(|signature| json!({ "text": "", "thoughtSignature": signature }));
    parts.splice(0..0, others);
}

/// `skip_thought_signature_validator`, in base64.
pub(super) const UNSIGNED: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

fn tool_call(call: &ToolCall, path: &str) -> Result<Value, WireError> {
    if call.kind == ToolKind::Custom {
        return Err(unsupported(format!("{path}.type"), "its tools are functions"));
    }
    // Google's own OpenAI-compatible surface carries the signature here.
    let google = call.extras.get("extra_content").and_then(|extra| extra.get("google"));
    let signature = google.and_then(|google| google.get("thought_signature"));
    let unknown = call.extras.iter().find(|(name, value)| *name != "extra_content" && !value.is_null());
    if let Some((name, _)) = unknown {
        return Err(unsupported(format!("{path}.{name}"), "it has no such field"));
    }
    let text = if call.arguments.trim().is_empty() { "{}" } else { &*call.arguments };
    let arguments: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        WireError::bad_request(format!("tool call arguments are not a JSON object: {error}"))
            .with_param(format!("{path}.function.arguments"))
    })?;
    let mut part = json!({ "functionCall": { "id": call.id, "name": call.name, "args": arguments } });
    if let Some(signature) = signature {
        put(&mut part, "thoughtSignature", signature.clone());
    }
    Ok(part)
}

fn media_part(part: &Part, path: &str) -> Result<Value, WireError> {
    match part {
        Part::Image(image) => media::image(image, path),
        Part::Audio(audio) => media::audio(audio, path),
        Part::Document(document) => media::document(document, path),
        Part::Opaque(value) if is_own_part(value) => Ok(value.clone()),
        Part::Opaque(value) => {
            let kind = value.get("type").and_then(Value::as_str).unwrap_or("unknown");
            Err(unsupported(format!("{path}.content.{kind}"), "it has no such part"))
        }
        part => Err(API.misplaced(path, part)),
    }
}

/// A part that came in Gemini's own spelling.
fn is_own_part(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| {
        !fields.is_empty() && fields.keys().all(|name| OWN_PARTS.contains(&name.as_str()))
    })
}

const OWN_PARTS: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "videoMetadata",
    "mediaResolution",
    "thoughtSignature",
];

/// What replies carry and clients send back, and no model reads.
const OUTPUT_ONLY: &[&str] = &["annotations", "citations", "images", "gemini_parts"];
