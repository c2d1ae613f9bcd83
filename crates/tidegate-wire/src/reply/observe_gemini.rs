//! Gemini in the relays. Responses are not changed; but a backend is always asked for server-sent events, so for a caller that
//! wants an array they are taken out of their events and put into one.

use bytes::Bytes;

use super::{
    Progress,
    observe::{Observer, Verdict},
    tally::Tally,
};
use crate::{
    WireError,
    dialect::{
        Decoder,
        gemini::{ARRAY_END, GeminiDecoder, array_lead, error_element, error_event},
    },
    framing::{
        Frame,
        sse::{is_bare_json, is_complete_without_blank_line, read_block},
    },
    hub::Event,
};

/// Looks at one reply of Gemini.
#[derive(Debug)]
pub struct GeminiObserver {
    decoder: GeminiDecoder,
    tally: Tally,
    /// Between calls empty; kept for its capacity.
    events: Vec<Event>,
    array: Option<Array>,
}

/// An array that is being written.
#[derive(Debug, Default)]
struct Array {
    begun: bool,
}

impl GeminiObserver {
    /// For a request that asked for `choices` answers. `array`: the caller wants a stream as one JSON array.
    pub(super) fn new(choices: u32, array: bool) -> Self {
        Self {
            decoder: GeminiDecoder::relayed(choices),
            tally: Tally::new(choices),
            events: Vec::new(),
            array: array.then(Array::default),
        }
    }

    fn read(&mut self, frame: Frame<'_>) -> Result<(), WireError> {
        let read = self.decoder.frame(frame, &mut self.events);
        self.count().and(read)
    }

    fn count(&mut self) -> Result<(), WireError> {
        for event in self.events.drain(..) {
            self.tally.event(&event);
            if let Event::Error(error) = event {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Observer for GeminiObserver {
    fn event(&mut self, block: &[u8]) -> Result<Verdict, WireError> {
        // A failure, which the caller gets in the gateway's words.
        if is_bare_json(block) {
            self.read(Frame::Whole(block))?;
            return Ok(Verdict::Withhold);
        }
        let Some(fields) = read_block(false, block) else {
            return Ok(if self.array.is_some() { Verdict::Withhold } else { Verdict::Forward });
        };
        self.read(Frame::Sse { event: &fields.event, data: &fields.data })?;
        Ok(match &mut self.array {
            None => Verdict::Forward,
            Some(_) if fields.data.trim().is_empty() => Verdict::Withhold,
            Some(array) => Verdict::Replace([array_lead(&mut array.begun), fields.data.as_bytes()].concat()),
        })
    }

    fn is_complete(&self, first: bool, block: &[u8]) -> bool {
        is_bare_json(block) || is_complete_without_blank_line(first, block)
    }

    fn finish(&mut self) -> Result<Bytes, WireError> {
        self.decoder.finish(&mut self.events)?;
        self.count()?;
        Ok(Bytes::from_static(if self.array.is_some() { ARRAY_END } else { b"" }))
    }

    fn whole(&mut self, body: Bytes) -> Result<Bytes, WireError> {
        self.read(Frame::Whole(&body))?;
        if !self.is_over() {
            self.decoder.finish(&mut self.events)?;
            self.count()?;
        }
        Ok(body)
    }

    fn error_event(&mut self, error: &WireError) -> Bytes {
        match &mut self.array {
            None => error_event(error).into(),
            Some(array) => error_element(error, &mut array.begun).into(),
        }
    }

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}
