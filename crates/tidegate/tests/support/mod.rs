//! Simulated backends and a client of all of them, with the records of its calls.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tidegate::{
    CallRecord, ChatRequest, Client, ClientBuilder, Clocks, ConnectOptions, Host, HttpVersion, Provenance,
};
use tidegate_sim::{Config, ListenerKind, Scenario, SimHandle, Simulator};

pub(crate) const BACKENDS: [&str; 4] = ["openai", "azure", "bedrock", "anthropic"];
pub(crate) const VERSIONS: [HttpVersion; 2] = [HttpVersion::Http1, HttpVersion::Http2];
/// Longer than anything that is waited for takes.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// What a machine that is busy with other tests may add between a drop and its note by the simulator.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(50);

/// Simulators, a client, and what its hook was given.
pub(crate) struct World {
    pub(crate) sim: SimHandle,
    pub(crate) client: Client,
    records: Arc<Mutex<Vec<CallRecord>>>,
}

impl World {
    /// Every backend over `http` with default deadlines.
    pub(crate) fn new(http: HttpVersion) -> Self {
        Self::with(ListenerKind::Plain, http, Clocks::default())
    }

    /// Backends that accept a connection and never say a word.
    pub(crate) fn silent(http: HttpVersion, clocks: Clocks) -> Self {
        Self::with(ListenerKind::BlackHole, http, clocks)
    }

    pub(crate) fn with(kind: ListenerKind, http: HttpVersion, clocks: Clocks) -> Self {
        let sim = Simulator::spawn_thread(Config::one(kind)).unwrap();
        let records = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&records);
        let scheme = if kind == ListenerKind::Plain { "http" } else { "https" };
        let client = hosts(Client::builder(), &format!("{scheme}://{}", sim.address()), http)
            .clocks(clocks)
            .on_call(move |record| hook.lock().push(record))
            .build()
            .unwrap();
        Self { sim, client, records }
    }

    /// What was recorded since the last look.
    pub(crate) fn records(&self) -> Vec<CallRecord> {
        std::mem::take(&mut self.records.lock())
    }

    /// The one record of the one call since the last look.
    pub(crate) fn record(&self) -> CallRecord {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "one call, one record: {records:?}");
        records.remove(0)
    }
}

fn hosts(builder: ClientBuilder, url: &str, http: HttpVersion) -> ClientBuilder {
    builder
        .connect(ConnectOptions { proxy_from_env: false, ..ConnectOptions::default() })
        .host("openai", Host::openai("simulated").base_url(format!("{url}/v1")).http(http))
        .host("azure", Host::azure(url, "simulated").api_version("2024-10-21").http(http))
        .host("anthropic", Host::anthropic("simulated").base_url(url).http(http))
        .host(
            "bedrock",
            Host::bedrock_keys("us-east-1", "AKIDSIMULATED", "simulated", None).base_url(url).http(http),
        )
}

/// How the usage of a reply is known that was cut short after it had begun.
pub(crate) fn cut_short(backend: &str) -> Provenance {
    // Counts the prompt at the start of its reply.
    if backend == "anthropic" { Provenance::Partial } else { Provenance::Estimated }
}

/// A request that makes the simulator play `scenario`.
pub(crate) fn request(backend: &str, scenario: &str) -> ChatRequest {
    ChatRequest::new(format!("{backend}/simulated")).system("Be brief.").user(format!("[sim {scenario}]"))
}

/// The text that a healthy answer has.
pub(crate) fn whole_text(scenario: &str) -> String {
    Scenario::default().with(scenario).unwrap().whole_text()
}

/// Every backend over every HTTP version, with a tag of its own.
pub(crate) fn cells() -> impl Iterator<Item = (HttpVersion, &'static str, String)> {
    VERSIONS.into_iter().flat_map(|http| {
        BACKENDS.into_iter().map(move |backend| (http, backend, format!("{backend}-{http:?}")))
    })
}
