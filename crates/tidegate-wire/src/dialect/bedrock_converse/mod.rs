//! Amazon Bedrock's Converse and ConverseStream, the backend side.
//!
//! [`encode_request`] writes the one body that both operations take, [`ConverseDecoder`] reads their replies (a binary
//! event stream, or one JSON document), [`decode_error`] reads an answer with another status. Facts are from botocore
//! 1.44.5's `bedrock-runtime` model and from recorded traffic; recordings outrank documentation.
//!
//! Never builds a URL, never signs, never frames bytes: hosts, auth and framing do that. Called by [`crate::host`] and by
//! the reply machines.

mod error;
mod reply;
mod request;

pub use error::decode_error;
pub use reply::ConverseDecoder;
pub(crate) use request::needs_answer_tool;
pub use request::{EncodeOptions, encode_request};
