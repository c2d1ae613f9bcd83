//! OpenAI's Responses API, both sides.
//!
//! As a backend's dialect: [`encode_request`] writes a request, [`ResponsesDecoder`] reads a reply, streamed or whole. Refusals
//! have the same body as those of chat completions and are read with them ([`crate::dialect::openai_chat`]).
//!
//! Facts are from the OpenAI SDK 3.54 and from recorded traffic of OpenAI, Azure, xAI, DeepSeek, OpenRouter and Bedrock's mantle
//! endpoint.

mod error;
mod reply;
mod request;

pub use reply::ResponsesDecoder;
pub use request::{EncodeOptions, encode_request};

/// Whether reasoning in its encrypted form is one of OpenAI's, Azure's included: all that were recorded are Fernet tokens, which
/// begin with their version. What another provider signed would be refused, and with it the whole request.
fn is_own_reasoning(encrypted: &str) -> bool {
    encrypted.starts_with("gAAAA")
}
