//! The reply machine's contract: backend bytes in, items for the caller out.
//!
//! The engine drives one [`Reply`] per attempt and never looks inside: whether bytes are relayed or translated, streamed
//! or whole, is decided when it is made. It holds no socket, so it can't hold on to one.

mod document;
mod enveloped;
mod events;
mod observe;
mod observe_chat;
mod observe_completions;
mod observe_converse;
mod observe_gemini;
mod observe_messages;
mod observe_responses;
mod pass;
mod relay;
mod relay_frames;
mod scan;
mod tally;
#[cfg(test)]
mod tests;
mod translate;
mod whole;

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

pub(crate) use document::{Document, ReadDocument};
pub(crate) use enveloped::Enveloped;
pub use events::Events;
pub(crate) use pass::Ends;
pub use pass::Pass;
pub use relay::Relay;
pub use relay_frames::FrameRelay;
pub use translate::Translate;
pub use whole::WholeRelay;

use crate::{WireError, hub::Usage};

/// Turns one backend reply into items for the caller: bytes of the caller's dialect for the gateway, hub events for the
/// SDK.
pub trait Reply: Send {
    /// What the caller gets.
    type Item;

    /// Whether it wants to see the head of the backend's reply. Few do.
    fn reads_head(&self) -> bool {
        false
    }

    /// The head of the backend's reply, before anything is pushed; of a machine that [`Reply::reads_head`].
    fn head(&mut self, _status: StatusCode, _headers: &HeaderMap) {}

    /// Whether a reply with this status is its to read. Any other is a refusal, and becomes an error.
    fn reads(&self, status: StatusCode) -> bool {
        status.is_success()
    }

    /// Takes the next piece of the backend's body, split anywhere, and appends what became complete.
    ///
    /// # Errors
    /// The bytes break the wire format, exceed a bound, or carry the backend's in-band error. What was appended before
    /// the error is valid and is to be delivered; nothing may be pushed after it.
    fn push(&mut self, chunk: Bytes, items: &mut VecDeque<Self::Item>) -> Result<(), WireError>;

    /// The backend's body has ended. Accepted, and then [`Progress::ended`], is a reply
    /// - whose terminal event was seen: `[DONE]` of an openai-chat stream, `message_stop` of Anthropic's, a response's
    ///   `completed` or `incomplete`, `metadata` and `messageStop` of a Bedrock stream,
    ///   a whole reply that is one complete JSON document;
    /// - or, in an openai-chat stream that has no `[DONE]`, and in every gemini stream, whose answers have all finished: at least
    ///   one has begun (or Gemini refused the prompt), as many have begun as were asked for, and each of them has its finish
    ///   reason. A caller gets the `[DONE]` then.
    ///
    /// Never a made-up finish. Not to be called after an error.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Truncated`] for every other reply that stops here. Else as [`Reply::push`], for what came
    /// complete only now: the last event, without its blank line, or a whole reply.
    fn finish(&mut self, items: &mut VecDeque<Self::Item>) -> Result<(), WireError>;

    /// Turns an error into the last items of the stream, in the caller's dialect, where the dialect has a form for it.
    fn fail(&mut self, error: &WireError, items: &mut VecDeque<Self::Item>);

    /// What has been seen so far.
    fn progress(&self) -> &Progress;

    /// Takes what has been seen; nothing may be pushed afterwards.
    fn take_progress(&mut self) -> Progress;
}

/// What a reply has shown so far; the meter settles from it whenever the call ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Usage as last reported by the backend.
    pub usage: Option<Usage>,
    /// Whether `usage` is the backend's account of the whole reply, and not a running count. Without usage, false.
    pub usage_final: bool,
    /// Events that carried generated content (text, reasoning, tool arguments); in most dialects about one token each.
    pub content_events: u64,
    /// Bytes of generated content in them, decoded.
    pub content_bytes: u64,
    /// Whether every answer has finished: those that began, and those that were asked for.
    pub finished: bool,
    /// Whether the dialect's terminal event was seen: nothing more is to come.
    pub ended: bool,
    /// The model that the backend says it served.
    pub served_model: Option<String>,
    /// The backend's id of the reply.
    pub upstream_id: Option<String>,
}
