//! Deadlines: which one passed, who is told, and that the backend is stopped.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::{BACKENDS, SOON, VERSIONS, World, request};
use tidegate::{Clock, Clocks, Error, Outcome, Retry};
use tidegate_sim::ListenerKind;

const SHORT: Duration = Duration::from_millis(150);

async fn failure(world: &World, backend: &str, scenario: &str) -> Error {
    match world.client.stream(request(backend, scenario)).await {
        Ok(stream) => {
            let ended = tokio::time::timeout(SOON, stream.into_response()).await;
            ended.expect("no deadline passed").unwrap_err()
        }
        Err(error) => error,
    }
}

async fn passes(clock: Clock, clocks: Clocks, kind: ListenerKind, scenario: &str) {
    for http in VERSIONS {
        for backend in BACKENDS {
            let what = format!("{clock:?} {backend} {http:?}");
            let world = World::with(kind, http, clocks);
            let start = Instant::now();
            let error = failure(&world, backend, scenario).await;
            let took = start.elapsed();
            assert!(error.is_timeout(), "{what}: {error:?}");
            assert_eq!(error.code(), Some(&*format!("timeout_{}", clock.name())), "{what}");
            assert_eq!((error.status(), error.retry()), (504, Retry::BeforeFirstByte), "{what}");
            assert!(took >= SHORT && took < SHORT + SOON / 2, "{what}: after {took:?}");
            let record = world.record();
            assert_eq!(record.outcome, Outcome::Deadline(clock), "{what}");
            assert_eq!(record.status, 504, "{what}");
            assert_eq!(record.id, error.call_id().unwrap(), "{what}");
            assert!(world.sim.quiet(SOON).await, "{what}: the backend goes on");
            assert_eq!(world.client.idle_connections(), 0, "{what}");
        }
    }
}

#[tokio::test]
async fn o6_connecting() {
    let clocks = Clocks { connect: SHORT, ..Clocks::default() };
    passes(Clock::Connect, clocks, ListenerKind::BlackHole, "tokens=1").await;
}

#[tokio::test]
async fn o6_response_headers() {
    let clocks = Clocks { response_headers: SHORT, ..Clocks::default() };
    passes(Clock::ResponseHeaders, clocks, ListenerKind::Plain, "headers_delay=60s").await;
}

#[tokio::test]
async fn o6_first_token() {
    let clocks = Clocks { first_token: SHORT, ..Clocks::default() };
    passes(Clock::FirstToken, clocks, ListenerKind::Plain, "first_token_delay=60s").await;
}

#[tokio::test]
async fn o6_idle() {
    let clocks = Clocks { idle: SHORT, ..Clocks::default() };
    passes(Clock::Idle, clocks, ListenerKind::Plain, "tokens=20 stall=3").await;
}

#[tokio::test]
async fn o6_total() {
    let clocks = Clocks { total: SHORT, ..Clocks::default() };
    passes(Clock::Total, clocks, ListenerKind::Plain, "tokens=10000 interval=10ms").await;
}

#[tokio::test]
async fn the_first_token_is_timed_and_not_the_announcement_before_it() {
    for http in VERSIONS {
        for backend in BACKENDS {
            let world = World::new(http);
            let stream = world.client.stream(request(backend, "first_token_delay=150ms")).await.unwrap();
            stream.into_response().await.unwrap();
            let waited = world.record().time_to_first_token.unwrap();
            assert!(waited >= SHORT && waited < SOON / 2, "{backend} {http:?}: {waited:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_goes_on_meets_no_idle_deadline() {
    let clocks = Clocks { idle: SHORT, first_token: SHORT, response_headers: SHORT, ..Clocks::default() };
    for http in VERSIONS {
        let world = World::with(ListenerKind::Plain, http, clocks);
        let ask = request("openai", "tokens=20 interval=20ms");
        let reply = world.client.stream(ask).await.unwrap().into_response().await.unwrap();
        assert_eq!(reply.text(), support::whole_text("tokens=20"));
        assert_eq!(world.record().outcome, Outcome::Complete);
    }
}

#[tokio::test]
async fn a_host_has_deadlines_of_its_own() {
    let world = World::new(tidegate::HttpVersion::Http1);
    let url = format!("http://{}/v1", world.sim.address());
    let clocks = Clocks { response_headers: SHORT, ..Clocks::default() };
    let client = tidegate::Client::builder()
        .host("hasty", tidegate::Host::openai("k").base_url(url).clocks(clocks))
        .build()
        .unwrap();
    let error = client.chat(request("hasty", "headers_delay=60s")).await.unwrap_err();
    assert_eq!(error.code(), Some("timeout_response_headers"));
}
