//! What Claude's models take, by version: the same on Anthropic's own API, on Bedrock and wherever else they are served.
//!
//! Versions are told by the model's id, which is all that a request says of its model. Knows no wire format; called by the
//! backend dialects that speak to Claude. From WIRE facts ("Anthropic") and LiteLLM 1.109.1 (budgets).

use crate::{dialect::answer_tool::Forcing, hub::ReasoningEffort};

/// A Claude, by its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claude {
    version: (u32, u32),
}

/// What an effort comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// None, which is what happens unless asked for.
    Off,
    /// None, where the model thinks unless told not to.
    Disabled,
    /// As much as the model finds right at this effort.
    Adaptive(&'static str),
    /// At most so many tokens.
    Budget(u64),
}

/// Why an effort can't be honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unable {
    /// The model does not reason.
    NeverThinks,
    /// It has no such level.
    NoSuchLevel,
    /// The caller's limit leaves no room for [`SMALLEST_BUDGET`] and an answer.
    NoRoom,
}

impl Claude {
    /// `None`: the id names no Claude. One of a family that is newer than this code counts as the newest.
    pub(crate) fn of(model: &str) -> Option<Self> {
        let (_, name) = model.rsplit_once("claude-")?;
        let numbered =
            |word: &str| word.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit());
        let family = name.split(WORD_ENDS).find(|word| !numbered(word));
        let version = match family {
            Some(family) if !FAMILIES.contains(&family) => (u32::MAX, 0),
            _ => version(name),
        };
        Some(Self { version })
    }

    /// Takes an effort and thinks as it sees fit, instead of a budget.
    pub(crate) fn is_adaptive(self) -> bool {
        self.version >= (4, 6)
    }

    /// Takes temperature, `top_p` and `top_k`.
    pub(crate) fn takes_sampling(self) -> bool {
        self.version < (4, 7)
    }

    /// Answers by a JSON schema.
    pub(crate) fn takes_schemas(self) -> bool {
        self.version >= (4, 5)
    }

    /// Whether it can be made to call a tool: not while it thinks. `effort` is what was asked for.
    pub(crate) fn forcing(self, effort: Option<&ReasoningEffort>) -> Forcing {
        match effort {
            Some(ReasoningEffort::None) => Forcing::Can,
            None if !self.is_adaptive() => Forcing::Can,
            _ => Forcing::Asked,
        }
    }

    /// The longest answer that all models of this version can give, in tokens.
    pub(crate) fn longest_answer(self) -> u64 {
        match self.version {
            version if version < (3, 5) => 4096,
            version if version < (3, 7) => 8192,
            _ => 32_000,
        }
    }

    /// `limit` is the caller's on the whole answer, thinking included.
    pub(crate) fn thinking(self, effort: &ReasoningEffort, limit: Option<u64>) -> Result<Thinking, Unable> {
        if self.is_adaptive() {
            if *effort == ReasoningEffort::None {
                return Ok(Thinking::Disabled);
            }
            let wanted = if *effort == ReasoningEffort::Minimal { "low" } else { effort.as_openai() };
            let level = EFFORTS.iter().find(|level| **level == wanted);
            return level.map(|level| Thinking::Adaptive(level)).ok_or(Unable::NoSuchLevel);
        }
        let budget = match effort {
            ReasoningEffort::None => return Ok(Thinking::Off),
            _ if self.version < (3, 7) => return Err(Unable::NeverThinks),
            ReasoningEffort::Minimal | ReasoningEffort::Low => SMALLEST_BUDGET,
            ReasoningEffort::Medium => 2048,
            ReasoningEffort::High => 4096,
            ReasoningEffort::XHigh => 8192,
            ReasoningEffort::Max | ReasoningEffort::Other(_) => return Err(Unable::NoSuchLevel),
        };
        let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(1));
        if room < SMALLEST_BUDGET { Err(Unable::NoRoom) } else { Ok(Thinking::Budget(budget.min(room))) }
    }
}

/// Of `3-7-sonnet-20250219-v1:0`, `opus-4-6-v1`, `sonnet-5`, `sonnet-4-20250514-v1:0`: the first number and, if it follows
/// at once and is no date, the second.
fn version(name: &str) -> (u32, u32) {
    let number = |word: &str| word.parse::<u32>().ok().filter(|number| *number < 100);
    let mut words = name.split(WORD_ENDS).skip_while(|word| number(word).is_none());
    let major = words.next().and_then(number).unwrap_or_default();
    (major, words.next().and_then(number).unwrap_or_default())
}

/// Vertex AI writes a model's date behind an `@`.
const WORD_ENDS: [char; 2] = ['-', '@'];
/// Families whose names have a version that says what they take.
const FAMILIES: [&str; 4] = ["opus", "sonnet", "haiku", "instant"];
const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];
/// The least `budget_tokens`.
pub(crate) const SMALLEST_BUDGET: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::{Claude, Thinking, Unable};
    use crate::hub::ReasoningEffort;

    #[test]
    fn versions_are_told_by_the_name() {
        let version = |model| Claude::of(model).map(|claude| claude.version);
        assert_eq!(version("claude-3-7-sonnet-20250219"), Some((3, 7)));
        assert_eq!(version("us.anthropic.claude-opus-4-6-v1"), Some((4, 6)));
        assert_eq!(version("claude-sonnet-4-20250514"), Some((4, 0)));
        assert_eq!(version("claude-sonnet-5"), Some((5, 0)));
        assert_eq!(version("claude-opus-4-5@20251101"), Some((4, 5)));
        assert_eq!(version("claude-sonnet-4@20250514"), Some((4, 0)));
        assert_eq!(version("claude-instant-v1"), Some((0, 0)));
        assert_eq!(version("claude-v2:1"), Some((0, 0)));
        assert_eq!(version("claude-fable-1"), Some((u32::MAX, 0)), "a new family is a new model");
        assert_eq!(version("kimi-k3"), None);
    }

    #[test]
    fn an_effort_is_a_budget_or_an_effort_by_version() {
        let thinking =
            |model, effort: &ReasoningEffort, limit| Claude::of(model).unwrap().thinking(effort, limit);
        assert_eq!(thinking("claude-opus-4-5", &ReasoningEffort::High, None), Ok(Thinking::Budget(4096)));
        assert_eq!(
            thinking("claude-opus-4-5", &ReasoningEffort::High, Some(2000)),
            Ok(Thinking::Budget(1999))
        );
        assert_eq!(thinking("claude-opus-4-5", &ReasoningEffort::Low, Some(1024)), Err(Unable::NoRoom));
        assert_eq!(
            thinking("claude-opus-4-6", &ReasoningEffort::Minimal, Some(10)),
            Ok(Thinking::Adaptive("low"))
        );
        assert_eq!(thinking("claude-opus-5", &ReasoningEffort::None, None), Ok(Thinking::Disabled));
        assert_eq!(
            thinking("claude-3-5-haiku-latest", &ReasoningEffort::Low, None),
            Err(Unable::NeverThinks)
        );
    }
}
