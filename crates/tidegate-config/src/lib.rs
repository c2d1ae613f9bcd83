//! The gateway's configuration: a YAML file, or the environment variables that its users already have.
//!
//! [`load`] reads a file, [`discover`] looks at the environment, [`parse`] is the pure part: text in, [`Config`] and
//! problems out. Every problem that can be found is found in one pass, each with file, line, column and key. Never shows a
//! secret, never opens a connection; the environment comes in as a function. Called by the gateway's command line (`serve`,
//! `check`) and by the Python package, whose clients can be made from a gateway's file. `docs/configuration.md` documents every
//! key.

mod discover;
mod display;
mod expand;
mod hosts;
mod mask;
mod models;
mod problem;
mod reader;
mod scalar;
mod sections;
mod targets;
mod tree;

#[cfg(test)]
mod tests;

use std::{
    fs,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZero,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tidegate::Host;
use tidegate_engine::{ConnectOptions, FetchRules};
use tidegate_wire::auth::Secret;

use sections::Scope;

pub use models::Model;
pub use problem::{Position, Problem, Severity};
pub use targets::Targets;

/// Looks up an environment variable.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Everything that an operator can say. Its `Display` is the effective configuration as YAML, secrets redacted.
#[derive(Clone, Debug)]
pub struct Config {
    /// Never empty.
    pub listen: Vec<Listener>,
    /// What callers authenticate with. `None` only if every listener is on loopback.
    pub master_key: Option<Secret>,
    /// Backends by the names that their models are prefixed with. Never empty, names are unique.
    pub hosts: Vec<(String, Host)>,
    /// Whether `hosts` come from the environment, where a variable may be meant for other tools; else somebody wrote them.
    pub hosts_discovered: bool,
    /// Of `hosts` those whose whole API callers may reach, by name.
    pub pass_through: Vec<String>,
    /// The host for what no model does, where the caller names none.
    pub default_host: Option<String>,
    /// The operator's own model names. Names are unique, every target leads to a host.
    pub models: Vec<Model>,
    /// Bounds on what callers send.
    pub limits: Limits,
    /// Whether parameters that a backend can't honour are left out where the caller doesn't say.
    pub drop_params: bool,
    /// What of callers' media may be fetched for backends that take bytes alone; `None`: nothing.
    pub fetch_media: Option<FetchRules>,
    /// Pause between SSE comments while there is nothing else to send; `None`: no comments.
    pub heartbeat: Option<Duration>,
    /// TCP_USER_TIMEOUT of callers' connections: unacknowledged for this long, the caller is gone.
    pub user_timeout: Duration,
    /// How long running calls may go on after SIGTERM.
    pub drain: Duration,
    /// How backends are connected to.
    pub connect: ConnectOptions,
    /// Logging.
    pub log: Log,
    /// Worker threads, at least 1.
    pub workers: usize,
}

impl Default for Config {
    /// Without hosts: those have no default.
    fn default() -> Self {
        Self {
            listen: vec![Listener::plain(DEFAULT_LISTEN)],
            master_key: None,
            hosts: Vec::new(),
            hosts_discovered: false,
            pass_through: Vec::new(),
            default_host: None,
            models: Vec::new(),
            limits: Limits::default(),
            drop_params: false,
            fetch_media: None,
            heartbeat: Some(Duration::from_secs(15)),
            user_timeout: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            connect: ConnectOptions::default(),
            log: Log::default(),
            workers: thread::available_parallelism().map_or(1, NonZero::get),
        }
    }
}

/// An address that callers connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// With what certificate; `None`: without TLS.
    pub tls: Option<TlsFiles>,
    /// Whether a caller may send FIN and still read its reply. Default: FIN means gone.
    pub half_close: bool,
    /// HTTP versions that callers may speak; at least one.
    pub http: HttpVersions,
}

impl Listener {
    /// HTTP/1.1 and HTTP/2 without TLS.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None, half_close: false, http: HttpVersions { http1: true, http2: true } }
    }
}

/// PEM files of a TLS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// HTTP versions that a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpVersions {
    /// HTTP/1.1.
    pub http1: bool,
    /// HTTP/2, by ALPN or prior knowledge.
    pub http2: bool,
}

/// Bounds on what callers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request body.
    pub body: usize,
    /// Bytes of a request head.
    pub header_bytes: usize,
    /// From the first byte of a request until its head is complete.
    pub header_time: Duration,
    /// From the end of the head until the body is complete.
    pub body_time: Duration,
    /// How long a connection without a call is kept.
    pub idle_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 32 << 20,
            header_bytes: 64 << 10,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(60),
            // Above the 60 s after which the usual load balancers give up, so that they close first.
            idle_time: Duration::from_secs(75),
        }
    }
}

/// Logging.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Shape of a line.
    pub format: LogFormat,
    /// The least important level that is logged.
    pub level: LogLevel,
    /// Appended to; `None`: standard error.
    pub file: Option<PathBuf>,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Importance of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What needs a person.
    Error,
    /// What may need one.
    Warn,
    /// One line for each call.
    #[default]
    Info,
    /// Steps of a call.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// As in the configuration and in `tracing`'s filters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// A configuration and what is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// `None` exactly if one of the problems is an error.
    pub config: Option<Config>,
    /// In the order of the file.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// The configuration with its warnings.
    ///
    /// # Errors
    /// All problems, if one of them is an error.
    pub fn into_result(self) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        match self.config {
            Some(config) => Ok((config, self.problems)),
            None => Err(self.problems),
        }
    }

    fn of(config: Config, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.position);
        let fails = problems.iter().any(Problem::is_error);
        Self { config: (!fails).then_some(config), problems }
    }

    fn failed(problem: Problem) -> Self {
        Self { config: None, problems: vec![problem] }
    }
}

/// The configuration in `file`, or else what the environment offers. Relative paths in a file are relative to its folder.
/// Files that it names are opened, to see whether they can be.
pub fn load(file: Option<&Path>, environment: Environment<'_>) -> Loaded {
    match file {
        Some(file) => load_file(file, environment, Scope::Gateway),
        None => discover(environment),
    }
}

/// What the file says of backends: hosts, models and how to connect. What it says of callers may refer to secrets that are not
/// there, and keeps its defaults.
pub fn load_backends(file: &Path, environment: Environment<'_>) -> Loaded {
    load_file(file, environment, Scope::Backends)
}

fn load_file(file: &Path, environment: Environment<'_>, scope: Scope) -> Loaded {
    let name = file.display().to_string();
    let fail = |why: String| Loaded::failed(Problem::nowhere(Severity::Error, &name, "", why));
    let mut text = String::new();
    // A pipe and a device do not say how long they are.
    let read = fs::File::open(file).and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text));
    match read {
        Err(error) => fail(format!("can't be read: {error}")),
        Ok(length) if length as u64 > LARGEST_FILE => {
            fail(format!("is larger than {LARGEST_FILE} bytes: not a configuration"))
        }
        Ok(_) => {
            let folder = file.parent().unwrap_or(Path::new(""));
            sections::parse(&name, &text, environment, Some(folder), scope)
        }
    }
}

/// The configuration in `text`; `file` is what the problems call it. Touches no file.
pub fn parse(file: &str, text: &str, environment: Environment<'_>) -> Loaded {
    sections::parse(file, text, environment, None, Scope::Gateway)
}

/// The configuration that the environment offers: hosts from the variables that their users already have.
pub fn discover(environment: Environment<'_>) -> Loaded {
    discover::discover(environment)
}

/// What is wrong with the configuration that [`load`] would give.
pub fn check(file: Option<&Path>, environment: Environment<'_>) -> Vec<Problem> {
    load(file, environment).problems
}

/// Loopback: without a master key nobody else may call.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4000);
/// Some ten thousand model names.
const LARGEST_FILE: u64 = 1 << 20;
