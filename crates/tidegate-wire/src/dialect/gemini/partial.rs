//! Arguments of a function call that Vertex streams by place: each piece is a JSON path and a value, strings in several pieces
//! (`partialArgs`, recorded).
//!
//! Gathers them into the object that they describe. A path that makes no sense is an error, a huge index too.

use serde::Deserialize;
use serde_json::{Map, Number, Value};

use crate::WireError;

/// One piece.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartialArg {
    json_path: String,
    string_value: Option<String>,
    number_value: Option<Number>,
    bool_value: Option<bool>,
    /// Any value: that it is there says null.
    #[serde(default, deserialize_with = "present")]
    null_value: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl PartialArg {
    /// Adds the piece to `arguments`.
    pub(super) fn apply(self, arguments: &mut Value) -> Result<(), WireError> {
        let broken = || WireError::protocol(format!("partialArgs: no such path {:?}", self.json_path));
        let place = place(arguments, &self.json_path).ok_or_else(broken)?;
        match (self.string_value, self.number_value, self.bool_value) {
            (Some(text), _, _) => match place {
                Value::String(before) => before.push_str(&text),
                other => *other = Value::String(text),
            },
            (None, Some(number), _) => *place = Value::Number(number),
            (None, None, Some(truth)) => *place = Value::Bool(truth),
            (None, None, None) if self.null_value => *place = Value::Null,
            (None, None, None) => {}
        }
        Ok(())
    }
}

/// The value at a path such as `$.a.b[0]['c']`, made as far as it is not there.
fn place<'v>(root: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    let mut rest = path.strip_prefix('$')?;
    let mut at = root;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix('.') {
            let end = behind.find(['.', '[']).unwrap_or(behind.len());
            let (name, after) = behind.split_at(end);
            at = field(at, name)?;
            rest = after;
        } else {
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            let name = inside.strip_prefix('\'').and_then(|name| name.strip_suffix('\''));
            at = match name {
                Some(name) => field(at, name)?,
                None => item(at, inside.parse().ok()?)?,
            };
            rest = after;
        }
    }
    Some(at)
}

fn field<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    Some(value.as_object_mut()?.entry(name).or_insert(Value::Null))
}

fn item(value: &mut Value, index: usize) -> Option<&mut Value> {
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    let items = value.as_array_mut().filter(|_| index < MAX_ITEMS)?;
    if items.len() <= index {
        items.resize(index + 1, Value::Null);
    }
    items.get_mut(index)
}

/// Of an array in arguments: nobody means to have more, and an index must not be a way to our memory.
const MAX_ITEMS: usize = 10_000;
