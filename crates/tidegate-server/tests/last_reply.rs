//! The last reply of a connection that is not kept: hyper is done with it the moment that it is written, which says nothing
//! of whether the caller has it (D9, O2).
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use tidegate_server::run::{self, Running};
use tidegate_sim::{Config, ListenerKind, SimHandle, Simulator};

struct Gateway {
    running: Running,
    _backends: SimHandle,
}

impl Gateway {
    fn start() -> Self {
        let backends = Simulator::spawn_thread(Config::one(ListenerKind::Plain)).unwrap();
        let text = format!(
            "listen: 127.0.0.1:0\nworkers: 1\nhosts: {{ openai: {{ base_url: 'http://{}/v1', api_key: k }} }}\n",
            backends.address()
        );
        let config = tidegate_config::parse("test", &text, &|_| None).into_result().unwrap().0;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let targets = runtime.block_on(config.targets()).unwrap();
        Self { running: run::start(&config, targets).unwrap(), _backends: backends }
    }

    fn address(&self) -> SocketAddr {
        *self.running.addresses().first().unwrap()
    }

    /// A call on a connection that is to be closed after it.
    fn call(&self, scenario: &str, streaming: bool) -> TcpStream {
        let body = format!(
            r#"{{"model":"openai/m","stream":{streaming},"messages":[{{"role":"user","content":"[sim {scenario}]"}}]}}"#
        );
        let mut caller = TcpStream::connect(self.address()).unwrap();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nconnection: close\r\n";
        write!(caller, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        caller
    }

    /// How many calls ended how, once there are `count`.
    fn outcomes(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let mut caller = TcpStream::connect(self.address()).unwrap();
            caller.write_all(b"GET /metrics HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").unwrap();
            let mut metrics = String::new();
            caller.read_to_string(&mut metrics).unwrap();
            let outcomes: Vec<String> = metrics.lines().filter_map(outcome).collect();
            if outcomes.len() >= count || Instant::now() > deadline {
                return outcomes;
            }
            std::thread::yield_now();
        }
    }
}

/// The outcome that a line of the metrics counts.
fn outcome(line: &str) -> Option<String> {
    let labels = line.strip_prefix("tidegate_calls_total{")?;
    let outcome = labels.split("outcome=\"").nth(1)?.split('"').next()?;
    Some(outcome.to_owned())
}

#[test]
fn o2_a_caller_that_reads_the_last_reply_to_its_end_has_had_it() {
    for streaming in [false, true] {
        let gateway = Gateway::start();
        let mut reply = String::new();
        gateway.call("tokens=5", streaming).read_to_string(&mut reply).unwrap();
        assert!(reply.contains("\"stop\""), "{reply}");
        assert_eq!(gateway.outcomes(1), ["complete"], "streaming: {streaming}");
    }
}

#[test]
fn o2_a_caller_that_has_the_last_reply_but_stays_connected_has_had_it_too() {
    let gateway = Gateway::start();
    let mut caller = gateway.call("tokens=5", false);
    let mut reply = String::new();
    caller.read_to_string(&mut reply).unwrap();
    assert_eq!(gateway.outcomes(1), ["complete"]);
    drop(caller);
}

#[test]
fn d9_a_caller_that_leaves_the_last_reply_unread_has_not_had_it() {
    let gateway = Gateway::start();
    let caller = gateway.call("tokens=64,text=262144", false);
    let mut first = [0];
    caller.peek(&mut first).unwrap();
    drop(caller);
    assert_eq!(gateway.outcomes(1), ["client_gone"]);
}
