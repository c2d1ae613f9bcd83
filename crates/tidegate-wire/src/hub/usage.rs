//! Token counts of a call, normalised: prompt counts include cached tokens, output counts include reasoning.

/// Token counts of one call. All counts are tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Prompt tokens, cached and cache-written ones included.
    pub prompt_tokens: u64,
    /// Generated tokens, reasoning included.
    pub completion_tokens: u64,
    /// As the backend reported it, else the sum.
    pub total_tokens: u64,
    /// Of the prompt: read from a cache. `None`: not reported.
    pub cached_tokens: Option<u64>,
    /// Of the prompt: written to a cache. `None`: not reported.
    pub cache_write_tokens: Option<u64>,
    /// Of the output: reasoning. `None`: not reported.
    pub reasoning_tokens: Option<u64>,
    /// Counts so far, beside an answer that goes on (vLLM's `continuous_usage_stats`). A later one has more.
    pub running: bool,
    /// The backend's usage object as it came, as JSON text, for what the counts above leave out (audio, predictions,
    /// tiers).
    pub raw: Option<Box<str>>,
}

impl Usage {
    /// Of a call that generates nothing.
    pub(crate) fn of_prompt(tokens: u64) -> Self {
        Self { prompt_tokens: tokens, total_tokens: tokens, ..Self::default() }
    }
}

/// Bytes of text in a token, where tokens have to be estimated: a rule of thumb for the languages that models see most. A
/// tokenizer takes its place where one is at hand.
pub const BYTES_PER_TOKEN: u64 = 4;
