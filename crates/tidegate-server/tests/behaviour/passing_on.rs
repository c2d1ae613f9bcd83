//! P: handing the hang-up on to the backend, and doing nothing after it.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tidegate_engine::Outcome;

use crate::support::{
    BACKENDS, Setup,
    backend::{self, Scripted},
    block_on, chat, cut_short, eventually, pause,
};

#[test]
fn p1_a_hang_up_is_the_same_for_every_backend() {
    let mut outcomes = HashSet::new();
    for backend in BACKENDS {
        for http in ["", "-h2"] {
            let mut setup = Setup::start();
            let mut caller = setup.call(&format!("{backend}{http}/sim"), "tokens=9,stall=2,tag=p1", true);
            caller.read_until("data: ");
            caller.fin();
            setup.stopped("p1");
            caller.await_close();
            let said = String::from_utf8_lossy(caller.unread()).into_owned();
            assert!(!said.contains("error"), "the cancel became no error: {said}");
            let record = setup.only_record();
            assert_eq!(record.provenance, cut_short(backend), "{backend}");
            outcomes.insert((record.outcome, record.status, record.error.is_some()));
        }
    }
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
}

#[test]
fn p2_no_second_attempt_starts_after_a_hang_up() {
    // The first connection is kept alive and dies under the second call, which is then tried again on a fresh one: the
    // caller leaves before that.
    let requests = Arc::<AtomicUsize>::default();
    let seen = requests.clone();
    let backend = Scripted::start(move |_, stream| {
        while backend::read_request(stream) {
            if seen.fetch_add(1, Ordering::Relaxed) > 0 {
                backend::await_close(stream);
                return;
            }
            backend::write(stream, backend::whole_answer("one"));
        }
    });
    let mut setup = Setup::builder().backend(backend.address).start();
    let mut caller = setup.connect();
    caller.send(&chat("openai/gpt", "", false));
    assert_eq!(caller.answer().status, 200);
    caller.send(&chat("openai/gpt", "", false));
    pause(Duration::from_millis(50));
    caller.fin();
    pause(Duration::from_millis(300));
    assert_eq!((backend.connections(), requests.load(Ordering::Relaxed)), (1, 2), "no attempt after the end");
    let records = setup.finish();
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].outcome, Outcome::ClientGone);
}

#[test]
fn p3_a_hang_up_while_a_credential_is_awaited_ends_the_call_at_once() {
    // A directory that takes connections and says nothing, so that the first token never comes.
    let directory = Scripted::start(|_, stream| backend::await_close(stream));
    let backend = Scripted::start(|_, stream| backend::await_close(stream));
    let azure = format!(
        "entra: {{kind: azure, base_url: \"http://{}\", tenant_id: t, client_id: c, client_secret: s, \
         authority_host: \"https://{}\"}}",
        backend.address, directory.address
    );
    let mut setup = Setup::builder().host(&azure).start();
    let mut callers = [setup.call("entra/gpt", "", true), setup.call("entra/gpt", "", false)];
    eventually("the directory is asked", || directory.connections() == 1);
    pause(Duration::from_millis(50));
    let left = Instant::now();
    callers.iter_mut().for_each(|caller| caller.fin());
    callers.iter_mut().for_each(|caller| caller.await_close());
    assert!(left.elapsed() < Duration::from_millis(500), "{:?}", left.elapsed());
    setup.records.wait(2);
    for record in setup.finish() {
        assert_eq!(record.outcome, Outcome::ClientGone);
        assert!(record.error.is_none(), "{:?}", record.error);
    }
    assert_eq!(
        (directory.connections(), backend.connections()),
        (1, 0),
        "one fetch for both, and no backend"
    );
}

#[test]
fn p4_an_answer_that_comes_with_the_hang_up_does_not_undo_it() {
    // The backend answers in the very moment in which it learns that a caller has left.
    let backend = Scripted::start(|_, stream| {
        if backend::read_request(stream) {
            pause(Duration::from_millis(20));
            backend::write(stream, backend::whole_answer("late"));
            backend::await_close(stream);
        }
    });
    let mut setup = Setup::builder().backend(backend.address).start();
    for moment in [0, 5, 15, 18, 19, 20, 21] {
        let caller = setup.call("openai/gpt", "", false);
        pause(Duration::from_millis(moment));
        caller.rst();
    }
    setup.records.wait_at_most(7, Duration::from_secs(1));
    let before = backend.connections();
    setup.nothing_left();
    pause(Duration::from_millis(50));
    assert_eq!(backend.connections(), before, "nothing starts afterwards");
    let records = setup.finish();
    assert!(records.len() >= 6, "{records:?}");
    let gone = records.iter().filter(|record| record.outcome == Outcome::ClientGone).count();
    assert!(gone >= 4, "those that left long before the answer: {records:?}");
}

#[test]
fn p6_after_a_thousand_hang_ups_the_next_call_is_answered_at_once() {
    for model in ["openai/sim", "azure-h2/sim"] {
        let mut setup = Setup::start();
        for index in 0..500 {
            let mut caller = setup.call(model, "tokens=9,stall=2", true);
            if index % 2 == 0 {
                caller.read_until("data: ");
            }
            if index % 3 == 0 { caller.rst() } else { caller.fin() }
        }
        let began = Instant::now();
        let answer = setup.call(model, "tokens=3", true).answer();
        assert!(answer.whole && began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert!(block_on(setup.sim.quiet(Duration::from_secs(2))), "{} run on", setup.sim.running());
        setup.nothing_left();
        let idle = setup.sim.connections();
        assert!(idle <= 3, "{idle} backend connections are left of 501 calls");
        let records = setup.finish();
        let complete = records.iter().filter(|record| record.outcome == Outcome::Complete).count();
        assert_eq!(complete, 1);
        eventually("a stopped gateway keeps no connection", || setup.sim.connections() == 0);
    }
}

#[test]
fn p12_a_hang_up_goes_through_several_gateways() {
    let mut far = Setup::start();
    let mut near = Setup::builder().backend(far.address()).start();
    for stream in [true, false] {
        let tag = format!("p12-{stream}");
        let scenario = format!("headers_delay=60s,tag={tag}");
        let caller = near.call("openai/bedrock/sim", &scenario, stream);
        far.reached(&tag, |seen| seen.body_ns.is_some());
        caller.fin();
        far.stopped(&tag);
    }
    for setup in [&mut near, &mut far] {
        let records = setup.finish();
        assert_eq!(records.len(), 2);
        assert!(records.iter().all(|record| record.outcome == Outcome::ClientGone));
    }
}

#[test]
fn p14_a_second_end_inside_the_first_ones_clean_up_changes_nothing() {
    let mut setup = Setup::start();
    for _ in 0..50 {
        let mut caller = setup.call("openai/sim", "tokens=9,stall=2", true);
        caller.read_until("data: ");
        caller.fin();
        caller.rst();
    }
    setup.records.wait(50);
    setup.nothing_left();
    let records = setup.finish();
    let ids: HashSet<_> = records.iter().map(|record| &record.id).collect();
    assert_eq!((records.len(), ids.len()), (50, 50));
    assert!(records.iter().all(|record| record.outcome == Outcome::ClientGone));
}
