//! How much to think, which each model family on Bedrock is told in another way.
//!
//! Families are told by the model id: that is all a request says of its model. Shapes: botocore 1.44.5 (`outputConfig`),
//! recordings (`thinking` with a budget, `reasoning_effort` of gpt-oss), LiteLLM 1.109.1 (Nova 2, OpenAI's GPT, budgets).

use serde_json::{Value, json};

use crate::{
    WireError,
    hub::{ChatRequest, ReasoningEffort},
};

use super::{parameters, unsupported};

/// Models that take parameters which Converse has no name for in the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModelFamily {
    /// Claude before 4.6: a budget in tokens. `thinks` from 3.7 on.
    ClaudeBudget { thinks: bool },
    /// Claude from 4.6 on: adaptive thinking and an effort.
    ClaudeAdaptive,
    /// Amazon Nova before 2.
    Nova,
    /// Amazon Nova 2.
    Nova2,
    /// OpenAI's open-weight models.
    GptOss,
    /// OpenAI's GPT models.
    Gpt,
    /// Everything else, ARNs that hide their model among it.
    Other,
}

impl ModelFamily {
    pub(super) fn of(model: &str) -> Self {
        if let Some((_, name)) = model.rsplit_once("claude-") {
            return match claude_version(name) {
                version if version >= (4, 6) => Self::ClaudeAdaptive,
                version => Self::ClaudeBudget { thinks: version >= (3, 7) },
            };
        }
        // In this order: the first is a special case of the second, the third of the fourth.
        let marks = [
            ("nova-2-", Self::Nova2),
            ("amazon.nova-", Self::Nova),
            ("gpt-oss", Self::GptOss),
            ("openai.gpt-", Self::Gpt),
        ];
        marks
            .into_iter()
            .find_map(|(mark, family)| model.contains(mark).then_some(family))
            .unwrap_or(Self::Other)
    }

    /// Whether it is one of Amazon's own.
    pub(super) fn is_nova(self) -> bool {
        matches!(self, Self::Nova | Self::Nova2)
    }

    /// Claude signs its reasoning and takes back only what is signed.
    pub(super) fn signs_reasoning(self) -> bool {
        matches!(self, Self::ClaudeBudget { .. } | Self::ClaudeAdaptive)
    }
}

/// Of `3-7-sonnet-20250219-v1:0`, `opus-4-6-v1`, `sonnet-5`, `sonnet-4-20250514-v1:0`: the first number and, if it follows
/// at once and is no date, the second.
fn claude_version(name: &str) -> (u32, u32) {
    let number = |word: &str| word.parse::<u32>().ok().filter(|number| *number < 100);
    let mut words = name.split('-').skip_while(|word| number(word).is_none());
    let major = words.next().and_then(number).unwrap_or_default();
    (major, words.next().and_then(number).unwrap_or_default())
}

/// Where the effort goes.
#[derive(Default)]
pub(super) struct Thinking {
    /// A field of `additionalModelRequestFields`.
    pub(super) field: Option<(&'static str, Value)>,
    /// `outputConfig.effort`.
    pub(super) effort: Option<&'static str>,
}

impl Thinking {
    fn field(name: &'static str, value: Value) -> Self {
        Self { field: Some((name, value)), effort: None }
    }
}

pub(super) fn encode(request: &ChatRequest, family: ModelFamily) -> Result<Thinking, WireError> {
    let Some(effort) = &request.reasoning_effort else { return Ok(Thinking::default()) };
    match family {
        ModelFamily::ClaudeBudget { thinks } => claude_budget(request, effort, thinks),
        ModelFamily::ClaudeAdaptive => claude_adaptive(effort),
        ModelFamily::Nova2 => nova(effort),
        ModelFamily::GptOss => {
            Ok(Thinking::field("reasoning_effort", json!(one_of(effort, &["low", "medium", "high"])?)))
        }
        ModelFamily::Gpt => Ok(Thinking::field("reasoning", json!({"effort": effort.as_openai()}))),
        ModelFamily::Nova | ModelFamily::Other => Err(unsupported(
            PARAM,
            "this model's way to set it is not known; use `additionalModelRequestFields`",
        )),
    }
}

/// Thinking is off unless asked for. A budget must leave room in the caller's own limit for an answer.
fn claude_budget(
    request: &ChatRequest,
    effort: &ReasoningEffort,
    thinks: bool,
) -> Result<Thinking, WireError> {
    let budget = match effort {
        ReasoningEffort::None => return Ok(Thinking::default()),
        _ if !thinks => return Err(unsupported(PARAM, "this model does not reason")),
        ReasoningEffort::Minimal | ReasoningEffort::Low => SMALLEST_BUDGET,
        ReasoningEffort::Medium => 2048,
        ReasoningEffort::High => 4096,
        ReasoningEffort::XHigh => 8192,
        ReasoningEffort::Max | ReasoningEffort::Other(_) => return Err(unknown_level(effort)),
    };
    let room = request.limits.max_output_tokens.map_or(u64::MAX, |limit| limit.saturating_sub(1));
    if room < SMALLEST_BUDGET {
        let message = format!("reasoning takes at least {SMALLEST_BUDGET} tokens besides the answer");
        return Err(WireError::bad_request(message).with_param(parameters::max_tokens_name(request)));
    }
    let thinking = json!({"type": "enabled", "budget_tokens": budget.min(room)});
    Ok(Thinking::field("thinking", thinking))
}

fn claude_adaptive(effort: &ReasoningEffort) -> Result<Thinking, WireError> {
    if *effort == ReasoningEffort::None {
        return Ok(Thinking::field("thinking", json!({"type": "disabled"})));
    }
    let effort = one_of(effort, &["low", "medium", "high", "xhigh", "max"])?;
    Ok(Thinking { effort: Some(effort), ..Thinking::field("thinking", json!({"type": "adaptive"})) })
}

fn nova(effort: &ReasoningEffort) -> Result<Thinking, WireError> {
    let config = match effort {
        ReasoningEffort::None => json!({"type": "disabled"}),
        _ => {
            let level = one_of(effort, &["low", "medium", "high"])?;
            json!({"type": "enabled", "maxReasoningEffort": level})
        }
    };
    Ok(Thinking::field("reasoningConfig", config))
}

/// The level as the family spells it; `minimal` is its lowest.
fn one_of(effort: &ReasoningEffort, levels: &[&'static str]) -> Result<&'static str, WireError> {
    let wanted = if *effort == ReasoningEffort::Minimal { "low" } else { effort.as_openai() };
    levels.iter().find(|level| **level == wanted).copied().ok_or_else(|| unknown_level(effort))
}

fn unknown_level(effort: &ReasoningEffort) -> WireError {
    unsupported(PARAM, &format!("this model has no level {:?}", effort.as_openai()))
}

const PARAM: &str = "reasoning_effort";
/// Bedrock's least `budget_tokens`.
const SMALLEST_BUDGET: u64 = 1024;
