//! A shared HTTP/2 connection, and streams on it.
//!
//! The streams of one connection belong to different calls, so no call can own the connection: its driver is a task, the
//! only one that this crate spawns. It holds no call's data; a dropped stream wakes it to write RST_STREAM(CANCEL).

use std::{
    future::Future as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::SendRequest};
use http::Request;
use parking_lot::Mutex;
use tidegate_wire::WireError;

use super::{Body, Head, Headers, Unsent, broken};
use crate::connect::Stream;

/// A handle of a shared connection, holding a place for one stream.
pub(crate) struct H2Handle {
    requests: SendRequest<Bytes>,
    shared: Arc<Shared>,
    /// Whether this handle counts in `shared.streams`.
    place: bool,
    /// Whether it came from the pool: then its peer may have closed it without our knowing yet.
    used: bool,
}

struct Shared {
    /// Streams open or about to be.
    streams: AtomicUsize,
    open: std::sync::atomic::AtomicBool,
    last_used: Mutex<Instant>,
}

impl H2Handle {
    /// Starts HTTP/2 on `stream`. The handle that is returned has a place for one stream.
    pub(crate) async fn handshake(stream: Stream) -> Result<Self, WireError> {
        let (requests, driver) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .enable_push(false)
            // What is on its way on a stream that a caller gave up is no mistake of the backend's. By default h2 forgets
            // a reset stream soon, takes such frames for mistakes, and closes the connection, with everybody else's
            // streams on it, after 1,024 of them. The memory of each is bounded by the windows.
            .max_concurrent_reset_streams(MAX_RESET_STREAMS)
            .max_local_error_reset_streams(None)
            // Tokens come in small frames, and those on a reset stream are never credited back.
            .data_frame_budget(usize::MAX)
            .handshake(stream)
            .await
            .map_err(|error| broken("the backend's HTTP/2 handshake failed", error))?;
        let shared = Arc::new(Shared {
            streams: AtomicUsize::new(1),
            open: std::sync::atomic::AtomicBool::new(true),
            last_used: Mutex::new(Instant::now()),
        });
        let open = WhileDriven(shared.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "streams of several calls share the connection, so none of them can own its driver"
        )]
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "HTTP/2 backend connection ended");
            }
            drop(open);
        });
        Ok(Self { requests, shared, place: true, used: false })
    }

    /// A handle for the pool, without a place.
    pub(crate) fn pooled(&self) -> Self {
        Self { requests: self.requests.clone(), shared: self.shared.clone(), place: false, used: true }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.shared.open.load(Ordering::Relaxed)
    }

    pub(crate) fn idle_for(&self, timeout: Duration) -> bool {
        self.shared.streams.load(Ordering::Relaxed) == 0 && self.shared.last_used.lock().elapsed() >= timeout
    }

    /// A handle with a place for one more stream, if the connection has one. Called under the pool's lock.
    pub(crate) fn reserve(&self) -> Option<Self> {
        let limit = self.requests.current_max_send_streams().min(MAX_STREAMS);
        if self.shared.streams.load(Ordering::Relaxed) >= limit {
            return None;
        }
        self.shared.streams.fetch_add(1, Ordering::Relaxed);
        Some(Self { requests: self.requests.clone(), shared: self.shared.clone(), place: true, used: true })
    }

    /// Whether it came from the pool.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// Opens a stream, sends `request` with `body`, and waits for the head of the reply.
    ///
    /// # Cancel safety
    /// Dropping the future resets the stream; the connection lives on.
    pub(crate) async fn send(
        mut self,
        request: Request<()>,
        body: Bytes,
    ) -> Result<Result<(Head, Body), Unsent>, WireError> {
        // A connection that fails here has not taken the request.
        if std::future::poll_fn(|cx| self.requests.poll_ready(cx)).await.is_err() {
            return Ok(Err(Unsent));
        }
        let Ok((response, stream)) = self.requests.send_request(request, body.is_empty()) else {
            return Ok(Err(Unsent));
        };
        let mut response = std::pin::pin!(response);
        let mut upload = Upload { stream, rest: body, asked: false };
        let response = std::future::poll_fn(|cx| {
            // A reply may come before the request has been sent whole (an early refusal): both are polled, and an
            // upload that fails is not an error as long as a head may still come.
            upload.poll(cx);
            response.as_mut().poll(cx)
        })
        .await;
        let (head, incoming) = match response {
            Ok(response) => response.into_parts(),
            // A peer that says REFUSED_STREAM has not looked at the request (RFC 9113, 8.7).
            Err(error) if error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM) => {
                return Ok(Err(Unsent));
            }
            Err(error) => return Err(broken("the backend refused the HTTP/2 stream", error)),
        };
        let body = H2Body { incoming, upload, handle: self };
        Ok(Ok((Head { status: head.status, headers: Headers::map(head.headers) }, Body::H2(body))))
    }
}

/// Held by the driver: however that ends, run out or dropped with its runtime, the connection is no longer open.
struct WhileDriven(Arc<Shared>);

impl Drop for WhileDriven {
    fn drop(&mut self) {
        self.0.open.store(false, Ordering::Relaxed);
    }
}

impl Drop for H2Handle {
    fn drop(&mut self) {
        if self.place {
            *self.shared.last_used.lock() = Instant::now();
            self.shared.streams.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The rest of a request body, sent as the backend's flow control admits it.
struct Upload {
    stream: SendStream<Bytes>,
    rest: Bytes,
    /// Whether capacity for `rest` has been asked for.
    asked: bool,
}

impl Upload {
    fn poll(&mut self, cx: &mut Context<'_>) {
        while !self.rest.is_empty() {
            if !self.asked {
                self.stream.reserve_capacity(self.rest.len());
                self.asked = true;
            }
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(admitted))) => {
                    let piece = self.rest.split_to(admitted.min(self.rest.len()));
                    if self.stream.send_data(piece, self.rest.is_empty()).is_err() {
                        self.rest = Bytes::new();
                    }
                }
                // Reset by the backend: what it has to say comes as the response.
                Poll::Ready(Some(Err(_)) | None) => self.rest = Bytes::new(),
                Poll::Pending => return,
            }
        }
    }
}

/// The body of an HTTP/2 reply, and the stream.
pub(crate) struct H2Body {
    incoming: RecvStream,
    upload: Upload,
    #[expect(dead_code, reason = "holds the stream's place until the body is dropped")]
    handle: H2Handle,
}

impl H2Body {
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, WireError>>> {
        self.upload.poll(cx);
        match self.incoming.poll_data(cx) {
            Poll::Ready(Some(Ok(data))) => {
                // What has been read is admitted again at once: the caller's pace is kept by not polling.
                let released = self.incoming.flow_control().release_capacity(data.len());
                Poll::Ready(Some(
                    released.map(|()| data).map_err(|error| broken("the backend's reply broke off", error)),
                ))
            }
            Poll::Ready(Some(Err(error))) => {
                Poll::Ready(Some(Err(broken("the backend's reply broke off", error))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Streams that one connection carries at most, whatever its peer admits: past that a lost packet stalls too many calls.
const MAX_STREAMS: usize = 256;
/// Reset streams that are remembered, each for a second, while frames for them are on their way.
const MAX_RESET_STREAMS: usize = 4096;
/// What a backend may send on one stream before we have read it.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for a connection: enough for many streams, so that one stalled caller does not hold up the others.
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
