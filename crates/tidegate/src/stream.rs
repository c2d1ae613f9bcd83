//! A reply as it arrives. It owns the backend's connection: dropping it is the cancel.
//!
//! Never spawns and never buffers more than one piece of the backend's body. Made by [`Client::stream`](crate::Client::stream).

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use http::{HeaderMap, HeaderValue};
use tidegate_engine::{Cause, Exchange, HangUp};
use tidegate_wire::{WireError, hub::Event};

use crate::{ChatResponse, Error, response::Accumulator};

/// The events of one reply, in order; the last one of a complete reply is [`Event::End`].
///
/// A [`Stream`] of `Result<Event, Error>`; [`ChatStream::next`] saves the import of an extension trait. After an error
/// nothing follows. A backend that breaks off is an error, never an end. [`Event::Error`] is never among the events: it
/// is the `Err`.
///
/// # Cancel safety
/// Dropping it stops the backend: an HTTP/1.1 connection is closed before the drop returns, an HTTP/2 stream is reset
/// (the connection's driver writes RST_STREAM as soon as it runs). Then the call is settled. A stream that is dropped
/// after [`Event::End`] is a complete call; one that is dropped before has been given up.
pub struct ChatStream {
    exchange: Exchange<Event>,
    headers: HeaderMap,
    call_id: Box<str>,
    hang_up: Arc<HangUp>,
    dropped: Vec<String>,
    over: bool,
}

impl ChatStream {
    pub(crate) fn new(
        mut exchange: Exchange<Event>,
        call_id: String,
        hang_up: Arc<HangUp>,
        dropped: Vec<String>,
    ) -> Self {
        let headers = copied(exchange.take_headers().into_map());
        Self { exchange, headers, call_id: call_id.into(), hang_up, dropped, over: false }
    }

    /// The call's id, as in its [`CallRecord`](crate::CallRecord).
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Header fields of the backend's reply: rate limits, the backend's own request id.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Parameters that the backend can't honour and that were left out, as the request allowed ([`ChatRequest::drop_params`](
    /// crate::ChatRequest::drop_params)).
    pub fn dropped_params(&self) -> &[String] {
        &self.dropped
    }

    /// The next event; `None` once the reply is over.
    ///
    /// # Errors
    /// The reply broke off, did not follow its format, met a deadline, or the backend reported a failure inside it.
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped; the backend goes on as long as the stream itself is there.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Reads the rest of the reply and gathers it. Events that have been taken before are not in it.
    ///
    /// # Errors
    /// As [`ChatStream::next`].
    ///
    /// # Cancel safety
    /// The future owns the stream: dropping it stops the backend.
    pub async fn into_response(mut self) -> Result<ChatResponse, Error> {
        let mut gathered = Accumulator::default();
        while let Some(event) = self.next().await {
            gathered.event(event?);
        }
        let dropped_params = std::mem::take(&mut self.dropped);
        Ok(ChatResponse { dropped_params, ..gathered.into_response(self.call_id()) })
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        match self.exchange.poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.settle();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error) | Ok(Event::Error(error)))) => {
                Poll::Ready(Some(Err(self.failed(error))))
            }
            Poll::Ready(Some(Ok(event))) => {
                // The end of the HTTP body has mostly come along: then the connection goes back now, not when the caller
                // asks for what comes after the end, which it may never do.
                if event == Event::End && self.exchange.poll_next(cx).is_ready() {
                    self.settle();
                }
                Poll::Ready(Some(Ok(event)))
            }
        }
    }

    fn failed(&mut self, error: WireError) -> Error {
        if let Some(meter) = self.exchange.meter() {
            meter.status(error.status());
        }
        self.settle();
        Error::of_call(error, &self.call_id)
    }

    /// The reply is over: its record is handed in before the caller hears of it.
    fn settle(&mut self) {
        self.over = true;
        drop(self.exchange.take_meter());
    }
}

impl Stream for ChatStream {
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_event(cx)
    }
}

impl Drop for ChatStream {
    fn drop(&mut self) {
        // Before the fields are dropped, and with them the connection: the meter counts from here.
        self.hang_up.mark(Cause::CallerGone);
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("call_id", &self.call_id)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

/// The same fields with values of their own: those of a reply are slices of the buffer that it was read into, which would stay
/// for as long as the stream.
fn copied(mut headers: HeaderMap) -> HeaderMap {
    for value in headers.values_mut() {
        if let Ok(mut copy) = HeaderValue::from_bytes(value.as_bytes()) {
            copy.set_sensitive(value.is_sensitive());
            *value = copy;
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::copied;

    #[test]
    fn kept_header_fields_let_go_of_the_buffer_that_they_were_read_into() {
        let buffer = Bytes::from(b"req_1, 60".repeat(1000));
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_maybe_shared(buffer.slice(..5)).unwrap());
        headers.append("x-limit", HeaderValue::from_maybe_shared(buffer.slice(7..9)).unwrap());
        headers.append("x-limit", HeaderValue::from_maybe_shared(buffer.slice(6..9)).unwrap());
        assert!(!buffer.is_unique());
        let before = headers.clone();
        let kept = copied(headers);
        assert_eq!(kept, before);
        drop(before);
        assert!(buffer.is_unique());
    }
}
