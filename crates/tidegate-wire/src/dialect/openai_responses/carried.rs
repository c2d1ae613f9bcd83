//! What another provider signs of its model's reasoning, in the place that the Responses API has for its own: a caller gives it back
//! as `encrypted_content`, and it has to be told from what OpenAI encrypted, which no other provider can read.

use crate::hub::Reasoning;

/// A signature, as `encrypted_content`.
pub(super) fn signature(signature: &str) -> String {
    format!("{SIGNATURE}{signature}")
}

/// Reasoning that is withheld, as `encrypted_content`.
pub(super) fn redacted(data: &str) -> String {
    format!("{REDACTED}{data}")
}

/// A reasoning item that comes back. OpenAI's own is worth nothing to another provider, and only its text is left.
pub(super) fn reasoning(text: String, encrypted: Option<&str>) -> Reasoning {
    let encrypted = encrypted.unwrap_or_default();
    Reasoning {
        text,
        signature: encrypted.strip_prefix(SIGNATURE).map(str::to_owned),
        redacted: encrypted.strip_prefix(REDACTED).map(str::to_owned),
    }
}

const SIGNATURE: &str = "tidegate.signature.";
const REDACTED: &str = "tidegate.redacted.";
