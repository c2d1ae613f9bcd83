//! The examples run, as a person would run them, against a simulated backend.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::{path::PathBuf, process::Command};

use support::World;
use tidegate::HttpVersion;

/// The output of an example, which `cargo test` has built next to the tests.
fn output(name: &str, world: Option<&World>, arguments: &[&str]) -> String {
    let test = std::env::current_exe().unwrap();
    let target: PathBuf = test.ancestors().nth(2).unwrap().join("examples").join(name);
    let mut command = Command::new(target);
    command.env_clear().args(arguments);
    if let Some(world) = world {
        command.env("OPENAI_API_KEY", "simulated");
        command.env("OPENAI_BASE_URL", format!("http://{}/v1", world.sim.address()));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn chat_prints_the_answer_and_its_tokens() {
    let world = World::new(HttpVersion::Http1);
    let said = output("chat", Some(&world), &["openai/m", "[sim tokens=10 prompt=5]"]);
    assert_eq!(said, format!("{}\n[5 tokens in, 10 out]\n", support::whole_text("tokens=10")));
}

#[test]
fn one_off_calls_what_the_environment_and_the_call_say() {
    let world = World::new(HttpVersion::Http1);
    let said = output("one_off", Some(&world), &["openai/m", "[sim tokens=10]"]);
    assert_eq!(said, format!("{}\n", support::whole_text("tokens=10")));
    let said = output("one_off", None, &["m"]);
    assert_eq!(said, "no model `m`; write host/model, where host is one of: openai, azure, bedrock\n");
}

#[test]
fn stream_prints_the_answer_and_how_it_ended() {
    let world = World::new(HttpVersion::Http1);
    let said = output("stream", Some(&world), &["openai/m", "[sim tokens=10]"]);
    assert!(said.starts_with(&format!("{}\n[complete after ", support::whole_text("tokens=10"))), "{said}");
}

#[test]
fn cancel_prints_when_each_backend_saw_the_close() {
    let said = output("cancel", None, &[]);
    assert_eq!(said.matches("the backend saw rst ").count(), 3, "{said}");
    assert_eq!(said.matches("the backend saw h2_reset_8 ").count(), 3, "{said}");
    assert_eq!(said.matches("the call's record: client_gone").count(), 6, "{said}");
}

#[test]
fn tools_calls_the_function_and_stops_at_its_bound() {
    let world = World::new(HttpVersion::Http1);
    // The simulator calls the tool whenever its model's name says so, so this one never comes to an answer.
    let said = output("tools", Some(&world), &["openai/sim-t2-tools1"]);
    assert_eq!(said.matches("high_water({").count(), 5, "{said}");
    assert!(said.ends_with("it never came to an answer\n"), "{said}");
}
