//! The project's own fixtures: each folder of `tests/fixtures/openai-responses` is a test. It holds a reply (`reply.sse` or
//! `reply.json`), and in `events.json` what it decodes to, a line each as `summary::describe` writes it; `["truncated"]`,
//! `["broken", message]` or `["error", class, message]` at the end says how it fails.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tidegate_wire::{ErrorClass, WireError, hub::Event};

use crate::{
    plan,
    replies::run,
    summary::describe,
    support::{cuttings, read_json},
};

pub(crate) fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openai-responses");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// A fixture's bytes, and whether they are a stream.
pub(crate) fn reply(folder: &Path) -> (Vec<u8>, bool) {
    match fs::read(folder.join("reply.sse")) {
        Ok(body) => (body, true),
        Err(_) => (fs::read(folder.join("reply.json")).unwrap(), false),
    }
}

#[test]
fn every_fixture_decodes_to_its_events_however_it_is_split() {
    let folders = folders();
    for folder in &folders {
        let (body, streaming) = reply(folder);
        let shown = folder.file_name().unwrap().display();
        let path = folder.join("events.json");
        if std::env::var_os("TIDEGATE_WRITE_FIXTURES").is_some() && !path.exists() {
            let outcome = run(plan(streaming).events(), &[body.clone().into()]);
            let lines: Vec<String> =
                described(&outcome.items, &outcome.result).iter().map(Value::to_string).collect();
            fs::write(&path, format!("[\n  {}\n]\n", lines.join(",\n  "))).unwrap();
        }
        let expected = read_json(&path);
        for pieces in cuttings(&body, 7) {
            let outcome = run(plan(streaming).events(), &pieces);
            assert_eq!(Value::Array(described(&outcome.items, &outcome.result)), expected, "{shown}");
        }
    }
    println!("own responses fixtures checked: {}", folders.len());
}

fn described(events: &[Event], result: &Result<(), WireError>) -> Vec<Value> {
    let mut lines: Vec<Value> = events.iter().map(describe).collect();
    match result {
        Ok(()) => {}
        Err(error) if error.class() == ErrorClass::Truncated => lines.push(json!(["truncated"])),
        Err(error) if error.class() == ErrorClass::Protocol => lines.push(json!(["broken", error.message()])),
        Err(error) => lines.push(json!(["error", format!("{:?}", error.class()), error.message()])),
    }
    lines
}
