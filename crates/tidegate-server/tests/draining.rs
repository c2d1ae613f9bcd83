//! Callers that come while a gateway drains.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use tidegate_server::run;
use tidegate_sim::{Config, ListenerKind, Simulator};

#[test]
fn a_draining_gateway_refuses_new_callers_at_once_while_a_call_still_runs() {
    let backends = Simulator::spawn_thread(Config::one(ListenerKind::Plain)).unwrap();
    let text = format!(
        "listen: 127.0.0.1:0\nworkers: 2\ndrain: 100ms\nhosts: {{ openai: {{ base_url: 'http://{}/v1', api_key: k }} }}\n",
        backends.address()
    );
    let config = tidegate_config::parse("test", &text, &|_| None).into_result().unwrap().0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let targets = runtime.block_on(config.targets()).unwrap();
    let gateway = run::start(&config, targets).unwrap();
    let address = *gateway.addresses().first().unwrap();
    let mut caller = stalled_call(address);
    gateway.begin_drain();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_refused(address) {
        assert!(Instant::now() < deadline, "new callers are left waiting");
    }
    assert_eq!(backends.running(), 1, "the running call goes on");
    gateway.drain().unwrap();
    let mut rest = String::new();
    let _cut = caller.read_to_string(&mut rest);
    assert!(!rest.contains("[DONE]"), "a call that is cut must not look complete");
}

/// Whether a new caller is refused. Looks now and then only, so that a queue of callers left waiting does not fill up.
#[expect(clippy::disallowed_methods, reason = "no runtime runs in this test")]
fn is_refused(address: SocketAddr) -> bool {
    let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
    std::thread::sleep(Duration::from_millis(10));
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// A streaming call that has had its first events and gets no more.
fn stalled_call(address: SocketAddr) -> TcpStream {
    let body = r#"{"model":"openai/m","stream":true,"messages":[{"role":"user","content":"[sim tokens=9,stall=2]"}]}"#;
    let mut caller = TcpStream::connect(address).unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\n";
    write!(caller, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut seen = Vec::new();
    while !seen.windows(5).any(|window| window == b"data:") {
        let mut piece = [0; 4096];
        let read = caller.read(&mut piece).unwrap();
        assert!(read > 0, "the stream ended");
        seen.extend_from_slice(piece.get(..read).unwrap());
    }
    caller
}
