//! The Messages API as other clouds have it: the body is Anthropic's own, but for the model, which stands in the path, and for the
//! version and the betas, which stand in it (WIRE facts, "InvokeModel" and "Anthropic"; anthropic 2.12, `lib/bedrock`, `lib/vertex`).
//!
//! Never translates anything: what the caller wrote, or [`super::encode_request`] did, goes on byte for byte. Called by
//! [`crate::host`].

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{WireError, client::reshaped, dialect::claude::Claude};

/// The body of InvokeModel for `model`. `headers` are those of the caller's request.
pub(crate) fn invoke_body(body: &Bytes, headers: &HeaderMap, model: &str) -> Result<Bytes, WireError> {
    // The newer version is there for the models that came with it only (WIRE facts, "Anthropic").
    let newer = Claude::of(model).is_some_and(|claude| !claude.takes_sampling());
    let version = newer_version(headers).filter(|_| newer).unwrap_or(BEDROCK_VERSION);
    let mut add = vec![("anthropic_version", version.into())];
    let betas = betas(headers);
    if !betas.is_empty() {
        add.push(("anthropic_beta", betas.into()));
    }
    reshaped(body, &["model", "stream"], &add)
}

/// The body of CountTokens for `model`: that of an InvokeModel, inside.
pub(crate) fn invoke_count_body(body: &Bytes, headers: &HeaderMap, model: &str) -> Result<Bytes, WireError> {
    let body = invoke_body(body, headers, model)?;
    // A count has none, and InvokeModel has to.
    let limit = Claude::of(model).map_or(1024, Claude::longest_answer);
    let body = reshaped(&body, &[], &[("max_tokens", limit.into())])?;
    let inside = json!({ "input": { "invokeModel": { "body": STANDARD.encode(&body) } } });
    Ok(inside.to_string().into())
}

/// What Bedrock counts for: a model, not the profile that spreads its calls over regions (recorded: "doesn't support counting").
pub(crate) fn counted_model(model: &str) -> &str {
    match model.split_once('.') {
        Some((_, rest)) if rest.starts_with("anthropic.") => rest,
        _ => model,
    }
}

/// The body of Vertex AI's `rawPredict` and `streamRawPredict`; of a count the model stays in it.
pub(crate) fn vertex_body(body: &Bytes, headers: &HeaderMap, count: bool) -> Result<Bytes, WireError> {
    let version = newer_version(headers).unwrap_or(VERTEX_VERSION);
    let model: &[&str] = if count { &[] } else { &["model"] };
    reshaped(body, model, &[("anthropic_version", version.into())])
}

/// The version that a caller writes for, if it is another than that of requests of ours.
fn newer_version(headers: &HeaderMap) -> Option<&'static str> {
    let given = headers.get(super::VERSION_HEADER)?.to_str().ok()?;
    super::VERSIONS.into_iter().find(|version| *version == given && *version != super::VERSION)
}

/// One header field has several, and there may be several fields.
fn betas(headers: &HeaderMap) -> Vec<Value> {
    let fields = headers.get_all(super::BETA_HEADER).iter().filter_map(|value| value.to_str().ok());
    let names = fields.flat_map(|field| field.split(',')).map(str::trim).filter(|name| !name.is_empty());
    names.map(Value::from).collect()
}

const BEDROCK_VERSION: &str = "bedrock-2023-05-31";
const VERTEX_VERSION: &str = "vertex-2023-10-16";
