//! The JSON of a reply as far as the decoder reads it, with every value left unread until it is needed; usage and sources in
//! the hub's terms.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

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
    sequence_number: Raw<'a>,
    output_index: Raw<'a>,
    content_index: Raw<'a>,
    summary_index: Raw<'a>,
    pub(super) item: Raw<'a>,
    pub(super) response: Raw<'a>,
    pub(super) delta: Raw<'a>,
    pub(super) text: Raw<'a>,
    pub(super) refusal: Raw<'a>,
    pub(super) arguments: Raw<'a>,
    pub(super) input: Raw<'a>,
    pub(super) annotation: Raw<'a>,
}

impl StreamEvent<'_> {
    /// Index among the items of the output; 0 where it is not said, since there is then one.
    pub(super) fn output(&self) -> u64 {
        number(self.output_index).unwrap_or_default()
    }

    /// Index of the part of a message's or of a reasoning's content.
    pub(super) fn content(&self) -> u64 {
        number(self.content_index).unwrap_or_default()
    }

    /// Index of the part of a reasoning's summary.
    pub(super) fn summary(&self) -> u64 {
        number(self.summary_index).unwrap_or_default()
    }

    pub(super) fn sequence(&self) -> Option<u64> {
        number(self.sequence_number)
    }
}

fn number(raw: Raw<'_>) -> Option<u64> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, WireError> {
    serde_json::from_str(text)
        .map_err(|error| WireError::protocol(format!("the backend sent what is no {what}: {error}")))
}

/// The response object, in an event or as a whole reply.
#[derive(Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) id: Raw<'a>,
    pub(super) model: Raw<'a>,
    pub(super) created_at: Raw<'a>,
    pub(super) status: Raw<'a>,
    pub(super) output: Option<Vec<&'a RawValue>>,
    pub(super) usage: Raw<'a>,
    pub(super) error: Raw<'a>,
    pub(super) incomplete_details: Raw<'a>,
    pub(super) service_tier: Raw<'a>,
    pub(super) content_filters: Raw<'a>,
}

/// An item of the output, as it begins in a stream or whole.
#[derive(Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Raw<'a>,
    pub(super) call_id: Raw<'a>,
    pub(super) id: Raw<'a>,
    pub(super) name: Raw<'a>,
    pub(super) arguments: Raw<'a>,
    pub(super) input: Raw<'a>,
    pub(super) encrypted_content: Raw<'a>,
    content: Raw<'a>,
    summary: Raw<'a>,
}

impl<'a> Item<'a> {
    /// Parts of a message's or of a reasoning's content.
    pub(super) fn content(&self) -> Vec<Part<'a>> {
        parts(self.content)
    }

    /// Parts of a reasoning's summary.
    pub(super) fn summary(&self) -> Vec<Part<'a>> {
        parts(self.summary)
    }
}

/// Null, and a form that is not known, have none.
fn parts(raw: Raw<'_>) -> Vec<Part<'_>> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// A part of an item.
#[derive(Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) text: Raw<'a>,
    pub(super) refusal: Raw<'a>,
    pub(super) annotations: Raw<'a>,
}

/// Whole seconds of a time in seconds, which some servers give with a fraction.
pub(super) fn seconds(raw: Raw<'_>) -> Option<u64> {
    let seconds: f64 = raw.and_then(|raw| serde_json::from_str(raw.get()).ok())?;
    (seconds > 0.0 && seconds < 1e15).then_some(seconds as u64)
}

/// `None` where the counts themselves are missing: unknown is not zero (A4).
pub(super) fn usage(raw: Raw<'_>) -> Option<Usage> {
    let text = raw?.get();
    let counts: Value = serde_json::from_str(text).ok()?;
    let count = |path: &str| counts.pointer(path).and_then(Value::as_u64);
    let (prompt_tokens, completion_tokens) = (count("/input_tokens")?, count("/output_tokens")?);
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: count("/total_tokens").unwrap_or(prompt_tokens.saturating_add(completion_tokens)),
        cached_tokens: count("/input_tokens_details/cached_tokens"),
        cache_write_tokens: count("/input_tokens_details/cache_write_tokens"),
        reasoning_tokens: count("/output_tokens_details/reasoning_tokens"),
        running: false,
        raw: Some(text.into()),
    })
}

/// A source that the text rests on, in an array of one, as a streamed `delta.annotations` is. Of a web page in the form that chat
/// completions has for it; others as they came.
pub(super) fn annotation(annotation: Value) -> Event {
    let annotation = match annotation.get("type").and_then(Value::as_str) {
        Some("url_citation") => {
            let field = |name: &str| annotation.get(name);
            let page = json!({ "url": field("url"), "title": field("title"), "start_index": field("start_index"),
                "end_index": field("end_index") });
            json!({ "type": "url_citation", "url_citation": page })
        }
        _ => annotation,
    };
    Event::ChoiceExtra { choice: CHOICE, name: "delta.annotations", value: Value::Array(vec![annotation]) }
}
