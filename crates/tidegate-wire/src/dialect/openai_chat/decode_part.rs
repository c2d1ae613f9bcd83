//! Message content into hub parts. A part with a field that its hub type has no place for is carried whole.

use serde_json::{Map, Value};

use crate::{
    WireError,
    dialect::object::{Object, missing, wrong_type},
    hub::{Audio, Document, Image, Part, Source},
};

/// `content`: null, a string, or an array of parts.
pub(super) fn decode_content(content: Option<Value>, path: &str) -> Result<Vec<Part>, WireError> {
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::text(text)]),
        Some(Value::Array(items)) => {
            let mut parts = Vec::with_capacity(items.len());
            for (at, item) in items.into_iter().enumerate() {
                decode_part(item, &format!("{path}[{at}]"), &mut parts)?;
            }
            Ok(parts)
        }
        Some(other) => Err(wrong_type(path, "a string or an array of parts", &other)),
    }
}

fn decode_part(value: Value, path: &str, parts: &mut Vec<Part>) -> Result<(), WireError> {
    let mut fields = Object::new(value, path)?;
    let cache_point = fields.cache_point();
    // The hub's media types have no extras, so a part that has any is kept as it came.
    let original = fields.fields.clone();
    let kind = fields.string("type")?.ok_or_else(|| missing(&format!("{path}.type")))?;
    let part = match &*kind {
        "text" => {
            let text = fields.string("text")?.ok_or_else(|| missing(&format!("{path}.text")))?;
            Some(Part::Text { text, extras: std::mem::take(&mut fields.fields) })
        }
        "refusal" => fields.string("refusal")?.map(Part::Refusal),
        "image_url" => image(inner(&mut fields, "image_url", path)?)?,
        "input_audio" => audio(inner(&mut fields, "input_audio", path)?)?,
        "file" => document(inner(&mut fields, "file", path)?)?,
        _ => None,
    };
    parts.push(match part.filter(|_| fields.is_empty()) {
        Some(part) => part,
        None => Part::Opaque(Value::Object(original)),
    });
    parts.extend(cache_point.map(Part::CachePoint));
    Ok(())
}

fn inner(fields: &mut Object, name: &str, path: &str) -> Result<Object, WireError> {
    let path = format!("{path}.{name}");
    let inside: Map<String, Value> = fields.object(name)?.ok_or_else(|| missing(&path))?;
    Ok(Object { fields: inside, path })
}

fn image(mut fields: Object) -> Result<Option<Part>, WireError> {
    let path = format!("{}.url", fields.path);
    let url = fields.string("url")?.ok_or_else(|| missing(&path))?;
    let detail = fields.string("detail")?;
    Ok(fields.is_empty().then(|| Part::Image(Image { source: source_of_url(url), detail })))
}

fn audio(mut fields: Object) -> Result<Option<Part>, WireError> {
    let (data_path, format_path) = (format!("{}.data", fields.path), format!("{}.format", fields.path));
    let data = fields.string("data")?.ok_or_else(|| missing(&data_path))?;
    let format = fields.string("format")?.ok_or_else(|| missing(&format_path))?;
    let source = Source::Base64 { media_type: format!("audio/{format}"), data };
    Ok(fields.is_empty().then_some(Part::Audio(Audio { source, format })))
}

fn document(mut fields: Object) -> Result<Option<Part>, WireError> {
    let name = fields.string("filename")?;
    let data = fields.string("file_data")?;
    let id = fields.string("file_id")?;
    if !fields.is_empty() {
        return Ok(None);
    }
    let source = match (data, id) {
        (Some(data), None) => match source_of_url(data) {
            // Bare base64, without the data URL around it.
            Source::Url(data) => Source::Base64 { media_type: String::new(), data },
            source => source,
        },
        (None, Some(id)) => Source::FileId(id),
        _ => return Ok(None),
    };
    Ok(Some(Part::Document(Document { source, name })))
}

fn source_of_url(url: String) -> Source {
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match inline {
        Some((media_type, data)) => {
            Source::Base64 { media_type: media_type.to_owned(), data: data.to_owned() }
        }
        None => Source::Url(url),
    }
}
