//! Writes the body of generateContent and streamGenerateContent; it is the same for both, and for both of Google's hosts.
//!
//! What Gemini can't honour and would change the answer is refused by name, never sent in the hope that it works and never left
//! out in silence; mere hints are dropped ([`HINTS`]). Fields of Gemini's own, in either of its spellings, go to their places.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{
    ErrorClass, WireError,
    dialect::api::Api,
    hub::{ChatRequest, ReasoningEffort, ResponseFormat},
};

mod contents;
mod media;
mod tools;

#[cfg(test)]
mod tests;

/// The body of `request` for `model`, by the backend's name for it: how thinking is asked for depends on it.
///
/// # Errors
/// [`ErrorClass::BadRequest`], naming the parameter, for everything that Gemini can't honour.
pub fn encode_request(request: &ChatRequest, model: &str) -> Result<Bytes, WireError> {
    refuse_unsupported(request)?;
    let family = Family::of(model);
    let mut body = contents::encode(&request.messages, family)?;
    tools::encode(request, &mut body)?;
    let mut config = generation_config(request)?;
    if let Some(thinking) = thinking(request.reasoning_effort.as_ref(), family)? {
        config.insert("thinkingConfig".to_owned(), thinking);
    }
    for (name, value) in request.extras.iter().filter(|(_, value)| !value.is_null()) {
        match OWN.iter().find(|(camel, snake, _)| name == camel || name == snake) {
            Some((camel, _, Place::Body)) => body.insert((*camel).to_owned(), value.clone()),
            Some((camel, _, Place::Config)) => config.insert((*camel).to_owned(), value.clone()),
            None => None,
        };
    }
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), config.into());
    }
    serde_json::to_vec(&body)
        .map(Bytes::from)
        .map_err(|error| WireError::new(ErrorClass::Internal, format!("Gemini body: {error}")))
}

/// Generations of models, which are told how much to think in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// 2.5: a budget in tokens.
    Budget,
    /// 3 and later: a level; and calls have to come back with their signatures.
    Level,
    /// Everything else: no known way.
    Other,
}

impl Family {
    fn of(model: &str) -> Self {
        let version = model.rsplit('/').next().and_then(|name| name.strip_prefix("gemini-"));
        let version = version.and_then(|rest| rest.split('-').next()).unwrap_or_default();
        match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
            Some(3..) => Self::Level,
            Some(2) if version == "2.5" => Self::Budget,
            _ => Self::Other,
        }
    }
}

fn thinking(effort: Option<&ReasoningEffort>, family: Family) -> Result<Option<Value>, WireError> {
    let Some(effort) = effort else { return Ok(None) };
    let unknown =
        || unsupported("reasoning_effort", &format!("this model has no level {:?}", effort.as_openai()));
    match family {
        Family::Level => {
            let level = match effort {
                ReasoningEffort::Minimal => "MINIMAL",
                ReasoningEffort::Low => "LOW",
                ReasoningEffort::Medium => "MEDIUM",
                ReasoningEffort::High => "HIGH",
                ReasoningEffort::XHigh => "XHIGH",
                ReasoningEffort::None | ReasoningEffort::Max | ReasoningEffort::Other(_) => {
                    return Err(unknown());
                }
            };
            Ok(Some(json!({ "includeThoughts": true, "thinkingLevel": level })))
        }
        Family::Budget => {
            // The budgets that LiteLLM 1.109.1 gives these levels.
            let budget = match effort {
                ReasoningEffort::None => return Ok(Some(json!({ "thinkingBudget": 0 }))),
                ReasoningEffort::Minimal | ReasoningEffort::Low => 1024,
                ReasoningEffort::Medium => 2048,
                ReasoningEffort::High => 4096,
                ReasoningEffort::XHigh => 8192,
                ReasoningEffort::Max | ReasoningEffort::Other(_) => return Err(unknown()),
            };
            Ok(Some(json!({ "includeThoughts": true, "thinkingBudget": budget })))
        }
        Family::Other if *effort == ReasoningEffort::None => Ok(None),
        Family::Other => Err(unsupported(
            "reasoning_effort",
            "this model's way to set it is not known; use `thinkingConfig`",
        )),
    }
}

fn generation_config(request: &ChatRequest) -> Result<Map<String, Value>, WireError> {
    let (sampling, limits) = (&request.sampling, &request.limits);
    let mut config = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(name.to_owned(), value);
        }
    };
    put("temperature", sampling.temperature.clone().map(Value::Number));
    put("topP", sampling.top_p.clone().map(Value::Number));
    put("topK", sampling.top_k.clone().map(Value::Number));
    put("seed", sampling.seed.map(Value::from));
    put("presencePenalty", sampling.presence_penalty.clone().map(Value::Number));
    put("frequencyPenalty", sampling.frequency_penalty.clone().map(Value::Number));
    put("responseLogprobs", sampling.logprobs.filter(|wanted| *wanted).map(Value::from));
    put("logprobs", sampling.top_logprobs.filter(|count| *count > 0).map(Value::from));
    put("candidateCount", limits.n.filter(|count| *count > 1).map(Value::from));
    put("maxOutputTokens", limits.max_output_tokens.map(Value::from));
    put("stopSequences", (!limits.stop.is_empty()).then(|| limits.stop.clone().into()));
    put("responseModalities", modalities(request)?);
    match &request.response_format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::JsonObject) => put("responseMimeType", Some(JSON.into())),
        Some(ResponseFormat::JsonSchema { schema, .. }) => {
            put("responseMimeType", Some(JSON.into()));
            put("responseJsonSchema", schema.clone());
        }
        Some(ResponseFormat::Opaque(_)) => {
            return Err(unsupported("response_format", "it knows text, json_object and json_schema"));
        }
    }
    Ok(config)
}

/// OpenAI's `modalities` in Gemini's words. Sound needs a voice, which OpenAI's `audio` says in a way that Gemini has not.
fn modalities(request: &ChatRequest) -> Result<Option<Value>, WireError> {
    let Some(wanted) = request.extras.get("modalities").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let one = |value: &Value| match value.as_str() {
        Some("text") => Ok(Value::from("TEXT")),
        Some("image") => Ok(Value::from("IMAGE")),
        _ => Err(unsupported(
            "modalities",
            "it knows text and image; for sound use `responseModalities` and `speechConfig`",
        )),
    };
    let wanted = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
    wanted.iter().map(one).collect::<Result<Vec<_>, _>>().map(|all| Some(all.into()))
}

/// All of what can't be honoured at once.
fn refuse_unsupported(request: &ChatRequest) -> Result<(), WireError> {
    let sampling = &request.sampling;
    let mut names: Vec<String> = Vec::new();
    if sampling.logit_bias.as_ref().is_some_and(|bias| !bias.is_empty()) {
        names.push("logit_bias".to_owned());
    }
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        names.push("parallel_tool_calls".to_owned());
    }
    let known = |name: &str| {
        name == "modalities"
            || HINTS.contains(&name)
            || OWN.iter().any(|(camel, snake, _)| name == *camel || name == *snake)
    };
    let harmless = |name: &str, value: &Value| match name {
        _ if value.is_null() => true,
        "store" => *value == Value::Bool(false),
        "service_tier" => matches!(value.as_str(), Some("auto" | "default")),
        _ => false,
    };
    let extras = request.extras.iter().filter(|(name, value)| !known(name) && !harmless(name, value));
    names.extend(extras.map(|(name, _)| name.clone()));
    let stream = request.stream.iter().flat_map(|options| &options.extras);
    let stream = stream.filter(|(name, value)| !value.is_null() && *name != "include_obfuscation");
    names.extend(stream.map(|(name, _)| format!("stream_options.{name}")));
    API.refuse_parameters(&names)
}

/// The error for what Gemini has no way to do.
fn unsupported(param: impl Into<String>, why: &str) -> WireError {
    API.unsupported(param, why)
}

const API: Api = Api("Gemini");

/// Where a field of Gemini's own goes.
#[derive(Clone, Copy)]
enum Place {
    Body,
    Config,
}

/// Gemini's own fields, in the spelling of its API and in that of its Python users; passed on as they came, in the place of what
/// other fields would say.
const OWN: &[(&str, &str, Place)] = &[
    ("safetySettings", "safety_settings", Place::Body),
    ("cachedContent", "cached_content", Place::Body),
    ("labels", "labels", Place::Body),
    ("toolConfig", "tool_config", Place::Body),
    ("thinkingConfig", "thinking_config", Place::Config),
    ("mediaResolution", "media_resolution", Place::Config),
    ("responseModalities", "response_modalities", Place::Config),
    ("responseSchema", "response_schema", Place::Config),
    ("speechConfig", "speech_config", Place::Config),
    ("imageConfig", "image_config", Place::Config),
];

/// OpenAI fields that change a price, a wait or a statistic, and no answer.
const HINTS: &[&str] = &[
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "prediction",
    "safety_identifier",
];

const JSON: &str = "application/json";
