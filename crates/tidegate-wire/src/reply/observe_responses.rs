//! OpenAI's Responses API in the relays: nothing is changed but the ids of responses that their backend keeps
//! ([`kept`](crate::dialect::openai_responses::kept)). The backend's own error event goes out as it came.

use bytes::Bytes;

use super::{
    Progress,
    observe::{Observer, Verdict},
    tally::Tally,
};
use crate::{
    ErrorClass, WireError,
    dialect::{
        Decoder,
        openai_responses::{ResponsesDecoder, error_event, kept::mark_ids},
    },
    framing::{Frame, sse::read_block},
    hub::{Event, Usage},
};

/// Looks at one reply of the Responses API.
#[derive(Debug)]
pub struct ResponsesObserver {
    decoder: ResponsesDecoder,
    tally: Tally,
    /// Between calls empty; kept for its capacity.
    events: Vec<Event>,
    /// The host that keeps the response, if it is kept.
    kept_by: Option<String>,
    /// Whether the reply is one that was made before, and has been paid for.
    again: bool,
    /// The backend's own words for its failure.
    failure: Vec<u8>,
    /// The failure that an `error` event told. OpenAI has a `response.failed` behind it (recorded), which some clients alone read, so
    /// the two go out together.
    failed: Option<WireError>,
}

impl ResponsesObserver {
    pub(super) fn new(kept_by: Option<String>) -> Self {
        Self {
            decoder: ResponsesDecoder::of_background(),
            tally: Tally::new(1),
            events: Vec::new(),
            kept_by,
            again: false,
            failure: Vec::new(),
            failed: None,
        }
    }

    /// Of a response that is read again: what it costs was said when it was made.
    pub(super) fn again(kept_by: Option<String>) -> Self {
        Self { again: true, decoder: ResponsesDecoder::of_resumed(), ..Self::new(kept_by) }
    }

    fn read(&mut self, frame: Frame<'_>) -> Result<(), WireError> {
        let read = self.decoder.frame(frame, &mut self.events);
        for event in self.events.drain(..) {
            let end = event == Event::End;
            if !self.again || matches!(event, Event::Start(_) | Event::Finish { .. } | Event::End) {
                if end && self.again {
                    self.tally.event(&Event::Usage(Usage::default()));
                }
                self.tally.event(&event);
            }
            if let Event::Error(error) = event {
                return Err(error);
            }
        }
        read
    }

    fn own_words(&self, event: &str, block: &[u8]) -> Vec<u8> {
        self.marked(event, block).unwrap_or_else(|| block.to_vec())
    }

    /// The block of this event with the ids that callers know. `None`: it has none.
    fn marked(&self, event: &str, block: &[u8]) -> Option<Vec<u8>> {
        let host = self.kept_by.as_deref()?;
        // Pieces of text are most events, and have no response in them. Some servers don't name theirs.
        if event.starts_with("response.") && !WITH_RESPONSE.contains(&event) {
            return None;
        }
        let text = std::str::from_utf8(block).ok()?;
        let at = text.find("data:").filter(|at| *at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n'))?;
        let line = text.get(at + 5..)?.lines().next()?;
        let marked = mark_ids(line, false, host)?;
        let behind = text.get(at + 5 + line.len()..)?;
        Some([text.get(..at + 5)?, &marked, behind].concat().into_bytes())
    }
}

impl Observer for ResponsesObserver {
    fn event(&mut self, block: &[u8]) -> Result<Verdict, WireError> {
        let Some(fields) = read_block(false, block) else { return Ok(Verdict::Forward) };
        if let Some(error) = self.failed.take() {
            if fields.event == "response.failed" {
                let more = self.own_words(&fields.event, block);
                self.failure.extend(more);
            }
            return Err(error);
        }
        if let Err(error) = self.read(Frame::Sse { event: &fields.event, data: &fields.data }) {
            // What it says about our credentials is not passed on.
            if !matches!(&*fields.event, "error" | "response.failed")
                || error.class() == ErrorClass::UpstreamAuth
            {
                return Err(error);
            }
            self.failure = self.own_words(&fields.event, block);
            if fields.event == "response.failed" {
                return Err(error);
            }
            self.failed = Some(error);
            return Ok(Verdict::Withhold);
        }
        Ok(self.marked(&fields.event, block).map_or(Verdict::Forward, Verdict::Replace))
    }

    fn finish(&mut self) -> Result<Bytes, WireError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.decoder.finish(&mut self.events)?;
        Ok(Bytes::new())
    }

    fn whole(&mut self, body: Bytes) -> Result<Bytes, WireError> {
        self.read(Frame::Whole(&body))?;
        let text = std::str::from_utf8(&body).ok();
        let marked = self.kept_by.as_deref().zip(text).and_then(|(host, text)| mark_ids(text, true, host));
        Ok(marked.map_or(body, Bytes::from))
    }

    fn error_event(&mut self, error: &WireError) -> Bytes {
        match self.failure.is_empty() {
            true => error_event(error, self.decoder.next_sequence()),
            false => std::mem::take(&mut self.failure).into(),
        }
    }

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}

/// Events that have the response in them.
const WITH_RESPONSE: [&str; 6] = [
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.completed",
    "response.incomplete",
    "response.failed",
];

/// Looks at what a host says of a response that it keeps: the response, its items, or that it is gone.
#[derive(Debug)]
pub struct KeptObserver {
    kept_by: String,
    tally: Tally,
}

impl KeptObserver {
    pub(super) fn new(kept_by: String) -> Self {
        Self { kept_by, tally: Tally::default() }
    }
}

impl Observer for KeptObserver {
    fn event(&mut self, _: &[u8]) -> Result<Verdict, WireError> {
        Ok(Verdict::Forward)
    }

    fn finish(&mut self) -> Result<Bytes, WireError> {
        Err(WireError::truncated("what is kept is not streamed"))
    }

    fn whole(&mut self, body: Bytes) -> Result<Bytes, WireError> {
        let value: serde_json::Value =
            serde_json::from_slice(&body).map_err(|error| match error.is_eof() {
                true => WireError::truncated("the backend's reply ended before it was complete"),
                false => WireError::protocol(format!("the backend sent what is not JSON: {error}")),
            })?;
        // No model has run.
        self.tally.event(&Event::Usage(Usage::default()));
        self.tally.event(&Event::End);
        // A list's ids are those of items.
        let is_response = value
            .get("object")
            .and_then(serde_json::Value::as_str)
            .is_some_and(|object| object.starts_with("response"));
        let marked = std::str::from_utf8(&body).ok().filter(|_| is_response);
        let marked = marked.and_then(|text| mark_ids(text, true, &self.kept_by));
        Ok(marked.map_or(body, Bytes::from))
    }

    fn error_event(&mut self, error: &WireError) -> Bytes {
        error_event(error, 0)
    }

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}
