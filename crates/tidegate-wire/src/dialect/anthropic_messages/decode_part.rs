//! Content blocks into hub parts. A block with a field that its hub type has no place for is carried whole.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    WireError,
    dialect::object::{Object, missing, wrong_type},
    hub::{Document, Extras, Image, Part, Reasoning, Source, ToolCall, ToolKind, ToolResult},
};

/// `system`, and the content of a tool's result: absent, a string, or an array of blocks.
pub(super) fn decode_content(content: Option<Value>, path: &str) -> Result<Vec<Part>, WireError> {
    let mut results = Vec::new();
    let parts = decode_blocks(content.unwrap_or(Value::Array(Vec::new())), path, &mut results)?;
    match results.is_empty() {
        true => Ok(parts),
        false => Err(WireError::bad_request("a tool's result has no place here").with_param(path)),
    }
}

/// A message's content. Results of tools, each with its cache point, go to `results`.
pub(super) fn decode_blocks(
    content: Value,
    path: &str,
    results: &mut Vec<Vec<Part>>,
) -> Result<Vec<Part>, WireError> {
    let items = match content {
        Value::String(text) => return Ok(vec![Part::text(text)]),
        Value::Array(items) => items,
        other => return Err(wrong_type(path, "a string or an array of blocks", &other)),
    };
    let mut parts = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let mut fields = Object::new(item, &format!("{path}[{at}]"))?;
        let cache_point = fields.cache_point().map(Part::CachePoint);
        match decode_block(fields)? {
            result @ Part::ToolResult(_) => {
                results.push(std::iter::once(result).chain(cache_point).collect());
            }
            part => {
                parts.push(part);
                parts.extend(cache_point);
            }
        }
    }
    Ok(parts)
}

fn decode_block(mut fields: Object) -> Result<Part, WireError> {
    // The hub's media types have no extras, so a block that has any is kept as it came.
    let original = fields.fields.clone();
    let kind = required(&mut fields, "type")?;
    let part = match &*kind {
        "text" => return text(fields),
        "thinking" => return thinking(fields),
        "redacted_thinking" => {
            let data = required(&mut fields, "data")?;
            return Ok(Part::Reasoning(Reasoning { redacted: Some(data), ..Reasoning::default() }));
        }
        "tool_use" => return tool_use(fields),
        "tool_result" => return tool_result(fields),
        "image" => source(&mut fields)?.map(|source| Part::Image(Image { source, detail: None })),
        "document" => {
            // Switched off is the same as not there.
            let citations = fields.fields.get("citations").and_then(|citations| citations.get("enabled"));
            if citations == Some(&Value::Bool(false)) {
                fields.take("citations");
            }
            let name = fields.string("title")?;
            source(&mut fields)?.map(|source| Part::Document(Document { source, name }))
        }
        _ => None,
    };
    fields.fields.retain(|_, value| !value.is_null());
    Ok(part.filter(|_| fields.is_empty()).unwrap_or(Part::Opaque(Value::Object(original))))
}

fn text(mut fields: Object) -> Result<Part, WireError> {
    let text = required(&mut fields, "text")?;
    Ok(Part::Text { text, extras: without_nulls(fields.rest()) })
}

fn thinking(mut fields: Object) -> Result<Part, WireError> {
    Ok(Part::Reasoning(Reasoning {
        text: fields.string("thinking")?.unwrap_or_default(),
        // Models without one are given an empty one.
        signature: fields.string("signature")?.filter(|signature| !signature.is_empty()),
        redacted: None,
    }))
}

fn tool_use(mut fields: Object) -> Result<Part, WireError> {
    let id = required(&mut fields, "id")?;
    let name = required(&mut fields, "name")?;
    let input = fields.object("input")?.unwrap_or_default();
    // Who called it: the model, or a program that it wrote.
    fields.take("caller");
    let arguments = Value::Object(input).to_string();
    let extras = without_nulls(fields.rest());
    Ok(Part::ToolCall(ToolCall { id, name, arguments, kind: ToolKind::Function, extras }))
}

fn tool_result(mut fields: Object) -> Result<Part, WireError> {
    let id = required(&mut fields, "tool_use_id")?;
    let parts = decode_content(fields.take("content"), &fields.path_of("content"))?;
    let is_error = fields.boolean("is_error")?;
    Ok(Part::ToolResult(ToolResult { id, parts, is_error }))
}

/// `None`: of a kind that the hub doesn't model.
fn source(fields: &mut Object) -> Result<Option<Source>, WireError> {
    let path = fields.path_of("source");
    let Some(value) = fields.take("source") else { return Err(missing(&path)) };
    let mut source = Object::new(value, &path)?;
    Ok(match &*required(&mut source, "type")? {
        "base64" => Some(Source::Base64 {
            media_type: required(&mut source, "media_type")?,
            data: required(&mut source, "data")?,
        }),
        "text" => Some(Source::Base64 {
            media_type: "text/plain".to_owned(),
            data: STANDARD.encode(required(&mut source, "data")?),
        }),
        "url" => Some(Source::Url(required(&mut source, "url")?)),
        "file" => Some(Source::FileId(required(&mut source, "file_id")?)),
        _ => None,
    })
}

fn required(fields: &mut Object, name: &str) -> Result<String, WireError> {
    fields.string(name)?.ok_or_else(|| missing(&fields.path_of(name)))
}

fn without_nulls(mut extras: Extras) -> Extras {
    extras.retain(|_, value| !value.is_null());
    extras
}
