//! Parts into hub parts. One with a field that its hub type has no place for is carried whole.

use serde_json::{Map, Value};

use super::message;
use crate::{
    WireError,
    dialect::{
        gemini::thought::{self, Carried},
        object::{Object, missing},
    },
    hub::{Audio, Document, Image, Part, Reasoning, Source},
};

/// A part that is no function call or response.
pub(super) fn decode(mut fields: Object) -> Result<Part, WireError> {
    let original = fields.fields.clone();
    let thought = fields.boolean("thought")?.unwrap_or(false);
    let signature = fields.string("thoughtSignature")?;
    if let Some(text) = fields.string("text")? {
        return match thought {
            true => Ok(Part::Reasoning(reasoning(text, signature.as_deref()))),
            // Signatures elsewhere are of Gemini's own models, and only those read them.
            false if fields.is_empty() => Ok(Part::text(text)),
            false => Ok(Part::Opaque(original.into())),
        };
    }
    let media = match (fields.take("inlineData"), fields.take("fileData")) {
        (Some(data), None) => Some(inline(data, &fields.path_of("inlineData"))?),
        (None, Some(data)) => Some(file(data, &fields.path_of("fileData"))?),
        _ => None,
    };
    match media.flatten().filter(|_| fields.is_empty()) {
        Some(part) => Ok(part),
        None if original.is_empty() => Err(missing(&fields.path_of("text"))),
        None => Ok(Part::Opaque(original.into())),
    }
}

/// Whether two neighbours are pieces of one thought: a signature ends it.
pub(super) fn joins(before: &Reasoning, next: &Reasoning) -> bool {
    before.signature.is_none() && before.redacted.is_none() && next.redacted.is_none()
}

/// Streams end with a text that is empty.
pub(super) fn says_nothing(part: &Part) -> bool {
    match part {
        Part::Text { text, .. } => text.is_empty(),
        Part::Reasoning(reasoning) => *reasoning == Reasoning::default(),
        _ => false,
    }
}

/// What a function answered: the text of a lone `result`, `output` or `error`, as Google's clients wrap a plain answer, else all of
/// the object as JSON; and whether it failed.
pub(super) fn response_text(response: Map<String, Value>) -> (String, Option<bool>) {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut fields = response.iter();
    match (fields.next(), fields.next()) {
        (Some((name, value)), None) if name == "error" => (plain(value), Some(true)),
        (Some((name, value)), None) if name == "result" || name == "output" => (plain(value), None),
        _ => (Value::Object(response).to_string(), None),
    }
}

fn reasoning(text: String, signature: Option<&str>) -> Reasoning {
    match signature.and_then(thought::read) {
        Some(Carried::Signature(signature)) => Reasoning { text, signature: Some(signature), redacted: None },
        Some(Carried::Redacted(data)) => Reasoning { text, signature: None, redacted: Some(data) },
        None => Reasoning { text, ..Reasoning::default() },
    }
}

/// `None`: of a kind that the hub doesn't model.
fn inline(value: Value, path: &str) -> Result<Option<Part>, WireError> {
    let mut fields = message(value, path)?;
    let media_type = fields.string("mimeType")?.ok_or_else(|| missing(&fields.path_of("mimeType")))?;
    let data = fields.string("data")?.ok_or_else(|| missing(&fields.path_of("data")))?;
    let name = fields.string("displayName")?;
    let kind = media_type.clone();
    let source = Source::Base64 { media_type, data: thought::standard_base64(data) };
    Ok(media(&kind, source, name).filter(|_| fields.is_empty()))
}

fn file(value: Value, path: &str) -> Result<Option<Part>, WireError> {
    let mut fields = message(value, path)?;
    let uri = fields.string("fileUri")?.ok_or_else(|| missing(&fields.path_of("fileUri")))?;
    let kind = fields.string("mimeType")?.unwrap_or_default();
    let name = fields.string("displayName")?;
    Ok(media(&kind, Source::Url(uri), name).filter(|_| fields.is_empty()))
}

fn media(kind: &str, source: Source, name: Option<String>) -> Option<Part> {
    match kind.split_once('/') {
        Some(("image", _)) => Some(Part::Image(Image { source, detail: None })),
        Some(("audio", format)) => {
            let format = match format {
                "mpeg" => "mp3",
                "x-wav" | "wave" => "wav",
                other => other,
            };
            Some(Part::Audio(Audio { source, format: format.to_owned() }))
        }
        Some(("video", _)) => None,
        _ => Some(Part::Document(Document { source, name })),
    }
}
