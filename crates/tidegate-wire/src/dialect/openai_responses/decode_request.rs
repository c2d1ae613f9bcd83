//! A caller's Responses request into hub types, in full, for backends of another dialect. Every field is either modelled or carried
//! in extras, but for mere hints; every error names the path of what is wrong.
//!
//! What needs somebody to keep the response (`previous_response_id`, `conversation`, `background`, `store`) is refused: only the
//! backends that have the API themselves keep any, and to those requests are relayed.

use serde_json::{Map, Value, json};

use super::decode_input::{decode_input, required};
use crate::{
    WireError,
    dialect::object::{Object, missing, wrong_type},
    hub::{
        ChatRequest, Limits, Message, ReasoningEffort, ResponseFormat, Role, Sampling, StreamOptions, Tool,
        ToolChoice, ToolKind,
    },
};

pub(crate) fn decode_request(body: &[u8]) -> Result<ChatRequest, WireError> {
    let value = serde_json::from_slice::<Value>(body)
        .map_err(|error| WireError::bad_request(format!("The request body is not valid JSON: {error}.")))?;
    let mut fields = Object::new(value, "")?;
    refuse_kept(&mut fields)?;
    for hint in HINTS {
        fields.take(hint);
    }
    let instructions = fields.string("instructions")?.filter(|text| !text.is_empty());
    let mut messages: Vec<Message> =
        instructions.map(|text| Message::new(Role::System, text)).into_iter().collect();
    decode_input(fields.take("input").ok_or_else(|| missing("input"))?, &mut messages)?;
    let tools = fields.array("tools")?.unwrap_or_default().into_iter().enumerate();
    let tools =
        tools.map(|(at, tool)| decode_tool(tool, &format!("tools[{at}]"))).collect::<Result<_, _>>()?;
    let response_format = decode_text(&mut fields)?;
    let reasoning_effort = decode_reasoning(&mut fields)?;
    Ok(ChatRequest {
        model: fields.string("model")?.ok_or_else(|| missing("model"))?,
        messages,
        tools,
        tool_choice: fields.take("tool_choice").map(decode_choice),
        parallel_tool_calls: fields.boolean("parallel_tool_calls")?,
        response_format,
        sampling: Sampling {
            temperature: fields.number("temperature")?,
            top_p: fields.number("top_p")?,
            ..Sampling::default()
        },
        limits: Limits {
            max_output_tokens: fields.integer("max_output_tokens", Value::as_u64)?,
            ..Limits::default()
        },
        reasoning_effort,
        metadata: fields.object("metadata")?.unwrap_or_default(),
        user: fields.string("user")?,
        // The usage is a part of every reply of this API.
        stream: fields
            .boolean("stream")?
            .unwrap_or(false)
            .then(|| StreamOptions { include_usage: Some(true), ..StreamOptions::default() }),
        drop_params: false,
        extras: fields.rest(),
    })
}

/// What only a backend that keeps responses can do, and what the API does by itself where others don't.
fn refuse_kept(fields: &mut Object) -> Result<(), WireError> {
    let refused = |name: &str, why: &str| {
        let message = format!(
            "'{name}' is not supported for this model: its host does not have the Responses API, so the request is translated, and {why}"
        );
        Err(WireError::bad_request(message).with_param(name).with_code("unsupported_parameter"))
    };
    for name in ["previous_response_id", "conversation"] {
        if fields.take(name).is_some() {
            return refused(name, "no response is kept; send the items of the conversation as `input`");
        }
    }
    if fields.take("prompt").is_some() {
        return refused("prompt", "there are no stored prompts");
    }
    if fields.boolean("background")? == Some(true) {
        return refused("background", "nothing runs on without its caller");
    }
    if fields.boolean("store")? == Some(true) {
        return refused("store", "no response is kept");
    }
    if fields.string("truncation")?.is_some_and(|truncation| truncation != "disabled") {
        return refused("truncation", "the conversation is sent as it is");
    }
    if fields.take("top_logprobs").is_some_and(|count| count != 0) {
        return refused("top_logprobs", "log-probabilities have no place in the translation");
    }
    let include = fields.array("include")?.unwrap_or_default();
    match include.iter().position(|name| name == "message.output_text.logprobs") {
        Some(at) => refused(&format!("include[{at}]"), "log-probabilities have no place in the translation"),
        // The others are about reasoning, which is always included, and about tools that are refused where they stand.
        None => Ok(()),
    }
}

/// `text`: the answer's form, and its length under chat's name.
fn decode_text(fields: &mut Object) -> Result<Option<ResponseFormat>, WireError> {
    let mut text = Object::within(fields, "text")?;
    let format = text.take("format").map(|format| decode_format(format, "text.format")).transpose()?;
    let verbosity = text.take("verbosity");
    text.put_back(fields);
    fields.fields.extend(verbosity.map(|verbosity| ("verbosity".to_owned(), verbosity)));
    Ok(format)
}

fn decode_format(value: Value, path: &str) -> Result<ResponseFormat, WireError> {
    match value.get("type").and_then(Value::as_str) {
        Some("text") => return Ok(ResponseFormat::Text),
        Some("json_object") => return Ok(ResponseFormat::JsonObject),
        Some("json_schema") => {}
        _ => return Ok(ResponseFormat::Opaque(value)),
    }
    let original = value.clone();
    let mut format = Object::new(value, path)?;
    format.take("type");
    let read = ResponseFormat::JsonSchema {
        name: required(&mut format, "name")?,
        description: format.string("description")?,
        schema: format.take("schema"),
        strict: format.boolean("strict")?,
    };
    // A field that the hub has no place for: carry the whole form.
    Ok(if format.is_empty() { read } else { ResponseFormat::Opaque(original) })
}

/// The effort. Whatever of its reasoning a backend shows is shown, so how much of a summary is wanted is a hint.
fn decode_reasoning(fields: &mut Object) -> Result<Option<ReasoningEffort>, WireError> {
    let mut reasoning = Object::within(fields, "reasoning")?;
    let effort = reasoning.string("effort")?;
    reasoning.take("summary");
    reasoning.take("generate_summary");
    reasoning.fields.retain(|_, value| !value.is_null());
    reasoning.put_back(fields);
    Ok(effort.map(|effort| ReasoningEffort::of_openai(&effort)))
}

fn decode_tool(value: Value, path: &str) -> Result<Tool, WireError> {
    let mut fields = Object::new(value, path)?;
    let mut tool = Tool {
        name: String::new(),
        description: None,
        parameters: None,
        strict: None,
        kind: ToolKind::Function,
        cache_point: None,
        extras: Map::new(),
    };
    let schema = match fields.fields.get("type").and_then(Value::as_str) {
        Some("function") => "parameters",
        Some("custom") => "format",
        Some(_) => {
            tool.extras = fields.rest();
            return Ok(tool);
        }
        None => return Err(missing(&format!("{path}.type"))),
    };
    if schema == "format" {
        tool.kind = ToolKind::Custom;
    }
    fields.take("type");
    tool.name = required(&mut fields, "name")?;
    tool.description = fields.string("description")?;
    tool.parameters = fields.take(schema).map(nested_grammar);
    tool.strict = fields.boolean("strict")?;
    fields.fields.retain(|_, value| !value.is_null());
    tool.extras = fields.rest();
    Ok(tool)
}

/// The hub has chat's form: a grammar stands in an object of its own.
fn nested_grammar(format: Value) -> Value {
    match (format.get("type").and_then(Value::as_str), format.get("definition")) {
        (Some("grammar"), Some(definition)) => {
            json!({ "type": "grammar", "grammar": { "syntax": format.get("syntax"), "definition": definition } })
        }
        _ => format,
    }
}

fn decode_choice(value: Value) -> ToolChoice {
    match value.as_str() {
        Some("auto") => return ToolChoice::Auto,
        Some("none") => return ToolChoice::None,
        Some("required") => return ToolChoice::Required,
        _ => {}
    }
    let field = |name: &str| value.get(name);
    match (field("type").and_then(Value::as_str), field("name").and_then(Value::as_str)) {
        (Some("function" | "custom"), Some(name)) => ToolChoice::Named(name.to_owned()),
        (Some("allowed_tools"), _) => ToolChoice::Opaque(nested_choice(&value)),
        _ => ToolChoice::Opaque(value),
    }
}

/// The hub has chat's form: names stand in objects of their own.
fn nested_choice(choice: &Value) -> Value {
    let nested = |tool: &Value| match tool.get("type").and_then(Value::as_str) {
        Some(kind @ ("function" | "custom")) => {
            json!({ "type": kind, kind: { "name": tool.get("name") } })
        }
        _ => tool.clone(),
    };
    let tools: Vec<Value> =
        choice.get("tools").and_then(Value::as_array).into_iter().flatten().map(nested).collect();
    json!({ "type": "allowed_tools", "allowed_tools": { "mode": choice.get("mode"), "tools": tools } })
}

/// Fails unless the request has something to answer. Relayed ones may continue what the backend keeps.
pub(crate) fn check_input(input: Option<&str>, continues: bool) -> Result<(), WireError> {
    match input.filter(|input| *input != "null") {
        None if continues => Ok(()),
        None => Err(missing("input")),
        Some(input) if input.starts_with(['"', '[']) => Ok(()),
        Some(input) => {
            let found = serde_json::from_str(input).unwrap_or_default();
            Err(wrong_type("input", "a string or an array of items", &found))
        }
    }
}

/// Fields that change no answer: limits of tools that are refused anyway, padding, and what backends do by themselves.
const HINTS: [&str; 2] = ["max_tool_calls", "stream_options"];

/// Parameters of the API (SDK 3.54). At most 64.
pub(crate) const PARAMETERS: [&str; 31] = [
    "model",
    "input",
    "stream",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "include",
    "store",
    "previous_response_id",
    "conversation",
    "background",
    "max_output_tokens",
    "max_tool_calls",
    "temperature",
    "top_p",
    "top_logprobs",
    "metadata",
    "user",
    "safety_identifier",
    "service_tier",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "stream_options",
    "truncation",
    "moderation",
    "context_management",
];
