//! What the backends answer: the same small reply in each backend's dialect, streamed and whole. Written by hand, from WIRE facts.
//!
//! Every reply has the same usage, as far as its dialect can say it: 100 tokens of prompt, of which 40 were read from a cache and,
//! where that is told, 10 written to one; 30 tokens of answer, of which 10 are reasoning.

mod anthropic;
mod openai;
mod others;

use anthropic::{
    converse_stream, converse_whole, invoke_stream, messages_error, messages_events, messages_whole,
};
use http::HeaderMap;
use openai::{chat_stream, chat_whole, items, response, responses_stream};
use others::{
    cohere_stream, cohere_whole, gemini_chunk, gemini_error, gemini_parts, gemini_stream, ollama_line,
    ollama_message, ollama_stream,
};
use serde_json::{Value, json};
use tidegate_wire::host::Dialect;

/// What a reply says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) reasoning: Option<&'static str>,
    /// Over the reasoning; only of dialects that sign it.
    pub(crate) signature: Option<&'static str>,
    pub(crate) text: Option<&'static str>,
    pub(crate) calls: Vec<Call>,
    /// The stream breaks off with the dialect's in-band error behind the text.
    pub(crate) fails: bool,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: &'static str,
    pub(crate) name: String,
    pub(crate) arguments: &'static str,
}

pub(crate) const OVERLOADED: &str = "The model is overloaded.";

/// What the dialect's backend puts into its place for a signature. `None`: it has no such place.
pub(crate) fn signature(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::OpenaiChat => Some("sig-chat+/=="),
        Dialect::OpenaiResponses => Some("gAAAAABresponses-_=="),
        Dialect::AnthropicMessages | Dialect::BedrockInvoke | Dialect::VertexMessages => {
            Some("EqQBmessages+/==")
        }
        Dialect::BedrockConverse => Some("EqQBconverse+/=="),
        Dialect::Gemini => Some("Z2VtaW5pLXNpZ25hdHVyZQ=="),
        Dialect::CohereChat | Dialect::Ollama => None,
    }
}

/// The reply's body.
pub(crate) fn body(dialect: Dialect, said: &Said, streaming: bool) -> Vec<u8> {
    match (dialect, streaming) {
        (Dialect::OpenaiChat, true) => chat_stream(said),
        (Dialect::OpenaiChat, false) => whole(chat_whole(said)),
        (Dialect::OpenaiResponses, true) => responses_stream(said),
        (Dialect::OpenaiResponses, false) => whole(response("completed", items(said), true)),
        (Dialect::AnthropicMessages | Dialect::VertexMessages, true) => {
            sse(messages_events(said).into_iter().map(|event| (name(&event), event)))
        }
        (Dialect::BedrockInvoke, true) => invoke_stream(said),
        (Dialect::AnthropicMessages | Dialect::BedrockInvoke | Dialect::VertexMessages, false) => {
            whole(messages_whole(said))
        }
        (Dialect::BedrockConverse, true) => converse_stream(said),
        (Dialect::BedrockConverse, false) => whole(converse_whole(said)),
        (Dialect::Gemini, true) => gemini_stream(said),
        (Dialect::Gemini, false) => whole(gemini_chunk(gemini_parts(said), true)),
        (Dialect::CohereChat, true) => cohere_stream(said),
        (Dialect::CohereChat, false) => whole(cohere_whole(said)),
        (Dialect::Ollama, true) => ollama_stream(said),
        (Dialect::Ollama, false) => whole(ollama_line(ollama_message(said), true)),
    }
}

/// A refusal with a status: too much is asked of the backend.
pub(crate) fn refusal(dialect: Dialect) -> (u16, HeaderMap, Vec<u8>) {
    let mut headers = HeaderMap::new();
    let (status, body) = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => (
            503,
            json!({ "error": { "message": OVERLOADED, "type": "server_error", "param": null, "code": null } }),
        ),
        Dialect::AnthropicMessages => (529, messages_error()),
        Dialect::BedrockConverse | Dialect::BedrockInvoke => {
            headers.insert("x-amzn-errortype", http::HeaderValue::from_static("ServiceUnavailableException"));
            (503, json!({ "message": OVERLOADED }))
        }
        Dialect::Gemini | Dialect::VertexMessages => (503, gemini_error()),
        Dialect::CohereChat => (503, json!({ "message": OVERLOADED })),
        Dialect::Ollama => (503, json!({ "error": OVERLOADED })),
    };
    (status, headers, whole(body))
}

fn whole(body: Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

/// Server-sent events; without a name, data alone.
fn sse(events: impl IntoIterator<Item = (Option<String>, Value)>) -> Vec<u8> {
    let event = |(name, data): (Option<String>, Value)| match name {
        Some(name) => format!("event: {name}\ndata: {data}\n\n"),
        None => format!("data: {data}\n\n"),
    };
    events.into_iter().map(event).collect::<String>().into_bytes()
}

/// The name that an event's data repeats.
fn name(event: &Value) -> Option<String> {
    event["type"].as_str().map(str::to_owned)
}

/// A text in two pieces.
fn halves(text: &str) -> [&str; 2] {
    let (first, second) = text.split_at(text.len() / 2);
    [first, second]
}

/// An object with the fields of another.
fn with(about: &Value, mut event: Value) -> Value {
    for (name, value) in about.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}
