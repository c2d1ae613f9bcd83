//! Going down in good order.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use tidegate_engine::Outcome;

use crate::support::{Setup, block_on, caller::Caller, chat, eventually, pause};

#[test]
fn a_drain_refuses_new_connections_and_lets_running_calls_finish() {
    let mut setup = Setup::start();
    let mut running = setup.call("openai/sim", "tokens=40,interval=10ms", true);
    running.read_until("data: ");
    setup.running().begin_drain();
    eventually("new connections are refused", || TcpStream::connect(setup.address()).is_err());
    let answer = running.answer();
    assert!(answer.whole && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    // Its connection ends with it.
    running.await_close();
    let record = setup.only_record();
    assert_eq!(record.outcome, Outcome::Complete);
}

#[test]
fn a_drain_closes_idle_connections_at_once() {
    let setup = Setup::start();
    let mut http1 = setup.call("openai/sim", "tokens=1", false);
    assert_eq!(http1.answer().status, 200);
    let mut tls = Caller::connect_tls(setup.tls_address(), setup.certificate(), &[]);
    tls.send(b"GET /readyz HTTP/1.1\r\nhost: g\r\n\r\n");
    assert_eq!(tls.answer().status, 200);
    let began = Instant::now();
    setup.running().begin_drain();
    http1.await_close();
    tls.await_close();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_connection_that_had_not_spoken_when_the_drain_began_gets_one_answer_at_most() {
    let mut setup = Setup::start();
    let mut late = setup.connect();
    pause(Duration::from_millis(20));
    setup.running().begin_drain();
    pause(Duration::from_millis(20));
    // The gateway may have closed already.
    let twice = chat("openai/sim", "tokens=1", false).repeat(2);
    let _ = std::io::Write::write_all(&mut late.stream, &twice);
    late.await_close();
    let said = String::from_utf8_lossy(late.unread()).into_owned();
    assert!(said.matches("HTTP/1.1 200").count() <= 1, "{said}");
    assert!(setup.finish().len() <= 1);
}

#[test]
fn a_call_that_outlasts_the_drain_is_interrupted_and_settled() {
    for backend in ["openai", "azure-h2", "bedrock"] {
        let mut setup = Setup::builder().settings("drain: 150ms").start();
        let mut caller = setup.call(&format!("{backend}/sim"), "tokens=9,stall=2,tag=drain", true);
        caller.read_until("data: ");
        let began = Instant::now();
        setup.drain();
        let took = began.elapsed();
        assert!((Duration::from_millis(140)..Duration::from_secs(2)).contains(&took), "{took:?}");
        setup.stopped("drain");
        let record = setup.only_record();
        assert_eq!(record.outcome, Outcome::Interrupted, "{backend}");
        assert!(record.usage.completion_tokens > 0, "what was delivered is not lost");
        assert!(!caller.answer().whole, "an interrupted reply does not look whole");
    }
}

#[test]
fn a_drain_ends_as_soon_as_the_last_call_does() {
    let mut setup = Setup::builder().settings("drain: 60s").start();
    let mut caller = setup.call("openai/sim", "tokens=20,interval=10ms", true);
    caller.read_until("data: ");
    let began = Instant::now();
    setup.drain();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(caller.answer().whole);
    assert_eq!(setup.only_record().outcome, Outcome::Complete);
}

#[test]
fn a_hang_up_while_draining_is_a_hang_up() {
    let mut setup = Setup::builder().settings("drain: 60s").start();
    let mut caller = setup.call("openai/sim", "tokens=9,stall=2,tag=gone", true);
    caller.read_until("data: ");
    setup.running().begin_drain();
    pause(Duration::from_millis(20));
    caller.fin();
    setup.stopped("gone");
    assert_eq!(setup.only_record().outcome, Outcome::ClientGone);
}

#[test]
fn stop_settles_everything_at_once() {
    let mut setup = Setup::builder().settings("limits: {header_time: 30s}").start();
    let mut callers: Vec<_> = (0..20)
        .map(|index| {
            setup.call(["openai/sim", "bedrock-h2/sim"][index % 2], "tokens=9,stall=2", index % 3 == 0)
        })
        .collect();
    eventually("all calls run", || setup.sim.running() == 20);
    // Connections without a word, inside TLS, and inside a head must not hold it up.
    let _mute = setup.connect();
    let _handshake = Caller::connect(setup.tls_address());
    let mut part = setup.connect();
    part.send(b"POST /v1/chat");
    let mut undecided = setup.connect();
    undecided.send(b"P");
    pause(Duration::from_millis(20));
    let began = Instant::now();
    let records = setup.finish();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(records.len(), 20);
    assert!(records.iter().all(|record| record.outcome == Outcome::Interrupted), "{records:?}");
    assert!(block_on(setup.sim.quiet(Duration::from_millis(500))));
    eventually("no backend connection is left", || setup.sim.connections() == 0);
    for caller in &mut callers {
        caller.await_close();
    }
}
