//! How a backend's reply is read: picks the machine.

use bytes::Bytes;

use super::{Dialect, ReplyPlan};
use crate::{
    dialect::{
        Decoder, Encoder,
        bedrock_converse::ConverseDecoder,
        gemini::GeminiDecoder,
        openai_chat::{ChatDecoder, StreamEncoder, WholeEncoder},
    },
    framing::Framing,
    hub::Event,
    reply::{Events, Relay, Reply, Translate, WholeRelay},
};

impl ReplyPlan {
    /// A machine that yields bytes for an openai-chat caller. `id` and `created` (Unix seconds) fill what the backend's
    /// dialect does not say.
    pub fn openai_chat(&self, id: &str, created: u64) -> Box<dyn Reply<Item = Bytes>> {
        match (self.dialect, self.streaming) {
            (Dialect::OpenaiChat, true) => Box::new(Relay::new(self.choices, self.include_usage)),
            (Dialect::OpenaiChat, false) => Box::new(WholeRelay::new(self.choices)),
            (Dialect::BedrockConverse | Dialect::Gemini, _) => {
                let (decoder, encoder) = (self.decoder(), self.encoder(id, created));
                Box::new(Translate::new(self.framing(), decoder, encoder, self.choices, self.streaming))
            }
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
            (Dialect::OpenaiChat, true) => Framing::Sse,
            (Dialect::BedrockConverse, true) => Framing::EventStream,
            (Dialect::Gemini, true) => Framing::SseOrJson,
        }
    }

    fn encoder(&self, id: &str, created: u64) -> Box<dyn Encoder> {
        if self.streaming {
            Box::new(StreamEncoder::new(id, created, &self.model, self.include_usage))
        } else {
            Box::new(WholeEncoder::new(id, created, &self.model))
        }
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        match self.dialect {
            Dialect::OpenaiChat => Box::new(ChatDecoder::new(self.choices)),
            Dialect::BedrockConverse => Box::new(ConverseDecoder::new()),
            Dialect::Gemini => Box::new(GeminiDecoder::new(self.choices)),
        }
    }
}
