//! A hub request as openai-chat JSON.
//!
//! Total: the hub is read from this dialect as far as it goes, so everything has a place here. What another dialect put
//! into an opaque part goes out as it is, and the backend judges it.

use serde_json::{Map, Value, json};

use crate::{
    WireError,
    dialect::api::UNSUPPORTED_PARAMETER,
    hub::{
        CachePoint, ChatRequest, Image, Message, Part, Reasoning, ReasoningEffort, ResponseFormat, Role,
        Source, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
    },
};

/// The request as its caller wrote it, up to equivalences: a single plain text part is written as a string, absent
/// fields are not written as null, one stop sequence is an array of one.
pub fn encode_request(request: &ChatRequest) -> Vec<u8> {
    let shape = RequestShape { model: &request.model, foreign_fields: true, ..RequestShape::default() };
    Value::Object(encoded(request, shape)).to_string().into_bytes()
}

/// What a backend needs changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestShape<'a> {
    /// The backend's name for the model.
    pub(crate) model: &'a str,
    /// Whether usage is asked for even if the caller did not.
    pub(crate) force_usage: bool,
    /// Whether `max_tokens` has to be called `max_completion_tokens`.
    pub(crate) rename_max_tokens: bool,
    /// Whether messages may have fields that are not OpenAI's: cache points, and reasoning that is given back.
    pub(crate) foreign_fields: bool,
    /// OpenAI's names of parameters, and the backend's.
    pub(crate) renames: &'a [(&'a str, &'a str)],
    /// Parameters that the backend has not.
    pub(crate) lacks: &'a [&'a str],
}

/// The request as the host called `host` wants it.
///
/// # Errors
/// [`crate::ErrorClass::BadRequest`]: it has a parameter that the host has not (named).
pub(crate) fn encode_request_as(
    request: &ChatRequest,
    host: &str,
    shape: RequestShape<'_>,
) -> Result<Vec<u8>, WireError> {
    let mut fields = encoded(request, shape);
    if let Some(name) =
        shape.lacks.iter().find(|name| fields.get(**name).is_some_and(|value| !value.is_null()))
    {
        return Err(lacking(host, name));
    }
    for (name, own) in shape.renames {
        if !fields.contains_key(*own)
            && let Some(value) = fields.shift_remove(*name)
        {
            fields.insert((*own).to_owned(), value);
        }
    }
    Ok(Value::Object(fields).to_string().into_bytes())
}

/// What a caller is told of a parameter that the host has not.
pub(crate) fn lacking(host: &str, name: &str) -> WireError {
    WireError::bad_request(format!("{host} has no parameter {name:?}"))
        .with_param(name)
        .with_code(UNSUPPORTED_PARAMETER)
}

fn encoded(request: &ChatRequest, shape: RequestShape<'_>) -> Map<String, Value> {
    let mut fields = Fields(Map::new());
    fields.put("model", shape.model);
    let foreign = shape.foreign_fields;
    fields.put("messages", messages(&request.messages, foreign));
    if !request.tools.is_empty() {
        fields.put("tools", request.tools.iter().map(|of| tool(of, foreign)).collect::<Vec<_>>());
    }
    fields.put_some("tool_choice", request.tool_choice.as_ref().map(tool_choice));
    fields.put_some("parallel_tool_calls", request.parallel_tool_calls);
    fields.put_some("response_format", request.response_format.as_ref().map(response_format));
    put_sampling(request, &mut fields);
    put_limits(request, shape, &mut fields);
    fields.put_some("reasoning_effort", request.reasoning_effort.as_ref().map(ReasoningEffort::as_openai));
    if !request.metadata.is_empty() {
        fields.put("metadata", request.metadata.clone());
    }
    fields.put_some("user", request.user.clone());
    put_stream(request, shape, &mut fields);
    fields.extend(&request.extras);
    fields.0
}

fn put_sampling(request: &ChatRequest, fields: &mut Fields) {
    let sampling = &request.sampling;
    fields.put_some("temperature", sampling.temperature.clone());
    fields.put_some("top_p", sampling.top_p.clone());
    fields.put_some("top_k", sampling.top_k.clone());
    fields.put_some("seed", sampling.seed);
    fields.put_some("frequency_penalty", sampling.frequency_penalty.clone());
    fields.put_some("presence_penalty", sampling.presence_penalty.clone());
    fields.put_some("logit_bias", sampling.logit_bias.clone());
    fields.put_some("logprobs", sampling.logprobs);
    fields.put_some("top_logprobs", sampling.top_logprobs);
}

fn put_limits(request: &ChatRequest, shape: RequestShape<'_>, fields: &mut Fields) {
    let limits = &request.limits;
    let older = limits.legacy_max_tokens && !shape.rename_max_tokens;
    fields.put_some(if older { "max_tokens" } else { "max_completion_tokens" }, limits.max_output_tokens);
    if !limits.stop.is_empty() {
        fields.put("stop", limits.stop.clone());
    }
    fields.put_some("n", limits.n);
}

fn put_stream(request: &ChatRequest, shape: RequestShape<'_>, fields: &mut Fields) {
    let Some(stream) = &request.stream else { return };
    fields.put("stream", true);
    let mut options = Fields(Map::new());
    let include_usage = if shape.force_usage { Some(true) } else { stream.include_usage };
    options.put_some("include_usage", include_usage);
    options.extend(&stream.extras);
    if !options.0.is_empty() {
        fields.put("stream_options", options.0);
    }
}

/// OpenAI takes nothing but text as a tool's result: what else there is follows the results of a turn, as the user's.
fn messages(messages: &[Message], foreign: bool) -> Vec<Value> {
    let mut out = Vec::with_capacity(messages.len());
    let mut media: Vec<Part> = Vec::new();
    for of in messages {
        let results = of.parts.iter().filter_map(tool_result).flat_map(|result| &result.parts);
        if of.role == Role::Tool && !foreign && results.clone().any(is_media) {
            media.extend(results.filter(|part| is_media(part)).cloned());
            out.push(message(&without_media(of), foreign));
            continue;
        }
        if of.role != Role::Tool && !media.is_empty() {
            out.push(message(&Message::of_parts(Role::User, std::mem::take(&mut media)), foreign));
        }
        out.push(message(of, foreign));
    }
    if !media.is_empty() {
        out.push(message(&Message::of_parts(Role::User, media), foreign));
    }
    out
}

fn is_media(part: &Part) -> bool {
    matches!(part, Part::Image(_) | Part::Document(_) | Part::Audio(_))
}

/// A tool's message whose results are text only, and say where the rest is.
fn without_media(message: &Message) -> Message {
    let mut message = message.clone();
    for part in &mut message.parts {
        if let Part::ToolResult(result) = part {
            result.parts.retain(|part| !is_media(part));
            result.parts.push(Part::text(MEDIA_FOLLOW));
        }
    }
    message
}

/// Says no more than is evident, as it is shown to the model.
const MEDIA_FOLLOW: &str = "(The tool's files follow in the next message.)";

fn message(message: &Message, foreign: bool) -> Value {
    let mut fields = Fields(Map::new());
    fields.put(
        "role",
        match message.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        },
    );
    fields.put_some("name", message.name.clone());
    let result = message.parts.iter().find_map(tool_result);
    fields.put_some("tool_call_id", result.map(|result| result.id.clone()));
    let refusal = refusal_field(message);
    let content = Content::encode(result.map_or(&message.parts, |result| &result.parts), refusal, foreign);
    fields.put("content", content.value);
    let behind_result = result.and_then(|_| message.parts.iter().find_map(as_cache_point));
    let cache_point = behind_result.or(content.cache_point).filter(|_| foreign);
    fields.put_some("cache_control", cache_point.map(cache_control));
    if foreign {
        put_reasoning(&message.parts, &mut fields);
    }
    fields.put_some("refusal", refusal);
    let calls: Vec<Value> = message.parts.iter().filter_map(as_tool_call).map(tool_call).collect();
    if !calls.is_empty() {
        fields.put("tool_calls", calls);
    }
    fields.extend(&message.extras);
    Value::Object(fields.0)
}

fn put_reasoning(parts: &[Part], fields: &mut Fields) {
    let blocks: Vec<&Reasoning> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Reasoning(reasoning) => Some(reasoning),
            _ => None,
        })
        .collect();
    if blocks.is_empty() {
        return;
    }
    let text: String = blocks.iter().map(|block| &*block.text).collect();
    if !text.is_empty() {
        fields.put("reasoning_content", text);
    }
    // Blocks of mere text would do as one text, but their number is the caller's.
    let is_more_than_text = |block: &&Reasoning| block.signature.is_some() || block.redacted.is_some();
    if blocks.len() > 1 || blocks.iter().any(is_more_than_text) {
        fields.put("thinking_blocks", blocks.into_iter().map(thinking_block).collect::<Vec<_>>());
    }
}

/// LiteLLM's form, which clients already echo.
pub(super) fn thinking_block(reasoning: &Reasoning) -> Value {
    match &reasoning.redacted {
        Some(data) => json!({ "type": "redacted_thinking", "data": data }),
        None => {
            let mut fields = Fields(Map::new());
            fields.put("type", "thinking");
            fields.put("thinking", &*reasoning.text);
            fields.put_some("signature", reasoning.signature.clone());
            Value::Object(fields.0)
        }
    }
}

/// The refusal that has its own field: an assistant's only one, with nothing behind it but tool calls. Any other is a part
/// of the content, which keeps its place.
fn refusal_field(message: &Message) -> Option<&str> {
    let mut parts = message.parts.iter().filter(|part| !matches!(part, Part::ToolCall(_)));
    let last = parts.next_back().filter(|_| message.role == Role::Assistant).and_then(as_refusal);
    last.filter(|_| parts.all(|part| as_refusal(part).is_none()))
}

/// What stands under `content`, and the cache point that can't stand there.
struct Content<'a> {
    value: Value,
    /// Follows something that is not content, such as a tool call, and so goes on the message.
    cache_point: Option<&'a CachePoint>,
}

impl<'a> Content<'a> {
    /// A string if it is one plain text, null if there is nothing, else an array of parts. `refusal` is written elsewhere.
    fn encode(parts: &'a [Part], refusal: Option<&str>, foreign: bool) -> Self {
        let mut items: Vec<Value> = Vec::with_capacity(parts.len());
        let mut cache_point = None;
        let mut behind_item = false;
        for part in parts {
            match part {
                Part::CachePoint(_) if !foreign => {}
                Part::CachePoint(point) if behind_item && mark(items.last_mut(), point) => {}
                Part::CachePoint(point) => cache_point = Some(point),
                Part::Refusal(_) if refusal.is_some() => behind_item = false,
                other => {
                    let item = content_part(other);
                    behind_item = item.is_some();
                    items.extend(item);
                }
            }
        }
        let value = match items.as_mut_slice() {
            [] => Value::Null,
            [only] => plain_text(only).unwrap_or_else(|| Value::Array(items)),
            _ => Value::Array(items),
        };
        Self { value, cache_point }
    }
}

/// The text of a part that has nothing else.
fn plain_text(part: &mut Value) -> Option<Value> {
    let fields = part.as_object_mut().filter(|fields| fields.len() == 2)?;
    fields.get("type").filter(|kind| *kind == "text")?;
    fields.get_mut("text").filter(|text| text.is_string()).map(Value::take)
}

/// A cache point is written on the part that it follows. Whether it could be: one that has one already takes no second.
fn mark(item: Option<&mut Value>, point: &CachePoint) -> bool {
    match item {
        Some(Value::Object(fields)) if !fields.contains_key("cache_control") => {
            fields.insert("cache_control".to_owned(), cache_control(point));
            true
        }
        _ => false,
    }
}

fn cache_control(point: &CachePoint) -> Value {
    let mut fields = Fields(Map::new());
    fields.put("type", "ephemeral");
    fields.put_some("ttl", point.ttl.clone());
    Value::Object(fields.0)
}

fn content_part(part: &Part) -> Option<Value> {
    Some(match part {
        Part::Text { text, extras } => {
            let mut fields = Fields(Map::new());
            fields.put("type", "text");
            fields.put("text", &**text);
            fields.extend(extras);
            Value::Object(fields.0)
        }
        Part::Image(Image { source, detail }) => {
            let mut fields = Fields(Map::new());
            fields.put("url", url(source));
            fields.put_some("detail", detail.clone());
            json!({ "type": "image_url", "image_url": fields.0 })
        }
        Part::Audio(audio) => {
            let data = match &audio.source {
                Source::Base64 { data, .. } => data,
                Source::Url(other) | Source::FileId(other) => other,
            };
            json!({ "type": "input_audio", "input_audio": { "data": data, "format": audio.format } })
        }
        Part::Document(document) => {
            let mut fields = Fields(Map::new());
            match &document.source {
                Source::FileId(id) => fields.put("file_id", &**id),
                // Bare base64, as some callers write it.
                Source::Base64 { media_type, data } if media_type.is_empty() => {
                    fields.put("file_data", &**data);
                }
                source => fields.put("file_data", url(source)),
            }
            fields.put_some("filename", document.name.clone());
            json!({ "type": "file", "file": fields.0 })
        }
        Part::Refusal(text) => json!({ "type": "refusal", "refusal": text }),
        Part::Opaque(value) => value.clone(),
        Part::ToolCall(_) | Part::ToolResult(_) | Part::Reasoning(_) | Part::CachePoint(_) => return None,
    })
}

fn url(source: &Source) -> String {
    match source {
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Source::Url(url) | Source::FileId(url) => url.clone(),
    }
}

fn tool_result(part: &Part) -> Option<&ToolResult> {
    match part {
        Part::ToolResult(result) => Some(result),
        _ => None,
    }
}

fn as_cache_point(part: &Part) -> Option<&CachePoint> {
    match part {
        Part::CachePoint(point) => Some(point),
        _ => None,
    }
}

fn as_refusal(part: &Part) -> Option<&str> {
    match part {
        Part::Refusal(text) => Some(text),
        _ => None,
    }
}

fn as_tool_call(part: &Part) -> Option<&ToolCall> {
    match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    }
}

fn tool_call(call: &ToolCall) -> Value {
    let mut inside = Fields(Map::new());
    inside.put("name", &*call.name);
    let outer = match call.kind {
        ToolKind::Function => {
            inside.put("arguments", &*call.arguments);
            "function"
        }
        ToolKind::Custom => {
            inside.put("input", &*call.arguments);
            "custom"
        }
    };
    let mut fields = Fields(Map::new());
    fields.put("id", &*call.id);
    fields.put("type", outer);
    fields.put_nested(outer, inside, &call.extras);
    Value::Object(fields.0)
}

fn tool(tool: &Tool, foreign: bool) -> Value {
    let mut fields = Fields(Map::new());
    if tool.extras.contains_key("type") {
        fields.extend(&tool.extras);
    } else {
        let (outer, schema) = match tool.kind {
            ToolKind::Function => ("function", "parameters"),
            ToolKind::Custom => ("custom", "format"),
        };
        let mut inside = Fields(Map::new());
        inside.put("name", &*tool.name);
        inside.put_some("description", tool.description.clone());
        inside.put_some(schema, tool.parameters.clone());
        inside.put_some("strict", tool.strict);
        fields.put("type", outer);
        fields.put_nested(outer, inside, &tool.extras);
    }
    fields.put_some("cache_control", tool.cache_point.as_ref().filter(|_| foreign).map(cache_control));
    Value::Object(fields.0)
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({ "type": "function", "function": { "name": name } }),
        ToolChoice::Opaque(value) => value.clone(),
    }
}

fn response_format(format: &ResponseFormat) -> Value {
    match format {
        ResponseFormat::Text => json!({ "type": "text" }),
        ResponseFormat::JsonObject => json!({ "type": "json_object" }),
        ResponseFormat::JsonSchema { name, description, schema, strict } => {
            let mut fields = Fields(Map::new());
            fields.put("name", &**name);
            fields.put_some("description", description.clone());
            fields.put_some("schema", schema.clone());
            fields.put_some("strict", *strict);
            json!({ "type": "json_schema", "json_schema": fields.0 })
        }
        ResponseFormat::Opaque(value) => value.clone(),
    }
}

/// An object being written.
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

    fn extend(&mut self, extras: &Map<String, Value>) {
        self.0.extend(extras.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    /// `inside` under `name`, with the extras of both levels: those of the inner one travel under its name.
    fn put_nested(&mut self, name: &str, mut inside: Fields, extras: &Map<String, Value>) {
        if let Some(Value::Object(nested)) = extras.get(name) {
            inside.extend(nested);
        }
        let outer = extras.iter().filter(|(key, _)| *key != name);
        self.0.extend(outer.map(|(key, value)| (key.clone(), value.clone())));
        self.put(name, inside.0);
    }
}
