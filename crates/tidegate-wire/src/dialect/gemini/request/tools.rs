//! Tools and tool choice.

use serde_json::{Map, Value, json};

use super::unsupported;
use crate::{
    WireError,
    hub::{ChatRequest, Tool, ToolChoice, ToolKind},
};

/// Adds `tools` and `toolConfig`, as far as there are any.
pub(super) fn encode(request: &ChatRequest, body: &mut Map<String, Value>) -> Result<(), WireError> {
    let mut functions = Vec::new();
    let mut tools = Vec::new();
    for (at, tool) in request.tools.iter().enumerate() {
        match own_tool(tool) {
            Some(own) => tools.push(own),
            None => functions.push(function(tool, &format!("tools[{at}]"))?),
        }
    }
    let config = choice(request, !functions.is_empty())?;
    if !functions.is_empty() {
        tools.insert(0, json!({ "functionDeclarations": functions }));
    }
    if !tools.is_empty() {
        body.insert("tools".to_owned(), tools.into());
    }
    if let Some(config) = config {
        body.insert("toolConfig".to_owned(), json!({ "functionCallingConfig": config }));
    }
    Ok(())
}

fn function(tool: &Tool, path: &str) -> Result<Value, WireError> {
    let hosted = tool.extras.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "function");
    if tool.kind == ToolKind::Custom || hosted {
        return Err(unsupported(format!("{path}.type"), "its tools are functions and those of its own"));
    }
    if let Some((name, _)) = tool.extras.iter().find(|(name, value)| *name != "type" && !value.is_null()) {
        return Err(unsupported(format!("{path}.{name}"), "it has no such field"));
    }
    let mut declaration = Map::new();
    declaration.insert("name".to_owned(), tool.name.clone().into());
    if let Some(description) = &tool.description {
        declaration.insert("description".to_owned(), description.clone().into());
    }
    if let Some(schema) = &tool.parameters {
        declaration.insert("parametersJsonSchema".to_owned(), schema.clone());
    }
    Ok(declaration.into())
}

/// A tool that Google runs, as callers spell it: its name as a key (`{"googleSearch": {}}`), beside a `type` or not.
fn own_tool(tool: &Tool) -> Option<Value> {
    let (name, settings) = tool.extras.iter().find(|(name, _)| OWN_TOOLS.contains(&name.as_str()))?;
    Some(json!({ name: settings }))
}

fn choice(request: &ChatRequest, any: bool) -> Result<Option<Value>, WireError> {
    let forced = |config: Value| match any {
        true => Ok(Some(config)),
        false => Err(WireError::bad_request("`tool_choice` demands a call, but there are no tools")
            .with_param("tool_choice")),
    };
    // Only a schema that is held to makes arguments strict (WIRE facts, mode VALIDATED).
    let strict = request.tools.iter().any(|tool| tool.strict == Some(true));
    match &request.tool_choice {
        None | Some(ToolChoice::Auto) if strict => Ok(Some(json!({ "mode": "VALIDATED" }))),
        None => Ok(None),
        Some(ToolChoice::Auto) => Ok(any.then(|| json!({ "mode": "AUTO" }))),
        Some(ToolChoice::None) => Ok(any.then(|| json!({ "mode": "NONE" }))),
        Some(ToolChoice::Required) => forced(json!({ "mode": "ANY" })),
        Some(ToolChoice::Named(name)) => forced(json!({ "mode": "ANY", "allowedFunctionNames": [name] })),
        Some(ToolChoice::Opaque(_)) => {
            Err(unsupported("tool_choice", "it knows auto, none, required and one named tool"))
        }
    }
}

/// Members of `Tool` that Google runs itself (google-genai 3.4.0; both spellings were recorded).
const OWN_TOOLS: &[&str] = &[
    "googleSearch",
    "google_search",
    "googleSearchRetrieval",
    "codeExecution",
    "code_execution",
    "urlContext",
    "url_context",
    "fileSearch",
    "googleMaps",
    "computerUse",
    "retrieval",
    "enterpriseWebSearch",
];
