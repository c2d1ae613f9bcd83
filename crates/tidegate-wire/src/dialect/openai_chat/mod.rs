//! OpenAI chat completions, both sides.

use bytes::Bytes;

use crate::{ErrorClass, WireError};

/// A caller's request, checked for syntax and read as deep as relaying needs; the rest is looked at only if it has to be
/// translated.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The body as it came.
    pub body: Bytes,
    /// The model as the caller named it.
    pub model: String,
    /// Whether the reply is to be streamed.
    pub stream: bool,
    /// Whether the caller asked for a usage chunk.
    pub include_usage: bool,
}

impl Inbound {
    /// Reads a request body.
    ///
    /// # Errors
    /// [`ErrorClass::BadRequest`]: not JSON (with the position), or a field that is missing or of the wrong type (named).
    pub fn parse(_body: Bytes) -> Result<Self, WireError> {
        Err(WireError::new(ErrorClass::Internal, "not here yet"))
    }
}

/// OpenAI's JSON error object, `{"error":{"message","type","param","code"}}`.
pub fn encode_error(_error: &WireError) -> Bytes {
    Bytes::new()
}
