//! Google's `Schema`, a part of OpenAPI's with types in capitals, into JSON Schema, which every other backend takes.

use serde_json::{Map, Value, json};

/// What JSON Schema has no word for is left out: the order of properties.
pub(super) fn to_json_schema(schema: Value) -> Value {
    // As deep as the document is nested, which its parser bounds to 128.
    let Value::Object(fields) = schema else { return schema };
    let mut out = Map::new();
    let mut nullable = false;
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("type", Value::String(kind)) => {
                if kind != "TYPE_UNSPECIFIED" {
                    out.insert(name, kind.to_ascii_lowercase().into());
                }
            }
            ("nullable", value) => nullable = value == true,
            ("propertyOrdering" | "property_ordering", _) => {}
            // `enum` says it already.
            ("format", Value::String(format)) if format == "enum" => {}
            ("example", value) => drop(out.insert("examples".to_owned(), json!([value]))),
            ("anyOf" | "any_of", Value::Array(items)) => {
                out.insert("anyOf".to_owned(), items.into_iter().map(to_json_schema).collect());
            }
            ("properties", Value::Object(properties)) => {
                let properties: Map<_, _> =
                    properties.into_iter().map(|(name, schema)| (name, to_json_schema(schema))).collect();
                out.insert(name, properties.into());
            }
            ("items" | "additionalProperties", schema) => drop(out.insert(name, to_json_schema(schema))),
            // 64-bit counts are strings in this protocol's JSON.
            (
                "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength" | "maxLength",
                Value::String(count),
            ) => {
                let count = count.parse::<u64>().map_or(Value::String(count), Value::from);
                out.insert(name, count);
            }
            (_, value) => drop(out.insert(name, value)),
        }
    }
    if nullable {
        match out.get_mut("type") {
            Some(kind) => *kind = json!([kind.take(), "null"]),
            None => drop(out.insert("type".to_owned(), json!(["null"]))),
        }
        if let Some(Value::Array(values)) = out.get_mut("enum") {
            values.push(Value::Null);
        }
    }
    out.into()
}
