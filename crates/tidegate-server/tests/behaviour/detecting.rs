//! D: knowing that the caller is gone.

use std::time::Duration;

use tidegate_engine::{Outcome, Provenance};

use crate::support::{
    BACKENDS, Setup, block_on, caller::Caller, chat, eventually, pause, sockets::open_sockets,
};

#[test]
fn d1_a_caller_that_leaves_before_the_first_token_stops_the_backend() {
    for (backend, wait) in
        BACKENDS.iter().flat_map(|b| [(b, "headers_delay=60s"), (b, "first_token_delay=60s")])
    {
        let mut setup = Setup::start();
        let caller = setup.call(&format!("{backend}/sim"), &format!("{wait},tag=d1"), true);
        setup.reached("d1", |seen| seen.body_ns.is_some());
        caller.fin();
        setup.stopped("d1");
        setup.nothing_left();
        let record = setup.only_record();
        assert_eq!(record.outcome, Outcome::ClientGone, "{backend} {wait}");
        assert_eq!(record.time_to_first_token, None);
    }
}

#[test]
fn d2_a_caller_that_leaves_a_call_without_stream_stops_the_backend() {
    for backend in BACKENDS {
        let mut setup = Setup::start();
        let caller = setup.call(&format!("{backend}/sim"), "headers_delay=60s,tag=d2", false);
        setup.reached("d2", |seen| seen.body_ns.is_some());
        caller.rst();
        setup.stopped("d2");
        setup.nothing_left();
        assert_eq!(setup.only_record().outcome, Outcome::ClientGone, "{backend}");
    }
}

#[test]
fn d6_a_fin_behind_pipelined_requests_stops_a_stalled_backend() {
    let mut setup = Setup::start();
    let mut caller = setup.call("openai/sim", "tokens=9,stall=2,tag=d6", true);
    caller.read_until("data: ");
    // A whole request, a part of one, and more than hyper's read buffer holds.
    caller.send(&chat("openai/sim", "tag=never", true));
    caller.send(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 200000\r\n\r\n");
    caller.send(&vec![b' '; 100_000]);
    pause(Duration::from_millis(20));
    caller.fin();
    setup.stopped("d6");
    setup.nothing_left();
    assert!(setup.sim.observations_tagged("never").is_empty(), "P2: no call starts after the hang-up");
    assert_eq!(setup.only_record().outcome, Outcome::ClientGone);
}

#[test]
fn d6_a_fin_inside_an_unread_request_body_ends_the_connection() {
    let mut setup = Setup::start();
    let mut caller = setup.connect();
    caller.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-length: 1000\r\n\r\n{\"mod");
    pause(Duration::from_millis(20));
    caller.fin();
    setup.nothing_left();
    let record = setup.only_record();
    assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 499));
    assert_eq!(record.hang_up_to_closed, None, "there was no backend to close");
}

#[test]
fn d7_a_fin_means_gone_unless_the_listener_says_otherwise() {
    let mut setup = Setup::start();
    let mut caller = setup.call("openai/sim", "headers_delay=60s,tag=d7", false);
    setup.reached("d7", |seen| seen.body_ns.is_some());
    caller.fin();
    setup.stopped("d7");
    caller.await_close();
    assert_eq!(caller.unread(), b"");
    assert_eq!(setup.only_record().outcome, Outcome::ClientGone);
}

#[test]
fn d7_a_half_close_listener_delivers_the_whole_reply_after_the_fin() {
    for (stream, backend) in [(true, "openai"), (false, "openai"), (true, "bedrock"), (false, "azure")] {
        let mut setup = Setup::builder().listener("half_close: true").start();
        let scenario = "headers_delay=50ms,tokens=20,interval=5ms,tag=d7";
        let mut caller = setup.call(&format!("{backend}/sim"), scenario, stream);
        caller.fin();
        let answer = caller.answer();
        assert!(answer.whole && answer.status == 200, "{answer:?}");
        caller.await_close();
        assert!(!setup.reached("d7", |seen| seen.completed_ns.is_some()).cut_short());
        assert_eq!(setup.only_record().outcome, Outcome::Complete);
        if stream {
            assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
        }
    }
}

#[test]
fn d7_a_reset_stops_the_backend_on_a_half_close_listener_too() {
    for fin_first in [false, true] {
        let mut setup = Setup::builder().listener("half_close: true").start();
        let caller = setup.call("openai/sim", "headers_delay=60s,tag=d7", true);
        setup.reached("d7", |seen| seen.body_ns.is_some());
        if fin_first {
            caller.fin();
            pause(Duration::from_millis(20));
            assert_eq!(setup.sim.running(), 1, "a FIN alone is no hang-up here");
        }
        caller.rst();
        setup.stopped("d7");
        setup.nothing_left();
        assert_eq!(setup.only_record().outcome, Outcome::ClientGone);
    }
}

#[test]
fn d8_heartbeats_find_a_caller_out_whose_end_answers_no_more() {
    // Its half-close hides that it is gone, as a cable does; only a write can tell.
    let mut setup = Setup::builder().listener("half_close: true").settings("heartbeat: 50ms").start();
    let mut caller = setup.call("openai/sim", "tokens=9,stall=2,tag=d8", true);
    caller.read_until("data: ");
    caller.read_until(": tidegate");
    // Nothing unread: the close sends FIN, and the kernel answers the next heartbeat with RST.
    drop(caller);
    setup.stopped("d8");
    setup.nothing_left();
    assert_eq!(setup.only_record().outcome, Outcome::ClientGone);
}

#[test]
fn d9_a_reply_that_stayed_in_socket_buffers_is_not_complete() {
    let mut setup = Setup::start();
    let mut caller = Caller::with_small_buffer(setup.address());
    caller.send(&chat("openai/sim", "tokens=40,text=1000,tag=d9", false));
    setup.reached("d9", |seen| seen.completed_ns.is_some());
    // Longer than the gateway takes to settle a reply that has been acknowledged.
    pause(Duration::from_millis(200));
    assert!(setup.records.all().is_empty(), "not settled while the caller may still read");
    caller.fin();
    setup.nothing_left();
    let record = setup.only_record();
    assert_eq!(record.outcome, Outcome::ClientGone);
    assert!(record.delivered_bytes > 40_000, "{record:?}");
    assert!(
        (1..=record.delivered_bytes + 1000).contains(&record.unacknowledged_bytes),
        "A11: what was generated and not delivered is known: {record:?}"
    );
    assert_eq!(record.provenance, Provenance::Reported);
}

#[test]
fn d9_a_caller_that_left_with_its_request_has_got_nothing() {
    for stream in [true, false] {
        let mut setup = Setup::start();
        for _ in 0..20 {
            let caller = setup.call("openai/sim", "tokens=3", stream);
            caller.fin();
        }
        setup.records.wait_at_most(20, Duration::from_millis(500));
        setup.nothing_left();
        // A FIN that comes with the request may be seen before the request is: then there was no call.
        for record in setup.finish() {
            assert_eq!(record.outcome, Outcome::ClientGone, "{record:?}");
        }
    }
}

#[test]
fn d9_a_caller_that_reads_and_stays_has_a_complete_call() {
    let mut setup = Setup::start();
    let mut caller = setup.connect();
    for (index, stream) in [true, false, true].into_iter().enumerate() {
        caller.send(&chat("openai/sim", "tokens=3", stream));
        assert!(caller.answer().whole);
        // Settled though the connection stays open and nothing more is asked.
        let record = setup.records.wait(index + 1).remove(index);
        assert_eq!((record.outcome, record.unacknowledged_bytes), (Outcome::Complete, 0));
        assert_eq!((record.status, record.provenance), (200, Provenance::Reported));
    }
    assert_eq!(setup.finish().len(), 3);
}

#[test]
fn d9_what_a_caller_of_a_stream_never_took_is_known() {
    let mut setup = Setup::start();
    let mut caller = Caller::with_small_buffer(setup.address());
    caller.send(&chat("openai/sim", "tokens=100000,text=4096,tag=d9", true));
    setup.reached("d9", |seen| seen.bytes_written > 100_000);
    pause(Duration::from_millis(100));
    caller.rst();
    setup.stopped("d9");
    let record = setup.only_record();
    assert_eq!(record.outcome, Outcome::ClientGone);
    assert!(record.unacknowledged_bytes > 10_000, "{record:?}");
    assert!(record.unacknowledged_bytes <= record.delivered_bytes, "{record:?}");
}

#[test]
fn d9_bytes_that_never_left_the_gateway_are_not_taken_for_delivered() {
    let mut setup = Setup::start();
    let mut caller = Caller::with_small_buffer(setup.address());
    caller.send(&chat("openai/sim", "tokens=100000,text=4096,tag=held", true));
    setup.reached("held", |seen| seen.bytes_written > 100_000);
    pause(Duration::from_millis(300));
    // All that its side has acknowledged.
    let arrived = caller.stream.peek(&mut vec![0; 1 << 20]).unwrap() as u64;
    caller.rst();
    setup.stopped("held");
    let record = setup.only_record();
    let taken = record.delivered_bytes - record.unacknowledged_bytes;
    // The head, and the framing of what has arrived.
    assert!(taken <= arrived && arrived - taken < 2_000, "{taken} of {arrived}: {record:?}");
}

#[test]
fn d12_tls_that_ends_without_close_notify_is_a_hang_up() {
    for way in ["fin", "rst", "close_notify"] {
        let mut setup = Setup::start();
        let mut caller = Caller::connect_tls(setup.tls_address(), setup.certificate(), &[]);
        caller.send(&chat("openai/sim", "tokens=9,stall=2,tag=d12", true));
        caller.read_until("data: ");
        match way {
            "fin" => caller.stream.sock.shutdown(std::net::Shutdown::Write).unwrap(),
            "rst" => {
                let socket = socket2::SockRef::from(&caller.stream.sock);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                drop(caller);
            }
            // The socket stays open: the end is said inside TLS alone.
            _ => {
                caller.stream.conn.send_close_notify();
                caller.stream.conn.complete_io(&mut caller.stream.sock).unwrap();
            }
        }
        setup.stopped("d12");
        let port = setup.tls_address().port();
        eventually("the connection is closed", || open_sockets(port) == 0);
        assert_eq!(setup.only_record().outcome, Outcome::ClientGone, "{way}");
    }
}

#[test]
fn d13_the_call_id_comes_with_the_head_before_the_first_token() {
    for backend in BACKENDS {
        let mut setup = Setup::start();
        let mut caller = setup.call(&format!("{backend}/sim"), "first_token_delay=60s,tag=d13", true);
        caller.read_until("\r\n\r\n");
        let head = String::from_utf8_lossy(caller.unread()).to_lowercase();
        assert!(head.contains("x-tidegate-call-id: call_"), "{head}");
        assert!(head.contains("x-accel-buffering: no"), "{head}");
        drop(caller);
        setup.stopped("d13");
        let id = setup.only_record().id;
        assert!(head.contains(&format!("x-tidegate-call-id: {id}")), "{head}");
    }
}

#[test]
fn d14_a_silent_backend_is_bridged_by_comments_that_clients_skip() {
    // Silent before the first token, and inside a frame.
    for scenario in ["first_token_delay=300ms,tokens=4", "tokens=4,trickle=20,trickle_delay=60ms"] {
        for backend in BACKENDS {
            let mut setup = Setup::builder().settings("heartbeat: 40ms").start();
            let mut caller = setup.call(&format!("{backend}/sim"), scenario, true);
            let answer = caller.answer();
            assert!(answer.whole);
            let comments = answer.text().matches(": tidegate\n\n").count();
            assert!(comments >= 3, "{comments} comments in {}", answer.text());
            assert_eq!(answer.streamed_text(), " A tide gate is", "{backend} {scenario}");
            assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
            assert_eq!(setup.only_record().outcome, Outcome::Complete);
        }
    }
}

#[test]
fn d14_no_comments_where_they_are_switched_off_or_tokens_come() {
    for (heartbeat, scenario) in
        [("0s", "first_token_delay=200ms,tokens=3"), ("150ms", "tokens=40,interval=10ms")]
    {
        let setup = Setup::builder().settings(&format!("heartbeat: {heartbeat}")).start();
        let answer = setup.call("openai/sim", scenario, true).answer();
        assert!(!answer.text().contains(": tidegate"), "{}", answer.text());
    }
}

#[test]
fn many_callers_leave_at_once_and_every_backend_is_closed() {
    let mut setup = Setup::start();
    let callers: Vec<_> = (0..200)
        .map(|index| setup.call(["openai/sim", "azure-h2/sim"][index % 2], "tokens=9,stall=2", true))
        .collect();
    eventually("all calls run", || setup.sim.running() == 200);
    drop(callers);
    assert!(block_on(setup.sim.quiet(Duration::from_secs(2))));
    setup.nothing_left();
    let records = setup.finish();
    assert_eq!(records.len(), 200);
    assert!(records.iter().all(|record| record.outcome == Outcome::ClientGone));
}
