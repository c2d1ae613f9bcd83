//! Calls that reach no backend leave a record like all others: nothing that was asked is missing from the log.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use tidegate_engine::{CallRecord, Outcome, Provenance};
use tokio::net::TcpStream;

use crate::support::{Setup, block_on, caller::Caller, chat, pause, post};

const KEY: &str = "master_key: sixteen-characters-and-more";
const UNFINISHED: &[u8] =
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 1000\r\n\r\n{\"mod";

/// The record of `request`, which is answered with `status`.
fn refused(setup: &mut Setup, request: &[u8], status: u16) -> CallRecord {
    let mut caller = setup.connect();
    caller.send(request);
    let answer = caller.answer();
    assert_eq!(answer.status, status, "{answer:?}");
    let record = setup.only_record();
    assert_eq!((record.outcome, record.status), (Outcome::Refused, status));
    assert_eq!(answer.header("x-tidegate-call-id"), Some(record.id.as_str()));
    assert_eq!((record.host, record.provenance), ("", Provenance::None));
    assert_eq!(
        record.error.as_ref().map(|error| error.message()),
        answer.json()["error"]["message"].as_str()
    );
    assert!(setup.sim.observations().is_empty());
    record
}

#[test]
fn a_wrong_or_missing_key_is_recorded() {
    for header in
        ["", "authorization: Bearer wrong\r\n", "authorization: Basic eDp5\r\n", "api-key: wrong\r\n"]
    {
        for path in ["/v1/chat/completions", "/chat/completions"] {
            let mut setup = Setup::builder().settings(KEY).start();
            let request = String::from_utf8(chat("openai/sim", "tokens=1", true)).unwrap();
            let request = request.replace("host: gateway\r\n", &format!("host: gateway\r\n{header}"));
            let record = refused(&mut setup, request.replace("/v1/chat/completions", path).as_bytes(), 401);
            // The body of somebody unknown is not read.
            assert_eq!(record.model, "");
        }
    }
}

#[test]
fn a_body_that_is_no_chat_request_is_recorded() {
    for body in ["", "no JSON", "[]", "{}", r#"{"messages": []}"#, r#"{"model": 7}"#] {
        let mut setup = Setup::start();
        refused(&mut setup, &post(body), 400);
    }
}

#[test]
fn a_body_that_is_too_large_is_recorded() {
    let mut setup = Setup::builder().settings("limits: {body: 1KiB}").start();
    refused(&mut setup, &post(&"x".repeat(2000)), 413);
}

#[test]
fn a_model_that_is_not_there_is_recorded_by_its_name() {
    let mut setup = Setup::start();
    let record = refused(&mut setup, &chat("nobody/gpt", "", true), 404);
    assert_eq!((record.model.as_str(), record.streaming), ("nobody/gpt", true));
}

#[test]
fn a_broken_body_is_recorded() {
    let mut setup = Setup::start();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n";
    refused(&mut setup, format!("{head}zz\r\n").as_bytes(), 400);
}

#[test]
fn what_is_no_chat_request_is_no_call() {
    let mut setup = Setup::builder().settings(KEY).start();
    for (method, path) in [
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/v1/models"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/models"),
        ("POST", "/v1/nothing"),
    ] {
        for key in ["", "authorization: Bearer sixteen-characters-and-more\r\n"] {
            let mut caller = setup.connect();
            caller.send(
                format!("{method} {path} HTTP/1.1\r\nhost: g\r\n{key}content-length: 0\r\n\r\n").as_bytes(),
            );
            caller.answer();
        }
    }
    assert!(setup.finish().is_empty());
}

#[test]
fn a_caller_that_leaves_while_its_body_arrives_is_recorded_as_gone() {
    for way in ["fin", "rst", "close_notify"] {
        let mut setup = Setup::start();
        match way {
            "close_notify" => {
                let mut caller = Caller::connect_tls(setup.tls_address(), setup.certificate(), &[]);
                caller.send(UNFINISHED);
                pause(Duration::from_millis(20));
                caller.stream.conn.send_close_notify();
                caller.stream.conn.complete_io(&mut caller.stream.sock).unwrap();
                setup.records.wait(1);
            }
            _ => {
                let mut caller = setup.connect();
                caller.send(UNFINISHED);
                pause(Duration::from_millis(20));
                if way == "rst" { caller.rst() } else { caller.fin() }
            }
        }
        gone(&setup.only_record(), way);
    }
}

#[test]
fn an_http2_caller_that_leaves_while_its_body_arrives_is_recorded_as_gone() {
    for reset in [true, false] {
        let mut setup = Setup::start();
        block_on(async {
            let stream = TcpStream::connect(setup.address()).await.unwrap();
            let (mut requests, mut driver) = h2::client::handshake(stream).await.unwrap();
            std::future::poll_fn(|cx| requests.poll_ready(cx)).await.unwrap();
            let request = http::Request::post("http://gateway/v1/chat/completions").body(()).unwrap();
            let (_response, mut stream) = requests.send_request(request, false).unwrap();
            stream.send_data(Bytes::from_static(b"{\"mod"), false).unwrap();
            let _ = tokio::time::timeout(Duration::from_millis(50), &mut driver).await;
            if reset {
                stream.send_reset(Reason::CANCEL);
                let _ = tokio::time::timeout(Duration::from_millis(50), &mut driver).await;
            }
        });
        gone(&setup.only_record(), if reset { "reset" } else { "lost" });
    }
}

fn gone(record: &CallRecord, way: &str) {
    assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 499), "{way}");
    assert_eq!((record.model.as_str(), record.host, record.provenance), ("", "", Provenance::None));
    assert!(record.error.is_none() && record.hang_up_to_closed.is_none(), "{way}: {record:?}");
}

#[test]
fn refused_calls_are_counted() {
    let mut setup = Setup::builder().settings(KEY).start();
    for _ in 0..3 {
        assert_eq!(setup.call("openai/sim", "tokens=1", true).answer().status, 401);
    }
    setup.records.wait(3);
    let mut caller = setup.connect();
    caller.send(
        b"GET /metrics HTTP/1.1\r\nhost: g\r\nauthorization: Bearer sixteen-characters-and-more\r\n\r\n",
    );
    let metrics = caller.answer();
    let line = "tidegate_calls_total{host=\"\",outcome=\"refused\",streaming=\"false\"} 3";
    assert!(metrics.text().lines().any(|counted| counted == line), "{}", metrics.text());
    drop(caller);
    assert_eq!(setup.finish().len(), 3);
}

#[test]
fn calls_go_on_while_nobody_reads_the_call_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let _pipe = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let setup = Setup::builder().log(&format!("format: json, file: {}", path.display())).start();
    let mut caller = setup.connect();
    // More lines than a pipe holds.
    for _ in 0..400 {
        caller.send(&post("{}"));
        assert_eq!(caller.answer().status, 400);
    }
    assert_eq!(setup.call("openai/sim", "tokens=1", false).answer().status, 200);
    let began = std::time::Instant::now();
    drop(setup);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
