//! The wire form of a reply, streamed or whole, with every value left unread until it is needed. Unknown fields, among
//! them the padding `obfuscation` and `p`, are skipped.

use serde::Deserialize;

pub(super) use crate::json::raw::{Raw, filled, text, text_or_json, value};

#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) id: Raw<'a>,
    pub(super) object: Raw<'a>,
    pub(super) created: Raw<'a>,
    pub(super) model: Raw<'a>,
    pub(super) system_fingerprint: Raw<'a>,
    pub(super) service_tier: Raw<'a>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    pub(super) usage: Raw<'a>,
    pub(super) error: Raw<'a>,
    pub(super) prompt_filter_results: Raw<'a>,
    pub(super) prompt_annotations: Raw<'a>,
    pub(super) moderation: Raw<'a>,
    pub(super) latency_checkpoint: Raw<'a>,
    pub(super) routing: Raw<'a>,
    pub(super) x_groq: Raw<'a>,
    pub(super) provider: Raw<'a>,
    pub(super) citations: Raw<'a>,
    pub(super) search_results: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    pub(super) index: Option<u32>,
    /// A streamed piece; absent in Azure's annotation chunks.
    #[serde(borrow)]
    pub(super) delta: Option<Delta<'a>>,
    /// A whole answer; absent where Azure blocked it.
    #[serde(borrow)]
    pub(super) message: Option<Delta<'a>>,
    pub(super) finish_reason: Raw<'a>,
    pub(super) logprobs: Raw<'a>,
    pub(super) content_filter_results: Raw<'a>,
    pub(super) content_filter_offsets: Raw<'a>,
    pub(super) stop_reason: Raw<'a>,
}

#[derive(Default, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) content: Raw<'a>,
    pub(super) refusal: Raw<'a>,
    pub(super) reasoning_content: Raw<'a>,
    pub(super) reasoning: Raw<'a>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<ToolFragment<'a>>>,
    pub(super) function_call: Raw<'a>,
    pub(super) audio: Raw<'a>,
    pub(super) annotations: Raw<'a>,
    pub(super) reasoning_details: Raw<'a>,
    pub(super) thinking_blocks: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct ToolFragment<'a> {
    pub(super) index: Option<u32>,
    #[serde(borrow)]
    pub(super) id: Raw<'a>,
    #[serde(borrow)]
    pub(super) function: Option<Called<'a>>,
    #[serde(borrow)]
    pub(super) custom: Option<Called<'a>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Called<'a> {
    #[serde(borrow)]
    pub(super) name: Raw<'a>,
    /// JSON text; some backends send the object itself.
    pub(super) arguments: Raw<'a>,
    pub(super) input: Raw<'a>,
}
