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
use tidegate_engine::Cause;
use tokio::time::Instant;

use super::{bounds::Bound, connection::Activity};

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
    activity: Arc<Activity>,
    running: FuturesUnordered<BoundStream>,
}

/// A stream, and when it has to be over if nobody asks it.
struct BoundStream {
    stream: StreamFuture,
    bound: Option<Bound>,
    activity: Arc<Activity>,
}

impl Streams {
    pub(super) fn new(executor: StreamExecutor, activity: Arc<Activity>) -> Self {
        Self { executor, activity, running: FuturesUnordered::new() }
    }

    /// Polls every stream that has something to do. Called after the connection has been polled, which is what brings
    /// new ones.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        loop {
            let mut arrived = self.executor.arrived.lock();
            self.running.extend(arrived.drain(..).map(|stream| BoundStream {
                stream,
                bound: None,
                activity: self.activity.clone(),
            }));
            drop(arrived);
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

    /// Drops the streams whose time is up, which resets them. Says when the next one's is. To be polled after it.
    pub(super) fn end_overdue(&mut self, now: Instant) -> Option<Instant> {
        let is_overdue = |bound: &Bound| bound.due <= now;
        if self.running.iter().any(|stream| stream.bound.as_ref().is_some_and(is_overdue)) {
            // None can be taken out of the set by itself.
            for stream in std::mem::take(&mut self.running) {
                match stream.bound.as_ref().filter(|bound| is_overdue(bound)) {
                    Some(bound) => bound.hang_up.mark(Cause::Overdue),
                    None => self.running.push(stream),
                }
            }
        }
        self.running.iter().filter_map(|stream| Some(stream.bound.as_ref()?.due)).min()
    }
}

impl Future for BoundStream {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.activity.bounds.swap(&mut this.bound);
        let polled = this.stream.as_mut().poll(cx);
        this.activity.bounds.swap(&mut this.bound);
        polled
    }
}
