//! Images, sound and documents: format names, sources, and document names that Bedrock accepts.
//!
//! Bytes stay base64 as they came. Nothing is fetched: a URL is refused, unless it is an S3 location, which Bedrock reads
//! by itself.

use std::collections::HashSet;

use crate::{
    WireError,
    hub::{Audio, Document, Image, Source},
};

use super::{
    blocks::{AudioBlock, DocumentBlock, ImageBlock, MediaSource},
    unsupported,
};

pub(super) fn image<'a>(image: &'a Image, path: &str) -> Result<ImageBlock<'a>, WireError> {
    let param = format!("{path}.content.image_url");
    // `detail` is dropped: `low` allows a cheaper look and demands none, and Bedrock always looks at the whole picture.
    let format = lookup(IMAGE_FORMATS, &kind(&image.source))
        .ok_or_else(|| unsupported(&*param, "images are png, jpeg, gif or webp"))?;
    Ok(ImageBlock { format, source: source(&image.source, &param)? })
}

pub(super) fn audio<'a>(audio: &'a Audio, path: &str) -> Result<AudioBlock<'a>, WireError> {
    let param = format!("{path}.content.input_audio");
    if !AUDIO_FORMATS.contains(&audio.format.as_str()) {
        return Err(unsupported(format!("{param}.format"), "it is not one of its audio formats"));
    }
    Ok(AudioBlock { format: &audio.format, source: source(&audio.source, &param)? })
}

pub(super) fn document<'a>(
    document: &'a Document,
    names: &mut DocumentNames,
    path: &str,
) -> Result<DocumentBlock<'a>, WireError> {
    let param = format!("{path}.content.file");
    let source = source(&document.source, &param)?;
    let file_name = document.name.as_deref();
    let format = lookup(DOCUMENT_FORMATS, &kind(&document.source))
        .or_else(|| lookup(DOCUMENT_FORMATS, &extension(file_name?)))
        .ok_or_else(|| {
            unsupported(&*param, "documents are pdf, csv, doc, docx, xls, xlsx, html, txt or md")
        })?;
    Ok(DocumentBlock { format, name: names.name(file_name), source })
}

fn source<'a>(source: &'a Source, param: &str) -> Result<MediaSource<'a>, WireError> {
    match source {
        Source::Base64 { data, .. } => Ok(MediaSource::Bytes(data)),
        Source::Url(url) if url.starts_with("s3://") => Ok(MediaSource::S3Location { uri: url }),
        Source::Url(_) => Err(unsupported(param, "it takes no URLs (s3:// ones excepted); send the bytes")),
        Source::FileId(_) => Err(unsupported(param, "it stores no files; send the bytes")),
    }
}

/// The media type, or a file's extension where there is none.
fn kind(source: &Source) -> String {
    match source {
        Source::Base64 { media_type, .. } => {
            media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
        }
        Source::Url(url) => extension(url),
        Source::FileId(_) => String::new(),
    }
}

fn extension(name: &str) -> String {
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

fn lookup(table: &'static [(&'static str, &'static [&'static str])], kind: &str) -> Option<&'static str> {
    table.iter().find(|(format, kinds)| *format == kind || kinds.contains(&kind)).map(|(format, _)| *format)
}

/// Names given to the documents of one request. Converse requires one for each, of letters, digits, single spaces,
/// hyphens, parentheses and square brackets, and distinct ones. Underscores are not documented but recorded as accepted.
#[derive(Default)]
pub(super) struct DocumentNames {
    used: HashSet<String>,
}

impl DocumentNames {
    fn name(&mut self, file_name: Option<&str>) -> String {
        let base = file_name.and_then(clean_name);
        let numbered = |number| match &base {
            Some(base) => format!("{base} ({number})"),
            None => format!("Document {number}"),
        };
        let place = self.used.len().saturating_add(1);
        let mut candidates = base.clone().into_iter().chain((place..).map(numbered));
        candidates.find(|name| self.used.insert(name.clone())).unwrap_or_default()
    }
}

/// The file's stem in Bedrock's characters; `None` if nothing readable is left of it.
fn clean_name(file_name: &str) -> Option<String> {
    let stem = match file_name.rsplit_once('.') {
        Some((stem, extension)) if lookup(DOCUMENT_FORMATS, &extension.to_ascii_lowercase()).is_some() => {
            stem
        }
        _ => file_name,
    };
    let allowed = |character: char| match character {
        '-' | '_' | '(' | ')' | '[' | ']' => character,
        _ if character.is_ascii_alphanumeric() => character,
        _ if character.is_whitespace() => ' ',
        _ => '-',
    };
    let cleaned: String = stem.chars().take(NAME_CHARACTERS).map(allowed).collect();
    let cleaned = cleaned.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    cleaned.contains(|character: char| character.is_ascii_alphanumeric()).then_some(cleaned)
}

/// Bedrock's limit is 200; the rest is room for a number.
const NAME_CHARACTERS: usize = 180;

const IMAGE_FORMATS: &[(&str, &[&str])] = &[
    ("png", &["image/png"]),
    ("jpeg", &["image/jpeg", "image/jpg", "jpg"]),
    ("gif", &["image/gif"]),
    ("webp", &["image/webp"]),
];

const DOCUMENT_FORMATS: &[(&str, &[&str])] = &[
    ("pdf", &["application/pdf"]),
    ("csv", &["text/csv"]),
    ("doc", &["application/msword"]),
    ("docx", &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"]),
    ("xls", &["application/vnd.ms-excel"]),
    ("xlsx", &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"]),
    ("html", &["text/html", "htm"]),
    ("txt", &["text/plain"]),
    ("md", &["text/markdown", "markdown"]),
];

/// Enum AudioFormat of the service model.
const AUDIO_FORMATS: &[&str] = &[
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm",
    "webm",
];
