//! JSON lines: one value per line, blank lines are nothing.

use memchr::memchr;

use super::{Frame, MAX_FRAME, too_long};
use crate::WireError;

#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The beginning of a line. `pending.len() <= MAX_FRAME`.
    pending: Vec<u8>,
}

impl Reader {
    pub(super) fn push(
        &mut self,
        chunk: &[u8],
        sink: &mut dyn FnMut(Frame<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end);
            self.bound(line.len())?;
            if self.pending.is_empty() {
                emit(line, sink)?;
            } else {
                self.pending.extend_from_slice(line);
                emit(&self.pending, sink)?;
                self.pending.clear();
            }
            rest = behind.strip_prefix(b"\n").unwrap_or(behind);
        }
        self.bound(rest.len())?;
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// A last line without its end counts only if it is a whole JSON value.
    pub(super) fn finish(
        &mut self,
        sink: &mut dyn FnMut(Frame<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let pending = std::mem::take(&mut self.pending);
        if serde_json::from_slice::<serde::de::IgnoredAny>(&pending).is_ok() {
            return emit(&pending, sink);
        }
        Ok(())
    }

    fn bound(&self, more: usize) -> Result<(), WireError> {
        if self.pending.len() + more > MAX_FRAME { Err(too_long("line", MAX_FRAME)) } else { Ok(()) }
    }
}

fn emit(line: &[u8], sink: &mut dyn FnMut(Frame<'_>) -> Result<(), WireError>) -> Result<(), WireError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.trim_ascii().is_empty() { Ok(()) } else { sink(Frame::Line(line)) }
}
