//! A chat request, as the hub sees it.

use serde_json::Value;

use super::Extras;

/// A request for a chat completion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The model as the caller named it; the host decides what the backend is told.
    pub model: String,
    /// The conversation, oldest first, system messages where they stood.
    pub messages: Vec<Message>,
    /// Tools that the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it may, must or must not call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several at once. `None`: the backend's default.
    pub parallel_tool_calls: Option<bool>,
    /// What form the answer must have.
    pub response_format: Option<ResponseFormat>,
    /// Sampling parameters.
    pub sampling: Sampling,
    /// Lengths and counts.
    pub limits: Limits,
    /// How much the model should think.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Key-value pairs that the backend stores with the call.
    pub metadata: Extras,
    /// The end user's id, for abuse monitoring.
    pub user: Option<String>,
    /// Present if the reply is to be streamed.
    pub stream: Option<StreamOptions>,
    /// Whether parameters that the backend can't honour are left out, and said to have been, instead of being refused.
    pub drop_params: bool,
    /// Every other top-level field, as it came.
    pub extras: Extras,
}

impl ChatRequest {
    /// Leaves out a parameter, by its name in openai-chat or, of a field that the hub carries, its own. What no request can do
    /// without is kept. Returns whether it was there.
    pub(crate) fn leave_out(&mut self, name: &str) -> bool {
        let (sampling, limits) = (&mut self.sampling, &mut self.limits);
        match name {
            "temperature" => sampling.temperature.take().is_some(),
            "top_p" => sampling.top_p.take().is_some(),
            "top_k" => sampling.top_k.take().is_some(),
            "seed" => sampling.seed.take().is_some(),
            "frequency_penalty" => sampling.frequency_penalty.take().is_some(),
            "presence_penalty" => sampling.presence_penalty.take().is_some(),
            "logit_bias" => sampling.logit_bias.take().is_some(),
            "logprobs" => sampling.logprobs.take().is_some(),
            "top_logprobs" => sampling.top_logprobs.take().is_some(),
            "n" => limits.n.take().is_some(),
            "stop" => !std::mem::take(&mut limits.stop).is_empty(),
            "tool_choice" => self.tool_choice.take().is_some(),
            "parallel_tool_calls" => self.parallel_tool_calls.take().is_some(),
            "response_format" => self.response_format.take().is_some(),
            "reasoning_effort" => self.reasoning_effort.take().is_some(),
            "metadata" => !std::mem::take(&mut self.metadata).is_empty(),
            "user" => self.user.take().is_some(),
            _ => match (name.strip_prefix("stream_options."), &mut self.stream) {
                (Some(option), Some(stream)) => stream.extras.shift_remove(option).is_some(),
                _ => self.extras.shift_remove(name).is_some(),
            },
        }
    }
}

impl ChatRequest {
    /// Where its media come from: images, sound and documents of messages and of tool results, in order.
    pub fn sources_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.messages.iter_mut().flat_map(|message| &mut message.parts).flat_map(Part::sources_mut)
    }
}

/// How the reply is streamed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamOptions {
    /// Whether the caller asked for a usage chunk at the end. `None`: not said.
    pub include_usage: Option<bool>,
    /// Other stream options, as they came.
    pub extras: Extras,
}

/// One turn of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The speaker's name, where several share a role.
    pub name: Option<String>,
    /// What is said, in order. Tool results are parts of a [`Role::Tool`] message.
    pub parts: Vec<Part>,
    /// Other fields of the message, as they came.
    pub extras: Extras,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, in the newer OpenAI role.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// Results of tool calls.
    Tool,
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// Other fields of the part, as they came (annotations, citations).
        extras: Extras,
    },
    /// A picture.
    Image(Image),
    /// Sound.
    Audio(Audio),
    /// A file.
    Document(Document),
    /// The model calls a tool (assistant messages).
    ToolCall(ToolCall),
    /// What a tool answered (tool messages).
    ToolResult(ToolResult),
    /// The model's reasoning, to be given back unchanged on the next turn.
    Reasoning(Reasoning),
    /// The model declined, in its own words.
    Refusal(String),
    /// Everything up to here may be cached.
    CachePoint(CachePoint),
    /// A part that the hub doesn't model, carried as the source dialect spelled it. Only the same dialect can encode it;
    /// another says so with an error that names it.
    Opaque(Value),
}

impl Part {
    fn sources_mut(&mut self) -> Vec<&mut Source> {
        match self {
            Self::Image(image) => vec![&mut image.source],
            Self::Audio(audio) => vec![&mut audio.source],
            Self::Document(document) => vec![&mut document.source],
            Self::ToolResult(result) => result.parts.iter_mut().flat_map(Self::sources_mut).collect(),
            _ => Vec::new(),
        }
    }

    /// A text part without extras.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), extras: Extras::new() }
    }
}

/// Where media bytes come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Inline, base64 as it came (standard alphabet, padded).
    Base64 {
        /// MIME type, for example `image/png`.
        media_type: String,
        /// The bytes, base64.
        data: String,
    },
    /// To be fetched by the backend.
    Url(String),
    /// Stored at the provider under this id.
    FileId(String),
}

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its bytes.
    pub source: Source,
    /// OpenAI's `detail`: `low`, `high`, `auto`.
    pub detail: Option<String>,
}

/// Sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Its bytes.
    pub source: Source,
    /// `wav`, `mp3`, ...
    pub format: String,
}

/// A file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its bytes.
    pub source: Source,
    /// File name.
    pub name: Option<String>,
}

/// A call of a tool by the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// The call's id, which its result repeats.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// JSON text for a function; free text for a custom tool. Kept as text: models emit invalid JSON at times, and it
    /// must survive.
    pub arguments: String,
    /// Function or custom.
    pub kind: ToolKind,
    /// Other fields, as they came.
    pub extras: Extras,
}

/// Function or custom tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ToolKind {
    /// Arguments are JSON by a schema.
    #[default]
    Function,
    /// Arguments are free text (OpenAI `custom`).
    Custom,
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    /// Id of the call.
    pub id: String,
    /// The answer: text, images, documents.
    pub parts: Vec<Part>,
    /// Whether the tool failed. `None`: not said.
    pub is_error: Option<bool>,
}

/// The model's reasoning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    /// Its text, where the provider shows it.
    pub text: String,
    /// The provider's signature over it.
    pub signature: Option<String>,
    /// The provider's encrypted form (base64), where the text is withheld.
    pub redacted: Option<String>,
}

/// A cache point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CachePoint {
    /// `5m` or `1h`. `None`: the provider's default.
    pub ttl: Option<String>,
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON schema of its arguments (functions), or the format (custom tools).
    pub parameters: Option<Value>,
    /// Whether arguments must follow the schema strictly.
    pub strict: Option<bool>,
    /// Function or custom.
    pub kind: ToolKind,
    /// Whether everything up to and with this tool may be cached.
    pub cache_point: Option<CachePoint>,
    /// Other fields of the tool, as they came. A tool of a type that the hub doesn't model has everything here and its
    /// type in `extras["type"]`.
    pub extras: Extras,
}

/// Which tools may be called.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// None.
    None,
    /// At least one, whichever.
    Required,
    /// This one.
    Named(String),
    /// A form that the hub doesn't model, as it came.
    Opaque(Value),
}

/// What form the answer must have.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseFormat {
    /// Plain text.
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON by a schema.
    JsonSchema {
        /// The schema's name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// The schema. `None` where the caller gave none.
        schema: Option<Value>,
        /// Whether to follow it strictly.
        strict: Option<bool>,
    },
    /// A form that the hub doesn't model, as it came.
    Opaque(Value),
}

/// Sampling parameters. `None`: not given. Numbers are kept as they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// 0 to 2 (OpenAI), 0 to 1 (most others).
    pub temperature: Option<serde_json::Number>,
    /// Nucleus.
    pub top_p: Option<serde_json::Number>,
    /// Only the k likeliest tokens.
    pub top_k: Option<serde_json::Number>,
    /// For repeatable answers.
    pub seed: Option<i64>,
    /// -2 to 2.
    pub frequency_penalty: Option<serde_json::Number>,
    /// -2 to 2.
    pub presence_penalty: Option<serde_json::Number>,
    /// Token id to bias.
    pub logit_bias: Option<Extras>,
    /// Whether log-probabilities are wanted.
    pub logprobs: Option<bool>,
    /// How many alternatives with them.
    pub top_logprobs: Option<u32>,
}

/// Lengths and counts. `None`: not given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Most tokens to generate, reasoning included.
    pub max_output_tokens: Option<u64>,
    /// Whether the caller spelled it `max_tokens` (deprecated by OpenAI, the only spelling elsewhere).
    pub legacy_max_tokens: bool,
    /// Sequences that end the answer.
    pub stop: Vec<String>,
    /// How many answers.
    pub n: Option<u32>,
}

/// How much the model should think.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReasoningEffort {
    /// Not at all.
    None,
    /// The least.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// A lot.
    High,
    /// More.
    XHigh,
    /// The most.
    Max,
    /// A level that is newer than this code.
    Other(String),
}

impl ReasoningEffort {
    /// By OpenAI's spelling.
    pub fn of_openai(level: &str) -> Self {
        match level {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            other => Self::Other(other.to_owned()),
        }
    }

    /// OpenAI's spelling, which most families of models share.
    pub fn as_openai(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
            Self::Other(other) => other,
        }
    }
}
