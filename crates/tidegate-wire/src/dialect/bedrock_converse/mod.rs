//! Amazon Bedrock's Converse and ConverseStream, both sides.
//!
//! As a backend's dialect: [`encode_request`] writes the one body that both operations take, [`ConverseDecoder`] reads their
//! replies (a binary event stream, or one JSON document), [`decode_error`] reads an answer with another status. As the callers'
//! ([`crate::client`]): `decode_request` reads a request, `stream_encoder` and `whole_encoder` write a reply. Where both sides speak
//! it, the relay ([`crate::reply`]) passes bytes on and only observes with the same decoder. Facts are from botocore 1.44.5's
//! `bedrock-runtime` model and from recorded traffic; recordings outrank documentation.
//!
//! Never builds a URL, never signs, never frames bytes: hosts, auth and framing do that. Called by [`crate::host`] and by
//! the reply machines.

mod encoder;
mod error;
mod inbound;
mod reply;
mod request;

pub(crate) use encoder::{error_frame, stream_encoder, whole_encoder};
pub use error::decode_error;
pub(crate) use error::{decode_error_message, decode_exception, encode_error, error_type};
pub(crate) use inbound::{PARAMETERS, decode_request};
pub use reply::ConverseDecoder;
pub(crate) use request::needs_answer_tool;
pub use request::{EncodeOptions, encode_request};
