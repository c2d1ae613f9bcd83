//! One attempt at one call: from the prepared request to the last item for the caller.
//!
//! [`Engine::start`] is a future that owns everything until the head of the reply is there; [`Exchange`] owns it from then
//! on. Neither spawns, so whoever drops them has stopped the backend.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header, uri::PathAndQuery};
use pin_project_lite::pin_project;
use tidegate_wire::{
    WireError,
    auth::{self, Credential},
    http1::{HeadReader, RequestHead},
    outbound::Outbound,
    reply::Reply,
};
use tokio::time::Instant;

use crate::{
    Credentials, Engine, HttpVersion, Origin, Target,
    clocks::{Alarm, Clock},
    connection::{Body, Connection, Head, Headers, Home},
    meter::Meter,
};

impl Engine {
    /// Sends `outbound` to `target` and waits for the head of its reply, which `reply` will read.
    ///
    /// # Errors
    /// What went wrong, with blame and retry; the meter has noted it and settles when this returns.
    ///
    /// # Cancel safety
    /// Dropping the future, in whatever phase, closes what has been opened and settles the call as given up.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` keeps two places for each argument: half a kilobyte for every call"
    )]
    pub fn start<'a, T: 'a>(
        &'a self,
        target: &'a Target,
        mut outbound: Outbound,
        mut reply: Box<dyn Reply<Item = T>>,
        mut meter: Meter,
    ) -> impl Future<Output = Result<Exchange<T>, WireError>> + 'a {
        async move {
            let mut alarm = Alarm::new(meter.started().into(), &target.clocks);
            alarm.set(Clock::Connect, Instant::now(), target.clocks.connect);
            meter.sending(
                target.endpoint.host.name,
                target.endpoint.host.abort_stops_billing,
                outbound.body.len(),
            );
            let sent = match self.send(target, &mut outbound, &mut alarm, &mut meter).await {
                Ok((head, body)) if !reply.reads(head.status) => {
                    Err(Box::pin(refusal(target, head, body, &mut alarm)).await)
                }
                sent => sent,
            };
            match sent {
                Ok((mut head, body)) => {
                    alarm.set(Clock::FirstToken, Instant::now(), target.clocks.first_token);
                    if reply.reads_head() {
                        let fields = head.headers.into_map();
                        reply.head(head.status, &fields);
                        head.headers = Headers::map(fields);
                    }
                    Ok(Exchange {
                        body,
                        reply,
                        status: head.status,
                        items: VecDeque::new(),
                        headers: head.headers,
                        alarm,
                        idle: target.clocks.idle,
                        state: State::Reading,
                        tail_bytes: 0,
                        first: true,
                        meter: Some(meter),
                    })
                }
                Err(Failure { error, clock }) => {
                    meter.refused_by(&error, clock);
                    Err(error)
                }
            }
        }
    }

    /// The reply's head may be a refusal's. A request that asks for another protocol goes out on an HTTP/1.1 connection of its own, and
    /// 101 is its success.
    pub(crate) async fn send(
        &self,
        target: &Target,
        outbound: &mut Outbound,
        alarm: &mut Alarm,
        meter: &mut Meter,
    ) -> Result<(Head, Body), Failure> {
        let upgrade = outbound.asks_for_upgrade();
        let mut lent = None;
        match &target.credentials {
            Credentials::Static(credential) => authenticate(outbound, credential)?,
            Credentials::Renewed(renewed) => {
                let credential = match renewed.ready() {
                    Some(credential) => credential,
                    // Boxed here and below: what few calls go through must not make every call's future large.
                    None => timed(alarm, Box::pin(renewed.fresh(target.endpoint.host.name))).await?,
                };
                authenticate(outbound, &credential)?;
                lent = Some((renewed, credential));
            }
        }
        let agent = HeaderValue::from_static(USER_AGENT);
        outbound.headers.entry(header::USER_AGENT).or_insert(agent);
        let mut fresh = upgrade;
        let version = if upgrade { HttpVersion::Http1 } else { target.http };
        loop {
            let pooled = if fresh { None } else { self.pooled(target) };
            let connection = match pooled {
                Some(connection) => connection,
                None => timed(alarm, Box::pin(self.open(target, version))).await?,
            };
            alarm.set(Clock::ResponseHeaders, Instant::now(), target.clocks.response_headers);
            // What is only asked for uses nothing yet.
            meter.sent(!upgrade);
            let sent = match connection {
                Connection::H1(connection) => {
                    fresh = connection.is_used();
                    let head = self.h1_head(&target.origin, outbound);
                    let home = Home { pool: self.inner.pool.clone(), origin: target.origin.clone() };
                    let reader = if upgrade { HeadReader::of_upgrade() } else { HeadReader::default() };
                    timed(alarm, connection.send(head, outbound.body.clone(), home, reader)).await?
                }
                Connection::H2(handle) => {
                    fresh = handle.is_used();
                    let request = h2_request(outbound);
                    let body = outbound.body.clone();
                    timed(alarm, Box::pin(handle.send(request, body))).await?
                }
            };
            // A pooled connection turned out to be dead before anything was written: once more on a fresh one.
            let Ok((head, body)) = sent else {
                meter.sent(false);
                if fresh {
                    alarm.set(Clock::Connect, Instant::now(), target.clocks.connect);
                    continue;
                }
                return Err(WireError::new(
                    tidegate_wire::ErrorClass::Connect,
                    "the backend closed the connection before the request was sent",
                )
                .into());
            };
            if head.status == StatusCode::UNAUTHORIZED
                && let Some((renewed, credential)) = &lent
            {
                renewed.refused(credential);
            }
            return Ok((head, body));
        }
    }

    fn pooled(&self, target: &Target) -> Option<Connection> {
        let pool = &self.inner.pool;
        // Without TLS nothing but prior knowledge leads to HTTP/2.
        let may_be_shared = match target.http {
            HttpVersion::Auto => target.origin.is_https(),
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
        };
        if may_be_shared && let Some(handle) = pool.shared(&target.origin) {
            return Some(Connection::H2(handle));
        }
        if target.http == HttpVersion::Http2 { None } else { pool.take(&target.origin).map(Connection::H1) }
    }

    async fn open(&self, target: &Target, version: HttpVersion) -> Result<Connection, WireError> {
        let connection = self.inner.connector.connect(&target.origin, version).await?;
        if let Connection::H2(handle) = &connection {
            self.inner.pool.share(&target.origin, handle.pooled());
        }
        Ok(connection)
    }

    pub(crate) fn h1_head(&self, origin: &Origin, outbound: &Outbound) -> Vec<u8> {
        let start = |path: &str| RequestHead::new(&outbound.method, path, origin.authority());
        let mut head = match self.inner.connector.plain_proxy(origin) {
            None => start(outbound.uri.path_and_query().map_or("/", PathAndQuery::as_str)),
            Some(proxy) => {
                let mut head = start(&outbound.uri.to_string());
                if let Some(auth) = proxy.basic_auth() {
                    head.field(&header::PROXY_AUTHORIZATION, auth);
                }
                head
            }
        };
        for (name, value) in &outbound.headers {
            head.field(name, value);
        }
        if outbound.asks_for_upgrade() { head.finish_upgrade() } else { head.finish(outbound.body.len()) }
    }
}

fn authenticate(outbound: &mut Outbound, credential: &Credential) -> Result<(), WireError> {
    auth::authenticate(outbound, credential, SystemTime::now())
}

/// A failure before the head of a reply, and the deadline that caused it, if one did.
pub(crate) struct Failure {
    pub(crate) error: WireError,
    pub(crate) clock: Option<Clock>,
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self { error, clock: None }
    }
}

/// Runs a step under the alarm's current deadline.
fn timed<T, F>(alarm: &mut Alarm, step: F) -> Timed<'_, F>
where
    F: Future<Output = Result<T, WireError>>,
{
    Timed { alarm, step }
}

pin_project! {
    /// A type and not an `async fn`, which would hold the step twice.
    struct Timed<'a, F> {
        alarm: &'a mut Alarm,
        #[pin]
        step: F,
    }
}

impl<T, F: Future<Output = Result<T, WireError>>> Future for Timed<'_, F> {
    type Output = Result<T, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.step.poll(cx) {
            return Poll::Ready(output.map_err(Failure::from));
        }
        this.alarm
            .poll(cx)
            .map(|(clock, allowed)| Err(Failure { error: clock.error(allowed), clock: Some(clock) }))
    }
}

/// Reads what a backend says along with an error status. A body that stalls or breaks off does not hide the status.
pub(crate) async fn refusal(target: &Target, head: Head, mut body: Body, alarm: &mut Alarm) -> Failure {
    alarm.set(Clock::Idle, Instant::now(), REFUSAL_TIME);
    let mut said = Vec::new();
    while said.len() < REFUSAL_BYTES {
        let piece = std::future::poll_fn(|cx| match body.poll_data(cx) {
            Poll::Pending => alarm.poll(cx).map(|_| None),
            polled => polled,
        });
        match piece.await {
            Some(Ok(piece)) => said.extend_from_slice(&piece),
            Some(Err(_)) | None => break,
        }
    }
    let headers = head.headers.into_map();
    target.endpoint.decode_error(head.status.as_u16(), &headers, &said).into()
}

fn h2_request(outbound: &Outbound) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = outbound.method.clone();
    *request.uri_mut() = outbound.uri.clone();
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = outbound.headers.clone();
    request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(outbound.body.len()));
    request
}

/// A backend's reply being read, and the connection that it comes through.
///
/// # Cancel safety
/// Dropping it closes the backend and then settles the call.
pub struct Exchange<T> {
    // Declared first, dropped first: the backend is closed before the meter looks at the clock.
    body: Body,
    reply: Box<dyn Reply<Item = T>>,
    items: VecDeque<T>,
    status: StatusCode,
    headers: Headers,
    alarm: Alarm,
    /// [`Clocks::idle`].
    idle: Duration,
    state: State,
    /// Bytes that came after the terminal event.
    tail_bytes: usize,
    /// Whether the caller has had no token yet.
    first: bool,
    meter: Option<Meter>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The terminal event has been seen; the rest of the HTTP body is awaited so that the connection can be kept.
    Tail,
    Over,
}

impl<T> Exchange<T> {
    /// The status of the backend's reply. Not one of success only where the reply is passed on whatever it is.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Takes the header fields of the backend's reply. Whoever doesn't want them drops them: they may keep a read buffer.
    pub fn take_headers(&mut self) -> Headers {
        std::mem::replace(&mut self.headers, Headers::none())
    }

    /// Whether nothing is to come behind the items that have been given: the reply has had its terminal event, or has failed.
    pub fn is_delivered(&self) -> bool {
        self.state != State::Reading && self.items.is_empty()
    }

    /// The call's meter. `None` once [`Exchange::take_meter`] was called.
    pub fn meter(&mut self) -> Option<&mut Meter> {
        self.meter.as_mut()
    }

    /// When the call has to be over: [`Clocks::total`](crate::Clocks::total). The reply sees to it when it is asked for its
    /// next item. Who can't go on asking, because its own caller takes nothing, drops it then and marks the hang-up as
    /// [`Cause::Overdue`](crate::Cause::Overdue).
    pub fn due(&self) -> Instant {
        self.alarm.total()
    }

    /// Takes the meter of a reply that has ended, to settle the call later (when the caller has got it all).
    pub fn take_meter(&mut self) -> Option<Meter> {
        self.note_progress();
        self.meter.take()
    }

    /// The next item for the caller. `None`: the reply is over.
    ///
    /// # Errors
    /// The call failed before anything that the caller's dialect could carry the error in. Where it can be carried, it
    /// comes as an item, and the reply is over after it.
    ///
    /// # Cancel safety
    /// No item is lost when the future that polls this is dropped.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, WireError>>> {
        loop {
            if let Some(item) = self.items.pop_front() {
                self.note_first();
                return Poll::Ready(Some(Ok(item)));
            }
            if self.state == State::Over {
                return Poll::Ready(None);
            }
            let step = match self.body.poll_data(cx) {
                Poll::Ready(Some(Ok(piece))) => self.take(piece),
                Poll::Ready(Some(Err(error))) => self.broke(error, None),
                Poll::Ready(None) => self.ended(),
                Poll::Pending => match self.alarm.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready((_, _)) if self.state == State::Tail => self.over(),
                    Poll::Ready((clock, allowed)) => self.broke(clock.error(allowed), Some(clock)),
                },
            };
            if let Err(error) = step {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    /// [`Exchange::poll_next`] as a future.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn next(&mut self) -> Option<Result<T, WireError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn take(&mut self, piece: Bytes) -> Result<(), WireError> {
        if self.state == State::Tail {
            self.tail_bytes += piece.len();
            return if self.tail_bytes > TAIL_BYTES { self.over() } else { Ok(()) };
        }
        let pushed = self.reply.push(piece, &mut self.items);
        let now = Instant::now();
        if let Err(error) = pushed {
            return self.broke(error, None);
        }
        if self.reply.progress().ended {
            self.state = State::Tail;
            self.alarm.set(Clock::Tail, now, TAIL_TIME);
        } else if let Some((clock, allowed)) = self.alarm.total_passed(now) {
            // A backend that always has something would never be waited for, and the alarm not be looked at.
            return self.broke(clock.error(allowed), Some(clock));
        } else if self.has_begun() {
            self.alarm.set(Clock::Idle, now, self.idle);
        }
        Ok(())
    }

    /// Whether the model has said something. Most backends announce their reply long before.
    fn has_begun(&self) -> bool {
        let progress = self.reply.progress();
        progress.content_events > 0 || progress.finished || progress.ended
    }

    /// The HTTP body has ended.
    fn ended(&mut self) -> Result<(), WireError> {
        if self.state == State::Reading
            && let Err(error) = self.reply.finish(&mut self.items)
        {
            return self.broke(error, None);
        }
        self.over()
    }

    fn over(&mut self) -> Result<(), WireError> {
        self.body = Body::Ended;
        self.state = State::Over;
        if let Some(meter) = &mut self.meter {
            meter.answered(self.status.is_success());
        }
        Ok(())
    }

    /// The backend is closed at once; the error becomes the stream's last items, or this call's result.
    fn broke(&mut self, error: WireError, clock: Option<Clock>) -> Result<(), WireError> {
        if self.state == State::Tail {
            // The caller has everything; only the connection is lost.
            return self.over();
        }
        self.body = Body::Ended;
        self.state = State::Over;
        if let Some(meter) = &mut self.meter {
            meter.failed_by(&error, clock);
        }
        let before = self.items.len();
        self.reply.fail(&error, &mut self.items);
        if self.items.len() == before { Err(error) } else { Ok(()) }
    }

    fn note_first(&mut self) {
        if self.first && self.has_begun() {
            self.first = false;
            if let Some(meter) = &mut self.meter {
                meter.first_token();
            }
        }
    }

    /// A reply that is dropped for its time is up, as it would have said itself had it been asked.
    fn note_overdue(&mut self) {
        if self.state == State::Over {
            return;
        }
        if let Some(meter) = self.meter.as_mut().filter(|meter| meter.is_overdue()) {
            let (clock, allowed) = self.alarm.total_allowed();
            meter.failed_by(&clock.error(allowed), Some(clock));
        }
    }

    fn note_progress(&mut self) {
        // Behind the finish of every answer come only usage and the terminal event: whoever leaves then has it all, as
        // agents do after a tool call.
        let finished =
            self.state == State::Tail || self.state == State::Reading && self.reply.progress().finished;
        let delivered_all = finished && self.items.is_empty();
        if let Some(meter) = &mut self.meter {
            meter.progressed(self.reply.take_progress());
            if delivered_all {
                // A caller that leaves after the last frame has completed its call.
                meter.answered(self.status.is_success());
            }
        }
    }
}

impl<T> Drop for Exchange<T> {
    fn drop(&mut self) {
        self.body = Body::Ended;
        self.note_overdue();
        self.note_progress();
    }
}

/// How much of an error's body is read, in bytes: the longest recorded ones are a few kilobytes.
const REFUSAL_BYTES: usize = 64 * 1024;
/// How long an error's body may stall.
const REFUSAL_TIME: Duration = Duration::from_secs(5);
/// How much may follow the terminal event, in bytes: the end of a chunked body is five.
const TAIL_BYTES: usize = 64 * 1024;
/// How long the end of an HTTP body is awaited after the reply's terminal event: it mostly comes in the same packet, and
/// a connection is worth less than a caller's wait.
const TAIL_TIME: Duration = Duration::from_millis(100);
const USER_AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
