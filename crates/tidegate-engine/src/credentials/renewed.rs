//! One credential that expires, kept fresh for all calls that use it.
//!
//! The first call that needs it starts the task that fetches it, and from then on the task renews it before it expires: no call
//! waits as long as there is a good one. The task belongs to no call, so none that hangs up takes the fetch from the others
//! that wait for it; it belongs to the [`Renewed`], which is to say to the targets that hold that, and ends with it. It runs on the
//! runtime of the call that started it; where that runtime ends first, the next call starts another. Where there is no good
//! credential and none can be fetched, the task ends: a source that fails is asked again when a call wants it, not before.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tidegate_wire::{WireError, auth::Credential};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use super::{Issued, Source, unavailable};

/// A credential from a [`Source`], renewed in the background.
pub struct Renewed {
    shared: Arc<Shared>,
    /// Of the last task that was started.
    task: Mutex<Option<AbortHandle>>,
}

/// What the task and the calls have in common.
struct Shared {
    source: Box<dyn Source>,
    state: watch::Sender<State>,
    /// For the task, that waits for the next renewal: look again.
    wake: Notify,
}

#[derive(Default)]
struct State {
    good: Option<Good>,
    /// The last fetch, if it failed and no credential was left: when and why.
    failure: Option<(Instant, String)>,
    /// Whether the log has heard of the failure.
    failing: bool,
    /// Whether there is a task.
    running: bool,
    /// When a backend's refusal last made us give a credential up.
    given_up: Option<Instant>,
}

struct Good {
    credential: Arc<Credential>,
    expires: Option<SystemTime>,
    /// Not after `expires`; `None` if that is.
    renew: Option<SystemTime>,
}

impl Renewed {
    /// Nothing is fetched before a call asks.
    pub fn new(source: impl Source) -> Self {
        let (state, _) = watch::channel(State::default());
        let shared = Shared { source: Box::new(source), state, wake: Notify::new() };
        Self { shared: Arc::new(shared), task: Mutex::new(None) }
    }

    /// The credential, if there is one that is good now.
    pub fn ready(&self) -> Option<Arc<Credential>> {
        let (credential, unattended) = {
            let state = self.shared.state.borrow();
            let good = state.good.as_ref().filter(|good| good.is_good())?;
            (good.credential.clone(), good.renew.is_some() && !state.running)
        };
        if unattended {
            self.attend();
        }
        Some(credential)
    }

    /// A credential that is good now, for calls to `host`: the one that is there, else the next.
    ///
    /// # Errors
    /// [`ErrorClass::UpstreamAuth`](tidegate_wire::ErrorClass::UpstreamAuth): there is none, and the source failed. It names
    /// the host, the source and what to set.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait; the fetch goes on for other calls.
    pub async fn fresh(&self, host: &str) -> Result<Arc<Credential>, WireError> {
        let began = Instant::now();
        let mut state = self.shared.state.subscribe();
        loop {
            // Before the look at what there is: what comes behind it is a change to wake up for.
            let failure = state.borrow_and_update().failure.clone();
            if let Some(credential) = self.ready() {
                return Ok(credential);
            }
            if let Some((at, why)) = failure
                && (at >= began || at.elapsed() < ASK_AGAIN)
            {
                return Err(unavailable(host, &*self.shared.source, &why));
            }
            self.attend();
            // The sender is ours: it is there as long as we are.
            let _ = state.changed().await;
        }
    }

    /// A backend has refused this credential: it is used no more, and the next is fetched. Not more often than now and then, since
    /// a backend that refuses whatever it gets must not make us ask the source at every call.
    pub fn refused(&self, credential: &Arc<Credential>) {
        let given_up = self.shared.state.send_if_modified(|state| {
            let ours = state.good.as_ref().is_some_and(|good| Arc::ptr_eq(&good.credential, credential));
            let lately = state.given_up.is_some_and(|at| at.elapsed() < GIVE_UP_AGAIN);
            if !ours || lately {
                return false;
            }
            state.good = None;
            state.given_up = Some(Instant::now());
            true
        });
        if given_up {
            let source = self.shared.source.name();
            tracing::info!(source, "a backend refused the credential: fetching another");
            self.attend();
        }
    }

    /// Sees to it that a task looks after the credential now.
    fn attend(&self) {
        let mut start = false;
        self.shared.state.send_if_modified(|state| {
            start = !state.running;
            state.running = true;
            false
        });
        if !start {
            self.shared.wake.notify_one();
            return;
        }
        let attended = Attended(self.shared.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "all calls that use the credential wait for the same fetch, so none of them can own it"
        )]
        let task = tokio::spawn(async move { attended.0.keep_fresh().await });
        *self.task.lock() = Some(task.abort_handle());
    }
}

impl Drop for Renewed {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("source", &self.shared.source.name()).finish_non_exhaustive()
    }
}

/// As long as there is one, a task runs. Its runtime may end in the middle of a fetch: who waits for that then asks anew.
struct Attended(Arc<Shared>);

impl Drop for Attended {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.running = false);
    }
}

impl Shared {
    /// Until nothing is left to be done: the credential never expires, or there is none.
    async fn keep_fresh(&self) {
        loop {
            match self.next_renewal() {
                Next::Never => return,
                Next::Now => {
                    let fetched = timeout(FETCH_TIME, self.source.fetch()).await;
                    let timed_out = || Err(format!("no answer within {} s", FETCH_TIME.as_secs()));
                    if !self.note(fetched.unwrap_or_else(|_| timed_out())) {
                        return;
                    }
                }
                Next::In(pause) => tokio::select! {
                    () = sleep(pause) => {}
                    () = self.wake.notified() => {}
                },
            }
        }
    }

    fn next_renewal(&self) -> Next {
        let state = self.state.borrow();
        let Some(good) = state.good.as_ref().filter(|good| good.is_good()) else { return Next::Now };
        let Some(renew) = good.renew else { return Next::Never };
        match renew.duration_since(SystemTime::now()) {
            // The wall clock is looked at now and then: it goes on while a machine sleeps, and may be set.
            Ok(left) if !left.is_zero() => Next::In(left.min(LOOK_AGAIN)),
            _ => Next::Now,
        }
    }

    /// Says whether there is a good credential now.
    fn note(&self, fetched: Result<Issued, String>) -> bool {
        match fetched {
            Ok(issued) => {
                let mut failed_before = false;
                self.state.send_modify(|state| {
                    failed_before = std::mem::take(&mut state.failing);
                    state.failure = None;
                    state.good = Some(Good::new(issued));
                });
                if failed_before {
                    tracing::info!(source = self.source.name(), "credentials can be fetched again");
                }
                true
            }
            Err(why) => self.note_failure(&why),
        }
    }

    /// A source that fails for a moment is no reason to throw a good credential away.
    fn note_failure(&self, why: &str) -> bool {
        let mut first = false;
        let mut good_for = None;
        self.state.send_modify(|state| {
            first = !std::mem::replace(&mut state.failing, true);
            state.good = state.good.take().filter(Good::is_good);
            match &mut state.good {
                Some(good) => good_for = good.try_again(),
                None => state.failure = Some((Instant::now(), why.to_owned())),
            }
        });
        if first {
            let good_for = good_for.map_or(0, |left: Duration| left.as_secs());
            let (source, remedy) = (self.source.name(), self.source.remedy());
            tracing::warn!(source, why, remedy, old_one_good_for_s = good_for, "no new credential");
        }
        self.state.borrow().good.is_some()
    }
}

enum Next {
    Now,
    In(Duration),
    Never,
}

impl Good {
    fn new(Issued { credential, expires }: Issued) -> Self {
        let now = SystemTime::now();
        let renew = expires.map(|expires| {
            let left = expires.duration_since(now).unwrap_or_default();
            // A source may give what it gave before, which ends when that did: then the pauses grow shorter, down to one.
            now + left.saturating_sub(RENEW_BEFORE.min(left / 2)).max(SHORTEST_PAUSE)
        });
        Self { credential: Arc::new(credential), expires, renew }
    }

    fn is_good(&self) -> bool {
        self.expires.is_none_or(|expires| expires > SystemTime::now())
    }

    /// Moves the renewal to a while later, the sooner the less is left. Says what is left.
    fn try_again(&mut self) -> Option<Duration> {
        let now = SystemTime::now();
        let left = self.expires?.duration_since(now).ok()?;
        self.renew = Some(now + (left / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        Some(left)
    }
}

/// Renewal starts this long before the end, or when half of the time is up, if that is later: several times what a slow metadata
/// service takes. Those of Google and Azure have a new token from about then on.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// How long one fetch may take: a metadata service that says `later` is asked for a minute by the vendors' own clients.
const FETCH_TIME: Duration = Duration::from_secs(60);
/// At least this long lies between two fetches of the task's own accord.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// At most this long lies between two fetches while they fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// For this long calls get the last failure instead of another fetch.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// At least this long lies between two credentials that are given up because a backend refused them.
const GIVE_UP_AGAIN: Duration = Duration::from_secs(10);
/// How often the wall clock is compared with a credential's end.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
