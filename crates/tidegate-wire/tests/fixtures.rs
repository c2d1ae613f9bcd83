//! The project's own small replies, one folder per behaviour: what is said of them (`expect.json`), and, where there is a
//! `relayed` file, the exact bytes that an openai-chat caller gets. A folder is a test; there is no list of them.
#![cfg(test)]

#[path = "support/digests.rs"]
mod digests;
#[path = "support/replies.rs"]
mod replies;
mod support;

use std::{fs, path::PathBuf};

use bytes::Bytes;
use digests::digest;
use replies::{Outcome, run};
use serde_json::Value;
use support::{cuttings, read_json};
use tidegate_wire::{
    client::{ClientDialect, Operation},
    host::{Dialect, Emulation, ReplyPlan},
    hub::Event,
};

struct Fixture {
    name: String,
    body: Vec<u8>,
    relayed: Option<Vec<u8>>,
    expected: Value,
    plan: ReplyPlan,
}

fn fixtures() -> Vec<Fixture> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openai-chat");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().map(read).collect()
}

fn read(folder: PathBuf) -> Fixture {
    let expected = read_json(&folder.join("expect.json"));
    let streaming = folder.join("reply.sse").is_file();
    let end = if streaming { "sse" } else { "json" };
    Fixture {
        name: folder.file_name().unwrap().to_str().unwrap().to_owned(),
        body: fs::read(folder.join(format!("reply.{end}"))).unwrap(),
        relayed: fs::read(folder.join(format!("relayed.{end}"))).ok(),
        plan: ReplyPlan {
            client: ClientDialect::OpenaiChat,
            operation: Operation::Generate,
            dialect: Dialect::OpenaiChat,
            streaming,
            include_usage: true,
            choices: u32::try_from(expected["n"].as_u64().unwrap_or(1)).unwrap(),
            model: "m".to_owned(),
            response: tidegate_wire::host::ResponseFacts::default(),
            emulation: Emulation::default(),
        },
        expected,
    }
}

fn check_result<I>(fixture: &Fixture, outcome: &Outcome<I>) {
    let (name, expected) = (&fixture.name, &fixture.expected);
    let result = match &outcome.result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{:?}", error.class()),
    };
    assert_eq!(result, expected["result"], "{name}: {:?}", outcome.result);
    if let (Err(error), Some(message)) = (&outcome.result, expected["message"].as_str()) {
        assert_eq!(error.message(), message, "{name}");
    }
    let progress = &outcome.progress;
    for (field, counted) in
        [("content_bytes", progress.content_bytes), ("content_events", progress.content_events)]
    {
        if let Some(count) = expected[field].as_u64() {
            assert_eq!(counted, count, "{name}: {field}");
        }
    }
    assert_eq!(progress.ended, result == "ok", "{name}");
}

#[test]
fn every_fixture_says_what_is_expected_however_it_is_split() {
    let fixtures = fixtures();
    for fixture in &fixtures {
        for pieces in cuttings(&fixture.body, 5) {
            let outcome: Outcome<Event> = run(fixture.plan.events(), &pieces);
            check_result(fixture, &outcome);
            let said = digest(&outcome.items);
            for field in ["choices", "usage", "prompt_filter_results"] {
                assert_eq!(said[field], fixture.expected[field], "{}: {field}", fixture.name);
            }
        }
    }
    println!("own fixtures: {} replies", fixtures.len());
}

#[test]
fn every_fixture_is_relayed_as_expected_however_it_is_split() {
    for fixture in &fixtures() {
        for pieces in cuttings(&fixture.body, 6) {
            let outcome: Outcome<Bytes> = run(fixture.plan.reply("id", 1), &pieces);
            check_result(fixture, &outcome);
            if let Some(relayed) = &fixture.relayed {
                let (got, want) = (outcome.bytes(), relayed.clone());
                let text = |bytes| String::from_utf8(bytes).unwrap();
                assert_eq!(text(got), text(want), "{}", fixture.name);
            }
        }
    }
}

#[test]
fn the_relay_counts_what_the_decoder_counts() {
    for fixture in &fixtures() {
        let pieces = [Bytes::from(fixture.body.clone())];
        let relayed: Outcome<Bytes> = run(fixture.plan.reply("id", 1), &pieces);
        let events: Outcome<Event> = run(fixture.plan.events(), &pieces);
        assert_eq!(relayed.progress, events.progress, "{}", fixture.name);
    }
}
