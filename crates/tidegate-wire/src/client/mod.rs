//! Client dialects: what a caller sends and gets, whichever backend answers.
//!
//! One place knows the differences between the callers' dialects that are not a request's or a reply's translation: the form of
//! errors, of a sign of life in a silent stream, which header fields belong to the request. [`Inbound`] is a caller's request
//! in any of them. Called by the gateway's HTTP surface and by [`crate::host`].

mod inbound;
mod reply_headers;

use bytes::Bytes;
use http::HeaderName;

use crate::{
    WireError,
    dialect::{Encoder, anthropic_messages, openai_chat},
    host::Dialect,
    hub::ChatRequest,
};

pub use inbound::{Inbound, Outside};
pub(crate) use inbound::{RelayShape, checked_model, each_field, optional, place, splice, wrong_type};
pub use reply_headers::is_of_use;

/// What a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientDialect {
    /// OpenAI chat completions.
    OpenaiChat,
    /// Anthropic's Messages API.
    AnthropicMessages,
}

/// What a caller wants of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operation {
    /// An answer.
    #[default]
    Generate,
    /// To know how many tokens its prompt has.
    CountTokens,
    /// The continuation of a text: OpenAI's legacy completions. Only hosts that have them can do it.
    Complete,
}

impl ClientDialect {
    /// An error's body.
    pub fn encode_error(self, error: &WireError) -> Bytes {
        match self {
            Self::OpenaiChat => openai_chat::encode_error(error),
            Self::AnthropicMessages => anthropic_messages::encode_error(error),
        }
    }

    /// What a stream says while its backend is silent. Clients skip it.
    pub fn heartbeat(self) -> &'static [u8] {
        match self {
            Self::OpenaiChat => b": tidegate\n\n",
            Self::AnthropicMessages => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
        }
    }

    /// Header fields that are a part of the request, and go on to a backend of the same dialect.
    pub fn request_headers(self) -> &'static [HeaderName] {
        match self {
            Self::OpenaiChat => &[],
            Self::AnthropicMessages => &anthropic_messages::REQUEST_HEADERS,
        }
    }

    /// Reads a whole request into the hub's types.
    pub(crate) fn decode(self, body: &[u8]) -> Result<ChatRequest, WireError> {
        match self {
            Self::OpenaiChat => openai_chat::decode_request(body),
            Self::AnthropicMessages => anthropic_messages::decode_request(body),
        }
    }

    /// Writes a reply. `id`, `created` (Unix seconds) and `model` stand in for what the backend doesn't say.
    pub(crate) fn encoder(
        self,
        id: &str,
        created: u64,
        model: &str,
        streaming: bool,
        include_usage: bool,
    ) -> Box<dyn Encoder> {
        match (self, streaming) {
            (Self::OpenaiChat, true) => {
                Box::new(openai_chat::StreamEncoder::new(id, created, model, include_usage))
            }
            (Self::OpenaiChat, false) => Box::new(openai_chat::WholeEncoder::new(id, created, model)),
            (Self::AnthropicMessages, true) => Box::new(anthropic_messages::stream_encoder(id, model)),
            (Self::AnthropicMessages, false) => Box::new(anthropic_messages::whole_encoder(id, model)),
        }
    }

    /// Whether a backend of this dialect speaks the caller's own: its replies are relayed.
    pub(crate) fn is(self, dialect: Dialect) -> bool {
        matches!(
            (self, dialect),
            (Self::OpenaiChat, Dialect::OpenaiChat) | (Self::AnthropicMessages, Dialect::AnthropicMessages)
        )
    }

    /// Names of top-level parameters: of these, none may come twice. At most 64.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::OpenaiChat => &openai_chat::PARAMETERS,
            Self::AnthropicMessages => &anthropic_messages::PARAMETERS,
        }
    }
}
