//! Tools and tool choice.

use serde_json::{Value, json};

use super::{message, repeated, schema};
use crate::{
    WireError,
    dialect::object::{Object, invalid, missing},
    hub::{ChatRequest, Tool, ToolChoice, ToolKind},
};

pub(super) fn decode(fields: &mut Object, request: &mut ChatRequest) -> Result<(), WireError> {
    for (at, tool) in fields.take("tools").map(repeated).unwrap_or_default().into_iter().enumerate() {
        let mut tool = message(tool, &format!("tools[{at}]"))?;
        let path = tool.path_of("functionDeclarations");
        let functions = tool.take("functionDeclarations").map(repeated).unwrap_or_default();
        for (at, declared) in functions.into_iter().enumerate() {
            request.tools.push(function(message(declared, &format!("{path}[{at}]"))?)?);
        }
        request.tools.extend(tool.rest().into_iter().filter(|(_, value)| !value.is_null()).map(own_tool));
    }
    choice(fields, request)
}

fn function(mut fields: Object) -> Result<Tool, WireError> {
    let name = fields.string("name")?.ok_or_else(|| missing(&fields.path_of("name")))?;
    let description = fields.string("description")?;
    let parameters = match (fields.take("parametersJsonSchema"), fields.take("parameters")) {
        (Some(schema), _) => Some(schema),
        (None, parameters) => parameters.map(schema::to_json_schema),
    };
    // What a function gives back helps Gemini's own models; no other is told.
    for hint in ["response", "responseJsonSchema"] {
        fields.take(hint);
    }
    if fields.fields.get("behavior").is_some_and(|behavior| behavior == "BLOCKING") {
        fields.take("behavior");
    }
    Ok(Tool {
        name,
        description,
        parameters,
        strict: None,
        kind: ToolKind::Function,
        cache_point: None,
        extras: fields.rest(),
    })
}

/// A tool that Google runs: no other backend has it, and each says so by its name.
fn own_tool((name, settings): (String, Value)) -> Tool {
    Tool {
        name: String::new(),
        description: None,
        parameters: None,
        strict: None,
        kind: ToolKind::Function,
        cache_point: None,
        extras: [("type".to_owned(), json!(name)), (name, settings)].into_iter().collect(),
    }
}

fn choice(fields: &mut Object, request: &mut ChatRequest) -> Result<(), WireError> {
    let Some(value) = fields.take("toolConfig") else { return Ok(()) };
    let mut config = message(value, "toolConfig")?;
    if let Some(calling) = config.take("functionCallingConfig") {
        let mut calling = message(calling, "toolConfig.functionCallingConfig")?;
        let mode = calling.string("mode")?.unwrap_or_default().to_ascii_uppercase();
        let allowed = names(&mut calling)?;
        request.tool_choice = match (&*mode, &*allowed) {
            ("" | "MODE_UNSPECIFIED", _) => None,
            ("AUTO", _) => Some(ToolChoice::Auto),
            ("NONE", _) => Some(ToolChoice::None),
            ("ANY", [one]) => Some(ToolChoice::Named(one.clone())),
            ("ANY", _) => Some(ToolChoice::Required),
            ("VALIDATED", _) => {
                for tool in &mut request.tools {
                    tool.strict = Some(true);
                }
                Some(ToolChoice::Auto)
            }
            (other, _) => {
                let why = format!("'{other}' is not one of AUTO, ANY, NONE, VALIDATED");
                return Err(invalid("toolConfig.functionCallingConfig.mode", &why));
            }
        };
        // Of several that may be called, the model is told of those.
        if allowed.len() > 1 {
            request.tools.retain(|tool| tool.name.is_empty() || allowed.contains(&tool.name));
        }
        for (name, value) in calling.rest() {
            request.extras.insert(format!("toolConfig.functionCallingConfig.{name}"), value);
        }
    }
    request
        .extras
        .extend(config.rest().into_iter().map(|(name, value)| (format!("toolConfig.{name}"), value)));
    Ok(())
}

fn names(calling: &mut Object) -> Result<Vec<String>, WireError> {
    let path = calling.path_of("allowedFunctionNames");
    let names = calling.take("allowedFunctionNames").map(repeated).unwrap_or_default();
    names
        .into_iter()
        .map(|name| match name {
            Value::String(name) => Ok(name),
            _ => Err(invalid(&path, "names are strings")),
        })
        .collect()
}
