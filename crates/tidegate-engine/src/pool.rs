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
    sweep: Mutex<Round>,
    idle_timeout: Duration,
}

/// Where the sweep stands.
#[derive(Default)]
struct Round {
    /// The origins that are still to be looked at.
    origins: Vec<Arc<str>>,
    /// How many idle connections of the last of them have been looked at and kept.
    kept: usize,
}

#[derive(Default)]
struct Slot {
    /// Last in, first out: the warmest connection is taken, the coldest, at the front, ages out.
    idle: Vec<Idle>,
    shared: Vec<H2Handle>,
}

struct Idle {
    connection: H1Connection,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(idle_timeout: Duration) -> Self {
        Self { origins: Mutex::default(), sweep: Mutex::default(), idle_timeout }
    }

    /// An idle HTTP/1.1 connection that is still alive.
    pub(crate) fn take(&self, origin: &Origin) -> Option<H1Connection> {
        for _ in 0..AT_ONCE {
            // The lock is not held while the candidate is polled.
            let candidate = self.origins.lock().get_mut(&origin.0.key)?.idle.pop()?;
            if candidate.since.elapsed() >= self.idle_timeout {
                // The others are colder still.
                return None;
            }
            let mut connection = candidate.connection;
            if connection.is_alive() {
                return Some(connection);
            }
        }
        None
    }

    /// Takes an idle HTTP/1.1 connection back.
    pub(crate) fn give_back(&self, origin: &Origin, connection: H1Connection) {
        let now = Instant::now();
        let is_expired = |idle: &&Idle| now - idle.since >= self.idle_timeout;
        let expired: Vec<_> = {
            let mut origins = self.origins.lock();
            let idle = &mut slot(&mut origins, origin).idle;
            idle.push(Idle { connection, since: now });
            let expired = idle.iter().take(AT_RETURN).take_while(is_expired).count();
            idle.drain(..expired).collect()
        };
        // Closed without the lock.
        drop(expired);
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

    /// Looks at the next few idle connections, so that nobody's hang-up waits for thousands of system calls. Says whether
    /// the round goes on.
    pub(crate) fn sweep(&self) -> bool {
        let now = Instant::now();
        // Closed when no lock is held any more.
        let (mut closed, mut unshared) = (Vec::new(), Vec::new());
        let mut round = self.sweep.lock();
        let mut origins = self.origins.lock();
        if round.origins.is_empty() {
            *round = Round { origins: origins.keys().cloned().collect(), kept: 0 };
        }
        let mut looks = AT_ONCE;
        while looks > 0
            && let Some(slot) = round.origins.last().and_then(|origin| origins.get_mut(origin))
        {
            let from = round.kept.min(slot.idle.len());
            let to = slot.idle.len().min(from + looks);
            let is_of_no_use =
                |idle: &mut Idle| now - idle.since >= self.idle_timeout || !idle.connection.is_alive();
            let before = closed.len();
            closed.extend(slot.idle.extract_if(from..to, is_of_no_use));
            looks -= to - from;
            round.kept = to - (closed.len() - before);
            if round.kept == slot.idle.len() {
                let is_over = |handle: &mut H2Handle| !handle.is_open() || handle.idle_for(self.idle_timeout);
                unshared.extend(slot.shared.extract_if(.., is_over));
                round.origins.pop();
                round.kept = 0;
            }
        }
        let goes_on = !round.origins.is_empty();
        drop((origins, round));
        drop((closed, unshared));
        goes_on
    }

    pub(crate) fn idle(&self) -> usize {
        self.origins.lock().values().map(|slot| slot.idle.len()).sum()
    }
}

fn slot<'a>(origins: &'a mut HashMap<Arc<str>, Slot>, origin: &Origin) -> &'a mut Slot {
    origins.entry(origin.0.key.clone()).or_default()
}

/// Idle connections that are looked at, and closed if need be, in one go: some hundred microseconds at most.
const AT_ONCE: usize = 32;
/// Those that are closed at most when one comes back: more than one, so that they become fewer.
const AT_RETURN: usize = 2;
