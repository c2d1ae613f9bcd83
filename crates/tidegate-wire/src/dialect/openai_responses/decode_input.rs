//! Items of the input into messages of the hub. Items of the model's side that follow each other (reasoning, text, calls) are one
//! message, as in the dialects that have messages only.

use serde_json::Value;

use super::carried;
use crate::{
    WireError,
    dialect::object::{Object, invalid, missing, wrong_type},
    hub::{Audio, Document, Extras, Image, Message, Part, Role, Source, ToolCall, ToolKind, ToolResult},
};

/// `input`: a text of the user's, or items.
pub(super) fn decode_input(input: Value, messages: &mut Vec<Message>) -> Result<(), WireError> {
    match input {
        Value::String(text) => messages.push(Message::new(Role::User, text)),
        Value::Array(items) => {
            for (at, item) in items.into_iter().enumerate() {
                decode_item(Object::new(item, &format!("input[{at}]"))?, messages)?;
            }
        }
        other => return Err(wrong_type("input", "a string or an array of items", &other)),
    }
    Ok(())
}

fn decode_item(mut fields: Object, messages: &mut Vec<Message>) -> Result<(), WireError> {
    let original = fields.fields.clone();
    let kind = fields.string("type")?;
    let path = fields.path.clone();
    match kind.as_deref() {
        // Its short form has no type.
        None | Some("message") => decode_message(fields, messages)?,
        Some("function_call") => {
            push(messages, decode_call(fields, ToolKind::Function)?);
        }
        Some("custom_tool_call") => push(messages, decode_call(fields, ToolKind::Custom)?),
        Some("function_call_output" | "custom_tool_call_output") => {
            let id = required(&mut fields, "call_id")?;
            let output = fields.take("output").ok_or_else(|| missing(&format!("{path}.output")))?;
            let parts = decode_content(output, &format!("{path}.output"))?;
            let result = Part::ToolResult(ToolResult { id, parts, is_error: None });
            messages.push(Message::of_parts(Role::Tool, vec![result]));
        }
        Some("reasoning") => push(messages, decode_reasoning(fields)?),
        Some("item_reference") => {
            let why = "items are kept by hosts that have the Responses API, and this model's has not";
            return Err(invalid(&path, why));
        }
        // A tool of OpenAI's own, or its result.
        Some(_) => push(messages, Part::Opaque(Value::Object(original))),
    }
    Ok(())
}

/// Appends to what the model says.
fn push(messages: &mut Vec<Message>, part: Part) {
    match messages.last_mut().filter(|last| last.role == Role::Assistant) {
        Some(last) => last.parts.push(part),
        None => messages.push(Message::of_parts(Role::Assistant, vec![part])),
    }
}

fn decode_message(mut fields: Object, messages: &mut Vec<Message>) -> Result<(), WireError> {
    let path = fields.path.clone();
    let role = match fields.string("role")?.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some(other) => {
            let why = format!("'{other}' is not one of user, assistant, system, developer");
            return Err(invalid(&format!("{path}.role"), &why));
        }
        None => return Err(missing(&format!("{path}.role"))),
    };
    let content = fields.take("content").ok_or_else(|| missing(&format!("{path}.content")))?;
    let parts = decode_content(content, &format!("{path}.content"))?;
    let extras = left(fields, OUTPUT_ONLY);
    if role == Role::Assistant && extras.is_empty() {
        parts.into_iter().for_each(|part| push(messages, part));
    } else {
        messages.push(Message { role, name: None, parts, extras });
    }
    Ok(())
}

fn decode_call(mut fields: Object, kind: ToolKind) -> Result<Part, WireError> {
    let arguments = if kind == ToolKind::Function { "arguments" } else { "input" };
    let call = ToolCall {
        id: required(&mut fields, "call_id")?,
        name: required(&mut fields, "name")?,
        arguments: fields.string(arguments)?.unwrap_or_default(),
        kind,
        extras: left(fields, OUTPUT_ONLY),
    };
    Ok(Part::ToolCall(call))
}

/// Its text is the summary's, as our own replies have it, or the content's, as some servers'.
fn decode_reasoning(mut fields: Object) -> Result<Part, WireError> {
    let mut text = String::new();
    for name in ["summary", "content"] {
        let parts = fields.array(name)?.unwrap_or_default();
        let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
        if text.is_empty() {
            text = texts.collect::<Vec<_>>().join("\n\n");
        }
    }
    let encrypted = fields.string("encrypted_content")?;
    Ok(Part::Reasoning(carried::reasoning(text, encrypted.as_deref())))
}

/// A string, or an array of parts.
fn decode_content(content: Value, path: &str) -> Result<Vec<Part>, WireError> {
    match content {
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(items) => {
            let items = items.into_iter().enumerate();
            items.map(|(at, item)| decode_part(Object::new(item, &format!("{path}[{at}]"))?)).collect()
        }
        other => Err(wrong_type(path, "a string or an array of parts", &other)),
    }
}

/// A part with a field that its hub type has no place for is carried whole.
fn decode_part(mut fields: Object) -> Result<Part, WireError> {
    let original = fields.fields.clone();
    let kind = required(&mut fields, "type")?;
    let part = match &*kind {
        "input_text" | "output_text" | "text" => {
            let text = required(&mut fields, "text")?;
            return Ok(Part::Text { text, extras: left(fields, OUTPUT_ONLY) });
        }
        "refusal" => return Ok(Part::Refusal(required(&mut fields, "refusal")?)),
        "input_image" => {
            let url = fields.string("image_url")?.map(source);
            let id = fields.string("file_id")?.map(Source::FileId);
            let detail = fields.string("detail")?;
            url.or(id).map(|source| Part::Image(Image { source, detail }))
        }
        "input_file" => {
            let data = fields.string("file_data")?.map(file_data);
            let url = fields.string("file_url")?.map(Source::Url);
            let id = fields.string("file_id")?.map(Source::FileId);
            let name = fields.string("filename")?;
            data.or(url).or(id).map(|source| Part::Document(Document { source, name }))
        }
        "input_audio" => {
            let mut audio = Object::within(&mut fields, "input_audio")?;
            let data = audio.string("data")?;
            let format = audio.string("format")?.unwrap_or_default();
            let inline = |data| Source::Base64 { media_type: format!("audio/{format}"), data };
            data.map(inline).map(|source| Part::Audio(Audio { source, format: format.clone() }))
        }
        _ => None,
    };
    fields.fields.retain(|_, value| !value.is_null());
    Ok(part.filter(|_| fields.is_empty()).unwrap_or(Part::Opaque(Value::Object(original))))
}

fn source(url: String) -> Source {
    inline(&url).unwrap_or(Source::Url(url))
}

/// Bare base64, as some callers write it, has no type.
fn file_data(data: String) -> Source {
    inline(&data).unwrap_or(Source::Base64 { media_type: String::new(), data })
}

/// What a `data:` URL holds.
fn inline(url: &str) -> Option<Source> {
    let (media_type, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some(Source::Base64 { media_type: media_type.to_owned(), data: data.to_owned() })
}

/// The fields that are left and say something, without those that only replies have.
fn left(fields: Object, output_only: &[&str]) -> Extras {
    let mut extras = fields.rest();
    extras.retain(|name, value| !value.is_null() && !output_only.contains(&name.as_str()));
    extras
}

pub(super) fn required(fields: &mut Object, name: &str) -> Result<String, WireError> {
    fields.string(name)?.ok_or_else(|| missing(&fields.path_of(name)))
}

/// What items of a reply have and clients send back, and no model reads.
const OUTPUT_ONLY: &[&str] =
    &["id", "status", "annotations", "logprobs", "phase", "parsed", "parsed_arguments"];
