//! Bad configurations: what only the command line finds or prints. What is said about a file is tested beside the reader of
//! files.

use std::{
    io::{BufRead as _, BufReader, pipe},
    process::{Command, Stdio},
};

#[test]
fn aws_variables_without_a_region_cost_bedrock_and_no_other_host() {
    let keys = [("AWS_ACCESS_KEY_ID", "i"), ("AWS_SECRET_ACCESS_KEY", "s")];
    for aws in [&[("AWS_PROFILE", "other-tools")][..], &keys] {
        let mut check = tidegate("check");
        let checked = check.env("OPENAI_API_KEY", "k").envs(aws.iter().copied()).output().expect("a run");
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{said}");
        assert!(said.starts_with(NO_BEDROCK), "{said}");
        let printed = String::from_utf8_lossy(&checked.stdout);
        assert!(printed.contains("\"openai\":") && !printed.contains("bedrock"), "{printed}");
    }
    let mut serve = tidegate("serve");
    serve.env("OPENAI_API_KEY", "k").env("AWS_PROFILE", "other-tools").env("TIDEGATE_LISTEN", "127.0.0.1:0");
    let mut serving = serve.stderr(Stdio::piped()).spawn().expect("a run");
    let lines = BufReader::new(serving.stderr.take().expect("a pipe")).lines();
    let mut said = Vec::new();
    for line in lines.map_while(Result::ok) {
        said.push(line);
        if said.last().is_some_and(|line| line.contains("listening")) {
            break;
        }
    }
    serving.kill().and_then(|()| serving.wait()).expect("killed");
    assert!(said.len() == 2 && said[0].starts_with(NO_BEDROCK), "{said:#?}");
    assert!(said[1].ends_with("hosts: openai"), "{said:#?}");
}

#[test]
fn aws_variables_without_a_region_and_nothing_else_are_an_error() {
    for command in ["check", "serve"] {
        let ended = tidegate(command).env("AWS_PROFILE", "other-tools").output().expect("a run");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{command}: {said}");
        assert!(said.starts_with(NO_BEDROCK), "{command}: {said}");
        assert!(said.contains("environment: no backend is configured"), "{command}: {said}");
    }
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let mut check = tidegate("check");
    let ended = check.env("OPENAI_API_KEY", "k").stdout(writer).stderr(Stdio::piped()).spawn();
    let ended = ended.and_then(|running| running.wait_with_output()).expect("a run");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(0));
}

/// The command line in an environment without AWS files and with a metadata service that refuses connections.
fn tidegate(command: &str) -> Command {
    let mut tidegate = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    tidegate.arg(command).env_clear().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    tidegate.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    tidegate
}

const NO_BEDROCK: &str = "environment: warning: no host bedrock: no AWS region: set AWS_REGION,";
