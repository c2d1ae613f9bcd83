//! What a reply is made of, in order. A non-streaming reply decodes to the same events, all at once.

use serde_json::Value;

use super::{Extras, ToolKind, Usage};
use crate::WireError;

/// One step of a reply. `choice` is the index among `n` answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The backend has begun to answer. Sent once, before everything else, as far as the dialect has these facts.
    Start(ReplyStart),
    /// A piece of text.
    Text {
        /// Answer index.
        choice: u32,
        /// The piece; may be empty.
        text: String,
    },
    /// A piece of reasoning.
    Reasoning {
        /// Answer index.
        choice: u32,
        /// The piece; may be empty.
        text: String,
    },
    /// The signature over the reasoning just given.
    ReasoningSignature {
        /// Answer index.
        choice: u32,
        /// As the provider gave it.
        signature: String,
    },
    /// Reasoning that the provider withholds, encrypted.
    ReasoningRedacted {
        /// Answer index.
        choice: u32,
        /// Base64, as the provider gave it.
        data: String,
    },
    /// A piece of a refusal.
    Refusal {
        /// Answer index.
        choice: u32,
        /// The piece.
        text: String,
    },
    /// A tool call begins.
    ToolCallStart {
        /// Answer index.
        choice: u32,
        /// Index among this answer's tool calls, from 0.
        index: u32,
        /// The call's id.
        id: String,
        /// The tool's name.
        name: String,
        /// Function or custom.
        kind: ToolKind,
    },
    /// A piece of a tool call's arguments (JSON text).
    ToolCallArguments {
        /// Answer index.
        choice: u32,
        /// Index among this answer's tool calls.
        index: u32,
        /// The piece; may be empty.
        fragment: String,
    },
    /// Something that belongs to an answer and that the hub doesn't model (logprobs, audio, annotations, filter
    /// verdicts): name and value as the dialect spelled it in a streamed choice.
    ChoiceExtra {
        /// Answer index.
        choice: u32,
        /// Field name; a name inside the delta is written `delta.NAME`.
        name: &'static str,
        /// Its value.
        value: Value,
    },
    /// The same for the reply as a whole (Azure's `prompt_filter_results`, Bedrock's `trace`).
    ReplyExtra {
        /// Field name.
        name: &'static str,
        /// Its value.
        value: Value,
    },
    /// An answer is complete.
    Finish {
        /// Answer index.
        choice: u32,
        /// Why.
        reason: FinishReason,
    },
    /// What the call used. A later one replaces an earlier one.
    Usage(Usage),
    /// The backend reported a failure inside its reply. Nothing follows.
    Error(WireError),
    /// The dialect's terminal event was seen. Nothing follows.
    End,
}

/// What a reply says of itself at the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplyStart {
    /// The backend's id of the reply.
    pub id: Option<String>,
    /// The model that serves it.
    pub model: Option<String>,
    /// Unix seconds.
    pub created: Option<u64>,
    /// Other facts, as they came (`system_fingerprint`, `service_tier`).
    pub extras: Extras,
}

/// Why an answer is complete.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model was done, or met a stop sequence.
    Stop,
    /// A limit was met.
    Length,
    /// Tool calls are to be answered.
    ToolCalls,
    /// A filter or guardrail stepped in.
    ContentFilter,
    /// OpenAI's old single function call.
    FunctionCall,
    /// A reason that is newer than this code, as the backend spelled it.
    Other(String),
}

impl FinishReason {
    /// OpenAI's spelling.
    pub fn as_openai(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::FunctionCall => "function_call",
            Self::Other(other) => other,
        }
    }
}
