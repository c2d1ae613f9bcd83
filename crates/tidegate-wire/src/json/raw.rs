//! Values of a JSON document that are read only if somebody wants them: the field's text is kept, its type is looked at
//! later, so that an odd one spoils nothing but itself. Called by dialects.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use serde_json::{Value, value::RawValue};

/// A field, unread; `None` where absent.
pub(crate) type Raw<'a> = Option<&'a RawValue>;

/// The string in `raw`, borrowed where it has no escapes. `None` if it isn't a string.
pub(crate) fn text<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    let raw = raw?.get();
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str::<LossyText>(raw).ok().map(|text| Cow::Owned(text.0))
}

/// The string in `raw`, `None` also where it is empty.
pub(crate) fn filled<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    text(raw).filter(|text| !text.is_empty())
}

/// The string in `raw`, or the JSON text of whatever it is.
pub(crate) fn text_or_json<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    text(raw).or_else(|| raw.map(|raw| Cow::Borrowed(raw.get())))
}

pub(crate) fn value(raw: Raw<'_>) -> Option<Value> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// A string in which half a surrogate pair becomes U+FFFD instead of an error: models are cut off in the middle of one.
struct LossyText(String);

impl<'de> Deserialize<'de> for LossyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = LossyText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<LossyText, E> {
                Ok(LossyText(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(BytesVisitor)
    }
}
