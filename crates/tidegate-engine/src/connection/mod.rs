//! Connections to backends, by HTTP version, behind one type: a request goes in, a head and then pieces of body come out.
//!
//! The body of a reply owns what the reply comes through. Dropping it before its end closes an HTTP/1.1 connection before
//! the drop returns and resets an HTTP/2 stream with CANCEL; reading it to its end gives the connection back.

mod h1;
mod h2;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tidegate_wire::{ErrorClass, WireError, http1};

pub(crate) use h1::H1Connection;
pub(crate) use h2::H2Handle;

use crate::pool::{Origin, Pool};

/// A connection that a call owns and has not sent on yet.
pub(crate) enum Connection {
    H1(H1Connection),
    H2(H2Handle),
}

/// The backend has not taken the request; another connection may carry it.
pub(crate) struct Unsent;

/// The head of a reply.
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: Headers,
}

/// The header fields of a reply, not read yet: few calls look at them.
pub struct Headers(Form);

enum Form {
    /// An HTTP/1.1 head as it came. It keeps the buffer that it was read into.
    Block(Bytes),
    Map(HeaderMap),
}

impl Headers {
    fn block(head: Bytes) -> Self {
        Self(Form::Block(head))
    }

    pub(crate) fn map(fields: HeaderMap) -> Self {
        Self(Form::Map(fields))
    }

    /// None.
    pub(crate) fn none() -> Self {
        Self::map(HeaderMap::new())
    }

    /// Reads all of them.
    pub fn into_map(self) -> HeaderMap {
        self.pick(|_| true)
    }

    /// Reads those that are `wanted` by name, which may be in any case. Of HTTP/2, where they have been read, there may be more.
    pub fn pick(self, wanted: impl Fn(&str) -> bool) -> HeaderMap {
        match self.0 {
            Form::Block(head) => http1::header_fields(&head, wanted),
            Form::Map(map) => map,
        }
    }
}

/// The body of a reply, and with it the connection or stream.
pub(crate) enum Body {
    H1(h1::H1Body),
    H2(h2::H2Body),
    /// Read to its end; the connection has been given back.
    Ended,
}

impl Body {
    /// The next piece. `None`: the body ended as its framing says it should, and the connection is back in the pool.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, WireError>>> {
        let polled = match self {
            Self::H1(body) => body.poll_data(cx),
            Self::H2(body) => body.poll_data(cx),
            Self::Ended => return Poll::Ready(None),
        };
        if let Poll::Ready(None) = polled
            && let Self::H1(body) = std::mem::replace(self, Self::Ended)
        {
            body.give_back();
        }
        polled
    }
}

/// Where an HTTP/1.1 connection goes once its reply has been read.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) pool: Arc<Pool>,
    pub(crate) origin: Origin,
}

/// A failure of the transport, without the addresses and bytes that the source error may show.
pub(crate) fn broken(what: &str, error: impl std::error::Error) -> WireError {
    let mut message = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    WireError::new(ErrorClass::UpstreamBroke, message).with_code("upstream_connection")
}
