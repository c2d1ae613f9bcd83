//! Writes the body of Converse and ConverseStream; it is the same for both.
//!
//! Borrows from the hub request and serialises once, so that a large prompt is copied once. What Converse can't honour and
//! would change the answer is refused by name ([`parameters`]), never sent in the hope that it works and never left out
//! in silence; mere hints are dropped. Ranges that Bedrock itself states in its service model are checked here, since its
//! own answers don't name the caller's parameter; what depends on the model (context size, which models take images) is
//! left to Bedrock.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Number, Value};

use crate::{
    ErrorClass, WireError,
    dialect::{api::Api, parameters::own},
    hub::{ChatRequest, Extras},
};

pub(crate) use output::needs_answer_tool;

mod blocks;
mod conversation;
mod media;
mod metadata;
mod output;
mod parameters;
mod reasoning;
mod tools;

use blocks::{Block, Message};
use conversation::Conversation;
use reasoning::ModelFamily;
use tools::ToolConfig;

#[cfg(test)]
mod tests;

/// What the encoder has to know besides the request.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOptions<'a> {
    /// The backend's name for the model: a model id, inference-profile id or ARN. Decides how reasoning is asked for, so
    /// where an ARN hides the model, the operator's word for what it serves belongs here.
    pub model: &'a str,
}

/// The Converse body of `request`.
///
/// System and developer messages become `system`, in their order, wherever they stood; neighbouring messages of the same
/// side are merged, because Converse demands that user and assistant alternate.
///
/// # Errors
/// [`ErrorClass::BadRequest`], naming the parameter, for everything that Converse can't honour: parameters that it
/// doesn't have (`seed`, `n` over 1, ...), a temperature over 1 (it is not clamped: the caller would get another
/// distribution than the one asked for), media by URL, tool arguments that are no JSON object.
pub fn encode_request(request: &ChatRequest, options: &EncodeOptions<'_>) -> Result<Bytes, WireError> {
    parameters::refuse_unsupported(request)?;
    let family = ModelFamily::of(options.model);
    let Conversation { system, messages } = Conversation::encode(&request.messages, family)?;
    let thinking = reasoning::encode(request, family)?;
    let body = ConverseRequest {
        messages,
        system,
        inference_config: InferenceConfig::encode(request)?,
        tool_config: ToolConfig::encode(request)?,
        additional_model_request_fields: output::additional_fields(request, family, thinking.field)?,
        output_config: output::output_config(request, thinking.effort)?,
        request_metadata: metadata::encode(request)?,
        service_tier: parameters::service_tier(request)?,
        guardrail_config: own(&request.extras, "guardrailConfig"),
        performance_config: own(&request.extras, "performanceConfig"),
        prompt_variables: own(&request.extras, "promptVariables"),
        additional_model_response_field_paths: own(&request.extras, "additionalModelResponseFieldPaths"),
    };
    let bytes = serde_json::to_vec(&body)
        .map_err(|error| WireError::new(ErrorClass::Internal, format!("Converse body: {error}")))?;
    Ok(bytes.into())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConverseRequest<'a> {
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "InferenceConfig::is_empty")]
    inference_config: InferenceConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Extras::is_empty")]
    additional_model_request_fields: Extras,
    #[serde(skip_serializing_if = "Extras::is_empty")]
    output_config: Extras,
    #[serde(skip_serializing_if = "Extras::is_empty")]
    request_metadata: Extras,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<Cow<'a, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guardrail_config: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    performance_config: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_variables: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_model_response_field_paths: Option<&'a Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
}

impl<'a> InferenceConfig<'a> {
    fn encode(request: &'a ChatRequest) -> Result<Self, WireError> {
        let limits = &request.limits;
        if limits.max_output_tokens == Some(0) {
            return Err(WireError::bad_request("Bedrock Converse needs room for at least 1 token")
                .with_param(parameters::max_tokens_name(request)));
        }
        Ok(Self {
            max_tokens: limits.max_output_tokens,
            temperature: unit_interval(request.sampling.temperature.as_ref(), "temperature")?,
            top_p: unit_interval(request.sampling.top_p.as_ref(), "top_p")?,
            stop_sequences: &limits.stop,
        })
    }

    fn is_empty(&self) -> bool {
        self.max_tokens.is_none()
            && self.temperature.is_none()
            && self.top_p.is_none()
            && self.stop_sequences.is_empty()
    }
}

fn unit_interval<'a>(number: Option<&'a Number>, param: &str) -> Result<Option<&'a Number>, WireError> {
    let Some(number) = number else { return Ok(None) };
    match number.as_f64() {
        Some(value) if (0.0..=1.0).contains(&value) => Ok(Some(number)),
        _ => {
            Err(WireError::bad_request(format!("Bedrock Converse takes `{param}` from 0 to 1, not {number}"))
                .with_param(param))
        }
    }
}

/// The error for what Converse has no way to do.
fn unsupported(param: impl Into<String>, why: &str) -> WireError {
    API.unsupported(param, why)
}

const API: Api = Api("Bedrock Converse");
