//! Cohere's chat API, version 2 (`POST /v2/chat`), the backend side.
//!
//! [`encode_request`] writes the body, [`CohereDecoder`] reads replies, [`decode_error`] an answer with another status. Facts are
//! from cohere 7.3.1 (the vendor's client) and from recorded traffic; recordings outrank documentation.
//!
//! Never builds a URL, never frames bytes, never fetches anything: hosts and framing do that. Called by [`crate::host`] and by the
//! reply machines.

mod reply;
mod request;

pub use reply::CohereDecoder;
pub use request::encode_request;

use crate::{ErrorClass, WireError, dialect::openai_chat};

/// Reads the body of a reply with a status other than 2xx: `{"id","message","error_type"}`.
pub fn decode_error(status: u16, body: &[u8]) -> WireError {
    let error = openai_chat::decode_error_body(status, body);
    match status {
        // A number for callers who left, and the caller has not.
        499 => WireError::new(ErrorClass::UpstreamBroke, error.message()),
        _ => error,
    }
}
