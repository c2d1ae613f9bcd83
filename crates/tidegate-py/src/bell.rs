//! Wake-ups, from the engine's thread to whoever waits: a list of calls and a descriptor that is readable while it is not
//! empty.
//!
//! Ringing takes no lock of Python's. Used by `call.rs`, which rings, and by `_wait.py`, which waits.

use std::{
    io::{Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use parking_lot::Mutex;
use pyo3::{exceptions::PyOSError, prelude::*};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::getpid,
    thread::gettid,
};

/// What an event loop, or a thread, waits at for its calls.
#[pyclass(frozen, module = "tidegate._native")]
pub(crate) struct Bell {
    shared: Arc<Shared>,
    heard: UnixStream,
}

pub(crate) struct Shared {
    /// Calls to be polled. Not empty: a byte is on its way.
    rung: Mutex<Vec<u64>>,
    signal: UnixStream,
}

#[pymethods]
impl Bell {
    #[new]
    fn new() -> PyResult<Self> {
        let (signal, heard) = UnixStream::pair()?;
        signal.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        Ok(Self { shared: Arc::new(Shared { rung: Mutex::new(Vec::new()), signal }), heard })
    }

    /// The descriptor that is readable while somebody has rung.
    fn fileno(&self) -> i32 {
        self.heard.as_raw_fd()
    }

    /// Numbers of the calls that are to be polled.
    fn take(&self) -> Vec<u64> {
        // First the byte: who rings in between is in the list, and its byte wakes once for nothing.
        let mut bytes = [0; 16];
        while (&self.heard).read(&mut bytes).is_ok_and(|read| read == bytes.len()) {}
        std::mem::take(&mut self.shared.rung.lock())
    }

    /// Wakes whoever waits, for no call.
    fn ring(&self) {
        self.shared.ring(NOBODY);
    }

    /// Waits until somebody has rung, for this thread and with the interpreter's lock released.
    ///
    /// # Errors
    /// What a signal's handler raises, such as `KeyboardInterrupt`.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        // Signals are the main thread's to handle; the others need not look.
        let main = gettid() == getpid();
        let limit = main.then_some(&SIGNAL_CHECK);
        loop {
            let rung = py.detach(|| {
                let mut watched = [PollFd::new(&self.heard, PollFlags::IN)];
                poll(&mut watched, limit)
            });
            py.check_signals()?;
            match rung {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => break,
                Err(error) => return Err(PyOSError::new_err(error.raw_os_error())),
            }
        }
        self.take();
        Ok(())
    }
}

impl Bell {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    fn ring(&self, call: u64) {
        let mut rung = self.rung.lock();
        let first = rung.is_empty();
        rung.push(call);
        if first {
            // Full is as good as written, and a bell that is gone has nobody to wake.
            let _ = (&self.signal).write(&[1]);
        }
    }
}

/// A call's waker. Rings once for each poll.
pub(crate) struct Ringer {
    bell: Arc<Shared>,
    call: u64,
    rung: AtomicBool,
}

impl Ringer {
    pub(crate) fn new(bell: Arc<Shared>, call: u64) -> Self {
        Self { bell, call, rung: AtomicBool::new(false) }
    }

    pub(crate) fn is_for(&self, bell: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.bell, bell)
    }

    /// The call is being polled: the next wake-up rings again.
    pub(crate) fn arm(&self) {
        self.rung.store(false, Ordering::Release);
    }
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.bell.ring(self.call);
        }
    }
}

/// No call has this number.
const NOBODY: u64 = 0;
/// A signal that comes between the look at the signals and the wait does not end the wait; this long it may take then.
const SIGNAL_CHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
