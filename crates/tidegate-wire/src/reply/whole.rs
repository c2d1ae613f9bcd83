//! A reply that is not streamed, of an openai-chat backend for an openai-chat caller: gathered, looked at once for the
//! ledger (by the decoder only if it is out of the ordinary), and forwarded unchanged. One thing is mended: an answer that
//! Azure blocked has no `message`, which official clients can't read.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Progress, Reply, scan::scan_whole, tally::Tally};
use crate::{
    WireError,
    dialect::{Decoder, openai_chat::ChatDecoder},
    framing::{Frame, MAX_WHOLE},
    hub::Event,
};

/// Relays one whole reply.
#[derive(Debug)]
pub struct WholeRelay {
    /// The body, as long as it is one piece; most are.
    only: Bytes,
    /// The body, once it is more: copied, for each piece may keep a read buffer that is thousands of times its size.
    /// `only.len() + gathered.len() <= MAX_WHOLE`, and one of them is empty.
    gathered: Vec<u8>,
    decoder: ChatDecoder,
    tally: Tally,
}

impl WholeRelay {
    /// A relay for a request that asked for `choices` answers.
    pub fn new(choices: u32) -> Self {
        Self {
            only: Bytes::new(),
            gathered: Vec::new(),
            decoder: ChatDecoder::new(choices),
            tally: Tally::new(choices),
        }
    }

    /// The body, without copying it if it came in one piece.
    fn body(&mut self) -> Bytes {
        let gathered = std::mem::take(&mut self.gathered);
        if gathered.is_empty() { std::mem::take(&mut self.only) } else { gathered.into() }
    }
}

impl Reply for WholeRelay {
    type Item = Bytes;

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
        if self.tally.progress.ended {
            return Ok(());
        }
        let body = self.body();
        if let Some(reply) = scan_whole(&body) {
            self.tally.whole(reply);
            items.push_back(body);
            return Ok(());
        }
        let mut events = Vec::new();
        self.decoder.frame(Frame::Whole(&body), &mut events)?;
        for event in events {
            self.tally.event(&event);
            if let Event::Error(error) = event {
                return Err(error);
            }
        }
        let blocked = memchr::memmem::find(&body, b"\"content_filter\"").is_some();
        items.push_back(if blocked { with_messages(body) } else { body });
        Ok(())
    }

    /// Nothing: the caller gets a status and an error body.
    fn fail(&mut self, _: &WireError, _: &mut VecDeque<Bytes>) {}

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}

fn with_messages(body: Bytes) -> Bytes {
    let Ok(mut reply) = serde_json::from_slice::<Value>(&body) else { return body };
    let mut mended = false;
    let choices = reply.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten().filter_map(Value::as_object_mut) {
        if choice.get("message").is_none_or(Value::is_null) {
            let message = json!({ "role": "assistant", "content": null, "refusal": null });
            choice.insert("message".to_owned(), message);
            mended = true;
        }
    }
    if mended { reply.to_string().into() } else { body }
}
