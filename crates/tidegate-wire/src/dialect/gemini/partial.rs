//! Arguments of a function call that Vertex streams by place: each piece is a JSON path and a value, strings in several pieces
//! (`partialArgs`, recorded).
//!
//! Gathers them into the object that they describe. A path that makes no sense is an error; so is one that nests deeper than
//! JSON is read, or that leaves items out: a short path must not be a way to our stack or memory.

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
    /// How many bytes it has.
    pub(super) fn size(&self) -> usize {
        self.json_path.len() + self.string_value.as_ref().map_or(0, String::len)
    }

    /// Adds the piece to `arguments`.
    pub(super) fn apply(self, arguments: &mut Value) -> Result<(), WireError> {
        let broken = || {
            let shown: String = self.json_path.chars().take(SHOWN).collect();
            WireError::protocol(format!("partialArgs: no such path {shown:?}"))
        };
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
    let mut depth = 0;
    while !rest.is_empty() {
        depth += 1;
        if depth > MAX_DEPTH {
            return None;
        }
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
    let items = value.as_array_mut().filter(|items| index <= items.len())?;
    if index == items.len() {
        items.push(Value::Null);
    }
    items.get_mut(index)
}

/// As deep as serde_json reads: what is deeper could neither be written nor be dropped without recursion.
const MAX_DEPTH: usize = 128;
/// Of a path in an error, in characters.
const SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(arguments: &mut Value, path: &str) -> Result<(), WireError> {
        let piece = serde_json::json!({ "jsonPath": path, "numberValue": 1 });
        serde_json::from_value::<PartialArg>(piece).expect("a piece").apply(arguments)
    }

    #[test]
    fn a_path_is_no_way_to_our_stack_or_memory() {
        for path in [".a".repeat(200_000), "[0]".repeat(200_000), "[9999]".repeat(20)] {
            let mut arguments = Value::Null;
            let error = apply(&mut arguments, &format!("${path}")).expect_err("refused");
            assert!(error.message().len() < 300, "{}", error.message().len());
        }
    }

    #[test]
    fn an_item_comes_behind_those_before_it() {
        let mut arguments = Value::Null;
        for path in ["$.a[0]", "$.a[1].b", "$.a[1].c"] {
            apply(&mut arguments, path).expect("a place");
        }
        assert_eq!(arguments, serde_json::json!({ "a": [1, { "b": 1, "c": 1 }] }));
        apply(&mut arguments, "$.a[3]").expect_err("one is left out");
    }
}
