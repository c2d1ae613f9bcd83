//! The JSON of Converse messages: unions of one key each, written by serde from borrowed parts.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::hub::CachePoint;

/// One turn.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: Side,
    pub(super) content: Vec<Block<'a>>,
}

/// Who speaks. Tool results are the user's.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    User,
    Assistant,
}

/// A content block of a message, of the system prompt or of a tool result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Block<'a> {
    Text(&'a str),
    Image(ImageBlock<'a>),
    Document(DocumentBlock<'a>),
    Audio(AudioBlock<'a>),
    ToolUse(ToolUseBlock<'a>),
    ToolResult(ToolResultBlock<'a>),
    ReasoningContent(ReasoningBlock<'a>),
    CachePoint(CachePointBlock<'a>),
    /// A block that the caller spelled in Converse's own form.
    #[serde(untagged)]
    Own(&'a Value),
}

#[derive(Serialize)]
pub(super) struct ImageBlock<'a> {
    pub(super) format: &'static str,
    pub(super) source: MediaSource<'a>,
}

#[derive(Serialize)]
pub(super) struct DocumentBlock<'a> {
    pub(super) format: &'static str,
    pub(super) name: String,
    pub(super) source: MediaSource<'a>,
}

#[derive(Serialize)]
pub(super) struct AudioBlock<'a> {
    pub(super) format: &'a str,
    pub(super) source: MediaSource<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum MediaSource<'a> {
    /// Base64.
    Bytes(&'a str),
    S3Location {
        uri: &'a str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolUseBlock<'a> {
    pub(super) tool_use_id: Cow<'a, str>,
    pub(super) name: &'a str,
    /// The caller's own text, known to be a JSON object; numbers keep their spelling.
    pub(super) input: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolResultBlock<'a> {
    pub(super) tool_use_id: Cow<'a, str>,
    pub(super) content: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ReasoningBlock<'a> {
    ReasoningText {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<&'a str>,
    },
    /// Base64.
    RedactedContent(&'a str),
}

#[derive(Serialize)]
pub(super) struct CachePointBlock<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
}

impl<'a> CachePointBlock<'a> {
    pub(super) fn new(point: &'a CachePoint) -> Self {
        Self { kind: "default", ttl: point.ttl.as_deref() }
    }
}
