//! WebSocket (RFC 6455) without I/O: the keys of its opening handshake, and its frames, looked at while they pass.
//!
//! Nothing is gathered and nothing rewritten: whoever relays a connection passes its bytes on as they are, and asks here what
//! they mean. Extensions are not spoken: nobody on the way offers one, so that a reserved bit is an error. Called by
//! [`crate::realtime`], by `tidegate-engine` and by the gateway's surface; never reads, writes or waits.

mod frames;
mod handshake;
#[cfg(test)]
mod tests;

pub use frames::{FrameReader, Kind, Part, Sender, WrongFrame, close_frame};
pub use handshake::{accept_key, is_key, new_key};
