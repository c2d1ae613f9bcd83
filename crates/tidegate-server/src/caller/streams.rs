//! The streams of one HTTP/2 caller, run inside its connection's future.
//!
//! hyper wants an executor to hand streams to. Given a runtime's, the streams would live on by themselves when the
//! connection is dropped; this one keeps them, so that they are dropped with it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::stream::{FuturesUnordered, Stream as _};
use hyper::rt::Executor;
use parking_lot::Mutex;

type StreamFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// hyper's end: takes new streams.
#[derive(Clone, Default)]
pub(crate) struct StreamExecutor {
    arrived: Arc<Mutex<Vec<StreamFuture>>>,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        self.arrived.lock().push(Box::pin(stream));
    }
}

/// The connection's end: runs them.
pub(crate) struct Streams {
    executor: StreamExecutor,
    running: FuturesUnordered<StreamFuture>,
}

impl Streams {
    pub(crate) fn new(executor: StreamExecutor) -> Self {
        Self { executor, running: FuturesUnordered::new() }
    }

    /// Polls every stream that has something to do. Called after the connection has been polled, which is what brings
    /// new ones.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        loop {
            self.running.extend(self.executor.arrived.lock().drain(..));
            match Pin::new(&mut self.running).poll_next(cx) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) | Poll::Pending => {
                    if self.executor.arrived.lock().is_empty() {
                        return;
                    }
                }
            }
        }
    }
}
