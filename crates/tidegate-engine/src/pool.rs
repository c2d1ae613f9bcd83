//! Idle HTTP/1.1 connections and shared HTTP/2 connections, by origin.
//!
//! A connection is here only while no call owns it (HTTP/1.1) or as a handle that streams are opened through (HTTP/2).
//! There is no limit on their number, and none on those in use: limits are a policy's business, not the pool's.
//! Invariant: an HTTP/1.1 connection in the pool has no unread response bytes; the operating system is asked once more when
//! it is taken.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tidegate_wire::{ErrorClass, WireError};

use crate::connection::{H1Connection, H2Handle};

/// Scheme and authority of a backend. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(Arc<Parts>);

#[derive(PartialEq, Eq, Hash)]
struct Parts {
    uri: http::Uri,
    /// `uri` without its slash: what connections are pooled by.
    key: Arc<str>,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.key)
    }
}

impl Origin {
    /// The origin of an absolute URL.
    ///
    /// # Errors
    /// The URL is not absolute, or its scheme is neither `http` nor `https`.
    pub fn of(url: &str) -> Result<Self, WireError> {
        let wrong = |why: &str| WireError::new(ErrorClass::Internal, format!("base URL `{url}` {why}"));
        let uri: http::Uri = url.parse().map_err(|_| wrong("is not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("needs a scheme and a host, such as https://example.com"));
        };
        if scheme != "http" && scheme != "https" {
            return Err(wrong("must be http or https"));
        }
        let key: Arc<str> = format!("{scheme}://{authority}").into();
        let uri = format!("{key}/").parse().map_err(|_| wrong("is not a URL"))?;
        Ok(Self(Arc::new(Parts { uri, key })))
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.uri.scheme_str() == Some("https")
    }

    pub(crate) fn uri(&self) -> &http::Uri {
        &self.0.uri
    }

    /// Host and port, as the `host` header has them.
    pub(crate) fn authority(&self) -> &str {
        self.0.uri.authority().map_or("", |authority| authority.as_str())
    }
}

pub(crate) struct Pool {
    origins: Mutex<HashMap<Arc<str>, Slot>>,
    idle_timeout: Duration,
}

#[derive(Default)]
struct Slot {
    /// Last in, first out: the warmest connection is taken, the coldest ages out.
    idle: Vec<Idle>,
    shared: Vec<H2Handle>,
}

struct Idle {
    connection: H1Connection,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(idle_timeout: Duration) -> Self {
        Self { origins: Mutex::new(HashMap::new()), idle_timeout }
    }

    /// An idle HTTP/1.1 connection that is still alive.
    pub(crate) fn take(&self, origin: &Origin) -> Option<H1Connection> {
        loop {
            // The lock is not held while the candidate is polled.
            let candidate = self.origins.lock().get_mut(&origin.0.key)?.idle.pop()?;
            let mut connection = candidate.connection;
            if candidate.since.elapsed() < self.idle_timeout && connection.is_alive() {
                return Some(connection);
            }
        }
    }

    /// Takes an idle HTTP/1.1 connection back.
    pub(crate) fn give_back(&self, origin: &Origin, connection: H1Connection) {
        let now = Instant::now();
        let mut origins = self.origins.lock();
        let slot = slot(&mut origins, origin);
        slot.idle.push(Idle { connection, since: now });
        // The coldest ones first; amortised, one look per return.
        let expired = slot.idle.iter().take_while(|idle| now - idle.since >= self.idle_timeout).count();
        slot.idle.drain(..expired);
    }

    /// A shared HTTP/2 connection with room for another stream.
    pub(crate) fn shared(&self, origin: &Origin) -> Option<H2Handle> {
        let mut origins = self.origins.lock();
        let slot = origins.get_mut(&origin.0.key)?;
        slot.shared.retain(H2Handle::is_open);
        slot.shared.iter().find_map(H2Handle::reserve)
    }

    /// Makes an HTTP/2 connection available to others.
    pub(crate) fn share(&self, origin: &Origin, handle: H2Handle) {
        slot(&mut self.origins.lock(), origin).shared.push(handle);
    }

    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for slot in self.origins.lock().values_mut() {
            slot.idle.retain_mut(|idle| now - idle.since < self.idle_timeout && idle.connection.is_alive());
            slot.shared.retain(|handle| handle.is_open() && !handle.idle_for(self.idle_timeout));
        }
    }

    pub(crate) fn idle(&self) -> usize {
        self.origins.lock().values().map(|slot| slot.idle.len()).sum()
    }
}

fn slot<'a>(origins: &'a mut HashMap<Arc<str>, Slot>, origin: &Origin) -> &'a mut Slot {
    origins.entry(origin.0.key.clone()).or_default()
}
