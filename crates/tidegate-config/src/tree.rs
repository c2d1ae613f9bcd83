//! A YAML document as a tree in which every node knows its place.
//!
//! Nothing is interpreted here: scalars keep the text that the file has (`1.10` stays `1.10`), duplicate keys are kept for
//! the reader to complain about. Bounded in size and depth. Called by `config::parse` only.

use std::{fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Location, MessageFormatter, Spanned, UserMessageFormatter};

use crate::problem::Position;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) position: Position,
    /// Bytes of the file that define it.
    pub(super) range: Range<usize>,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping, with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) key_range: Range<usize>,
    pub(super) node: Node,
}

impl Value {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads one document.
///
/// # Errors
/// It is not YAML, or larger than any configuration; with the place, where known.
pub(super) fn read(text: &str) -> Result<Node, (Option<Position>, String)> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_documents: 1,
        },
    };
    match serde_saphyr::from_str_with_options::<Raw>(text, options) {
        Ok(raw) => Ok(raw.into_node(text)),
        Err(error) => {
            let message = UserMessageFormatter.format_message(error.without_snippet()).into_owned();
            Err((error.location().and_then(position), message))
        }
    }
}

/// A node as the deserializer gives it. The text of numbers and booleans is only in the file.
struct Raw(Spanned<RawValue>);

enum RawValue {
    Null,
    Text(String),
    Unquoted,
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    fn into_node(self, text: &str) -> Node {
        let Spanned { value, referenced, defined } = self.0;
        let range = range(defined);
        let value = match value {
            RawValue::Null => Value::Null,
            RawValue::Text(scalar) => Value::Scalar(scalar),
            RawValue::Unquoted => {
                Value::Scalar(text.get(range.clone()).unwrap_or_default().trim().to_owned())
            }
            RawValue::List(items) => {
                Value::List(items.into_iter().map(|item| item.into_node(text)).collect())
            }
            RawValue::Map(entries) => {
                Value::Map(entries.into_iter().map(|(key, node)| entry(key, node, text)).collect())
            }
        };
        Node { position: position(referenced).unwrap_or(START), range, value }
    }
}

fn entry(key: Spanned<String>, node: Raw, text: &str) -> Entry {
    Entry {
        position: position(key.referenced).unwrap_or(START),
        key_range: range(key.defined),
        key: key.value,
        node: node.into_node(text),
    }
}

fn position(location: Location) -> Option<Position> {
    let known = location != Location::UNKNOWN;
    known.then(|| Position { line: location.line() as usize, column: location.column() as usize })
}

fn range(location: Location) -> Range<usize> {
    let span = location.span();
    let start = span.byte_offset().unwrap_or(0) as usize;
    start..start.saturating_add(span.byte_len().unwrap_or(0) as usize)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_bool<E>(self, _value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Unquoted)
    }

    fn visit_i64<E>(self, _value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Unquoted)
    }

    fn visit_u64<E>(self, _value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Unquoted)
    }

    fn visit_i128<E>(self, _value: i128) -> Result<RawValue, E> {
        Ok(RawValue::Unquoted)
    }

    fn visit_u128<E>(self, _value: u128) -> Result<RawValue, E> {
        Ok(RawValue::Unquoted)
    }

    fn visit_f64<E>(self, _value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Unquoted)
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(value.to_owned()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _value: &[u8]) -> Result<RawValue, E> {
        Err(E::custom("binary values have no use here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawValue, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
            if map.len() > MAX_NODES {
                return Err(A::Error::custom("too many keys"));
            }
        }
        Ok(RawValue::Map(map))
    }
}

const START: Position = Position { line: 1, column: 1 };
/// The deepest real value is `hosts.NAME.clocks.idle`; room for lists and mistakes.
const MAX_DEPTH: usize = 16;
/// Some ten thousand model names.
const MAX_NODES: usize = 50_000;
