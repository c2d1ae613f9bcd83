//! How a backend's reply is read: picks the machine.

use bytes::Bytes;

use super::{Dialect, ReplyPlan};
use crate::{
    client::{ClientDialect, Operation, StreamForm},
    dialect::{
        Decoder, answer_tool::AnswerDecoder, anthropic_messages::MessagesDecoder,
        bedrock_converse::ConverseDecoder, cohere_chat::CohereDecoder, gemini::GeminiDecoder,
        ollama::OllamaDecoder, one_call::OneCallDecoder, openai_chat::ChatDecoder,
        openai_responses::ResponsesDecoder,
    },
    framing::Framing,
    hub::Event,
    reply::{Enveloped, Events, FrameRelay, Relay, Reply, Translate, WholeRelay},
};

impl ReplyPlan {
    /// A machine that yields bytes for the caller, in its own dialect. `id` and `created` (Unix seconds) fill what the backend's
    /// dialect does not say.
    pub fn reply(&self, id: &str, created: u64) -> Box<dyn Reply<Item = Bytes>> {
        self.out_of_envelope(self.of_events(id, created))
    }

    fn of_events(&self, id: &str, created: u64) -> Box<dyn Reply<Item = Bytes>> {
        let kept_by = self.response.kept_by.clone();
        match self.operation {
            Operation::CountTokens => {
                let field = match self.client {
                    ClientDialect::Gemini(_) => "totalTokens",
                    _ => "input_tokens",
                };
                return Box::new(WholeRelay::count(field));
            }
            Operation::Kept if self.streaming => return Box::new(Relay::response_again(kept_by)),
            Operation::Kept => return Box::new(WholeRelay::kept(kept_by.unwrap_or_default())),
            Operation::Complete if self.streaming => {
                return Box::new(Relay::completions(self.choices, self.include_usage));
            }
            Operation::Complete => return Box::new(WholeRelay::completions(self.choices)),
            Operation::Generate => {}
        }
        if !self.client.is(self.dialect) {
            let Self { streaming, include_usage, model, .. } = self;
            let echo = &self.response.echo;
            let encoder = self.client.encoder(id, created, model, *streaming, *include_usage, echo);
            return Box::new(Translate::new(self.framing(), self.decoder(), encoder, self.choices));
        }
        match (self.client, self.streaming) {
            (ClientDialect::OpenaiChat, true) => Box::new(Relay::new(self.choices, self.include_usage)),
            (ClientDialect::OpenaiChat, false) => Box::new(WholeRelay::new(self.choices)),
            (ClientDialect::OpenaiResponses, true) => Box::new(Relay::responses(kept_by)),
            (ClientDialect::OpenaiResponses, false) => Box::new(WholeRelay::responses(kept_by)),
            (ClientDialect::AnthropicMessages, true) => Box::new(Relay::messages()),
            (ClientDialect::AnthropicMessages, false) => Box::new(WholeRelay::messages()),
            (ClientDialect::Gemini(form), true) => {
                Box::new(Relay::gemini(self.choices, form == StreamForm::Array))
            }
            (ClientDialect::Gemini(_), false) => Box::new(WholeRelay::gemini(self.choices)),
            (ClientDialect::BedrockConverse, true) => Box::new(FrameRelay::converse()),
            (ClientDialect::BedrockConverse, false) => Box::new(WholeRelay::converse()),
        }
    }

    /// A machine that yields hub events.
    pub fn events(&self) -> Box<dyn Reply<Item = Event>> {
        self.out_of_envelope(Box::new(Events::new(self.framing(), self.decoder(), self.choices)))
    }

    fn out_of_envelope<I: 'static>(&self, reply: Box<dyn Reply<Item = I>>) -> Box<dyn Reply<Item = I>> {
        if self.dialect == Dialect::BedrockInvoke && self.streaming {
            return Box::new(Enveloped::new(reply));
        }
        reply
    }

    /// How the backend's body is cut into frames; of InvokeModel, what is in its envelope.
    pub fn framing(&self) -> Framing {
        match (self.dialect, self.streaming) {
            (_, false) => Framing::Whole,
            (
                Dialect::OpenaiChat
                | Dialect::OpenaiResponses
                | Dialect::AnthropicMessages
                | Dialect::CohereChat
                | Dialect::BedrockInvoke
                | Dialect::VertexMessages,
                true,
            ) => Framing::Sse,
            (Dialect::BedrockConverse, true) => Framing::EventStream,
            (Dialect::Gemini, true) => Framing::SseOrJson,
            (Dialect::Ollama, true) => Framing::JsonLines,
        }
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        let mut decoder: Box<dyn Decoder> = match self.dialect {
            Dialect::OpenaiChat if self.client == ClientDialect::OpenaiChat => {
                Box::new(ChatDecoder::new(self.choices))
            }
            Dialect::OpenaiChat => Box::new(ChatDecoder::for_another(self.choices)),
            Dialect::OpenaiResponses => Box::new(ResponsesDecoder::new()),
            Dialect::AnthropicMessages | Dialect::BedrockInvoke | Dialect::VertexMessages => {
                Box::new(MessagesDecoder::new())
            }
            Dialect::BedrockConverse => Box::new(ConverseDecoder::new()),
            Dialect::Gemini => Box::new(GeminiDecoder::new(self.choices)),
            Dialect::CohereChat => Box::new(CohereDecoder::new()),
            Dialect::Ollama => Box::new(OllamaDecoder::new()),
        };
        if self.emulation.one_call {
            decoder = Box::new(OneCallDecoder::new(decoder));
        }
        if self.emulation.answer_tool {
            decoder = Box::new(AnswerDecoder::new(decoder));
        }
        decoder
    }
}
