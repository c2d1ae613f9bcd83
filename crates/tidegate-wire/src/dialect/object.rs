//! A caller's JSON object, read field by field: what is taken is checked, what is left over is carried, and every error names
//! the path. Called by the client side of the dialects, which share the words of their errors.

use serde_json::{Map, Value};

use crate::{
    WireError,
    hub::{CachePoint, Extras},
};

/// A JSON object that is being read field by field. What is left over becomes extras.
pub(crate) struct Object {
    pub(crate) fields: Map<String, Value>,
    pub(crate) path: String,
}

impl Object {
    pub(crate) fn new(value: Value, path: &str) -> Result<Self, WireError> {
        match value {
            Value::Object(fields) => Ok(Self { fields, path: path.to_owned() }),
            other if path.is_empty() => Err(wrong_type("the request body", "an object", &other)),
            other => Err(wrong_type(path, "an object", &other)),
        }
    }

    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The field's value; absent and null are the same.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.shift_remove(name).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(Value) -> Result<T, Value>,
    ) -> Result<Option<T>, WireError> {
        self.take(name)
            .map(|value| read(value).map_err(|value| wrong_type(&self.path_of(name), expected, &value)))
            .transpose()
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, WireError> {
        self.typed(name, "a string", |value| match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, WireError> {
        self.typed(name, "a boolean", |value| value.as_bool().ok_or(value))
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<Option<serde_json::Number>, WireError> {
        self.typed(name, "a number", |value| match value {
            Value::Number(number) => Ok(number),
            other => Err(other),
        })
    }

    pub(crate) fn integer<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, WireError> {
        self.typed(name, "an integer in range", |value| read(&value).ok_or(value))
    }

    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, WireError> {
        self.typed(name, "an array", |value| match value {
            Value::Array(items) => Ok(items),
            other => Err(other),
        })
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, WireError> {
        self.typed(name, "an object", |value| match value {
            Value::Object(fields) => Ok(fields),
            other => Err(other),
        })
    }

    /// Takes `cache_control` if it has the one known form; any other stays among the extras.
    pub(crate) fn cache_point(&mut self) -> Option<CachePoint> {
        let point = cache_point(self.fields.get("cache_control")?)?;
        self.fields.shift_remove("cache_control");
        Some(point)
    }

    /// The object under `name`, to be read in part; empty if there is none.
    pub(crate) fn within(&mut self, name: &str) -> Result<Self, WireError> {
        let path = self.path_of(name);
        Ok(Self { fields: self.object(name)?.unwrap_or_default(), path })
    }

    /// What is left of a [`Object::within`], under its name again.
    pub(crate) fn put_back(self, outer: &mut Self) {
        if !self.fields.is_empty() {
            outer.fields.insert(self.path, self.fields.into());
        }
    }

    pub(crate) fn rest(self) -> Extras {
        self.fields
    }
}

impl Object {
    /// What is left over, without consuming.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

pub(crate) fn as_u32(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

pub(crate) fn missing(path: &str) -> WireError {
    WireError::bad_request(format!("Missing required parameter: '{path}'."))
        .with_param(path)
        .with_code("missing_required_parameter")
}

pub(crate) fn invalid(path: &str, why: &str) -> WireError {
    WireError::bad_request(format!("Invalid value for '{path}': {why}."))
        .with_param(path)
        .with_code("invalid_value")
}

pub(crate) fn wrong_type(path: &str, expected: &str, found: &Value) -> WireError {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    WireError::bad_request(format!("Invalid type for '{path}': expected {expected}, but got {found}."))
        .with_param(path)
        .with_code("invalid_type")
}

/// `{"type":"ephemeral"}` with or without `ttl`; `None` for any other form.
fn cache_point(value: &Value) -> Option<CachePoint> {
    let fields = value.as_object()?;
    if fields.get("type")?.as_str()? != "ephemeral" {
        return None;
    }
    match (fields.len(), fields.get("ttl")) {
        (1, None) => Some(CachePoint { ttl: None }),
        (2, Some(Value::String(ttl))) => Some(CachePoint { ttl: Some(ttl.clone()) }),
        _ => None,
    }
}
