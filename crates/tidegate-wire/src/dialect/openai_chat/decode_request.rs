//! A caller's request into hub types, in full. Every field is either modelled or carried in extras; every error names
//! the path of what is wrong.

use serde_json::{Map, Value};

use super::decode_part::{cache_point, decode_content};
use crate::{
    WireError,
    hub::{
        ChatRequest, Extras, Limits, Message, Part, Reasoning, ReasoningEffort, ResponseFormat, Role,
        Sampling, StreamOptions, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
    },
};

pub(super) fn decode_request(body: &[u8]) -> Result<ChatRequest, WireError> {
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
        reasoning_effort: fields.string("reasoning_effort")?.map(decode_effort),
        metadata: fields.object("metadata")?.unwrap_or_default(),
        user: fields.string("user")?,
        stream: decode_stream(&mut fields)?,
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

fn decode_effort(effort: String) -> ReasoningEffort {
    match &*effort {
        "none" => ReasoningEffort::None,
        "minimal" => ReasoningEffort::Minimal,
        "low" => ReasoningEffort::Low,
        "medium" => ReasoningEffort::Medium,
        "high" => ReasoningEffort::High,
        "xhigh" => ReasoningEffort::XHigh,
        "max" => ReasoningEffort::Max,
        _ => ReasoningEffort::Other(effort),
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

/// In a stream the text comes as `reasoning_content` and its signature behind it, in a block without text. A client that
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

/// A JSON object that is being read field by field. What is left over becomes extras.
pub(super) struct Object {
    pub(super) fields: Map<String, Value>,
    pub(super) path: String,
}

impl Object {
    pub(super) fn new(value: Value, path: &str) -> Result<Self, WireError> {
        match value {
            Value::Object(fields) => Ok(Self { fields, path: path.to_owned() }),
            other if path.is_empty() => Err(wrong_type("the request body", "an object", &other)),
            other => Err(wrong_type(path, "an object", &other)),
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The field's value; absent and null are the same.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.shift_remove(name).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(Value) -> Result<T, Value>,
    ) -> Result<Option<T>, WireError> {
        self.take(name)
            .map(|value| read(value).map_err(|value| wrong_type(&self.path_of(name), expected, &value)))
            .transpose()
    }

    pub(super) fn string(&mut self, name: &str) -> Result<Option<String>, WireError> {
        self.typed(name, "a string", |value| match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    fn boolean(&mut self, name: &str) -> Result<Option<bool>, WireError> {
        self.typed(name, "a boolean", |value| value.as_bool().ok_or(value))
    }

    fn number(&mut self, name: &str) -> Result<Option<serde_json::Number>, WireError> {
        self.typed(name, "a number", |value| match value {
            Value::Number(number) => Ok(number),
            other => Err(other),
        })
    }

    fn integer<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, WireError> {
        self.typed(name, "an integer in range", |value| read(&value).ok_or(value))
    }

    fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, WireError> {
        self.typed(name, "an array", |value| match value {
            Value::Array(items) => Ok(items),
            other => Err(other),
        })
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, WireError> {
        self.typed(name, "an object", |value| match value {
            Value::Object(fields) => Ok(fields),
            other => Err(other),
        })
    }

    /// Takes `cache_control` if it has the one known form; any other stays among the extras.
    pub(super) fn cache_point(&mut self) -> Option<crate::hub::CachePoint> {
        let point = cache_point(self.fields.get("cache_control")?)?;
        self.fields.shift_remove("cache_control");
        Some(point)
    }

    pub(super) fn rest(self) -> Extras {
        self.fields
    }
}

impl Object {
    /// What is left over, without consuming.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

fn as_u32(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

pub(super) fn missing(path: &str) -> WireError {
    WireError::bad_request(format!("Missing required parameter: '{path}'."))
        .with_param(path)
        .with_code("missing_required_parameter")
}

pub(super) fn invalid(path: &str, why: &str) -> WireError {
    WireError::bad_request(format!("Invalid value for '{path}': {why}."))
        .with_param(path)
        .with_code("invalid_value")
}

pub(super) fn wrong_type(path: &str, expected: &str, found: &Value) -> WireError {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    WireError::bad_request(format!("Invalid type for '{path}': expected {expected}, but got {found}."))
        .with_param(path)
        .with_code("invalid_type")
}
