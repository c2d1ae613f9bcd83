//! How a backend's reply is read: picks the machine.

use bytes::Bytes;

use super::{Dialect, ReplyPlan};
use crate::{
    client::{ClientDialect, Operation},
    dialect::{
        Decoder, answer_tool::AnswerDecoder, anthropic_messages::MessagesDecoder,
        bedrock_converse::ConverseDecoder, gemini::GeminiDecoder, one_call::OneCallDecoder,
        openai_chat::ChatDecoder,
    },
    framing::Framing,
    hub::Event,
    reply::{Events, Relay, Reply, Translate, WholeRelay},
};

impl ReplyPlan {
    /// A machine that yields bytes for the caller, in its own dialect. `id` and `created` (Unix seconds) fill what the backend's
    /// dialect does not say.
    pub fn reply(&self, id: &str, created: u64) -> Box<dyn Reply<Item = Bytes>> {
        if self.operation == Operation::CountTokens {
            return Box::new(WholeRelay::count());
        }
        if self.operation == Operation::Complete {
            return match self.streaming {
                true => Box::new(Relay::completions(self.choices, self.include_usage)),
                false => Box::new(WholeRelay::completions(self.choices)),
            };
        }
        if !self.client.is(self.dialect) {
            let Self { streaming, include_usage, model, .. } = self;
            let encoder = self.client.encoder(id, created, model, *streaming, *include_usage);
            return Box::new(Translate::new(self.framing(), self.decoder(), encoder, self.choices));
        }
        match (self.client, self.streaming) {
            (ClientDialect::OpenaiChat, true) => Box::new(Relay::new(self.choices, self.include_usage)),
            (ClientDialect::OpenaiChat, false) => Box::new(WholeRelay::new(self.choices)),
            (ClientDialect::AnthropicMessages, true) => Box::new(Relay::messages()),
            (ClientDialect::AnthropicMessages, false) => Box::new(WholeRelay::messages()),
        }
    }

    /// A machine that yields hub events.
    pub fn events(&self) -> Box<dyn Reply<Item = Event>> {
        Box::new(Events::new(self.framing(), self.decoder(), self.choices))
    }

    /// How the backend's body is cut into frames.
    pub fn framing(&self) -> Framing {
        match (self.dialect, self.streaming) {
            (_, false) => Framing::Whole,
            (Dialect::OpenaiChat | Dialect::AnthropicMessages, true) => Framing::Sse,
            (Dialect::BedrockConverse, true) => Framing::EventStream,
            (Dialect::Gemini, true) => Framing::SseOrJson,
        }
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        let mut decoder: Box<dyn Decoder> = match self.dialect {
            Dialect::OpenaiChat => Box::new(ChatDecoder::new(self.choices)),
            Dialect::AnthropicMessages => Box::new(MessagesDecoder::new()),
            Dialect::BedrockConverse => Box::new(ConverseDecoder::new()),
            Dialect::Gemini => Box::new(GeminiDecoder::new(self.choices)),
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
