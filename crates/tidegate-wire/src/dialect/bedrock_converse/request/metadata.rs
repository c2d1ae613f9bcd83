//! `requestMetadata`: key-value pairs that Bedrock writes to its invocation logs.

use serde_json::Value;

use crate::{
    WireError,
    hub::{ChatRequest, Extras},
};

use super::own;

/// The caller's metadata, its user's id, and what it gave as `requestMetadata` itself.
pub(super) fn encode(request: &ChatRequest) -> Result<Extras, WireError> {
    let mut pairs = Extras::new();
    for (key, value) in &request.metadata {
        insert(&mut pairs, key, value, &format!("metadata.{key}"))?;
    }
    if let Some(user) = &request.user {
        insert(&mut pairs, "user", &Value::String(user.clone()), "user")?;
    }
    if let Some(identifier) = own(&request.extras, "safety_identifier") {
        insert(&mut pairs, "safety_identifier", identifier, "safety_identifier")?;
    }
    match own(&request.extras, "requestMetadata") {
        Some(Value::Object(own_pairs)) => pairs.extend(own_pairs.clone()),
        Some(_) => {
            return Err(
                WireError::bad_request("`requestMetadata` must be an object").with_param("requestMetadata")
            );
        }
        None => {}
    }
    if pairs.len() > PAIRS {
        return Err(WireError::bad_request(format!("Bedrock takes at most {PAIRS} pairs of metadata"))
            .with_param("metadata"));
    }
    Ok(pairs)
}

fn insert(pairs: &mut Extras, key: &str, value: &Value, param: &str) -> Result<(), WireError> {
    match value {
        Value::Null => {}
        Value::String(text) if !key.is_empty() && fits(key) && fits(text) => {
            pairs.insert(key.to_owned(), value.clone());
        }
        _ => {
            let message =
                format!("Bedrock takes metadata as text of at most {LENGTH} characters, {ALPHABET}");
            return Err(WireError::bad_request(message).with_param(param));
        }
    }
    Ok(())
}

/// The service model's `[a-zA-Z0-9\s:_@$#=/+,-.]{0,256}`.
fn fits(text: &str) -> bool {
    let allowed = |character: char| {
        character.is_ascii_alphanumeric()
            || character.is_ascii_whitespace()
            || ":_@$#=/+,-.".contains(character)
    };
    text.len() <= LENGTH && text.chars().all(allowed)
}

const ALPHABET: &str = "letters, digits, spaces and :_@$#=/+,-.";
const LENGTH: usize = 256;
const PAIRS: usize = 16;
