//! Writes the body of a chat request.
//!
//! What Cohere can't honour and would change the answer is refused by name, never sent in the hope that it works and never left out
//! in silence; mere hints are dropped. Cohere's own fields go to their places as they came.

use bytes::Bytes;
use serde_json::{Map, Value, json};

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

/// The body of `request` for the backend's `model`.
///
/// # Errors
/// [`ErrorClass::BadRequest`], naming the parameter, for everything that Cohere can't honour.
pub fn encode_request(request: &ChatRequest, model: &str) -> Result<Bytes, WireError> {
    refuse_unsupported(request, API.0, |name| {
        OWN.contains(&name) || HAS.contains(&name) || is_default_tier(request, name)
    })?;
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        return Err(API.unsupported("parallel_tool_calls", "it calls as many tools at once as it likes"));
    }
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    let documents = messages::encode(&request.messages, &mut body)?;
    body.insert("stream".to_owned(), request.stream.is_some().into());
    tools(request, &mut body)?;
    parameters(request, &mut body)?;
    put_documents(request, documents, &mut body)?;
    for name in OWN.iter().filter(|name| **name != "documents") {
        if let Some(value) = own(&request.extras, name) {
            body.insert((*name).to_owned(), value.clone());
        }
    }
    serde_json::to_vec(&body)
        .map(Bytes::from)
        .map_err(|error| WireError::new(ErrorClass::Internal, format!("Cohere body: {error}")))
}

fn tools(request: &ChatRequest, body: &mut Map<String, Value>) -> Result<(), WireError> {
    let demanded = || {
        WireError::bad_request("`tool_choice` demands a call, but there is no such tool")
            .with_param("tool_choice")
    };
    let mut offered: Vec<&_> = request.tools.iter().collect();
    let choice = match &request.tool_choice {
        None | Some(ToolChoice::Auto) => None,
        Some(ToolChoice::None) => Some("NONE"),
        Some(ToolChoice::Required) => Some("REQUIRED"),
        // It can't be told which, so it is offered no other.
        Some(ToolChoice::Named(name)) => {
            offered.retain(|tool| tool.name == *name);
            Some("REQUIRED")
        }
        Some(ToolChoice::Opaque(_)) => {
            return Err(API.unsupported("tool_choice", "it knows auto, none, required and one named tool"));
        }
    };
    if offered.is_empty() {
        return if choice == Some("REQUIRED") { Err(demanded()) } else { Ok(()) };
    }
    let strict = offered.iter().any(|tool| tool.strict == Some(true));
    let functions = request.tools.iter().enumerate();
    let functions = functions
        .filter(|(_, tool)| offered.iter().any(|other| std::ptr::eq(*other, *tool)))
        .map(|(at, tool)| API.function(tool, &format!("tools[{at}]")));
    body.insert("tools".to_owned(), functions.collect::<Result<Vec<_>, _>>()?.into());
    if let Some(choice) = choice {
        body.insert("tool_choice".to_owned(), choice.into());
    }
    if strict {
        body.insert("strict_tools".to_owned(), true.into());
    }
    Ok(())
}

fn parameters(request: &ChatRequest, body: &mut Map<String, Value>) -> Result<(), WireError> {
    let (sampling, limits) = (&request.sampling, &request.limits);
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("max_tokens", limits.max_output_tokens.map(Value::from));
    put("stop_sequences", (!limits.stop.is_empty()).then(|| limits.stop.clone().into()));
    put("temperature", sampling.temperature.clone().map(Value::Number));
    put("p", sampling.top_p.clone().map(Value::Number));
    put("k", sampling.top_k.clone().map(Value::Number));
    put("seed", sampling.seed.map(Value::from));
    put("frequency_penalty", sampling.frequency_penalty.clone().map(Value::Number));
    put("presence_penalty", sampling.presence_penalty.clone().map(Value::Number));
    put("logprobs", sampling.logprobs.filter(|wanted| *wanted).map(Value::from));
    put("response_format", response_format(request.response_format.as_ref())?);
    put("thinking", request.reasoning_effort.as_ref().map(thinking).transpose()?);
    Ok(())
}

fn response_format(format: Option<&ResponseFormat>) -> Result<Option<Value>, WireError> {
    Ok(match format {
        None | Some(ResponseFormat::Text) => None,
        Some(ResponseFormat::JsonObject | ResponseFormat::JsonSchema { schema: None, .. }) => {
            Some(json!({ "type": "json_object" }))
        }
        Some(ResponseFormat::JsonSchema { schema: Some(schema), .. }) => {
            Some(json!({ "type": "json_object", "json_schema": schema }))
        }
        Some(ResponseFormat::Opaque(_)) => {
            return Err(API.unsupported("response_format", "it knows text, json_object and json_schema"));
        }
    })
}

/// The budgets that LiteLLM 1.109.1 gives these levels elsewhere; the most is no budget at all.
fn thinking(effort: &ReasoningEffort) -> Result<Value, WireError> {
    let budget = match effort {
        ReasoningEffort::None => return Ok(json!({ "type": "disabled" })),
        ReasoningEffort::Max => return Ok(json!({ "type": "enabled" })),
        ReasoningEffort::Minimal | ReasoningEffort::Low => 1024,
        ReasoningEffort::Medium => 2048,
        ReasoningEffort::High => 4096,
        ReasoningEffort::XHigh => 8192,
        ReasoningEffort::Other(level) => {
            return Err(API.unsupported("reasoning_effort", &format!("it has no level {level:?}")));
        }
    };
    Ok(json!({ "type": "enabled", "token_budget": budget }))
}

/// Documents of the messages stand beside them, behind those that the caller gave there itself.
fn put_documents(
    request: &ChatRequest,
    documents: Vec<Value>,
    body: &mut Map<String, Value>,
) -> Result<(), WireError> {
    let mut all = match own(&request.extras, "documents") {
        None => Vec::new(),
        Some(Value::Array(given)) => given.clone(),
        Some(_) => return Err(WireError::bad_request("`documents` is no array").with_param("documents")),
    };
    all.extend(documents);
    if !all.is_empty() {
        body.insert("documents".to_owned(), all.into());
    }
    Ok(())
}

/// Cohere has one tier only.
fn is_default_tier(request: &ChatRequest, name: &str) -> bool {
    let tier = request.extras.get("service_tier").and_then(Value::as_str);
    name == "service_tier" && matches!(tier, Some("auto" | "default"))
}

const API: Api = Api("Cohere");

/// Parameters that other dialects may lack, and what only tells who asks.
const HAS: &[&str] = &["seed", "frequency_penalty", "presence_penalty", "logprobs", "safety_identifier"];

/// Fields of Cohere's own; they stand in the place of what other fields would say.
const OWN: &[&str] = &[
    "documents",
    "citation_options",
    "safety_mode",
    "strict_tools",
    "thinking",
    "priority",
    "stop_sequences",
    "p",
    "k",
];
