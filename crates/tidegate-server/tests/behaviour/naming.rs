//! O: calling the end of a call what it is.

use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_engine::{Clock, Outcome, Provenance};
use tidegate_sim::{Config as SimConfig, ListenerKind};

use crate::support::{
    BACKENDS, Setup,
    backend::{self, Scripted},
    caller::{Answer, Caller},
    chat,
};

#[test]
fn o1_hang_ups_do_no_backend_any_harm() {
    let mut setup = Setup::start();
    for _ in 0..50 {
        let mut caller = setup.call("openai/sim", "tokens=9,stall=2", true);
        caller.read_until("data: ");
        caller.fin();
    }
    setup.records.wait(50);
    for _ in 0..5 {
        assert_eq!(setup.call("openai/sim", "tokens=1", false).answer().status, 200);
    }
    let records = setup.records.wait(55);
    assert!(records.iter().all(|record| record.error.is_none()), "{records:?}");
    let mut caller = setup.connect();
    let scraped = |caller: &mut Caller| {
        caller.send(b"GET /metrics HTTP/1.1\r\nhost: g\r\n\r\n");
        caller.answer()
    };
    let count = |metrics: &Answer, outcome: &str| {
        let lines = metrics.text().lines().filter(|line| line.starts_with("tidegate_calls_total{"));
        let counts = lines.filter(|line| line.contains(&format!("outcome=\"{outcome}\"")));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    let mut metrics = scraped(&mut caller);
    // The recorder and the metrics get them from threads of their own.
    let deadline = Instant::now() + Duration::from_secs(5);
    while count(&metrics, "complete") < 5 && Instant::now() < deadline {
        metrics = scraped(&mut caller);
    }
    // A16: counted though their callers are gone.
    let counted = ["client_gone", "complete", "broken"].map(|outcome| count(&metrics, outcome));
    assert_eq!(counted, [50, 5, 0]);
    let hang_ups = metrics
        .text()
        .lines()
        .find(|line| line.starts_with("tidegate_hang_up_to_backend_closed_seconds_count"));
    assert!(hang_ups.is_some_and(|line| line.ends_with(" 50")), "{hang_ups:?}");
    drop(caller);
    setup.finish();
}

#[test]
fn o2_a_close_after_the_last_frame_is_a_complete_call() {
    for backend in BACKENDS {
        for rst in [false, true] {
            let mut setup = Setup::start();
            let mut caller = setup.call(&format!("{backend}/sim"), "tokens=5", true);
            // Where clients stop reading: the end of the HTTP body is never looked at.
            caller.read_until("data: [DONE]\n\n");
            if rst {
                caller.rst()
            } else {
                drop(caller)
            }
            setup.nothing_left();
            let record = setup.only_record();
            assert_eq!(record.outcome, Outcome::Complete, "{backend}");
            assert_eq!(record.provenance, Provenance::Reported);
        }
    }
}

#[test]
fn o2_a_reply_after_which_the_connection_closes_is_a_complete_call() {
    for stream in [true, false] {
        let mut setup = Setup::start();
        for _ in 0..20 {
            let request = String::from_utf8(chat("openai/sim", "tokens=5", stream)).unwrap();
            let mut caller = setup.connect();
            caller.send(request.replace("host: gateway", "host: gateway\r\nconnection: close").as_bytes());
            assert!(caller.answer().whole);
            caller.await_close();
        }
        let records = setup.records.wait(20);
        assert!(records.iter().all(|record| record.outcome == Outcome::Complete), "{records:?}");
        setup.nothing_left();
        assert_eq!(setup.finish().len(), 20);
    }
}

#[test]
fn o3_a_close_after_the_tool_call_is_a_complete_call() {
    for (finish, expected) in [(Some("tool_calls"), Outcome::Complete), (None, Outcome::ClientGone)] {
        let backend = Scripted::start(move |_, stream| {
            backend::read_request(stream);
            let call = json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "c", "type": "function",
                "function": {"name": "tide", "arguments": "{}"}}]});
            backend::write(stream, backend::STREAM_HEAD);
            backend::write(stream, backend::chunk(&call, None));
            if finish.is_some() {
                backend::write(stream, backend::chunk(&json!({}), finish));
            }
            // Usage and [DONE] are a while in coming.
            backend::await_close(stream);
        });
        let mut setup = Setup::builder().backend(backend.address).start();
        let mut caller = setup.call("openai/gpt", "", true);
        caller.read_until("arguments");
        if finish.is_some() {
            caller.read_until("\"finish_reason\":\"tool_calls\"");
            caller.read_until("}]}\n\n");
        }
        drop(caller);
        setup.nothing_left();
        let record = setup.only_record();
        assert_eq!(record.outcome, expected);
        assert_eq!(record.provenance, Provenance::Estimated);
    }
}

#[test]
fn o4_a_hang_up_is_499_in_the_record_unless_a_status_had_been_sent() {
    let mut setup = Setup::start();
    let caller = setup.call("openai/sim", "headers_delay=60s,tag=before", true);
    setup.reached("before", |seen| seen.body_ns.is_some());
    caller.fin();
    let mut caller = setup.call("openai/sim", "tokens=9,stall=2", true);
    caller.read_until("data: ");
    caller.fin();
    setup.records.wait(2);
    let statuses: Vec<_> = setup.finish().iter().map(|record| record.status).collect();
    assert_eq!(statuses, [499, 200]);
}

#[test]
fn o5_a_truncated_stream_gets_an_error_and_neither_finish_nor_done() {
    for backend in BACKENDS {
        for http in ["", "-h2"] {
            for fault in ["truncate=3", "eof=3"] {
                let mut setup = Setup::start();
                let answer =
                    setup.call(&format!("{backend}{http}/sim"), &format!("tokens=9,{fault}"), true).answer();
                assert_eq!(answer.status, 200);
                assert_eq!(answer.streamed_text(), " A tide gate");
                let text = answer.text();
                assert!(!text.contains("[DONE]"), "{backend}{http} {fault}: {text}");
                assert!(!text.contains("\"finish_reason\":\""), "{text}");
                let last: serde_json::Value = serde_json::from_str(answer.events().last().unwrap()).unwrap();
                assert!(last["error"]["message"].is_string(), "{text}");
                let record = setup.only_record();
                assert!(
                    matches!(record.outcome, Outcome::Truncated | Outcome::Broken),
                    "{backend}{http} {fault}: {record:?}"
                );
                assert!(record.error.is_some());
                // A15: an error after tokens does not make them free.
                assert!(record.usage.completion_tokens > 0);
            }
        }
    }
}

#[test]
fn o5_a_truncated_whole_reply_is_an_error_status() {
    for backend in BACKENDS {
        let mut setup = Setup::start();
        let answer = setup.call(&format!("{backend}/sim"), "tokens=9,truncate=3", false).answer();
        assert_eq!(answer.status, 502, "{answer:?}");
        let record = setup.only_record();
        assert!(matches!(record.outcome, Outcome::Truncated | Outcome::Broken), "{record:?}");
        assert_eq!(record.status, 502);
    }
}

#[test]
fn o6_a_deadline_says_whose_clock_it_was() {
    let cases = [
        ("response_headers: 100ms", "headers_delay=60s", false, Clock::ResponseHeaders),
        ("first_token: 100ms", "first_token_delay=60s", true, Clock::FirstToken),
        ("idle: 100ms", "tokens=9,stall=2", true, Clock::Idle),
        ("total: 150ms", "tokens=1000,interval=10ms", true, Clock::Total),
        ("total: 150ms", "headers_delay=60s", true, Clock::Total),
    ];
    for (clock, scenario, stream, expected) in cases {
        for backend in ["openai", "bedrock-h2"] {
            let mut setup = Setup::builder().clocks(clock).start();
            let mut caller = setup.call(&format!("{backend}/sim"), &format!("{scenario},tag=o6"), stream);
            let answer = caller.answer();
            let code = format!("timeout_{}", expected.name());
            assert!(answer.text().contains(&code), "{clock}: {}", answer.text());
            if !stream || scenario.starts_with("headers") {
                assert_eq!(answer.status, 504);
            }
            setup.stopped("o6");
            let record = setup.only_record();
            assert_eq!(record.outcome, Outcome::Deadline(expected), "{clock} {backend}");
        }
    }
}

#[test]
fn o6_the_connect_clock_covers_the_handshake() {
    let silent = SimConfig::one(ListenerKind::BlackHole);
    let mut setup = Setup::builder().clocks("connect: 100ms").simulator(silent).https().start();
    let answer = setup.call("openai/sim", "", true).answer();
    assert_eq!((answer.status, answer.error_code()), (504, json!("timeout_connect")));
    let record = setup.only_record();
    assert_eq!(record.outcome, Outcome::Deadline(Clock::Connect));
    assert_eq!(record.provenance, Provenance::None, "nothing was sent");
}

#[test]
fn o6_a_callers_own_slowness_is_no_deadline_of_the_backend() {
    let mut setup = Setup::builder().settings("limits: {body_time: 100ms}").start();
    let mut caller = setup.connect();
    caller.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 100\r\n\r\n{");
    let answer = caller.answer();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("did not arrive within"), "{}", answer.text());
    assert_eq!(setup.only_record().outcome, Outcome::Refused);
}
