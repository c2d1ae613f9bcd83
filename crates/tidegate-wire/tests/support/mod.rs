//! What the integration tests share: the corpus, ways to cut bytes up, and digests of what a reply said.
#![expect(dead_code, reason = "each test binary uses its own part")]

use std::{collections::VecDeque, fs, path::PathBuf};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidegate_wire::{WireError, hub::Event, reply::Reply};

/// The recorded traffic beside the project, if it is there.
pub fn corpus() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if path.is_dir() {
        return Some(path);
    }
    println!("the corpus ../shared/vectors is absent: only the project's own fixtures are checked");
    None
}

pub fn read_json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A small generator of pseudo-random numbers (xorshift64*), so that every run cuts at the same places.
pub struct Seeded(u64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }
}

/// The same bytes whole, byte by byte, and at random places.
pub fn cuttings(body: &[u8], seed: u64) -> Vec<Vec<Bytes>> {
    let mut all = vec![vec![Bytes::copy_from_slice(body)]];
    all.push(body.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect());
    for round in 0..4 {
        let mut random = Seeded::new(seed + round);
        let mut pieces = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let longest = if round % 2 == 0 { 40 } else { 900 };
            let (piece, behind) = rest.split_at((1 + random.below(longest)).min(rest.len()));
            pieces.push(Bytes::copy_from_slice(piece));
            rest = behind;
        }
        all.push(pieces);
    }
    all
}

/// Feeds a machine to its end.
pub fn run<I>(mut reply: Box<dyn Reply<Item = I>>, pieces: &[Bytes]) -> Outcome<I> {
    let mut items = VecDeque::new();
    let mut result = Ok(());
    for piece in pieces {
        result = reply.push(piece.clone(), &mut items);
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() {
        result = reply.finish(&mut items);
    }
    Outcome { items: items.into(), result, progress: reply.progress().clone() }
}

pub struct Outcome<I> {
    pub items: Vec<I>,
    pub result: Result<(), WireError>,
    pub progress: tidegate_wire::reply::Progress,
}

impl Outcome<Bytes> {
    pub fn bytes(&self) -> Vec<u8> {
        self.items.concat()
    }
}

/// What events say, in the form of the corpus' `expect.json`.
pub fn digest(events: &[Event]) -> Value {
    let mut answers: Vec<Map<String, Value>> = Vec::new();
    let mut usage = Value::Null;
    let mut filtered = false;
    for event in events {
        match event {
            Event::Text { choice, text } => append(answer(&mut answers, *choice), "text", text),
            Event::Reasoning { choice, text } => append(answer(&mut answers, *choice), "reasoning", text),
            Event::Refusal { choice, text } => append(answer(&mut answers, *choice), "refusal", text),
            Event::ToolCallStart { choice, id, name, .. } => {
                let calls = answer(&mut answers, *choice)["tool_calls"].as_array_mut().unwrap();
                calls.push(json!({ "id": id, "name": name, "arguments": "" }));
            }
            Event::ToolCallArguments { choice, index, fragment } => {
                let calls = &mut answer(&mut answers, *choice)["tool_calls"];
                append(calls[*index as usize].as_object_mut().unwrap(), "arguments", fragment);
            }
            Event::Finish { choice, reason } => {
                answer(&mut answers, *choice).insert("finish_reason".into(), reason.as_openai().into());
            }
            Event::ChoiceExtra { choice, .. } => {
                answer(&mut answers, *choice);
            }
            Event::ReplyExtra { name, .. } => filtered |= *name == "prompt_filter_results",
            Event::Usage(seen) => usage = Value::Object(*seen.raw.clone().unwrap()),
            _ => {}
        }
    }
    answers.sort_by_key(|answer| answer["index"].as_u64());
    json!({ "choices": answers, "usage": usage, "prompt_filter_results": filtered })
}

fn answer(answers: &mut Vec<Map<String, Value>>, choice: u32) -> &mut Map<String, Value> {
    let at = answers.iter().position(|answer| answer["index"] == choice).unwrap_or_else(|| {
        let new = json!({ "index": choice, "text": "", "reasoning": "", "refusal": "", "tool_calls": [],
            "finish_reason": null });
        answers.push(new.as_object().unwrap().clone());
        answers.len() - 1
    });
    &mut answers[at]
}

fn append(fields: &mut Map<String, Value>, name: &str, text: &str) {
    let Some(Value::String(before)) = fields.get_mut(name) else { panic!("{name} is no text") };
    before.push_str(text);
}
