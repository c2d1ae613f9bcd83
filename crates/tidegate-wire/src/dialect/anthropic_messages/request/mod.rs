//! Writes the body of a Messages request.
//!
//! Borrows from the hub request and serialises once, so that a large prompt is copied once. What the Messages API can't honour
//! and would change the answer is refused by name, never sent in the hope that it works and never left out in silence. What
//! depends on the model and is not known by its name is left to the backend, whose message is kept.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Number, Value, json};

use crate::{
    ErrorClass, WireError,
    dialect::{
        answer_tool::Forcing,
        api::Api,
        claude::{Claude, SMALLEST_BUDGET, Thinking, Unable},
        parameters::{self, max_tokens_name, own},
    },
    hub::{ChatRequest, ResponseFormat},
};

mod blocks;
mod conversation;
mod media;
#[cfg(test)]
mod tests;
mod tools;

use blocks::{Block, Message};
use conversation::Conversation;

/// What the encoder has to know besides the request.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOptions<'a> {
    /// The backend's name for the model. Decides how reasoning is asked for and whether sampling parameters may be.
    pub model: &'a str,
}

/// The Messages body of `request`.
///
/// System and developer messages become `system`, in their order, wherever they stood; neighbouring messages of the same side
/// are merged, so that the results of parallel calls stand together, as the API demands. Without a limit of the caller's the
/// answer may be as long as all models of its version can make it: the API has no default.
///
/// # Errors
/// [`ErrorClass::BadRequest`], naming the parameter, for everything that the Messages API can't honour: parameters that it
/// doesn't have (`seed`, `n` over 1, ...), a temperature over 1 (it is not clamped: the caller would get another distribution
/// than the one asked for) or any at all for models that take none, JSON without a schema, sound, tool arguments that are no
/// JSON object.
pub fn encode_request(request: &ChatRequest, options: &EncodeOptions<'_>) -> Result<Bytes, WireError> {
    parameters::refuse_unsupported(request, API.0, |name| PASSED.contains(&name) || READ.contains(&name))?;
    let claude = Claude::of(options.model);
    let Conversation { system, messages } = Conversation::encode(&request.messages)?;
    let mut output_config = own_object(request, "output_config")?;
    let thinking = thinking(request, claude, &mut output_config)?;
    if let Some(format) = format(request.response_format.as_ref())? {
        join(&mut output_config, "format", format, "response_format")?;
    }
    let body = MessagesRequest {
        model: options.model,
        max_tokens: max_tokens(request, claude),
        messages,
        system,
        tools: tools::encode(&request.tools)?,
        tool_choice: tools::choice(request)?,
        temperature: sampling(request.sampling.temperature.as_ref(), "temperature", claude)?,
        top_p: sampling(request.sampling.top_p.as_ref(), "top_p", claude)?,
        top_k: top_k(request, claude)?,
        stop_sequences: &request.limits.stop,
        metadata: metadata(request)?,
        service_tier: service_tier(request)?,
        thinking,
        output_config,
        stream: request.stream.is_some(),
        own: Passed(request),
    };
    let bytes = serde_json::to_vec(&body)
        .map_err(|error| WireError::new(ErrorClass::Internal, format!("Messages body: {error}")))?;
    Ok(bytes.into())
}

#[derive(Serialize)]
struct MessagesRequest<'a> {
    model: &'a str,
    max_tokens: u64,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<tools::ToolEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'a Number>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    output_config: Map<String, Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(flatten)]
    own: Passed<'a>,
}

/// The API's own fields that the caller gave and nothing else makes, as they came.
struct Passed<'a>(&'a ChatRequest);

impl Serialize for Passed<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields =
            self.0.extras.iter().filter(|(name, value)| PASSED.contains(&name.as_str()) && !value.is_null());
        serializer.collect_map(fields)
    }
}

fn max_tokens(request: &ChatRequest, claude: Option<Claude>) -> u64 {
    let longest = || claude.map_or(UNKNOWN_LONGEST, Claude::longest_answer);
    request.limits.max_output_tokens.unwrap_or_else(longest)
}

/// 1 is what happens anyway, and all that models without sampling parameters take.
fn sampling<'a>(
    number: Option<&'a Number>,
    param: &'static str,
    claude: Option<Claude>,
) -> Result<Option<&'a Number>, WireError> {
    let Some(number) = number else { return Ok(None) };
    let value = number.as_f64();
    if claude.is_some_and(|claude| !claude.takes_sampling()) {
        return match value {
            Some(1.0) => Ok(None),
            _ => Err(unsupported(param, "this model takes none")),
        };
    }
    match value {
        Some(value) if (0.0..=1.0).contains(&value) => Ok(Some(number)),
        _ => Err(WireError::bad_request(format!("{} takes `{param}` from 0 to 1, not {number}", API.0))
            .with_param(param)),
    }
}

fn top_k(request: &ChatRequest, claude: Option<Claude>) -> Result<Option<&Number>, WireError> {
    match &request.sampling.top_k {
        Some(_) if claude.is_some_and(|claude| !claude.takes_sampling()) => {
            Err(unsupported("top_k", "this model takes none"))
        }
        top_k => Ok(top_k.as_ref()),
    }
}

/// `thinking`, as the caller spelled it for this API or from its effort; the effort itself goes into `output_config`.
fn thinking(
    request: &ChatRequest,
    claude: Option<Claude>,
    output_config: &mut Map<String, Value>,
) -> Result<Option<Value>, WireError> {
    let given = own(&request.extras, "thinking").cloned();
    let Some(effort) = &request.reasoning_effort else { return Ok(given) };
    let Some(claude) = claude else {
        return Err(unsupported(EFFORT, "this model's way to set it is not known; use `thinking`"));
    };
    let from_effort = match claude.thinking(effort, Some(max_tokens(request, Some(claude)))) {
        Ok(Thinking::Off) => return Ok(given),
        Ok(Thinking::Disabled) => json!({ "type": "disabled" }),
        Ok(Thinking::Budget(tokens)) => json!({ "type": "enabled", "budget_tokens": tokens }),
        Ok(Thinking::Adaptive(effort)) => {
            join(output_config, "effort", json!(effort), EFFORT)?;
            json!({ "type": "adaptive" })
        }
        Err(Unable::NeverThinks) => return Err(unsupported(EFFORT, "this model does not reason")),
        Err(Unable::NoSuchLevel) => {
            let why = format!("this model has no level {:?}", effort.as_openai());
            return Err(unsupported(EFFORT, &why));
        }
        Err(Unable::NoRoom) => {
            let message = format!("reasoning takes at least {SMALLEST_BUDGET} tokens besides the answer");
            return Err(WireError::bad_request(message).with_param(max_tokens_name(request)));
        }
    };
    // Given in both ways, the API's own is the more exact one.
    Ok(Some(given.unwrap_or(from_effort)))
}

/// How a model that can't answer in the form that is asked for is brought to call a tool with it. The API knows a schema, from
/// Claude 4.5 on, and no JSON without one.
pub(crate) fn needs_answer_tool(request: &ChatRequest, model: &str) -> Option<Forcing> {
    let claude = Claude::of(model);
    let lacks = match &request.response_format {
        Some(ResponseFormat::JsonObject) => true,
        Some(ResponseFormat::JsonSchema { schema: Some(_), .. }) => {
            claude.is_some_and(|claude| !claude.takes_schemas())
        }
        _ => false,
    };
    let thinks = own(&request.extras, "thinking").is_some_and(|thinking| thinking["type"] != "disabled");
    let forcing = match claude {
        _ if thinks => Forcing::Asked,
        Some(claude) => claude.forcing(request.reasoning_effort.as_ref()),
        None => Forcing::Can,
    };
    lacks.then_some(forcing)
}

/// The API always follows a schema strictly.
fn format(format: Option<&ResponseFormat>) -> Result<Option<Value>, WireError> {
    match format {
        None | Some(ResponseFormat::Text) => Ok(None),
        Some(ResponseFormat::JsonSchema { schema: Some(schema), .. }) => {
            Ok(Some(json!({ "type": "json_schema", "schema": schema })))
        }
        Some(ResponseFormat::JsonSchema { schema: None, .. }) => {
            Err(unsupported("response_format.json_schema.schema", "it needs the schema itself"))
        }
        Some(ResponseFormat::JsonObject) => {
            Err(unsupported("response_format", "it needs a schema; use `json_schema`"))
        }
        Some(ResponseFormat::Opaque(_)) => {
            Err(unsupported("response_format", "it knows text and `json_schema`"))
        }
    }
}

/// The only thing that the API takes note of is the user's id.
fn metadata(request: &ChatRequest) -> Result<Option<Value>, WireError> {
    let other = request.metadata.iter().find(|(key, value)| *key != USER_ID && !value.is_null());
    if let Some((key, _)) = other {
        return Err(unsupported(format!("metadata.{key}"), "it stores nothing but a `user_id`"));
    }
    let identifier = own(&request.extras, "safety_identifier").and_then(Value::as_str);
    let user = request.metadata.get(USER_ID).and_then(Value::as_str);
    let user = user.or(request.user.as_deref()).or(identifier);
    Ok(user.map(|user| json!({ USER_ID: user })))
}

fn service_tier(request: &ChatRequest) -> Result<Option<&'static str>, WireError> {
    match own(&request.extras, "service_tier").map(|tier| tier.as_str().unwrap_or_default()) {
        None => Ok(None),
        Some("auto") => Ok(Some("auto")),
        Some("default" | "standard_only") => Ok(Some("standard_only")),
        Some(_) => Err(unsupported("service_tier", "it has auto and default")),
    }
}

fn own_object(request: &ChatRequest, name: &'static str) -> Result<Map<String, Value>, WireError> {
    match own(&request.extras, name) {
        None => Ok(Map::new()),
        Some(Value::Object(fields)) => Ok(fields.clone()),
        Some(_) => Err(WireError::bad_request(format!("`{name}` must be an object")).with_param(name)),
    }
}

/// Adds what `param` comes to, unless the caller has said something else in the API's own words.
fn join(
    fields: &mut Map<String, Value>,
    name: &str,
    value: Value,
    param: &'static str,
) -> Result<(), WireError> {
    match fields.get(name) {
        Some(given) if *given != value => {
            let message = format!("`{param}` contradicts `output_config.{name}`");
            Err(WireError::bad_request(message).with_param(param))
        }
        _ => {
            fields.insert(name.to_owned(), value);
            Ok(())
        }
    }
}

/// The error for what the Messages API has no way to do.
fn unsupported(param: impl Into<String>, why: &str) -> WireError {
    API.unsupported(param, why)
}

const API: Api = Api("Anthropic's Messages API");
const EFFORT: &str = "reasoning_effort";
const USER_ID: &str = "user_id";
/// For models that are no Claude: as much as the oldest of those could give.
const UNKNOWN_LONGEST: u64 = 4096;

/// The API's own fields (SDK 2.12), its betas among them, passed on as they came.
const PASSED: &[&str] = &[
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "mcp_servers",
    "speed",
];

/// Carried fields that are read here: the API's own that other parameters may add to, and OpenAI's that it has another name
/// for.
const READ: &[&str] = &["thinking", "output_config", "service_tier", "safety_identifier"];
