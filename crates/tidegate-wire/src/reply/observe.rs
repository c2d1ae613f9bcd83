//! What a relay needs of a dialect: somebody who looks at what passes, and says what becomes of it.
//!
//! The relays ([`super::Relay`], [`super::WholeRelay`]) own the bytes and are the same for every dialect; an [`Observer`] is what
//! a dialect adds. It counts for the ledger, finds the terminal event and the backend's errors, and mends what official clients
//! can't read.

use bytes::Bytes;
use http::HeaderMap;

use super::Progress;
use crate::{WireError, framing::sse::is_complete_without_blank_line};

/// Looks at one reply of a backend whose caller speaks the same dialect.
pub trait Observer: Send {
    /// Whether it wants to see the head of the backend's reply.
    fn reads_head(&self) -> bool {
        false
    }

    /// The header fields of the backend's reply, for one that wants them.
    fn head(&mut self, _headers: &HeaderMap) {}

    /// Judges one event of a stream, its blank line included; a byte order mark has been taken off.
    ///
    /// # Errors
    /// The event breaks the wire format, or is the backend's in-band error.
    fn event(&mut self, block: &[u8]) -> Result<Verdict, WireError>;

    /// Whether what the stream's end cut off from its blank line can be taken.
    fn is_complete(&self, first: bool, block: &[u8]) -> bool {
        is_complete_without_blank_line(first, block)
    }

    /// The stream has ended without its terminal event. Accepted if nothing of it is missing; what is to be added is returned.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Truncated`] for every other stream.
    fn finish(&mut self) -> Result<Bytes, WireError>;

    /// Looks at a whole reply and returns what the caller gets.
    ///
    /// # Errors
    /// The reply breaks the wire format, was cut off, or is an error.
    fn whole(&mut self, body: Bytes) -> Result<Bytes, WireError>;

    /// Whether the terminal event was seen: what comes after it is not the caller's.
    fn is_over(&self) -> bool {
        self.progress().ended
    }

    /// The error event of a stream.
    fn error_event(&mut self, error: &WireError) -> Bytes;

    /// What has been seen so far.
    fn progress(&self) -> &Progress;

    /// The same, to be taken.
    fn take_progress(&mut self) -> Progress;
}

/// What becomes of an event's bytes.
#[derive(Debug)]
pub enum Verdict {
    /// They go out as they are.
    Forward,
    /// They don't.
    Withhold,
    /// These go out.
    Replace(Vec<u8>),
}
