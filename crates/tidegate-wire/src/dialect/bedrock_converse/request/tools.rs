//! Tools, tool choice, and the limits on tool names and call ids.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    WireError,
    hub::{ChatRequest, Part, Tool, ToolChoice, ToolKind},
};

use super::{API, blocks::CachePointBlock, unsupported};

/// `toolConfig`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolConfig<'a> {
    tools: Vec<ToolEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ChoiceBlock<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ToolEntry<'a> {
    ToolSpec(ToolSpec<'a>),
    CachePoint(CachePointBlock<'a>),
    /// A tool that Bedrock runs.
    SystemTool(&'a Value),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolSpec<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: InputSchema<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
}

#[derive(Serialize)]
struct InputSchema<'a> {
    json: Cow<'a, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ChoiceBlock<'a> {
    Auto {},
    Any {},
    Tool { name: &'a str },
}

impl<'a> ToolConfig<'a> {
    /// Converse has no `toolChoice: none`, refuses an empty `tools`, and demands `tools` whenever the history has tool
    /// blocks. So `none` leaves the tools out where the history allows it; and where the caller sent none but the history
    /// has calls, their names are declared with an open schema.
    pub(super) fn encode(request: &'a ChatRequest) -> Result<Option<Self>, WireError> {
        let tool_choice = choice(request)?;
        let forbidden = request.tool_choice == Some(ToolChoice::None);
        if forbidden && !history_has_tools(request) {
            return Ok(None);
        }
        check_parallel(request)?;
        let mut tools = Vec::with_capacity(request.tools.len());
        for (index, tool) in request.tools.iter().enumerate() {
            append_tool(tool, &format!("tools[{index}]"), &mut tools)?;
        }
        if tools.is_empty() {
            tools = declared_by_history(request);
        }
        Ok((!tools.is_empty()).then_some(Self { tools, tool_choice }))
    }
}

/// Converse has no such switch (WIRE facts, "Converse request"). A program that sets it can't handle two calls at once, so
/// it is not dropped.
fn check_parallel(request: &ChatRequest) -> Result<(), WireError> {
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        return Err(unsupported("parallel_tool_calls", "it can't hold a model to one call at a time"));
    }
    Ok(())
}

fn choice(request: &ChatRequest) -> Result<Option<ChoiceBlock<'_>>, WireError> {
    let forces = |choice| match request.tools.is_empty() {
        true => Err(WireError::bad_request("`tool_choice` demands a call, but there are no tools")
            .with_param("tool_choice")),
        false => Ok(Some(choice)),
    };
    match &request.tool_choice {
        None | Some(ToolChoice::None) => Ok(None),
        Some(ToolChoice::Auto) => Ok(Some(ChoiceBlock::Auto {})),
        Some(ToolChoice::Required) => forces(ChoiceBlock::Any {}),
        Some(ToolChoice::Named(name)) => forces(ChoiceBlock::Tool { name }),
        Some(ToolChoice::Opaque(_)) => {
            Err(unsupported("tool_choice", "it knows auto, required and one named tool"))
        }
    }
}

fn append_tool<'a>(tool: &'a Tool, path: &str, entries: &mut Vec<ToolEntry<'a>>) -> Result<(), WireError> {
    if let Some(system_tool) = tool.extras.get("systemTool") {
        entries.push(ToolEntry::SystemTool(system_tool));
    } else {
        entries.push(ToolEntry::ToolSpec(tool_spec(tool, path)?));
    }
    entries.extend(tool.cache_point.as_ref().map(CachePointBlock::new).map(ToolEntry::CachePoint));
    Ok(())
}

fn tool_spec<'a>(tool: &'a Tool, path: &str) -> Result<ToolSpec<'a>, WireError> {
    let hosted = tool.extras.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "function");
    if tool.kind == ToolKind::Custom || hosted {
        return Err(unsupported(format!("{path}.type"), "its tools are functions"));
    }
    API.refuse_extras(path, &tool.extras, &["type"])?;
    check_name(&tool.name, &format!("{path}.function.name"))?;
    Ok(ToolSpec {
        name: &tool.name,
        description: tool.description.as_deref().filter(|text| !text.is_empty()),
        input_schema: InputSchema {
            json: tool.parameters.as_ref().map_or_else(|| Cow::Owned(open_schema()), Cow::Borrowed),
        },
        strict: tool.strict == Some(true),
    })
}

fn open_schema() -> Value {
    json!({"type": "object", "properties": {}})
}

fn history_has_tools(request: &ChatRequest) -> bool {
    let is_tool = |part: &Part| matches!(part, Part::ToolCall(_) | Part::ToolResult(_));
    request.messages.iter().any(|message| message.parts.iter().any(is_tool))
}

/// The tools that the history calls, each once.
fn declared_by_history(request: &ChatRequest) -> Vec<ToolEntry<'_>> {
    let mut names: Vec<&str> = Vec::new();
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        if let Part::ToolCall(call) = part
            && !names.contains(&call.name.as_str())
        {
            names.push(&call.name);
        }
    }
    let spec = |name| ToolSpec {
        name,
        description: None,
        input_schema: InputSchema { json: Cow::Owned(open_schema()) },
        strict: false,
    };
    names.into_iter().map(spec).map(ToolEntry::ToolSpec).collect()
}

/// `[a-zA-Z0-9_-]{1,64}`. Not mapped: the caller would not know the name that comes back.
pub(super) fn check_name(name: &str, param: &str) -> Result<(), WireError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=NAME_LENGTH).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(WireError::bad_request(format!(
        "Bedrock Converse takes tool names of 1 to {NAME_LENGTH} letters, digits, `_` and `-`"
    ))
    .with_param(param))
}

/// The call's id as Bedrock accepts it (`[a-zA-Z0-9_.:-]{1,64}`). Others are replaced by a function of the id alone, so a
/// call and its result meet again: a readable beginning and a hash over the whole.
pub(super) fn tool_use_id<'a>(id: &'a str, param: &str) -> Result<Cow<'a, str>, WireError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
    if id.is_empty() {
        return Err(
            WireError::bad_request("a tool call without an id can't be told from others").with_param(param)
        );
    }
    if id.len() <= NAME_LENGTH && id.bytes().all(fits) {
        return Ok(Cow::Borrowed(id));
    }
    let readable = id.bytes().take(READABLE_LENGTH).map(|byte| if fits(byte) { byte.into() } else { '_' });
    Ok(Cow::Owned(format!("{}-{:016x}", readable.collect::<String>(), fnv1a(id.as_bytes()))))
}

/// FNV-1a, 64 bits: the same on every machine and in every release, which the standard library's hasher is not.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Limit on tool names and on call ids.
const NAME_LENGTH: usize = 64;
/// What a hyphen and 16 hexadecimal digits leave of it.
const READABLE_LENGTH: usize = NAME_LENGTH - 17;
