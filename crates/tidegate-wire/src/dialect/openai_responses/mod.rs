//! OpenAI's Responses API, both sides.
//!
//! As the callers' dialect ([`crate::client`]): `decode_request` reads a request, `encoder` writes a reply, and [`kept`] has the ids
//! of responses that a backend keeps. As a backend's: [`encode_request`] writes a request, [`ResponsesDecoder`] reads a reply, streamed or whole. Refusals
//! have the same body as those of chat completions and are read with them ([`crate::dialect::openai_chat`]). Where both sides
//! speak it, the relay ([`crate::reply`]) passes bytes on and only observes with the same decoder.
//!
//! Facts are from the OpenAI SDK 3.54 and from recorded traffic of OpenAI, Azure, xAI, DeepSeek, OpenRouter and Bedrock's mantle
//! endpoint.

mod carried;
mod decode_input;
mod decode_request;
mod echo;
mod encoder;
mod error;
pub mod kept;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use decode_request::{PARAMETERS, check_input, decode_request};
pub(crate) use echo::echo;
pub(crate) use encoder::ResponsesEncoder;
pub(crate) use error::error_event;
pub use reply::ResponsesDecoder;
pub use request::{EncodeOptions, encode_request};

/// Whether reasoning in its encrypted form is one of OpenAI's, Azure's included: all that were recorded are Fernet tokens, which
/// begin with their version. What another provider signed would be refused, and with it the whole request.
fn is_own_reasoning(encrypted: &str) -> bool {
    encrypted.starts_with("gAAAA")
}
