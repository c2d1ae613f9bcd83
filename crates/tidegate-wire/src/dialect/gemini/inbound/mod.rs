//! A caller's generateContent request into hub types, in full. Every field is either modelled or carried in extras, but for mere
//! hints; every error names the path of what is wrong.
//!
//! Only for backends of another dialect: Gemini's own get the caller's bytes. Names of fields come in either spelling that
//! Google's parser takes, `systemInstruction` and `system_instruction`.

mod config;
mod contents;
mod part;
mod schema;
mod tools;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{
    WireError,
    dialect::object::{Object, missing},
    hub::ChatRequest,
};

/// The request, without the model and whether it streams: the path says both.
pub(crate) fn decode_request(body: &[u8]) -> Result<ChatRequest, WireError> {
    let value = serde_json::from_slice::<Value>(body)
        .map_err(|error| WireError::bad_request(format!("The request body is not valid JSON: {error}.")))?;
    let mut fields = message(value, "")?;
    for hint in HINTS {
        fields.take(hint);
    }
    leave_out_idle_filters(&mut fields);
    let system = fields.take("systemInstruction");
    let given = fields.take("contents").ok_or_else(|| missing("contents"))?;
    let messages = contents::decode(system, given)?;
    let mut request = ChatRequest { messages, ..ChatRequest::default() };
    tools::decode(&mut fields, &mut request)?;
    config::decode(&mut fields, &mut request)?;
    request.extras.extend(fields.rest());
    Ok(request)
}

/// A message of the protocol, with its fields in the spelling of the API. Not for values in it that are the caller's own, such as
/// arguments and schemas.
fn message(value: Value, path: &str) -> Result<Object, WireError> {
    let mut object = Object::new(value, path)?;
    object.fields = object.fields.into_iter().map(|(name, value)| (camel_case(&name), value)).collect();
    Ok(object)
}

/// A repeated field; one value may stand without its brackets.
fn repeated(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        one => vec![one],
    }
}

fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut behind_underscore = false;
    for character in name.chars() {
        match character {
            '_' if !camel.is_empty() => behind_underscore = true,
            _ if behind_underscore => {
                camel.extend(character.to_uppercase());
                behind_underscore = false;
            }
            _ => camel.push(character),
        }
    }
    camel
}

/// Other backends have no such filters: to ask for none is granted. A filter that is asked for stays, to be refused by name.
fn leave_out_idle_filters(fields: &mut Object) {
    let idle = |setting: &Value| {
        let threshold = setting.get("threshold").and_then(Value::as_str);
        matches!(threshold, None | Some("BLOCK_NONE" | "OFF" | "HARM_BLOCK_THRESHOLD_UNSPECIFIED"))
    };
    if let Some(Value::Array(settings)) = fields.fields.get_mut("safetySettings") {
        settings.retain(|setting| !idle(setting));
        if settings.is_empty() {
            fields.take("safetySettings");
        }
    }
}

/// The model is the path's, and labels are for Google's bill.
const HINTS: [&str; 2] = ["model", "labels"];

/// Parameters of the API (google-genai 3.4.0). At most 64.
pub(crate) const PARAMETERS: [&str; 8] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "labels",
];
