//! The engine of this process: the thread that runs its reactor, and clients that use it.
//!
//! Made by the first call. A forked process has the parent's memory without the parent's threads, and shares its sockets and
//! its epoll descriptor: so nothing of an engine from before the fork is used, closed or dropped there. Locks are held only
//! together with the interpreter's, which whoever forks holds: a child inherits none that is locked.

use std::{
    io, panic,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use pyo3::{exceptions::PyRuntimeError, prelude::*};
use tidegate::{Client, ConnectOptions};
use tokio::runtime::{Builder, Handle};

use crate::error;

/// Connections and the runtime that they are registered with.
pub(crate) struct Engine {
    pub(crate) client: Client,
    pub(crate) runtime: Handle,
    process: u32,
}

/// Engines that connect alike: the one of this process, made by the first call.
pub(crate) struct Engines {
    options: ConnectOptions,
    current: Mutex<Option<Arc<Engine>>>,
}

impl Engine {
    /// Whether this process made it; otherwise it is a parent's.
    pub(crate) fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Engines {
    /// Engines that connect so.
    pub(crate) fn connecting(options: ConnectOptions) -> Self {
        Self { options, current: Mutex::new(None) }
    }

    /// The engine of this process.
    pub(crate) fn of_process(&self, py: Python<'_>) -> PyResult<Arc<Engine>> {
        if let Some(engine) = self.ours() {
            return Ok(engine);
        }
        let making = Making::begin(py);
        // So that a failure can be raised when there is no descriptor left to read a module with.
        py.import("tidegate.exceptions")?;
        // Reading the system's certificates takes milliseconds; others may run.
        let client = py.detach(|| Client::builder().connect(self.options.clone()).build());
        drop(making);
        let client = client.map_err(|error| error::of_configuration(py, &error))?;
        let runtime = reactor()
            .map_err(|error| PyRuntimeError::new_err(format!("tidegate cannot start its engine: {error}")))?;
        let made = Arc::new(Engine { client, runtime, process: std::process::id() });
        let mut current = self.current.lock();
        if let Some(others) = current.as_ref().filter(|engine| engine.is_ours()) {
            return Ok(others.clone());
        }
        // The parent's: its sockets are open there, and its thread is not here to be stopped.
        std::mem::forget(current.replace(made.clone()));
        Ok(made)
    }

    fn ours(&self) -> Option<Arc<Engine>> {
        self.current.lock().as_ref().filter(|engine| engine.is_ours()).cloned()
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        if let Some(engine) = self.current.get_mut().take()
            && !engine.is_ours()
        {
            std::mem::forget(engine);
        }
    }
}

/// While there is one, nobody forks: what a library has locked for once would stay locked in the child.
struct Making;

impl Making {
    fn begin(py: Python<'_>) -> Self {
        while FORKING.load(Ordering::SeqCst) > 0 {
            a_moment(py);
        }
        // Whoever forks looks at this with the interpreter's lock held, as it is here.
        MAKING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        MAKING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// To be called before a fork: waits until no engine is being made, and keeps others from beginning.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    FORKING.fetch_add(1, Ordering::SeqCst);
    while MAKING.load(Ordering::SeqCst) > 0 {
        a_moment(py);
    }
}

/// To be called after it, in either process.
#[pyfunction]
pub(crate) fn after_fork(child: bool) {
    if child {
        FORKING.store(0, Ordering::SeqCst);
    } else {
        FORKING.fetch_sub(1, Ordering::SeqCst);
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of Python's, with the interpreter's lock released")]
fn a_moment(py: Python<'_>) {
    py.detach(|| thread::sleep(Duration::from_millis(1)));
}

static MAKING: AtomicU32 = AtomicU32::new(0);
static FORKING: AtomicU32 = AtomicU32::new(0);

/// The runtime of this process, in whose thread all its engines wait.
fn reactor() -> io::Result<Handle> {
    static CURRENT: Mutex<Option<(u32, Handle)>> = Mutex::new(None);
    let process = std::process::id();
    let mut current = CURRENT.lock();
    if let Some((_, handle)) = current.as_ref().filter(|(maker, _)| *maker == process) {
        return Ok(handle.clone());
    }
    // Without a descriptor for its signals, which nobody here listens to, it panics instead.
    let runtime = panic::catch_unwind(|| Builder::new_current_thread().enable_all().build());
    let runtime =
        runtime.map_err(|_| io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()))??;
    let handle = runtime.handle().clone();
    let run = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name("tidegate".to_owned()).spawn(run)?;
    std::mem::forget(current.replace((process, handle.clone())));
    Ok(handle)
}

/// Number of idle connections that are kept for further calls, those of clients with a configuration apart.
#[pyfunction]
pub(crate) fn idle_connections() -> usize {
    ENGINES.ours().map_or(0, |engine| engine.client.idle_connections())
}

/// For calls that no configuration is given for.
pub(crate) static ENGINES: LazyLock<Engines> =
    LazyLock::new(|| Engines::connecting(ConnectOptions::default()));
