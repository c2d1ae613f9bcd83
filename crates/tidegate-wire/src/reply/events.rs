//! A reply as hub events, for the SDK; and the half of translating that turns a backend's bytes into events.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Progress, Reply, tally::Tally};
use crate::{
    WireError,
    dialect::Decoder,
    framing::{Framer, Framing},
    hub::Event,
};

/// Yields the hub events of one reply.
pub struct Events {
    framer: Framer,
    decoder: Box<dyn Decoder>,
    tally: Tally,
    /// Between calls empty; kept for its capacity.
    decoded: Vec<Event>,
}

impl Events {
    /// A machine for a body framed so and decoded so, of a request that asked for `choices` answers.
    pub fn new(framing: Framing, decoder: Box<dyn Decoder>, choices: u32) -> Self {
        Self { framer: Framer::new(framing), decoder, tally: Tally::new(choices), decoded: Vec::new() }
    }

    /// Decodes a piece, or the body's end if it is `None`, and hands each event to `sink`. An error comes after the
    /// events that were decoded before it.
    pub(super) fn decode(
        &mut self,
        chunk: Option<&Bytes>,
        sink: &mut dyn FnMut(Event),
    ) -> Result<(), WireError> {
        if self.tally.progress.ended {
            return Ok(());
        }
        let Self { framer, decoder, decoded, .. } = self;
        let mut result = {
            let mut each = |frame: crate::framing::Frame<'_>| decoder.frame(frame, decoded);
            match chunk {
                Some(chunk) => framer.push(chunk, &mut each),
                None => framer.finish(&mut each),
            }
        };
        // An end or an error that the backend reported comes first: what the body's own end says then is of no interest.
        if chunk.is_none() && result.is_ok() && !decoded.iter().any(is_last) {
            result = self.decoder.finish(&mut self.decoded);
        }
        for event in self.decoded.drain(..) {
            self.tally.event(&event);
            self.tally.check()?;
            if let Event::Error(error) = event {
                return Err(error);
            }
            sink(event);
        }
        result
    }
}

fn is_last(event: &Event) -> bool {
    matches!(event, Event::End | Event::Error(_))
}

impl Reply for Events {
    type Item = Event;

    fn push(&mut self, chunk: Bytes, items: &mut VecDeque<Event>) -> Result<(), WireError> {
        self.decode(Some(&chunk), &mut |event| items.push_back(event))
    }

    fn finish(&mut self, items: &mut VecDeque<Event>) -> Result<(), WireError> {
        self.decode(None, &mut |event| items.push_back(event))
    }

    fn fail(&mut self, error: &WireError, items: &mut VecDeque<Event>) {
        items.push_back(Event::Error(error.clone()));
    }

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}
