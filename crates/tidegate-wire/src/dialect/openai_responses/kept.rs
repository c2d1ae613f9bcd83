//! Responses that a backend keeps, by the ids that callers have for them.
//!
//! A kept response is read, deleted, cancelled and continued by its id alone, and only the host that made it knows it. So that no
//! state is needed to find that host, the id that a caller gets says it: `resp_68a1` of the host `azure-eu` is `resp_68a1.azure-eu`
//! for callers, and in every reply and request that passes, the part behind the dot is put on or taken off. OpenAI's and other
//! servers' ids have no dot; a host's name is written so that it has none either. Only replies that are kept are marked: with
//! `store: false` a reply's bytes are not touched.

use std::ops::Range;

use crate::json::Cursor;

/// The id under which callers know a response that `host` keeps.
pub fn mark(id: &str, host: &str) -> String {
    let mut marked = format!("{id}.");
    for byte in host.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            marked.push(char::from(byte));
        } else {
            marked.push_str(&format!("~{byte:02x}"));
        }
    }
    marked
}

/// The host that an id names, and the id that it knows. `None`: it names none.
pub fn split(marked: &str) -> Option<(String, &str)> {
    let (id, encoded) = marked.rsplit_once('.')?;
    let mut host = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        host.push(match byte {
            b'~' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    let host = String::from_utf8(host).ok()?;
    (!id.is_empty() && !host.is_empty()).then_some((host, id))
}

/// Marks the ids of the response in `json`: an event of a stream with a `response` in it, or, if `whole`, the response itself.
/// `None`: there is nothing to mark.
pub(crate) fn mark_ids(json: &str, whole: bool, host: &str) -> Option<String> {
    let mut places: Vec<Range<usize>> = Vec::new();
    let mut cursor = Cursor::over(json);
    let mut ids = |cursor: &mut Cursor<'_>| {
        cursor.fields(|cursor, key| match key {
            b"id" | b"previous_response_id" if !cursor.take_null() => {
                places.push(place(json, cursor.plain_text()?));
                Some(())
            }
            b"id" | b"previous_response_id" => Some(()),
            _ => cursor.skip(),
        })
    };
    // Where it can't be read to its end, what was found before is right all the same.
    let _ = match whole {
        true => ids(&mut cursor),
        false => cursor.fields(|cursor, key| if key == b"response" { ids(cursor) } else { cursor.skip() }),
    };
    let mut marked = String::with_capacity(json.len() + places.len() * (host.len() + 1));
    let mut from = 0;
    for place in places.iter().filter(|place| !place.is_empty()) {
        marked.push_str(json.get(from..place.start)?);
        marked.push_str(&mark(json.get(place.clone())?, host));
        from = place.end;
    }
    marked.push_str(json.get(from..)?);
    (from > 0).then_some(marked)
}

/// Where `part`, a slice of `text`, stands in it.
fn place(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.len()
}
