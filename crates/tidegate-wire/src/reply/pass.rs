//! A reply that goes to the caller as it comes, whatever it is: bytes, a document, a stream of events.
//!
//! Nothing is held back, added or changed, so nothing of our own can stand between: a reply that breaks off ends the caller's
//! as its own did, without an end. What is JSON or events is looked at for its usage beside that, and never so that it could
//! fail the reply.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};

use super::{Progress, Reply};
use crate::{
    WireError,
    dialect::any_usage::{self, Account},
    framing::sse::{Splitter, read_block},
};

/// Passes one reply on.
#[derive(Debug)]
pub struct Pass {
    watch: Watch,
    ends: Ends,
    account: Account,
    progress: Progress,
}

/// What its reply's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// The end of its body; refusals are the caller's to read, too, but for that of our credentials.
    WithItsBody,
    /// The same, but a stream of events has to have had its last one: `[DONE]`, or one whose type says that it is done. A refusal
    /// is an error.
    WithItsLastEvent,
}

/// What is looked at beside passing it on.
#[derive(Debug)]
enum Watch {
    /// Nothing that could be read.
    Bytes,
    /// One document so far, `len() <= MAX_WATCHED`.
    Json(Vec<u8>),
    Events(Splitter),
}

impl Pass {
    /// A machine for a reply that ends so.
    pub(crate) fn new(ends: Ends) -> Self {
        Self { watch: Watch::Bytes, ends, account: Account::default(), progress: Progress::default() }
    }

    fn look(&mut self, chunk: &[u8]) {
        let Self { watch, account, progress, .. } = self;
        let unreadable = match watch {
            Watch::Bytes => false,
            Watch::Json(gathered) if gathered.len() + chunk.len() > MAX_WATCHED => true,
            Watch::Json(gathered) => {
                gathered.extend_from_slice(chunk);
                false
            }
            Watch::Events(splitter) => {
                let read = splitter.push(chunk, |first, block| {
                    if let Some(fields) = read_block(first, block)
                        && account.event(&fields.data)
                    {
                        account.enter(progress);
                    }
                    Ok(())
                });
                read.is_err()
            }
        };
        if unreadable {
            *watch = Watch::Bytes;
            account.lose_track();
        }
    }
}

impl Reply for Pass {
    type Item = Bytes;

    fn reads_head(&self) -> bool {
        true
    }

    fn head(&mut self, _: StatusCode, headers: &HeaderMap) {
        let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.watch = match &*media {
            "text/event-stream" => Watch::Events(Splitter::new(MAX_WATCHED)),
            "application/json" => Watch::Json(Vec::new()),
            _ => Watch::Bytes,
        };
    }

    fn reads(&self, status: StatusCode) -> bool {
        match self.ends {
            Ends::WithItsBody => status != StatusCode::UNAUTHORIZED,
            Ends::WithItsLastEvent => status.is_success(),
        }
    }

    fn push(&mut self, chunk: Bytes, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        self.look(&chunk);
        self.progress.content_events += u64::from(!chunk.is_empty());
        if !chunk.is_empty() {
            items.push_back(chunk);
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        match &mut self.watch {
            Watch::Bytes => {}
            Watch::Json(gathered) => self.account.document(gathered),
            Watch::Events(splitter) => {
                if let Some((first, block)) = splitter.take_pending()
                    && let Some(fields) = read_block(first, &block)
                {
                    self.account.event(&fields.data);
                }
                if self.ends == Ends::WithItsLastEvent {
                    // The caller has read it already; what is missing is an end.
                    if let Some(failure) = self.account.failure() {
                        return Err(failure.clone());
                    }
                    if !self.account.is_over() {
                        return Err(WireError::truncated("the backend's stream ended before its last event"));
                    }
                }
            }
        }
        self.account.enter(&mut self.progress);
        self.progress.usage_final = self.progress.usage.is_some();
        self.progress.finished = true;
        self.progress.ended = true;
        Ok(())
    }

    /// Nothing: the caller's reply is cut off where this one was.
    fn fail(&mut self, _: &WireError, _: &mut VecDeque<Bytes>) {}

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.progress)
    }
}

/// How much of a document or an event is kept to be looked at, in bytes. What is longer goes on unread.
const MAX_WATCHED: usize = any_usage::MAX_DOCUMENT;
