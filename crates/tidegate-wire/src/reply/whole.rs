//! A reply that is not streamed, whose backend and caller speak the same dialect: gathered, looked at once for the ledger, and
//! forwarded; unchanged, unless the dialect has something to mend ([`Observer`]).

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    Progress, Reply,
    document::{DocumentObserver, ReadDocument},
    observe::Observer,
    observe_chat::ChatObserver,
    observe_completions::CompletionsObserver,
    observe_converse::ConverseObserver,
    observe_gemini::GeminiObserver,
    observe_messages::{CountObserver, MessagesObserver},
    observe_responses::{KeptObserver, ResponsesObserver},
};
use crate::{WireError, framing::MAX_WHOLE};

/// Relays one whole reply.
#[derive(Debug)]
pub struct WholeRelay<O> {
    /// The body, as long as it is one piece; most are.
    only: Bytes,
    /// The body, once it is more: copied, for each piece may keep a read buffer that is thousands of times its size.
    /// `only.len() + gathered.len() <= MAX_WHOLE`, and one of them is empty.
    gathered: Vec<u8>,
    observer: O,
}

impl WholeRelay<ChatObserver> {
    /// A relay of openai-chat for a request that asked for `choices` answers.
    pub fn new(choices: u32) -> Self {
        Self::observed_by(ChatObserver::new(choices, true))
    }
}

impl WholeRelay<MessagesObserver> {
    /// A relay of Anthropic's Messages.
    pub fn messages() -> Self {
        Self::observed_by(MessagesObserver::default())
    }
}

impl WholeRelay<CountObserver> {
    /// A relay of a count of tokens, which `field` has.
    pub fn count(field: &'static str) -> Self {
        Self::observed_by(CountObserver::new(field))
    }
}

impl WholeRelay<GeminiObserver> {
    /// A relay of Gemini for a request that asked for `choices` answers.
    pub fn gemini(choices: u32) -> Self {
        Self::observed_by(GeminiObserver::new(choices, false))
    }
}

impl WholeRelay<ConverseObserver> {
    /// A relay of Bedrock's Converse.
    pub fn converse() -> Self {
        Self::observed_by(ConverseObserver::default())
    }
}

impl WholeRelay<ResponsesObserver> {
    /// A relay of OpenAI's Responses API; `kept_by` is the host that keeps the response, if it is kept.
    pub fn responses(kept_by: Option<String>) -> Self {
        Self::observed_by(ResponsesObserver::new(kept_by))
    }
}

impl WholeRelay<KeptObserver> {
    /// A relay of what the host `kept_by` says of a response that it keeps.
    pub fn kept(kept_by: String) -> Self {
        Self::observed_by(KeptObserver::new(kept_by))
    }
}

impl WholeRelay<CompletionsObserver> {
    /// A relay of legacy completions for a request that asked for `choices` answers to each of its prompts.
    pub fn completions(choices: u32) -> Self {
        Self::observed_by(CompletionsObserver::new(choices, true))
    }
}

impl WholeRelay<DocumentObserver> {
    /// A reply that is one document, which `read` looks through and puts into the caller's form.
    pub(crate) fn document(read: ReadDocument) -> Self {
        Self::observed_by(DocumentObserver::new(read))
    }
}

impl<O: Observer> WholeRelay<O> {
    fn observed_by(observer: O) -> Self {
        Self { only: Bytes::new(), gathered: Vec::new(), observer }
    }

    /// The body, without copying it if it came in one piece.
    fn body(&mut self) -> Bytes {
        let gathered = std::mem::take(&mut self.gathered);
        if gathered.is_empty() { std::mem::take(&mut self.only) } else { gathered.into() }
    }
}

impl<O: Observer> Reply for WholeRelay<O> {
    type Item = Bytes;

    fn reads_head(&self) -> bool {
        self.observer.reads_head()
    }

    fn head(&mut self, _: StatusCode, headers: &HeaderMap) {
        self.observer.head(headers);
    }

    fn push(&mut self, chunk: Bytes, _: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        if self.only.len() + self.gathered.len() + chunk.len() > MAX_WHOLE {
            return Err(WireError::protocol(format!("the backend's reply is longer than {MAX_WHOLE} bytes")));
        }
        if self.only.is_empty() && self.gathered.is_empty() {
            self.only = chunk;
        } else {
            self.gathered.extend_from_slice(&std::mem::take(&mut self.only));
            self.gathered.extend_from_slice(&chunk);
        }
        Ok(())
    }

    fn finish(&mut self, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        if self.observer.progress().ended {
            return Ok(());
        }
        let body = self.body();
        items.push_back(self.observer.whole(body)?);
        Ok(())
    }

    /// Nothing: the caller gets a status and an error body.
    fn fail(&mut self, _: &WireError, _: &mut VecDeque<Bytes>) {}

    fn progress(&self) -> &Progress {
        self.observer.progress()
    }

    fn take_progress(&mut self) -> Progress {
        self.observer.take_progress()
    }
}
