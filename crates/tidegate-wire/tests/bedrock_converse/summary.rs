//! Events as JSON: one line each for fixtures to state, and the corpus's digest of a whole reply.

use serde_json::{Value, json};
use tidegate_wire::hub::{Event, Usage};

/// One event as an array: its kind, then what it holds.
pub(crate) fn describe(event: &Event) -> Value {
    match event {
        Event::Start(_) => json!(["start"]),
        Event::Text { text, .. } => json!(["text", text]),
        Event::Reasoning { text, .. } => json!(["reasoning", text]),
        Event::ReasoningSignature { signature, .. } => json!(["signature", signature]),
        Event::ReasoningRedacted { data, .. } => json!(["redacted", data]),
        Event::Refusal { text, .. } => json!(["refusal", text]),
        Event::ToolCallStart { index, id, name, .. } => json!(["tool", index, id, name]),
        Event::ToolCallArguments { index, fragment, .. } => json!(["arguments", index, fragment]),
        Event::ChoiceExtra { name, value, .. } => json!(["choice", name, value]),
        Event::ReplyExtra { name, value } => json!(["reply", name, value]),
        Event::Finish { reason, .. } => json!(["finish", reason.as_openai()]),
        Event::Usage(usage) => json!(["usage", counts(usage)]),
        Event::Error(error) => json!([
            "error",
            format!("{:?}", error.class()),
            error.upstream_status(),
            error.code(),
            error.message()
        ]),
        Event::End => json!(["end"]),
    }
}

/// Prompt, output, total, cache read, cache write.
fn counts(usage: &Usage) -> Value {
    json!([
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens
    ])
}

/// A reply put together.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Digest {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// Id, name, arguments.
    pub(crate) tool_calls: Vec<(String, String, String)>,
    pub(crate) finish: Option<String>,
    pub(crate) usage: Option<Usage>,
    pub(crate) has_trace: bool,
    pub(crate) error: Option<(Option<u16>, String)>,
}

pub(crate) fn digest(events: &[Event]) -> Digest {
    let mut digest = Digest::default();
    for event in events {
        match event {
            Event::Text { text, .. } => digest.text.push_str(text),
            Event::Reasoning { text, .. } => digest.reasoning.push_str(text),
            Event::ToolCallStart { index, id, name, .. } => {
                assert_eq!(*index as usize, digest.tool_calls.len(), "tool indices count up from 0");
                digest.tool_calls.push((id.clone(), name.clone(), String::new()));
            }
            Event::ToolCallArguments { index, fragment, .. } => {
                digest.tool_calls[*index as usize].2.push_str(fragment);
            }
            Event::ReplyExtra { name: "trace", .. } => digest.has_trace = true,
            Event::Finish { reason, .. } => digest.finish = Some(reason.as_openai().to_owned()),
            Event::Usage(usage) => digest.usage = Some(usage.clone()),
            Event::Error(error) => {
                digest.error = Some((error.upstream_status(), error.message().to_owned()));
            }
            _ => {}
        }
    }
    digest
}
