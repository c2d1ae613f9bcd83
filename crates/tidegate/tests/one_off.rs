//! Calls of targets that were made for one call: they share the client's connections and keep its promise.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::{Duration, Instant},
};

use support::{BACKENDS, SOON, VERSIONS, World, request, whole_text};
use tidegate::{ChatRequest, Client, Clocks, ConnectOptions, Host, Outcome, Target};

/// What the world's client knows, as a target of its own.
async fn target(world: &World, backend: &str, change: impl FnOnce(Host) -> Host) -> Target {
    let host = change(world.client.host(backend).unwrap().clone());
    world.client.target(&host).await.unwrap()
}

/// As the world's requests, with the target's own name for the model.
fn of_target(scenario: &str) -> ChatRequest {
    ChatRequest { model: "simulated".to_owned(), ..request("any", scenario) }
}

#[tokio::test]
async fn a_target_is_called_over_the_clients_connections() {
    for http in VERSIONS {
        for backend in BACKENDS {
            let world = World::new(http);
            world.client.chat(request(backend, "tokens=3")).await.unwrap();
            let target = target(&world, backend, |host| host).await;
            let reply = world.client.chat_at(&target, of_target("tokens=4")).await.unwrap();
            assert_eq!(reply.text(), whole_text("tokens=4"), "{backend} {http:?}");
            let stream = world.client.stream_at(&target, of_target("tokens=5")).await.unwrap();
            assert_eq!(stream.into_response().await.unwrap().text(), whole_text("tokens=5"));
            let accepted: Vec<u64> = world.sim.observations().iter().map(|seen| seen.accepted_ns).collect();
            assert_eq!(accepted.len(), 3, "{backend} {http:?}");
            assert!(
                accepted.windows(2).all(|two| two.first() == two.last()),
                "{backend} {http:?}: one connection"
            );
            let records = world.records();
            assert!(records.iter().all(|record| record.outcome == Outcome::Complete), "{records:?}");
            assert_eq!(records.last().unwrap().model, "simulated", "as the caller named it");
        }
    }
}

#[tokio::test]
async fn deadlines_are_those_of_the_call() {
    let short = Duration::from_millis(150);
    let cases = [
        (Clocks { response_headers: short, ..Clocks::default() }, "headers_delay=60s", "response_headers"),
        (Clocks { first_token: short, ..Clocks::default() }, "first_token_delay=60s", "first_token"),
        (Clocks { idle: short, ..Clocks::default() }, "tokens=20 stall=3", "idle"),
        (Clocks { total: short, ..Clocks::default() }, "tokens=10000 interval=10ms", "total"),
    ];
    for backend in BACKENDS {
        let world = World::new(VERSIONS[0]);
        for (clocks, scenario, name) in cases {
            let target = target(&world, backend, |host| host.clocks(clocks)).await;
            let began = Instant::now();
            let error = match world.client.stream_at(&target, of_target(scenario)).await {
                Ok(stream) => stream.into_response().await.unwrap_err(),
                Err(error) => error,
            };
            assert_eq!(error.code(), Some(&*format!("timeout_{name}")), "{backend}");
            assert!(began.elapsed() < SOON, "{backend} {name}");
        }
    }
}

#[tokio::test]
async fn a_dropped_call_of_a_target_stops_its_backend() {
    for http in VERSIONS {
        for backend in BACKENDS {
            let world = World::new(http);
            let target = target(&world, backend, |host| host).await;
            let mut stream = world.client.stream_at(&target, of_target("tokens=50 stall=5")).await.unwrap();
            stream.next().await.unwrap().unwrap();
            drop(stream);
            assert!(world.sim.quiet(SOON).await, "{backend} {http:?}: the backend goes on");
            assert_eq!(world.record().outcome, Outcome::ClientGone, "{backend} {http:?}");
        }
    }
}

/// Answers one request and gives back what it was, headers and body.
fn one_answer(listener: TcpListener) -> String {
    let (mut connection, _) = listener.accept().unwrap();
    let mut said = String::new();
    // The body is the last thing that is sent, and an object.
    while !(said.contains("\r\n\r\n") && said.ends_with('}')) {
        let mut piece = [0; 4096];
        let read = connection.read(&mut piece).unwrap();
        assert_ne!(read, 0);
        said.push_str(std::str::from_utf8(piece.get(..read).unwrap()).unwrap());
    }
    let body = r#"{"id":"1","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    said
}

#[tokio::test]
async fn key_url_headers_and_body_are_those_of_the_call() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let backend = std::thread::spawn(move || one_answer(listener));
    let client = Client::builder()
        .connect(ConnectOptions { proxy_from_env: false, ..ConnectOptions::default() })
        .build()
        .unwrap();
    let environment = |name: &str| match name {
        "AZURE_API_KEY" => Some("of-the-environment".to_owned()),
        "AZURE_API_VERSION" => Some("2024-10-21".to_owned()),
        _ => None,
    };
    let host = Host::from_environment("azure", &environment).unwrap();
    let target =
        client.target(&host.base_url(url).token("of-the-call").header("X-Team", "harbour")).await.unwrap();
    let request = ChatRequest::new("mine").user("hi").extra("service_tier", "flex").extra("top_k", 3);
    assert_eq!(client.chat_at(&target, request).await.unwrap().text(), "hi");
    let said = backend.join().unwrap();
    assert!(
        said.starts_with("POST /openai/deployments/mine/chat/completions?api-version=2024-10-21 "),
        "{said}"
    );
    assert!(said.contains("authorization: Bearer of-the-call\r\n"), "{said}");
    assert!(said.contains("x-team: harbour\r\n"), "{said}");
    assert!(!said.contains("of-the-environment"), "{said}");
    assert!(said.contains(r#""service_tier":"flex""#) && said.contains(r#""top_k":3"#), "{said}");
}

#[tokio::test]
async fn what_a_target_lacks_is_said_before_anybody_is_called() {
    let client = Client::builder().build().unwrap();
    let host = Host::from_environment("azure", &|_| None).unwrap().api_key("k");
    let error = client.target(&host).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "base_url is missing, such as https://NAME.openai.azure.com (in the environment: AZURE_API_BASE)"
    );
    assert_eq!(error.call_id(), None);
}
