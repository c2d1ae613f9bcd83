//! The hang-up contract through the SDK: what is dropped, in whatever phase, has stopped its backend.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by panicking"
)]
#![expect(clippy::disallowed_methods, reason = "that an aborted task stops its backend is what is tested")]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use support::{AT_ONCE, SOON, World, cells, request};
use tidegate::{ChatRequest, Client, Clocks, Error, Event, Host, HttpVersion, Outcome, Provenance};
use tidegate_sim::{ClosedHow, Observation, Phase, SimHandle, monotonic_ns};

/// Runs `call` until the simulator says that it is where it is to be dropped, and drops it. Gives when that was.
async fn dropped<T>(
    sim: &SimHandle,
    call: impl Future<Output = T>,
    there: impl Fn(&Observation) -> bool,
) -> u64 {
    let mut call = Box::pin(call);
    tokio::select! {
        _ = &mut call => panic!("the call ended by itself"),
        seen = sim.wait_for_any(SOON, there) => {
            assert!(seen.is_some(), "never came there: {:?}", sim.observations());
        }
    }
    // The backend has written; the call is to have read it.
    tokio::select! {
        _ = &mut call => panic!("the call ended by itself"),
        () = tokio::time::sleep(SETTLED) => {}
    }
    let at = monotonic_ns();
    drop(call);
    at
}

async fn stream_on(client: &Client, request: ChatRequest) -> Result<(), Error> {
    let mut stream = client.stream(request).await?;
    while let Some(event) = stream.next().await {
        event?;
    }
    Ok(())
}

/// Checks what both sides wrote down; gives how long after the drop the backend saw the close.
async fn check(world: &World, http: HttpVersion, what: &str, at: u64) -> Duration {
    assert!(world.sim.quiet(SOON).await, "{what}: never stopped");
    let observations = world.sim.observations();
    let [seen] = &observations[..] else { panic!("{what}: one call was made: {observations:?}") };
    assert!(seen.cut_short(), "{what}: {seen:?}");
    let how = match (http, seen.phase_at_close) {
        // A connection without a call on it goes with FIN.
        (_, Phase::Connecting) => ClosedHow::Fin,
        (HttpVersion::Http2, _) => ClosedHow::H2Reset(CANCEL),
        _ => ClosedHow::Rst,
    };
    assert_eq!(seen.closed_how, Some(how), "{what}");
    assert_eq!(seen.bytes_after_close, 0, "{what}");
    let after = Duration::from_nanos(seen.closed_ns.unwrap().saturating_sub(at));
    assert!(after < AT_ONCE, "{what}: closed after {after:?}");

    let record = world.record();
    assert_eq!(record.outcome, Outcome::ClientGone, "{what}");
    assert_eq!(record.error, None, "{what}: a hang-up is nobody's failure");
    let closed = record.hang_up_to_closed.unwrap();
    assert!(closed < AT_ONCE && closed > Duration::ZERO, "{what}: recorded {closed:?}");
    assert_eq!(world.client.idle_connections(), 0, "{what}: nothing half read is kept");
    match seen.phase_at_close {
        Phase::Connecting => assert_eq!(record.provenance, Provenance::None, "{what}"),
        _ => {
            let known = [Provenance::Estimated, support::cut_short(record.host)];
            assert!(known.contains(&record.provenance), "{what}: an abort is not free");
        }
    }
    let answered = seen.headers_ns.is_some();
    assert_eq!(record.status, if answered { 200 } else { 499 }, "{what}");
    after
}

async fn drop_in_phase(name: &str, scenario: &str, there: fn(&Observation) -> bool) {
    let mut slowest = Duration::ZERO;
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        let call = stream_on(&world.client, request(backend, scenario));
        let at = dropped(&world.sim, call, there).await;
        slowest = slowest.max(check(&world, http, &format!("{name} {tag}"), at).await);
    }
    println!("dropped {name}: backend closed after at most {slowest:?} (6 cells)");
}

#[tokio::test]
async fn dropped_while_connecting() {
    let mut slowest = Duration::ZERO;
    for (http, backend, tag) in cells() {
        let world = World::silent(http, Clocks::default());
        let call = stream_on(&world.client, request(backend, "tokens=1"));
        let at = dropped(&world.sim, call, |_| true).await;
        slowest = slowest.max(check(&world, http, &format!("connecting {tag}"), at).await);
    }
    println!("dropped while connecting: backend closed after at most {slowest:?} (6 cells)");
}

#[tokio::test]
async fn d1_dropped_while_awaiting_headers() {
    drop_in_phase("awaiting headers", "headers_delay=60s", |seen| {
        seen.phase_at_close == Phase::BeforeHeaders
    })
    .await;
}

#[tokio::test]
async fn d1_dropped_before_the_first_token() {
    drop_in_phase("before the first token", "first_token_delay=60s", |seen| {
        seen.phase_at_close == Phase::BeforeFirstToken
    })
    .await;
}

#[tokio::test]
async fn dropped_between_frames() {
    drop_in_phase("between frames", "tokens=10000 interval=20ms", |seen| seen.tokens_written >= 3).await;
}

#[tokio::test]
async fn dropped_inside_a_frame() {
    drop_in_phase("inside a frame", "tokens=50 split_stall=6", |seen| {
        seen.phase_at_close == Phase::InsideFrame && seen.frames_written >= 6
    })
    .await;
}

#[tokio::test]
async fn dropped_while_the_backend_stalls() {
    drop_in_phase("stalled", "tokens=50 stall=4", |seen| seen.phase_at_close == Phase::Stalled).await;
}

#[tokio::test]
async fn d2_dropped_while_a_whole_reply_is_awaited() {
    let mut slowest = Duration::ZERO;
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        let call = world.client.chat(request(backend, "tokens=10 first_token_delay=60s"));
        let at = dropped(&world.sim, call, |seen| seen.body_ns.is_some()).await;
        slowest = slowest.max(check(&world, http, &format!("whole {tag}"), at).await);
    }
    println!("dropped while a whole reply is awaited: backend closed after at most {slowest:?} (6 cells)");
}

#[tokio::test]
async fn dropped_while_nobody_reads_the_stream() {
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        let mut stream = world.client.stream(request(backend, "tokens=100000 text=4096")).await.unwrap();
        stream.next().await.unwrap().unwrap();
        let blocked = world.sim.wait_for_any(SOON, |seen| seen.phase_at_close == Phase::Blocked).await;
        assert!(blocked.is_some(), "{tag}: buffers never filled");
        let at = monotonic_ns();
        drop(stream);
        let after = check(&world, http, &format!("not reading {tag}"), at).await;
        println!("dropped with full buffers, {tag}: backend closed after {after:?}");
    }
}

#[tokio::test]
async fn an_aborted_task_stops_its_backend() {
    let world = World::new(HttpVersion::Http1);
    let client = world.client.clone();
    let task = tokio::spawn(async move { stream_on(&client, request("openai", "stall=2")).await });
    world.sim.wait_for_any(SOON, |seen| seen.phase_at_close == Phase::Stalled).await.unwrap();
    tokio::time::sleep(SETTLED).await;
    let at = monotonic_ns();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    check(&world, HttpVersion::Http1, "aborted task", at).await;
}

#[tokio::test]
async fn a_timeout_around_a_call_stops_its_backend() {
    let world = World::new(HttpVersion::Http1);
    let call = world.client.chat(request("bedrock", "headers_delay=60s"));
    tokio::time::timeout(Duration::from_millis(200), call).await.unwrap_err();
    let at = monotonic_ns();
    check(&world, HttpVersion::Http1, "timeout", at).await;
}

#[tokio::test]
async fn a_call_that_was_never_polled_is_no_call() {
    let world = World::new(HttpVersion::Http1);
    drop(world.client.chat(request("openai", "tokens=1")));
    assert!(world.records().is_empty());
    assert!(world.sim.observations().is_empty());
}

#[tokio::test]
async fn calls_on_one_http2_connection_are_dropped_one_by_one() {
    let world = World::new(HttpVersion::Http2);
    let mut streams = Vec::new();
    for index in 0..3 {
        let scenario = format!("tokens=10000 interval=5ms tag=s{index}");
        let mut stream = world.client.stream(request("openai", &scenario)).await.unwrap();
        stream.next().await.unwrap().unwrap();
        streams.push(stream);
    }
    drop(streams.remove(1));
    let seen = world.sim.observation("s1", SOON).await.unwrap();
    assert_eq!(seen.closed_how, Some(ClosedHow::H2Reset(CANCEL)));
    assert_eq!(world.record().outcome, Outcome::ClientGone);
    for stream in &mut streams {
        for _ in 0..3 {
            assert!(matches!(stream.next().await, Some(Ok(Event::Text { .. }))));
        }
    }
    assert_eq!(world.sim.connections(), 1, "an HTTP/2 cancel does not cost the connection");
}

/// A backend of one call, by hand: reads the request, begins a stream, and gives the connection to the test.
fn one_call(listener: TcpListener) -> TcpStream {
    let (mut connection, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    while !request.windows(2).any(|end| end == b"}]") {
        let mut piece = [0; 4096];
        let read = connection.read(&mut piece).unwrap();
        assert_ne!(read, 0);
        request.extend_from_slice(&piece[..read]);
    }
    let event = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
    write!(
        connection,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n",
        event.len()
    )
    .unwrap();
    connection
}

#[tokio::test]
async fn the_socket_is_closed_before_the_drop_returns() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let backend = std::thread::spawn(move || one_call(listener));
    let client = Client::builder().host("h", Host::openai_compatible(url)).build().unwrap();
    let mut stream = client.stream(ChatRequest::new("h/m").user("hi")).await.unwrap();
    while !matches!(stream.next().await.unwrap().unwrap(), Event::Text { .. }) {}
    let mut backend = backend.join().unwrap();
    backend.set_nonblocking(true).unwrap();

    let mut byte = [0];
    assert_eq!(backend.read(&mut byte).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(stream);
    // Nothing has run in between: no task, no other thread of this runtime.
    match backend.read(&mut byte) {
        Ok(0) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => panic!("still open after the drop: {other:?}"),
    }
}

/// What a call may need to read what its backend has written.
const SETTLED: Duration = Duration::from_millis(20);
/// HTTP/2's error code CANCEL.
const CANCEL: u32 = 8;
