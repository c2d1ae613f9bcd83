//! Dialects: one folder per wire format. A client dialect decodes requests and encodes replies; a backend dialect encodes
//! requests and decodes replies.

pub mod bedrock_converse;
pub mod openai_chat;

use crate::{WireError, framing::Frame, hub::Event};

/// The backend side of a dialect: frames of one reply in, hub events out. One value per reply.
pub trait Decoder: Send {
    /// Reads the next frame and appends its events.
    ///
    /// # Errors
    /// The frame breaks the dialect's format. A failure that the backend reports in an orderly way is an
    /// [`Event::Error`], not an error of this function.
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), WireError>;

    /// The reply has ended. Appends [`Event::End`] where the end of the body is the dialect's terminal event.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Truncated`] unless the dialect's terminal event was seen.
    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), WireError>;
}

/// The client side of a dialect: hub events of one reply in, bytes out. One value per reply.
pub trait Encoder: Send {
    /// Appends the bytes of `event` to `out`; a whole (non-streaming) reply is written at [`Event::End`].
    fn event(&mut self, event: &Event, out: &mut Vec<u8>);
}
