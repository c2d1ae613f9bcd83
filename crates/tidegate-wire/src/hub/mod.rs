//! The hub: what every dialect decodes to and encodes from. Richer than any one dialect, so that N client dialects and
//! M backend dialects cost N+M translations.
//!
//! Holds data only. Dialects fill it and read it; the engine looks at [`Usage`] and [`Event`] for its meter.

mod build;
mod event;
mod request;
mod usage;

pub use event::{Event, FinishReason, ReplyStart};
pub use request::{
    Audio, CachePoint, ChatRequest, Document, Image, Limits, Message, Part, Reasoning, ReasoningEffort,
    ResponseFormat, Role, Sampling, Source, StreamOptions, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
};
pub use usage::{BYTES_PER_TOKEN, Usage};

/// Fields that no hub type models, carried along so that nothing is dropped silently.
pub type Extras = serde_json::Map<String, serde_json::Value>;
