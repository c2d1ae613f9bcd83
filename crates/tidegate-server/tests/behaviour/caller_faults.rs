//! Callers that are slow, large, broken or in a hurry.

use std::time::{Duration, Instant};

use tidegate_engine::Outcome;

use crate::support::{Setup, caller::Caller, chat, eventually, pause, post, sockets::open_sockets};

const CHAT: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n";

/// Reads what the gateway still says and until it closes; gives the status of an answer if there is one.
fn last_words(mut caller: Caller) -> Option<u16> {
    caller.await_close();
    let said = String::from_utf8_lossy(caller.unread()).into_owned();
    said.split(' ').nth(1).and_then(|status| status.parse().ok())
}

#[test]
fn a_head_that_comes_too_slowly_ends_the_connection() {
    let setup = Setup::builder().settings("limits: {header_time: 200ms}").start();
    // Says nothing; says a byte now and then; says a part; the second head of a connection.
    let mute = setup.connect();
    let mut slow = setup.connect();
    let mut part = setup.connect();
    part.send(CHAT.as_bytes());
    let mut second = setup.call("openai/sim", "tokens=1", false);
    assert_eq!(second.answer().status, 200);
    second.send(b"POST /v1/ch");
    let began = Instant::now();
    for byte in CHAT.as_bytes().iter().take(12) {
        pause(Duration::from_millis(40));
        if std::io::Write::write_all(&mut slow.stream, &[*byte]).is_err() {
            break;
        }
    }
    for caller in [mute, slow, part, second] {
        last_words(caller);
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    setup.nothing_left();
    assert_eq!(setup.call("openai/sim", "tokens=1", false).answer().status, 200);
}

#[test]
fn a_head_that_comes_too_slowly_on_http2_or_tls_ends_the_connection() {
    let setup = Setup::builder().settings("limits: {header_time: 200ms}").start();
    let mut http2 = setup.connect();
    http2.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let tls = Caller::connect(setup.tls_address());
    let began = Instant::now();
    last_words(http2);
    last_words(tls);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    setup.nothing_left();
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let setup = Setup::builder().settings("limits: {idle_time: 300ms, header_time: 200ms}").start();
    let mut idle = setup.call("openai/sim", "tokens=1", false);
    assert_eq!(idle.answer().status, 200);
    let began = Instant::now();
    let mut busy = setup.call("openai/sim", "first_token_delay=900ms,tokens=2", true);
    last_words(idle);
    let lasted = began.elapsed();
    assert!((Duration::from_millis(150)..Duration::from_millis(800)).contains(&lasted), "{lasted:?}");
    assert!(busy.answer().whole);
}

#[test]
fn a_body_that_comes_too_slowly_is_refused() {
    let mut setup = Setup::builder().settings("limits: {body_time: 150ms}").start();
    let mut caller = setup.connect();
    caller.send(format!("{CHAT}content-length: 1000\r\n\r\n").as_bytes());
    for _ in 0..3 {
        caller.send(b"{");
        pause(Duration::from_millis(20));
    }
    let answer = caller.answer();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("did not arrive within"), "{}", answer.text());
    // The rest of the body can't be told from a next request: the connection is of no more use.
    caller.await_close();
    setup.nothing_left();
    let record = setup.only_record();
    assert_eq!((record.outcome, record.status), (Outcome::Refused, 400));
}

#[test]
fn a_head_that_is_too_large_is_431() {
    let setup = Setup::builder().settings("limits: {header_bytes: 8KiB}").start();
    let mut caller = setup.connect();
    let head = format!("{CHAT}x-large: {}\r\n\r\n", "x".repeat(20_000));
    // The gateway may close before all of it is sent.
    let _ = std::io::Write::write_all(&mut caller.stream, head.as_bytes());
    assert_eq!(last_words(caller), Some(431));
    setup.nothing_left();
}

#[test]
fn a_body_that_is_too_large_is_413_with_and_without_a_length() {
    let setup = Setup::builder().settings("limits: {body: 10KiB}").start();
    let mut announced = setup.connect();
    announced.send(format!("{CHAT}content-length: 10000000\r\n\r\n").as_bytes());
    let answer = announced.answer();
    assert_eq!(answer.status, 413, "refused before it is sent: {answer:?}");
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("10240"));

    let mut chunked = setup.connect();
    chunked.send(format!("{CHAT}transfer-encoding: chunked\r\n\r\n").as_bytes());
    for _ in 0..12 {
        chunked.send(format!("400\r\n{}\r\n", "x".repeat(1024)).as_bytes());
    }
    assert_eq!(chunked.answer().status, 413);

    let mut expecting = setup.connect();
    expecting.send(format!("{CHAT}content-length: 10000000\r\nexpect: 100-continue\r\n\r\n").as_bytes());
    assert_eq!(expecting.answer().status, 413, "without asking for the body");
    assert!(setup.sim.observations().is_empty());
}

#[test]
fn a_body_of_just_the_limit_is_taken() {
    let body = String::from_utf8(chat("openai/sim", "tokens=1", false)).unwrap();
    let body = body.split_once("\r\n\r\n").unwrap().1.to_owned();
    for (room, status) in [(0, 200), (1, 413)] {
        let padded = format!("{body}{}", " ".repeat(1024 - body.len() + room));
        let setup = Setup::builder().settings("limits: {body: 1KiB}").start();
        let mut caller = setup.connect();
        caller.send(&post(&padded));
        assert_eq!(caller.answer().status, status);
    }
}

#[test]
fn garbage_is_refused_and_reaches_no_backend() {
    let setup = Setup::start();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n\0\0\0\0\0\0\0\0\0\0",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut caller = setup.connect();
        caller.send(garbage);
        caller.fin();
        let status = last_words(caller);
        assert!(status.is_none_or(|status| status == 400), "{garbage:?}: {status:?}");
    }
    setup.nothing_left();
    assert!(setup.sim.observations().is_empty());
    assert_eq!(setup.call("openai/sim", "tokens=1", false).answer().status, 200);
}

#[test]
fn two_pipelined_requests_are_answered_in_order() {
    let mut setup = Setup::start();
    let mut caller = setup.connect();
    let mut both = chat("openai/sim", "tokens=1,headers_delay=50ms", true);
    both.extend(chat("bedrock/sim", "tokens=2", false));
    both.extend(b"GET /healthz HTTP/1.1\r\nhost: g\r\n\r\n");
    caller.send(&both);
    assert_eq!(caller.answer().streamed_text(), " A");
    assert_eq!(caller.answer().json()["choices"][0]["message"]["content"], " A tide");
    assert_eq!(caller.answer().text(), "ok\n");
    assert!(setup.records.wait(2).iter().all(|record| record.outcome == Outcome::Complete));
    assert_eq!(setup.finish().len(), 2);
}

#[test]
fn a_connection_is_kept_alive_and_used_again() {
    let setup = Setup::start();
    let mut caller = setup.connect();
    for index in 0..20 {
        caller.send(&chat("openai/sim", "tokens=3", index % 2 == 0));
        let answer = caller.answer();
        assert!(answer.whole && answer.status == 200, "{index}: {answer:?}");
    }
    assert_eq!(open_sockets(setup.address().port()), 1);
    caller.send(b"GET /v1/models HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n");
    assert_eq!(caller.answer().status, 200);
    caller.await_close();
    eventually("closed when asked", || open_sockets(setup.address().port()) == 0);
    assert_eq!(setup.sim.connections(), 1, "the backend's as well");
}

#[test]
fn an_answer_on_a_kept_connection_is_not_held_back() {
    // Nagle's algorithm and delayed acknowledgement would cost 40 ms each.
    let setup = Setup::start();
    let mut caller = setup.connect();
    let began = Instant::now();
    for _ in 0..50 {
        caller.send(&chat("openai/sim", "tokens=3", false));
        assert_eq!(caller.answer().status, 200);
    }
    assert!(began.elapsed() < Duration::from_millis(50 * 30), "{:?} for 50 calls", began.elapsed());
}
