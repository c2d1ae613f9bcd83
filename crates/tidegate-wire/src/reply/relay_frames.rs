//! A streamed reply in AWS event-stream form, whose backend and caller speak the same dialect: as [`super::Relay`], message by
//! message. Bytes are forwarded at the end of each message, never in the middle of one, and unchanged.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Progress, Reply, observe::Observer, observe_converse::ConverseObserver};
use crate::{WireError, framing::event_stream::message_length};

/// Relays one streamed reply.
#[derive(Debug)]
pub struct FrameRelay<O> {
    /// The beginning of a message whose end has not come. `held.len() <= MAX_FRAME`, as no longer one is waited for.
    held: Vec<u8>,
    observer: O,
}

impl FrameRelay<ConverseObserver> {
    /// A relay of Bedrock's Converse.
    pub fn converse() -> Self {
        Self { held: Vec::new(), observer: ConverseObserver::default() }
    }
}

impl<O: Observer> FrameRelay<O> {
    /// Every message of `chunk` that is complete; the rest is held.
    fn relay(&mut self, chunk: &Bytes, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        let mut from = 0;
        if !self.held.is_empty() {
            from = self.complete(chunk)?;
            let whole = match message_length(&self.held)? {
                Some(length) if length == self.held.len() => std::mem::take(&mut self.held),
                _ => return Ok(()),
            };
            self.observer.event(&whole)?;
            items.push_back(whole.into());
        }
        let start = from;
        let mut result = Ok(());
        while !self.observer.is_over() {
            let rest = chunk.get(from..).unwrap_or_default();
            let next = message_length(rest).map(|length| length.and_then(|length| rest.get(..length)));
            match next {
                Ok(Some(message)) => match self.observer.event(message) {
                    Ok(_) => from += message.len(),
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                },
                Ok(None) => {
                    self.held.extend_from_slice(rest);
                    break;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if start < from {
            items.push_back(chunk.slice(start..from));
        }
        result
    }

    /// Fills up what is held, the prelude first, for only then the message's length is known. Returns how much of `chunk` that took.
    fn complete(&mut self, chunk: &[u8]) -> Result<usize, WireError> {
        let mut taken = 0;
        loop {
            let target = message_length(&self.held)?.unwrap_or(PRELUDE);
            let rest = chunk.get(taken..).unwrap_or_default();
            let missing = target.saturating_sub(self.held.len()).min(rest.len());
            if missing == 0 {
                return Ok(taken);
            }
            self.held.extend_from_slice(rest.get(..missing).unwrap_or_default());
            taken += missing;
        }
    }
}

/// Of a message: its lengths, and their checksum.
const PRELUDE: usize = 12;

impl<O: Observer> Reply for FrameRelay<O> {
    type Item = Bytes;

    fn push(&mut self, chunk: Bytes, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        if self.observer.is_over() { Ok(()) } else { self.relay(&chunk, items) }
    }

    fn finish(&mut self, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        if self.observer.is_over() {
            return Ok(());
        }
        if !self.held.is_empty() {
            return Err(WireError::truncated("the backend's event stream ended inside a message"));
        }
        let added = self.observer.finish()?;
        if !added.is_empty() {
            items.push_back(added);
        }
        Ok(())
    }

    fn fail(&mut self, error: &WireError, items: &mut VecDeque<Bytes>) {
        items.push_back(self.observer.error_event(error));
    }

    fn progress(&self) -> &Progress {
        self.observer.progress()
    }

    fn take_progress(&mut self) -> Progress {
        self.observer.take_progress()
    }
}
