//! Writes the body of a Responses request.
//!
//! What the API can't honour and would change the answer is refused by name, never sent in the hope that it works and never left
//! out in silence. Nothing is kept at the backend unless the caller says so (`store`), so reasoning is asked for in its encrypted
//! form, which the caller gives back.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{
    WireError,
    dialect::{
        api::Api,
        parameters::{self, own},
    },
    hub::{ChatRequest, ReasoningEffort, ResponseFormat},
};

mod input;
#[cfg(test)]
mod tests;
mod tools;

/// What the encoder has to know besides the request.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOptions<'a> {
    /// The backend's name for the model. Decides whether encrypted reasoning may be asked for.
    pub model: &'a str,
}

/// The Responses body of `request`.
///
/// Messages become items in their order, system and developer messages among them; a function that the caller has not called
/// strict is not, as in chat completions: the API's own default is the other one.
///
/// # Errors
/// [`crate::ErrorClass::BadRequest`], naming the parameter, for everything that the API has no way to do: `stop`, `seed`, `n` over
/// 1, penalties, log-probabilities, sound, names that tell speakers apart.
pub fn encode_request(request: &ChatRequest, options: &EncodeOptions<'_>) -> Result<Bytes, WireError> {
    parameters::refuse_unsupported(request, API.0, |name| PASSED.contains(&name) || READ.contains(&name))?;
    if !request.limits.stop.is_empty() {
        return Err(API.unsupported("stop", "it has no stop sequences"));
    }
    if request.sampling.top_k.is_some() {
        return Err(API.unsupported("top_k", "it has only `top_p`"));
    }
    let mut body = Fields::default();
    body.put("model", options.model);
    body.put("input", input::encode(&request.messages)?);
    if !request.tools.is_empty() {
        body.put("tools", tools::encode(&request.tools)?);
    }
    body.put_some("tool_choice", tools::choice(request)?);
    body.put_some("parallel_tool_calls", request.parallel_tool_calls.filter(|_| !request.tools.is_empty()));
    body.put_some("temperature", request.sampling.temperature.clone());
    body.put_some("top_p", request.sampling.top_p.clone());
    body.put_some("max_output_tokens", request.limits.max_output_tokens);
    body.put_some("text", text(request)?);
    body.put_some("reasoning", reasoning(request)?);
    if !request.metadata.is_empty() {
        body.put("metadata", request.metadata.clone());
    }
    body.put_some("user", request.user.clone());
    body.put("store", own(&request.extras, "store").cloned().unwrap_or(Value::Bool(false)));
    body.put_some("include", include(request, options.model));
    if let Some(stream) = &request.stream {
        body.put("stream", true);
        let padded = stream.extras.get(OBFUSCATION).filter(|value| !value.is_null());
        body.put_some("stream_options", padded.map(|value| json!({ OBFUSCATION: value })));
    }
    let passed = |(name, value): &(&String, &Value)| PASSED.contains(&name.as_str()) && !value.is_null();
    for (name, value) in request.extras.iter().filter(passed) {
        body.put(name, value.clone());
    }
    Ok(Value::Object(body.0).to_string().into())
}

/// `text`: the answer's form and length.
fn text(request: &ChatRequest) -> Result<Option<Value>, WireError> {
    let mut text = Fields::default();
    text.put_some("format", request.response_format.as_ref().map(format).transpose()?.flatten());
    text.put_some("verbosity", own(&request.extras, "verbosity").cloned());
    Ok(text.into_filled())
}

fn format(format: &ResponseFormat) -> Result<Option<Value>, WireError> {
    Ok(match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(json!({ "type": "json_object" })),
        ResponseFormat::JsonSchema { schema: None, .. } => {
            return Err(API.unsupported("response_format.json_schema.schema", "it needs the schema itself"));
        }
        ResponseFormat::JsonSchema { name, description, schema, strict } => {
            let mut fields = Fields::default();
            fields.put("type", "json_schema");
            fields.put("name", &**name);
            fields.put_some("description", description.clone());
            fields.put_some("schema", schema.clone());
            fields.put_some("strict", *strict);
            Some(Value::Object(fields.0))
        }
        ResponseFormat::Opaque(_) => {
            return Err(API.unsupported("response_format", "it knows text, `json_object` and `json_schema`"));
        }
    })
}

/// The effort, and what a caller that knows this API says in its own words (`summary`), which come first.
fn reasoning(request: &ChatRequest) -> Result<Option<Value>, WireError> {
    let mut reasoning = match own(&request.extras, "reasoning") {
        None => Fields::default(),
        Some(Value::Object(fields)) => Fields(fields.clone()),
        Some(_) => {
            return Err(WireError::bad_request("`reasoning` must be an object").with_param("reasoning"));
        }
    };
    let effort = request.reasoning_effort.as_ref().map(ReasoningEffort::as_openai);
    match (reasoning.0.get("effort").and_then(Value::as_str), effort) {
        (Some(given), Some(effort)) if given != effort => {
            let message = "`reasoning_effort` contradicts `reasoning.effort`";
            return Err(WireError::bad_request(message).with_param("reasoning_effort"));
        }
        _ => reasoning.put_some("effort", effort),
    }
    Ok(reasoning.into_filled())
}

/// Models that don't reason refuse to be asked for it.
fn include(request: &ChatRequest, model: &str) -> Option<Value> {
    let mut include = match own(&request.extras, "include") {
        Some(Value::Array(given)) => given.clone(),
        _ => Vec::new(),
    };
    let reasons = !WITHOUT_REASONING.iter().any(|family| model.starts_with(family));
    if reasons && !include.iter().any(|name| name == ENCRYPTED) {
        include.push(ENCRYPTED.into());
    }
    (!include.is_empty()).then_some(Value::Array(include))
}

/// An object being written.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn put_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn into_filled(self) -> Option<Value> {
        (!self.0.is_empty()).then_some(Value::Object(self.0))
    }
}

const API: Api = Api("OpenAI's Responses API");
const ENCRYPTED: &str = "reasoning.encrypted_content";
const OBFUSCATION: &str = "include_obfuscation";

/// Families of OpenAI's models that came before reasoning.
const WITHOUT_REASONING: &[&str] = &["gpt-3", "gpt-4", "chatgpt"];

/// The API's own fields (SDK 3.54), passed on as they came.
const PASSED: &[&str] = &[
    "max_tool_calls",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "truncation",
];

/// Carried fields that are read here.
const READ: &[&str] = &["include", "reasoning", "store", "verbosity"];
