//! One tool call at a time from a backend that can't be held to it: of several calls in an answer the first is passed on.
//!
//! A program that says `parallel_tool_calls: false` can't handle two at once. It answers the one that it gets, and the model, which
//! sees its own turn with that call alone, asks again for whatever else it needs. Called by [`crate::host`].

use super::Decoder;
use crate::{WireError, framing::Frame, hub::Event};

/// Reads a reply and leaves out all tool calls of an answer but its first.
pub(crate) struct OneCallDecoder {
    inner: Box<dyn Decoder>,
}

impl OneCallDecoder {
    pub(crate) fn new(inner: Box<dyn Decoder>) -> Self {
        Self { inner }
    }
}

/// Calls of an answer are numbered from 0.
fn is_further_call(event: &Event) -> bool {
    matches!(event, Event::ToolCallStart { index, .. } | Event::ToolCallArguments { index, .. } if *index > 0)
}

impl Decoder for OneCallDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        let result = self.inner.frame(frame, events);
        events.retain(|event| !is_further_call(event));
        result
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), WireError> {
        let result = self.inner.finish(events);
        events.retain(|event| !is_further_call(event));
        result
    }
}
