//! A streamed reply whose backend and caller speak the same dialect: the backend's bytes go to the caller as they are, and are
//! only observed.
//!
//! Bytes are forwarded at the end of each event, never in the middle of one, so that heartbeats and errors of our own can
//! stand between. All events of a piece that need no change go out as one slice of it. What is changed is the dialect's to
//! say ([`Observer`]). An error of the backend ends the stream.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    Progress, Reply,
    observe::{Observer, Verdict},
    observe_chat::ChatObserver,
    observe_completions::CompletionsObserver,
    observe_gemini::GeminiObserver,
    observe_messages::MessagesObserver,
    observe_responses::ResponsesObserver,
};
use crate::{
    WireError,
    framing::{
        MAX_FRAME,
        sse::{BYTE_ORDER_MARK, LineEnds},
    },
};

/// Relays one streamed reply.
#[derive(Debug)]
pub struct Relay<O> {
    lines: LineEnds,
    /// The beginning of an event whose end has not come. `held.len() <= MAX_FRAME`.
    held: Vec<u8>,
    first: bool,
    observer: O,
}

impl Relay<ChatObserver> {
    /// A relay of openai-chat for a request that asked for `choices` answers, and for a usage chunk or not.
    pub fn new(choices: u32, include_usage: bool) -> Self {
        Self::observed_by(ChatObserver::new(choices, include_usage))
    }
}

impl Relay<MessagesObserver> {
    /// A relay of Anthropic's Messages.
    pub fn messages() -> Self {
        Self::observed_by(MessagesObserver::default())
    }
}

impl Relay<CompletionsObserver> {
    /// A relay of legacy completions for a request that asked for `choices` answers, and for a usage chunk or not.
    pub fn completions(choices: u32, include_usage: bool) -> Self {
        Self::observed_by(CompletionsObserver::new(choices, include_usage))
    }
}

impl Relay<GeminiObserver> {
    /// A relay of Gemini for a request that asked for `choices` answers, as events or as an array.
    pub fn gemini(choices: u32, array: bool) -> Self {
        Self::observed_by(GeminiObserver::new(choices, array))
    }
}

impl Relay<ResponsesObserver> {
    /// A relay of OpenAI's Responses API; `kept_by` is the host that keeps the response, if it is kept.
    pub fn responses(kept_by: Option<String>) -> Self {
        Self::observed_by(ResponsesObserver::new(kept_by))
    }

    /// The same for a response that was made before, and is read again.
    pub fn response_again(kept_by: Option<String>) -> Self {
        Self::observed_by(ResponsesObserver::again(kept_by))
    }
}

impl<O: Observer> Relay<O> {
    fn observed_by(observer: O) -> Self {
        Self { lines: LineEnds::default(), held: Vec::new(), first: true, observer }
    }

    fn judge(&mut self, block: &[u8]) -> Result<Verdict, WireError> {
        if block.len() > MAX_FRAME {
            return Err(too_long());
        }
        let first = std::mem::take(&mut self.first);
        let Some(behind_mark) = block.strip_prefix(BYTE_ORDER_MARK) else {
            return self.observer.event(block);
        };
        // The mark counts as the very first bytes only, and those are not the same for us and for the caller: heartbeats may
        // stand before them, or the first event may be withheld. So ours is left out, and another kept from being the first.
        let (lead, block) = if first { ("", behind_mark) } else { ("\n", block) };
        Ok(match self.observer.event(block)? {
            Verdict::Forward => Verdict::Replace([lead.as_bytes(), block].concat()),
            other => other,
        })
    }

    /// Every event of `chunk` that is complete; the rest is held.
    fn relay(&mut self, chunk: &Bytes, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        let mut run = Run { chunk, start: 0, end: 0 };
        let mut from = 0;
        while let Some(end) = self.lines.next_blank(chunk, from) {
            let block = chunk.get(from..end).unwrap_or_default();
            let split = !self.held.is_empty();
            let verdict = if split {
                self.held.extend_from_slice(block);
                let whole = std::mem::take(&mut self.held);
                match self.judge(&whole)? {
                    Verdict::Forward => Verdict::Replace(whole),
                    other => other,
                }
            } else {
                self.judge(block).inspect_err(|_| run.flush(items))?
            };
            match verdict {
                Verdict::Forward => run.end = end,
                Verdict::Withhold => run.restart(end, items),
                Verdict::Replace(bytes) => {
                    run.restart(end, items);
                    items.push_back(bytes.into());
                }
            }
            from = end;
            if self.observer.is_over() {
                break;
            }
        }
        run.flush(items);
        if self.observer.is_over() {
            return Ok(());
        }
        let rest = chunk.get(from..).unwrap_or_default();
        if self.held.len() + rest.len() > MAX_FRAME {
            return Err(too_long());
        }
        self.held.extend_from_slice(rest);
        Ok(())
    }
}

impl<O: Observer> Reply for Relay<O> {
    type Item = Bytes;

    fn push(&mut self, chunk: Bytes, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        if self.observer.is_over() { Ok(()) } else { self.relay(&chunk, items) }
    }

    fn finish(&mut self, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        let mut held = std::mem::take(&mut self.held);
        if !self.observer.is_over() && self.observer.is_complete(self.first, &held) {
            held.truncate(held.trim_ascii_end().len());
            held.extend_from_slice(b"\n\n");
            match self.judge(&held)? {
                Verdict::Forward => items.push_back(held.into()),
                Verdict::Replace(bytes) => items.push_back(bytes.into()),
                Verdict::Withhold => {}
            }
        } else if held == b"\n" && !self.observer.is_over() {
            // The LF of a last CRLF that was split.
            items.push_back(held.into());
        }
        if self.observer.is_over() {
            return Ok(());
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

/// The part of a piece that is forwarded as it is. `start <= end <= chunk.len()`.
struct Run<'a> {
    chunk: &'a Bytes,
    start: usize,
    end: usize,
}

impl Run<'_> {
    fn flush(&mut self, items: &mut VecDeque<Bytes>) {
        if self.start < self.end {
            items.push_back(self.chunk.slice(self.start..self.end));
            self.start = self.end;
        }
    }

    fn restart(&mut self, at: usize, items: &mut VecDeque<Bytes>) {
        self.flush(items);
        self.start = at;
        self.end = at;
    }
}

fn too_long() -> WireError {
    WireError::protocol(format!("the backend's event is longer than {MAX_FRAME} bytes"))
}
