//! Tools and tool choice.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    WireError,
    hub::{ChatRequest, Tool, ToolChoice, ToolKind},
};

use super::{API, blocks::CacheControl, unsupported};

/// An entry of `tools`.
#[derive(Serialize)]
pub(super) struct ToolEntry<'a> {
    #[serde(flatten)]
    kind: Entry<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Function {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        input_schema: Cow<'a, Value>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        strict: bool,
        #[serde(flatten)]
        own: Map<String, Value>,
    },
    /// A tool that Anthropic runs, or defines.
    Own(&'a Map<String, Value>),
}

pub(super) fn encode(tools: &[Tool]) -> Result<Vec<ToolEntry<'_>>, WireError> {
    tools.iter().enumerate().map(|(index, tool)| entry(tool, &format!("tools[{index}]"))).collect()
}

fn entry<'a>(tool: &'a Tool, path: &str) -> Result<ToolEntry<'a>, WireError> {
    let hosted = tool.extras.get("type").and_then(Value::as_str).filter(|kind| *kind != "function");
    let kind = match hosted {
        Some(kind) if is_dated(kind) => Entry::Own(&tool.extras),
        Some(_) => return Err(unsupported(format!("{path}.type"), "it has functions, and tools of its own")),
        None if tool.kind == ToolKind::Custom => {
            return Err(unsupported(format!("{path}.type"), "it has no custom tools with free text"));
        }
        None => {
            API.refuse_extras(path, &tool.extras, TOOL_FIELDS)?;
            let own = tool.extras.iter().filter(|(name, _)| *name != "type");
            Entry::Function {
                name: &tool.name,
                description: tool.description.as_deref().filter(|text| !text.is_empty()),
                input_schema: tool.parameters.as_ref().map_or_else(open_schema, Cow::Borrowed),
                strict: tool.strict == Some(true),
                own: own.map(|(name, value)| (name.clone(), value.clone())).collect(),
            }
        }
    };
    Ok(ToolEntry { kind, cache_control: tool.cache_point.as_ref().map(CacheControl::new) })
}

/// Anthropic's own tools have types such as `web_search_20250305`; no other provider's end so.
fn is_dated(kind: &str) -> bool {
    kind.rsplit_once('_')
        .is_some_and(|(_, date)| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()))
}

fn open_schema<'a>() -> Cow<'a, Value> {
    Cow::Owned(json!({ "type": "object", "properties": {} }))
}

/// `tool_choice`, in which the API also says whether there may be several calls at once.
pub(super) fn choice(request: &ChatRequest) -> Result<Option<Value>, WireError> {
    let one_at_a_time = request.parallel_tool_calls == Some(false) && !request.tools.is_empty();
    let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    if forced && request.tools.is_empty() {
        return Err(WireError::bad_request("`tool_choice` demands a call, but there are no tools")
            .with_param("tool_choice"));
    }
    let mut choice = match &request.tool_choice {
        // Without tools there is nothing to choose, and the API refuses to be told.
        _ if request.tools.is_empty() => return Ok(None),
        Some(ToolChoice::None) => return Ok(Some(json!({ "type": "none" }))),
        None if !one_at_a_time => return Ok(None),
        None | Some(ToolChoice::Auto) => json!({ "type": "auto" }),
        Some(ToolChoice::Required) => json!({ "type": "any" }),
        Some(ToolChoice::Named(name)) => json!({ "type": "tool", "name": name }),
        Some(ToolChoice::Opaque(_)) => {
            return Err(unsupported("tool_choice", "it knows auto, none, required and one named tool"));
        }
    };
    if let (true, Some(fields)) = (one_at_a_time, choice.as_object_mut()) {
        fields.insert("disable_parallel_tool_use".to_owned(), true.into());
    }
    Ok(Some(choice))
}

/// Fields of a function that only the Messages API has (SDK 2.12).
const TOOL_FIELDS: &[&str] =
    &["type", "defer_loading", "allowed_callers", "input_examples", "eager_input_streaming"];
