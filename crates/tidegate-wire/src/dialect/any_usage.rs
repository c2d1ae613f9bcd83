//! The account of a reply whose dialect is not known for sure: usage, model and id, wherever the dialects here put them.
//!
//! Called by the machine that passes replies on. Never fails and never decides anything.

use serde_json::Value;

use crate::{WireError, dialect::openai_chat::error_of, hub::Usage, reply::Progress};

/// Longest document or event that is looked at, in bytes: an image in JSON is a few megabytes.
pub(crate) const MAX_DOCUMENT: usize = 16 << 20;

/// What a reply has said of itself.
#[derive(Debug, Default)]
pub(crate) struct Account {
    usage: Option<Usage>,
    model: Option<String>,
    id: Option<String>,
    /// The last event was seen, or events can no longer be told apart.
    over: bool,
    /// What the reply says has gone wrong.
    failure: Option<WireError>,
}

impl Account {
    /// Reads the data of one event. Says whether there was something to read.
    pub(crate) fn event(&mut self, data: &str) -> bool {
        let data = data.trim();
        if data == "[DONE]" {
            self.over = true;
            return false;
        }
        // Most events say nothing of usage, and need not be read as a tree.
        let telling = ["usage", "\"type\"", "\"error\""].iter().any(|word| data.contains(word));
        let value = telling.then(|| serde_json::from_str::<Value>(data).ok()).flatten();
        if let Some(value) = &value {
            let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
            self.over |=
                LAST.iter().any(|end| kind.ends_with(end)) && !PARTS.iter().any(|part| kind.ends_with(part));
            if kind == "error"
                || kind.ends_with(".failed")
                || value.get("error").is_some_and(Value::is_object)
            {
                self.failure = Some(error_of(data));
            }
            self.read(value);
        }
        value.is_some()
    }

    /// Reads a whole document.
    pub(crate) fn document(&mut self, body: &[u8]) {
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            self.read(&value);
        }
    }

    /// What the reply says has gone wrong.
    pub(crate) fn failure(&self) -> Option<&WireError> {
        self.failure.as_ref()
    }

    /// From here on events are not seen.
    pub(crate) fn lose_track(&mut self) {
        self.over = true;
    }

    /// Whether the last event was seen.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Enters what is known.
    pub(crate) fn enter(&self, progress: &mut Progress) {
        progress.usage.clone_from(&self.usage);
        progress.served_model.clone_from(&self.model);
        progress.upstream_id.clone_from(&self.id);
    }

    /// Reads one object of a reply.
    pub(crate) fn read(&mut self, value: &Value) {
        // Responses put the reply under `response`, Messages its beginning under `message`.
        for value in [Some(value), value.get("response"), value.get("message")].into_iter().flatten() {
            let text =
                |names: [&str; 2]| names.iter().find_map(|name| value.get(name)?.as_str()).map(str::to_owned);
            self.model = self.model.take().or_else(|| text(["model", "modelVersion"]));
            self.id = self.id.take().or_else(|| text(["id", "responseId"]));
            if let Some(usage) =
                value.get("usage").or_else(|| value.get("usageMetadata")).filter(|usage| usage.is_object())
            {
                self.add(usage);
            }
        }
    }

    /// A later account says more than an earlier one, but not of everything: Messages count the prompt at the start.
    fn add(&mut self, said: &Value) {
        let count = |names: &[&str]| names.iter().find_map(|name| said.get(name)?.as_u64());
        let cached = count(&["cache_read_input_tokens", "cachedContentTokenCount", "cacheReadInputTokens"])
            .or_else(|| said.pointer("/prompt_tokens_details/cached_tokens")?.as_u64())
            .or_else(|| said.pointer("/input_tokens_details/cached_tokens")?.as_u64());
        let written = count(&["cache_creation_input_tokens", "cacheWriteInputTokens"]);
        // Only there the prompt's count leaves out what the cache had.
        let apart =
            said.get("cache_read_input_tokens").or_else(|| said.get("cacheReadInputTokens")).is_some();
        let beside = if apart { cached.unwrap_or(0).saturating_add(written.unwrap_or(0)) } else { 0 };
        let prompt = count(&["prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens"])
            .map(|count| count.saturating_add(beside));
        let thoughts = count(&["thoughtsTokenCount"]).unwrap_or(0);
        let completion =
            count(&["completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens"])
                .map(|count| count.saturating_add(thoughts));
        let total = count(&["total_tokens", "totalTokenCount", "totalTokens"]);
        if prompt.is_none() && completion.is_none() && total.is_none() {
            return;
        }
        let before = self.usage.take().unwrap_or_default();
        // Jina counts only in all; nothing is generated there.
        let prompt_tokens = prompt.or(total.filter(|_| completion.is_none() && before.prompt_tokens == 0));
        let prompt_tokens = prompt_tokens.unwrap_or(before.prompt_tokens);
        let completion_tokens = completion.unwrap_or(before.completion_tokens);
        self.usage = Some(Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: total.unwrap_or(prompt_tokens.saturating_add(completion_tokens)),
            cached_tokens: cached.or(before.cached_tokens),
            cache_write_tokens: written.or(before.cache_write_tokens),
            reasoning_tokens: before.reasoning_tokens,
            running: false,
            raw: Some(said.to_string().into()),
        });
    }
}

/// The ends of the types of last events: `image_generation.completed`, `transcript.text.done`, `speech.audio.done`.
const LAST: [&str; 3] = [".completed", "text.done", "audio.done"];
/// Ends of types that are not last though they look so.
const PARTS: [&str; 1] = ["output_text.done"];
