//! Gemini's generateContent and streamGenerateContent (`alt=sse`), the backend side; on AI Studio and on Vertex AI.
//!
//! [`encode_request`] writes the one body that both operations take, [`GeminiDecoder`] reads their replies, [`decode_error`] reads
//! an answer with another status. Facts are from google-genai 3.4.0 and from recorded traffic; recordings outrank documentation.
//!
//! Never builds a URL, never frames bytes, never fetches anything: hosts and framing do that. Called by [`crate::host`] and by the
//! reply machines.

mod error;
mod partial;
mod reply;
mod request;

use serde_json::Value;

pub use error::decode_error;
pub use reply::GeminiDecoder;
pub use request::encode_request;

/// Sets a field of an object.
fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value.into());
    }
}
