//! Server-sent events by the rules of the WHATWG HTML standard, section "Server-sent events".
//!
//! Two steps, so that the relay can forward the very bytes: a [`Splitter`] finds where a block ends (at a blank line),
//! and [`read_block`] reads a block's fields. Ids and `retry` are read over: nothing here reconnects.

use std::borrow::Cow;

use memchr::memchr2;

use super::{Frame, too_long};
use crate::WireError;

/// UTF-8's. It may stand at the beginning of a body.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Cuts bytes into blocks. Every byte is looked at once and copied at most once.
#[derive(Debug)]
pub(crate) struct Splitter {
    /// The beginning of a block whose end has not come. `pending.len() <= bound`.
    pending: Vec<u8>,
    lines: LineEnds,
    /// Whether the next block is the body's first, which may begin with a byte order mark.
    first: bool,
    bound: usize,
}

impl Splitter {
    pub(crate) fn new(bound: usize) -> Self {
        Self { pending: Vec::new(), lines: LineEnds::default(), first: true, bound }
    }

    /// Hands every block that became complete to `sink`, its blank line included, with whether it is the body's first.
    pub(crate) fn push(
        &mut self,
        chunk: &[u8],
        mut sink: impl FnMut(bool, &[u8]) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut start = 0;
        while let Some(end) = self.lines.next_blank(chunk, start) {
            let block = chunk.get(start..end).unwrap_or_default();
            if self.pending.len() + block.len() > self.bound {
                return Err(too_long("event", self.bound));
            }
            if self.pending.is_empty() {
                sink(std::mem::take(&mut self.first), block)?;
            } else {
                self.pending.extend_from_slice(block);
                sink(std::mem::take(&mut self.first), &self.pending)?;
                self.pending.clear();
            }
            start = end;
        }
        self.hold(chunk.get(start..).unwrap_or_default())
    }

    /// What came after the last blank line, if anything.
    pub(crate) fn take_pending(&mut self) -> Option<(bool, Vec<u8>)> {
        let pending = std::mem::take(&mut self.pending);
        (!pending.is_empty()).then_some((self.first, pending))
    }

    fn hold(&mut self, rest: &[u8]) -> Result<(), WireError> {
        if self.pending.len() + rest.len() > self.bound {
            return Err(too_long("event", self.bound));
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }
}

/// Finds blank lines. Lines end with LF, CR or CRLF, mixed at will.
#[derive(Debug)]
pub(crate) struct LineEnds {
    /// Whether nothing has come since the last line end.
    at_line_start: bool,
    /// Whether the last byte of the last piece was a CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Default for LineEnds {
    fn default() -> Self {
        Self { at_line_start: true, after_cr: false }
    }
}

impl LineEnds {
    /// The index behind the next blank line at or after `from`. Call it until it says `None`, with one piece, before
    /// the next piece.
    pub(crate) fn next_blank(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut line = from;
        if self.after_cr && line < bytes.len() {
            self.after_cr = false;
            if bytes.get(line) == Some(&b'\n') {
                line += 1;
            }
        }
        while let Some(found) = bytes.get(line..).and_then(|rest| memchr2(b'\n', b'\r', rest)) {
            let blank = self.at_line_start && found == 0;
            line = self.behind_line_end(bytes, line + found);
            self.at_line_start = true;
            if blank {
                return Some(line);
            }
        }
        if line < bytes.len() {
            self.at_line_start = false;
        }
        None
    }

    fn behind_line_end(&mut self, bytes: &[u8], at: usize) -> usize {
        if bytes.get(at) == Some(&b'\n') {
            return at + 1;
        }
        match bytes.get(at + 1) {
            Some(b'\n') => at + 2,
            Some(_) => at + 1,
            None => {
                self.after_cr = true;
                at + 1
            }
        }
    }
}

/// What a block says: event name and data. `None` for a block without data: comments, `retry`, nothing.
pub(crate) struct Fields<'a> {
    pub(crate) event: Cow<'a, str>,
    pub(crate) data: Cow<'a, str>,
}

/// Reads the fields of one block; `first` allows a byte order mark.
pub(crate) fn read_block(first: bool, block: &[u8]) -> Option<Fields<'_>> {
    let block = match block.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) if first => rest,
        _ => block,
    };
    let mut event: &[u8] = b"";
    let mut data: Option<Cow<'_, [u8]>> = None;
    for line in lines(block) {
        match split_field(line) {
            (b"data", value) => data = Some(join(data, value)),
            (b"event", value) => event = value,
            _ => {}
        }
    }
    let event = if event.is_empty() { b"message".as_slice() } else { event };
    Some(Fields { event: String::from_utf8_lossy(event), data: text(data?) })
}

/// The data of a block of the most common form, one `data:` line and nothing else; `None`: read it with
/// [`read_block`].
pub(crate) fn single_data_line(block: &[u8]) -> Option<&[u8]> {
    let rest = block.strip_prefix(b"data:")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let line = rest.strip_suffix(b"\n\n").or_else(|| rest.strip_suffix(b"\r\n\r\n"))?;
    memchr2(b'\n', b'\r', line).is_none().then_some(line)
}

/// Hands a block's event to `sink`, if it has one.
pub(crate) fn dispatch(
    first: bool,
    block: &[u8],
    sink: &mut dyn FnMut(Frame<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    match read_block(first, block) {
        Some(fields) => sink(Frame::Sse { event: &fields.event, data: &fields.data }),
        None => Ok(()),
    }
}

/// The same, for streams in which a block may be a bare JSON object.
pub(crate) fn dispatch_or_json(
    first: bool,
    block: &[u8],
    sink: &mut dyn FnMut(Frame<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    if is_bare_json(block) { sink(Frame::Whole(block)) } else { dispatch(first, block, sink) }
}

/// No field of an event begins with a brace.
pub(crate) fn is_bare_json(block: &[u8]) -> bool {
    block.trim_ascii_start().starts_with(b"{")
}

/// Whether data that the body's end cut off from its blank line can be taken. The standard says to discard it, but
/// several servers end without the blank line: taken only if nothing of it can be missing, that is, if it is `[DONE]` or
/// a whole JSON object.
pub(crate) fn is_complete_without_blank_line(first: bool, block: &[u8]) -> bool {
    read_block(first, block).is_some_and(|fields| {
        let data = fields.data.trim();
        data == "[DONE]"
            || (data.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok())
    })
}

fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    // An LF behind a CR yields an empty line here, which says nothing.
    block.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty())
}

fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b':', line) {
        Some(colon) => {
            let (name, value) = line.split_at(colon);
            let value = value.strip_prefix(b":").unwrap_or(value);
            (name, value.strip_prefix(b" ").unwrap_or(value))
        }
        None => (line, b""),
    }
}

fn join<'a>(data: Option<Cow<'a, [u8]>>, value: &'a [u8]) -> Cow<'a, [u8]> {
    match data {
        None => Cow::Borrowed(value),
        Some(before) => {
            let mut joined = before.into_owned();
            joined.push(b'\n');
            joined.extend_from_slice(value);
            Cow::Owned(joined)
        }
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}
