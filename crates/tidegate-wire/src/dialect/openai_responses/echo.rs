//! What a response repeats of its request, as JSON fields with a comma behind each.

use crate::client::Inbound;

/// Of a request that is translated: every field that the SDK declares for a response, as the caller gave it, else what happens
/// without it. None of it is kept by anybody.
pub(crate) fn echo(inbound: &Inbound) -> String {
    let given = |name: &str| inbound.value(name).filter(|value| *value != "null");
    let mut fields = String::new();
    for (name, default) in FIELDS {
        fields.push_str(&format!("\"{name}\":{},", given(name).unwrap_or(default)));
    }
    fields.push_str("\"store\":false,\"background\":false,\"previous_response_id\":null,");
    fields
}

/// SDK 3.54.
const FIELDS: [(&str, &str); 14] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", "\"auto\""),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
];
