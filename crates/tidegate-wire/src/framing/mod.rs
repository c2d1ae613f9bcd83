//! Framing: a byte stream, split anywhere, cut into the frames that dialects read.
//!
//! One [`Frame`] type for all framings, so that a dialect is a function of frames and never of bytes. Buffers are
//! bounded; a frame that exceeds its bound is an error. Never looks inside a payload. Called by the reply machines.
//!
//! A frame that lies whole in one piece is borrowed from it; only a frame that is split is copied, once.

pub(crate) mod event_stream;
mod lines;
pub(crate) mod sse;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::WireError;

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

/// How a body is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// Server-sent events among which a bare JSON object may stand, with blank lines around it: Google's form of a failure.
    SseOrJson,
    /// AWS event stream.
    EventStream,
    /// JSON lines.
    JsonLines,
    /// Not at all: the body is one frame.
    Whole,
}

/// Longest frame of a stream. The longest one recorded is under 64 KiB; inline images and audio need room.
pub const MAX_FRAME: usize = 16 << 20;

/// Longest body of a reply that is not streamed.
pub const MAX_WHOLE: usize = 64 << 20;

/// Cuts one body into frames.
#[derive(Debug)]
pub struct Framer(Kind);

#[derive(Debug)]
enum Kind {
    Sse(sse::Splitter),
    SseOrJson(sse::Splitter),
    EventStream(event_stream::Reader),
    JsonLines(lines::Reader),
    Whole(Vec<u8>),
}

impl Framer {
    /// A framer at the start of a body.
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Sse => Kind::Sse(sse::Splitter::new(MAX_FRAME)),
            Framing::SseOrJson => Kind::SseOrJson(sse::Splitter::new(MAX_FRAME)),
            Framing::EventStream => Kind::EventStream(event_stream::Reader::default()),
            Framing::JsonLines => Kind::JsonLines(lines::Reader::default()),
            Framing::Whole => Kind::Whole(Vec::new()),
        })
    }

    /// Takes the next piece and hands every frame that became complete to `sink`, in order.
    ///
    /// # Errors
    /// A frame exceeds its bound or breaks the framing; or `sink`'s own error, after which nothing may be pushed.
    pub fn push(
        &mut self,
        chunk: &Bytes,
        sink: &mut dyn FnMut(Frame<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        match &mut self.0 {
            Kind::Sse(splitter) => splitter.push(chunk, |first, block| sse::dispatch(first, block, sink)),
            Kind::SseOrJson(splitter) => {
                splitter.push(chunk, |first, block| sse::dispatch_or_json(first, block, sink))
            }
            Kind::EventStream(reader) => reader.push(chunk, sink),
            Kind::JsonLines(reader) => reader.push(chunk, sink),
            Kind::Whole(body) => {
                if body.len() + chunk.len() > MAX_WHOLE {
                    return Err(too_long("reply", MAX_WHOLE));
                }
                body.extend_from_slice(chunk);
                Ok(())
            }
        }
    }

    /// The body has ended: hands out what is still pending, as far as it is complete.
    ///
    /// # Errors
    /// The body ended inside a binary frame, or `sink`'s own error.
    pub fn finish(
        &mut self,
        sink: &mut dyn FnMut(Frame<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        match &mut self.0 {
            Kind::Sse(splitter) => match splitter.take_pending() {
                Some((first, block)) if sse::is_complete_without_blank_line(first, &block) => {
                    sse::dispatch(first, &block, sink)
                }
                _ => Ok(()),
            },
            Kind::SseOrJson(splitter) => match splitter.take_pending() {
                // An object that is cut off is a failure that was not told to its end: the dialect says so.
                Some((first, block))
                    if sse::is_bare_json(&block) || sse::is_complete_without_blank_line(first, &block) =>
                {
                    sse::dispatch_or_json(first, &block, sink)
                }
                _ => Ok(()),
            },
            Kind::EventStream(reader) => reader.finish(),
            Kind::JsonLines(reader) => reader.finish(sink),
            Kind::Whole(body) => sink(Frame::Whole(&std::mem::take(body))),
        }
    }
}

/// What the backend sends is longer than it may be.
pub(crate) fn too_long(what: &str, bound: usize) -> WireError {
    WireError::protocol(format!("the backend's {what} is longer than {bound} bytes"))
}
