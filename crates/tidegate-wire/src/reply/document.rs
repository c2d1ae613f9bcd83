//! A whole reply that is one JSON document: looked through once, for the ledger and for whoever puts it into the caller's form.
//!
//! Which form that is, a [`ReadDocument`] knows; it is made where the request is (`crate::operation`).

use bytes::Bytes;
use http::HeaderMap;

use super::{
    Progress,
    observe::{Observer, Verdict},
};
use crate::{WireError, hub::Usage};

/// What has been read of a document.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// What the caller gets.
    pub(crate) body: Bytes,
    /// Tokens, if it says.
    pub(crate) usage: Option<Usage>,
    /// The model that it says was served.
    pub(crate) model: Option<String>,
    /// Its id.
    pub(crate) id: Option<String>,
}

/// Reads a document. With it come the tokens of the prompt, where the head of the reply counts them.
pub(crate) type ReadDocument = Box<dyn Fn(Bytes, Option<u64>) -> Result<Document, WireError> + Send>;

/// Looks at one document.
pub struct DocumentObserver {
    read: ReadDocument,
    prompt_tokens: Option<u64>,
    progress: Progress,
}

impl DocumentObserver {
    pub(super) fn new(read: ReadDocument) -> Self {
        Self { read, prompt_tokens: None, progress: Progress::default() }
    }
}

impl Observer for DocumentObserver {
    fn reads_head(&self) -> bool {
        true
    }

    fn head(&mut self, headers: &HeaderMap) {
        let count = headers.get(BEDROCK_PROMPT_TOKENS).and_then(|value| value.to_str().ok());
        self.prompt_tokens = count.and_then(|count| count.parse().ok());
    }

    fn event(&mut self, _: &[u8]) -> Result<Verdict, WireError> {
        Ok(Verdict::Forward)
    }

    fn finish(&mut self) -> Result<Bytes, WireError> {
        Err(WireError::truncated("a document is not streamed"))
    }

    fn whole(&mut self, body: Bytes) -> Result<Bytes, WireError> {
        if body.trim_ascii().is_empty() {
            return Err(WireError::truncated("the backend's reply is empty"));
        }
        let Document { body, usage, model, id } = (self.read)(body, self.prompt_tokens)?;
        self.progress = Progress {
            usage_final: usage.is_some(),
            usage,
            finished: true,
            ended: true,
            served_model: model,
            upstream_id: id,
            ..Progress::default()
        };
        Ok(body)
    }

    fn error_event(&mut self, _: &WireError) -> Bytes {
        Bytes::new()
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.progress)
    }
}

/// On replies of Bedrock's InvokeModel (WIRE facts, "InvokeModel").
const BEDROCK_PROMPT_TOKENS: &str = "x-amzn-bedrock-input-token-count";
