//! Callers that stay and take nothing: their calls end with the deadline `total` all the same.

use std::{io::Read as _, time::Duration};

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use tidegate_engine::{Clock, Outcome};
use tokio::net::TcpStream;

use crate::support::{Setup, block_on, caller::Caller, chat, chat_body, pause};

/// Far more than what fits between backend and caller, as fast as the backend can.
const ENDLESS: &str = "tokens=100000,text=4096";

#[test]
fn an_http1_caller_that_takes_nothing_is_ended_by_the_total_deadline() {
    for backend in ["openai", "bedrock", "openai-h2"] {
        let mut setup = Setup::builder().clocks("total: 300ms").start();
        let mut caller = Caller::with_small_buffer(setup.address());
        caller.send(&chat(&format!("{backend}/sim"), &format!("{ENDLESS},tag=full"), true));
        setup.reached("full", |seen| seen.bytes_written > 100_000);
        setup.stopped("full");
        let record = setup.only_record();
        assert_eq!(record.outcome, Outcome::Deadline(Clock::Total), "{backend}");
        assert_eq!(record.status, 200);
        assert!(record.error.is_some_and(|error| error.code() == Some("timeout_total")));
        assert_eq!(record.hang_up_to_closed, None, "nobody hung up");
        assert!(record.usage.completion_tokens > 0);
        // The reply ends, and does not look whole.
        assert!(!caller.answer().whole);
    }
}

#[test]
fn a_caller_that_takes_a_little_now_and_then_is_ended_by_the_total_deadline() {
    let mut setup = Setup::builder().clocks("total: 400ms").start();
    let mut caller = Caller::with_small_buffer(setup.address());
    caller.send(&chat("openai/sim", &format!("{ENDLESS},tag=sips"), true));
    // The backend always has something, so that nothing ever waits for it.
    for _ in 0..60 {
        let mut sip = [0; 4096];
        if !matches!(caller.stream.read(&mut sip), Ok(1..)) {
            break;
        }
        pause(Duration::from_millis(10));
    }
    setup.stopped("sips");
    // A reply that was told about its end waits to be taken, or for its caller to leave, as every other does.
    drop(caller);
    assert_eq!(setup.only_record().outcome, Outcome::Deadline(Clock::Total));
}

#[test]
fn a_kept_connection_has_no_deadline_from_an_earlier_call() {
    let mut setup = Setup::builder().clocks("total: 400ms").start();
    let mut caller = setup.call("openai/sim", "tokens=3", true);
    assert!(caller.answer().whole);
    pause(Duration::from_millis(200));
    // Under way when the first call's time is up.
    caller.send(&chat("openai/sim", "tokens=30,interval=10ms", true));
    let answer = caller.answer();
    assert!(answer.whole && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    pause(Duration::from_millis(300));
    caller.send(&chat("openai/sim", "tokens=3", false));
    assert!(caller.answer().whole);
    assert!(setup.finish().iter().all(|record| record.outcome == Outcome::Complete));
}

#[test]
fn an_http2_stream_of_which_nothing_is_taken_is_ended_by_the_total_deadline_and_no_other() {
    // Nothing at all, and nothing but what the first window admits.
    for window in [0, 20_000] {
        for backend in ["openai", "openai-h2"] {
            let mut setup = Setup::builder().clocks("total: 300ms").start();
            block_on(async {
                let (mut requests, mut driver) = open(&setup, window).await;
                let calls = async {
                    let body = chat_body(&format!("{backend}/sim"), &format!("{ENDLESS},tag=full"), true);
                    let mut stalled = call(&mut requests, body).await;
                    let ended = async { while let Some(Ok(_)) = stalled.data().await {} };
                    tokio::time::timeout(Duration::from_secs(3), ended).await.expect("the stream ends");
                    // The connection goes on.
                    drop(call(&mut requests, chat_body("openai/sim", "tokens=1", true)).await);
                };
                tokio::select! {
                    biased;
                    () = calls => {}
                    ended = &mut driver => panic!("the connection ended: {ended:?}"),
                }
            });
            setup.stopped("full");
            let records = setup.finish();
            let record = records.iter().find(|record| record.error.is_some()).expect("a failed call");
            assert_eq!(record.outcome, Outcome::Deadline(Clock::Total), "{backend}, window {window}");
            assert_eq!(records.len(), 2);
        }
    }
}

#[test]
fn other_streams_go_on_when_one_is_ended_by_the_total_deadline() {
    let mut setup = Setup::builder().clocks("total: 400ms").start();
    block_on(async {
        let (mut requests, mut driver) = open(&setup, 20_000).await;
        let calls = async {
            let stalled =
                call(&mut requests, chat_body("openai/sim", &format!("{ENDLESS},tag=full"), true)).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            // Under way when the first one's time is up.
            let mut stays =
                call(&mut requests, chat_body("openai/sim", "tokens=15,interval=20ms", true)).await;
            let mut read = Vec::new();
            while let Some(data) = stays.data().await {
                read.extend_from_slice(&data.unwrap());
            }
            assert!(read.ends_with(b"data: [DONE]\n\n"), "{}", String::from_utf8_lossy(&read));
            drop(stalled);
        };
        tokio::select! {
            biased;
            () = calls => {}
            ended = &mut driver => panic!("the connection ended: {ended:?}"),
        }
    });
    let outcomes: Vec<_> = setup.finish().iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Deadline(Clock::Total), Outcome::Complete]);
}

#[test]
fn an_http2_caller_that_does_not_take_all_of_a_whole_reply_has_not_got_it() {
    for window in [0, 100, 5_000] {
        let mut setup = Setup::builder().clocks("total: 300ms").start();
        block_on(async {
            let (mut requests, mut driver) = open(&setup, window).await;
            let stalled = async {
                let body = chat_body("openai/sim", "tokens=5,text=1000", false);
                let mut body = call(&mut requests, body).await;
                let ended = async { while let Some(Ok(_)) = body.data().await {} };
                tokio::time::timeout(Duration::from_secs(3), ended).await.expect("the stream ends");
            };
            tokio::select! {
                biased;
                () = stalled => {}
                ended = &mut driver => panic!("the connection ended: {ended:?}"),
            }
        });
        let record = setup.only_record();
        assert_eq!(record.outcome, Outcome::Deadline(Clock::Total), "window {window}");
        assert!(record.usage.completion_tokens > 0, "the backend has made it all the same");
    }
}

#[test]
fn an_http2_caller_whose_window_ends_inside_the_terminal_event_has_not_got_its_stream() {
    let ask = |setup: &Setup, window| {
        block_on(async {
            let (mut requests, mut driver) = open(setup, window).await;
            let mut read = 0;
            let stalled = async {
                let mut body = call(&mut requests, chat_body("openai/sim", "tokens=2", true)).await;
                let ended = async {
                    while let Some(Ok(data)) = body.data().await {
                        read += data.len();
                    }
                };
                tokio::time::timeout(Duration::from_secs(3), ended).await.expect("the stream ends");
            };
            tokio::select! {
                biased;
                () = stalled => {}
                ended = &mut driver => panic!("the connection ended: {ended:?}"),
            }
            read
        })
    };
    let whole = {
        let mut setup = Setup::builder().start();
        let read = ask(&setup, 1 << 20);
        assert_eq!(setup.only_record().outcome, Outcome::Complete);
        u32::try_from(read).unwrap()
    };
    for missing in [1, 5] {
        let mut setup = Setup::builder().clocks("total: 300ms").start();
        assert_eq!(ask(&setup, whole - missing), (whole - missing) as usize);
        let record = setup.only_record();
        assert_ne!(record.outcome, Outcome::Complete, "{missing} bytes missing");
        assert!(record.usage.completion_tokens > 0, "the backend has made it all the same");
    }
}

async fn open(setup: &Setup, window: u32) -> (SendRequest<Bytes>, h2::client::Connection<TcpStream>) {
    let stream = TcpStream::connect(setup.address()).await.unwrap();
    h2::client::Builder::new().initial_window_size(window).handshake(stream).await.unwrap()
}

/// Sends a chat request and waits for the head of its answer.
async fn call(requests: &mut SendRequest<Bytes>, body: String) -> RecvStream {
    std::future::poll_fn(|cx| requests.poll_ready(cx)).await.unwrap();
    let request = http::Request::post("http://gateway/v1/chat/completions").body(()).unwrap();
    let (response, mut stream) = requests.send_request(request, false).unwrap();
    stream.send_data(body.into(), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}
