//! HTTP/2 callers: their own ways to leave (D11), many streams, and floods.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::SendRequest};
use tidegate_engine::Outcome;
use tidegate_sim::ClosedHow;
use tokio::net::TcpStream;

use crate::support::{Setup, block_on, caller::Caller, chat_body, eventually, pause, sockets::open_sockets};

/// A connection with its driver, which runs while the test waits for something on it.
struct Connection {
    requests: SendRequest<Bytes>,
    driver: h2::client::Connection<TcpStream>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        // By default h2 takes frames that cross a reset, and many small ones that nobody reads, for the server's mistakes.
        let mut builder = h2::client::Builder::new();
        builder.max_concurrent_reset_streams(10_000).data_frame_budget(usize::MAX);
        let (requests, driver) = builder.handshake(stream).await.unwrap();
        Self { requests, driver }
    }

    /// Runs `work` and, meanwhile, the connection.
    async fn drive<T>(&mut self, work: impl AsyncFnOnce(&mut SendRequest<Bytes>) -> T) -> T {
        tokio::select! {
            biased;
            done = work(&mut self.requests) => done,
            ended = &mut self.driver => panic!("the connection ended: {ended:?}"),
        }
    }

    /// Lets the connection write what is queued.
    async fn flush(&mut self) {
        let _ = tokio::time::timeout(Duration::from_millis(20), &mut self.driver).await;
    }
}

/// Sends a chat request and waits for the head of its answer.
async fn chat(requests: &mut SendRequest<Bytes>, body: String) -> (u16, SendStream<Bytes>, RecvStream) {
    let (response, stream) = request(requests, body).await;
    let response = response.await.unwrap();
    (response.status().as_u16(), stream, response.into_body())
}

async fn request(
    requests: &mut SendRequest<Bytes>,
    body: String,
) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    std::future::poll_fn(|cx| requests.poll_ready(cx)).await.unwrap();
    let request = http::Request::post("http://gateway/v1/chat/completions").body(()).unwrap();
    let (response, mut stream) = requests.send_request(request, false).unwrap();
    stream.send_data(body.into(), true).unwrap();
    (response, stream)
}

async fn read_all(body: &mut RecvStream) -> String {
    let mut read = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        read.extend_from_slice(&data);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn d11_a_reset_stream_stops_its_backend_and_no_other() {
    let mut setup = Setup::start();
    block_on(async {
        let mut connection = Connection::open(setup.address()).await;
        let body = |tag: &str, rest: &str| chat_body("openai-h2/sim", &format!("tag={tag},{rest}"), true);
        let (mut left, mut stays) = connection
            .drive(async |requests| {
                let left = chat(requests, body("left", "tokens=9,stall=2")).await;
                (left, chat(requests, body("stays", "tokens=30,interval=10ms")).await)
            })
            .await;
        left.1.send_reset(Reason::CANCEL);
        connection.flush().await;
        let seen = setup.sim.wait_for("left", Duration::from_millis(500), |seen| seen.closed_ns.is_some());
        let seen = seen.await.expect("the reset stream's backend is stopped");
        assert_eq!(seen.closed_how, Some(ClosedHow::H2Reset(8)), "CANCEL");
        let text = connection.drive(async |_| read_all(&mut stays.2).await).await;
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    });
    let records = setup.records.wait(2);
    assert_eq!(records[0].outcome, Outcome::ClientGone);
    assert_eq!(records[1].outcome, Outcome::Complete);
    assert_eq!(setup.finish().len(), 2);
}

#[test]
fn d11_a_lost_connection_stops_the_backends_of_all_its_streams() {
    for goaway in [true, false] {
        let mut setup = Setup::start();
        block_on(async {
            let mut connection = Connection::open(setup.address()).await;
            let calls = connection
                .drive(async |requests| {
                    let mut calls = Vec::new();
                    for model in ["openai/sim", "azure-h2/sim", "bedrock/sim", "openai/sim"] {
                        calls.push(chat(requests, chat_body(model, "tokens=9,stall=2", true)).await);
                    }
                    calls
                })
                .await;
            if goaway {
                // Both ends of every stream are dropped: RST_STREAMs, then GOAWAY, then the end.
                drop(calls);
                drop(connection.requests);
                let _ = tokio::time::timeout(Duration::from_secs(1), connection.driver).await;
            } else {
                drop(connection);
            }
        });
        assert!(block_on(setup.sim.quiet(Duration::from_millis(500))), "{} run on", setup.sim.running());
        setup.nothing_left();
        let records = setup.finish();
        assert_eq!(records.len(), 4);
        assert!(records.iter().all(|record| record.outcome == Outcome::ClientGone));
    }
}

#[test]
fn p14_a_stream_reset_and_its_connection_lost_settle_once() {
    let mut setup = Setup::start();
    block_on(async {
        let mut connection = Connection::open(setup.address()).await;
        let mut call = connection
            .drive(async |requests| chat(requests, chat_body("openai/sim", "tokens=9,stall=2", true)).await)
            .await;
        call.1.send_reset(Reason::CANCEL);
        let _ = tokio::time::timeout(Duration::from_micros(200), &mut connection.driver).await;
        drop(connection);
    });
    setup.nothing_left();
    assert_eq!(setup.only_record().outcome, Outcome::ClientGone);
}

#[test]
fn two_thousand_streams_reset_at_once_leave_no_backend_running() {
    let mut setup = Setup::start();
    block_on(async {
        let mut connections = Vec::new();
        for model in ["openai/sim", "openai-h2/sim"] {
            let mut connection = Connection::open(setup.address()).await;
            let streams = connection
                .drive(async |requests| {
                    let mut streams = Vec::new();
                    for _ in 0..1_000 {
                        streams.push(request(requests, chat_body(model, "tokens=9,stall=2", true)).await);
                    }
                    for stream in &mut streams {
                        assert_eq!((&mut stream.0).await.unwrap().status(), 200);
                    }
                    streams
                })
                .await;
            connections.push((connection, streams));
        }
        assert_eq!(setup.sim.running(), 2_000);
        for (_, streams) in &mut connections {
            for (_, stream) in streams {
                stream.send_reset(Reason::CANCEL);
            }
        }
        for (connection, _) in &mut connections {
            connection.flush().await;
        }
        assert!(setup.sim.quiet(Duration::from_secs(5)).await, "{} run on", setup.sim.running());
        // The connections live on and carry the next call.
        for (connection, _) in &mut connections {
            let (status, _, mut body) = connection
                .drive(async |requests| chat(requests, chat_body("openai/sim", "tokens=2", true)).await)
                .await;
            assert_eq!(status, 200);
            let text = connection.drive(async |_| read_all(&mut body).await).await;
            assert!(text.contains("[DONE]"), "{text}");
        }
    });
    setup.nothing_left();
    let records = setup.finish();
    let of = |outcome| records.iter().filter(|record| record.outcome == outcome).count();
    assert_eq!((of(Outcome::ClientGone), of(Outcome::Complete), records.len()), (2_000, 2, 2_002));
}

#[test]
fn p6_hang_ups_on_a_shared_http2_backend_leave_the_other_streams_alone() {
    // Each leaves frames on their way behind; a connection that counts those as mistakes would be closed some day, with
    // everybody's streams on it.
    let mut setup = Setup::start();
    let mut stays = setup.call("openai-h2/sim", "tokens=100000,interval=5ms,tag=stays", true);
    stays.read_until("data: ");
    for _ in 0..ROUNDS {
        block_on(async {
            let mut connection = Connection::open(setup.address()).await;
            let streams = connection
                .drive(async |requests| {
                    let mut streams = Vec::new();
                    for _ in 0..TOGETHER {
                        let body = chat_body("openai-h2/sim", "tokens=100000,interval=1ms", true);
                        streams.push(request(requests, body).await);
                    }
                    for stream in &mut streams {
                        assert_eq!((&mut stream.0).await.unwrap().status(), 200);
                    }
                    streams
                })
                .await;
            // The socket first, so that the gateway learns of all in one moment.
            drop(connection);
            drop(streams);
        });
        eventually("the others have stopped", || setup.sim.running() == 1);
    }
    let lost =
        setup.sim.observations().iter().filter(|seen| seen.closed_how == Some(ClosedHow::H2Lost)).count();
    assert_eq!((lost, setup.sim.connections()), (0, 1), "all of them shared one connection that lives on");
    stays.fin();
    setup.stopped("stays");
    let records = setup.finish();
    assert!(records.iter().all(|record| record.outcome == Outcome::ClientGone));
    assert_eq!(records.len(), ROUNDS * TOGETHER + 1);
}

#[test]
fn a_flood_of_resets_ends_the_connection_and_leaves_nothing_running() {
    let mut setup = Setup::start();
    let mut sent = 0;
    block_on(async {
        let mut connection = Connection::open(setup.address()).await;
        let flood = async {
            loop {
                let ready = std::future::poll_fn(|cx| connection.requests.poll_ready(cx)).await;
                let request = http::Request::post("http://gateway/v1/chat/completions").body(()).unwrap();
                let Ok((_, mut stream)) =
                    ready.and_then(|()| connection.requests.send_request(request, false))
                else {
                    return;
                };
                stream.send_reset(Reason::CANCEL);
                sent += 1;
                if sent % 10 == 0 {
                    tokio::task::yield_now().await;
                }
                if sent >= FLOOD {
                    return std::future::pending().await;
                }
            }
        };
        tokio::select! {
            () = flood => {}
            ended = &mut connection.driver => assert!(ended.is_err(), "the flood is refused: {ended:?}"),
            () = tokio::time::sleep(Duration::from_secs(5)) => panic!("{sent} resets were taken"),
        }
    });
    setup.nothing_left();
    // Others are served as before.
    assert_eq!(setup.call("openai/sim", "tokens=1", false).answer().status, 200);
    assert_eq!(setup.finish().iter().filter(|record| record.outcome == Outcome::Complete).count(), 1);
}

#[test]
fn prior_knowledge_http2_is_told_from_http1_even_when_it_comes_in_pieces() {
    let setup = Setup::start();
    let mut caller = setup.connect();
    for piece in ["P", "R", "I * HTTP/2.0\r\n\r\nSM", "\r\n\r\n"] {
        caller.send(piece.as_bytes());
        pause(Duration::from_millis(5));
    }
    // An empty SETTINGS frame each way.
    caller.send(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    while caller.unread().len() < 9 {
        caller.read_until("\0");
    }
    assert_eq!(caller.unread()[3], 4, "SETTINGS");
    let mut other = setup.connect();
    other.send(b"P");
    pause(Duration::from_millis(5));
    other.send(b"OST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 2\r\n\r\n{}");
    assert_eq!(other.answer().status, 400);
}

#[test]
fn a_caller_that_leaves_before_it_said_which_http_it_speaks_is_let_go() {
    let setup = Setup::start();
    for said in ["", "P"] {
        let mut caller = Caller::connect(setup.address());
        caller.send(said.as_bytes());
        pause(Duration::from_millis(10));
        drop(caller);
        eventually("the connection is closed", || open_sockets(setup.address().port()) == 0);
    }
}

/// Far more than any bound on resets.
const FLOOD: usize = 50_000;
/// Hang-ups on a shared backend connection: more than twice what h2 would put up with.
const ROUNDS: usize = 12;
/// What fits on one connection along with another stream.
const TOGETHER: usize = 200;
