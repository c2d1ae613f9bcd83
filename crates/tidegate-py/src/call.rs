//! A call as Python holds it: what is dropped to stop the backend.
//!
//! Never waits: [`Call::poll`] looks once, and whoever called it waits at the [`Bell`] that it named. No Python object is
//! made while a lock is held here: making one may run the garbage collector, and that anybody's code.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use parking_lot::Mutex;
use pyo3::{
    exceptions::PyRuntimeError,
    prelude::*,
    types::{PyDict, PyList},
};
use tidegate::{ChatStream, Event};

use crate::{
    attempts::{self, Failure, Opened},
    bell::{Bell, Ringer},
    chunks::Chunks,
    configuration::Configuration,
    engine::{ENGINES, Engine},
    error, host, whole,
};

/// One call, from its request to the last chunk of its reply.
#[pyclass(frozen, module = "tidegate._native")]
pub(crate) struct Call {
    /// What its bell names it by.
    number: u64,
    engine: Arc<Engine>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    ringer: Option<Arc<Ringer>>,
}

enum Phase {
    Opening(Pin<Box<dyn Future<Output = Result<Opened, Failure>> + Send>>),
    Streaming(Box<Streaming>),
    /// There is nothing more to come.
    Over,
    /// Given up.
    Closed,
}

struct Streaming {
    stream: Box<ChatStream>,
    /// `None` while chunks are being made of events.
    chunks: Option<Box<Chunks>>,
    /// What is to be raised once the chunks before it have been given.
    failed: Option<Failure>,
    origin: attempts::Origin,
    over: bool,
}

/// What a look at the call has found.
enum Found {
    Nothing,
    Whole(Box<(tidegate::ChatResponse, attempts::Origin)>),
    Stream,
    Events(Vec<Event>, Box<Chunks>),
    End,
    Failed(Box<Failure>),
    Closed,
    Busy,
}

#[pymethods]
impl Call {
    /// A call that nobody has polled and that so has no backend yet. Of each candidate the fields of OpenAI's request, and
    /// the settings, which say where and how; neither has a `None`. With a configuration its hosts are meant.
    ///
    /// # Errors
    /// What is wrong with an argument, by its name.
    #[new]
    #[pyo3(signature = (candidates, retries, configuration=None))]
    fn new(
        py: Python<'_>,
        candidates: Vec<(Bound<'_, PyDict>, Bound<'_, PyDict>)>,
        retries: u32,
        configuration: Option<&Configuration>,
    ) -> PyResult<Self> {
        let plan = host::plan(py, candidates, retries, configuration)?;
        let engine = configuration.map_or(&*ENGINES, |own| &own.engines).of_process(py)?;
        let opening = Box::pin(attempts::open(engine.client.clone(), plan));
        Ok(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            engine,
            state: Mutex::new(State { phase: Phase::Opening(opening), ringer: None }),
        })
    }

    /// What its bell names it by.
    #[getter]
    fn number(&self) -> u64 {
        self.number
    }

    /// Looks once. `None`: nothing yet; `bell` rings when it is time to look again. Of a whole reply the `ModelResponse`. Of a
    /// streamed one `True` when it has begun, then lists of its chunks, and an empty list at its end.
    ///
    /// # Errors
    /// What went wrong, as one of `tidegate.exceptions`.
    fn poll<'py>(&self, py: Python<'py>, bell: &Bell) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.look(bell)? {
            Found::Nothing => Ok(None),
            Found::Whole(found) => whole::response(py, found.0, &found.1).map(Some),
            Found::Stream => Ok(Some(true.into_pyobject(py)?.to_owned().into_any())),
            Found::Events(events, chunks) => self.made(py, events, chunks),
            Found::End => Ok(Some(PyList::empty(py).into_any())),
            Found::Failed(failure) => Err(error::of_call(py, &failure)),
            Found::Closed => {
                Err(PyRuntimeError::new_err("the call was closed by somebody else while this waited for it"))
            }
            Found::Busy => Err(PyRuntimeError::new_err("two threads ask for the next chunk of one stream")),
        }
    }

    /// Stops the backend: its socket is closed when this returns. Of a call that is over nothing is left to stop.
    fn close(&self) {
        let (given_up, ringer) = {
            let mut state = self.state.lock();
            let next = if matches!(state.phase, Phase::Over) { Phase::Over } else { Phase::Closed };
            (std::mem::replace(&mut state.phase, next), state.ringer.take())
        };
        if self.engine.is_ours() {
            drop(given_up);
            // Another thread may be waiting for it.
            ringer.map(Waker::from).inspect(Waker::wake_by_ref);
        } else {
            // A parent's: its descriptors are shared, and the backend is the parent's to stop.
            std::mem::forget((given_up, ringer));
        }
    }

    /// Who answers, once a stream has begun: the kind of host, and its name for the model.
    fn origin(&self) -> (String, String) {
        match &self.state.lock().phase {
            Phase::Streaming(streaming) => {
                (streaming.origin.provider.to_owned(), streaming.origin.model.to_string())
            }
            _ => (String::new(), String::new()),
        }
    }

    /// The header fields of the backend's reply, once a stream has begun.
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let fields: Vec<(String, String)> = match &self.state.lock().phase {
            Phase::Streaming(streaming) => error::readable(streaming.stream.headers()),
            _ => Vec::new(),
        };
        let headers = PyDict::new(py);
        for (name, value) in fields {
            headers.set_item(name, value)?;
        }
        Ok(headers)
    }
}

impl Call {
    /// No Python in here.
    fn look(&self, bell: &Bell) -> PyResult<Found> {
        if !self.engine.is_ours() {
            return Err(PyRuntimeError::new_err(
                "this call was made before the process was forked; make a new one in the child process",
            ));
        }
        let mut state = self.state.lock();
        let ringer = match state.ringer.take() {
            Some(ringer) if ringer.is_for(bell.shared()) => ringer,
            _ => Arc::new(Ringer::new(bell.shared().clone(), self.number)),
        };
        ringer.arm();
        let waker = Waker::from(ringer.clone());
        state.ringer = Some(ringer);
        let _context = self.engine.runtime.enter();
        Ok(state.phase.poll(&mut Context::from_waker(&waker)))
    }

    fn made<'py>(
        &self,
        py: Python<'py>,
        events: Vec<Event>,
        mut chunks: Box<Chunks>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let made = PyList::empty(py);
        for event in events {
            chunks.event(py, event, &made)?;
        }
        let mut state = self.state.lock();
        if let Phase::Streaming(streaming) = &mut state.phase {
            streaming.chunks = Some(chunks);
        }
        if made.is_empty() {
            // Events that a caller sees nothing of. What comes after them is looked at next time, which is now: a backend that
            // sends nothing else must not keep the caller's thread here.
            state.ringer.iter().for_each(Wake::wake_by_ref);
            return Ok(None);
        }
        Ok(Some(made.into_any()))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.close();
    }
}

impl Phase {
    fn poll(&mut self, cx: &mut Context<'_>) -> Found {
        match self {
            Self::Over => Found::End,
            Self::Closed => Found::Closed,
            Self::Opening(opening) => match opening.as_mut().poll(cx) {
                Poll::Pending => Found::Nothing,
                Poll::Ready(Err(failure)) => {
                    *self = Self::Over;
                    Found::Failed(Box::new(failure))
                }
                Poll::Ready(Ok(Opened::Whole(response, origin))) => {
                    *self = Self::Over;
                    Found::Whole(Box::new((*response, origin)))
                }
                Poll::Ready(Ok(Opened::Stream(stream, origin))) => {
                    *self = Self::Streaming(Box::new(Streaming::new(stream, origin)));
                    Found::Stream
                }
            },
            Self::Streaming(streaming) => {
                let found = streaming.poll(cx);
                if matches!(found, Found::End | Found::Failed(_)) {
                    *self = Self::Over;
                }
                found
            }
        }
    }
}

impl Streaming {
    fn new(stream: Box<ChatStream>, origin: attempts::Origin) -> Self {
        let chunks = Some(Box::new(Chunks::new(stream.call_id(), &origin)));
        Self { stream, chunks, failed: None, origin, over: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Found {
        if let Some(failure) = self.failed.take() {
            return Found::Failed(Box::new(failure));
        }
        if self.over {
            return Found::End;
        }
        let Some(chunks) = self.chunks.take() else { return Found::Busy };
        let events = self.ready(cx);
        if !events.is_empty() {
            return Found::Events(events, chunks);
        }
        self.chunks = Some(chunks);
        match self.failed.take() {
            Some(failure) => Found::Failed(Box::new(failure)),
            None if self.over => Found::End,
            None => Found::Nothing,
        }
    }

    fn ready(&mut self, cx: &mut Context<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < BATCH {
            match self.next(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.over = true;
                    break;
                }
                Poll::Ready(Some(Ok(event))) => events.push(event),
                Poll::Ready(Some(Err(error))) => {
                    self.failed = Some(Failure { error, origin: self.origin.clone() });
                    self.over = true;
                    break;
                }
            }
        }
        events
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, tidegate::Error>>> {
        // A future of borrowed data and no state of its own: the stream remembers the waker.
        let mut next = std::pin::pin!(self.stream.next());
        next.as_mut().poll(cx)
    }
}

/// Events to take at a time: a fast backend must not keep an event loop from its other tasks.
pub(crate) const BATCH: usize = 64;
/// Calls count from 1; a [`Bell`] that is rung for nobody says 0.
static NEXT: AtomicU64 = AtomicU64::new(1);
