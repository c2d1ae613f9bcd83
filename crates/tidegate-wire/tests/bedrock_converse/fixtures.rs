//! The project's own fixtures: each folder of `tests/fixtures/bedrock-converse` is a test. It holds a reply (`frames.jsonl`
//! with `[message type, name, payload]` a line, `reply.hex` with the bytes of an event stream, or `whole.json`), and in
//! `events.json` what it decodes to, a line each as `summary::describe` writes it; `["truncated"]` at the end says that
//! `finish` must fail.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tidegate_wire::ErrorClass;

use crate::{
    stream::{Decoded, decode_pieces, decode_whole, encode},
    summary::describe,
};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bedrock-converse");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn every_fixture_decodes_to_its_events_whole_and_byte_by_byte() {
    let folders = folders();
    for folder in &folders {
        let expected: Vec<Value> =
            serde_json::from_slice(&fs::read(folder.join("events.json")).unwrap()).unwrap();
        let shown = folder.file_name().unwrap().display();
        match body(folder) {
            Some(body) => {
                assert_eq!(described(&decode_pieces([&body[..]])), expected, "{shown}");
                assert_eq!(described(&decode_pieces(body.chunks(1))), expected, "{shown}: byte by byte");
            }
            None => {
                let body = fs::read(folder.join("whole.json")).unwrap();
                assert_eq!(described(&decode_whole(&body)), expected, "{shown}");
            }
        }
    }
    assert!(folders.len() >= 26, "fixtures are missing");
    println!("own bedrock fixtures checked: {}", folders.len());
}

/// The bytes of a fixture's stream; `None` for a whole reply.
pub(crate) fn body(folder: &Path) -> Option<Vec<u8>> {
    if let Ok(hex) = fs::read_to_string(folder.join("reply.hex")) {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        return Some(digits.chunks(2).map(byte).collect());
    }
    let lines = fs::read_to_string(folder.join("frames.jsonl")).ok()?;
    let frame = |line: &str| {
        let (kind, name, payload): (String, String, Value) = serde_json::from_str(line).unwrap();
        let payload = payload.as_str().map_or_else(|| payload.to_string(), str::to_owned);
        (kind, name, payload)
    };
    Some(encode(&lines.lines().map(frame).collect::<Vec<_>>()))
}

fn described(decoded: &Decoded) -> Vec<Value> {
    let mut lines: Vec<Value> = decoded.events.iter().map(describe).collect();
    match &decoded.outcome {
        Ok(()) => {}
        Err(error) if error.class() == ErrorClass::Truncated => lines.push(json!(["truncated"])),
        Err(error) => lines.push(json!(["broken", error.message()])),
    }
    lines
}

/// Streams of the fixtures that end in success.
pub(crate) fn successful_streams() -> Vec<Vec<u8>> {
    folders()
        .iter()
        .filter_map(|folder| body(folder))
        .filter(|body| decode_pieces([&body[..]]).is_success())
        .collect()
}
