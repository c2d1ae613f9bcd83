//! Client dialects: what a caller sends and gets, whichever backend answers.
//!
//! One place knows the differences between the callers' dialects that are not a request's or a reply's translation: the form of
//! errors, of a sign of life in a silent stream, which header fields belong to the request. [`Inbound`] is a caller's request
//! in any of them. Called by the gateway's HTTP surface and by [`crate::host`].

mod inbound;
pub(crate) mod query;
mod reply_headers;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::{
    WireError,
    dialect::{Encoder, anthropic_messages, bedrock_converse, gemini, openai_chat, openai_responses},
    framing::event_stream,
    host::Dialect,
    hub::ChatRequest,
};

pub use inbound::{Inbound, Outside};
pub(crate) use inbound::{
    RelayShape, checked_model, each_field, optional, place, reshaped, splice, wrong_type,
};
pub use reply_headers::is_of_use;

/// What a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientDialect {
    /// OpenAI chat completions.
    OpenaiChat,
    /// OpenAI's Responses API.
    OpenaiResponses,
    /// Anthropic's Messages API.
    AnthropicMessages,
    /// Google's Gemini API.
    Gemini(StreamForm),
    /// Bedrock's Converse.
    BedrockConverse,
}

/// In which of Gemini's two forms a caller wants a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamForm {
    /// Server-sent events (`alt=sse`).
    Events,
    /// One JSON array.
    Array,
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
    /// To read, to delete or to stop a response that its backend keeps.
    Kept,
}

impl ClientDialect {
    /// An error's body.
    pub fn encode_error(self, error: &WireError) -> Bytes {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => openai_chat::encode_error(error),
            Self::AnthropicMessages => anthropic_messages::encode_error(error),
            Self::Gemini(_) => gemini::encode_error(error),
            Self::BedrockConverse => bedrock_converse::encode_error(error),
        }
    }

    /// The header field that names an error's kind, where clients look for it there.
    pub fn error_header(self, error: &WireError) -> Option<(HeaderName, HeaderValue)> {
        let name = HeaderName::from_static("x-amzn-errortype");
        let kind = HeaderValue::from_static(bedrock_converse::error_type(error.class()));
        (self == Self::BedrockConverse).then_some((name, kind))
    }

    /// What a stream says while its backend is silent. Clients skip it.
    pub fn heartbeat(self) -> &'static [u8] {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => b": tidegate\n\n",
            Self::AnthropicMessages => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
            // Not a comment: google-genai takes one for JSON. Between elements of an array it is space.
            Self::Gemini(_) => b"\n",
            Self::BedrockConverse => &event_stream::PING,
        }
    }

    /// Media type of a streamed reply.
    pub fn stream_type(self) -> &'static str {
        match self {
            Self::OpenaiChat
            | Self::OpenaiResponses
            | Self::AnthropicMessages
            | Self::Gemini(StreamForm::Events) => "text/event-stream; charset=utf-8",
            Self::Gemini(StreamForm::Array) => "application/json; charset=utf-8",
            Self::BedrockConverse => "application/vnd.amazon.eventstream",
        }
    }

    /// Header fields that are a part of the request, and go on to a backend of the same dialect.
    pub fn request_headers(self) -> &'static [HeaderName] {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses | Self::Gemini(_) | Self::BedrockConverse => &[],
            Self::AnthropicMessages => &anthropic_messages::REQUEST_HEADERS,
        }
    }

    /// Reads a whole request into the hub's types.
    pub(crate) fn decode(self, body: &[u8]) -> Result<ChatRequest, WireError> {
        match self {
            Self::OpenaiChat => openai_chat::decode_request(body),
            Self::OpenaiResponses => openai_responses::decode_request(body),
            Self::AnthropicMessages => anthropic_messages::decode_request(body),
            Self::Gemini(_) => gemini::decode_request(body),
            Self::BedrockConverse => bedrock_converse::decode_request(body),
        }
    }

    /// Writes a reply. `id`, `created` (Unix seconds) and `model` stand in for what the backend doesn't say, and `echo` is what the
    /// dialect repeats of the request.
    pub(crate) fn encoder(
        self,
        id: &str,
        created: u64,
        model: &str,
        streaming: bool,
        include_usage: bool,
        echo: &str,
    ) -> Box<dyn Encoder> {
        match (self, streaming) {
            (Self::OpenaiChat, true) => {
                Box::new(openai_chat::StreamEncoder::new(id, created, model, include_usage))
            }
            (Self::OpenaiChat, false) => Box::new(openai_chat::WholeEncoder::new(id, created, model)),
            (Self::OpenaiResponses, streaming) => {
                Box::new(openai_responses::ResponsesEncoder::new(id, created, model, echo, streaming))
            }
            (Self::AnthropicMessages, true) => Box::new(anthropic_messages::stream_encoder(id, model)),
            (Self::AnthropicMessages, false) => Box::new(anthropic_messages::whole_encoder(id, model)),
            (Self::BedrockConverse, true) => Box::new(bedrock_converse::stream_encoder()),
            (Self::BedrockConverse, false) => Box::new(bedrock_converse::whole_encoder()),
            (Self::Gemini(form), streaming) => {
                let form = match form {
                    _ if !streaming => gemini::Form::Whole,
                    StreamForm::Events => gemini::Form::Events,
                    StreamForm::Array => gemini::Form::Array,
                };
                Box::new(gemini::GeminiEncoder::new(form, id, model))
            }
        }
    }

    /// Whether a backend of this dialect speaks the caller's own: its replies are relayed.
    pub(crate) fn is(self, dialect: Dialect) -> bool {
        match self {
            Self::OpenaiChat => dialect == Dialect::OpenaiChat,
            Self::OpenaiResponses => dialect == Dialect::OpenaiResponses,
            Self::AnthropicMessages => matches!(
                dialect,
                Dialect::AnthropicMessages | Dialect::BedrockInvoke | Dialect::VertexMessages
            ),
            Self::Gemini(_) => dialect == Dialect::Gemini,
            Self::BedrockConverse => dialect == Dialect::BedrockConverse,
        }
    }

    /// Whether a request's body has no place for the model and for whether to stream: its path says both.
    pub(crate) fn says_by_path(self) -> bool {
        matches!(self, Self::Gemini(_) | Self::BedrockConverse)
    }

    /// The parameter that holds the conversation.
    fn conversation(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::AnthropicMessages | Self::BedrockConverse => "messages",
            Self::OpenaiResponses => "input",
            Self::Gemini(_) => "contents",
        }
    }

    /// The parameter that says how many answers are wanted.
    fn choices_name(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses | Self::AnthropicMessages | Self::BedrockConverse => "n",
            Self::Gemini(_) => "generationConfig.candidateCount",
        }
    }

    /// Names of top-level parameters: of these, none may come twice. At most 64.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::OpenaiChat => &openai_chat::PARAMETERS,
            Self::OpenaiResponses => &openai_responses::PARAMETERS,
            Self::AnthropicMessages => &anthropic_messages::PARAMETERS,
            Self::Gemini(_) => &gemini::PARAMETERS,
            Self::BedrockConverse => &bedrock_converse::PARAMETERS,
        }
    }
}
