//! Realtime sessions of the simulator: opened, answered, refused, and what is noted of their end.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use support::{Client, SECONDS};
use tidegate_sim::{ClosedHow, Config, Phase, SimHandle, Simulator};
use tokio::io::AsyncWriteExt as _;

fn opening(query: &str) -> String {
    format!(
        "GET /v1/realtime?{query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

async fn open(sim: &SimHandle, query: &str) -> Client {
    let mut client = Client::connect(sim.address()).await;
    client.send(&opening(query)).await;
    // The answer to RFC 6455's own key.
    client.read_until(b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n").await;
    client
}

/// Sends a frame shorter than 126 bytes.
async fn say(client: &mut Client, first: u8, payload: &[u8]) {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    client.stream.write_all(&frame).await.unwrap();
}

async fn ask(client: &mut Client, scenario: &str) {
    let event = format!(r#"{{"type":"response.create","response":{{"instructions":"[sim {scenario}]"}}}}"#);
    say(client, 0x81, event.as_bytes()).await;
}

#[tokio::test]
async fn a_session_answers_and_notes_its_peers_goodbye() {
    let sim = Simulator::start(Config::default()).unwrap();
    let mut client = open(&sim, "model=gpt-realtime").await;
    client.read_until(br#""type":"session.created""#).await;
    say(&mut client, 0x89, b"there?").await;
    client.read_until(b"\x8a\x06there?").await;
    ask(&mut client, "tokens=2,prompt=7,tag=session").await;
    client.read_until(br#""delta":" tide""#).await;
    client.read_until(br#""total_tokens":9,"input_tokens":7,"output_tokens":2"#).await;
    say(&mut client, 0x88, &1001_u16.to_be_bytes()).await;
    let seen = sim.observation("session", SECONDS).await.unwrap();
    assert_eq!(seen.closed_how, Some(ClosedHow::Goodbye(1001)));
    assert_eq!((seen.tokens_written, seen.model.as_str(), seen.status), (2, "gpt-realtime", Some(101)));
    client.read_until(b"\x88\x02\x03\xe8").await;
    assert!(!client.fill().await.unwrap(), "the connection ends behind the answer");
}

#[tokio::test]
async fn a_goodbye_is_heard_inside_a_frame_and_while_a_write_is_blocked() {
    let sim = Simulator::start(Config::default()).unwrap();
    for (scenario, phase) in [
        ("tokens=9,split_stall=4,tag=half", Phase::InsideFrame),
        ("tokens=1000000,text=4096,tag=full", Phase::Blocked),
    ] {
        let mut client = open(&sim, "model=m").await;
        ask(&mut client, scenario).await;
        let tag = scenario.rsplit('=').next().unwrap();
        assert!(sim.wait_for(tag, SECONDS, |seen| seen.phase_at_close == phase).await.is_some(), "{phase:?}");
        say(&mut client, 0x88, b"").await;
        let seen = sim.observation(tag, SECONDS).await.unwrap();
        assert_eq!((seen.closed_how, seen.phase_at_close), (Some(ClosedHow::Goodbye(1005)), phase));
    }
}

#[tokio::test]
async fn a_session_ends_with_the_code_that_is_asked_for() {
    let sim = Simulator::start(Config::default()).unwrap();
    let mut client = open(&sim, "model=m").await;
    ask(&mut client, "tokens=9,eof=2,close=4001").await;
    client.read_until(b"\x88\x02\x0f\xa1").await;
    assert!(!String::from_utf8_lossy(&client.read).contains("response.done"));
}

#[tokio::test]
async fn a_session_is_refused_as_any_request() {
    let sim = Simulator::start(Config::default()).unwrap();
    for (query, status) in [("model=m&sim=error%3D429", 429), ("", 404), ("model=m&sim=nonsense", 400)] {
        let mut client = Client::connect(sim.address()).await;
        client.send(&opening(query)).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{query}");
        assert!(answer.json()["error"]["message"].is_string());
    }
}
