//! Listeners: TLS with either HTTP version, and listeners that speak one version only.

use std::{sync::Arc, time::Duration};

use rustls_pki_types::ServerName;
use tidegate_engine::Outcome;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{
    Setup, block_on,
    caller::{Caller, tls_client},
    chat, chat_body,
};

#[test]
fn tls_agrees_on_http1_or_http2_as_the_caller_offers() {
    let setup = Setup::start();
    for (offered, agreed) in [
        (&["http/1.1"][..], Some("http/1.1")),
        (&["h2", "http/1.1"], Some("h2")),
        (&["h2"], Some("h2")),
        (&[], None),
    ] {
        let caller = Caller::connect_tls(setup.tls_address(), setup.certificate(), offered);
        assert_eq!(caller.agreed(), agreed.map(str::as_bytes), "{offered:?}");
    }
}

#[test]
fn a_stream_and_a_whole_reply_go_through_tls_with_http1() {
    let mut setup = Setup::start();
    let mut caller = Caller::connect_tls(setup.tls_address(), setup.certificate(), &["http/1.1"]);
    caller.send(&chat("openai/sim", "tokens=4", true));
    assert_eq!(caller.answer().streamed_text(), " A tide gate is");
    caller.send(&chat("bedrock/sim", "tokens=2", false));
    assert_eq!(caller.answer().json()["choices"][0]["message"]["content"], " A tide");
    let records = setup.records.wait(2);
    assert!(records.iter().all(|record| record.outcome == Outcome::Complete), "{records:?}");
    assert_eq!(setup.finish().len(), 2);
}

#[test]
fn a_stream_goes_through_tls_with_http2_and_its_reset_stops_the_backend() {
    let mut setup = Setup::start();
    block_on(async {
        let tcp = TcpStream::connect(setup.tls_address()).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(&tls_client(setup.certificate(), &["h2"])));
        let tls = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
        let (mut requests, mut driver) = h2::client::handshake(tls).await.unwrap();
        let calls = async {
            for (tag, scenario) in [("whole", "tokens=3"), ("reset", "tokens=9,stall=2")] {
                std::future::poll_fn(|cx| requests.poll_ready(cx)).await.unwrap();
                let request = http::Request::post("https://localhost/v1/chat/completions").body(()).unwrap();
                let (response, mut stream) = requests.send_request(request, false).unwrap();
                let body = chat_body("openai-h2/sim", &format!("{scenario},tag={tag}"), true);
                stream.send_data(body.into(), true).unwrap();
                let response = response.await.unwrap();
                assert_eq!(response.status(), 200);
                let mut body = response.into_body();
                let mut read = Vec::new();
                while let Some(data) = body.data().await {
                    read.extend_from_slice(&data.unwrap());
                    if tag == "reset" && read.windows(5).any(|bytes| bytes == b" tide") {
                        stream.send_reset(h2::Reason::CANCEL);
                        break;
                    }
                }
                assert!(tag == "reset" || read.ends_with(b"data: [DONE]\n\n"));
            }
            setup.sim.wait_for("reset", Duration::from_secs(1), |seen| seen.closed_ns.is_some()).await
        };
        tokio::select! {
            biased;
            seen = calls => assert!(seen.is_some_and(|seen| seen.cut_short())),
            ended = &mut driver => panic!("{ended:?}"),
        }
    });
    let records = setup.records.wait(2);
    // The reply on the other stream is settled when it is acknowledged, which may be after the reset.
    let mut outcomes: Vec<_> = records.iter().map(|record| record.outcome.name()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["client_gone", "complete"]);
    assert_eq!(setup.finish().len(), 2);
}

#[test]
fn a_listener_for_one_http_version_speaks_no_other() {
    let setup = Setup::builder().listener("http: [1]").start();
    assert_eq!(setup.call("openai/sim", "tokens=1", false).answer().status, 200);
    let mut http2 = setup.connect();
    http2.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    http2.await_close();
    assert!(!http2.unread().starts_with(&[0]), "no HTTP/2 frame: {:?}", http2.unread());

    let setup = Setup::builder().listener("http: [2]").start();
    let mut http1 = setup.connect();
    http1.send(&chat("openai/sim", "tokens=1", false));
    http1.await_close();
    assert!(!http1.unread().starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(http1.unread()));
    assert!(setup.sim.observations().is_empty());
}
