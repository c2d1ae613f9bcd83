//! Backends that refuse, break, lie and drown: the caller gets a right status or error, the record a right outcome, and
//! the next call is not harmed.

use std::{io::Write as _, net::TcpStream, time::Duration, time::Instant};

use serde_json::json;
use tidegate_engine::{CallRecord, Outcome};

use crate::support::{
    Setup,
    backend::{self, STREAM_HEAD, Scripted, chunk, whole_answer},
    caller::Answer,
    chat, pause,
};

/// Two calls on one caller's connection: the first meets `fault` on the backend's first connection; the second one's
/// backend is healthy, and must be reached on a connection of its own. Gives the first answer and record.
fn faulty(stream: bool, fault: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> (Answer, CallRecord) {
    let scripted = Scripted::start(move |number, stream| {
        if !backend::read_request(stream) {
            return;
        }
        if number == 0 {
            fault(stream);
        } else {
            backend::write(stream, whole_answer("fresh"));
            backend::await_close(stream);
        }
    });
    let mut setup = Setup::builder().backend(scripted.address).start();
    let mut caller = setup.connect();
    caller.send(&chat("openai/gpt", "", stream));
    let first = caller.answer();
    caller.send(&chat("openai/gpt", "", false));
    let second = caller.answer();
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(
        second.json()["choices"][0]["message"]["content"],
        "fresh",
        "an answer of the broken connection"
    );
    assert_eq!(scripted.connections(), 2, "a broken connection was used again");
    setup.records.wait(2);
    let mut records = setup.finish();
    assert_eq!(records.len(), 2, "{records:?}");
    assert_eq!(records[1].outcome, Outcome::Complete);
    (first, records.remove(0))
}

#[test]
fn a_refused_connection_is_a_502_that_names_the_reason() {
    for stream in [true, false] {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for backend in ["openai", "azure-h2", "bedrock"] {
            let mut setup = Setup::builder().backend(closed).start();
            let answer = setup.call(&format!("{backend}/x"), "", stream).answer();
            assert_eq!(answer.status, 502);
            assert_eq!(answer.error_code(), "upstream_unreachable", "{answer:?}");
            let record = setup.only_record();
            assert_eq!((record.outcome, record.status), (Outcome::Broken, 502));
            assert_eq!(record.usage.total_tokens, 0, "nothing was sent");
        }
    }
}

#[test]
fn a_reset_before_the_head_is_a_502() {
    for stream in [true, false] {
        let (answer, record) = faulty(stream, |stream| backend::reset(stream));
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(answer.error_code(), "upstream_connection");
        assert_eq!(record.outcome, Outcome::Broken);
    }
}

#[test]
fn a_close_before_the_head_is_a_502_and_is_not_tried_again() {
    let (answer, record) = faulty(false, |_| {});
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(record.outcome, Outcome::Broken);
}

#[test]
fn a_reset_in_the_stream_is_an_error_event_after_what_came() {
    let (answer, record) = faulty(true, |stream| {
        backend::write(stream, STREAM_HEAD);
        backend::write(stream, chunk(&json!({"content": "half "}), None));
        pause(Duration::from_millis(30));
        backend::reset(stream);
    });
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("half ") && answer.text().contains("\"error\""), "{}", answer.text());
    assert!(!answer.text().contains("[DONE]"));
    assert_eq!(record.outcome, Outcome::Broken);
    assert!(record.usage.completion_tokens > 0);
}

#[test]
fn a_whole_reply_that_is_cut_short_is_a_502() {
    let (answer, record) = faulty(false, |stream| {
        backend::write(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"id\":",
        );
    });
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(matches!(record.outcome, Outcome::Broken | Outcome::Truncated), "{record:?}");
}

#[test]
fn something_that_is_not_http_is_a_502() {
    for garbage in
        ["SSH-2.0-OpenSSH_9.6\r\n", "\0\u{1}\u{2}\u{3}garbage\r\n\r\n", "HTTP/9.9 777 What\r\n\r\n"]
    {
        let (answer, record) = faulty(false, move |stream| {
            backend::write(stream, garbage);
            backend::await_close(stream);
        });
        assert_eq!(answer.status, 502, "{garbage:?}: {answer:?}");
        assert_eq!(record.outcome, Outcome::Broken);
    }
}

#[test]
fn frames_that_do_not_parse_end_the_stream_with_an_error() {
    let (answer, record) = faulty(true, |stream| {
        backend::write(stream, STREAM_HEAD);
        backend::write(stream, chunk(&json!({"content": "good"}), None));
        backend::write(stream, "data: {\"choices\":[{\"delta\":{]}\n\n");
        backend::write(stream, chunk(&json!({"content": "never"}), Some("stop")));
        backend::await_close(stream);
    });
    let text = answer.text();
    assert!(text.contains("good") && text.contains("upstream_protocol_error"), "{text}");
    assert!(!text.contains("never") && !text.contains("[DONE]"), "{text}");
    assert_eq!(record.outcome, Outcome::Broken);
}

#[test]
fn malformed_frames_of_every_backend_are_errors() {
    for backend in ["openai", "azure", "bedrock", "bedrock-h2"] {
        let mut setup = Setup::start();
        let answer = setup.call(&format!("{backend}/sim"), "tokens=9,malformed=4", true).answer();
        assert!(answer.text().contains("\"error\""), "{backend}: {}", answer.text());
        assert!(!answer.text().contains("[DONE]"), "{backend}: {}", answer.text());
        let record = setup.only_record();
        assert_eq!(record.outcome, Outcome::Broken, "{backend}: {record:?}");
    }
}

#[test]
fn a_200_whose_body_is_no_json_is_a_502() {
    let (answer, record) = faulty(false, |stream| {
        let page = "<html>Welcome to the captive portal</html>";
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n", page.len());
        backend::write(stream, format!("{head}connection: close\r\n\r\n{page}"));
    });
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(record.outcome, Outcome::Broken);
}

#[test]
fn an_error_body_without_end_is_read_up_to_a_bound() {
    let began = Instant::now();
    let (answer, record) = faulty(false, |stream| {
        backend::write(stream, "HTTP/1.1 500 Oops\r\ncontent-type: text/plain\r\n\r\n");
        let piece = [b'x'; 16 * 1024];
        for _ in 0..10_000 {
            if stream.write_all(&piece).is_err() {
                return;
            }
        }
        panic!("160 MB of an error's body were taken");
    });
    assert!(answer.status >= 500, "{answer:?}");
    assert!(answer.body.len() < 64 * 1024);
    assert_eq!(record.outcome, Outcome::Refused);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_error_body_that_stalls_does_not_hide_its_status() {
    let began = Instant::now();
    let (answer, record) = faulty(false, |stream| {
        backend::write(
            stream,
            "HTTP/1.1 429 Slow down\r\nretry-after: 7\r\ncontent-length: 500\r\n\r\n{\"error\"",
        );
        backend::await_close(stream);
    });
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")));
    assert_eq!(record.outcome, Outcome::Refused);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

#[test]
fn a_head_without_end_is_a_502() {
    let (answer, record) = faulty(false, |stream| {
        backend::write(stream, "HTTP/1.1 200 OK\r\n");
        for index in 0..1_000_000 {
            if write!(stream, "x-flood-{index}: {}\r\n", "y".repeat(100)).is_err() {
                return;
            }
        }
        panic!("a head of 110 MB was taken");
    });
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(record.outcome, Outcome::Broken);
}

#[test]
fn a_frame_without_end_is_an_error() {
    let (answer, record) = faulty(true, |stream| {
        backend::write(stream, STREAM_HEAD);
        backend::write(stream, chunk(&json!({"content": "good"}), None));
        backend::write(stream, "data: ");
        let piece = [b'x'; 64 * 1024];
        for _ in 0..4_000 {
            if stream.write_all(&piece).is_err() {
                return;
            }
        }
        panic!("a frame of 256 MB was taken");
    });
    assert!(answer.text().contains("good") && answer.text().contains("\"error\""), "{}", answer.text());
    assert_eq!(record.outcome, Outcome::Broken);
}

#[test]
fn bytes_behind_a_whole_reply_are_never_the_next_calls() {
    // A reply smuggled behind the first: its connection must not carry another call.
    let (answer, record) = faulty(false, |stream| {
        backend::write(stream, format!("{}{}", whole_answer("first"), whole_answer("smuggled")));
        backend::await_close(stream);
    });
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "first");
    assert_eq!(record.outcome, Outcome::Complete);
}

#[test]
fn a_healthy_connection_is_used_again() {
    // Without this the other tests' fresh connections would say nothing.
    let scripted = Scripted::start(|_, stream| {
        while backend::read_request(stream) {
            backend::write(stream, whole_answer("same"));
        }
    });
    let setup = Setup::builder().backend(scripted.address).start();
    let mut caller = setup.connect();
    for _ in 0..5 {
        caller.send(&chat("openai/gpt", "", false));
        assert_eq!(caller.answer().status, 200);
    }
    assert_eq!(scripted.connections(), 1);
}

#[test]
fn a_pooled_connection_that_its_backend_closed_is_replaced_without_an_error() {
    let scripted = Scripted::start(|_, stream| {
        if backend::read_request(stream) {
            backend::write(stream, whole_answer("once"));
        }
    });
    let mut setup = Setup::builder().backend(scripted.address).start();
    let mut caller = setup.connect();
    for index in 0..10 {
        caller.send(&chat("openai/gpt", "", false));
        let answer = caller.answer();
        assert_eq!(answer.status, 200, "{index}: {answer:?}");
        // The close has arrived, and nobody waited for it.
        pause(Duration::from_millis(30));
    }
    assert_eq!(setup.finish().len(), 10);
    assert_eq!(scripted.connections(), 10);
}
