//! Items of a response's output, as they grow and as they are written.

use serde_json::{Value, json};

use crate::hub::ToolKind;

/// An item of the output.
pub(super) struct Item {
    pub(super) id: String,
    pub(super) body: Body,
}

pub(super) enum Body {
    Message(Vec<Content>),
    Reasoning {
        /// The one part of its summary.
        summary: Option<String>,
        encrypted: Option<String>,
    },
    Call {
        call_id: String,
        name: String,
        arguments: String,
        kind: ToolKind,
    },
}

/// A part of a message.
pub(super) struct Content {
    pub(super) kind: ContentKind,
    pub(super) text: String,
    pub(super) annotations: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentKind {
    Text,
    Refusal,
}

/// How far an item is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Item {
    /// An item that begins, as number `at` of the response whose ids have `base` in them.
    pub(super) fn new(base: &str, at: usize, body: Body) -> Self {
        let prefix = match &body {
            Body::Message(_) => "msg",
            Body::Reasoning { .. } => "rs",
            Body::Call { kind: ToolKind::Function, .. } => "fc",
            Body::Call { kind: ToolKind::Custom, .. } => "ctc",
        };
        Self { id: format!("{prefix}_{base}{at:02x}"), body }
    }

    pub(super) fn value(&self, status: Status) -> Value {
        let (id, status) = (&self.id, status.name());
        match &self.body {
            Body::Message(parts) => {
                let content: Vec<Value> = parts.iter().map(Content::value).collect();
                json!({ "id": id, "type": "message", "status": status, "role": "assistant", "content": content })
            }
            Body::Reasoning { summary, encrypted } => {
                let summary: Vec<Value> = summary.iter().map(|text| summary_part(text)).collect();
                json!({ "id": id, "type": "reasoning", "summary": summary, "encrypted_content": encrypted })
            }
            Body::Call { call_id, name, arguments, kind: ToolKind::Function } => json!({
                "id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name,
                "arguments": arguments,
            }),
            Body::Call { call_id, name, arguments, kind: ToolKind::Custom } => json!({
                "id": id, "type": "custom_tool_call", "status": status, "call_id": call_id, "name": name,
                "input": arguments,
            }),
        }
    }
}

impl Content {
    pub(super) fn new(kind: ContentKind) -> Self {
        Self { kind, text: String::new(), annotations: Vec::new() }
    }

    pub(super) fn value(&self) -> Value {
        let Self { text, annotations, .. } = self;
        match self.kind {
            ContentKind::Text => {
                json!({ "type": "output_text", "text": text, "annotations": annotations, "logprobs": [] })
            }
            ContentKind::Refusal => json!({ "type": "refusal", "refusal": text }),
        }
    }
}

pub(super) fn summary_part(text: &str) -> Value {
    json!({ "type": "summary_text", "text": text })
}
