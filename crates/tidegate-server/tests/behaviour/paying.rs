//! A: what was used is written down once, whatever the end.

use std::{collections::HashSet, time::Duration};

use tidegate_engine::{Outcome, Provenance};
use tidegate_wire::host::AbortBilling;

use crate::support::{BACKENDS, Setup, cut_short, pause};

#[test]
fn a1_an_aborted_stream_is_not_free() {
    for backend in BACKENDS {
        let mut setup = Setup::start();
        let mut caller = setup.call(&format!("{backend}/sim"), "tokens=40,stall=20,tag=a1", true);
        // The twentieth.
        caller.read_until("\" to\"");
        drop(caller);
        let seen = setup.stopped("a1");
        let record = setup.only_record();
        assert_eq!((record.outcome, record.provenance), (Outcome::ClientGone, cut_short(backend)));
        let (estimate, truth) = (record.usage.completion_tokens, seen.truth_usage.completion);
        assert!(estimate * 2 >= truth && estimate <= truth * 3, "{backend}: {estimate} of {truth} tokens");
        assert_eq!(record.content_events, 20);
        assert!(record.usage.prompt_tokens > 0);
        assert_eq!(record.usage.total_tokens, record.usage.prompt_tokens + estimate);
    }
}

#[test]
fn a2_an_aborted_call_without_stream_has_its_prompt_estimated() {
    for backend in BACKENDS {
        let mut setup = Setup::start();
        let caller = setup.call(&format!("{backend}/sim"), "headers_delay=60s,tag=a2", false);
        setup.reached("a2", |seen| seen.body_ns.is_some());
        caller.fin();
        let seen = setup.stopped("a2");
        let record = setup.only_record();
        assert_eq!(record.provenance, Provenance::Estimated);
        // A quarter of the request's bytes is what this simulator counts as well.
        assert_eq!(record.usage.prompt_tokens, seen.request_bytes.div_ceil(4), "{backend}");
        assert_eq!(record.usage.completion_tokens, 0);
    }
}

#[test]
fn a3_the_record_says_whether_the_backend_bills_on_after_a_close() {
    let expected = [
        AbortBilling::Stops,
        AbortBilling::Stops,
        AbortBilling::RunsOn,
        AbortBilling::Stops,
        AbortBilling::RunsOn,
        AbortBilling::Stops,
        AbortBilling::Stops,
    ];
    for (backend, expected) in BACKENDS.into_iter().zip(expected) {
        let mut setup = Setup::start();
        let mut caller = setup.call(&format!("{backend}/sim"), "tokens=9,stall=2", true);
        caller.read_until("data: ");
        drop(caller);
        assert_eq!(setup.only_record().abort_billing, expected, "{backend}");
    }
}

/// What Anthropic's `message_start` says of the output is a placeholder; its count of the prompt is exact.
#[test]
fn a4_a_placeholder_is_no_count() {
    let mut setup = Setup::start();
    let scenario = "tokens=40,stall=20,prompt=77,cached=7,tag=a4";
    let mut caller = setup.call("anthropic/sim", scenario, true);
    caller.read_until(" turning");
    drop(caller);
    setup.stopped("a4");
    let record = setup.only_record();
    assert_eq!(record.provenance, Provenance::Partial);
    assert_eq!((record.usage.prompt_tokens, record.usage.cached_tokens), (77, Some(7)));
    assert!(record.usage.completion_tokens >= 10, "{}", record.usage.completion_tokens);
    assert_eq!(record.usage.total_tokens, 77 + record.usage.completion_tokens);
}

#[test]
fn a6_a_call_whose_end_and_hang_up_meet_is_settled_once() {
    let mut setup = Setup::start();
    for index in 0..200_u64 {
        let stream = index % 2 == 0;
        let model = ["openai/sim", "bedrock-h2/sim"][usize::from(index % 3 == 0)];
        let mut caller = setup.call(model, "tokens=4,headers_delay=3ms", stream);
        if index % 4 == 0 {
            caller.read_until("HTTP/1.1 200");
        }
        // Around the moment in which the answer is complete.
        pause(Duration::from_micros(index * 370 % 9_000));
        if index % 5 == 0 { caller.rst() } else { caller.fin() }
    }
    setup.nothing_left();
    let records = setup.finish();
    let ids: HashSet<_> = records.iter().map(|record| record.id.clone()).collect();
    assert_eq!(ids.len(), records.len(), "a call is settled twice");
    let calls = setup.sim.observations().len();
    assert!((calls..=200).contains(&records.len()), "{} records of {calls} calls", records.len());
    let ended = |outcome| records.iter().filter(|record| record.outcome == outcome).count();
    let (complete, gone) = (ended(Outcome::Complete), ended(Outcome::ClientGone));
    println!("complete {complete}, client_gone {gone}");
    assert_eq!(complete + gone, records.len());
    assert!(complete > 0 && gone > 0, "the moments are not around the end: {complete}, {gone}");
}

#[test]
fn a8_an_attempt_that_failed_after_it_was_sent_has_usage() {
    for backend in BACKENDS {
        let mut setup = Setup::start();
        let answer = setup.call(&format!("{backend}/sim"), "tokens=9,reset=4", true).answer();
        assert!(answer.text().contains("\"error\""), "{}", answer.text());
        let record = setup.only_record();
        let ended = (record.outcome, record.provenance);
        assert_eq!(ended, (Outcome::Broken, cut_short(backend)), "{backend}");
        assert!(record.usage.prompt_tokens > 0 && record.usage.completion_tokens > 0);
    }
}

#[test]
fn a8_a_refused_call_cost_nothing() {
    for status in [400, 401, 404, 429, 500, 503] {
        let mut setup = Setup::start();
        let answer = setup.call("openai/sim", &format!("error={status}"), true).answer();
        assert!(answer.status >= 400, "{answer:?}");
        let record = setup.only_record();
        assert_eq!((record.outcome, record.provenance), (Outcome::Refused, Provenance::None), "{status}");
        assert_eq!(record.status, answer.status);
        assert!(record.error.is_some());
    }
}

#[test]
fn a15_an_error_inside_the_stream_keeps_the_tokens_before_it() {
    for backend in BACKENDS {
        let mut setup = Setup::start();
        let answer = setup.call(&format!("{backend}/sim"), "tokens=9,fail=3", true).answer();
        assert!(answer.text().contains("\"error\""), "{}", answer.text());
        assert!(!answer.text().contains("[DONE]"), "{}", answer.text());
        assert_eq!(answer.streamed_text(), " A tide gate", "{backend}");
        let record = setup.only_record();
        assert_ne!(record.outcome, Outcome::Complete);
        assert!(record.error.is_some());
        assert_eq!(record.content_events, 3);
        assert!(record.usage.completion_tokens > 0);
    }
}

#[test]
fn a17_every_path_that_reaches_a_backend_leaves_a_record() {
    let mut setup = Setup::start();
    for path in ["/v1/chat/completions", "/chat/completions", "/v1/messages", "/v1/messages/count_tokens"] {
        let mut caller = setup.connect();
        let request = String::from_utf8(crate::support::chat("anthropic/sim", "tokens=1", false)).unwrap();
        caller.send(request.replace("/v1/chat/completions", path).as_bytes());
        assert_eq!(caller.answer().status, 200);
    }
    for path in ["/v1/responses", "/responses", "/openai/v1/responses", "/openai/responses"] {
        let mut caller = setup.connect();
        let body = crate::support::chat_body("anthropic/sim", "tokens=1", false);
        let request = crate::support::post(&body.replace("\"messages\"", "\"input\""));
        let request = String::from_utf8(request).unwrap();
        caller.send(request.replace("/v1/chat/completions", path).as_bytes());
        assert_eq!(caller.answer().status, 200);
    }
    assert_eq!(setup.records.wait(8).len(), setup.sim.observations().len());
    assert_eq!(setup.finish().len(), 8);
}
