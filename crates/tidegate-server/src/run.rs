//! The life of the process: workers, signals, the drain.
//!
//! One thread for each worker, each with a current-thread runtime and an engine of its own, so that a call lives on one
//! core with its caller's and its backend's socket. SIGTERM and SIGINT begin the drain: no new connections, `/readyz` says
//! so, running calls may finish until the deadline; then they are cancelled and settled.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tidegate_engine::{ConnectOptions, Engine};
use tidegate_wire::auth::Secret;
use tokio::sync::watch;

use crate::{
    caller::{Listener, serve_worker},
    config::Targets,
    gateway::{Gateway, Limits},
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

/// What a gateway is started with.
pub struct Options {
    /// Where it listens.
    pub listeners: Vec<ListenOptions>,
    /// Key that callers must show.
    pub master_key: Option<Secret>,
    /// Where calls go.
    pub targets: Arc<Targets>,
    /// How backends are connected to.
    pub connect: ConnectOptions,
    /// Bounds on callers.
    pub limits: Limits,
    /// Between SSE comments; zero: none.
    pub heartbeat: Duration,
    /// A caller that acknowledges nothing for this long is gone.
    pub user_timeout: Duration,
    /// How long running calls may go on once the drain has begun.
    pub drain: Duration,
    /// Worker threads.
    pub workers: usize,
}

/// One listening address.
pub struct ListenOptions {
    /// Address and port; port 0: any free one.
    pub address: SocketAddr,
    /// TLS set-up, if it is to speak TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether a caller that has sent FIN may go on reading.
    pub half_close: bool,
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
/// An address can't be bound, a thread can't be started, or the connector's set-up fails.
pub fn start(options: Options) -> io::Result<Running> {
    let listeners = options
        .listeners
        .into_iter()
        .map(|listen| {
            let tls = listen.tls.map(tokio_rustls::TlsAcceptor::from);
            Listener::bind(listen.address, tls, listen.half_close, options.limits, options.user_timeout)
                .map_err(|error| {
                    io::Error::new(error.kind(), format!("can't listen on {}: {error}", listen.address))
                })
        })
        .collect::<io::Result<Vec<_>>>()?;
    let listeners = Arc::new(listeners);
    let addresses = listeners.iter().map(Listener::address).collect::<io::Result<Vec<_>>>()?;
    let metrics = Arc::new(Metrics::new());
    let calls = Arc::new(CallLog::start(metrics.clone())?);
    let (stage, _) = watch::channel(Stage::Running);
    let readiness = Readiness::default();
    let mut workers = Vec::with_capacity(options.workers);
    for index in 0..options.workers.max(1) {
        let gateway = Gateway {
            engine: Engine::new(&options.connect).map_err(io::Error::other)?,
            targets: options.targets.clone(),
            master_key: options.master_key.clone(),
            recorder: calls.clone(),
            metrics: metrics.clone(),
            limits: options.limits,
            heartbeat: options.heartbeat,
            readiness: readiness.clone(),
        };
        workers.push(worker(index, gateway, listeners.clone(), stage.subscribe())?);
    }
    Ok(Running { addresses, stage, readiness, workers, calls, drain: options.drain })
}

fn worker(
    index: usize,
    gateway: Gateway,
    listeners: Arc<Vec<Listener>>,
    stage: watch::Receiver<Stage>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("tidegate-{index}")).spawn(move || {
        let engine = gateway.engine.clone();
        let router = Router::new(Arc::new(gateway));
        runtime.block_on(async {
            let mut serving = std::pin::pin!(serve_worker(listeners, router, stage));
            let mut sweep = tokio::time::interval(SWEEP_EVERY);
            loop {
                tokio::select! {
                    served = &mut serving => return served,
                    _ = sweep.tick() => engine.sweep(),
                }
            }
        })
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
        self.calls.close();
        result
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::error!(%error, "stopped with an error");
        }
    }
}

/// Between looks at idle backend connections.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Between looks at whether the drain is over.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
