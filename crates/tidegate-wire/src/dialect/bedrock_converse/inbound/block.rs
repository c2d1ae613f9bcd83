//! Content blocks into hub parts: unions of one key each. One with a field that its hub type has no place for is carried whole.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::{
    WireError,
    dialect::object::{Object, invalid, missing},
    hub::{Audio, CachePoint, Document, Image, Part, Reasoning, Source, ToolCall, ToolKind, ToolResult},
};

/// The blocks of a message, or of the system prompt. Results of tools go to `results`.
pub(super) fn decode_all(
    blocks: Vec<Value>,
    path: &str,
    results: &mut Vec<ToolResult>,
) -> Result<Vec<Part>, WireError> {
    let mut parts = Vec::with_capacity(blocks.len());
    for (at, block) in blocks.into_iter().enumerate() {
        match decode(block, &format!("{path}[{at}]"))? {
            Part::ToolResult(result) => results.push(result),
            part => parts.push(part),
        }
    }
    Ok(parts)
}

/// `{"type":"default"}` with or without `ttl`.
pub(super) fn cache_point(value: Value, path: &str) -> Result<CachePoint, WireError> {
    let mut fields = Object::new(value, path)?;
    fields.take("type");
    Ok(CachePoint { ttl: fields.string("ttl")? })
}

fn decode(value: Value, path: &str) -> Result<Part, WireError> {
    let mut fields = Object::new(value, path)?;
    fields.fields.retain(|_, value| !value.is_null());
    let original = fields.fields.clone();
    let mut named = original.iter();
    let (Some((name, inside)), None) = (named.next(), named.next()) else {
        return Err(invalid(path, "a block has exactly one field"));
    };
    let path = fields.path_of(name);
    let part = match name.as_str() {
        "text" => fields.string("text")?.map(Part::text),
        "toolUse" => Some(tool_use(inside.clone(), &path)?),
        "toolResult" => Some(tool_result(inside.clone(), &path)?),
        "reasoningContent" => reasoning(inside.clone(), &path)?,
        "cachePoint" => Some(Part::CachePoint(cache_point(inside.clone(), &path)?)),
        "citationsContent" => Some(cited(inside)),
        // Of a tool's result.
        "json" => Some(Part::text(inside.to_string())),
        "image" | "document" | "audio" => media(name, inside.clone(), &path)?,
        _ => None,
    };
    Ok(part.unwrap_or(Part::Opaque(original.into())))
}

fn tool_use(value: Value, path: &str) -> Result<Part, WireError> {
    let mut fields = Object::new(value, path)?;
    let id = required(&mut fields, "toolUseId")?;
    let name = required(&mut fields, "name")?;
    let arguments = fields.take("input").unwrap_or_else(|| Map::new().into()).to_string();
    fields.take("type");
    Ok(Part::ToolCall(ToolCall { id, name, arguments, kind: ToolKind::Function, extras: fields.rest() }))
}

fn tool_result(value: Value, path: &str) -> Result<Part, WireError> {
    let mut fields = Object::new(value, path)?;
    let id = required(&mut fields, "toolUseId")?;
    let content = fields.array("content")?.unwrap_or_default();
    let inside = fields.path_of("content");
    let mut results = Vec::new();
    let parts = decode_all(content, &inside, &mut results)?;
    if !results.is_empty() {
        return Err(WireError::bad_request("a tool's result has no place here").with_param(inside));
    }
    let is_error = fields.string("status")?.map(|status| status == "error");
    Ok(Part::ToolResult(ToolResult { id, parts, is_error }))
}

fn reasoning(value: Value, path: &str) -> Result<Option<Part>, WireError> {
    let mut fields = Object::new(value, path)?;
    if let Some(data) = fields.string("redactedContent")? {
        return Ok(Some(Part::Reasoning(Reasoning { redacted: Some(data), ..Reasoning::default() })));
    }
    let Some(shown) = fields.take("reasoningText") else { return Ok(None) };
    let mut shown = Object::new(shown, &fields.path_of("reasoningText"))?;
    Ok(Some(Part::Reasoning(Reasoning {
        text: shown.string("text")?.unwrap_or_default(),
        signature: shown.string("signature")?.filter(|signature| !signature.is_empty()),
        redacted: None,
    })))
}

/// What the model once said; its sources are for the reader.
fn cited(value: &Value) -> Part {
    let content = value.get("content").and_then(Value::as_array).into_iter().flatten();
    Part::text(content.filter_map(|piece| piece.get("text")?.as_str()).collect::<String>())
}

/// `None`: of a form that the hub doesn't model.
fn media(kind: &str, value: Value, path: &str) -> Result<Option<Part>, WireError> {
    let mut fields = Object::new(value, path)?;
    let format = required(&mut fields, "format")?;
    let name = fields.string("name")?;
    // Switched off is the same as not there.
    if fields
        .fields
        .get("citations")
        .is_some_and(|citations| citations.get("enabled") == Some(&Value::Bool(false)))
    {
        fields.take("citations");
    }
    let source = fields.path_of("source");
    let mut source = Object::new(fields.take("source").ok_or_else(|| missing(&source))?, &source)?;
    let media_type = media_type(kind, &format);
    let source = match (source.string("bytes")?, source.string("text")?, source.take("s3Location")) {
        (Some(data), ..) => Source::Base64 { media_type, data },
        (None, Some(text), _) => Source::Base64 { media_type, data: STANDARD.encode(text) },
        // Whose the bucket is only Bedrock asks.
        (None, None, Some(location)) => match location.get("uri").and_then(Value::as_str) {
            Some(uri) => Source::Url(uri.to_owned()),
            None => return Err(missing(&format!("{path}.source.s3Location.uri"))),
        },
        _ => return Ok(None),
    };
    if !fields.is_empty() {
        return Ok(None);
    }
    Ok(Some(match kind {
        "image" => Part::Image(Image { source, detail: None }),
        "audio" => Part::Audio(Audio { source, format }),
        _ => Part::Document(Document { source, name: name.map(|name| with_extension(name, &format)) }),
    }))
}

/// Names have no dots in this API; others tell a file's kind by its extension.
fn with_extension(name: String, format: &str) -> String {
    if name.contains('.') { name } else { format!("{name}.{format}") }
}

fn media_type(kind: &str, format: &str) -> String {
    let known = DOCUMENT_TYPES.iter().find(|(name, _)| *name == format).map(|(_, media_type)| *media_type);
    match (kind, known) {
        ("image" | "audio", _) => format!("{kind}/{format}"),
        (_, Some(media_type)) => media_type.to_owned(),
        (_, None) => "application/octet-stream".to_owned(),
    }
}

fn required(fields: &mut Object, name: &str) -> Result<String, WireError> {
    fields.string(name)?.ok_or_else(|| missing(&fields.path_of(name)))
}

const DOCUMENT_TYPES: &[(&str, &str)] = &[
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];
