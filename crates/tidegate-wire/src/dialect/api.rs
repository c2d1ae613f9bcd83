//! What a request says and a backend's API has no place for: refused by its path, in the same words for every dialect.
//!
//! Never decides what is refused. Called by backend dialects that encode messages of the hub in a form of their own.

use serde_json::value::RawValue;

use crate::{
    WireError,
    hub::{Extras, Part},
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
