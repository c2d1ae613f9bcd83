//! Mutates JSON as JSON, for targets whose input is a request: bytes changed at random hardly ever are one.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value};

/// A mutator for `fuzz_mutator!`. One time in eight, and for what is no JSON, bytes are changed nevertheless.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut dice = Dice(u64::from(seed) | 1 << 32);
    let tree = data.get(..size).and_then(|input| serde_json::from_slice::<Value>(input).ok());
    let Some(mut tree) = tree.filter(|_| dice.below(8) > 0) else {
        return fuzzer_mutate(data, size, max_size);
    };
    for _ in 0..=dice.below(3) {
        let donor = node(&mut tree, &mut dice).clone();
        edit(node(&mut tree, &mut dice), donor, &mut dice);
    }
    let text = tree.to_string();
    match data.get_mut(..text.len()).filter(|_| text.len() <= max_size) {
        Some(place) => {
            place.copy_from_slice(text.as_bytes());
            text.len()
        }
        None => fuzzer_mutate(data, size, max_size),
    }
}

/// Any node of the tree.
fn node<'a>(tree: &'a mut Value, dice: &mut Dice) -> &'a mut Value {
    let enters = dice.below(5) > 0;
    let place = dice.below(tree.as_array().map(Vec::len).or(tree.as_object().map(Map::len)).unwrap_or(0));
    let is_leaf = match &tree {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => true,
    };
    if is_leaf || !enters {
        return tree;
    }
    let inner = match tree {
        Value::Array(items) => items.get_mut(place),
        Value::Object(fields) => fields.values_mut().nth(place),
        _ => None,
    };
    node(inner.expect("the place is inside"), dice)
}

fn edit(node: &mut Value, donor: Value, dice: &mut Dice) {
    match (node, dice.below(4)) {
        (Value::Object(fields), 0 | 1) => {
            let value = if dice.below(2) == 0 { donor } else { word(dice) };
            fields.insert(dice.pick(NAMES).to_owned(), value);
        }
        (Value::Object(fields), 2) if !fields.is_empty() => {
            let name = fields.keys().nth(dice.below(fields.len())).cloned();
            fields.remove(&name.expect("the place is inside"));
        }
        (Value::Array(items), 0 | 1) => items.insert(dice.below(items.len() + 1), donor),
        (Value::Array(items), 2) if !items.is_empty() => drop(items.remove(dice.below(items.len()))),
        (node, 0 | 3) => *node = donor,
        (node, _) => *node = word(dice),
    }
}

fn word(dice: &mut Dice) -> Value {
    let text = dice.pick(WORDS);
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// Xorshift: the same edits for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound.max(1)
    }

    /// One of the words in `list`.
    fn pick(&mut self, list: &'static str) -> &'static str {
        let count = list.split_whitespace().count();
        list.split_whitespace().nth(self.below(count)).expect("the list is not empty")
    }
}

/// Field names of requests.
const NAMES: &str = "
    additionalModelRequestFields arguments cache_control content custom data description detail file
    file_data file_id filename format frequency_penalty function guardrailConfig id image_url
    include_usage index input input_audio json_schema logit_bias logprobs max_completion_tokens
    max_tokens messages metadata model n name outputConfig parallel_tool_calls parameters reasoning
    reasoning_content reasoning_effort refusal requestMetadata response_format role schema seed
    service_tier serviceTier signature stop stream stream_options strict temperature text thinking
    thinking_blocks tool_call_id tool_calls tool_choice tools type url
";

/// Values that mean something in one of those places, or break it. What is no JSON is a string.
const WORDS: &str = r#"
    null true false 0 1 -1 0.5 1e400 18446744073709551616 "" "0" "\u0020" [] {} [{}] {"type":"ephemeral"}
    {"type":"ephemeral","ttl":"1h"} "{}" "{\"a\":1}" assistant auto custom data:;base64,AAAA
    data:image/png;base64,AAAA data:application/pdf;base64,AAAA developer file flex function high
    image_url input_audio json_schema max refusal required s3://bucket/a.pdf system text tool user
    us.anthropic.claude-sonnet-5 anthropic.claude-3-7-sonnet-20250219-v1:0 openai.gpt-oss-120b-1:0
"#;
