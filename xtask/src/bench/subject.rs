//! What is compared: no gateway at all, nginx as a bare reverse proxy, Tidegate, and peers.
//!
//! Each is set up from generated configuration in a temporary folder, started on its own core, and given the
//! same mock as its backend. One runs at a time, so that none pays for another's background work.

use super::load::connection::Connection;
use super::payload::{Address, Model};
use super::process::{Cores, Pinned};
use anyhow::{Result, bail};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One column of the result. The paths are those of programs, or of the folder that has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Direct,
    Nginx,
    Tidegate { program: PathBuf },
    LiteLlm { programs: PathBuf },
    Portkey { script: PathBuf },
}

/// Where and with what a subject runs.
#[derive(Clone, Debug)]
pub(crate) struct Bed {
    pub(crate) folder: PathBuf,
    pub(crate) mock: SocketAddr,
    pub(crate) cores: Cores,
}

/// A subject that answers. Direct has no process: the mock itself is the address.
pub(crate) struct Running {
    pub(crate) address: Address,
    pub(crate) process: Option<Pinned>,
}

impl Subject {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Tidegate { .. } => "tidegate",
            Self::LiteLlm { .. } => "litellm",
            Self::Portkey { .. } => "portkey",
        }
    }

    /// Starts it and waits for its first good answer.
    pub(crate) async fn start(&self, bed: &Bed) -> Result<Running> {
        let folder = bed.folder.join(self.name());
        std::fs::create_dir_all(&folder)?;
        let launch = self.launch(&folder, bed.mock)?;
        let log = folder.join("output.log");
        let process = launch.command.as_ref().map(|command| Pinned::start(command, bed.cores.gateway, &log));
        let mut running = Running { address: launch.address, process: process.transpose()? };
        running.wait_until_ready().await.map_err(|error| {
            let output = std::fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<&str> = output.lines().rev().take(15).collect();
            error.context(last.into_iter().rev().collect::<Vec<_>>().join("\n"))
        })?;
        Ok(running)
    }

    fn launch(&self, folder: &Path, mock: SocketAddr) -> Result<Launch> {
        match self {
            Self::Direct => Ok(Launch::new(None, mock, "")),
            Self::Nginx => nginx(folder, mock),
            Self::Tidegate { program } => tidegate(program, folder, mock),
            Self::LiteLlm { programs } => litellm(programs, folder, mock),
            Self::Portkey { script } => portkey(script, folder, mock),
        }
    }
}

impl Running {
    async fn wait_until_ready(&mut self) -> Result<()> {
        let request = self.address.request(Model::Unary);
        let mut last = String::from("no answer");
        for _ in 0..READY_WITHIN.as_millis() / READY_POLL.as_millis() {
            match self.try_once(&request).await {
                Ok(200) => return Ok(()),
                Ok(status) => last = format!("status {status}"),
                Err(error) => last = format!("{error:#}"),
            }
            if self.process.as_mut().is_some_and(|process| !process.is_running()) {
                bail!("it ended by itself: {last}");
            }
            tokio::time::sleep(READY_POLL).await;
        }
        bail!("not ready within {READY_WITHIN:?}: {last}")
    }

    async fn try_once(&self, request: &[u8]) -> Result<u16> {
        let mut connection = Connection::open(self.address.socket).await?;
        Ok(tokio::time::timeout(READY_WITHIN, connection.exchange(request)).await??.status())
    }

    pub(crate) async fn stop(self) {
        if let Some(process) = self.process {
            process.stop().await;
        }
    }
}

struct Launch {
    command: Option<Command>,
    address: Address,
}

impl Launch {
    fn new(command: Option<Command>, socket: SocketAddr, model_prefix: &'static str) -> Self {
        Self { command, address: Address { socket, model_prefix, headers: String::new() } }
    }
}

/// nginx does what a gateway must at the least and nothing else: it relays, flushing at once.
fn nginx(folder: &Path, mock: SocketAddr) -> Result<Launch> {
    let listen = free_port()?;
    let at = folder.display();
    let configuration = format!(
        "user root;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {at}/nginx.pid;\nerror_log {at}/error.log warn;\n\
         events {{ worker_connections 12000; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 100000000;\n  keepalive_timeout 300s;\n\
         \x20 client_body_temp_path {at}/body;\n  proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n\
         \x20 uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n\
         \x20 upstream mock {{ server {mock}; keepalive 1024; keepalive_requests 100000000; }}\n\
         \x20 server {{\n    listen {listen} backlog=8192;\n    location / {{\n      proxy_pass http://mock;\n\
         \x20     proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      proxy_buffering off;\n\
         \x20     proxy_read_timeout 300s;\n    }}\n  }}\n}}\n"
    );
    let file = write(folder, "nginx.conf", &configuration)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(file).args(["-g", "daemon off;"]);
    // Debian's folder for servers is not on every user's path.
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    Ok(Launch::new(Some(command), listen, ""))
}

/// With everything on that a call costs in production: parsing, metering and one line of record per call.
fn tidegate(program: &Path, folder: &Path, mock: SocketAddr) -> Result<Launch> {
    let listen = free_port()?;
    let calls = folder.join("calls.jsonl");
    let configuration = format!(
        "listen: {listen}\nhosts:\n  openai:\n    base_url: http://{mock}/v1\n    api_key: sk-bench\n\
         log: {{ format: json, file: {} }}\n",
        calls.display()
    );
    let file = write(folder, "tidegate.yaml", &configuration)?;
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(file);
    Ok(Launch::new(Some(command), listen, "openai/"))
}

fn litellm(programs: &Path, folder: &Path, mock: SocketAddr) -> Result<Launch> {
    let listen = free_port()?;
    let models: String = Model::ALL
        .map(|model| {
            let name = model.name();
            format!(
                "  - model_name: {name}\n    litellm_params: {{ model: openai/{name}, \
                 api_base: 'http://{mock}/v1', api_key: sk-bench }}\n"
            )
        })
        .concat();
    let file = write(folder, "litellm.yaml", &format!("model_list:\n{models}"))?;
    let mut command = Command::new(programs.join("litellm"));
    command.arg("--config").arg(file).args(["--host", "127.0.0.1", "--num_workers", "1"]);
    command.args(["--port", &listen.port().to_string()]);
    // Otherwise it fetches its price list from the network at every start.
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
    // Tidegate and the rest run without a caller's key here too.
    command.env("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true");
    Ok(Launch::new(Some(command), listen, ""))
}

fn portkey(script: &Path, folder: &Path, mock: SocketAddr) -> Result<Launch> {
    let listen = free_port()?;
    let mut command = Command::new("node");
    command.arg(script).arg(format!("--port={}", listen.port())).arg("--headless").current_dir(folder);
    command.env("NODE_ENV", "production").env("TRUSTED_CUSTOM_HOSTS", "127.0.0.1");
    let mut launch = Launch::new(Some(command), listen, "");
    launch.address.headers =
        format!("x-portkey-provider: openai\r\nx-portkey-custom-host: http://{mock}/v1\r\n");
    Ok(launch)
}

fn write(folder: &Path, name: &str, content: &str) -> Result<PathBuf> {
    let file = folder.join(name);
    std::fs::write(&file, content)?;
    Ok(file)
}

/// A port of the loopback that was free a moment ago.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// LiteLLM takes most of this to import itself.
const READY_WITHIN: Duration = Duration::from_secs(90);
const READY_POLL: Duration = Duration::from_millis(20);
