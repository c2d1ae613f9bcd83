//! OpenAI chat completions, both sides.
//!
//! As the callers' dialect: [`Inbound`] is a request, [`StreamEncoder`] and [`WholeEncoder`] write a reply. As a
//! backend's: [`encode_request`] writes a request, [`ChatDecoder`] reads a reply. Where both sides speak it, the relay
//! ([`crate::reply`]) passes bytes on and only observes with the same decoder.
//!
//! Facts are from the OpenAI SDK 3.54 and from recorded traffic of OpenAI and Azure.

mod chunk;
mod decode_part;
mod decode_request;
mod decoder;
mod encode_request;
mod encoder;
mod error;
#[cfg(test)]
mod tests;
mod thinking_blocks;
mod usage;
mod whole;

pub use crate::client::Inbound;
pub(crate) use decode_request::{PARAMETERS, decode_request};
pub use decoder::ChatDecoder;
pub(crate) use decoder::error_of;
pub use encode_request::encode_request;
pub(crate) use encode_request::{RequestShape, encode_request_as, lacking};
pub use encoder::StreamEncoder;
pub(crate) use error::{class_by_status, is_about_key, is_context_overflow, write_error};
pub use error::{decode_error_body, encode_error};
pub(crate) use usage::usage;
pub use whole::WholeEncoder;
