//! A reply of one dialect for a caller of another: framer, decoder, encoder.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Progress, Reply, events::Events};
use crate::{
    WireError,
    dialect::{Decoder, Encoder},
    framing::Framing,
    hub::Event,
};

/// Translates one reply into bytes of the caller's dialect.
pub struct Translate {
    events: Events,
    encoder: Box<dyn Encoder>,
}

impl Translate {
    /// A machine for a body framed and decoded so, and encoded so.
    pub fn new(framing: Framing, decoder: Box<dyn Decoder>, encoder: Box<dyn Encoder>, choices: u32) -> Self {
        Self { events: Events::new(framing, decoder, choices), encoder }
    }

    /// All that one piece yields is one item.
    fn run(&mut self, chunk: Option<&Bytes>, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        let mut out = Vec::new();
        let encoder = &mut self.encoder;
        let result = self.events.decode(chunk, &mut |event| encoder.event(&event, &mut out));
        if !out.is_empty() {
            items.push_back(out.into());
        }
        result
    }
}

impl Reply for Translate {
    type Item = Bytes;

    fn push(&mut self, chunk: Bytes, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        self.run(Some(&chunk), items)
    }

    fn finish(&mut self, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        self.run(None, items)
    }

    fn fail(&mut self, error: &WireError, items: &mut VecDeque<Bytes>) {
        let mut out = Vec::new();
        self.encoder.event(&Event::Error(error.clone()), &mut out);
        if !out.is_empty() {
            items.push_back(out.into());
        }
    }

    fn progress(&self) -> &Progress {
        self.events.progress()
    }

    fn take_progress(&mut self) -> Progress {
        self.events.take_progress()
    }
}
