//! TLS listeners, and the connections that never become a call.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use support::{Client, OPENAI, SECONDS, STREAM, WHOLE, request};
use tidegate_sim::{
    Backend, ClosedHow, Config, Listener, ListenerKind, Phase, SimHandle, Simulator, monotonic_ns,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn tls(sim: &SimHandle, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(sim.certificate_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(sim.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn alpn_chooses_the_http_version_the_listener_offers() {
    for (kind, offered, agreed) in [
        (ListenerKind::Tls, &[&b"h2"[..], b"http/1.1"][..], &b"h2"[..]),
        (ListenerKind::Tls, &[b"http/1.1"], b"http/1.1"),
        (ListenerKind::TlsHttp1, &[b"h2", b"http/1.1"], b"http/1.1"),
    ] {
        let sim = Simulator::start(Config::one(kind)).unwrap();
        let stream = tls(&sim, offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed), "{kind:?}");
        if agreed == b"h2" {
            let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
            let get = http::Request::get("https://localhost/_sim/running").body(()).unwrap();
            let (response, _) = send.send_request(get, true).unwrap();
            tokio::select! {
                response = response => assert_eq!(response.unwrap().status(), 200),
                ended = connection => unreachable!("{ended:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_stream_comes_whole_and_a_close_is_noted_under_tls() {
    let sim = Simulator::spawn_thread(Config::one(ListenerKind::TlsHttp1)).unwrap();
    let mut stream = tls(&sim, &[b"http/1.1"]).await;
    stream.write_all(request(OPENAI, "tokens=2000,text=500", STREAM).as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"0\r\n\r\n") {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    }
    for (scenario, phase, reset) in [
        ("stall=2,tag=a", Phase::Stalled, false),
        ("headers_delay=60s,tag=b", Phase::BeforeHeaders, true),
        ("interval=60s,tag=c", Phase::BetweenFrames, false),
    ] {
        let mut stream = tls(&sim, &[]).await;
        stream.write_all(request(OPENAI, scenario, STREAM).as_bytes()).await.unwrap();
        let tag = &scenario[scenario.len() - 1..];
        assert!(
            sim.wait_for(tag, SECONDS, |seen| seen.phase_at_close == phase).await.is_some(),
            "{scenario}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
        let closed_at = monotonic_ns();
        if reset {
            socket2::SockRef::from(stream.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
        } else {
            // Reads what has come, so that the close is a FIN.
            let mut sink = [0; 65536];
            while let Ok(Ok(1..)) =
                tokio::time::timeout(Duration::from_millis(5), stream.read(&mut sink)).await
            {}
        }
        drop(stream);
        let seen = sim.observation(tag, SECONDS).await.unwrap();
        assert_eq!(seen.closed_how, Some(if reset { ClosedHow::Rst } else { ClosedHow::Fin }), "{scenario}");
        assert_eq!(seen.phase_at_close, phase);
        assert!(seen.closed_ns.unwrap() - closed_at < 50_000_000);
    }
}

#[tokio::test]
async fn a_black_hole_accepts_says_nothing_and_notes_the_close() {
    let sim = Simulator::spawn_thread(Config::one(ListenerKind::BlackHole)).unwrap();
    for reset in [false, true] {
        let mut client = Client::connect(sim.address()).await;
        client.send(&request(OPENAI, "", WHOLE)).await;
        let mut byte = [0];
        let silence = tokio::time::timeout(Duration::from_millis(30), client.stream.read(&mut byte)).await;
        assert!(silence.is_err(), "it said something");
        let closed_at = monotonic_ns();
        if reset {
            client.reset()
        } else {
            drop(client)
        }
        let seen =
            sim.wait_for_any(SECONDS, |seen| seen.closed_ns.is_some_and(|at| at >= closed_at)).await.unwrap();
        assert_eq!((seen.backend, seen.phase_at_close), (Backend::Connecting, Phase::Connecting));
        assert_eq!(seen.closed_how, Some(if reset { ClosedHow::Rst } else { ClosedHow::Fin }));
        assert!(seen.closed_ns.unwrap() - closed_at < 50_000_000);
    }
}

#[tokio::test]
async fn a_handshake_that_is_given_up_is_noted_and_plain_text_is_refused() {
    let sim = Simulator::spawn_thread(Config::one(ListenerKind::Tls)).unwrap();
    let mut client = Client::connect(sim.address()).await;
    client.send("\u{16}\u{3}\u{1}").await;
    drop(client);
    let seen = sim.wait_for_any(SECONDS, |seen| seen.closed_ns.is_some()).await.unwrap();
    assert_eq!((seen.phase_at_close, seen.http_version), (Phase::Connecting, ""));
    let mut client = Client::connect(sim.address()).await;
    client.send(&request(OPENAI, "", WHOLE)).await;
    while client.fill().await.unwrap_or(false) {}
}

#[tokio::test]
async fn several_listeners_share_one_journal() {
    let kinds = [ListenerKind::Plain, ListenerKind::Tls, ListenerKind::BlackHole];
    let listeners = kinds.map(|kind| Listener { kind, ..Listener::default() }).to_vec();
    let sim = Simulator::start(Config { listeners, ..Config::default() }).unwrap();
    let [plain, _, hole] = sim.addresses() else { unreachable!("three listeners") };
    support::exchange(*plain, &request(OPENAI, "", WHOLE)).await;
    drop(Client::connect(*hole).await);
    sim.wait_for_any(SECONDS, |seen| seen.backend == Backend::Connecting && seen.closed_ns.is_some())
        .await
        .unwrap();
    assert_eq!(sim.observations().len(), 2);
}
