//! A caller's Converse request into hub types, in full. Every field is either modelled or carried in extras, but for mere hints; every
//! error names the path of what is wrong.
//!
//! Only for backends of another dialect: Bedrock's own get the caller's bytes.

mod block;
mod fields;
mod tools;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{
    WireError,
    dialect::object::{Object, invalid, missing},
    hub::{ChatRequest, Message, Part, Role},
};

/// The request, without the model and whether it streams: the path says both.
pub(crate) fn decode_request(body: &[u8]) -> Result<ChatRequest, WireError> {
    let value = serde_json::from_slice::<Value>(body)
        .map_err(|error| WireError::bad_request(format!("The request body is not valid JSON: {error}.")))?;
    let mut fields = Object::new(value, "")?;
    for hint in HINTS {
        fields.take(hint);
    }
    let mut request = ChatRequest::default();
    let system = fields.array("system")?.unwrap_or_default();
    let system = block::decode_all(system, "system", &mut Vec::new())?;
    if !system.is_empty() {
        request.messages.push(Message::of_parts(Role::System, system));
    }
    let messages = fields.array("messages")?.ok_or_else(|| missing("messages"))?;
    for (at, message) in messages.into_iter().enumerate() {
        decode_message(message, &format!("messages[{at}]"), &mut request.messages)?;
    }
    tools::decode(&mut fields, &mut request)?;
    fields::decode(&mut fields, &mut request)?;
    request.extras.extend(fields.rest().into_iter().filter(|(_, value)| !value.is_null()));
    Ok(request)
}

/// Results of tools are messages of their own in the hub, one for each, and come before what else the user says.
fn decode_message(value: Value, path: &str, messages: &mut Vec<Message>) -> Result<(), WireError> {
    let mut fields = Object::new(value, path)?;
    let role = match fields.string("role")?.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some(other) => {
            let why = format!("'{other}' is not one of user, assistant");
            return Err(invalid(&fields.path_of("role"), &why));
        }
        None => return Err(missing(&fields.path_of("role"))),
    };
    let path = fields.path_of("content");
    let content = fields.array("content")?.ok_or_else(|| missing(&path))?;
    let mut results = Vec::new();
    let parts = block::decode_all(content, &path, &mut results)?;
    let answers_calls = !results.is_empty();
    let result = |result| Message::of_parts(Role::Tool, vec![Part::ToolResult(result)]);
    messages.extend(results.into_iter().map(result));
    if !(answers_calls && parts.is_empty()) {
        messages.push(Message { role, name: None, parts, extras: fields.rest() });
    }
    Ok(())
}

/// Changes a wait and no answer.
const HINTS: [&str; 1] = ["performanceConfig"];

/// Parameters of the API (botocore 1.44.5). At most 64.
pub(crate) const PARAMETERS: [&str; 12] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];
