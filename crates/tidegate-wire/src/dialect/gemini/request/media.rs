//! Pictures, sound and documents as parts. Bytes stay base64 as they came; nothing is fetched: a URL is Google's to read, which takes
//! those of its own storage and public ones.

use serde_json::{Value, json};

use super::unsupported;
use crate::{
    WireError,
    dialect::gemini::put,
    hub::{Audio, Document, Image, Source},
};

pub(super) fn image(image: &Image, path: &str) -> Result<Value, WireError> {
    // `detail` is a hint: Gemini looks at the whole picture, unless `mediaResolution` says otherwise for all of them.
    part(&image.source, "", &format!("{path}.content.image_url"))
}

pub(super) fn audio(audio: &Audio, path: &str) -> Result<Value, WireError> {
    part(&audio.source, &audio.format, &format!("{path}.content.input_audio"))
}

pub(super) fn document(document: &Document, path: &str) -> Result<Value, WireError> {
    part(&document.source, document.name.as_deref().unwrap_or_default(), &format!("{path}.content.file"))
}

/// `name` is what else may tell the kind: a file's name, or a format.
fn part(source: &Source, name: &str, param: &str) -> Result<Value, WireError> {
    let unknown = || unsupported(param, "its media type is not known; give it in a data URL");
    match source {
        Source::Base64 { media_type, data } => {
            let kind = Some(&**media_type).filter(|kind| !kind.is_empty()).or_else(|| kind_of(name));
            Ok(json!({ "inlineData": { "mimeType": kind.ok_or_else(unknown)?, "data": data } }))
        }
        Source::FileId(id) if !id.contains("://") => {
            Err(unsupported(param, "files are named by their URIs, such as gs://BUCKET/FILE"))
        }
        Source::Url(uri) | Source::FileId(uri) => {
            let path = uri.split(['?', '#']).next().unwrap_or_default();
            let mut file = json!({ "fileUri": uri });
            // Vertex wants it; where it is not known, Google may know.
            if let Some(kind) = kind_of(path).or_else(|| kind_of(name)) {
                put(&mut file, "mimeType", kind);
            }
            Ok(json!({ "fileData": file }))
        }
    }
}

/// By a name's extension.
fn kind_of(name: &str) -> Option<&'static str> {
    let extension = name.rsplit_once('.').map_or(name, |(_, extension)| extension).to_ascii_lowercase();
    KINDS.iter().find(|(known, _)| *known == extension).map(|(_, kind)| *kind)
}

const KINDS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("json", "application/json"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mp3"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("webm", "video/webm"),
];
