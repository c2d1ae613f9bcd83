//! The usage of several responses, summed up.

use serde_json::{Map, Value};

use crate::hub::Usage;

/// The sum of usage objects, field by field, in the form that each of them has.
#[derive(Debug, Default)]
pub(super) struct Sum {
    fields: Map<String, Value>,
    /// `count <= MOST_FIELDS`
    count: usize,
}

impl Sum {
    /// Adds a usage object; what is none adds nothing.
    pub(super) fn add(&mut self, usage: &str) {
        if let Ok(Value::Object(usage)) = serde_json::from_str(usage) {
            add(&mut self.fields, usage, &mut self.count);
        }
    }

    /// The sum. `None`: nothing has been added.
    pub(super) fn usage(&self) -> Option<Usage> {
        if self.fields.is_empty() {
            return None;
        }
        let count = |name: &str| self.fields.get(name).and_then(Value::as_u64);
        let detail = |of: &str, name: &str| self.fields.get(of)?.get(name)?.as_u64();
        let (prompt_tokens, completion_tokens) =
            (count("input_tokens").unwrap_or(0), count("output_tokens").unwrap_or(0));
        Some(Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: count("total_tokens").unwrap_or(prompt_tokens.saturating_add(completion_tokens)),
            cached_tokens: detail("input_token_details", "cached_tokens"),
            cache_write_tokens: None,
            reasoning_tokens: detail("output_token_details", "reasoning_tokens"),
            running: false,
            raw: Some(Value::from(self.fields.clone()).to_string().into()),
        })
    }
}

fn add(sum: &mut Map<String, Value>, usage: Map<String, Value>, count: &mut usize) {
    for (name, value) in usage {
        if !sum.contains_key(&name) {
            if *count == MOST_FIELDS || name.len() > LONGEST_NAME || !(value.is_number() || value.is_object())
            {
                continue;
            }
            *count += 1;
            let nothing = if value.is_number() { Value::from(0) } else { Map::new().into() };
            sum.insert(name.clone(), nothing);
        }
        match (sum.get_mut(&name), value) {
            (Some(Value::Object(sum)), Value::Object(details)) => add(sum, details, count),
            (Some(Value::Number(sum)), Value::Number(more)) => *sum = plus(sum, &more),
            _ => {}
        }
    }
}

/// Tokens are whole numbers; seconds of transcribed audio need not be.
fn plus(sum: &serde_json::Number, more: &serde_json::Number) -> serde_json::Number {
    if let (Some(sum), Some(more)) = (sum.as_u64(), more.as_u64()) {
        return sum.saturating_add(more).into();
    }
    let total = sum.as_f64().unwrap_or(0.0) + more.as_f64().unwrap_or(0.0);
    serde_json::Number::from_f64(total).unwrap_or_else(|| sum.clone())
}

/// A session lasts long, and its backend must not make it large: recorded objects have 12 fields.
const MOST_FIELDS: usize = 48;
const LONGEST_NAME: usize = 64;
