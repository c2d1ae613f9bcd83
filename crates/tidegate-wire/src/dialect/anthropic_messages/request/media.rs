//! Images and documents. Bytes stay base64 as they came; URLs are for the backend to fetch, and nothing is fetched here.

use std::borrow::Cow;

use crate::{
    WireError,
    dialect::api::document_text,
    hub::{Document, Image, Source},
};

use super::{
    blocks::{Block, Kind, MediaSource},
    unsupported,
};

/// `detail` is dropped: `low` allows a cheaper look and demands none, and Claude always looks at the whole picture.
pub(super) fn image<'a>(image: &'a Image, path: &str) -> Result<Block<'a>, WireError> {
    let source = match &image.source {
        Source::Base64 { media_type, data } => match media_type.to_ascii_lowercase().as_str() {
            "image/jpg" => MediaSource::Base64 { media_type: "image/jpeg".into(), data },
            kind if IMAGE_TYPES.contains(&kind) => {
                MediaSource::Base64 { media_type: Cow::Owned(kind.to_owned()), data }
            }
            _ => {
                let param = format!("{path}.content.image_url");
                return Err(unsupported(param, "images are jpeg, png, gif or webp"));
            }
        },
        Source::Url(url) => MediaSource::Url { url },
        Source::FileId(file_id) => MediaSource::File { file_id },
    };
    Ok(Kind::Image { source }.into())
}

/// PDF as it is, plain text as text; everything else has no form here.
pub(super) fn document<'a>(document: &'a Document, path: &str) -> Result<Block<'a>, WireError> {
    let name = document.name.as_deref();
    let param = || format!("{path}.content.file");
    let source = match &document.source {
        Source::Base64 { media_type, data } if is(media_type, name, "application/pdf", ".pdf") => {
            MediaSource::Base64 { media_type: "application/pdf".into(), data }
        }
        Source::Base64 { media_type, data }
            if media_type.starts_with("text/") || is(media_type, name, "text/plain", ".txt") =>
        {
            let text = document_text(data, &param())?;
            MediaSource::Text { media_type: "text/plain", data: text }
        }
        Source::Base64 { .. } => return Err(unsupported(param(), "documents are PDF or plain text")),
        Source::Url(url) => MediaSource::Url { url },
        Source::FileId(file_id) => MediaSource::File { file_id },
    };
    Ok(Kind::Document { source, title: name }.into())
}

/// By its type or, where it has none, by its name.
fn is(media_type: &str, name: Option<&str>, wanted: &str, extension: &str) -> bool {
    let bare = media_type.split(';').next().unwrap_or_default().trim();
    bare.eq_ignore_ascii_case(wanted)
        || bare.is_empty() && name.is_some_and(|name| name.to_ascii_lowercase().ends_with(extension))
}

const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
