//! HTTP/1.1 as a client speaks it (RFC 9112), without I/O: the head of a request, the head of a reply, and the body of a
//! reply out of its framing.
//!
//! The parsing of the head is `httparse`'s. Everything that a backend sends is bounded, and what could be read in two ways
//! is refused: two lengths that differ, a coding that nobody asked for, a bare line feed. Called by `tidegate-engine`;
//! never reads, writes or waits.

mod body;
mod head;
#[cfg(test)]
mod tests;

pub use body::{BodyDecoder, Decoded};
pub use head::{HeadReader, MAX_HEAD, ReplyHead, RequestHead, header_fields};
