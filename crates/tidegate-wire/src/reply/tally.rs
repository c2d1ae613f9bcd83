//! Keeps a reply's [`Progress`] from its events. All machines count here, so that they count alike.

use super::{Progress, scan::PlainReply};
use crate::{
    WireError,
    hub::{Event, ReplyStart},
};

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) progress: Progress,
    /// How many answers were asked for.
    expected: u32,
    /// Answers that have begun, and whether each has finished. At most [`MOST_ANSWERS`].
    answers: Vec<(u32, bool)>,
    /// Whether there were more.
    overflows: bool,
    /// Tool calls that have begun.
    tool_calls: usize,
}

impl Tally {
    pub(super) fn new(expected: u32) -> Self {
        Self { expected, ..Self::default() }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Start(start) => self.start(start),
            Event::Text { choice, text }
            | Event::Reasoning { choice, text }
            | Event::Refusal { choice, text } => self.content(*choice, text.len()),
            Event::ToolCallArguments { choice, fragment, .. } => self.content(*choice, fragment.len()),
            Event::ToolCallStart { choice, .. } => {
                self.tool_calls += 1;
                self.begin(*choice);
            }
            Event::ReasoningSignature { choice, .. }
            | Event::ReasoningRedacted { choice, .. }
            | Event::ChoiceExtra { choice, .. } => self.begin(*choice),
            Event::Finish { choice, .. } => self.finish(*choice),
            Event::Usage(usage) => {
                self.progress.usage_final = !usage.running;
                self.progress.usage = Some(usage.clone());
            }
            // What was said last of a reply that ended as it should is its whole account, whether or not every answer finished.
            Event::End => {
                self.progress.ended = true;
                self.progress.usage_final = self.progress.usage.is_some();
            }
            Event::ReplyExtra { .. } | Event::Error(_) => {}
        }
    }

    /// Something of this answer has come.
    pub(super) fn begin(&mut self, choice: u32) {
        if self.answers.iter().any(|(other, _)| *other == choice) {
            return;
        }
        self.progress.finished = false;
        if self.answers.len() < MOST_ANSWERS {
            self.answers.push((choice, false));
        } else {
            self.overflows = true;
        }
    }

    /// A piece of generated content, `bytes` long decoded. An empty piece is none.
    pub(super) fn content(&mut self, choice: u32, bytes: usize) {
        self.begin(choice);
        if bytes > 0 {
            self.progress.content_events += 1;
            self.progress.content_bytes += bytes as u64;
        }
    }

    /// A whole reply that is plainly ordinary.
    pub(super) fn whole(&mut self, reply: PlainReply<'_>) {
        self.progress.served_model = reply.model.map(str::to_owned);
        self.progress.upstream_id = reply.id.map(str::to_owned);
        for piece in reply.answers.pieces() {
            self.begin(piece.choice);
            for bytes in piece.texts {
                self.content(piece.choice, bytes);
            }
            self.finish(piece.choice);
        }
        self.progress.usage = reply.usage;
        self.progress.usage_final = self.progress.usage.is_some();
        self.progress.ended = true;
    }

    fn start(&mut self, start: &ReplyStart) {
        self.progress.served_model.clone_from(&start.model);
        self.progress.upstream_id.clone_from(&start.id);
    }

    fn finish(&mut self, choice: u32) {
        self.begin(choice);
        for answer in self.answers.iter_mut().filter(|(other, _)| *other == choice) {
            answer.1 = true;
        }
        self.progress.finished = self.answers.len() >= self.expected as usize
            && self.answers.iter().all(|(_, finished)| *finished)
            && !self.overflows;
    }

    /// Whether the reply has no more answers and calls than a model gives. Decoders and encoders look through them at each event, so
    /// that a reply of thousands would hold up every other call of its worker.
    ///
    /// # Errors
    /// It has more.
    pub(super) fn check(&self) -> Result<(), WireError> {
        let more = |what: &str, most: usize| {
            Err(WireError::protocol(format!("the backend's reply has more than {most} {what}")))
        };
        match () {
            () if self.overflows => more("answers", MOST_ANSWERS),
            () if self.tool_calls > MOST_CALLS => more("tool calls", MOST_CALLS),
            () => Ok(()),
        }
    }
}

/// OpenAI's API gives 128.
const MOST_ANSWERS: usize = 1024;
const MOST_CALLS: usize = 4096;
