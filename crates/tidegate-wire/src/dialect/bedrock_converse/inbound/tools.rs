//! `toolConfig`.

use serde_json::{Map, Value};

use super::block;
use crate::{
    WireError,
    dialect::object::{Object, invalid, missing},
    hub::{ChatRequest, Tool, ToolChoice, ToolKind},
};

pub(super) fn decode(fields: &mut Object, request: &mut ChatRequest) -> Result<(), WireError> {
    let Some(value) = fields.take("toolConfig") else { return Ok(()) };
    let mut config = Object::new(value, "toolConfig")?;
    for (at, tool) in config.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        let mut entry = Object::new(tool, &format!("toolConfig.tools[{at}]"))?;
        let path = entry.path.clone();
        if let Some(spec) = entry.take("toolSpec") {
            request.tools.push(tool_spec(Object::new(spec, &format!("{path}.toolSpec"))?)?);
        } else if let Some(point) = entry.take("cachePoint") {
            let point = block::cache_point(point, &format!("{path}.cachePoint"))?;
            if let Some(last) = request.tools.last_mut() {
                last.cache_point = Some(point);
            }
        } else {
            // A tool that Bedrock runs: no other backend has it, and each says so by its name.
            let mut extras = Map::new();
            extras.extend(entry.fields.keys().next().map(|name| ("type".to_owned(), name.as_str().into())));
            extras.extend(entry.rest());
            request.tools.push(Tool { extras, ..empty() });
        }
    }
    if let Some(choice) = config.take("toolChoice") {
        request.tool_choice = Some(tool_choice(Object::new(choice, "toolConfig.toolChoice")?)?);
    }
    Ok(())
}

fn tool_spec(mut fields: Object) -> Result<Tool, WireError> {
    let name = fields.string("name")?.ok_or_else(|| missing(&fields.path_of("name")))?;
    let schema = fields.object("inputSchema")?.and_then(|mut schema| schema.shift_remove("json"));
    Ok(Tool {
        name,
        description: fields.string("description")?,
        parameters: schema.filter(|schema| !schema.is_null()),
        strict: fields.boolean("strict")?,
        extras: fields.rest(),
        ..empty()
    })
}

fn tool_choice(mut fields: Object) -> Result<ToolChoice, WireError> {
    if let Some(tool) = fields.take("tool") {
        let mut tool = Object::new(tool, &fields.path_of("tool"))?;
        let name = tool.string("name")?.ok_or_else(|| missing(&tool.path_of("name")))?;
        return Ok(ToolChoice::Named(name));
    }
    match (fields.take("any"), fields.take("auto")) {
        (Some(Value::Object(_)), _) => Ok(ToolChoice::Required),
        (_, Some(Value::Object(_))) => Ok(ToolChoice::Auto),
        _ => Err(invalid(&fields.path, "it is one of auto, any, tool")),
    }
}

fn empty() -> Tool {
    Tool {
        name: String::new(),
        description: None,
        parameters: None,
        strict: None,
        kind: ToolKind::Function,
        cache_point: None,
        extras: Map::new(),
    }
}
