use super::Latencies;
use super::closed::ClosedLoop;
use super::connection::Connection;
use super::held::HeldStreams;
use crate::bench::mock;
use crate::bench::payload::{Address, CHUNKS, EVENTS, Model};
use crate::bench::process::Cores;
use crate::bench::stats::Stats;
use crate::bench::subject::{Bed, Subject};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A mock in this process; it ends with the set.
async fn mock() -> (JoinSet<()>, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = address(listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(mock::serve(listener));
    (server, address)
}

fn address(socket: SocketAddr) -> Address {
    Address { socket, model_prefix: "openai/", headers: String::new() }
}

fn closed(model: Model) -> ClosedLoop {
    ClosedLoop {
        model,
        connections: 4,
        warm_up: Duration::from_millis(20),
        duration: Duration::from_millis(200),
    }
}

#[tokio::test]
async fn a_closed_loop_counts_every_response_once() {
    let (_server, address) = mock().await;
    let mut edges = 0;
    let mut outcome = closed(Model::Unary).run(&address, || edges += 1).await;
    assert_eq!((outcome.errors, edges), (0, 2), "{:?}", outcome.first_error);
    assert!(outcome.responses > 10, "{outcome:?}");
    assert!(outcome.latency.quantile_us(0.5).unwrap() > 0.0);
    assert_eq!(outcome.events, 0);
    let stats = Stats::ask(address.socket).await.unwrap();
    assert!(stats.requests >= outcome.responses, "{stats:?}");
}

#[tokio::test]
async fn a_stream_arrives_whole_and_its_first_event_first() {
    let (_server, address) = mock().await;
    let mut outcome = closed(Model::Stream).run(&address, || {}).await;
    assert_eq!(outcome.errors, 0, "{:?}", outcome.first_error);
    assert!(outcome.events > CHUNKS as u64, "{outcome:?}");
    let first = outcome.first_event.quantile_us(0.5).unwrap();
    assert!(first <= outcome.latency.quantile_us(0.5).unwrap());
    let reader =
        Connection::open(address.socket).await.unwrap().exchange(&address.request(Model::Stream)).await;
    assert_eq!(reader.unwrap().events(), EVENTS);
}

#[tokio::test]
async fn a_first_token_comes_before_the_pause_behind_it() {
    let (_server, address) = mock().await;
    let mut outcome =
        ClosedLoop { connections: 1, ..closed(Model::FirstThenRest) }.run(&address, || {}).await;
    assert_eq!(outcome.errors, 0, "{:?}", outcome.first_error);
    let (first, whole) = (outcome.first_event.quantile_us(0.5), outcome.latency.quantile_us(0.5));
    assert!(first.unwrap() + 1_500.0 < whole.unwrap(), "{first:?} {whole:?}");
}

#[tokio::test]
async fn held_streams_are_held_by_the_backend_until_dropped() {
    let (_server, address) = mock().await;
    let mut held = HeldStreams::default();
    held.grow_to(&address, 20).await;
    held.grow_to(&address, 50).await;
    assert_eq!(held.len(), 50, "{:?}", held.first_error);
    assert_eq!(Stats::ask(address.socket).await.unwrap().held, 50);
    drop(held);
    assert!(Stats::held_reaches_zero(address.socket, Duration::from_secs(5)).await);
    assert_eq!(Stats::ask(address.socket).await.unwrap().held, 0);
}

#[tokio::test]
async fn an_open_loop_sends_at_its_rate_and_misses_none() {
    let (_server, address) = mock().await;
    let outcome = super::open::run(&address, 500, Duration::from_millis(400)).await.unwrap();
    assert_eq!((outcome.errors, outcome.left_out), (0, 0));
    assert_eq!(outcome.latency.nanoseconds.len(), 200);
}

#[tokio::test]
async fn an_open_loop_charges_a_stall_to_all_that_waited() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = address(listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        // Nothing is accepted for 300 ms: connections wait in the backlog.
        tokio::time::sleep(Duration::from_millis(300)).await;
        mock::serve(listener).await;
    });
    let mut outcome = super::open::run(&address, 100, Duration::from_millis(300)).await.unwrap();
    assert_eq!(outcome.latency.nanoseconds.len(), 30);
    let median_ms = outcome.latency.quantile_us(0.5).unwrap() / 1e3;
    assert!(
        (100.0..2_000.0).contains(&median_ms),
        "{median_ms} ms: half were due 150 ms before the first answer"
    );
}

#[tokio::test]
async fn a_refusing_server_is_counted_as_errors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = address(listener.local_addr().unwrap());
    drop(listener);
    let outcome = closed(Model::Unary).run(&address, || {}).await;
    assert!(outcome.errors > 0 && outcome.responses == 0);
}

#[test]
fn quantiles_are_samples_by_rank() {
    let mut latencies = Latencies::default();
    assert_eq!(latencies.quantile_us(0.5), None);
    for microseconds in (1..=100).rev() {
        latencies.record(Duration::from_micros(microseconds));
    }
    assert_eq!(latencies.quantile_us(0.5), Some(50.0));
    assert_eq!(latencies.quantile_us(0.99), Some(99.0));
    assert_eq!(latencies.quantile_us(1.0), Some(100.0));
}

#[tokio::test]
async fn nginx_relays_calls_and_streams_and_lets_the_backend_stop() {
    if !crate::step::on_path("nginx") {
        println!("nginx is absent: its configuration was not checked");
        return;
    }
    let (_server, direct) = mock().await;
    let folder = tempfile::tempdir().unwrap();
    let cores = Cores::choose().unwrap();
    let bed = Bed { folder: folder.path().to_owned(), mock: direct.socket, cores };
    let running = Subject::Nginx.start(&bed).await.unwrap();
    for model in [Model::Unary, Model::Stream] {
        let outcome = closed(model).run(&running.address, || {}).await;
        assert_eq!(outcome.errors, 0, "{:?}", outcome.first_error);
        assert!(outcome.responses > 10, "{outcome:?}");
    }
    let mut held = HeldStreams::default();
    held.grow_to(&running.address, 20).await;
    assert_eq!(held.len(), 20, "{:?}", held.first_error);
    assert_eq!(Stats::ask(direct.socket).await.unwrap().held, 20);
    assert!(running.process.as_ref().unwrap().usage().resident_kib > 1_000.0);
    drop(held);
    assert!(Stats::held_reaches_zero(direct.socket, Duration::from_secs(5)).await);
    let socket = running.address.socket;
    running.stop().await;
    assert!(Connection::open(socket).await.is_err(), "nginx still listens");
}
