//! The JSON of a reply as far as the decoder reads it, with every value left unread until it is needed; usage and citations
//! in the hub's terms.

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    WireError,
    hub::{Event, Usage},
    json::raw::Raw,
};

use super::CHOICE;

/// An event of the stream; which of the fields it has depends on its type.
#[derive(Deserialize)]
pub(super) struct StreamEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Raw<'a>,
    index: Raw<'a>,
    message: Raw<'a>,
    content_block: Raw<'a>,
    delta: Raw<'a>,
    pub(super) usage: Raw<'a>,
    pub(super) context_management: Raw<'a>,
}

impl<'a> StreamEvent<'a> {
    /// The index of the content block; 0 where it is not said, since there is then one.
    pub(super) fn block(&self) -> u64 {
        self.index.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    pub(super) fn message(&self) -> Result<&'a str, WireError> {
        part("message", self.message)
    }

    pub(super) fn content_block(&self) -> Result<&'a str, WireError> {
        part("content_block", self.content_block)
    }

    pub(super) fn delta(&self) -> Result<&'a str, WireError> {
        part("delta", self.delta)
    }
}

fn part<'a>(name: &str, raw: Raw<'a>) -> Result<&'a str, WireError> {
    raw.map(RawValue::get).ok_or_else(|| WireError::protocol(format!("the backend's event has no {name}")))
}

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, WireError> {
    serde_json::from_str(text)
        .map_err(|error| WireError::protocol(format!("the backend sent what is no {what}: {error}")))
}

/// A message: in `message_start` its head, in a whole reply all of it.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) id: Raw<'a>,
    pub(super) model: Raw<'a>,
    pub(super) content: Option<Vec<&'a RawValue>>,
    pub(super) usage: Raw<'a>,
    pub(super) stop_reason: Raw<'a>,
    pub(super) stop_sequence: Raw<'a>,
    pub(super) stop_details: Raw<'a>,
    pub(super) container: Raw<'a>,
    pub(super) context_management: Raw<'a>,
    pub(super) error: Raw<'a>,
}

/// A content block, as it begins in a stream or whole.
#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Raw<'a>,
    pub(super) text: Raw<'a>,
    pub(super) citations: Raw<'a>,
    pub(super) thinking: Raw<'a>,
    pub(super) signature: Raw<'a>,
    pub(super) data: Raw<'a>,
    pub(super) id: Raw<'a>,
    pub(super) name: Raw<'a>,
    pub(super) input: Raw<'a>,
}

/// A piece of a content block.
#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Raw<'a>,
    pub(super) text: Raw<'a>,
    pub(super) partial_json: Raw<'a>,
    pub(super) thinking: Raw<'a>,
    pub(super) signature: Raw<'a>,
    pub(super) citation: Raw<'a>,
    pub(super) content: Raw<'a>,
}

/// How a message ends.
#[derive(Deserialize)]
pub(super) struct Ending<'a> {
    #[serde(borrow)]
    pub(super) stop_reason: Raw<'a>,
    pub(super) stop_sequence: Raw<'a>,
    pub(super) stop_details: Raw<'a>,
    pub(super) container: Raw<'a>,
}

/// Anthropic's `input_tokens` leave out what was read from or written to the cache; the hub's prompt count has them in.
/// `None` where the counts themselves are missing: unknown is not zero (A4). While the reply runs, its `output_tokens` are a
/// placeholder, and worth nothing.
pub(super) fn usage(raw: &Map<String, Value>, running: bool) -> Option<Usage> {
    let count = |name: &str| raw.get(name).and_then(Value::as_u64);
    let (cached, cache_write) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
    let prompt_tokens = count("input_tokens")?
        .saturating_add(cached.unwrap_or_default())
        .saturating_add(cache_write.unwrap_or_default());
    let completion_tokens = if running { 0 } else { count("output_tokens")? };
    let thinking = raw.get("output_tokens_details").and_then(|details| details.get("thinking_tokens"));
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens.saturating_add(completion_tokens),
        cached_tokens: cached,
        cache_write_tokens: cache_write,
        reasoning_tokens: thinking.and_then(Value::as_u64),
        running,
        raw: serde_json::to_string(raw).ok().map(Into::into),
    })
}

/// A source that the text rests on, in an array of one, as a streamed `delta.annotations` is: OpenAI's `url_citation` where
/// it is a web page, and in any case Anthropic's own object under `citation`.
pub(super) fn citation(citation: Value) -> Event {
    let annotation = match citation.get("url") {
        Some(url) => {
            let url_citation = json!({ "url": url, "title": citation.get("title") });
            json!({ "type": "url_citation", "url_citation": url_citation, "citation": citation })
        }
        None => json!({ "type": "citation", "citation": citation }),
    };
    Event::ChoiceExtra { choice: CHOICE, name: "delta.annotations", value: Value::Array(vec![annotation]) }
}
