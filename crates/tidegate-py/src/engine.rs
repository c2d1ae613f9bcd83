//! The engine of this process: one client, and the thread that runs its reactor.
//!
//! Made by the first call. A forked process has the parent's memory without the parent's threads, and shares its sockets and
//! its epoll descriptor: so nothing of an engine from before the fork is used, closed or dropped there.

use std::{sync::Arc, thread};

use parking_lot::Mutex;
use pyo3::{exceptions::PyRuntimeError, prelude::*};
use tidegate::Client;
use tokio::runtime::{Builder, Handle};

use crate::error;

/// Connections and the runtime that they are registered with.
pub(crate) struct Engine {
    pub(crate) client: Client,
    pub(crate) runtime: Handle,
    process: u32,
}

impl Engine {
    /// The engine of this process.
    pub(crate) fn of_process(py: Python<'_>) -> PyResult<Arc<Self>> {
        // Reading the system's certificates takes milliseconds; others may run.
        py.detach(Self::get_or_make).map_err(|failure| match failure {
            Failure::Client(error) => error::of_configuration(py, &error),
            Failure::Thread(error) => {
                PyRuntimeError::new_err(format!("tidegate cannot start its engine: {error}"))
            }
        })
    }

    /// Whether this process made it; otherwise it is a parent's.
    pub(crate) fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    fn get_or_make() -> Result<Arc<Self>, Failure> {
        let mut current = ENGINE.lock();
        if let Some(engine) = current.as_ref().filter(|engine| engine.is_ours()) {
            return Ok(engine.clone());
        }
        let made = Arc::new(Self::make()?);
        // The parent's: its sockets are open there, and its thread is not here to be stopped.
        std::mem::forget(current.replace(made.clone()));
        Ok(made)
    }

    fn make() -> Result<Self, Failure> {
        let client = Client::builder().build().map_err(Failure::Client)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Thread)?;
        let handle = runtime.handle().clone();
        let run = move || runtime.block_on(std::future::pending::<()>());
        thread::Builder::new().name("tidegate".to_owned()).spawn(run).map_err(Failure::Thread)?;
        Ok(Self { client, runtime: handle, process: std::process::id() })
    }
}

enum Failure {
    Client(tidegate::Error),
    Thread(std::io::Error),
}

/// Number of idle connections that are kept for further calls.
#[pyfunction]
pub(crate) fn idle_connections() -> usize {
    let current = ENGINE.lock();
    current.as_ref().filter(|engine| engine.is_ours()).map_or(0, |engine| engine.client.idle_connections())
}

static ENGINE: Mutex<Option<Arc<Engine>>> = Mutex::new(None);
