//! How much to think, which each model family on Bedrock is told in another way.
//!
//! Families are told by the model id: that is all a request says of its model. Shapes: botocore 1.44.5 (`outputConfig`),
//! recordings (`thinking` with a budget, `reasoning_effort` of gpt-oss), LiteLLM 1.109.1 (Nova 2, OpenAI's GPT, budgets).

use serde_json::{Value, json};

use crate::{
    WireError,
    dialect::claude::{Claude, SMALLEST_BUDGET, Thinking as ClaudeThinking, Unable},
    hub::{ChatRequest, ReasoningEffort},
};

use super::{parameters, unsupported};

/// Models that take parameters which Converse has no name for in the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModelFamily {
    /// Claude.
    Claude(Claude),
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
        if let Some(claude) = Claude::of(model) {
            return Self::Claude(claude);
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
        matches!(self, Self::Claude(_))
    }
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
        ModelFamily::Claude(claude) => claude_thinking(request, effort, claude),
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

fn claude_thinking(
    request: &ChatRequest,
    effort: &ReasoningEffort,
    claude: Claude,
) -> Result<Thinking, WireError> {
    match claude.thinking(effort, request.limits.max_output_tokens) {
        Ok(ClaudeThinking::Off) => Ok(Thinking::default()),
        Ok(ClaudeThinking::Disabled) => Ok(Thinking::field("thinking", json!({"type": "disabled"}))),
        Ok(ClaudeThinking::Budget(tokens)) => {
            Ok(Thinking::field("thinking", json!({"type": "enabled", "budget_tokens": tokens})))
        }
        Ok(ClaudeThinking::Adaptive(effort)) => {
            Ok(Thinking { effort: Some(effort), ..Thinking::field("thinking", json!({"type": "adaptive"})) })
        }
        Err(Unable::NeverThinks) => Err(unsupported(PARAM, "this model does not reason")),
        Err(Unable::NoSuchLevel) => Err(unknown_level(effort)),
        Err(Unable::NoRoom) => {
            let message = format!("reasoning takes at least {SMALLEST_BUDGET} tokens besides the answer");
            Err(WireError::bad_request(message).with_param(parameters::max_tokens_name(request)))
        }
    }
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
