//! Anthropic's Messages in the relays: nothing is changed. What counts tokens, in any dialect, answers at once and costs nothing.

use bytes::Bytes;
use serde_json::Value;

use super::{
    Progress,
    observe::{Observer, Verdict},
    tally::Tally,
};
use crate::{
    WireError,
    dialect::{
        Decoder,
        anthropic_messages::{MessagesDecoder, error_event},
    },
    framing::{Frame, sse::read_block},
    hub::{Event, Usage},
};

/// Looks at one Messages reply.
#[derive(Debug)]
pub struct MessagesObserver {
    decoder: MessagesDecoder,
    tally: Tally,
    /// Between calls empty; kept for its capacity.
    events: Vec<Event>,
}

impl Default for MessagesObserver {
    fn default() -> Self {
        Self { decoder: MessagesDecoder::new(), tally: Tally::new(1), events: Vec::new() }
    }
}

impl MessagesObserver {
    fn read(&mut self, frame: Frame<'_>) -> Result<(), WireError> {
        let read = self.decoder.frame(frame, &mut self.events);
        for event in self.events.drain(..) {
            self.tally.event(&event);
            if let Event::Error(error) = event {
                return Err(error);
            }
        }
        read
    }
}

impl Observer for MessagesObserver {
    fn event(&mut self, block: &[u8]) -> Result<Verdict, WireError> {
        if let Some(fields) = read_block(false, block) {
            self.read(Frame::Sse { event: &fields.event, data: &fields.data })?;
        }
        Ok(Verdict::Forward)
    }

    fn finish(&mut self) -> Result<Bytes, WireError> {
        self.decoder.finish(&mut self.events)?;
        Ok(Bytes::new())
    }

    fn whole(&mut self, body: Bytes) -> Result<Bytes, WireError> {
        self.read(Frame::Whole(&body))?;
        Ok(body)
    }

    fn error_event(&mut self, error: &WireError) -> Bytes {
        error_event(error)
    }

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}

/// Looks at the count of a request's tokens.
#[derive(Debug)]
pub struct CountObserver {
    /// The field that has it.
    field: &'static str,
    tally: Tally,
}

impl CountObserver {
    pub(super) fn new(field: &'static str) -> Self {
        Self { field, tally: Tally::default() }
    }
}

impl Observer for CountObserver {
    fn event(&mut self, _: &[u8]) -> Result<Verdict, WireError> {
        Ok(Verdict::Forward)
    }

    fn finish(&mut self) -> Result<Bytes, WireError> {
        Err(WireError::truncated("a count of tokens is not streamed"))
    }

    fn whole(&mut self, body: Bytes) -> Result<Bytes, WireError> {
        let told = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let count = |name: &str| told.get(name).and_then(Value::as_u64);
        let body = match (count(self.field), count("inputTokens")) {
            (Some(_), _) => body,
            // Bedrock's word for it.
            (None, Some(tokens)) => Bytes::from(format!(r#"{{"{}":{tokens}}}"#, self.field)),
            (None, None) => {
                let message = format!("the backend's count of tokens has no {}", self.field);
                return Err(WireError::protocol(message));
            }
        };
        // No model has run.
        self.tally.event(&Event::Usage(Usage::default()));
        self.tally.event(&Event::End);
        Ok(body)
    }

    fn error_event(&mut self, error: &WireError) -> Bytes {
        error_event(error)
    }

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}
