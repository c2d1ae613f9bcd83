//! A gateway in this process with a simulator or a scripted backend behind it, and callers that are bare sockets, so that
//! every byte and every way of leaving is the test's own choice.

pub(crate) mod backend;
pub(crate) mod caller;
pub(crate) mod records;
pub(crate) mod sockets;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tidegate_engine::{CallRecord, Provenance};
use tidegate_server::run;
use tidegate_sim::{Config as SimConfig, Observation, SimHandle, Simulator};

use caller::Caller;
use records::Records;
use sockets::open_sockets;

/// A gateway, its backend and its records.
pub(crate) struct Setup {
    pub(crate) sim: SimHandle,
    pub(crate) records: Arc<Records>,
    running: Option<run::Running>,
    addresses: Vec<SocketAddr>,
    certificate: String,
    // The certificate's files.
    _files: tempfile::TempDir,
}

/// How a gateway is set up.
#[derive(Default)]
pub(crate) struct Builder {
    settings: String,
    listen: String,
    clocks: String,
    hosts: String,
    log: Option<String>,
    backend: Option<SocketAddr>,
    simulator: Option<SimConfig>,
    https: bool,
}

impl Builder {
    /// Further top-level lines of the configuration.
    pub(crate) fn settings(mut self, lines: &str) -> Self {
        self.settings.push_str(lines);
        self.settings.push('\n');
        self
    }

    /// Fields of the listener.
    pub(crate) fn listener(mut self, fields: &str) -> Self {
        self.listen = format!(", {fields}");
        self
    }

    /// Deadlines of every host.
    pub(crate) fn clocks(mut self, fields: &str) -> Self {
        self.clocks = format!(", clocks: {{{fields}}}");
        self
    }

    /// A host besides those of every gateway, as a line of the configuration.
    pub(crate) fn host(mut self, line: &str) -> Self {
        self.hosts.push_str(&format!("  {line}\n"));
        self
    }

    /// Fields of the log; otherwise only errors are logged.
    pub(crate) fn log(mut self, fields: &str) -> Self {
        self.log = Some(fields.to_owned());
        self
    }

    /// A backend other than the simulator.
    pub(crate) fn backend(mut self, address: SocketAddr) -> Self {
        self.backend = Some(address);
        self
    }

    pub(crate) fn simulator(mut self, config: SimConfig) -> Self {
        self.simulator = Some(config);
        self
    }

    /// The backend is spoken to with TLS.
    pub(crate) fn https(mut self) -> Self {
        self.https = true;
        self
    }

    pub(crate) fn start(self) -> Setup {
        let sim = Simulator::spawn_thread(self.simulator.unwrap_or_default()).expect("a simulator");
        let files = tempfile::tempdir().expect("a folder");
        let certified =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("certificate");
        std::fs::write(files.path().join("certificate.pem"), certified.cert.pem()).expect("written");
        std::fs::write(files.path().join("key.pem"), certified.signing_key.serialize_pem()).expect("written");
        let backend = self.backend.unwrap_or(sim.address());
        let text = format!(
            "listen:\n  - {{address: \"127.0.0.1:0\"{listen}}}\n  - {{address: \"127.0.0.1:0\", tls: {{certificate: {files}/certificate.pem, key: {files}/key.pem}}}}\n\
             workers: 1\nconnect: {{proxy_from_env: false}}\nlog: {{{log}}}\n{settings}hosts:\n{hosts}",
            listen = self.listen,
            log = self.log.as_deref().unwrap_or("level: error"),
            files = files.path().display(),
            settings = self.settings,
            hosts =
                hosts(&format!("{}://{backend}", if self.https { "https" } else { "http" }), &self.clocks)
                    + &self.hosts,
        );
        let config = match tidegate_config::parse("test", &text, &|_| None).into_result() {
            Ok((config, _)) => config,
            Err(problems) => panic!("{problems:?} in\n{text}"),
        };
        let targets = block_on(config.targets()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let records = Records::new();
        let running = run::start_with(&config, targets, records.clone()).expect("a gateway");
        Setup {
            sim,
            records,
            addresses: running.addresses().to_vec(),
            running: Some(running),
            certificate: certified.cert.pem(),
            _files: files,
        }
    }
}

/// Each backend by its name, and over HTTP/2 with `-h2` behind it.
fn hosts(base: &str, clocks: &str) -> String {
    let mut hosts = String::new();
    for (http, suffix) in [(1, ""), (2, "-h2")] {
        let common = format!("http: {http}{clocks}, base_url: \"{base}");
        hosts.push_str(&format!("  openai{suffix}: {{kind: openai, {common}/v1\", api_key: simulated}}\n"));
        hosts.push_str(&format!(
            "  responses{suffix}: {{kind: openai, {common}/v1\", api_key: simulated, responses: always}}\n"
        ));
        hosts
            .push_str(&format!("  anthropic{suffix}: {{kind: anthropic, {common}\", api_key: simulated}}\n"));
        hosts.push_str(&format!(
            "  azure{suffix}: {{kind: azure, {common}\", api_version: 2024-10-21, api_key: simulated}}\n"
        ));
        hosts.push_str(&format!(
            "  bedrock{suffix}: {{kind: bedrock, {common}\", region: us-east-1, access_key_id: AKIDSIMULATED, secret_access_key: simulated}}\n"
        ));
        hosts.push_str(&format!(
            "  gemini{suffix}: {{kind: gemini, {common}/v1beta\", api_key: simulated}}\n"
        ));
        hosts.push_str(&format!("  ollama{suffix}: {{kind: ollama, {common}\", api_key: simulated}}\n"));
        hosts.push_str(&format!("  cohere{suffix}: {{kind: cohere, {common}\", api_key: simulated}}\n"));
    }
    hosts
}

impl Setup {
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start() -> Self {
        Builder::default().start()
    }

    /// Where callers connect without TLS.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where callers connect with TLS.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.addresses[1]
    }

    /// What callers with TLS trust.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    pub(crate) fn connect(&self) -> Caller {
        Caller::connect(self.address())
    }

    /// A caller that has sent a chat request. `scenario` tells the simulator what to do.
    pub(crate) fn call(&self, model: &str, scenario: &str, stream: bool) -> Caller {
        let mut caller = self.connect();
        caller.send(&chat(model, scenario, stream));
        caller
    }

    pub(crate) fn running(&self) -> &run::Running {
        self.running.as_ref().expect("a gateway that has not been stopped")
    }

    /// Drains the gateway to the end.
    pub(crate) fn drain(&mut self) {
        let running = self.running.take().expect("a gateway that has not been stopped");
        running.drain().expect("a drain without errors");
    }

    /// Stops the gateway; every call is settled then. Gives all records.
    pub(crate) fn finish(&mut self) -> Vec<CallRecord> {
        if let Some(running) = self.running.take() {
            running.stop().expect("a stop without errors");
        }
        self.records.all()
    }

    /// Stops the gateway and gives the record of its only call.
    pub(crate) fn only_record(&mut self) -> CallRecord {
        self.records.wait(1);
        let mut records = self.finish();
        assert_eq!(records.len(), 1, "exactly one record for one call: {records:?}");
        records.remove(0)
    }

    /// Waits until the backend of `tag` sees the end of its call, and fails unless the gateway cut it short.
    pub(crate) fn stopped(&self, tag: &str) -> Observation {
        let closed = block_on(self.sim.wait_for(tag, CLOSED_WITHIN, |seen| seen.closed_ns.is_some()));
        let seen = closed.unwrap_or_else(|| {
            panic!("the backend of {tag} was not stopped: {:?}", self.sim.observations_tagged(tag))
        });
        assert!(seen.cut_short(), "the backend had already answered: {seen:?}");
        seen
    }

    /// Waits until the backend has the call of `tag` and `reached` holds of it.
    pub(crate) fn reached(&self, tag: &str, reached: impl Fn(&Observation) -> bool) -> Observation {
        let seen = block_on(self.sim.wait_for(tag, ARRIVES_WITHIN, reached));
        seen.unwrap_or_else(|| panic!("{tag}: {:?}", self.sim.observations_tagged(tag)))
    }

    /// Asserts that nothing of any call is left: no call at the backend, no caller's connection at the gateway.
    pub(crate) fn nothing_left(&self) {
        assert!(block_on(self.sim.quiet(ARRIVES_WITHIN)), "{} calls run on", self.sim.running());
        for address in &self.addresses {
            eventually("every caller's connection is closed", || open_sockets(address.port()) == 0);
        }
    }
}

/// A chat request as HTTP/1.1.
pub(crate) fn chat(model: &str, scenario: &str, stream: bool) -> Vec<u8> {
    post(&chat_body(model, scenario, stream))
}

pub(crate) fn chat_body(model: &str, scenario: &str, stream: bool) -> String {
    let prompt = format!("Say something. [sim {scenario}]");
    serde_json::json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}]})
        .to_string()
}

/// `body` as a chat request.
pub(crate) fn post(body: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Runs a future to its end on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Waits until `holds`.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + ARRIVES_WITHIN;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "not within {ARRIVES_WITHIN:?}: {what}");
        pause(Duration::from_millis(2));
    }
}

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "a test's own thread serves no call")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Generous: the machine may be busy with other things.
pub(crate) const CLOSED_WITHIN: Duration = Duration::from_millis(500);
pub(crate) const ARRIVES_WITHIN: Duration = Duration::from_secs(5);
/// The names of the hosts that speak HTTP/1.1 with their backend; with `-h2` behind it, HTTP/2.
pub(crate) const BACKENDS: [&str; 8] =
    ["openai", "azure", "bedrock", "anthropic", "gemini", "responses", "cohere", "ollama"];

/// How the usage of a reply is known that was cut short after its first tokens.
pub(crate) fn cut_short(backend: &str) -> Provenance {
    match backend {
        // The one counts the prompt at the start of its reply, the other in each chunk what there is so far.
        "anthropic" | "gemini" => Provenance::Partial,
        _ => Provenance::Estimated,
    }
}
