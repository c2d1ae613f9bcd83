//! The JSON inside the frames, as far as the decoder reads it. Unknown fields, padding among them, are skipped without
//! being stored.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    WireError,
    hub::{Event, Extras, Usage},
};

use super::CHOICE;

/// Parses a frame's payload; `name` says in the error which one it was.
pub(super) fn parse<'a, T: Deserialize<'a>>(name: &str, payload: &'a [u8]) -> Result<T, WireError> {
    serde_json::from_slice(payload).map_err(|error| WireError::protocol(format!("Bedrock's {name}: {error}")))
}

/// Parses a whole reply; one that ends too early was cut off on the way.
pub(super) fn parse_whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|error| match error.is_eof() {
        true => WireError::truncated("Bedrock's reply ended inside its JSON"),
        false => WireError::protocol(format!("Bedrock's Converse reply: {error}")),
    })
}

/// `contentBlockDelta`, the hot one: its strings are owned because the events that they become own them.
#[derive(Deserialize)]
pub(super) struct DeltaEvent<'a> {
    #[serde(rename = "contentBlockIndex", default)]
    pub(super) block: u64,
    #[serde(borrow)]
    pub(super) delta: Delta<'a>,
}

/// A union: one field is set.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delta<'a> {
    pub(super) text: Option<String>,
    pub(super) tool_use: Option<ToolUseDelta>,
    pub(super) reasoning_content: Option<ReasoningDelta>,
    #[serde(borrow)]
    pub(super) citation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) image: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ToolUseDelta {
    /// JSON text, split anywhere; the first piece is often empty.
    #[serde(default)]
    pub(super) input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReasoningDelta {
    pub(super) text: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) redacted_content: Option<String>,
}

/// `contentBlockStart`.
#[derive(Deserialize)]
pub(super) struct StartEvent {
    #[serde(rename = "contentBlockIndex", default)]
    pub(super) block: u64,
    #[serde(default)]
    pub(super) start: BlockStart,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockStart {
    pub(super) tool_use: Option<ToolUseStart>,
}

#[derive(Deserialize)]
pub(super) struct ToolUseStart {
    #[serde(rename = "toolUseId")]
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

impl ToolUseStart {
    /// Run by Bedrock itself (grounding, code interpreter). Plain calls say `tool_use` or nothing.
    pub(super) fn is_server_tool(&self) -> bool {
        self.kind.as_deref() == Some(SERVER_TOOL)
    }
}

pub(super) const SERVER_TOOL: &str = "server_tool_use";

/// `contentBlockStop`.
#[derive(Deserialize)]
pub(super) struct BlockStop {
    #[serde(rename = "contentBlockIndex", default)]
    pub(super) block: u64,
}

/// `messageStop`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageStop {
    pub(super) stop_reason: String,
    pub(super) additional_model_response_fields: Option<Value>,
}

/// `metadata`; a whole reply has the same fields at its top.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) usage: Option<Extras>,
    pub(super) trace: Option<Value>,
    pub(super) performance_config: Option<Value>,
    pub(super) service_tier: Option<Value>,
}

impl Metadata {
    pub(super) fn append_events(self, events: &mut Vec<Event>) {
        let extras = [
            ("trace", self.trace),
            ("performanceConfig", self.performance_config),
            ("serviceTier", self.service_tier),
        ];
        for (name, value) in extras {
            if let Some(value) = value {
                events.push(Event::ReplyExtra { name, value });
            }
        }
        events.extend(self.usage.and_then(usage).map(Event::Usage));
    }
}

/// Bedrock's `inputTokens` leaves cached tokens out (recorded: 12 + 1028 read + 250 out = 1290 in total); the hub's
/// prompt count has them in. `None` where the counts themselves are missing: unknown is not zero (A4).
pub(super) fn usage(raw: Extras) -> Option<Usage> {
    let count = |name: &str| raw.get(name).and_then(Value::as_u64);
    // Older recordings spell the same counts `...TokenCount`.
    let cached = count("cacheReadInputTokens").or_else(|| count("cacheReadInputTokenCount"));
    let cache_write = count("cacheWriteInputTokens").or_else(|| count("cacheWriteInputTokenCount"));
    let prompt_tokens = count("inputTokens")?
        .saturating_add(cached.unwrap_or_default())
        .saturating_add(cache_write.unwrap_or_default());
    let completion_tokens = count("outputTokens")?;
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: count("totalTokens").unwrap_or_else(|| prompt_tokens.saturating_add(completion_tokens)),
        cached_tokens: cached,
        cache_write_tokens: cache_write,
        reasoning_tokens: None,
        running: false,
        raw: serde_json::to_string(&raw).ok().map(Into::into),
    })
}

/// A source that the text rests on.
pub(super) struct Citation(Value);

impl Citation {
    pub(super) fn parse(raw: &RawValue) -> Result<Self, WireError> {
        parse("citation", raw.get().as_bytes()).map(Self)
    }

    /// An array of one, as a streamed `delta.annotations` is: OpenAI's `url_citation` where the source is a web page,
    /// and in any case Bedrock's own object under `citation`.
    pub(super) fn into_event(self) -> Event {
        let Self(citation) = self;
        let web = citation.pointer("/location/web");
        let annotation = match web.and_then(|web| web.get("url")) {
            Some(url) => {
                let title = citation.get("title").or_else(|| web.and_then(|web| web.get("domain")));
                let url_citation = json!({"url": url, "title": title});
                json!({"type": "url_citation", "url_citation": url_citation, "citation": citation})
            }
            None => json!({"type": "citation", "citation": citation}),
        };
        Event::ChoiceExtra {
            choice: CHOICE,
            name: "delta.annotations",
            value: Value::Array(vec![annotation]),
        }
    }
}

/// A block that the hub doesn't model, as it came.
pub(super) fn choice_extra(name: &'static str, raw: &RawValue) -> Result<Event, WireError> {
    let value = parse(name, raw.get().as_bytes())?;
    Ok(Event::ChoiceExtra { choice: CHOICE, name, value })
}
