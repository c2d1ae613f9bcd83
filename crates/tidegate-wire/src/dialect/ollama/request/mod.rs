//! Writes the body of a chat request.
//!
//! What Ollama can't honour and would change the answer is refused by name, never sent in the hope that it works and never left out
//! in silence; mere hints are dropped. Its own fields go to their places, options of models among them whether they stand under
//! `options` or beside it, as LiteLLM's users write them.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    ErrorClass, WireError,
    dialect::{
        api::Api,
        parameters::{own, refuse_unsupported},
    },
    hub::{ChatRequest, ReasoningEffort, ResponseFormat, ToolChoice},
};

mod messages;

#[cfg(test)]
mod tests;

/// The body of `request` for the backend's `model`, by whose name it is known how thinking is asked for.
///
/// # Errors
/// [`ErrorClass::BadRequest`], naming the parameter, for everything that Ollama can't honour.
pub fn encode_request(request: &ChatRequest, model: &str) -> Result<Bytes, WireError> {
    refuse_unsupported(request, API.0, |name| {
        name == "options" || OWN.contains(&name) || OPTIONS.contains(&name) || HAS.contains(&name)
    })?;
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        return Err(API.unsupported("parallel_tool_calls", "it calls as many tools at once as it likes"));
    }
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("model", Some(model.into()));
    put("messages", Some(messages::encode(&request.messages)?.into()));
    // A stream is what it does unless told otherwise.
    put("stream", Some(request.stream.is_some().into()));
    put("tools", tools(request)?);
    put("format", format(request.response_format.as_ref())?);
    put("think", think(request.reasoning_effort.as_ref(), model)?);
    put("logprobs", request.sampling.logprobs.filter(|wanted| *wanted).map(Value::from));
    put("top_logprobs", request.sampling.top_logprobs.filter(|count| *count > 0).map(Value::from));
    put("options", options(request)?);
    for name in OWN {
        put(name, own(&request.extras, name).cloned());
    }
    serde_json::to_vec(&body)
        .map(Bytes::from)
        .map_err(|error| WireError::new(ErrorClass::Internal, format!("Ollama body: {error}")))
}

fn tools(request: &ChatRequest) -> Result<Option<Value>, WireError> {
    match &request.tool_choice {
        None | Some(ToolChoice::Auto) => {}
        // What is not offered is not called.
        Some(ToolChoice::None) => return Ok(None),
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Opaque(_)) => {
            return Err(API.unsupported("tool_choice", "it knows auto and none"));
        }
    }
    let functions = request.tools.iter().enumerate();
    let functions = functions.map(|(at, tool)| API.function(tool, &format!("tools[{at}]")));
    let functions = functions.collect::<Result<Vec<_>, _>>()?;
    Ok((!functions.is_empty()).then(|| functions.into()))
}

fn format(format: Option<&ResponseFormat>) -> Result<Option<Value>, WireError> {
    Ok(match format {
        None | Some(ResponseFormat::Text) => None,
        Some(ResponseFormat::JsonObject | ResponseFormat::JsonSchema { schema: None, .. }) => {
            Some("json".into())
        }
        Some(ResponseFormat::JsonSchema { schema: Some(schema), .. }) => Some(schema.clone()),
        Some(ResponseFormat::Opaque(_)) => {
            return Err(API.unsupported("response_format", "it knows text, json_object and json_schema"));
        }
    })
}

/// Models think or don't; gpt-oss always does, and takes a level instead (the vendor's client; LiteLLM 1.109.1).
fn think(effort: Option<&ReasoningEffort>, model: &str) -> Result<Option<Value>, WireError> {
    let Some(effort) = effort else { return Ok(None) };
    let unknown = || {
        let level = effort.as_openai();
        API.unsupported("reasoning_effort", &format!("this model has no level {level:?}"))
    };
    if !model.rsplit('/').next().unwrap_or(model).starts_with("gpt-oss") {
        return match effort {
            ReasoningEffort::Other(_) => Err(unknown()),
            effort => Ok(Some((*effort != ReasoningEffort::None).into())),
        };
    }
    match effort {
        ReasoningEffort::Minimal | ReasoningEffort::Low => Ok(Some("low".into())),
        ReasoningEffort::Medium => Ok(Some("medium".into())),
        ReasoningEffort::High => Ok(Some("high".into())),
        ReasoningEffort::None | ReasoningEffort::XHigh | ReasoningEffort::Max | ReasoningEffort::Other(_) => {
            Err(unknown())
        }
    }
}

/// What the caller gave in Ollama's own words stands in the place of what it said in OpenAI's.
fn options(request: &ChatRequest) -> Result<Option<Value>, WireError> {
    let (sampling, limits) = (&request.sampling, &request.limits);
    let mut options = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(name.to_owned(), value);
        }
    };
    put("temperature", sampling.temperature.clone().map(Value::Number));
    put("top_p", sampling.top_p.clone().map(Value::Number));
    put("top_k", sampling.top_k.clone().map(Value::Number));
    put("seed", sampling.seed.map(Value::from));
    put("frequency_penalty", sampling.frequency_penalty.clone().map(Value::Number));
    put("presence_penalty", sampling.presence_penalty.clone().map(Value::Number));
    put("num_predict", limits.max_output_tokens.map(Value::from));
    put("stop", (!limits.stop.is_empty()).then(|| limits.stop.clone().into()));
    for name in OPTIONS {
        put(name, own(&request.extras, name).cloned());
    }
    match own(&request.extras, "options") {
        None => {}
        Some(Value::Object(given)) => options.extend(given.clone()),
        Some(_) => return Err(WireError::bad_request("`options` is no object").with_param("options")),
    }
    Ok((!options.is_empty()).then(|| options.into()))
}

const API: Api = Api("Ollama");

/// Parameters that other dialects may lack, and what only tells who asks.
const HAS: &[&str] =
    &["seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "safety_identifier"];

/// Fields of the request that are Ollama's own.
const OWN: &[&str] = &["format", "think", "keep_alive"];

/// Options of models that OpenAI has no name for (ollama 0.6.3; `min_p` is of the server).
const OPTIONS: &[&str] = &[
    "num_ctx",
    "num_predict",
    "num_keep",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "low_vram",
    "use_mmap",
    "use_mlock",
    "numa",
    "min_p",
    "tfs_z",
    "typical_p",
    "repeat_last_n",
    "repeat_penalty",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "penalize_newline",
];
