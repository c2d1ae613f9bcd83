//! What a request says and a backend's API has no place for: refused by its path, in the same words for every dialect.
//!
//! Never decides what is refused. Called by backend dialects that encode messages of the hub in a form of their own.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    WireError,
    hub::{Extras, Message, Part, Role, Tool, ToolKind},
};

/// The code of an error that names a parameter which the backend can't honour: OpenAI's own, and what `drop_params` goes by.
pub(crate) const UNSUPPORTED_PARAMETER: &str = "unsupported_parameter";

/// A backend's API, by the name that callers know it under.
#[derive(Clone, Copy)]
pub(crate) struct Api(pub(crate) &'static str);

impl Api {
    /// It can't honour `param`.
    pub(crate) fn unsupported(self, param: impl Into<String>, why: &str) -> WireError {
        let param = param.into();
        WireError::bad_request(format!("`{param}` is not supported by {}: {why}", self.0))
            .with_param(param)
            .with_code(UNSUPPORTED_PARAMETER)
    }

    /// It has none of these parameters; all are named at once.
    pub(crate) fn refuse_parameters(self, names: &[impl AsRef<str>]) -> Result<(), WireError> {
        let Some(first) = names.first() else { return Ok(()) };
        let listed = names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ");
        let refused = WireError::bad_request(format!("not supported by {}: {listed}", self.0));
        Err(refused.with_param(first.as_ref()).with_code(UNSUPPORTED_PARAMETER))
    }

    /// Refuses fields that say something and that it has no place for. `harmless` ones are left out.
    pub(crate) fn refuse_extras(
        self,
        path: &str,
        extras: &Extras,
        harmless: &[&str],
    ) -> Result<(), WireError> {
        let refused =
            extras.iter().find(|(name, value)| !value.is_null() && !harmless.contains(&name.as_str()));
        match refused {
            Some((name, _)) => Err(self.unsupported(format!("{path}.{name}"), "it has no such field")),
            None => Ok(()),
        }
    }

    /// Names tell speakers of one role apart, and this API has none. Where there is only one to tell, which is what agent
    /// frameworks send, nothing is lost without it; with two, the model would take what they say for one speaker's.
    pub(crate) fn check_names(self, messages: &[Message]) -> Result<(), WireError> {
        let mut speakers: Vec<(Role, &str)> = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            // A tool message's name repeats what its call's id already says.
            let Some(name) = message.name.as_deref().filter(|_| message.role != Role::Tool) else { continue };
            match speakers.iter().find(|(role, _)| *role == message.role) {
                None => speakers.push((message.role, name)),
                Some((_, other)) if *other == name => {}
                Some((_, other)) => {
                    let why = format!(
                        "its messages have no names to tell {other:?} from {name:?}; say it in the text"
                    );
                    return Err(self.unsupported(format!("messages[{index}].name"), &why));
                }
            }
        }
        Ok(())
    }

    /// A function in OpenAI's form, which some others share, with a schema in any case. `strict` is left to the caller.
    pub(crate) fn function(self, tool: &Tool, path: &str) -> Result<Value, WireError> {
        let hosted = tool.extras.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "function");
        if tool.kind == ToolKind::Custom || hosted {
            return Err(self.unsupported(format!("{path}.type"), "its tools are functions"));
        }
        self.refuse_extras(path, &tool.extras, &["type"])?;
        let mut function = Map::new();
        function.insert("name".to_owned(), tool.name.clone().into());
        if let Some(description) = &tool.description {
            function.insert("description".to_owned(), description.clone().into());
        }
        let parameters = tool.parameters.clone();
        let parameters = parameters.unwrap_or_else(|| json!({ "type": "object", "properties": {} }));
        function.insert("parameters".to_owned(), parameters);
        Ok(json!({ "type": "function", "function": function }))
    }

    /// The message at `path` can't have this part.
    pub(crate) fn misplaced(self, path: &str, part: &Part) -> WireError {
        let kind = match part {
            Part::Text { .. } => "text",
            Part::Image(_) => "an image",
            Part::Audio(_) => "audio",
            Part::Document(_) => "a document",
            Part::ToolCall(_) => "a tool call",
            Part::ToolResult(_) => "a tool result",
            Part::Reasoning(_) => "reasoning",
            Part::Refusal(_) => "a refusal",
            Part::CachePoint(_) => "a cache point",
            Part::Opaque(_) => "a part of another dialect",
        };
        self.unsupported(format!("{path}.content"), &format!("{kind} has no place in this message"))
    }
}

/// Arguments of a tool call as a JSON object, in the caller's own text: numbers keep their spelling. A model that calls a tool
/// without arguments leaves them empty in some dialects.
///
/// # Errors
/// They are no JSON object; `param` is named.
pub(crate) fn tool_input<'a>(arguments: &'a str, param: &str) -> Result<&'a RawValue, WireError> {
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        WireError::bad_request(format!("tool call arguments are not JSON: {error}")).with_param(param)
    })?;
    if !raw.get().starts_with('{') {
        return Err(WireError::bad_request("tool call arguments are not a JSON object").with_param(param));
    }
    Ok(raw)
}

/// The text of a document that came as base64.
///
/// # Errors
/// It is none; `param` is named.
pub(crate) fn document_text(data: &str, param: &str) -> Result<String, WireError> {
    let text = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| WireError::bad_request("a text document is not base64 of UTF-8").with_param(param))
}
