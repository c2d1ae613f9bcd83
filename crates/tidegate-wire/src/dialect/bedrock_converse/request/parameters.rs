//! Parameters that Converse doesn't have.
//!
//! This is the one place that decides what becomes of them: [`refuse_unsupported`]. What would change the answer is refused
//! by name, all at once. Values that ask for nothing (`n: 1`, a penalty of 0, null) are not refused, and hints, without which
//! the answer is the same, are dropped: programs written for OpenAI set them for all backends alike. `docs/bedrock.md`
//! has the whole list for users.

use std::borrow::Cow;

use serde_json::{Value, json};

pub(super) use crate::dialect::parameters::max_tokens_name;
use crate::{WireError, dialect::parameters, hub::ChatRequest};

use super::{API, own, unsupported};

pub(super) fn refuse_unsupported(request: &ChatRequest) -> Result<(), WireError> {
    parameters::refuse_unsupported(request, API.0, |name| OWN.contains(&name) || TRANSLATED.contains(&name))
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
