//! The life of the process: workers, signals, the drain.
//!
//! One thread for each worker, each with a current-thread runtime and an engine of its own, so that a call lives on one
//! core with its caller's and its backend's socket. SIGTERM and SIGINT begin the drain: no new connections, `/readyz` says
//! so, running calls may finish until the deadline; then they are cancelled and settled.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tidegate_config::{Config, HttpVersions, Targets, TlsFiles};
use tidegate_engine::{Engine, Fetcher, Recorder};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::{
    caller::{Listener, serve_worker},
    gateway::Gateway,
    http::Router,
    record::{CallLog, Metrics},
};

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    /// No new calls; running ones may finish.
    Draining,
    /// The drain's deadline has passed: what still runs is cancelled.
    Stopping,
}

/// Whether new calls are welcome.
#[derive(Clone, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(crate) fn is_ready(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// A gateway at work. Dropping it stops it at once; [`Running::drain`] does so in good order.
pub struct Running {
    addresses: Vec<SocketAddr>,
    stage: watch::Sender<Stage>,
    readiness: Readiness,
    workers: Vec<JoinHandle<io::Result<()>>>,
    calls: Arc<CallLog>,
    drain: Duration,
}

/// Starts a gateway.
///
/// # Errors
/// An address can't be bound, a certificate can't be used, a thread can't be started, or the connector's set-up fails.
pub fn start(config: &Config, targets: Targets) -> io::Result<Running> {
    launch(config, targets, None)
}

/// Starts a gateway whose finished calls also go to `recorder`, one after the other, on a thread that serves no call and
/// whatever the call log does. All of them have gone there when [`Running::stop`] or [`Running::drain`] returns, with two
/// exceptions, both of a recorder that blocks: while 100,000 records wait for it (50,000 for calls that reached no backend),
/// further ones never reach it, of which a line of the log says how many; and those that it has not taken 5 s after the last
/// call was settled are lost, which is an error of `stop` and `drain`.
///
/// # Errors
/// As of [`start`].
pub fn start_with(config: &Config, targets: Targets, recorder: Arc<dyn Recorder>) -> io::Result<Running> {
    launch(config, targets, Some(recorder))
}

fn launch(config: &Config, targets: Targets, recorder: Option<Arc<dyn Recorder>>) -> io::Result<Running> {
    let listeners =
        config.listen.iter().map(|listen| bind(listen, config)).collect::<io::Result<Vec<_>>>()?;
    let listeners = Arc::new(listeners);
    let addresses = listeners.iter().map(Listener::address).collect::<io::Result<Vec<_>>>()?;
    let metrics = Arc::new(Metrics::new());
    let calls = Arc::new(CallLog::start(metrics.clone(), &config.log, recorder)?);
    let (stage, _) = watch::channel(Stage::Running);
    let readiness = Readiness::default();
    let targets = Arc::new(targets);
    let mut workers = Vec::with_capacity(config.workers);
    for index in 0..config.workers.max(1) {
        let gateway = Gateway {
            engine: Engine::new(&config.connect).map_err(io::Error::other)?,
            targets: targets.clone(),
            master_key: config.master_key.clone(),
            recorder: calls.clone(),
            metrics: metrics.clone(),
            limits: config.limits,
            drop_params: config.drop_params,
            fetcher: config
                .fetch_media
                .clone()
                .map(|rules| Fetcher::new(&config.connect, rules))
                .transpose()
                .map_err(io::Error::other)?,
            heartbeat: config.heartbeat,
            readiness: readiness.clone(),
        };
        workers.push(worker(index, gateway, listeners.clone(), stage.subscribe())?);
    }
    Ok(Running { addresses, stage, readiness, workers, calls, drain: config.drain })
}

fn bind(listen: &tidegate_config::Listener, config: &Config) -> io::Result<Listener> {
    let tls = listen.tls.as_ref().map(|files| tls_acceptor(files, listen.http)).transpose()?;
    Listener::bind(listen, tls, config.limits, config.user_timeout)
        .map_err(|error| io::Error::new(error.kind(), format!("can't listen on {}: {error}", listen.address)))
}

fn tls_acceptor(files: &TlsFiles, http: HttpVersions) -> io::Result<TlsAcceptor> {
    let unusable =
        |file: &Path, error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&files.certificate, &error))?;
    let offered = [(http.http2, "h2"), (http.http1, "http/1.1")];
    tls.alpn_protocols =
        offered.iter().filter(|(spoken, _)| *spoken).map(|(_, name)| name.as_bytes().to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

fn worker(
    index: usize,
    gateway: Gateway,
    listeners: Arc<Vec<Listener>>,
    stage: watch::Receiver<Stage>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().event_interval(EVENT_INTERVAL).build()?;
    std::thread::Builder::new().name(format!("tidegate-{index}")).spawn(move || {
        let engine = gateway.engine.clone();
        let router = Router::new(Arc::new(gateway));
        let served = runtime.block_on(async {
            let mut serving = std::pin::pin!(serve_worker(listeners, router, stage));
            let mut sweep = tokio::time::interval(SWEEP_EVERY);
            loop {
                tokio::select! {
                    served = &mut serving => return served,
                    _ = sweep.tick() => if engine.sweep() {
                        sweep.reset_after(SWEEP_ON);
                    },
                }
            }
        });
        // A name look-up that hangs in a thread of its own must not hold up the end.
        runtime.shutdown_background();
        served
    })
}

impl Running {
    /// Where it listens, in the order of the options.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits for SIGTERM or SIGINT, then drains.
    ///
    /// # Errors
    /// Signals can't be waited for, or a worker has failed.
    pub fn until_signalled(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
                _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
            }
            self.begin_drain();
            // A second signal cuts the drain short.
            let deadline = tokio::time::sleep(self.drain);
            tokio::pin!(deadline);
            loop {
                tokio::select! {
                    () = &mut deadline => break,
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    () = tokio::time::sleep(DRAIN_LOOK) => if self.is_idle() { break },
                }
            }
            io::Result::Ok(())
        })?;
        self.stop()
    }

    /// Stops in good order: running calls may finish within the drain's deadline.
    ///
    /// # Errors
    /// A worker has failed.
    pub fn drain(self) -> io::Result<()> {
        self.begin_drain();
        let deadline = std::time::Instant::now() + self.drain;
        while !self.is_idle() && std::time::Instant::now() < deadline {
            std::thread::park_timeout(DRAIN_LOOK);
        }
        self.stop()
    }

    /// Begins the drain without waiting for its end.
    pub fn begin_drain(&self) {
        self.readiness.0.store(true, Ordering::Relaxed);
        self.stage.send_replace(Stage::Draining);
    }

    /// Whether every worker has ended.
    fn is_idle(&self) -> bool {
        self.workers.iter().all(JoinHandle::is_finished)
    }

    /// Cancels what still runs, settles it, and writes everything down.
    ///
    /// # Errors
    /// A worker has failed.
    pub fn stop(mut self) -> io::Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.readiness.0.store(true, Ordering::Relaxed);
        self.stage.send_replace(Stage::Stopping);
        let mut result = Ok(());
        for worker in self.workers.drain(..) {
            let ended = worker.join().unwrap_or_else(|_| Err(io::Error::other("a worker has panicked")));
            result = result.and(ended);
        }
        result.and(self.calls.close())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::error!(%error, "stopped with an error");
        }
    }
}

/// Turns of connections between looks at the sockets. The runtime's own 61 would let a busy worker come to know of a
/// hang-up milliseconds late.
const EVENT_INTERVAL: u32 = 7;
/// Between looks at idle backend connections.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Between one few of them and the next.
const SWEEP_ON: Duration = Duration::from_millis(20);
/// Between looks at whether the drain is over.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
