//! `requestMetadata`: key-value pairs that Bedrock writes to its invocation logs.

use serde_json::Value;

use crate::{
    WireError,
    hub::{ChatRequest, Extras},
};

use super::own;

/// The caller's metadata, what it gave as `requestMetadata` itself, and its user's id.
///
/// Metadata that Bedrock can't hold is refused: somebody means to find it in the logs. The ids are there for OpenAI to
/// tell users apart; programs set them for all backends alike, so where they don't fit (other characters, a 17th pair) they
/// are left out. They are not mended: two users must not become one.
pub(super) fn encode(request: &ChatRequest) -> Result<Extras, WireError> {
    let mut pairs = Extras::new();
    for (key, value) in &request.metadata {
        insert(&mut pairs, key, value)?;
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
    for (key, id) in [("user", request.user.as_deref()), ("safety_identifier", safety_identifier(request)?)] {
        if let Some(id) = id.filter(|id| fits(id) && pairs.len() < PAIRS && !pairs.contains_key(key)) {
            pairs.insert(key.to_owned(), id.into());
        }
    }
    Ok(pairs)
}

fn safety_identifier(request: &ChatRequest) -> Result<Option<&str>, WireError> {
    let name = "safety_identifier";
    match own(&request.extras, name) {
        None => Ok(None),
        Some(Value::String(id)) => Ok(Some(id)),
        Some(_) => Err(WireError::bad_request(format!("`{name}` must be a string")).with_param(name)),
    }
}

fn insert(pairs: &mut Extras, key: &str, value: &Value) -> Result<(), WireError> {
    match value {
        Value::Null => {}
        Value::String(text) if !key.is_empty() && fits(key) && fits(text) => {
            pairs.insert(key.to_owned(), value.clone());
        }
        _ => {
            let message =
                format!("Bedrock takes metadata as text of at most {LENGTH} characters, {ALPHABET}");
            return Err(WireError::bad_request(message).with_param(format!("metadata.{key}")));
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
