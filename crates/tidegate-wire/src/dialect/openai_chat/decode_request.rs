//! A caller's request into hub types, in full. Every field is either modelled or carried in extras; every error names
//! the path of what is wrong.

use serde_json::Value;

use super::decode_part::decode_content;
use crate::{
    WireError,
    dialect::object::{Object, as_u32, invalid, missing, wrong_type},
    hub::{
        ChatRequest, Limits, Message, Part, Reasoning, ReasoningEffort, ResponseFormat, Role, Sampling,
        StreamOptions, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
    },
};

pub(crate) fn decode_request(body: &[u8]) -> Result<ChatRequest, WireError> {
    let value = serde_json::from_slice::<Value>(body)
        .map_err(|error| WireError::bad_request(format!("The request body is not valid JSON: {error}.")))?;
    let mut fields = Object::new(value, "")?;
    let messages = fields
        .array("messages")?
        .ok_or_else(|| missing("messages"))?
        .into_iter()
        .enumerate()
        .map(|(at, message)| decode_message(message, &format!("messages[{at}]")))
        .collect::<Result<_, _>>()?;
    let tools = fields
        .array("tools")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(at, tool)| decode_tool(tool, &format!("tools[{at}]")))
        .collect::<Result<_, _>>()?;
    Ok(ChatRequest {
        model: fields.string("model")?.ok_or_else(|| missing("model"))?,
        messages,
        tools,
        tool_choice: fields.take("tool_choice").map(decode_tool_choice),
        parallel_tool_calls: fields.boolean("parallel_tool_calls")?,
        response_format: fields.take("response_format").map(decode_response_format).transpose()?,
        sampling: decode_sampling(&mut fields)?,
        limits: decode_limits(&mut fields)?,
        reasoning_effort: fields
            .string("reasoning_effort")?
            .map(|effort| ReasoningEffort::of_openai(&effort)),
        metadata: fields.object("metadata")?.unwrap_or_default(),
        user: fields.string("user")?,
        stream: decode_stream(&mut fields)?,
        // Said outside what this dialect's own clients send.
        drop_params: false,
        extras: fields.rest(),
    })
}

fn decode_stream(fields: &mut Object) -> Result<Option<StreamOptions>, WireError> {
    let streaming = fields.boolean("stream")?.unwrap_or(false);
    if !streaming {
        // `stream_options` without a stream is the backend's to refuse: it travels with the extras.
        return Ok(None);
    }
    let options = fields.object("stream_options")?;
    let mut options = Object { fields: options.unwrap_or_default(), path: "stream_options".to_owned() };
    Ok(Some(StreamOptions { include_usage: options.boolean("include_usage")?, extras: options.rest() }))
}

fn decode_sampling(fields: &mut Object) -> Result<Sampling, WireError> {
    Ok(Sampling {
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.number("top_k")?,
        seed: fields.integer("seed", Value::as_i64)?,
        frequency_penalty: fields.number("frequency_penalty")?,
        presence_penalty: fields.number("presence_penalty")?,
        logit_bias: fields.object("logit_bias")?,
        logprobs: fields.boolean("logprobs")?,
        top_logprobs: fields.integer("top_logprobs", as_u32)?,
    })
}

fn decode_limits(fields: &mut Object) -> Result<Limits, WireError> {
    let newer = fields.integer("max_completion_tokens", Value::as_u64)?;
    // With both spellings given the newer one counts; the older travels with the extras.
    let older = if newer.is_none() { fields.integer("max_tokens", Value::as_u64)? } else { None };
    Ok(Limits {
        max_output_tokens: newer.or(older),
        legacy_max_tokens: older.is_some(),
        stop: decode_stop(fields)?,
        n: fields.integer("n", as_u32)?,
    })
}

fn decode_stop(fields: &mut Object) -> Result<Vec<String>, WireError> {
    match fields.take("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(stop)) => Ok(vec![stop]),
        Some(Value::Array(stops)) => stops
            .into_iter()
            .enumerate()
            .map(|(at, stop)| match stop {
                Value::String(stop) => Ok(stop),
                other => Err(wrong_type(&format!("stop[{at}]"), "a string", &other)),
            })
            .collect(),
        Some(other) => Err(wrong_type("stop", "a string or an array of strings", &other)),
    }
}

fn decode_message(value: Value, path: &str) -> Result<Message, WireError> {
    let mut fields = Object::new(value, path)?;
    let role = match fields.string("role")?.as_deref() {
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        Some(other) => {
            return Err(invalid(
                &format!("{path}.role"),
                &format!("'{other}' is not one of system, developer, user, assistant, tool"),
            ));
        }
        None => return Err(missing(&format!("{path}.role"))),
    };
    let content_path = format!("{path}.content");
    let mut parts = match role {
        Role::Assistant => decode_reasoning(&mut fields)?,
        _ => Vec::new(),
    };
    let content = decode_content(fields.take("content"), &content_path)?;
    if role == Role::Tool {
        let id = fields.string("tool_call_id")?.ok_or_else(|| missing(&format!("{path}.tool_call_id")))?;
        parts.push(Part::ToolResult(ToolResult { id, parts: content, is_error: None }));
    } else {
        parts.extend(content);
    }
    if role == Role::Assistant {
        parts.extend(fields.string("refusal")?.filter(|text| !text.is_empty()).map(Part::Refusal));
        for (at, call) in fields.array("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
            parts.push(Part::ToolCall(decode_tool_call(call, &format!("{path}.tool_calls[{at}]"))?));
        }
    }
    parts.extend(fields.cache_point().map(Part::CachePoint));
    Ok(Message { role, name: fields.string("name")?, parts, extras: fields.rest() })
}

/// Reasoning that the caller gives back: `thinking_blocks` with their signatures if there are any, else the plain text
/// under either of its names. Text under two names is one text.
fn decode_reasoning(fields: &mut Object) -> Result<Vec<Part>, WireError> {
    let blocks_path = fields.path_of("thinking_blocks");
    let blocks = fields.array("thinking_blocks")?.unwrap_or_default();
    let named = fields.string("reasoning_content")?;
    let short = match fields.fields.get("reasoning") {
        Some(Value::String(_)) => fields.string("reasoning")?,
        _ => None,
    };
    let text = named.or(short).filter(|text| !text.is_empty());
    let mut blocks = blocks
        .into_iter()
        .enumerate()
        .map(|(at, block)| decode_thinking(block, &format!("{blocks_path}[{at}]")))
        .collect::<Result<Vec<_>, _>>()?;
    blocks.retain(|block| *block != Reasoning::default());
    match text {
        Some(text) if blocks.is_empty() => blocks.push(Reasoning { text, ..Reasoning::default() }),
        Some(text) => complete_signed_block(&mut blocks, text),
        None => {}
    }
    Ok(blocks.into_iter().map(Part::Reasoning).collect())
}

fn decode_thinking(block: Value, path: &str) -> Result<Reasoning, WireError> {
    let mut block = Object::new(block, path)?;
    if let Some(data) = block.string("data")? {
        return Ok(Reasoning { redacted: Some(data), ..Reasoning::default() });
    }
    Ok(Reasoning {
        text: block.string("thinking")?.unwrap_or_default(),
        signature: block.string("signature")?,
        redacted: None,
    })
}

/// Some gateways stream the text as `reasoning_content` and its signature behind it, in a block without text. A client that
/// gathers both gives them back so, and the signature is worth nothing without what it signs. Where the text might be
/// another block's, or several blocks', nothing is guessed: a signature over the wrong text is refused.
fn complete_signed_block(blocks: &mut [Reasoning], text: String) {
    if blocks.iter().any(|block| !block.text.is_empty()) {
        return;
    }
    let mut signed = blocks.iter_mut().filter(|block| block.signature.is_some());
    if let (Some(block), None) = (signed.next(), signed.next()) {
        block.text = text;
    }
}

fn decode_tool_call(value: Value, path: &str) -> Result<ToolCall, WireError> {
    let mut fields = Object::new(value, path)?;
    let id = fields.string("id")?.ok_or_else(|| missing(&format!("{path}.id")))?;
    let kind = match fields.string("type")?.as_deref() {
        Some("custom") => ToolKind::Custom,
        None | Some("function") => ToolKind::Function,
        Some(other) => {
            return Err(invalid(
                &format!("{path}.type"),
                &format!("'{other}' is not one of function, custom"),
            ));
        }
    };
    let (outer, inner) = match kind {
        ToolKind::Function => ("function", "arguments"),
        ToolKind::Custom => ("custom", "input"),
    };
    let called = fields.object(outer)?.ok_or_else(|| missing(&format!("{path}.{outer}")))?;
    let mut called = Object { fields: called, path: format!("{path}.{outer}") };
    let name = called.string("name")?.ok_or_else(|| missing(&format!("{path}.{outer}.name")))?;
    let arguments = called.string(inner)?.unwrap_or_default();
    let mut extras = fields.rest();
    let inside = called.rest();
    if !inside.is_empty() {
        extras.insert(outer.to_owned(), Value::Object(inside));
    }
    Ok(ToolCall { id, name, arguments, kind, extras })
}

fn decode_tool(value: Value, path: &str) -> Result<Tool, WireError> {
    let mut fields = Object::new(value, path)?;
    let (outer, schema, kind) = match fields.fields.get("type").and_then(Value::as_str) {
        Some("function") => ("function", "parameters", ToolKind::Function),
        Some("custom") => ("custom", "format", ToolKind::Custom),
        Some(_) => {
            let cache_point = fields.cache_point();
            return Ok(Tool {
                name: String::new(),
                description: None,
                parameters: None,
                strict: None,
                kind: ToolKind::Function,
                cache_point,
                extras: fields.rest(),
            });
        }
        None => return Err(missing(&format!("{path}.type"))),
    };
    fields.take("type");
    let inside = fields.object(outer)?.ok_or_else(|| missing(&format!("{path}.{outer}")))?;
    let mut inside = Object { fields: inside, path: format!("{path}.{outer}") };
    let mut tool = Tool {
        name: inside.string("name")?.ok_or_else(|| missing(&format!("{path}.{outer}.name")))?,
        description: inside.string("description")?,
        parameters: inside.take(schema),
        strict: inside.boolean("strict")?,
        kind,
        cache_point: fields.cache_point().or_else(|| inside.cache_point()),
        extras: fields.rest(),
    };
    let inside = inside.rest();
    if !inside.is_empty() {
        tool.extras.insert(outer.to_owned(), Value::Object(inside));
    }
    Ok(tool)
}

fn decode_tool_choice(value: Value) -> ToolChoice {
    match value.as_str() {
        Some("auto") => return ToolChoice::Auto,
        Some("none") => return ToolChoice::None,
        Some("required") => return ToolChoice::Required,
        _ => {}
    }
    let named = value
        .get("function")
        .filter(|_| value.get("type").and_then(Value::as_str) == Some("function"))
        .filter(|function| function.as_object().is_some_and(|fields| fields.len() == 1))
        .and_then(|function| function.get("name"))
        .and_then(Value::as_str);
    match named {
        Some(name) => ToolChoice::Named(name.to_owned()),
        None => ToolChoice::Opaque(value),
    }
}

fn decode_response_format(value: Value) -> Result<ResponseFormat, WireError> {
    match value.get("type").and_then(Value::as_str) {
        Some("text") => return Ok(ResponseFormat::Text),
        Some("json_object") => return Ok(ResponseFormat::JsonObject),
        Some("json_schema") => {}
        _ => return Ok(ResponseFormat::Opaque(value)),
    }
    let path = "response_format.json_schema";
    let original = value.clone();
    let mut outer = Object::new(value, "response_format")?;
    let inside = outer.object("json_schema")?.ok_or_else(|| missing(path))?;
    let mut inside = Object { fields: inside, path: path.to_owned() };
    let format = ResponseFormat::JsonSchema {
        name: inside.string("name")?.ok_or_else(|| missing(&format!("{path}.name")))?,
        description: inside.string("description")?,
        schema: inside.take("schema"),
        strict: inside.boolean("strict")?,
    };
    // A field that the hub has no place for: carry the whole form.
    if inside.rest().is_empty() { Ok(format) } else { Ok(ResponseFormat::Opaque(original)) }
}

/// OpenAI's parameters of a chat completion (SDK 3.54). At most 64.
pub(crate) const PARAMETERS: [&str; 37] = [
    "messages",
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "n",
    "stop",
    "response_format",
    "reasoning_effort",
    "seed",
    "user",
    "metadata",
    "parallel_tool_calls",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "audio",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "verbosity",
    "web_search_options",
    "functions",
    "function_call",
];
