//! The same behaviour over HTTP/2 with prior knowledge, and how a stream's reset and a connection's loss are told apart.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use support::{CONVERSE_STREAM, OPENAI, SECONDS, STREAM, STREAMS, WHOLE, WHOLES, exchange, request};
use tidegate_sim::{ClosedHow, Config, Phase, SimHandle, Simulator, monotonic_ns};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// One HTTP/2 connection; dropping it closes the TCP connection.
struct Connection {
    send: SendRequest<Bytes>,
    _driver: JoinSet<()>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (send, connection) = h2::client::Builder::new()
            // Some tests leave much unread, in many streams or in frames of a few bytes: neither may end the connection.
            .initial_connection_window_size(64 << 20)
            .data_frame_budget(64 << 20)
            .initial_max_send_streams(2000)
            .handshake(stream)
            .await
            .unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            let _ended = connection.await;
        });
        Self { send, _driver: driver }
    }

    /// Sends a request whose HTTP/1.1 form is `text`; gives the response to come and the sending side.
    async fn send(&mut self, text: &str) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let path = lines.next().unwrap().split(' ').nth(1).unwrap();
        let mut request = Request::post(format!("http://localhost{path}"));
        for (name, value) in
            lines.filter_map(|line| line.split_once(": ")).filter(|(name, _)| *name != "host")
        {
            request = request.header(name, value);
        }
        let mut ready = self.send.clone().ready().await.unwrap();
        let (response, mut sending) = ready.send_request(request.body(()).unwrap(), false).unwrap();
        sending.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
        (response, sending)
    }

    async fn exchange(&mut self, text: &str) -> (Response<()>, Result<Vec<u8>, h2::Error>) {
        let (response, _sending) = self.send(text).await;
        let (parts, body) = response.await.unwrap().into_parts();
        (Response::from_parts(parts, ()), whole(body).await)
    }
}

async fn whole(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut read = Vec::new();
    while let Some(data) = tokio::time::timeout(SECONDS, body.data()).await.unwrap() {
        let data = data?;
        body.flow_control().release_capacity(data.len()).unwrap();
        read.extend_from_slice(&data);
    }
    Ok(read)
}

fn sim() -> SimHandle {
    Simulator::spawn_thread(Config::default()).unwrap()
}

#[tokio::test]
async fn answers_are_those_of_http1() {
    let sim = sim();
    let mut connection = Connection::open(sim.address()).await;
    for (path, body) in STREAMS.into_iter().chain(WHOLES) {
        for scenario in ["tokens=5,tools=1,reasoning=3", "error=429,retry_after=2", "tokens=3,trickle=5"] {
            let text = request(path, &format!("{scenario},tag=h2"), body);
            let (response, read) = connection.exchange(&text).await;
            let http1 = exchange(sim.address(), &text).await;
            assert_eq!(response.status().as_u16(), http1.status, "{path} {scenario}");
            // Ids and times differ from call to call, but not in length.
            assert_eq!(read.unwrap().len(), http1.body.len(), "{path} {scenario}");
            for (name, _) in http1.headers.iter().filter(|(name, _)| name != "transfer-encoding") {
                assert!(name == "content-length" || response.headers().contains_key(name), "{path} {name}");
            }
        }
    }
    assert!(sim.quiet(SECONDS).await);
    let versions: Vec<&str> = sim.observations().iter().map(|seen| seen.http_version).collect();
    assert_eq!((versions[0], versions[1]), ("2", "1.1"));
    assert!(sim.observations().iter().all(|seen| seen.phase_at_close == Phase::Complete));
}

#[tokio::test]
async fn a_reset_stream_is_noted_in_every_phase_and_its_neighbours_live_on() {
    let sim = sim();
    let mut connection = Connection::open(sim.address()).await;
    let (neighbour, _sending) =
        connection.send(&request(OPENAI, "tokens=3,stall=2,tag=neighbour", STREAM)).await;
    let mut neighbour = neighbour.await.unwrap().into_body();
    let phases = [
        ("headers_delay=60s", Phase::BeforeHeaders),
        ("first_token_delay=60s", Phase::BeforeFirstToken),
        ("interval=60s", Phase::BetweenFrames),
        ("split_stall=3", Phase::InsideFrame),
        ("stall=5", Phase::Stalled),
        ("never_read=1", Phase::ReadingRequest),
        ("tokens=100000,text=1000", Phase::Blocked),
    ];
    for (path, body) in STREAMS {
        for (scenario, phase) in phases {
            let tag = format!("{phase:?}-{}", &path[1..7]);
            let (response, mut sending) =
                connection.send(&request(path, &format!("{scenario},tag={tag}"), body)).await;
            let reached = sim.wait_for(&tag, SECONDS, |seen| seen.phase_at_close == phase).await;
            assert!(reached.is_some(), "{tag}: {:?}", sim.observations_tagged(&tag));
            tokio::time::sleep(Duration::from_millis(3)).await;
            let closed_at = monotonic_ns();
            sending.send_reset(Reason::CANCEL);
            let seen =
                sim.observation(&tag, SECONDS).await.unwrap_or_else(|| panic!("{tag} was never noted"));
            assert_eq!(seen.closed_how, Some(ClosedHow::H2Reset(Reason::CANCEL.into())), "{tag}");
            assert_eq!(seen.phase_at_close, phase, "{tag}");
            let late = seen.closed_ns.unwrap() - closed_at;
            assert!(late < 50_000_000, "{tag}: noticed {} us late", late / 1000);
            drop(response);
        }
    }
    assert!(neighbour.data().await.unwrap().is_ok());
    assert_eq!(sim.running(), 1);
}

#[tokio::test]
async fn a_stream_reset_while_frames_go_out_as_fast_as_they_can_is_noted_as_a_reset() {
    let sim = sim();
    let mut connection = Connection::open(sim.address()).await;
    for (path, body) in STREAMS {
        let (response, mut sending) = connection.send(&request(path, "tokens=10000000,tag=fast", body)).await;
        let mut body = response.await.unwrap().into_body();
        for _ in 0..200 {
            let data = body.data().await.unwrap().unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        sending.send_reset(Reason::CANCEL);
        let seen = sim.observation("fast", SECONDS).await.unwrap();
        assert_eq!(seen.closed_how, Some(ClosedHow::H2Reset(Reason::CANCEL.into())), "{path}");
        sim.clear();
    }
}

#[tokio::test]
async fn a_lost_connection_is_noted_on_all_its_streams() {
    let sim = sim();
    let mut connection = Connection::open(sim.address()).await;
    let mut held = Vec::new();
    for (index, (path, body)) in STREAMS.into_iter().chain(WHOLES).enumerate() {
        for scenario in ["headers_delay=60s", "stall=1"] {
            held.push(connection.send(&request(path, &format!("{scenario},tag=l{index}"), body)).await);
        }
    }
    let begun = held.len();
    while sim.running() < begun {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let closed_at = monotonic_ns();
    drop(connection._driver);
    assert!(sim.quiet(SECONDS).await);
    let seen = sim.observations();
    assert_eq!(seen.len(), begun);
    for seen in seen {
        assert_eq!((seen.closed_how, seen.completed_ns), (Some(ClosedHow::H2Lost), None));
        assert!(seen.closed_ns.unwrap() - closed_at < 50_000_000);
    }
    drop(held);
}

#[tokio::test]
async fn a_backend_resets_a_stream_or_ends_it_too_soon() {
    let sim = sim();
    let mut connection = Connection::open(sim.address()).await;
    for (path, body) in STREAMS {
        let (_, read) = connection.exchange(&request(path, "tokens=9,reset=3", body)).await;
        assert_eq!(read.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR), "{path}");
        for fault in ["truncate=3", "eof=3"] {
            let (_, read) =
                connection.exchange(&request(path, &format!("tokens=9,{fault},tag=soon"), body)).await;
            assert!(!read.unwrap().ends_with(b"[DONE]\n\n"), "{path} {fault}");
            let seen = sim.observation("soon", SECONDS).await.unwrap();
            assert_eq!((seen.tokens_written, seen.closed_ns), (3, None), "{path} {fault}");
        }
    }
    for (path, body) in WHOLES {
        let (response, _sending) = connection.send(&request(path, "reset=0", body)).await;
        assert_eq!(response.await.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR), "{path}");
    }
}

#[tokio::test]
async fn a_thousand_streams_share_a_connection() {
    let sim = sim();
    let mut connection = Connection::open(sim.address()).await;
    let text = request(CONVERSE_STREAM, "tokens=20,interval=1ms", support::BEDROCK);
    let mut streams = Vec::new();
    for _ in 0..1000 {
        streams.push(connection.send(&text).await);
    }
    let mut length = None;
    for (response, _sending) in streams {
        let read = whole(response.await.unwrap().into_body()).await.unwrap();
        assert_eq!(*length.get_or_insert(read.len()), read.len());
    }
    assert!(sim.quiet(SECONDS).await);
    assert_eq!((sim.observations().len(), sim.connections()), (1000, 1));
}

#[tokio::test]
async fn control_urls_answer_over_http2_too() {
    let sim = sim();
    let mut connection = Connection::open(sim.address()).await;
    connection.exchange(&request(OPENAI, "tag=x", WHOLE)).await.1.unwrap();
    let get = Request::get("http://localhost/_sim/calls?tag=x").body(()).unwrap();
    let (response, _) = connection.send.send_request(get, true).unwrap();
    let read = whole(response.await.unwrap().into_body()).await.unwrap();
    let calls: serde_json::Value = serde_json::from_slice(&read).unwrap();
    assert_eq!((&calls[0]["http_version"], &calls[0]["tag"]), (&"2".into(), &"x".into()));
}
