//! Realtime sessions: opened, relayed, and ended by either side in every way.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tidegate_engine::{CallRecord, Clock, Outcome, Provenance};
use tidegate_sim::ClosedHow;
use tidegate_wire::websocket::accept_key;

use crate::support::{
    Setup,
    backend::{Scripted, await_close},
    block_on,
    caller::Caller,
    pause,
};

/// A caller whose session is open.
struct Session<S = TcpStream>(Caller<S>);

impl Session {
    fn open(setup: &Setup, query: &str) -> Self {
        Self::on(setup.connect(), query)
    }
}

impl<S: Read + Write> Session<S> {
    fn on(mut caller: Caller<S>, query: &str) -> Self {
        caller.send(&opening(&format!("/v1/realtime?{query}"), ""));
        let answer = caller.answer();
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some(accept_key(KEY.as_bytes()).as_str()));
        assert_eq!(answer.header("sec-websocket-extensions"), None);
        assert!(answer.header("x-tidegate-call-id").is_some());
        Self(caller)
    }

    /// Sends an event.
    fn say(&mut self, event: &Value) {
        self.0.send(&frame(0x81, event.to_string().as_bytes()));
    }

    /// Asks for a response; `scenario` tells the simulator what to do.
    fn ask(&mut self, scenario: &str) {
        let instructions = format!("[sim {scenario}]");
        self.say(&json!({"type": "response.create", "response": {"instructions": instructions}}));
    }

    fn goodbye(&mut self) {
        self.0.send(&frame(0x88, &1000_u16.to_be_bytes()));
    }

    /// The next frame. `None`: the connection has ended.
    fn frame(&mut self) -> Option<Frame> {
        let head = self.0.exactly(2)?;
        let length = match head[1] {
            126 => u64::from(u16::from_be_bytes(self.0.exactly(2)?.try_into().unwrap())),
            127 => u64::from_be_bytes(self.0.exactly(8)?.try_into().unwrap()),
            length => u64::from(length),
        };
        Some((head[0], self.0.exactly(usize::try_from(length).unwrap())?))
    }

    /// The next event.
    fn event(&mut self) -> Value {
        match self.frame() {
            Some((0x81, event)) => serde_json::from_slice(&event).expect("JSON"),
            other => panic!("no event: {other:?}"),
        }
    }

    /// Reads on to the next event of this type.
    fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event();
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Reads to the end; the code of the close frame, if there is one.
    fn end(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some((first, payload)) = self.frame() {
            if first == 0x88 {
                code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                self.0.send(&frame(0x88, &payload));
            }
        }
        code
    }
}

fn opening(path: &str, fields: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nhost: g\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\nsec-websocket-extensions: permessage-deflate\r\n{fields}\r\n"
    )
    .into_bytes()
}

/// A caller's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Reads a request's head.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.extend(byte);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Answers a request for a session.
fn accept(stream: &mut TcpStream) -> String {
    let head = read_head(stream);
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
    let accept = accept_key(key.as_bytes());
    let said = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(said.as_bytes()).expect("sent");
    head
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

#[test]
fn a_session_is_relayed_and_its_responses_are_summed_up() {
    for (host, query) in [("openai", "model=openai/sim"), ("azure", "deployment=azure/sim&api-version=x")] {
        let mut setup = Setup::start();
        let mut session = Session::open(&setup, &format!("{query}&sim=tag%3Drelayed"));
        assert_eq!(session.event()["type"], "session.created");
        for tokens in [3, 4] {
            session.ask(&format!("tokens={tokens},prompt=10,cached=2"));
            session.until("response.output_item.added");
            let text: String =
                (0..tokens).map(|_| session.event()["delta"].as_str().unwrap().to_owned()).collect();
            assert!(text.starts_with(" A tide gate"), "{text}");
            assert_eq!(session.until("response.done")["response"]["usage"]["output_tokens"], tokens);
        }
        session.goodbye();
        assert_eq!(session.end(), Some(1000));
        let seen = setup.stopped("relayed");
        assert_eq!(seen.closed_how, Some(ClosedHow::Goodbye(1000)));
        let record = setup.only_record();
        assert_eq!((record.outcome, record.status, record.host), (Outcome::Complete, 101, host));
        assert_eq!((record.operation, record.provenance), ("realtime", Provenance::Reported));
        let usage = &record.usage;
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (20, 7, 27));
        assert_eq!(usage.cached_tokens, Some(4));
        assert_eq!(record.content_events, 7);
        assert_eq!((record.served_model.as_deref(), record.streaming), (Some("sim"), true));
        assert!(record.time_to_first_token.is_some());
        assert!(record.delivered_bytes >= seen.bytes_written);
        setup.nothing_left();
    }
}

#[test]
fn frames_are_passed_on_as_they_are_however_they_come() {
    let from_caller = [
        frame(0x01, b"{\"type\":"),
        frame(0x89, b"are you there"),
        frame(0x80, b"\"x\"}"),
        frame(0x82, &[7; 70_000]),
    ]
    .concat();
    let from_backend =
        [&[0x01, 2][..], b"{ ", &[0x8a, 3], b"yes", &[0x80, 1], b"}", &[0x82, 126, 1, 0], &[9; 256]].concat();
    let (expected, said) = (from_caller.clone(), from_backend.clone());
    let backend = Scripted::start(move |_, stream| {
        accept(stream);
        let mut read = vec![0; expected.len()];
        stream.read_exact(&mut read).expect("all of it");
        assert!(read == expected, "the caller's bytes are not as they were");
        for byte in &said {
            stream.write_all(&[*byte]).expect("sent");
        }
        await_close(stream);
    });
    let mut setup = Setup::builder().backend(backend.address).start();
    // The first frame comes in one packet with the request.
    let mut caller = setup.connect();
    let (first, rest) = from_caller.split_at(100);
    caller.send(&[opening("/v1/realtime?model=openai/m", ""), first.to_vec()].concat());
    assert_eq!(caller.answer().status, 101);
    for piece in rest.chunks(1499) {
        caller.send(piece);
    }
    assert_eq!(caller.exactly(from_backend.len()), Some(from_backend.clone()));
    caller.fin();
    let record = setup.only_record();
    assert_eq!((record.outcome, record.delivered_bytes), (Outcome::ClientGone, from_backend.len() as u64));
}

#[test]
fn p15_every_way_to_leave_inside_a_response_stops_the_backend_and_is_a_hang_up() {
    for way in ["goodbye", "fin", "rst", "goodbye_and_fin"] {
        let mut setup = Setup::start();
        let mut session = Session::open(&setup, "model=openai/sim");
        session.ask("tokens=10000,interval=2ms,tag=left");
        session.until("response.output_text.delta");
        match way {
            "goodbye" => session.goodbye(),
            "fin" => session.0.fin(),
            "rst" => {
                session.0.rst();
                // Its own copy of the socket is gone with it.
                session = Session::open(&setup, "model=openai/sim");
            }
            _ => {
                session.goodbye();
                session.0.fin();
            }
        }
        let seen = setup.stopped("left");
        let polite = way == "goodbye";
        assert!(!polite || seen.closed_how == Some(ClosedHow::Goodbye(1000)), "{way}: {seen:?}");
        if polite {
            assert_eq!(
                session.end(),
                Some(1000),
                "what the backend still said is delivered, its goodbye among it"
            );
        }
        let record = setup.records.wait(1).remove(0);
        assert_eq!(record.outcome, Outcome::ClientGone, "{way}");
        assert_eq!(record.provenance, Provenance::Estimated, "{way}");
        assert!(record.error.is_none() && record.usage.completion_tokens > 0, "{way}: {record:?}");
        assert!(record.hang_up_to_closed.is_some_and(|took| took < Duration::from_millis(500)), "{record:?}");
        drop(session);
        setup.finish();
        setup.nothing_left();
    }
}

#[test]
fn p15_a_caller_that_leaves_while_the_upgrade_is_awaited_stops_the_backend() {
    let mut setup = Setup::start();
    let mut caller = setup.connect();
    caller.send(&opening("/v1/realtime?model=openai/sim&sim=headers_delay%3D60s,tag%3Dwaits", ""));
    setup.reached("waits", |_| true);
    caller.fin();
    setup.stopped("waits");
    let record = setup.only_record();
    assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 499));
    assert_eq!(record.provenance, Provenance::None, "a session that was not opened has used nothing");
}

#[test]
fn p15_a_caller_that_takes_nothing_and_one_whose_backend_takes_nothing_stop_it_when_they_leave() {
    let mut setup = Setup::start();
    let mut session = Session::on(Caller::with_small_buffer(setup.address()), "model=openai/sim");
    session.ask("tokens=1000000,text=4096,tag=full");
    setup.reached("full", |seen| seen.phase_at_close == tidegate_sim::Phase::Blocked);
    session.0.fin();
    let seen = setup.stopped("full");
    assert!(seen.bytes_written < 64 << 20, "back-pressure reaches the backend: {seen:?}");

    let mut session = Session::open(&setup, "model=openai/sim&sim=never_read,tag%3Ddeaf");
    session.0.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a time-out");
    let mut sent = 0_usize;
    while session.0.stream.write_all(&frame(0x82, &[0; 65536])).is_ok() {
        sent += 65536;
        assert!(sent < 64 << 20, "back-pressure reaches the caller");
    }
    // A FIN would wait behind what is not taken.
    session.0.rst();
    setup.stopped("deaf");
    assert!(setup.finish().iter().all(|record| record.outcome == Outcome::ClientGone));
}

#[test]
fn a_goodbye_with_nothing_under_way_completes_a_session_and_a_lost_connection_does_not() {
    for (fin, outcome) in [(false, Outcome::Complete), (true, Outcome::ClientGone)] {
        let mut setup = Setup::start();
        let mut session = Session::open(&setup, "model=openai/sim&sim=tag%3Didle");
        session.event();
        if fin {
            session.0.fin()
        } else {
            session.goodbye()
        }
        setup.stopped("idle");
        let record = setup.only_record();
        assert_eq!((record.outcome, record.provenance), (outcome, Provenance::None));
        assert_eq!(record.usage.prompt_tokens, 0);
    }
}

/// It does not wait for the answer, and what was on its way to it then it did not want.
#[test]
fn a_caller_that_says_goodbye_and_goes_has_finished() {
    let mut setup = Setup::start();
    for round in 0..50 {
        let tag = format!("gone{round}");
        let mut session = Session::open(&setup, &format!("model=openai/sim&sim=tag%3D{tag}"));
        session.goodbye();
        block_on(setup.sim.wait_for(&tag, Duration::from_secs(3), |seen| seen.closed_ns.is_some()));
        session.0.rst();
    }
    let records = setup.records.wait(50);
    assert!(records.iter().all(|record| record.outcome == Outcome::Complete), "{records:?}");
    setup.finish();
}

#[test]
fn a_backend_that_does_not_answer_a_goodbye_is_closed_soon_all_the_same() {
    let mut setup = Setup::start();
    let mut session = Session::open(&setup, "model=openai/sim&sim=never_read,tag%3Dsilent");
    session.goodbye();
    let began = Instant::now();
    let closed =
        block_on(setup.sim.wait_for("silent", Duration::from_secs(3), |seen| seen.closed_ns.is_some()));
    assert!(closed.is_some() && began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
    assert_eq!(session.end(), None);
    assert_eq!(setup.only_record().outcome, Outcome::Complete, "nothing was under way");
}

/// First byte and payload of a frame.
type Frame = (u8, Vec<u8>);

/// What a caller and the record of its session see of a backend that ends it.
fn ended_by(
    script: impl Fn(usize, &mut TcpStream) + Send + Sync + 'static,
) -> (Vec<Frame>, Option<u16>, CallRecord) {
    let backend = Scripted::start(script);
    let mut setup = Setup::builder().backend(backend.address).start();
    let mut session = Session::open(&setup, "model=openai/m");
    let mut frames = Vec::new();
    let mut code = None;
    while let Some((first, payload)) = session.frame() {
        if first == 0x88 {
            code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            session.0.send(&frame(0x88, &payload));
        } else {
            frames.push((first, payload));
        }
    }
    (frames, code, setup.only_record())
}

const HELLO: &[u8] = b"\x81\x02{}";

#[test]
fn a_backends_goodbye_goes_on_behind_what_it_said_and_its_answer_goes_back() {
    let (frames, code, record) = ended_by(|_, stream| {
        accept(stream);
        stream.write_all(&[HELLO, b"\x88\x04\x03\xe8ok", HELLO].concat()).expect("sent");
        let mut answer = [0; 10];
        stream.read_exact(&mut answer).expect("the caller's goodbye");
        assert_eq!(answer[0], 0x88);
    });
    assert_eq!(frames, [(0x81, b"{}".to_vec())], "and nothing behind it");
    assert_eq!(code, Some(1000));
    assert_eq!((record.outcome, record.error), (Outcome::Complete, None));
}

#[test]
fn a_backend_that_ends_a_session_for_a_reason_of_its_own_has_broken_it() {
    let (_, code, record) = ended_by(|_, stream| {
        accept(stream);
        stream.write_all(b"\x88\x06\x0f\xa1gone").expect("sent");
        await_close(stream);
    });
    assert_eq!((code, record.outcome), (Some(4001), Outcome::Broken));
    let error = record.error.expect("an error");
    assert_eq!(error.code(), Some("websocket_4001"));
    assert!(error.message().contains("gone"), "{error}");
}

#[test]
fn o5_a_session_that_ends_without_goodbye_or_inside_a_response_is_truncated() {
    let (frames, code, record) = ended_by(|_, stream| {
        accept(stream);
        stream.write_all(HELLO).expect("sent");
    });
    assert_eq!((frames.len(), code, record.outcome), (1, Some(1014), Outcome::Truncated));

    let mut setup = Setup::start();
    let mut session = Session::open(&setup, "model=openai/sim");
    session.ask("tokens=9,eof=2");
    assert_eq!(session.end(), Some(1000), "the backend's own words");
    let record = setup.only_record();
    assert_eq!(record.outcome, Outcome::Truncated);
    assert!(record.usage.completion_tokens > 0, "what was delivered counts");
}

#[test]
fn a_backend_that_resets_or_breaks_the_protocol_leaves_its_caller_a_close_frame() {
    for (scenario, outcome) in
        [("tokens=9,reset=2", Outcome::Broken), ("tokens=9,malformed=3", Outcome::Broken)]
    {
        let mut setup = Setup::start();
        let mut session = Session::open(&setup, "model=openai/sim");
        session.ask(&format!("{scenario},tag=broke"));
        session.until("response.output_text.delta");
        assert_eq!(session.end(), Some(1014), "{scenario}");
        assert_eq!(setup.only_record().outcome, outcome, "{scenario}");
        setup.nothing_left();
    }
}

#[test]
fn where_a_frame_is_cut_off_no_close_frame_can_stand() {
    let began = Instant::now();
    let (frames, code, record) = ended_by(|_, stream| {
        accept(stream);
        stream.write_all(&[HELLO, b"\x81\x10half"].concat()).expect("sent");
    });
    assert_eq!((frames.len(), code, record.outcome), (1, None, Outcome::Truncated));
    assert_eq!(record.delivered_bytes, 4 + 6, "the half is delivered");
    assert!(began.elapsed() < Duration::from_millis(900), "there is nothing to wait for");
}

#[test]
fn a_backend_that_leaves_while_its_caller_takes_nothing_ends_the_session() {
    for reset in [false, true] {
        let backend = Scripted::start(move |_, stream| {
            accept(stream);
            stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a time-out");
            // A FIN waits behind what is not taken: then it is no more than the gateway's side of the connection holds.
            let frames = if reset { 1000 } else { 3 };
            let frame = [&[0x82, 126, 0xff, 0xff][..], &[0; 65535]].concat();
            let _all = (0..frames).all(|_| stream.write_all(&frame).is_ok());
            if reset {
                crate::support::backend::reset(stream);
            }
        });
        let mut setup = Setup::builder().backend(backend.address).start();
        let session = Session::on(Caller::with_small_buffer(setup.address()), "model=openai/m");
        let records = setup.records.wait(1);
        assert_eq!(records[0].outcome, Outcome::Truncated, "reset: {reset}");
        drop(session);
        setup.finish();
        setup.nothing_left();
    }
}

#[test]
fn a_caller_that_breaks_the_protocol_is_told_and_its_backend_closed() {
    for wrong in [&[0x81, 2, b'{', b'}'][..], &[0xc1, 0x80, 0, 0, 0, 0], &[0x80, 0x80, 0, 0, 0, 0]] {
        let mut setup = Setup::start();
        let mut session = Session::open(&setup, "model=openai/sim&sim=tag%3Dwrong");
        session.event();
        session.0.send(wrong);
        assert_eq!(session.end(), Some(1002));
        setup.stopped("wrong");
        assert_eq!(setup.only_record().outcome, Outcome::Refused);
    }
}

#[test]
fn what_is_refused_is_refused_before_the_change_of_protocol() {
    let mut setup = Setup::start();
    let long = "x".repeat(600);
    for (query, status, code) in [
        ("", 400, Value::Null),
        (&*format!("model={long}"), 400, Value::Null),
        ("model=nobody/sim", 404, "model_not_found".into()),
        ("model=anthropic/sim", 400, Value::Null),
        ("model=openai/sim&sim=error%3D429", 429, "rate_limit_exceeded".into()),
        ("model=openai/sim&sim=error%3D401", 502, "invalid_api_key".into()),
        ("model=azure/sim&sim=error%3D500", 502, Value::Null),
    ] {
        let mut caller = setup.connect();
        caller.send(&opening(&format!("/v1/realtime?{query}"), ""));
        let answer = caller.answer();
        assert_eq!(answer.status, status, "{query}: {answer:?}");
        let error = &answer.json()["error"];
        assert!(error["message"].is_string() && error["type"].is_string(), "{answer:?}");
        assert!(code.is_null() || error["code"] == code, "{query}: {answer:?}");
        // The connection is still one for requests.
        caller.send(b"GET /healthz HTTP/1.1\r\nhost: g\r\n\r\n");
        assert_eq!(caller.answer().status, 200, "{query}");
    }
    let records = setup.finish();
    assert_eq!(records.len(), 7);
    assert!(records.iter().all(|record| record.outcome == Outcome::Refused), "{records:?}");
}

#[test]
fn a_request_that_asks_for_no_websocket_is_told_to() {
    let mut setup = Setup::start();
    let path = "/v1/realtime?model=openai/sim";
    let whole = String::from_utf8(opening(path, "")).unwrap();
    for without in [
        "connection: keep-alive, Upgrade\r\n",
        "upgrade: WebSocket\r\n",
        "sec-websocket-version: 13\r\n",
        &format!("sec-websocket-key: {KEY}\r\n"),
    ] {
        let mut caller = setup.connect();
        caller.send(whole.replace(without, "").as_bytes());
        let answer = caller.answer();
        assert_eq!(answer.status, 426, "{without}");
        assert_eq!(answer.header("upgrade"), Some("websocket"));
        assert_eq!(answer.error_code(), "upgrade_required");
    }
    let mut caller = setup.connect();
    caller.send(&opening(path, "content-length: 2\r\n"));
    caller.send(b"{}");
    assert_eq!(caller.answer().status, 426, "a session's request has no body");
    let mut caller = setup.connect();
    caller.send(format!("POST {path} HTTP/1.1\r\nhost: g\r\ncontent-length: 0\r\n\r\n").as_bytes());
    let answer = caller.answer();
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
    assert_eq!(setup.finish().len(), 5, "who asks for a session is recorded");
}

#[test]
fn http2_has_no_sessions_and_says_so() {
    let setup = Setup::start();
    let status = block_on(async {
        let stream = tokio::net::TcpStream::connect(setup.address()).await.expect("a connection");
        let (mut requests, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        let request =
            http::Request::get("http://g/v1/realtime?model=openai/sim").body(()).expect("a request");
        let (answer, _) = requests.send_request(request, true).expect("sent");
        tokio::select! {
            answer = answer => answer.expect("an answer").status(),
            _ = connection => panic!("the connection ended"),
        }
    });
    assert_eq!(status, 426);
}

#[test]
fn a_backend_whose_answer_is_not_the_handshakes_is_refused() {
    let with = |fields: &'static str| {
        move |_: usize, stream: &mut TcpStream| {
            read_head(stream);
            stream.write_all(fields.as_bytes()).expect("sent");
            await_close(stream);
        }
    };
    for fields in [
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: bm90IHlvdXJzIG5vdCB5b3Vycw==\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let backend = Scripted::start(with(fields));
        let mut setup = Setup::builder().backend(backend.address).start();
        let mut caller = setup.connect();
        caller.send(&opening("/v1/realtime?model=openai/m", ""));
        assert_eq!(caller.answer().status, 502, "{fields}");
        assert_eq!(setup.only_record().outcome, Outcome::Broken);
    }
    // Right but for what was not offered.
    let backend = Scripted::start(|_, stream| {
        let head = read_head(stream);
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
        let said = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nsec-websocket-accept: {}\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n",
            accept_key(key.as_bytes())
        );
        stream.write_all(said.as_bytes()).expect("sent");
        await_close(stream);
    });
    let setup = Setup::builder().backend(backend.address).start();
    let mut caller = setup.connect();
    caller.send(&opening("/v1/realtime?model=openai/m", ""));
    assert_eq!(caller.answer().status, 502);
}

#[test]
fn the_gateways_key_is_taken_in_each_of_the_ways_and_goes_no_further() {
    const MASTER: &str = "sk-gateway-0123456789";
    let (heads, seen) = std::sync::mpsc::sync_channel(16);
    let backend = Scripted::start(move |_, stream| {
        heads.send(accept(stream)).expect("room");
        await_close(stream);
    });
    let setup = Setup::builder().settings(&format!("master_key: {MASTER}")).backend(backend.address).start();
    let offered = format!(
        "sec-websocket-protocol: realtime, openai-insecure-api-key.{MASTER}, openai-beta.realtime-v1\r\n"
    );
    for (fields, protocol) in [
        (format!("authorization: Bearer {MASTER}\r\nopenai-beta: realtime=v1\r\n"), None),
        (format!("api-key: {MASTER}\r\nopenai-beta: realtime=v1\r\n"), None),
        (offered.clone(), Some("realtime")),
    ] {
        let mut caller = setup.connect();
        caller.send(&opening("/v1/realtime?model=openai/m&intent=transcription&language=en", &fields));
        let answer = caller.answer();
        assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, protocol), "{fields}");
        let head = seen.recv_timeout(Duration::from_secs(5)).expect("a session");
        assert!(head.starts_with("GET /v1/realtime?intent=transcription&language=en HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("authorization: Bearer simulated\r\n"), "{head}");
        assert!(head.contains("openai-beta: realtime=v1\r\n"), "{head}");
        for foreign in [MASTER, KEY, "permessage-deflate", "sec-websocket-protocol", "content-length"] {
            assert!(!head.contains(foreign), "{foreign} is passed on: {head}");
        }
    }
    for fields in [
        "",
        "sec-websocket-protocol: realtime, openai-insecure-api-key.sk-other\r\n",
        "authorization: Bearer sk-other\r\n",
    ] {
        let mut caller = setup.connect();
        caller.send(&opening("/v1/realtime?model=openai/m", fields));
        assert_eq!(caller.answer().status, 401, "{fields}");
    }
    // Elsewhere a subprotocol is none of the ways.
    let mut caller = setup.connect();
    caller.send(format!("GET /v1/models HTTP/1.1\r\nhost: g\r\n{offered}\r\n").as_bytes());
    assert_eq!(caller.answer().status, 401);
    assert_eq!(backend.connections(), 3);
}

#[test]
fn deadlines_of_a_session_count_while_something_is_awaited_of_its_backend() {
    let mut setup = Setup::builder().clocks("response_headers: 200ms").start();
    let mut caller = setup.connect();
    caller.send(&opening("/v1/realtime?model=openai/sim&sim=headers_delay%3D60s", ""));
    assert_eq!(caller.answer().status, 504);
    assert_eq!(setup.only_record().outcome, Outcome::Deadline(Clock::ResponseHeaders));

    for (clocks, scenario, clock) in [
        ("idle: 200ms", "tokens=9,stall=2,tag=late", Clock::Idle),
        ("first_token: 200ms, idle: 60s", "tokens=9,first_token_delay=60s,tag=late", Clock::FirstToken),
    ] {
        let mut setup = Setup::builder().clocks(clocks).start();
        let mut session = Session::open(&setup, "model=openai/sim");
        // Nothing is under way: nothing is late.
        pause(Duration::from_millis(400));
        session.ask(scenario);
        let asked = Instant::now();
        assert_eq!(session.end(), Some(1014), "{clocks}");
        assert!(asked.elapsed() < Duration::from_secs(2), "{clocks}: {:?}", asked.elapsed());
        setup.stopped("late");
        assert_eq!(setup.only_record().outcome, Outcome::Deadline(clock));
    }
}

#[test]
fn the_total_deadline_ends_a_session_whatever_goes_on() {
    for scenario in ["tokens=1", "tokens=100000,interval=1ms"] {
        let mut setup = Setup::builder().clocks("total: 300ms").start();
        let mut session = Session::open(&setup, "model=openai/sim");
        session.ask(scenario);
        assert_eq!(session.end(), Some(1001), "{scenario}");
        assert_eq!(setup.only_record().outcome, Outcome::Deadline(Clock::Total));
    }
    let mut setup = Setup::builder().clocks("total: 300ms").start();
    let mut session = Session::on(Caller::with_small_buffer(setup.address()), "model=openai/sim");
    session.ask("tokens=1000000,text=4096,tag=full");
    setup.stopped("full");
    assert_eq!(setup.records.wait(1)[0].outcome, Outcome::Deadline(Clock::Total));
    drop(session);
    setup.finish();
}

#[test]
fn a_session_lives_through_a_drain_to_its_deadline_and_is_told_to_go() {
    let mut setup = Setup::builder().settings("drain: 400ms").start();
    let mut session = Session::open(&setup, "model=openai/sim");
    session.ask("tokens=1");
    session.until("response.done");
    setup.running().begin_drain();
    pause(Duration::from_millis(100));
    session.ask("tokens=9,stall=2,tag=drained");
    session.until("response.output_text.delta");
    let reading = std::thread::spawn(move || session.end());
    let began = Instant::now();
    setup.drain();
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    assert_eq!(reading.join().expect("no panic"), Some(1001));
    setup.stopped("drained");
    let record = setup.only_record();
    assert_eq!(record.outcome, Outcome::Interrupted);
    assert_eq!(record.provenance, Provenance::Partial, "the first response was reported, the second was not");
}

#[test]
fn sessions_go_through_tls_on_both_sides() {
    let mut setup = Setup::start();
    let caller = Caller::connect_tls(setup.tls_address(), setup.certificate(), &["http/1.1"]);
    let mut session = Session::on(caller, "model=openai/sim");
    session.ask("tokens=2000,text=100,tag=tls");
    session.until("response.done");
    session.goodbye();
    assert_eq!(session.end(), Some(1000));
    assert_eq!(setup.only_record().outcome, Outcome::Complete);
}

#[test]
fn d7_a_fin_ends_a_session_on_a_half_close_listener_too() {
    let mut setup = Setup::builder().listener("half_close: true").start();
    let mut session = Session::open(&setup, "model=openai/sim");
    session.ask("tokens=9,stall=2,tag=half");
    session.until("response.output_text.delta");
    session.0.fin();
    setup.stopped("half");
    assert_eq!(setup.only_record().outcome, Outcome::ClientGone);
}
