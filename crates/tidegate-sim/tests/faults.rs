//! Every fault and delay that a scenario can ask for, over HTTP/1.1.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::{
    AZURE, BEDROCK, CONVERSE, CONVERSE_STREAM, Client, OPENAI, SECONDS, STREAM, STREAMS, WHOLE, WHOLES,
    exchange, request, request_with,
};
use tidegate_sim::{ClosedHow, Config, Listener, Phase, Scenario, SimHandle, Simulator, monotonic_ns};
use tokio::io::AsyncReadExt;

fn sim() -> SimHandle {
    Simulator::start(Config::default()).unwrap()
}

/// Sends a request and reads until the connection ends; gives what came and how it ended.
async fn to_the_end(sim: &SimHandle, request: &str) -> (Vec<u8>, std::io::Result<usize>) {
    let mut client = Client::connect(sim.address()).await;
    client.send(request).await;
    let mut read = Vec::new();
    let end = tokio::time::timeout(SECONDS, client.stream.read_to_end(&mut read)).await.unwrap();
    (read, end)
}

#[tokio::test]
async fn a_prompt_a_model_and_a_header_speak_in_that_order() {
    let sim = Simulator::start(Config {
        scenario: Scenario { tokens: 1, ..Scenario::default() },
        ..Config::default()
    });
    let sim = sim.unwrap();
    let tokens = async |model: &str, prompt: &str, header: &str| {
        let body = WHOLE.replace("gpt-4o-mini", model).replace("Say something.", prompt);
        exchange(sim.address(), &request(OPENAI, header, &body)).await.json()["usage"]["completion_tokens"]
            .clone()
    };
    assert_eq!(tokens("gpt", "x", "").await, 1);
    assert_eq!(tokens("sim-t2", "x", "").await, 2);
    assert_eq!(tokens("sim-t2", "x [sim tokens=3] y", "").await, 3);
    assert_eq!(tokens("sim-t2", "x [sim tokens=3] y", "tokens=4").await, 4);
    let wrong = exchange(sim.address(), &request(OPENAI, "tokns=4", WHOLE)).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("tokns=4"));
    let in_path = exchange(sim.address(), &request("/model/sim-t6/converse", "", BEDROCK)).await;
    assert_eq!(in_path.json()["usage"]["outputTokens"], 6);
}

#[tokio::test]
async fn delays_come_where_they_are_asked_for() {
    let sim = sim();
    for (path, body) in STREAMS {
        let scenario = "headers_delay=30ms,first_token_delay=40ms,tokens=3,interval=20ms,tag=d";
        exchange(sim.address(), &request(path, scenario, body)).await;
        let seen = sim.observation("d", SECONDS).await.unwrap();
        let (headers, first) = (seen.headers_ns.unwrap(), seen.first_token_ns.unwrap());
        let after = |from: u64, to: u64, least_ms: u64| {
            let ms = (to - from) / 1_000_000;
            // A late token does not delay the next, so a gap may be shorter by as much as its first token was late.
            assert!((least_ms - 10..least_ms + 100).contains(&ms), "{path}: {ms} ms instead of {least_ms}");
        };
        after(seen.body_ns.unwrap(), headers, 30);
        after(headers, first, 40);
        after(first, seen.completed_ns.unwrap(), 40);
        sim.clear();
    }
}

#[tokio::test]
async fn bursts_come_at_once_with_gaps_between() {
    let sim = sim();
    let started = Instant::now();
    exchange(sim.address(), &request(OPENAI, "tokens=9,burst=3,gap=30ms,interval=99s", STREAM)).await;
    let took = started.elapsed();
    assert!((Duration::from_millis(60)..Duration::from_millis(300)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_whole_answer_takes_as_long_as_its_stream_would() {
    let sim = sim();
    for (path, body) in WHOLES {
        let started = Instant::now();
        exchange(sim.address(), &request(path, "tokens=4,interval=20ms,first_token_delay=10ms", body)).await;
        let took = started.elapsed();
        assert!((Duration::from_millis(70)..Duration::from_millis(300)).contains(&took), "{path} {took:?}");
    }
}

#[tokio::test]
async fn an_error_inside_the_stream_is_in_the_providers_form_and_the_last_thing_said() {
    let sim = sim();
    for path in [OPENAI, AZURE] {
        let answer = exchange(sim.address(), &request(path, "tokens=9,fail=2", STREAM)).await;
        assert_eq!(answer.status, 200);
        let events = answer.events();
        assert!(events.last().unwrap()["error"]["message"].is_string(), "{path}");
        assert!(!answer.text().contains("[DONE]"), "{path}");
        assert_eq!(events.iter().filter(|e| e["choices"][0]["delta"]["content"].is_string()).count(), 1 + 2);
    }
    let scenario = "tokens=9,fail=0,exception=throttlingException";
    let answer = exchange(sim.address(), &request(CONVERSE_STREAM, scenario, BEDROCK)).await;
    let last = answer.chunks.last().unwrap();
    let message = aws_smithy_eventstream::frame::read_message_from(&mut last.as_slice()).unwrap();
    let header = |at: usize| message.headers()[at].value().as_string().unwrap().as_str().to_owned();
    assert_eq!((header(0), header(2)), ("throttlingException".to_owned(), "exception".to_owned()));
    assert_eq!(answer.chunks.len(), 2, "messageStart, then the exception");
    let whole = exchange(sim.address(), &request(CONVERSE, "fail=1", BEDROCK)).await;
    assert_eq!(whole.status, 500);
}

#[tokio::test]
async fn a_stream_ends_too_soon_by_truncation_by_eof_and_by_reset() {
    let sim = sim();
    for (path, body) in STREAMS {
        let (read, end) = to_the_end(&sim, &request(path, "tokens=9,truncate=3", body)).await;
        assert!(end.is_ok() && !read.ends_with(b"0\r\n\r\n"), "{path}: closed without the last chunk");
        let answer = exchange(sim.address(), &request(path, "tokens=9,eof=3,tag=eof", body)).await;
        assert!(
            !answer.body.is_empty() && !answer.text_lossy().contains("[DONE]"),
            "{path}: ended, without the end"
        );
        assert_eq!(sim.observation("eof", SECONDS).await.unwrap().tokens_written, 3);
        let (_, end) = to_the_end(&sim, &request(path, "tokens=9,reset=3,interval=1ms", body)).await;
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "{path}");
    }
    for (path, body) in WHOLES {
        let (read, end) = to_the_end(&sim, &request(path, "truncate=0", body)).await;
        assert!(end.is_ok() && !read.ends_with(b"}"), "{path}");
        let (_, end) = to_the_end(&sim, &request(path, "reset=0", body)).await;
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "{path}");
        let broken = exchange(sim.address(), &request(path, "malformed=0", body)).await;
        assert!(serde_json::from_slice::<serde_json::Value>(&broken.body).is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_malformed_frame_stands_where_it_was_asked_for() {
    let sim = sim();
    let answer = exchange(sim.address(), &request(OPENAI, "tokens=4,malformed=2", STREAM)).await;
    for (index, chunk) in answer.chunks.iter().enumerate() {
        let json = chunk.strip_prefix(b"data: ").unwrap();
        let parses = json == b"[DONE]\n\n" || serde_json::from_slice::<serde_json::Value>(json).is_ok();
        assert_eq!(parses, index != 2, "frame {index}");
    }
    let answer = exchange(sim.address(), &request(CONVERSE_STREAM, "tokens=4,malformed=2", BEDROCK)).await;
    for (index, chunk) in answer.chunks.iter().enumerate() {
        let parsed = aws_smithy_eventstream::frame::read_message_from(&mut chunk.as_slice());
        assert_eq!(parsed.is_ok(), index != 2, "frame {index}");
    }
}

#[tokio::test]
async fn a_trickled_stream_has_the_same_bytes_in_small_pieces() {
    let sim = sim();
    for (path, body) in STREAMS {
        let answer = exchange(sim.address(), &request(path, "tokens=2,trickle=7,tag=t", body)).await;
        assert!(answer.chunks.iter().all(|chunk| chunk.len() <= 7), "{path}");
        let seen = sim.observation("t", SECONDS).await.unwrap();
        assert_eq!(seen.bytes_written, answer.body.len() as u64, "{path}");
        assert_eq!(seen.tokens_written, 2);
        sim.clear();
    }
    let answer = exchange(sim.address(), &request(OPENAI, "trickle=9", WHOLE)).await;
    assert_eq!(answer.json()["usage"]["completion_tokens"], 20);
}

#[tokio::test]
async fn a_caller_that_does_not_read_blocks_the_backend_and_its_close_is_noted() {
    let listener = Listener { send_buffer: Some(16 << 10), ..Listener::default() };
    let sim = Simulator::spawn_thread(Config { listeners: vec![listener], ..Config::default() }).unwrap();
    for (path, body) in STREAMS {
        let mut client = Client::connect(sim.address()).await;
        client.send(&request(path, "tokens=1000000,text=4096,tag=blocked", body)).await;
        let blocked = sim.wait_for("blocked", SECONDS, |seen| seen.phase_at_close == Phase::Blocked).await;
        assert!(blocked.is_some(), "{path}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let closed_at = monotonic_ns();
        drop(client);
        let seen = sim.observation("blocked", SECONDS).await.unwrap();
        // Bytes that were never read make the close a reset.
        assert_eq!((seen.closed_how, seen.phase_at_close), (Some(ClosedHow::Rst), Phase::Blocked), "{path}");
        assert!(seen.closed_ns.unwrap() - closed_at < 50_000_000, "{path}");
        sim.clear();
    }
}

#[tokio::test]
async fn a_fin_is_noted_while_a_write_is_blocked_though_nothing_fails() {
    let listener = Listener { send_buffer: Some(16 << 10), ..Listener::default() };
    let sim = Simulator::spawn_thread(Config { listeners: vec![listener], ..Config::default() }).unwrap();
    let mut client = Client::connect(sim.address()).await;
    client.send(&request(OPENAI, "tokens=1000000,text=4096,tag=half", STREAM)).await;
    assert!(sim.wait_for("half", SECONDS, |seen| seen.phase_at_close == Phase::Blocked).await.is_some());
    socket2::SockRef::from(&client.stream).shutdown(std::net::Shutdown::Write).unwrap();
    let seen = sim.observation("half", SECONDS).await.unwrap();
    assert_eq!((seen.closed_how, seen.phase_at_close), (Some(ClosedHow::Fin), Phase::Blocked));
}

#[tokio::test]
async fn a_deaf_backend_writes_on_after_the_close_and_says_how_much() {
    let sim = Simulator::spawn_thread(Config::default()).unwrap();
    let mut client = Client::connect(sim.address()).await;
    client.send(&request(OPENAI, "tokens=200,interval=2ms,deaf=1,tag=deaf", STREAM)).await;
    client.read_until(b"tide").await;
    // A half-close: the caller says FIN and still reads.
    socket2::SockRef::from(&client.stream).shutdown(std::net::Shutdown::Write).unwrap();
    let noted = sim.wait_for("deaf", SECONDS, |seen| seen.closed_ns.is_some()).await.unwrap();
    assert_eq!((noted.closed_how, noted.completed_ns), (Some(ClosedHow::Fin), None));
    let answer = client.answer().await;
    let seen = sim.observation("deaf", SECONDS).await.unwrap();
    assert!(answer.text().ends_with("[DONE]\n\n"));
    assert_eq!(seen.tokens_written, 200);
    assert!(seen.bytes_after_close > 10_000 && seen.bytes_after_close < seen.bytes_written, "{seen:?}");
}

#[tokio::test]
async fn a_request_that_is_never_read_notes_a_reset_while_it_is_being_sent() {
    let listener = Listener { receive_buffer: Some(4096), ..Listener::default() };
    let sim = Simulator::spawn_thread(Config { listeners: vec![listener], ..Config::default() }).unwrap();
    let body = WHOLE.replace("Say something.", &"x".repeat(8 << 20));
    for (path, scenario) in [(OPENAI, "never_read=1,tag=slow"), (AZURE, "read_delay=50ms,tag=slow")] {
        let client = Client::connect(sim.address()).await;
        let text = request(path, scenario, &body);
        let mut sent = 0;
        while let Ok(Ok(count)) = tokio::time::timeout(Duration::from_millis(200), async {
            client.stream.writable().await.unwrap();
            client.stream.try_write(&text.as_bytes()[sent..])
        })
        .await
        {
            sent += count;
            if path == AZURE && sent > 100_000 {
                break;
            }
        }
        assert!(sent < text.len(), "{path}: the whole request fitted into the buffers");
        let seen = sim.wait_for("slow", SECONDS, |seen| seen.phase_at_close == Phase::ReadingRequest).await;
        assert!(seen.is_some(), "{path}");
        client.reset();
        let seen = sim.observation("slow", SECONDS).await.unwrap();
        assert_eq!(
            (seen.closed_how, seen.phase_at_close),
            (Some(ClosedHow::Rst), Phase::ReadingRequest),
            "{path}"
        );
        assert!(seen.body_ns.is_none() && seen.request_bytes < body.len() as u64);
        sim.clear();
    }
}

/// TCP delivers a FIN only behind everything that was sent before it. So a caller that gives up in the middle of sending to a
/// backend that does not read has to reset the connection; a mere close would reach nobody.
#[tokio::test]
async fn a_fin_behind_a_request_that_nobody_reads_cannot_be_seen() {
    let listener = Listener { receive_buffer: Some(4096), ..Listener::default() };
    let sim = Simulator::spawn_thread(Config { listeners: vec![listener], ..Config::default() }).unwrap();
    let client = Client::connect(sim.address()).await;
    let text =
        request(OPENAI, "never_read=1,tag=fin", &WHOLE.replace("Say something.", &"x".repeat(8 << 20)));
    let mut sent = 0;
    while sent < 1 << 20 {
        client.stream.writable().await.unwrap();
        match client.stream.try_write(&text.as_bytes()[sent..]) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    assert!(sim.wait_for("fin", SECONDS, |_| true).await.is_some());
    drop(client);
    assert!(sim.observation("fin", Duration::from_millis(300)).await.is_none());
    assert_eq!(sim.running(), 1);
}

#[tokio::test]
async fn a_chunked_request_body_is_understood_however_it_is_split() {
    let sim = sim();
    let lines = "authorization: Bearer k\r\ntransfer-encoding: chunked";
    let mut text = format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n");
    for piece in WHOLE.as_bytes().chunks(11) {
        text.push_str(&format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()));
    }
    text.push_str("0\r\n\r\n");
    for size in [1, 2, 3, 7, text.len()] {
        let mut client = Client::connect(sim.address()).await;
        for _again in 0..2 {
            for piece in text.as_bytes().chunks(size) {
                client.send(std::str::from_utf8(piece).unwrap()).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(client.answer().await.status, 200, "pieces of {size}");
        }
    }
}

#[tokio::test]
async fn expect_continue_is_answered_before_the_body_is_sent() {
    let sim = sim();
    let mut client = Client::connect(sim.address()).await;
    let text = request_with(OPENAI, "authorization: Bearer k\r\nexpect: 100-continue", WHOLE);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    client.send(&format!("{head}\r\n\r\n")).await;
    client.read_until(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    client.read.clear();
    client.send(body).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn garbage_is_refused_or_dropped_and_never_a_panic() {
    let sim = sim();
    let garbage: [&[u8]; 12] = [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 999999999\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\0\0garbage garbage garbage",
        b"GET http://[ HTTP/1.1\r\n\r\n",
    ];
    for bytes in garbage {
        let mut client = Client::connect(sim.address()).await;
        tokio::io::AsyncWriteExt::write_all(&mut client.stream, bytes).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
        let mut read = Vec::new();
        let end = tokio::time::timeout(SECONDS, client.stream.read_to_end(&mut read)).await;
        assert!(end.is_ok(), "{:?} is neither answered nor dropped", String::from_utf8_lossy(bytes));
    }
    for body in
        ["", "{", "[]", "null", r#"{"model":7}"#, r#"{"model":"m"}"#, r#"{"messages":[]}"#, "\u{feff}{}"]
    {
        let answer = exchange(sim.address(), &request(OPENAI, "", body)).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.json()["error"]["message"].is_string());
    }
    assert!(sim.quiet(SECONDS).await, "{:?}", sim.observations().last());
    assert_eq!(exchange(sim.address(), &request(OPENAI, "", WHOLE)).await.status, 200);
}

#[tokio::test]
async fn two_thousand_held_streams_are_all_noted_when_they_close() {
    let sim = Simulator::spawn_thread(Config::default()).unwrap();
    let text = request(OPENAI, "stall=2", STREAM);
    let mut clients = Vec::new();
    for _ in 0..2000 {
        let mut client = Client::connect(sim.address()).await;
        client.send(&text).await;
        clients.push(client);
    }
    while sim.running() < clients.len() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(clients);
    assert!(sim.quiet(SECONDS).await);
    let seen = sim.observations();
    assert_eq!(seen.len(), 2000);
    assert!(seen.iter().all(|seen| seen.cut_short()));
}

#[tokio::test]
async fn the_journal_forgets_the_oldest_and_dropping_the_handle_ends_everything() {
    let sim = Simulator::spawn_thread(Config { journal: 3, ..Config::default() }).unwrap();
    for tag in ["a", "b", "c", "d", "e"] {
        exchange(sim.address(), &request(OPENAI, &format!("tag={tag}"), WHOLE)).await;
    }
    assert!(sim.quiet(SECONDS).await);
    let ids: Vec<u64> = sim.observations().iter().map(|seen| seen.id).collect();
    assert_eq!(ids, [3, 4, 5]);
    assert!(sim.observation("a", Duration::from_millis(1)).await.is_none());
    assert_eq!(sim.observation("e", SECONDS).await.unwrap().id, 5);
    let mut client = Client::connect(sim.address()).await;
    client.send(&request(OPENAI, "stall=2", STREAM)).await;
    client.read_until(b"tide").await;
    let address = sim.address();
    drop(sim);
    while client.fill().await.unwrap_or(false) {}
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_connection_that_closes_after_its_answer_is_noted_on_the_completed_call() {
    let sim = sim();
    exchange(sim.address(), &request(OPENAI, "tag=done", WHOLE)).await;
    let seen = sim.wait_for("done", SECONDS, |seen| seen.closed_ns.is_some()).await.unwrap();
    assert_eq!(seen.phase_at_close, Phase::Complete);
    assert!(seen.completed_ns.unwrap() <= seen.closed_ns.unwrap() && !seen.cut_short());
}
