//! Parameters of a request that a backend of another dialect doesn't have.
//!
//! What would change the answer is refused by name, all at once. Values that ask for nothing (`n: 1`, a penalty of 0, null)
//! are not refused, and hints, without which the answer is the same, are dropped: programs written for OpenAI set them for all
//! backends alike. Called by backend dialects that lack some of OpenAI's penalties, seeds and log-probabilities.

use std::borrow::Cow;

use serde_json::{Number, Value, json};

use crate::{
    WireError,
    dialect::api::Api,
    hub::{ChatRequest, Extras},
};

/// Fails on what `backend` can't honour. `takes` says which parameters and carried fields are the dialect's own or have another name in it.
pub(crate) fn refuse_unsupported(
    request: &ChatRequest,
    backend: &'static str,
    takes: impl Fn(&str) -> bool,
) -> Result<(), WireError> {
    check_limit(request)?;
    Api(backend).refuse_parameters(&unsupported(request, takes))
}

/// The name that the caller used for its limit.
pub(crate) fn max_tokens_name(request: &ChatRequest) -> &'static str {
    if request.limits.legacy_max_tokens { "max_tokens" } else { "max_completion_tokens" }
}

/// A carried field that says something.
pub(crate) fn own<'a>(extras: &'a Extras, name: &str) -> Option<&'a Value> {
    extras.get(name).filter(|value| !value.is_null())
}

/// OpenAI refuses a limit under both of its names, whatever they say; in the same words, for programs that look for them.
fn check_limit(request: &ChatRequest) -> Result<(), WireError> {
    let other = if request.limits.legacy_max_tokens { "max_completion_tokens" } else { "max_tokens" };
    if request.limits.max_output_tokens.is_none() || own(&request.extras, other).is_none() {
        return Ok(());
    }
    let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
    Err(WireError::bad_request(message).with_param("max_tokens").with_code("invalid_parameter_combination"))
}

fn unsupported(request: &ChatRequest, takes: impl Fn(&str) -> bool) -> Vec<Cow<'_, str>> {
    let sampling = &request.sampling;
    let modelled = [
        ("n", request.limits.n.is_some_and(|n| n != 1)),
        ("seed", sampling.seed.is_some()),
        ("frequency_penalty", is_nonzero(sampling.frequency_penalty.as_ref())),
        ("presence_penalty", is_nonzero(sampling.presence_penalty.as_ref())),
        ("logit_bias", sampling.logit_bias.as_ref().is_some_and(|bias| !bias.is_empty())),
        ("logprobs", sampling.logprobs == Some(true)),
        ("top_logprobs", sampling.top_logprobs.is_some_and(|count| count > 0)),
    ];
    let mut names: Vec<Cow<'_, str>> = modelled
        .into_iter()
        .filter(|(name, asked)| *asked && !takes(name))
        .map(|(name, _)| Cow::Borrowed(name))
        .collect();
    let carried = request.extras.iter().filter(|(name, value)| {
        !takes(name) && !HINTS.contains(&name.as_str()) && !is_without_effect(name, value)
    });
    names.extend(carried.map(|(name, _)| Cow::Borrowed(name.as_str())));
    // Whether a stream is padded is between the caller and us; a backend's own padding never gets that far.
    let stream = request.stream.iter().flat_map(|options| &options.extras);
    names.extend(
        stream
            .filter(|(name, value)| !value.is_null() && *name != "include_obfuscation")
            .map(|(name, _)| Cow::Owned(format!("stream_options.{name}"))),
    );
    names
}

fn is_nonzero(number: Option<&Number>) -> bool {
    number.is_some_and(|number| number.as_f64() != Some(0.0))
}

/// The value is what would happen anyway.
fn is_without_effect(name: &str, value: &Value) -> bool {
    match name {
        _ if value.is_null() => true,
        "store" => *value == json!(false),
        "modalities" => *value == json!(["text"]),
        "verbosity" => *value == json!("medium"),
        _ => false,
    }
}

/// OpenAI fields that change a price or a wait and no answer. Caches are asked for by cache points in the messages
/// (`cache_control`), which are honoured where the dialect has them.
const HINTS: &[&str] = &["prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "prediction"];
