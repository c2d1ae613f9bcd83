//! Gemini's generateContent and streamGenerateContent, both sides; on AI Studio and on Vertex AI.
//!
//! As a backend's dialect: [`encode_request`] writes the one body that both operations take, [`GeminiDecoder`] reads their replies,
//! [`decode_error`] reads an answer with another status. As the callers' ([`crate::client`]): `decode_request` reads a request,
//! `GeminiEncoder` writes a reply. Where both sides speak it, the relay ([`crate::reply`]) passes bytes on and only observes with
//! the same decoder. Facts are from google-genai 3.4.0 and from recorded traffic; recordings outrank documentation.
//!
//! Never builds a URL, never frames bytes, never fetches anything: hosts and framing do that. Called by [`crate::host`] and by the
//! reply machines.

mod encoder;
mod error;
mod inbound;
mod partial;
mod reply;
mod request;
mod thought;

use serde_json::Value;

pub(crate) use encoder::{ARRAY_END, Form, GeminiEncoder, array_lead, error_element, error_event};
pub use error::decode_error;
pub(crate) use error::encode_error;
pub(crate) use inbound::{PARAMETERS, decode_request};
pub use reply::GeminiDecoder;
pub use request::encode_request;

/// Sets a field of an object.
fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value.into());
    }
}
