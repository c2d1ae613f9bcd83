//! A session of the realtime API (OpenAI's and Azure's, over WebSocket), looked at while it is relayed.
//!
//! The bytes of both sides go on as they are. What is read of them: where frames begin and end, who says goodbye and with which
//! code, which of the backend's events are generated content, and the usage in `response.done` (of a session that only
//! transcribes, in `conversation.item.input_audio_transcription.completed`), which is summed up over the session. A message
//! is gathered only while it may be one of the few that are read, and up to a bound. Never writes anything and knows no
//! clock; called by `tidegate-engine`.

mod events;
mod message;
mod request;
#[cfg(test)]
mod tests;
mod usage;

use crate::{
    ErrorClass, WireError,
    hub::BYTES_PER_TOKEN,
    reply::Progress,
    websocket::{FrameReader, Kind, Sender, WrongFrame},
};
use events::Event;
use message::Message;
pub use request::{Ask, SUBPROTOCOL, offered_key, offers_subprotocol};
pub(crate) use request::{BETA, BETA_VALUE};
use usage::Sum;

/// What one side's bytes turned out to be.
#[derive(Debug, PartialEq)]
pub struct Passed {
    /// How many of them are to be passed on. What comes behind the end is nobody's.
    pub length: usize,
    /// Whether that side has nothing more to say.
    pub end: Option<End>,
}

/// How one side ends.
#[derive(Debug, PartialEq)]
pub enum End {
    /// With a close frame, which is passed on with what came before it.
    Closed(Close),
    /// With bytes that break the protocol.
    Wrong(WrongFrame),
}

/// What a close frame says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// Its code. `None`: it has none.
    pub code: Option<u16>,
    /// Its words.
    pub reason: String,
}

impl Close {
    /// Whether a session ends so that has done its work: with no code, 1000 (normal), or 1001 (going away).
    pub fn is_orderly(&self) -> bool {
        matches!(self.code, None | Some(1000 | 1001))
    }

    /// What a record says of a backend that ended the session for a reason of its own.
    pub fn error(&self) -> WireError {
        let code = self.code.unwrap_or_default();
        let words = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        WireError::new(
            ErrorClass::UpstreamBroke,
            format!("the backend ended the session with code {code}{words}"),
        )
        .with_code(format!("websocket_{code}"))
    }

    fn read(payload: &[u8]) -> Self {
        let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
        Self { code, reason }
    }
}

/// Looks at both sides of one session.
#[derive(Debug)]
pub struct Observer {
    caller: Side,
    backend: Side,
    /// What usage is counted by.
    transcribes: bool,
    progress: Progress,
    sum: Sum,
    /// Responses that have begun and whose usage has not come.
    open: u32,
    /// Whether there has been one.
    begun: bool,
    /// Whether the usage of one could not be read.
    lost: bool,
    /// Bytes that the caller sent for the model to read, audio counted as by [`Event::worth`].
    prompt_bytes: u64,
}

#[derive(Debug)]
struct Side {
    frames: FrameReader,
    message: Message,
    /// The payload of its close frame.
    close: Vec<u8>,
    ended: bool,
}

impl Side {
    fn new(sender: Sender) -> Self {
        Self {
            frames: FrameReader::new(sender),
            message: Message::default(),
            close: Vec::new(),
            ended: false,
        }
    }

    /// Looks at the next bytes; `each` gets the messages that end in them.
    fn pass(
        &mut self,
        bytes: &[u8],
        read: fn(&str) -> Event,
        mut each: impl FnMut(Event, &Message),
    ) -> Passed {
        if self.ended {
            return Passed { length: 0, end: None };
        }
        let mut rest = bytes;
        let end = loop {
            let length = bytes.len() - rest.len();
            let part = match self.frames.next(&mut rest) {
                Ok(Some(part)) => part,
                Ok(None) => return Passed { length: bytes.len(), end: None },
                Err(wrong) => break Passed { length, end: Some(End::Wrong(wrong)) },
            };
            match part.kind {
                Kind::Text => {
                    if let Some(event) = self.message.take(&part, read) {
                        each(event, &self.message);
                    }
                }
                Kind::Close => {
                    part.append_to(&mut self.close, 0, usize::MAX);
                    if part.is_last {
                        let close = Close::read(&self.close);
                        let length = bytes.len() - rest.len();
                        break Passed { length, end: Some(End::Closed(close)) };
                    }
                }
                Kind::Binary | Kind::Ping | Kind::Pong => {}
            }
        };
        self.ended = true;
        end
    }
}

impl Observer {
    /// Before the first frame. `transcribes`: the session generates nothing but transcripts (`intent=transcription`).
    pub fn new(transcribes: bool) -> Self {
        Self {
            caller: Side::new(Sender::Client),
            backend: Side::new(Sender::Server),
            transcribes,
            progress: Progress::default(),
            sum: Sum::default(),
            open: 0,
            begun: false,
            lost: false,
            prompt_bytes: 0,
        }
    }

    /// Looks at the caller's next bytes.
    pub fn caller(&mut self, bytes: &[u8]) -> Passed {
        let prompt_bytes = &mut self.prompt_bytes;
        self.caller.pass(bytes, Event::of_caller, |event, message| *prompt_bytes += event.worth(message))
    }

    /// Looks at the backend's next bytes.
    pub fn backend(&mut self, bytes: &[u8]) -> Passed {
        let mut ended = Vec::new();
        let passed = self.backend.pass(bytes, Event::of_backend, |event, message| {
            ended.extend(Heard::of(event, message));
        });
        for heard in ended {
            self.hear(heard);
        }
        passed
    }

    /// Whether the backend's bytes so far are whole frames, so that the caller may be told something by another one.
    pub fn is_at_border(&self) -> bool {
        self.backend.frames.is_at_border()
    }

    /// Whether the model has been at work.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether it is, by what it has said.
    pub fn is_responding(&self) -> bool {
        self.open > 0
    }

    /// Bytes of what the model had to read, as four to a token: audio is counted by its length in time.
    pub fn prompt_bytes(&self) -> u64 {
        self.prompt_bytes
    }

    /// What has been seen so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What has been seen; nothing may be looked at afterwards.
    pub fn take_progress(&mut self) -> Progress {
        self.progress.usage_final = self.progress.usage.is_some() && self.open == 0 && !self.lost;
        std::mem::take(&mut self.progress)
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Session { id, model } => {
                self.progress.upstream_id = id.or(self.progress.upstream_id.take());
                self.progress.served_model = model.or(self.progress.served_model.take());
            }
            Heard::Begun => self.begin(self.open + 1),
            Heard::Content(worth) => {
                if self.open == 0 {
                    self.begin(1);
                }
                self.progress.content_events += 1;
                self.progress.content_bytes += worth;
            }
            Heard::Transcript(_) if !self.transcribes => {}
            Heard::Done(usage) | Heard::Transcript(usage) => {
                self.open = self.open.saturating_sub(1);
                self.begun = true;
                match usage {
                    Some(usage) => self.sum.add(&usage),
                    None => self.lost = true,
                }
                self.progress.usage = self.sum.usage();
                // What has been reported is no longer estimated: from here on bytes count on top of it.
                let reported = self.progress.usage.as_ref().map_or(0, |usage| usage.completion_tokens);
                if !self.lost {
                    self.progress.content_bytes = reported.saturating_mul(BYTES_PER_TOKEN);
                }
            }
        }
    }

    fn begin(&mut self, open: u32) {
        self.open = open;
        self.begun = true;
    }
}

/// What is remembered of a message of the backend's.
enum Heard {
    Session {
        id: Option<String>,
        model: Option<String>,
    },
    Begun,
    /// Generated content, and how many bytes of text it is worth.
    Content(u64),
    /// A response is over, with its usage as it came.
    Done(Option<String>),
    /// The same of a transcript.
    Transcript(Option<String>),
}

impl Heard {
    fn of(event: Event, message: &Message) -> Option<Self> {
        Some(match event {
            Event::SessionCreated => {
                let (id, model) = events::session(message.text());
                Self::Session { id, model }
            }
            Event::ResponseCreated => Self::Begun,
            Event::ResponseDone => Self::Done(events::response_usage(message.text())),
            Event::Transcribed => Self::Transcript(events::usage(message.text())),
            Event::TextDelta | Event::AudioDelta => match event.worth(message) {
                0 => return None,
                worth => Self::Content(worth),
            },
            Event::InputAudio | Event::Other => return None,
        })
    }
}
