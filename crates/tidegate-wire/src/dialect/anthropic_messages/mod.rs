//! Anthropic's Messages API, both sides.
//!
//! As the callers' dialect ([`crate::client`]): `decode_request` reads a request, `encoder` writes a reply. As a backend's:
//! [`encode_request`] writes a request, [`MessagesDecoder`] reads a reply, streamed or whole. Refusals and in-band errors have
//! the same `error` object as OpenAI's relatives and are read with them ([`crate::dialect::openai_chat`]). Where both sides
//! speak it, the relay ([`crate::reply`]) passes bytes on and only observes with the same decoder.
//!
//! Facts are from the Anthropic SDK 2.12 and from recorded traffic (API version 2023-06-01).

mod decode_part;
mod decode_request;
mod encoder;
mod error;
mod hosted;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use http::{HeaderMap, HeaderName, HeaderValue, header::Entry};

pub(crate) use decode_request::{PARAMETERS, decode_request};
pub(crate) use encoder::{stream_encoder, whole_encoder};
pub(crate) use error::{encode_error, error_event};
pub(crate) use hosted::{counted_model, invoke_body, invoke_count_body, vertex_body};
pub use reply::MessagesDecoder;
pub(crate) use request::needs_answer_tool;
pub use request::{EncodeOptions, encode_request};

/// Header fields that are a part of a request: which version of the API it is written for, and which betas it uses.
pub(crate) static REQUEST_HEADERS: [HeaderName; 2] = [VERSION_HEADER, BETA_HEADER];

/// Sees to it that a request names a version of the API that is known here. What a caller or an operator says is kept if it is.
pub(crate) fn pin_version(headers: &mut HeaderMap) {
    let known = |value: &HeaderValue| VERSIONS.iter().any(|version| version.as_bytes() == value.as_bytes());
    match headers.entry(VERSION_HEADER) {
        Entry::Occupied(given) if known(given.get()) => {}
        Entry::Occupied(mut given) => drop(given.insert(HeaderValue::from_static(VERSION))),
        Entry::Vacant(none) => drop(none.insert(HeaderValue::from_static(VERSION))),
    }
}

/// Betas that a request uses.
pub(crate) const BETA_HEADER: HeaderName = HeaderName::from_static("anthropic-beta");

const VERSION_HEADER: HeaderName = HeaderName::from_static("anthropic-version");

/// The API version that requests of ours are written for. The newer one refuses what this one takes (sampling parameters of
/// every model, documents in an assistant's message) and offers nothing that is missing here.
const VERSION: &str = "2023-06-01";
const VERSIONS: [&str; 2] = [VERSION, "2026-10-21"];
