//! Dialects: one folder per wire format. A client dialect decodes requests and encodes replies; a backend dialect encodes
//! requests and decodes replies.

pub(crate) mod answer_tool;
pub mod anthropic_messages;
pub(crate) mod any_usage;
pub(crate) mod api;
pub mod bedrock_converse;
pub(crate) mod claude;
pub mod cohere_chat;
pub mod gemini;
pub(crate) mod object;
pub mod ollama;
pub(crate) mod one_call;
pub mod openai_chat;
pub mod openai_responses;
pub(crate) mod parameters;

use crate::{WireError, framing::Frame, hub::Event};

/// Parts of one reply that a decoder remembers and looks through at each event: of more, a backend would hold up every other call
/// of the worker.
const MOST_PARTS: usize = 4096;

fn too_many_parts() -> WireError {
    WireError::protocol(format!("the backend's reply has more than {MOST_PARTS} parts"))
}

/// The backend side of a dialect: frames of one reply in, hub events out. One value per reply.
pub trait Decoder: Send {
    /// Reads the next frame and appends its events.
    ///
    /// # Errors
    /// The frame breaks the dialect's format. A failure that the backend reports in an orderly way is an
    /// [`Event::Error`], not an error of this function.
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError>;

    /// The body has ended. Accepted is a reply whose terminal event was seen (or that [`Event::Error`] has ended): nothing is
    /// appended. In openai-chat also one without it, and in gemini every one, whose answers have all finished, those that began
    /// and as many as were asked for, at least one: [`Event::End`] is appended, in gemini behind what was held back for it. A failure that was held back until now is appended as
    /// [`Event::Error`].
    ///
    /// # Errors
    /// [`crate::ErrorClass::Truncated`] for every other reply.
    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), WireError>;
}

/// The client side of a dialect: hub events of one reply in, bytes out. One value per reply.
pub trait Encoder: Send {
    /// Appends the bytes of `event` to `out`; a whole (non-streaming) reply is written at [`Event::End`].
    fn event(&mut self, event: &Event, out: &mut Vec<u8>);
}
