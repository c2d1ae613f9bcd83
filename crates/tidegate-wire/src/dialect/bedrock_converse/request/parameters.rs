//! Parameters that Converse doesn't have.
//!
//! This is the one place that decides what becomes of them: [`refuse_unsupported`]. What would change the answer is refused
//! by name, all at once. Values that ask for nothing (`n: 1`, a penalty of 0, null) are not refused, and hints, without which
//! the answer is the same, are dropped: programs written for OpenAI set them for all backends alike. `docs/bedrock.md`
//! has the whole list for users.

use std::borrow::Cow;

use serde_json::{Number, Value, json};

use crate::{
    WireError,
    hub::{ChatRequest, Extras},
};

use super::{own, unsupported};

pub(super) fn refuse_unsupported(request: &ChatRequest) -> Result<(), WireError> {
    check_limit(request)?;
    let names = unsupported_parameters(request);
    let Some(first) = names.first() else { return Ok(()) };
    let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Err(WireError::bad_request(format!("not supported by Bedrock Converse: {listed}"))
        .with_param(first.as_ref()))
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

fn unsupported_parameters(request: &ChatRequest) -> Vec<Cow<'_, str>> {
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
    let mut names: Vec<Cow<'_, str>> =
        modelled.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| Cow::Borrowed(name)).collect();
    names.extend(carried(&request.extras).map(Cow::Borrowed));
    // Whether a stream is padded is between the caller and us; Bedrock's own padding never gets that far.
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

/// Names of carried fields that are neither Converse's own, nor translated, nor hints, nor without effect.
fn carried(extras: &Extras) -> impl Iterator<Item = &str> {
    let known = |name: &str| OWN.contains(&name) || TRANSLATED.contains(&name) || HINTS.contains(&name);
    extras
        .iter()
        .filter(move |(name, value)| !known(name) && !is_without_effect(name, value))
        .map(|(name, _)| &**name)
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

/// `serviceTier`, from OpenAI's `service_tier` or as the caller spelled it for Bedrock.
pub(super) fn service_tier(request: &ChatRequest) -> Result<Option<Cow<'_, Value>>, WireError> {
    let own_tier = own(&request.extras, "serviceTier").map(Cow::Borrowed);
    let tier = own(&request.extras, "service_tier");
    match (tier.map(|tier| tier.as_str().unwrap_or_default()), own_tier) {
        (None | Some("auto"), own_tier) => Ok(own_tier),
        (Some(_), Some(_)) => Err(WireError::bad_request("`service_tier` and `serviceTier` are both given")
            .with_param("service_tier")),
        (Some(tier @ ("default" | "priority" | "flex" | "reserved")), None) => {
            Ok(Some(Cow::Owned(json!({"type": tier}))))
        }
        (Some(_), None) => Err(unsupported("service_tier", "it has auto, default, flex, priority, reserved")),
    }
}

/// The name that the caller used for its limit.
pub(super) fn max_tokens_name(request: &ChatRequest) -> &'static str {
    if request.limits.legacy_max_tokens { "max_tokens" } else { "max_completion_tokens" }
}

/// Converse's own fields, passed on as they came.
const OWN: &[&str] = &[
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
    "outputConfig",
];

/// OpenAI fields that the hub carries and Converse has another name for.
const TRANSLATED: &[&str] = &["service_tier", "safety_identifier"];

/// OpenAI fields that change a price or a wait and no answer. Bedrock's cache is asked for by cache points in the messages
/// (`cache_control`), which are honoured.
const HINTS: &[&str] = &["prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "prediction"];
