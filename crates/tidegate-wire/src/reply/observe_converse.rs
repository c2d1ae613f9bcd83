//! Bedrock's Converse in the relays: nothing is changed.

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
        bedrock_converse::{ConverseDecoder, error_frame},
    },
    framing::{Frame, event_stream},
    hub::Event,
};

/// Looks at one reply of Converse. An event is one message of the event stream.
#[derive(Debug)]
pub struct ConverseObserver {
    decoder: ConverseDecoder,
    tally: Tally,
    /// Between calls empty; kept for its capacity.
    events: Vec<Event>,
}

impl Default for ConverseObserver {
    fn default() -> Self {
        Self { decoder: ConverseDecoder::relayed(), tally: Tally::new(1), events: Vec::new() }
    }
}

impl ConverseObserver {
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

impl Observer for ConverseObserver {
    fn event(&mut self, message: &[u8]) -> Result<Verdict, WireError> {
        let Self { decoder, events, .. } = self;
        let read = event_stream::emit(message, &mut |frame| decoder.frame(frame, events));
        self.count().and(read)?;
        Ok(Verdict::Forward)
    }

    fn finish(&mut self) -> Result<Bytes, WireError> {
        self.decoder.finish(&mut self.events)?;
        self.count()?;
        Ok(Bytes::new())
    }

    fn whole(&mut self, body: Bytes) -> Result<Bytes, WireError> {
        let read = self.decoder.frame(Frame::Whole(&body), &mut self.events);
        self.count().and(read)?;
        Ok(body)
    }

    fn error_event(&mut self, error: &WireError) -> Bytes {
        error_frame(error).into()
    }

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}
