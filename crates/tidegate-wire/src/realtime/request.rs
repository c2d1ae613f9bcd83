//! What a caller says when it asks for a session: in the query, and in the subprotocols that browsers put what has no other
//! place into.

use http::{HeaderMap, header::SEC_WEBSOCKET_PROTOCOL};

use crate::{WireError, auth::Secret, client::query};

/// A caller's request for a session.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The model as the caller named it: `model`, or Azure's `deployment`.
    pub model: String,
    /// The other parameters of its query, as they came: those that may go on.
    pub(crate) parameters: Vec<String>,
    /// Whether the session only transcribes.
    pub transcribes: bool,
    /// Whether it is to be spoken as the preview was (`OpenAI-Beta: realtime=v1`).
    pub(crate) beta: bool,
}

impl Ask {
    /// Reads the query and the header fields of a request.
    ///
    /// # Errors
    /// [`crate::ErrorClass::BadRequest`]: no model is named, or one by more than 512 bytes.
    pub fn read(query: Option<&str>, headers: &HeaderMap) -> Result<Self, WireError> {
        let beta = headers.get(BETA).is_some_and(|value| value.as_bytes() == BETA_VALUE.as_bytes())
            || subprotocols(headers).any(|offered| offered == "openai-beta.realtime-v1");
        let (mut model, mut parameters, mut transcribes) = (None, Vec::new(), false);
        for parameter in query::parameters(query.unwrap_or_default()) {
            match &*parameter.name {
                "model" | "deployment" => model = Some(parameter.value),
                _ if !parameter.is_passed() => {}
                name => {
                    transcribes |= name == "intent" && parameter.value == "transcription";
                    parameters.push(parameter.text.to_owned());
                }
            }
        }
        let wrong = |message: &str| WireError::bad_request(message).with_param("model");
        match model {
            Some(model) if model.len() > LONGEST_MODEL => {
                Err(wrong(&format!("Invalid 'model': it is longer than {LONGEST_MODEL} bytes.")))
            }
            Some(model) if !model.is_empty() => Ok(Self { model, parameters, transcribes, beta }),
            _ => Err(wrong("Missing required parameter: 'model', in the query: /v1/realtime?model=NAME.")),
        }
    }
}

/// The key that a browser's caller offers as a subprotocol, since it can't set header fields.
pub fn offered_key(headers: &HeaderMap) -> Option<Secret> {
    subprotocols(headers)
        .find_map(|offered| offered.strip_prefix("openai-insecure-api-key."))
        .map(Secret::new)
}

/// Whether the caller offers the subprotocol that such sessions have. No other is answered.
pub fn offers_subprotocol(headers: &HeaderMap) -> bool {
    subprotocols(headers).any(|offered| offered == SUBPROTOCOL)
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

/// The subprotocol of realtime sessions.
pub const SUBPROTOCOL: &str = "realtime";
pub(crate) const BETA: &str = "openai-beta";
pub(crate) const BETA_VALUE: &str = "realtime=v1";
/// As of a model in a body.
const LONGEST_MODEL: usize = 512;

#[cfg(test)]
mod tests;
