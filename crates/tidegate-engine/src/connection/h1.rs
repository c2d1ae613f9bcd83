//! An HTTP/1.1 connection whose owner polls it.
//!
//! hyper separates a connection into a future that does the I/O and handles that talk to it. The usual way is to spawn the
//! future; then a dropped reply only asks that task to close. Here the reply owns the future too and polls it in place:
//! no task, no hand-over, and the socket is closed by the time the drop returns.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::Full;
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tidegate_wire::{ErrorClass, WireError};

use super::{Body, Head, Home, broken};
use crate::connect::{Probe, Stream};

type Driver = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

/// An HTTP/1.1 connection without a call on it, or with one that has not been answered.
pub(crate) struct H1Connection {
    requests: http1::SendRequest<Full<Bytes>>,
    /// Always there but while being dropped.
    driver: Option<Box<Driver>>,
    /// Whether a call is on it: being dropped then means that the call was given up.
    busy: bool,
    /// Whether it has carried a call before: then its peer may have closed it without our knowing yet.
    used: bool,
    probe: Probe,
}

impl H1Connection {
    pub(crate) async fn handshake(stream: Stream) -> Result<Self, WireError> {
        let probe = stream.probe();
        let (requests, driver) = http1::Builder::new()
            .max_buf_size(MAX_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken("the backend connection failed", error))?;
        Ok(Self { requests, driver: Some(Box::new(driver)), busy: false, used: false, probe })
    }

    /// Whether an idle connection can still be used, by what the operating system knows of it now.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.probe.set(true);
        let alive = self.is_reusable();
        self.probe.set(false);
        alive
    }

    /// Whether a request can be sent: open, idle, and nothing unread in it, as far as the runtime has noticed.
    fn is_reusable(&mut self) -> bool {
        // The waker is replaced at the next poll by whoever takes the connection; nobody waits for an idle one.
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_driver(&mut cx).is_pending() && self.requests.is_ready()
    }

    /// Moves bytes. Ready once the connection has ended.
    fn poll_driver(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.driver {
            Some(driver) => Pin::new(driver.as_mut()).poll(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// Whether it has carried a call before.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// Sends `request` (origin form, with `host`) and waits for the head of the reply. A request that the backend has not
    /// taken leaves its header fields, to be sent on another connection.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) fn send(
        mut self,
        request: Request<Full<Bytes>>,
        home: Home,
    ) -> impl Future<Output = Result<Result<(Head, Body), HeaderMap>, WireError>> {
        self.busy = true;
        // Takes the request now, so that the future need not hold it.
        let mut response = Box::pin(self.requests.try_send_request(request));
        async move {
            let response = std::future::poll_fn(|cx| {
                // The driver first: it is what makes the response ready.
                let driven = self.poll_driver(cx);
                match response.as_mut().poll(cx) {
                    Poll::Pending if driven.is_ready() => Poll::Ready(None),
                    polled => polled.map(Some),
                }
            })
            .await;
            let response = match response {
                Some(Ok(response)) => response,
                Some(Err(mut error)) => {
                    if let Some(request) = error.take_message() {
                        return Ok(Err(request.into_parts().0.headers));
                    }
                    return Err(broken(UNANSWERED, error.into_error()));
                }
                // hyper resolves the response before its driver ends.
                None => {
                    let error = WireError::new(ErrorClass::UpstreamBroke, UNANSWERED);
                    return Err(error.with_code("upstream_connection"));
                }
            };
            let (head, incoming) = response.into_parts();
            let closing = head.headers.get(header::CONNECTION).is_some_and(|value| value == "close");
            self.used = true;
            let body = H1Body { incoming, connection: self, home, driven: false, closing };
            Ok(Ok((Head { status: head.status, headers: head.headers }, Body::H1(body))))
        }
    }
}

impl Drop for H1Connection {
    fn drop(&mut self) {
        if self.busy
            && let Some(driver) = self.driver.take()
        {
            driver.into_parts().io.inner().close_abruptly();
        }
    }
}

/// The body of an HTTP/1.1 reply, and the connection.
pub(crate) struct H1Body {
    incoming: Incoming,
    connection: H1Connection,
    home: Home,
    /// Whether the driver has run to its end.
    driven: bool,
    closing: bool,
}

impl H1Body {
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, WireError>>> {
        loop {
            if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
                match frame {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => return Poll::Ready(Some(Ok(data))),
                        Err(_trailers) => continue,
                    },
                    Some(Err(error)) => {
                        return Poll::Ready(Some(Err(broken("the backend's reply broke off", error))));
                    }
                    None => return Poll::Ready(None),
                }
            }
            if self.driven {
                // The driver has ended and left neither a frame nor an end: nothing more can come.
                return Poll::Ready(Some(Err(WireError::new(
                    ErrorClass::Truncated,
                    "the backend closed the connection inside its reply",
                ))));
            }
            match self.connection.poll_driver(cx) {
                Poll::Ready(()) => self.driven = true,
                Poll::Pending => {
                    // The driver may have put a frame into the body just now.
                    let polled = Pin::new(&mut self.incoming).poll_frame(cx);
                    match polled {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Some(Ok(frame))) => {
                            if let Ok(data) = frame.into_data() {
                                return Poll::Ready(Some(Ok(data)));
                            }
                        }
                        Poll::Ready(Some(Err(error))) => {
                            return Poll::Ready(Some(Err(broken("the backend's reply broke off", error))));
                        }
                        Poll::Ready(None) => return Poll::Ready(None),
                    }
                }
            }
        }
    }

    /// Puts the connection back, if it can carry another call.
    pub(crate) fn give_back(mut self) {
        if !self.driven && !self.closing && self.connection.is_reusable() {
            self.connection.busy = false;
            self.home.pool.give_back(&self.home.origin, self.connection);
        }
    }
}

/// Bound of hyper's buffers for one connection, in bytes: the largest head, and how much is read ahead.
const MAX_BUFFER: usize = 64 * 1024;
const UNANSWERED: &str = "the backend closed the connection before it answered";
