//! A reply of Bedrock's InvokeModel: event-stream frames whose payload has, in base64, an event of the model's vendor.
//!
//! Takes the events out and hands them on as server-sent events to the machine that reads or relays the vendor's own stream; adds
//! nothing else. Frames' padding is left behind. Made by [`crate::host::ReplyPlan`].

use std::{borrow::Cow, collections::VecDeque};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;

use super::{Progress, Reply};
use crate::{
    ErrorClass, WireError,
    dialect::bedrock_converse::{decode_error_message, decode_exception},
    framing::{Frame, Framer, Framing},
};

/// A machine behind an envelope.
pub(crate) struct Enveloped<I> {
    framer: Framer,
    inner: Box<dyn Reply<Item = I>>,
}

impl<I> Enveloped<I> {
    /// `inner` reads server-sent events.
    pub(crate) fn new(inner: Box<dyn Reply<Item = I>>) -> Self {
        Self { framer: Framer::new(Framing::EventStream), inner }
    }
}

impl<I> Reply for Enveloped<I> {
    type Item = I;

    fn push(&mut self, chunk: Bytes, items: &mut VecDeque<I>) -> Result<(), WireError> {
        let Self { framer, inner } = self;
        framer.push(&chunk, &mut |frame| inner.push(event(frame)?, items))
    }

    fn finish(&mut self, items: &mut VecDeque<I>) -> Result<(), WireError> {
        let Self { framer, inner } = self;
        framer.finish(&mut |frame| inner.push(event(frame)?, items))?;
        inner.finish(items)
    }

    fn fail(&mut self, error: &WireError, items: &mut VecDeque<I>) {
        self.inner.fail(error, items);
    }

    fn progress(&self) -> &Progress {
        self.inner.progress()
    }

    fn take_progress(&mut self) -> Progress {
        self.inner.take_progress()
    }
}

/// The server-sent event that is in a frame; nothing, if there is none.
fn event(frame: Frame<'_>) -> Result<Bytes, WireError> {
    let payload = match frame {
        Frame::EventStream { message_type: "event", name: "chunk", payload } => payload,
        // Newer than this code.
        Frame::EventStream { message_type: "event", .. } => return Ok(Bytes::new()),
        Frame::EventStream { message_type: "exception", name, payload } => {
            return Err(decode_exception(name, payload));
        }
        Frame::EventStream { name, payload, .. } => return Err(decode_error_message(name, payload)),
        Frame::Sse { .. } | Frame::Line(_) | Frame::Whole(_) => {
            return Err(WireError::new(ErrorClass::Internal, "InvokeModel has no frames of this kind"));
        }
    };
    let broken = |what: &dyn std::fmt::Display| WireError::protocol(format!("InvokeModel's chunk: {what}"));
    let chunk: Chunk<'_> = serde_json::from_slice(payload).map_err(|error| broken(&error))?;
    let json = STANDARD.decode(chunk.bytes.as_bytes()).map_err(|error| broken(&error))?;
    let kind: Kind<'_> = serde_json::from_slice(&json).map_err(|error| broken(&error))?;
    let mut event = Vec::with_capacity(json.len() + 48);
    event.extend_from_slice(b"event: ");
    event.extend_from_slice(kind.name.as_bytes());
    for line in json.split(|byte| *byte == b'\n') {
        event.extend_from_slice(b"\ndata: ");
        event.extend_from_slice(line);
    }
    event.extend_from_slice(b"\n\n");
    Ok(event.into())
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    bytes: Cow<'a, str>,
}

/// The name of an event, which server-sent events have on a line of their own.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    name: Cow<'a, str>,
}
