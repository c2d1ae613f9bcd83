//! Signatures and withheld reasoning of other vendors' models, as Gemini's clients keep and send back a `thoughtSignature`: bytes, in
//! base64 of either alphabet.
//!
//! Other vendors' are text of any form, so they are wrapped, with a mark by which they are known again: what has none is a
//! Gemini model's own, which nobody else reads.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What a `thoughtSignature` of ours holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// The signature over the thought.
    Signature(String),
    /// Reasoning that its provider withholds.
    Redacted(String),
}

pub(super) fn write(carried: &Carried) -> String {
    STANDARD.encode(match carried {
        Carried::Signature(text) => format!("{SIGNATURE}{text}"),
        Carried::Redacted(text) => format!("{REDACTED}{text}"),
    })
}

/// `None`: not one of ours.
pub(super) fn read(signature: &str) -> Option<Carried> {
    let bytes = STANDARD.decode(standard_base64(signature.to_owned())).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let signature = text.strip_prefix(SIGNATURE).map(|text| Carried::Signature(text.to_owned()));
    signature.or_else(|| text.strip_prefix(REDACTED).map(|text| Carried::Redacted(text.to_owned())))
}

/// Google's clients write bytes in the alphabet for URLs, which its own parser takes as well; nobody else does.
pub(super) fn standard_base64(mut data: String) -> String {
    if data.contains(['-', '_']) {
        data = data.replace('-', "+").replace('_', "/");
    }
    while !data.len().is_multiple_of(4) {
        data.push('=');
    }
    data
}

const SIGNATURE: &str = "tidegate:signature:";
const REDACTED: &str = "tidegate:redacted:";
