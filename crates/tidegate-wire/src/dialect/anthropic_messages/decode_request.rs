//! A caller's Messages request into hub types, in full. Every field is either modelled or carried in extras, but for mere hints;
//! every error names the path of what is wrong.

use serde_json::{Map, Value};

use super::decode_part::{decode_blocks, decode_content};
use crate::{
    WireError,
    dialect::object::{Object, invalid, missing, wrong_type},
    hub::{
        CachePoint, ChatRequest, Limits, Message, Part, ReasoningEffort, ResponseFormat, Role, Sampling,
        StreamOptions, Tool, ToolChoice, ToolKind,
    },
};

pub(crate) fn decode_request(body: &[u8]) -> Result<ChatRequest, WireError> {
    let value = serde_json::from_slice::<Value>(body)
        .map_err(|error| WireError::bad_request(format!("The request body is not valid JSON: {error}.")))?;
    let mut fields = Object::new(value, "")?;
    for hint in HINTS {
        fields.take(hint);
    }
    let mut messages = decode_system(&mut fields)?;
    for (at, message) in fields.array("messages")?.ok_or_else(|| missing("messages"))?.into_iter().enumerate()
    {
        decode_message(message, &format!("messages[{at}]"), &mut messages)?;
    }
    if let (Some(point), Some(last)) = (fields.cache_point(), messages.last_mut()) {
        last.parts.push(Part::CachePoint(point));
    }
    let tools = fields.array("tools")?.unwrap_or_default().into_iter().enumerate();
    let tools =
        tools.map(|(at, tool)| decode_tool(tool, &format!("tools[{at}]"))).collect::<Result<_, _>>()?;
    let (tool_choice, parallel_tool_calls) = decode_tool_choice(&mut fields)?;
    let mut output = Object::within(&mut fields, "output_config")?;
    let response_format = output.take("format").map(decode_format);
    let effort = output.string("effort")?.map(|effort| ReasoningEffort::of_openai(&effort));
    output.put_back(&mut fields);
    let reasoning_effort = decode_thinking(&mut fields, effort)?;
    let mut metadata = fields.object("metadata")?.unwrap_or_default();
    let user = metadata.shift_remove("user_id").and_then(|id| id.as_str().map(str::to_owned));
    if let Some(tier) = fields.fields.get_mut("service_tier").filter(|tier| *tier == "standard_only") {
        *tier = "default".into();
    }
    Ok(ChatRequest {
        model: fields.string("model")?.ok_or_else(|| missing("model"))?,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        response_format,
        sampling: Sampling {
            temperature: fields.number("temperature")?,
            top_p: fields.number("top_p")?,
            top_k: fields.number("top_k")?,
            ..Sampling::default()
        },
        limits: Limits {
            max_output_tokens: fields.integer("max_tokens", Value::as_u64)?,
            legacy_max_tokens: true,
            stop: decode_stop(&mut fields)?,
            n: None,
        },
        reasoning_effort,
        metadata,
        user,
        // The usage is a part of every stream of this API.
        stream: fields
            .boolean("stream")?
            .unwrap_or(false)
            .then(|| StreamOptions { include_usage: Some(true), ..StreamOptions::default() }),
        // Said outside what this dialect's own clients send.
        drop_params: false,
        extras: fields.rest(),
    })
}

fn decode_stop(fields: &mut Object) -> Result<Vec<String>, WireError> {
    let stops = fields.array("stop_sequences")?.unwrap_or_default().into_iter().enumerate();
    stops
        .map(|(at, stop)| match stop {
            Value::String(stop) => Ok(stop),
            other => Err(wrong_type(&format!("stop_sequences[{at}]"), "a string", &other)),
        })
        .collect()
}

fn decode_system(fields: &mut Object) -> Result<Vec<Message>, WireError> {
    let parts = decode_content(fields.take("system"), "system")?;
    Ok(if parts.is_empty() { Vec::new() } else { vec![Message::of_parts(Role::System, parts)] })
}

/// Results of tools are messages of their own in the hub, one for each, and come before what else the user says.
fn decode_message(value: Value, path: &str, messages: &mut Vec<Message>) -> Result<(), WireError> {
    let mut fields = Object::new(value, path)?;
    let role = match fields.string("role")?.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some(other) => {
            return Err(invalid(
                &format!("{path}.role"),
                &format!("'{other}' is not one of user, assistant"),
            ));
        }
        None => return Err(missing(&format!("{path}.role"))),
    };
    let content = fields.take("content").ok_or_else(|| missing(&format!("{path}.content")))?;
    let mut results = Vec::new();
    let parts = decode_blocks(content, &format!("{path}.content"), &mut results)?;
    let answers_calls = !results.is_empty();
    messages.extend(results.into_iter().map(|parts| Message::of_parts(Role::Tool, parts)));
    if !(answers_calls && parts.is_empty()) {
        messages.push(Message { role, name: None, parts, extras: fields.rest() });
    }
    Ok(())
}

fn decode_tool(value: Value, path: &str) -> Result<Tool, WireError> {
    let mut fields = Object::new(value, path)?;
    let cache_point: Option<CachePoint> = fields.cache_point();
    let hosted = fields.fields.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "custom");
    let mut tool = Tool {
        name: String::new(),
        description: None,
        parameters: None,
        strict: None,
        kind: ToolKind::Function,
        cache_point,
        extras: Map::new(),
    };
    if !hosted {
        // In this API a "custom" tool is a function of the caller's.
        fields.take("type");
        tool.name = fields.string("name")?.ok_or_else(|| missing(&format!("{path}.name")))?;
        tool.description = fields.string("description")?;
        tool.parameters = fields.take("input_schema");
        tool.strict = fields.boolean("strict")?;
        // How finely its arguments are streamed, which no other API lets one choose. Clients set it for every tool.
        fields.take("eager_input_streaming");
    }
    tool.extras = fields.rest();
    Ok(tool)
}

fn decode_tool_choice(fields: &mut Object) -> Result<(Option<ToolChoice>, Option<bool>), WireError> {
    let Some(value) = fields.take("tool_choice") else { return Ok((None, None)) };
    let mut choice = Object::new(value, "tool_choice")?;
    let parallel = choice.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    let kind = choice.string("type")?.ok_or_else(|| missing("tool_choice.type"))?;
    let choice = match &*kind {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "any" => ToolChoice::Required,
        "tool" => ToolChoice::Named(choice.string("name")?.ok_or_else(|| missing("tool_choice.name"))?),
        other => {
            let why = format!("'{other}' is not one of auto, any, tool, none");
            return Err(invalid("tool_choice.type", &why));
        }
    };
    Ok((Some(choice), parallel))
}

/// The hub has levels, other backends too: a budget becomes the level that would make it. `disabled` is what happens unless
/// something is asked for.
fn decode_thinking(
    fields: &mut Object,
    effort: Option<ReasoningEffort>,
) -> Result<Option<ReasoningEffort>, WireError> {
    let Some(value) = fields.take("thinking") else { return Ok(effort) };
    let mut thinking = Object::new(value, "thinking")?;
    let kind = thinking.string("type")?.ok_or_else(|| missing("thinking.type"))?;
    let budget = thinking.integer("budget_tokens", Value::as_u64)?;
    Ok(match &*kind {
        "disabled" => None,
        "enabled" => Some(effort.unwrap_or(match budget {
            Some(..2048) => ReasoningEffort::Low,
            Some(2048..4096) => ReasoningEffort::Medium,
            _ => ReasoningEffort::High,
        })),
        // The API's own default effort.
        _ => Some(effort.unwrap_or(ReasoningEffort::High)),
    })
}

fn decode_format(value: Value) -> ResponseFormat {
    let schema = value.get("schema").filter(|_| value.get("type").is_some_and(|kind| kind == "json_schema"));
    match schema.cloned() {
        Some(schema) => ResponseFormat::JsonSchema {
            // OpenAI wants a name, and nobody reads it.
            name: "answer".to_owned(),
            description: None,
            schema: Some(schema),
            strict: Some(true),
        },
        None => ResponseFormat::Opaque(value),
    }
}

/// Fields that save tokens, time or money and change no answer: coding agents send them to every backend.
const HINTS: [&str; 3] = ["context_management", "diagnostics", "speed"];

/// Parameters of the API (SDK 2.12). At most 64.
pub(crate) const PARAMETERS: [&str; 22] = [
    "model",
    "messages",
    "max_tokens",
    "stream",
    "system",
    "tools",
    "tool_choice",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "metadata",
    "service_tier",
    "thinking",
    "output_config",
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "mcp_servers",
    "speed",
];
