//! Which connections are used again: those that were read to their end, and no others.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]
#![expect(clippy::disallowed_methods, reason = "a runtime that is kept from looking is what is tested")]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use support::{BACKENDS, SOON, World, request, whole_text};
use tidegate::{ChatRequest, Client, Event, Host, HttpVersion};

#[tokio::test]
async fn a_reply_read_to_its_end_gives_its_connection_back() {
    for backend in BACKENDS {
        let world = World::new(HttpVersion::Http1);
        for _ in 0..3 {
            world.client.chat(request(backend, "tokens=3")).await.unwrap();
            assert_eq!(world.client.idle_connections(), 1, "{backend}");
            let stream = world.client.stream(request(backend, "tokens=3")).await.unwrap();
            assert_eq!(world.client.idle_connections(), 0, "{backend}: in use");
            stream.into_response().await.unwrap();
            assert_eq!(world.client.idle_connections(), 1, "{backend}");
        }
        let accepted: Vec<u64> = world.sim.observations().iter().map(|seen| seen.accepted_ns).collect();
        assert_eq!(accepted.len(), 6, "{backend}");
        assert!(accepted.iter().all(|at| *at == accepted[0]), "{backend}: one connection");
    }
}

#[tokio::test]
async fn an_error_that_was_read_whole_gives_its_connection_back() {
    for backend in BACKENDS {
        let world = World::new(HttpVersion::Http1);
        world.client.chat(request(backend, "error=429")).await.unwrap_err();
        assert_eq!(world.client.idle_connections(), 1, "{backend}");
    }
}

#[tokio::test]
async fn a_connection_with_unread_bytes_is_never_used_again() {
    for backend in BACKENDS {
        let world = World::new(HttpVersion::Http1);
        for left_after in 0..8 {
            // All of it is in the socket by the time the caller leaves.
            let mut stream =
                world.client.stream(request(backend, "tokens=30 text=64 tag=left")).await.unwrap();
            for _ in 0..left_after {
                stream.next().await.unwrap().unwrap();
            }
            world.sim.wait_for("left", SOON, |seen| seen.completed_ns.is_some()).await.unwrap();
            drop(stream);
            assert_eq!(world.client.idle_connections(), 0, "{backend} after {left_after}");
            let reply = world.client.chat(request(backend, "tokens=9 tag=next")).await.unwrap();
            assert_eq!(reply.text(), whole_text("tokens=9"), "{backend} after {left_after}");
            let left = world.sim.observations_tagged("left").pop().unwrap();
            let next = world.sim.observations_tagged("next").pop().unwrap();
            assert_ne!(left.accepted_ns, next.accepted_ns, "{backend} after {left_after}: a new connection");
            // The next round must not find this one idle.
            world.sim.clear();
            drop_idle(&world).await;
        }
    }
}

/// Uses up the idle connection, so that the next call opens one.
async fn drop_idle(world: &World) {
    if world.client.idle_connections() > 0 {
        let mut stream = world.client.stream(request("openai", "stall=1 tag=drop")).await.unwrap();
        stream.next().await.unwrap().unwrap();
        drop(stream);
        world.sim.observation("drop", SOON).await.unwrap();
    }
    assert_eq!(world.client.idle_connections(), 0);
}

#[tokio::test]
async fn an_idle_connection_that_its_peer_closed_is_not_used() {
    let first = World::new(HttpVersion::Http1);
    first.client.chat(request("openai", "tokens=1")).await.unwrap();
    let address = first.sim.address();
    drop(first.sim);
    // The same address, another process as far as the client can tell.
    let again = tidegate_sim::Simulator::spawn_thread(tidegate_sim::Config {
        listeners: vec![tidegate_sim::Listener { address, ..tidegate_sim::Listener::default() }],
        ..tidegate_sim::Config::default()
    })
    .unwrap();
    let reply = first.client.chat(request("openai", "tokens=4")).await.unwrap();
    assert_eq!(reply.text(), whole_text("tokens=4"));
    assert_eq!(again.observations().len(), 1);
}

/// Answers one request on each of two connections; on the first it says more than it was asked for.
fn says_too_much(listener: TcpListener, asked: &AtomicUsize) {
    let body = r#"{"id":"1","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for extra in [reply.as_str(), ""] {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.windows(3).any(|end| end == b"}]}") {
            let mut piece = [0; 4096];
            let read = connection.read(&mut piece).unwrap();
            assert_ne!(read, 0);
            request.extend_from_slice(&piece[..read]);
        }
        asked.fetch_add(1, Ordering::Relaxed);
        connection.write_all(reply.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        connection.write_all(extra.as_bytes()).unwrap();
        // The next one is only accepted once this one has been given up.
        if !extra.is_empty() {
            while connection.read(&mut [0]).is_ok_and(|read| read > 0) {}
        }
    }
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_are_no_reply_to_the_next_call() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    std::thread::spawn(move || says_too_much(listener, &counter));
    let client = Client::builder().host("h", Host::openai_compatible(url)).build().unwrap();
    client.chat(ChatRequest::new("h/m").user("hi")).await.unwrap();
    assert_eq!(client.idle_connections(), 1);
    // Blocks this runtime: it can't notice what arrives in the meantime.
    std::thread::sleep(Duration::from_millis(200));
    client.chat(ChatRequest::new("h/m").user("hi")).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2, "each call was asked on a connection of its own");
}

#[test]
fn a_client_outlives_the_runtime_that_it_was_used_in() {
    for http in support::VERSIONS {
        let world = World::new(http);
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let reply = runtime.block_on(world.client.chat(request("azure", "tokens=4")));
            assert_eq!(reply.unwrap().text(), whole_text("tokens=4"), "{http:?}");
        }
    }
}

#[tokio::test]
async fn many_streams_at_once_leave_no_call_behind() {
    for http in support::VERSIONS {
        let world = World::new(http);
        let calls = (0..60).map(|index| {
            let client = world.client.clone();
            async move {
                let backend = BACKENDS[index % BACKENDS.len()];
                let mut stream = client.stream(request(backend, "tokens=40 interval=1ms")).await.unwrap();
                // A third read to the end, a third leave at once, a third on the way.
                match index % 4 {
                    0 => drop(stream),
                    1 => {
                        for _ in 0..5 {
                            let _event: Event = stream.next().await.unwrap().unwrap();
                        }
                    }
                    _ => drop(stream.into_response().await.unwrap()),
                }
            }
        });
        futures_util::future::join_all(calls).await;
        assert!(world.sim.quiet(SOON).await, "{http:?}: a backend goes on");
        assert_eq!(world.records().len(), 60, "{http:?}");
    }
}
