//! `generationConfig`.

use serde_json::{Value, json};

use super::{message, schema};
use crate::{
    WireError,
    dialect::object::{Object, as_u32, invalid, wrong_type},
    hub::{ChatRequest, Limits, ReasoningEffort, ResponseFormat, Sampling},
};

/// What no other backend has stays under its path, to be refused by name.
pub(super) fn decode(fields: &mut Object, request: &mut ChatRequest) -> Result<(), WireError> {
    let Some(value) = fields.take("generationConfig") else { return Ok(()) };
    let mut config = message(value, PATH)?;
    let wants_logprobs = config.boolean("responseLogprobs")?;
    request.sampling = Sampling {
        temperature: config.number("temperature")?,
        top_p: config.number("topP")?,
        top_k: config.number("topK")?,
        seed: config.integer("seed", Value::as_i64)?,
        frequency_penalty: config.number("frequencyPenalty")?,
        presence_penalty: config.number("presencePenalty")?,
        logit_bias: None,
        logprobs: wants_logprobs.filter(|wanted| *wanted),
        top_logprobs: config.integer("logprobs", as_u32)?,
    };
    request.limits = Limits {
        max_output_tokens: config.integer("maxOutputTokens", Value::as_u64)?,
        legacy_max_tokens: true,
        stop: stop_sequences(&mut config)?,
        n: config.integer("candidateCount", as_u32)?,
    };
    request.response_format = response_format(&mut config)?;
    request.reasoning_effort = thinking(&mut config)?;
    if config.fields.get("responseModalities") == Some(&json!(["TEXT"])) {
        config.take("responseModalities");
    }
    let left = config.rest().into_iter().filter(|(_, value)| !value.is_null());
    request.extras.extend(left.map(|(name, value)| (format!("{PATH}.{name}"), value)));
    Ok(())
}

fn stop_sequences(config: &mut Object) -> Result<Vec<String>, WireError> {
    let stops = config.array("stopSequences")?.unwrap_or_default().into_iter().enumerate();
    stops
        .map(|(at, stop)| match stop {
            Value::String(stop) => Ok(stop),
            other => Err(wrong_type(&format!("{PATH}.stopSequences[{at}]"), "a string", &other)),
        })
        .collect()
}

fn response_format(config: &mut Object) -> Result<Option<ResponseFormat>, WireError> {
    let own = config.take("responseSchema").map(schema::to_json_schema);
    let schema = config.take("responseJsonSchema").or_else(|| config.take("_responseJsonSchema")).or(own);
    let kind = config.string("responseMimeType")?;
    match (kind.as_deref(), schema) {
        (None | Some("" | "text/plain"), None) => Ok(None),
        (Some("application/json"), None) => Ok(Some(ResponseFormat::JsonObject)),
        (Some("application/json"), schema) => Ok(Some(ResponseFormat::JsonSchema {
            // OpenAI wants a name, and nobody reads it.
            name: "answer".to_owned(),
            description: None,
            schema,
            strict: None,
        })),
        (Some("text/x.enum"), Some(_)) => {
            Err(invalid(&format!("{PATH}.responseMimeType"), "this model's answers are text or JSON"))
        }
        (_, Some(_)) => {
            Err(invalid(&format!("{PATH}.responseMimeType"), "with a schema it has to be 'application/json'"))
        }
        (Some(_), None) => {
            Err(invalid(&format!("{PATH}.responseMimeType"), "this model's answers are text or JSON"))
        }
    }
}

/// The hub has levels, other backends too: a budget becomes the level that would make it. A budget of 0, and one that is the model's
/// to choose (-1), are what happens unless something is asked for.
fn thinking(config: &mut Object) -> Result<Option<ReasoningEffort>, WireError> {
    let Some(value) = config.take("thinkingConfig") else { return Ok(None) };
    let path = config.path_of("thinkingConfig");
    let mut thinking = message(value, &path)?;
    // Thoughts are marked as such: who does not want them skips them.
    thinking.boolean("includeThoughts")?;
    let budget = thinking.integer("thinkingBudget", Value::as_i64)?;
    let level = thinking.string("thinkingLevel")?;
    if let Some((name, _)) = thinking.rest().iter().find(|(_, value)| !value.is_null()) {
        return Err(invalid(&format!("{path}.{name}"), "there is no such field"));
    }
    Ok(match (level.as_deref(), budget) {
        (Some(level), _) if level != "THINKING_LEVEL_UNSPECIFIED" => {
            Some(ReasoningEffort::of_openai(&level.to_ascii_lowercase()))
        }
        (_, None | Some(..=0)) => None,
        (_, Some(..2048)) => Some(ReasoningEffort::Low),
        (_, Some(2048..4096)) => Some(ReasoningEffort::Medium),
        (_, Some(_)) => Some(ReasoningEffort::High),
    })
}

const PATH: &str = "generationConfig";
