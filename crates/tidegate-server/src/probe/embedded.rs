//! A Tidegate in this process, with simulators behind it for every phase, as the probe's gateway.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tidegate_config::Config;
use tidegate_engine::Recorder;
use tidegate_sim::{Config as SimConfig, Listener, ListenerKind, Scenario, SimHandle, Simulator};

use super::{BACKENDS, Gateway, HangUp, Phase, simulated};
use crate::run::{self, Running};

/// A Tidegate and its simulated backends.
pub struct Embedded {
    backends: SimHandle,
    /// Reads no request.
    deaf: SimHandle,
    /// Accepts and says nothing.
    silent: SimHandle,
    config: Config,
    certificate: String,
    recorder: Option<Arc<dyn Recorder>>,
    gateway_core: Option<usize>,
    running: Option<Running>,
    plain: SocketAddr,
    tls: SocketAddr,
    // The certificate's files, for as long as gateways are started from them.
    _files: tempfile::TempDir,
}

impl Embedded {
    /// Starts simulators and a gateway on loopback. `listen` is where the gateway listens without TLS; port 0 takes a free
    /// one. `scenario` is what the simulated backends do where a call does not say.
    ///
    /// # Errors
    /// Ports, threads or temporary files can't be had.
    pub fn start(listen: SocketAddr, scenario: Scenario) -> io::Result<Self> {
        Self::launch(listen, scenario, None, None)
    }

    /// As [`Embedded::start`] on a free port, with the gateway's threads kept to one core. Where the rest is kept off it, the
    /// gateway is measured and not its want of a core.
    ///
    /// # Errors
    /// As there, or there is no such core.
    pub fn start_on(core: usize) -> io::Result<Self> {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::launch(free, Scenario::default(), None, Some(core))
    }

    /// As [`Embedded::start`] on a free port, with the records of finished calls going to `recorder`.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(recorder: Arc<dyn Recorder>) -> io::Result<Self> {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::launch(free, Scenario::default(), Some(recorder), None)
    }

    fn launch(
        listen: SocketAddr,
        scenario: Scenario,
        recorder: Option<Arc<dyn Recorder>>,
        gateway_core: Option<usize>,
    ) -> io::Result<Self> {
        let files = tempfile::tempdir()?;
        let certified =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
        std::fs::write(files.path().join("certificate.pem"), certified.cert.pem())?;
        std::fs::write(files.path().join("key.pem"), certified.signing_key.serialize_pem())?;

        let backends = Simulator::spawn_thread(SimConfig { scenario, ..SimConfig::default() })?;
        let deaf = Simulator::spawn_thread(SimConfig {
            listeners: vec![Listener { receive_buffer: Some(SMALL_BUFFER), ..Listener::default() }],
            scenario: Scenario { never_read: true, ..Scenario::default() },
            http2_window: Some(u32::from(u16::MAX)),
            ..SimConfig::default()
        })?;
        let silent = Simulator::spawn_thread(SimConfig::one(ListenerKind::BlackHole))?;

        let text = configuration(listen, [&backends, &deaf, &silent], files.path());
        let config = tidegate_config::parse("embedded", &text, &|_| None)
            .into_result()
            .map_err(|problems| io::Error::other(format!("{problems:?}")))?
            .0;
        let unbound = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut embedded = Self {
            backends,
            deaf,
            silent,
            config,
            certificate: certified.cert.pem(),
            recorder,
            gateway_core,
            running: None,
            plain: unbound,
            tls: unbound,
            _files: files,
        };
        embedded.renew()?;
        Ok(embedded)
    }

    /// The simulated backends.
    pub fn backends(&self) -> &SimHandle {
        &self.backends
    }
}

impl Gateway for Embedded {
    fn plain(&self) -> SocketAddr {
        self.plain
    }

    fn tls(&self) -> Option<(SocketAddr, &str)> {
        Some((self.tls, &self.certificate))
    }

    fn key(&self) -> Option<&str> {
        None
    }

    fn model(&self, backend: &str, phase: Phase, http: u8) -> Option<String> {
        let way = match phase {
            Phase::Connecting => "silent",
            Phase::Sending => "deaf",
            _ => "here",
        };
        let (_, model) = simulated(backend);
        Some(format!("{backend}-{way}-h{http}/{model}"))
    }

    fn simulator(&self, phase: Phase) -> &SimHandle {
        match phase {
            Phase::Connecting => &self.silent,
            Phase::Sending => &self.deaf,
            _ => &self.backends,
        }
    }

    fn must_allow(&self, _hang_up: HangUp) -> bool {
        true
    }

    fn drain(&mut self) -> io::Result<bool> {
        let Some(running) = &self.running else { return Ok(false) };
        running.begin_drain();
        Ok(true)
    }

    fn renew(&mut self) -> io::Result<()> {
        if let Some(running) = self.running.take() {
            running.stop()?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // On a thread of its own, for the caller may be inside a runtime.
        let config = &self.config;
        let targets =
            std::thread::scope(|scope| scope.spawn(move || runtime.block_on(config.targets())).join())
                .map_err(|_| io::Error::other("building targets panicked"))?
                .map_err(|problems| io::Error::other(format!("{problems:?}")))?;
        // Threads begin where the one is that starts them.
        let _pinned = self.gateway_core.map(Pinned::to).transpose()?;
        let running = match &self.recorder {
            Some(recorder) => run::start_with(&self.config, targets, recorder.clone())?,
            None => run::start(&self.config, targets)?,
        };
        if let [plain, tls] = running.addresses() {
            (self.plain, self.tls) = (*plain, *tls);
        }
        self.running = Some(running);
        Ok(())
    }
}

/// Keeps this thread to one core until dropped.
struct Pinned(CpuSet);

impl Pinned {
    fn to(core: usize) -> io::Result<Self> {
        let before = sched_getaffinity(None)?;
        if core >= CpuSet::MAX_CPU {
            return Err(io::Error::other(format!("there is no core {core}")));
        }
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only).map_err(|error| io::Error::other(format!("core {core}: {error}")))?;
        Ok(Self(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What was allowed before is allowed again.
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// The gateway's configuration: each backend over each HTTP version, at each simulator.
fn configuration(listen: SocketAddr, simulators: [&SimHandle; 3], files: &std::path::Path) -> String {
    let [backends, deaf, silent] = simulators;
    let files = files.display();
    let mut text = format!(
        "listen:\n  - address: {listen}\n  - address: 127.0.0.1:0\n    tls: {{certificate: {files}/certificate.pem, key: {files}/key.pem}}\nworkers: 1\ndrain: {}s\nconnect: {{proxy_from_env: false}}\nlog: {{level: error}}\nhosts:\n",
        DRAIN.as_secs()
    );
    for backend in BACKENDS {
        text.push_str(&host(backend, backend, "http", backends.address(), 1));
    }
    for (way, scheme, simulator) in
        [("here", "http", backends), ("deaf", "http", deaf), ("silent", "https", silent)]
    {
        for backend in BACKENDS {
            for http in [1, 2] {
                text.push_str(&host(
                    &format!("{backend}-{way}-h{http}"),
                    backend,
                    scheme,
                    simulator.address(),
                    http,
                ));
            }
        }
    }
    text
}

fn host(name: &str, backend: &str, scheme: &str, address: SocketAddr, http: u8) -> String {
    let (kind, _) = simulated(backend);
    let how = match kind {
        "azure" => "base_url: BASE, api_version: 2024-10-21, api_key: simulated",
        "bedrock" => {
            "base_url: BASE, region: us-east-1, access_key_id: AKIDSIMULATED, secret_access_key: simulated"
        }
        "anthropic" => "base_url: BASE, api_key: simulated, pass_through: true",
        "cohere" | "ollama" => "base_url: BASE, api_key: simulated",
        "gemini" => "base_url: BASE/v1beta, api_key: simulated",
        // Kept off the Responses API, so that its callers are translated.
        "openai" => "base_url: BASE/v1, api_key: simulated, responses: never",
        "responses" => "base_url: BASE/v1, api_key: simulated, responses: always",
        _ => "base_url: BASE/v1, api_key: simulated",
    };
    let how = how
        .replace("BASE", &format!("\"{scheme}://{address}\""))
        .replace("\"/v1beta", "/v1beta\"")
        .replace("\"/v1,", "/v1\",");
    format!("  {name}: {{kind: {kind}, http: {http}, {how}}}\n")
}

/// Longer than a probe of one cell.
const DRAIN: Duration = Duration::from_secs(60);
/// A receive buffer that is soon full, in bytes.
const SMALL_BUFFER: usize = 4096;
