//! What the probe's callers speak: where, with what body, and which cells of the matrix make sense for it.

use super::{HangUp, Phase};

/// What a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// OpenAI chat completions.
    Chat,
    /// Anthropic's Messages.
    Messages,
    /// OpenAI's realtime sessions.
    Realtime,
    /// Google's Gemini API.
    Gemini,
    /// Bedrock's Converse.
    Converse,
    /// OpenAI's Responses.
    Responses,
    /// Legacy completions.
    Completions,
    /// Embeddings, relayed and translated.
    Embeddings,
    /// Speech: bytes as they come.
    Speech,
    /// Transcription: a file in a form.
    Transcription,
    /// A host's own API below its name.
    PassThrough,
}

/// A request of a caller.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) media: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Surface {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Chat,
        Self::Responses,
        Self::Messages,
        Self::Gemini,
        Self::Converse,
        Self::Realtime,
        Self::Completions,
        Self::Embeddings,
        Self::Speech,
        Self::Transcription,
        Self::PassThrough,
    ];

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Responses => "responses",
            Self::Gemini => "gemini",
            Self::Converse => "converse",
            Self::Realtime => "realtime",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Speech => "speech",
            Self::Transcription => "transcription",
            Self::PassThrough => "pass_through",
        }
    }

    /// Whether there is something to be cut off: chat is there for every backend and in every phase, what is relayed goes one way
    /// for all of them, and a reply that comes whole has no frames. Sessions are open over HTTP/1.1, with backends that have them; a
    /// goodbye is theirs, and can be said only once they are open and where it does not wait behind what is not taken.
    pub fn covers(self, backend: &str, phase: Phase, hang_up: HangUp, http: u8) -> bool {
        if self != Self::Realtime && (phase == Phase::IdleSession || hang_up == HangUp::Goodbye) {
            return false;
        }
        match self {
            Self::Realtime => {
                let opening = matches!(phase, Phase::Connecting | Phase::AwaitingHeaders | Phase::Sending);
                matches!(backend, "openai" | "azure")
                    && http == 1
                    && phase != Phase::NonStreaming
                    && !hang_up.is_http2()
                    && !(opening && hang_up == HangUp::Goodbye)
            }
            Self::Chat | Self::Responses | Self::Messages | Self::Gemini | Self::Converse => true,
            Self::Completions => backend == "openai",
            Self::Embeddings => {
                matches!(backend, "openai" | "gemini")
                    && matches!(phase, Phase::Connecting | Phase::Sending | Phase::NonStreaming)
            }
            Self::Speech => backend == "openai" && !matches!(phase, Phase::InsideFrame | Phase::NonStreaming),
            Self::Transcription => {
                backend == "openai" && !matches!(phase, Phase::CallerNotReading | Phase::Draining)
            }
            Self::PassThrough => backend == "anthropic",
        }
    }

    /// How many pieces of a stream a caller waits for before it hangs up, so that it has had some of the answer.
    pub(super) fn frames_first(self) -> usize {
        match self {
            Self::Chat | Self::Gemini | Self::Realtime | Self::Completions | Self::Transcription => 2,
            // The message's start.
            Self::Converse => 3,
            // The message's start, a block's, perhaps a ping.
            Self::Messages | Self::PassThrough => 5,
            // Two events for the response's start, one each for an item's and a part's.
            Self::Responses => 6,
            // Has none that could be counted.
            Self::Speech | Self::Embeddings => 0,
        }
    }

    /// A request that tells the simulator what to do, in the one place that every gateway passes on: the prompt. `model` is
    /// `host/model`.
    pub(crate) fn request(self, model: &str, stream: bool, prompt: &str) -> Request {
        let (host, own) = model.split_once('/').unwrap_or((model, model));
        let messages = serde_json::json!([{ "role": "user", "content": prompt }]);
        let (path, body) = match self {
            Self::Chat => (
                "/v1/chat/completions".to_owned(),
                serde_json::json!({ "model": model, "stream": stream, "messages": messages }),
            ),
            Self::Messages => (
                "/v1/messages".to_owned(),
                serde_json::json!({ "model": model, "stream": stream, "messages": messages, "max_tokens": 1024 }),
            ),
            Self::Responses => (
                "/v1/responses".to_owned(),
                serde_json::json!({ "model": model, "stream": stream, "input": messages }),
            ),
            Self::Gemini => {
                let operation = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                (
                    format!("/v1beta/models/{model}:{operation}"),
                    serde_json::json!({ "contents": [{ "role": "user", "parts": [{ "text": prompt }] }] }),
                )
            }
            Self::Converse => {
                let operation = if stream { "converse-stream" } else { "converse" };
                (
                    format!("/model/{model}/{operation}"),
                    serde_json::json!({ "messages": [{ "role": "user", "content": [{ "text": prompt }] }] }),
                )
            }
            // A session is opened without a body.
            Self::Realtime => {
                return Request { path: "/v1/realtime".to_owned(), media: "", body: Vec::new() };
            }
            Self::PassThrough => (
                format!("/{host}/v1/messages"),
                serde_json::json!({ "model": own, "stream": stream, "messages": messages, "max_tokens": 1024 }),
            ),
            Self::Completions => (
                "/v1/completions".to_owned(),
                serde_json::json!({ "model": model, "stream": stream, "prompt": prompt }),
            ),
            Self::Embeddings => {
                ("/v1/embeddings".to_owned(), serde_json::json!({ "model": model, "input": prompt }))
            }
            Self::Speech => (
                "/v1/audio/speech".to_owned(),
                serde_json::json!({ "model": model, "input": prompt, "voice": "alloy" }),
            ),
            Self::Transcription => return transcription(model, stream, prompt),
        };
        Request { path, media: "application/json", body: body.to_string().into_bytes() }
    }
}

fn transcription(model: &str, stream: bool, prompt: &str) -> Request {
    let mut body = String::new();
    let stream = stream.to_string();
    for (name, value) in [("model", model), ("stream", &stream), ("prompt", prompt)] {
        body.push_str(&format!(
            "--tide\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    body.push_str("--tide\r\ncontent-disposition: form-data; name=\"file\"; filename=\"tide.wav\"\r\n\r\nRIFF\r\n--tide--\r\n");
    Request {
        path: "/v1/audio/transcriptions".to_owned(),
        media: "multipart/form-data; boundary=tide",
        body: body.into_bytes(),
    }
}
