//! What a simulated backend is to do in one call, and the short text form it is asked for in.
//!
//! Four places can speak, the later one wins field by field: the listener's own default, the model's name
//! (`sim-t100-i5ms`), a bracket in the prompt (`[sim tokens=100 interval=5ms]`) and the header `x-sim-scenario`
//! (`tokens=100,interval=5ms`). The prompt is there because gateways drop headers that they do not know and rename models.
//! A word that is not understood is an error which the caller is told of; it is never ignored.

use std::fmt;
use std::time::Duration;

use memchr::memmem;

/// One call's behaviour. The default is a plain, fast, healthy answer of 20 tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Content tokens to send; one token is one content frame.
    pub tokens: u32,
    /// Time from one token to the next.
    pub interval: Duration,
    /// Tokens sent without waiting for `interval`, before each `gap`; 0 means no bursts.
    pub burst: u32,
    /// Time from the last token of a burst to the first of the next.
    pub gap: Duration,
    /// Bytes of text per token; 0 means the words of the built-in text.
    pub text: usize,
    /// Time from the request's last byte to the response's head.
    pub headers_delay: Duration,
    /// Time from the response's head to the first token.
    pub first_token_delay: Duration,
    /// Send nothing more after this many tokens, until the caller closes.
    pub stall: Option<u32>,
    /// Send half of this frame (counted from 0, all frames count), then nothing more until the caller closes.
    pub split_stall: Option<u32>,
    /// Answer with this HTTP status and the provider's own error body.
    pub error: Option<u16>,
    /// `retry-after` in seconds on an error answer.
    pub retry_after: Option<u32>,
    /// `retry-after-ms` on an error answer.
    pub retry_after_ms: Option<u32>,
    /// The provider's form of an error inside the 200 stream after this many tokens.
    pub fail: Option<u32>,
    /// The Bedrock exception that `fail` sends.
    pub exception: Option<String>,
    /// Close without the end of the body after this many tokens. (HTTP/2 has no such thing: there it is as `eof`.)
    pub truncate: Option<u32>,
    /// End the HTTP body properly, but without the dialect's last events, after this many tokens.
    pub eof: Option<u32>,
    /// Realtime: the code of the close frame that `eof` sends; unset: 1000.
    pub close: Option<u16>,
    /// TCP RST (HTTP/2: `RST_STREAM(INTERNAL_ERROR)`) after this many tokens.
    pub reset: Option<u32>,
    /// Send each frame in pieces of this many bytes; 0 means whole.
    pub trickle: usize,
    /// Time between two pieces of a trickled frame.
    pub trickle_delay: Duration,
    /// Replace this frame (counted from 0) by one that does not parse.
    pub malformed: Option<u32>,
    /// Time between two reads (of at most 16 KiB) of the request's body.
    pub read_delay: Duration,
    /// Read the request's head only, never its body, and never answer.
    pub never_read: bool,
    /// Reasoning tokens before the content.
    pub reasoning: u32,
    /// Tool calls after the content.
    pub tools: u32,
    /// The prompt's tokens that usage reports; unset: a quarter of the request body's bytes, rounded up.
    pub prompt: Option<u32>,
    /// How many of the prompt's tokens usage reports as read from a cache.
    pub cached: u32,
    /// The finish reason, in the provider's own word.
    pub finish: Option<String>,
    /// Azure: content filter verdicts arrive asynchronously, as chunks without a delta.
    pub async_filter: bool,
    /// Keep writing after the caller closed, as a backend that does not notice would, until a write fails.
    pub deaf: bool,
    /// Replay only: split the recorded body at random places drawn from this seed.
    pub split: Option<u32>,
    /// Carried into the observation, so that a test finds its call behind any gateway.
    pub tag: Option<String>,
}

impl Scenario {
    /// This scenario with the fields that `text` names changed.
    ///
    /// `text` is `key=value` pairs separated by commas, semicolons or white space; a duration is a number with `us`, `ms`
    /// or `s` (a bare number is milliseconds).
    ///
    /// # Errors
    /// A key or value that is not understood; the message names it.
    pub fn with(mut self, text: &str) -> Result<Self, ScenarioError> {
        let words = text.split([',', ';', ' ', '\t', '\n']).filter(|word| !word.is_empty());
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, "1"));
            self.set(key, value).ok_or_else(|| ScenarioError(word.to_owned()))?;
        }
        Ok(self)
    }

    /// This scenario with the fields that a model's name asks for changed: `sim-t100-i5ms-stall10`, also behind a vendor
    /// prefix (`us.amazon.sim-t100`). Any other name changes nothing.
    ///
    /// # Errors
    /// A segment after `sim-` that is not understood.
    pub fn with_model(mut self, model: &str) -> Result<Self, ScenarioError> {
        let name = model.rsplit(['/', '.', ':']).next().unwrap_or(model);
        let Some(segments) = name.strip_prefix("sim-") else { return Ok(self) };
        for segment in segments.split('-').filter(|segment| !segment.is_empty()) {
            let digits = segment.find(|c: char| c.is_ascii_digit()).unwrap_or(segment.len());
            let (key, value) = segment.split_at(digits);
            let value = if value.is_empty() { "1" } else { value };
            self.set(key, value).ok_or_else(|| ScenarioError(segment.to_owned()))?;
        }
        Ok(self)
    }

    /// This scenario with the fields of the last `[sim ...]` bracket in a request's body changed. The body is searched as
    /// bytes, so every dialect's place for a prompt will do.
    ///
    /// # Errors
    /// A word in the bracket that is not understood.
    pub fn with_prompt(self, body: &[u8]) -> Result<Self, ScenarioError> {
        let Some(start) = memmem::rfind(body, b"[sim ") else { return Ok(self) };
        let rest = body.get(start + 5..).unwrap_or_default();
        let Some(end) = memchr::memchr(b']', rest) else { return Ok(self) };
        match std::str::from_utf8(rest.get(..end).unwrap_or_default()) {
            Ok(text) => self.with(text),
            Err(_) => Err(ScenarioError("[sim ...] that is not UTF-8".to_owned())),
        }
    }

    /// The text of content token `index`, as every backend sends it.
    #[must_use]
    pub fn token_text(&self, index: u32) -> String {
        let word = word(index);
        match self.text {
            0 => word.to_owned(),
            bytes => word.chars().cycle().take(bytes).collect(),
        }
    }

    /// All the text that a healthy answer has.
    #[must_use]
    pub fn whole_text(&self) -> String {
        (0..self.tokens).map(|index| self.token_text(index)).collect()
    }

    /// All the reasoning text that a healthy answer has.
    #[must_use]
    pub fn reasoning_text(&self) -> String {
        (0..self.reasoning).map(word).collect()
    }

    /// Sets one field by its long or short name; `None` if the name or the value is not understood.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "tokens" | "t" => self.tokens = number(value)?,
            "interval" | "i" => self.interval = duration(value)?,
            "burst" | "b" => self.burst = number(value)?,
            "gap" | "g" => self.gap = duration(value)?,
            "text" | "x" => self.text = value.parse().ok().filter(|bytes| *bytes <= MAX_TEXT)?,
            "headers_delay" | "hd" => self.headers_delay = duration(value)?,
            "first_token_delay" | "fd" => self.first_token_delay = duration(value)?,
            "trickle" => self.trickle = value.parse().ok()?,
            "trickle_delay" | "td" => self.trickle_delay = duration(value)?,
            "read_delay" | "rd" => self.read_delay = duration(value)?,
            "reasoning" | "r" => self.reasoning = number(value)?,
            "tools" => self.tools = number(value)?,
            "prompt" => self.prompt = Some(number(value)?),
            "cached" => self.cached = number(value)?,
            "never_read" => self.never_read = flag(value)?,
            "async_filter" => self.async_filter = flag(value)?,
            "deaf" => self.deaf = flag(value)?,
            "tag" => self.tag = Some(value.to_owned()),
            _ => return self.set_fault(key, value),
        }
        Some(())
    }

    fn set_fault(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "error" | "err" => self.error = Some(value.parse().ok().filter(|s| (400..600).contains(s))?),
            "retry_after" => self.retry_after = Some(number(value)?),
            "retry_after_ms" => self.retry_after_ms = Some(number(value)?),
            "stall" => self.stall = Some(number(value)?),
            "split_stall" | "half" => self.split_stall = Some(number(value)?),
            "fail" => self.fail = Some(number(value)?),
            "exception" => self.exception = Some(value.to_owned()),
            "truncate" => self.truncate = Some(number(value)?),
            "eof" => self.eof = Some(number(value)?),
            "close" => self.close = Some(value.parse().ok()?),
            "reset" => self.reset = Some(number(value)?),
            "malformed" => self.malformed = Some(number(value)?),
            "finish" => self.finish = Some(value.to_owned()),
            "split" => self.split = Some(number(value)?),
            _ => return None,
        }
        Some(())
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            tokens: 20,
            interval: Duration::ZERO,
            burst: 0,
            gap: Duration::ZERO,
            text: 0,
            headers_delay: Duration::ZERO,
            first_token_delay: Duration::ZERO,
            stall: None,
            split_stall: None,
            error: None,
            retry_after: None,
            retry_after_ms: None,
            fail: None,
            exception: None,
            truncate: None,
            eof: None,
            close: None,
            reset: None,
            trickle: 0,
            trickle_delay: Duration::ZERO,
            malformed: None,
            read_delay: Duration::ZERO,
            never_read: false,
            reasoning: 0,
            tools: 0,
            prompt: None,
            cached: 0,
            finish: None,
            async_filter: false,
            deaf: false,
            split: None,
            tag: None,
        }
    }
}

/// A word of a scenario that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError(String);

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulator: {:?} is no scenario field or has a bad value", self.0)
    }
}

impl std::error::Error for ScenarioError {}

/// The built-in text's word for token `index`; each begins with a space so that the joined text reads well.
pub(crate) fn word(index: u32) -> &'static str {
    WORDS.get(index as usize % WORDS.len()).copied().unwrap_or(" tide")
}

fn number(value: &str) -> Option<u32> {
    value.parse().ok()
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn duration(value: &str) -> Option<Duration> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (amount, unit) = value.split_at(digits);
    let amount: u64 = amount.parse().ok()?;
    match unit {
        "us" => Some(Duration::from_micros(amount)),
        "ms" | "" => Some(Duration::from_millis(amount)),
        "s" => Some(Duration::from_secs(amount)),
        _ => None,
    }
}

/// A frame has to fit the providers' own limits; nobody sends a token of more than a mebibyte.
const MAX_TEXT: usize = 1 << 20;

/// A text of 32 different words: long enough that a lost, repeated or swapped token shows in the joined text.
pub(crate) const WORDS: [&str; 32] = [
    " A",
    " tide",
    " gate",
    " is",
    " one",
    " door",
    " in",
    " the",
    " sea",
    " wall",
    " that",
    " turning",
    " water",
    " itself",
    " pushes",
    " shut",
    ";",
    " nobody",
    " has",
    " to",
    " remember",
    " closing",
    " it",
    ",",
    " and",
    " behind",
    " its",
    " boards",
    " every",
    " field",
    " stays",
    " dry.",
];

#[cfg(test)]
mod tests;
