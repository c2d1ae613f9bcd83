//! Tools and tool choice.

use serde_json::{Value, json};

use super::{API, Fields};
use crate::{
    WireError,
    hub::{ChatRequest, Tool, ToolChoice, ToolKind},
};

pub(super) fn encode(tools: &[Tool]) -> Result<Vec<Value>, WireError> {
    tools.iter().enumerate().map(|(index, tool)| encode_tool(tool, &format!("tools[{index}]"))).collect()
}

fn encode_tool(tool: &Tool, path: &str) -> Result<Value, WireError> {
    if let Some(kind) = tool.extras.get("type").and_then(Value::as_str) {
        return match is_hosted(kind) {
            true => Ok(Value::Object(tool.extras.clone())),
            false => Err(API
                .unsupported(format!("{path}.type"), "it has functions, custom tools, and tools of its own")),
        };
    }
    API.refuse_extras(path, &tool.extras, &["function", "custom", DEFERRED])?;
    let mut fields = Fields::default();
    let inside = match tool.kind {
        ToolKind::Function => {
            fields.put("type", "function");
            let open = || json!({ "type": "object", "properties": {} });
            fields.put("parameters", tool.parameters.clone().unwrap_or_else(open));
            // The API's own default is true, and callers of other dialects have not been told.
            fields.put("strict", tool.strict == Some(true));
            "function"
        }
        ToolKind::Custom => {
            fields.put("type", "custom");
            fields.put_some("format", tool.parameters.as_ref().map(flat_format));
            "custom"
        }
    };
    fields.put("name", &*tool.name);
    fields.put_some("description", tool.description.clone());
    fields.put_some(DEFERRED, tool.extras.get(DEFERRED).cloned());
    if let Some(Value::Object(more)) = tool.extras.get(inside) {
        API.refuse_extras(&format!("{path}.{inside}"), more, &[])?;
    }
    Ok(Value::Object(fields.0))
}

/// A grammar stands in an object of its own in chat completions, and not here.
fn flat_format(format: &Value) -> Value {
    match format.get("grammar") {
        Some(grammar) => {
            json!({ "type": "grammar", "definition": grammar.get("definition"), "syntax": grammar.get("syntax") })
        }
        None => format.clone(),
    }
}

pub(super) fn choice(request: &ChatRequest) -> Result<Option<Value>, WireError> {
    Ok(Some(match &request.tool_choice {
        None => return Ok(None),
        Some(ToolChoice::Auto) => "auto".into(),
        Some(ToolChoice::None) => "none".into(),
        Some(ToolChoice::Required) => "required".into(),
        Some(ToolChoice::Named(name)) => {
            let is_custom = |tool: &Tool| tool.name == *name && tool.kind == ToolKind::Custom;
            let kind = if request.tools.iter().any(is_custom) { "custom" } else { "function" };
            json!({ "type": kind, "name": name })
        }
        Some(ToolChoice::Opaque(choice)) => own_choice(choice)?,
    }))
}

/// Chat's forms that the hub doesn't model, and one of the API's own tools.
fn own_choice(choice: &Value) -> Result<Value, WireError> {
    let kind = choice.get("type").and_then(Value::as_str).unwrap_or_default();
    match (kind, choice.get(kind)) {
        ("function" | "custom", Some(named)) => Ok(json!({ "type": kind, "name": named.get("name") })),
        ("allowed_tools", Some(allowed)) => {
            let tools = allowed.get("tools").and_then(Value::as_array).into_iter().flatten();
            let tools = tools.map(flat_tool).collect::<Vec<_>>();
            Ok(json!({ "type": kind, "mode": allowed.get("mode"), "tools": tools }))
        }
        (kind, _) if is_hosted(kind) => Ok(choice.clone()),
        _ => Err(API.unsupported("tool_choice", "it knows no such form")),
    }
}

/// `{"type":"function","function":{"name"}}` as `{"type":"function","name"}`.
fn flat_tool(tool: &Value) -> Value {
    let kind = tool.get("type").and_then(Value::as_str).unwrap_or_default();
    match tool.get(kind).and_then(|named| named.get("name")) {
        Some(name) => json!({ "type": kind, "name": name }),
        None => tool.clone(),
    }
}

/// Tools that OpenAI runs, or defines; some have dated names.
fn is_hosted(kind: &str) -> bool {
    // Anthropic's are dated in another way.
    let dated = |base: &str| kind.strip_prefix(base).is_some_and(|rest| rest.starts_with("_2025_"));
    HOSTED.contains(&kind) || ["web_search", "web_search_preview"].iter().any(|base| dated(base))
}

/// Fetched by the model when it looks for a tool.
const DEFERRED: &str = "defer_loading";

/// SDK 3.54.
const HOSTED: &[&str] = &[
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "namespace",
    "shell",
    "tool_search",
    "web_search",
    "web_search_preview",
];
