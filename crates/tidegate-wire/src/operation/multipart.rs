//! The few small fields that are looked for in a multipart body (RFC 7578), by their places in it.
//!
//! Reads the heads of parts and never copies a part: what files hold is passed over by a search for the next boundary.

use std::ops::Range;

use http::{HeaderMap, header::CONTENT_TYPE};
use memchr::memmem;

use crate::WireError;

/// Where the values of a form's fields stand.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// Of `model`.
    pub(super) model: Option<Range<usize>>,
    /// Of `stream`.
    pub(super) stream: Option<Range<usize>>,
}

/// The boundary that a head of a request announces. `None`: its body is no form.
///
/// # Errors
/// It is a form and names no boundary, or one that can't be.
pub(super) fn boundary(headers: &HeaderMap) -> Result<Option<String>, WireError> {
    let Some(media) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return Ok(None);
    };
    let (kind, parameters) = media.split_once(';').unwrap_or((media, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Ok(None);
    }
    let named = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let mut found = named.filter(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"));
    let boundary = found.next().map(|(_, value)| value.trim().trim_matches('"'));
    match boundary.filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len())) {
        Some(boundary) => Ok(Some(boundary.to_owned())),
        None => Err(WireError::bad_request("The form's content-type names no boundary.")),
    }
}

/// Finds the fields.
///
/// # Errors
/// The body is not divided by `boundary`, a part has no head, or a field comes twice: it would have two meanings.
pub(super) fn fields(body: &[u8], boundary: &str) -> Result<Form, WireError> {
    let broken = || WireError::bad_request("The request body is not a form as its content-type says.");
    let delimiter = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(delimiter.as_bytes());
    // The first one may stand at the very beginning, without the line end before it.
    let opening = delimiter.trim_start().as_bytes();
    let mut at = match body.starts_with(opening) {
        true => opening.len(),
        false => finder.find(body).ok_or_else(broken)? + delimiter.len(),
    };
    let mut form = Form::default();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(form);
        }
        let line =
            memmem::find(rest, b"\r\n").filter(|end| rest.iter().take(*end).all(u8::is_ascii_whitespace));
        let head = at + line.ok_or_else(broken)? + 2;
        let (value, name) = match body.get(head..) {
            // A part without a head is one without a name.
            Some(bare) if bare.starts_with(b"\r\n") => (head + 2, None),
            Some(headed) => {
                let end = memmem::find(headed, b"\r\n\r\n")
                    .filter(|end| *end <= MAX_PART_HEAD)
                    .ok_or_else(broken)?;
                (head + end + 4, headed.get(..end).and_then(name_of))
            }
            None => return Err(broken()),
        };
        // The line end before a delimiter is a part of it, and may be the one behind an empty part's head.
        let search = value - 2;
        let end = search + finder.find(body.get(search..).unwrap_or_default()).ok_or_else(broken)?;
        let slot = match name.as_deref() {
            Some("model") => Some((&mut form.model, "model")),
            Some("stream") => Some((&mut form.stream, "stream")),
            _ => None,
        };
        if let Some((slot, name)) = slot
            && slot.replace(value..end.max(value)).is_some()
        {
            return Err(WireError::bad_request(format!("Duplicate parameter '{name}'.")).with_param(name));
        }
        at = end + delimiter.len();
    }
}

/// A part with this field, to stand before all others.
pub(super) fn part(boundary: &str, name: &str, value: &str) -> String {
    format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

/// The `name` that the head of a part gives it.
fn name_of(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let line = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let parameters = line.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut names = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("name"));
    names.next().map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

/// RFC 2046, section 5.1.1.
const MAX_BOUNDARY: usize = 70;
/// Of the head of one part, in bytes; it holds a file's name.
const MAX_PART_HEAD: usize = 8 * 1024;
