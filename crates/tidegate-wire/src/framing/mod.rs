//! Framing: a byte stream, split anywhere, cut into the frames that dialects read.
//!
//! One [`Frame`] type for all framings, so that a dialect is a function of frames and never of bytes. Buffers are
//! bounded; a frame that exceeds its bound is an error. Never looks inside a payload.

/// One complete frame, borrowed from the framer's buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Frame<'a> {
    /// A server-sent event.
    Sse {
        /// `event:` field, `message` where absent.
        event: &'a str,
        /// `data:` lines, joined with LF.
        data: &'a str,
    },
    /// An AWS event-stream message.
    EventStream {
        /// `:message-type`: `event`, `exception` or `error`.
        message_type: &'a str,
        /// `:event-type`, `:exception-type` or `:error-code`.
        name: &'a str,
        /// Payload bytes; for `error` messages the `:error-message`.
        payload: &'a [u8],
    },
    /// One line of JSON lines, without its end.
    Line(&'a [u8]),
    /// A whole body.
    Whole(&'a [u8]),
}
