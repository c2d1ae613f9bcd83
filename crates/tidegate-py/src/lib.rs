//! The Python package `tidegate`: what its functions do that is not Python.
//!
//! # The shape
//!
//! **The Python object owns the backend.** A `Call` (`call.rs`) holds the SDK's future, then its stream, and nothing else does:
//! no task, no channel, no thread for a call. It is polled in the thread of whoever awaits it, so closing or dropping it
//! closes the socket before the statement is over, in every phase, with retries and fallbacks inside (`attempts.rs`).
//!
//! **One engine for a process** (`engine.rs`). One thread runs the reactor and the timers of a current-thread runtime. It
//! never touches Python, so it never waits for the interpreter's lock, and an interpreter that ends need not wait for it. A
//! process that was forked makes an engine of its own; what it inherited of its parent's is left alone.
//!
//! **Waiting is a file descriptor** (`bell.rs`). A waker writes down which call it was for and, unless somebody has before,
//! one byte. An event loop of asyncio watches the descriptor as it watches its sockets (`add_reader`: wake-ups of many calls
//! come as one, and none of them takes the lock in another thread, as `call_soon_threadsafe` would); trio waits for it;
//! without a loop it is waited for with the lock released. Python's side of this is `python/tidegate/_wait.py`.
//!
//! **What is ready comes at once.** A poll takes events until nothing is ready or `BATCH` of them are there; the
//! iterator hands them out without another look here. Nothing is read ahead of a caller who does not ask: a slow caller
//! slows the backend.
//!
//! **A task that ends closes what it iterated.** A generator that is abandoned at `yield` gets no exception and waits for the
//! garbage collector, as Starlette's response leaves it. The task that iterated has ended then, and that is the signal
//! (`python/tidegate/_stream.py`).
//!
//! # What is not here
//!
//! Sockets are `tidegate-engine`'s, hosts and calls are `tidegate`'s, wire formats are `tidegate-wire`'s. No event loop: that
//! is Python's. POSIX only, as waiting is for a descriptor of a socket pair.

mod attempts;
mod bell;
mod call;
mod chunks;
mod configuration;
mod convert;
mod engine;
mod error;
mod host;
mod shapes;
mod whole;

use pyo3::prelude::*;

/// What `tidegate` is made of that is not Python. Its types are for the package's own modules.
#[pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use super::{
        bell::Bell,
        call::Call,
        configuration::Configuration,
        engine::{after_fork, before_fork, idle_connections},
        host::split_model,
    };
}
