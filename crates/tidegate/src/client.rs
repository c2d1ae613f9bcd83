//! The client: hosts, one engine, and the calls through it.
//!
//! Never spawns and never retries: what a call holds is held by the future or the stream that its caller has. A record of
//! every call goes to the hook that the builder was given.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tidegate_engine::{
    CallRecord, Cause, Clocks, ConnectOptions, Engine, Exchange, HangUp, Meter, Recorder, Target,
};
use tidegate_wire::{
    ErrorClass, WireError,
    hub::{ChatRequest, Event, StreamOptions},
};
use tokio::sync::OnceCell;

use crate::{ChatResponse, ChatStream, Error, Host, environment};

/// Calls models on the hosts that it knows. Cheap to clone; clones share connections.
///
/// Models are addressed as `host/model`: `openai/gpt-4o`, `azure/DEPLOYMENT`,
/// `bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0`. It works inside a Tokio runtime with I/O and time enabled, and its
/// idle connections belong to the runtime that opened them: keep one client for each runtime.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    hosts: HashMap<String, Backend>,
    /// Names of `hosts` in the order in which they were given.
    order: Vec<String>,
    lacking: Vec<(&'static str, &'static str)>,
    recorder: Arc<dyn Recorder>,
    swept: Mutex<Instant>,
}

/// A host, and its target once it is known.
struct Backend {
    host: Host,
    clocks: Clocks,
    target: OnceCell<Target>,
}

impl Client {
    /// A client with the hosts that the environment has, under their kinds' names:
    ///
    /// - `openai`: `OPENAI_API_KEY`, `OPENAI_BASE_URL`;
    /// - `azure`: `AZURE_API_KEY` or `AZURE_AD_TOKEN`, `AZURE_API_BASE`, `AZURE_API_VERSION` (without it, the v1 surface);
    /// - `bedrock`: `AWS_BEARER_TOKEN_BEDROCK`, or `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, or
    ///   `AWS_PROFILE`; `AWS_REGION`.
    ///
    /// # Errors
    /// No host is there, or one has a value that can't be used.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().hosts_from_env().build()
    }

    /// A builder without hosts.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Asks for a whole reply.
    ///
    /// # Errors
    /// What went wrong, with blame and retry.
    ///
    /// # Cancel safety
    /// Dropping the future, in whatever phase, stops the backend: an HTTP/1.1 connection is closed before the drop returns,
    /// an HTTP/2 stream is reset. Then the call is settled as given up. A future that was never polled is no call.
    pub async fn chat(&self, mut request: ChatRequest) -> Result<ChatResponse, Error> {
        request.stream = None;
        self.start(request).await?.into_response().await
    }

    /// Asks for a reply as it is made. Returns when the backend has begun to answer.
    ///
    /// # Errors
    /// What went wrong before that, with blame and retry.
    ///
    /// # Cancel safety
    /// As [`Client::chat`] until it returns; from then on the [`ChatStream`] owns the backend.
    pub async fn stream(&self, mut request: ChatRequest) -> Result<ChatStream, Error> {
        request.stream.get_or_insert_with(StreamOptions::default);
        self.start(request).await
    }

    /// Names of the hosts, in the order in which they were given.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.inner.order.iter().map(String::as_str)
    }

    /// Number of idle HTTP/1.1 connections that are kept for further calls.
    pub fn idle_connections(&self) -> usize {
        self.inner.engine.idle_connections()
    }

    async fn start(&self, request: ChatRequest) -> Result<ChatStream, Error> {
        self.sweep();
        let id = format!("call_{}", uuid::Uuid::now_v7().simple());
        let hang_up = Arc::new(HangUp::default());
        let streaming = request.stream.is_some();
        let recorder = self.inner.recorder.clone();
        let meter = Meter::start(id.clone(), request.model.clone(), streaming, hang_up.clone(), recorder);
        let exchange = self.exchange(request, meter);
        let guarded = MarkedWhenDropped { future: exchange, hang_up: hang_up.clone(), done: false };
        match guarded.await {
            Ok(exchange) => Ok(ChatStream::new(exchange, id, hang_up)),
            Err(error) => Err(Error::of_call(error, &id)),
        }
    }

    async fn exchange(&self, request: ChatRequest, mut meter: Meter) -> Result<Exchange<Event>, WireError> {
        let found = self.target(&request.model).await;
        let prepared =
            found.and_then(|(target, model)| Ok((target, target.endpoint.prepare_hub(&request, model)?)));
        let (target, prepared) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                meter.status(error.status());
                meter.failed(&error);
                return Err(error);
            }
        };
        let reply = prepared.plan.events();
        // What the caller asked is in the outbound request now; a long stream must not keep it.
        drop(request);
        let mut exchange = self.inner.engine.start(target, prepared.outbound, reply, meter).await?;
        if let Some(meter) = exchange.meter() {
            meter.status(200);
        }
        Ok(exchange)
    }

    /// The host of `model`, and the host's own name for it.
    async fn target<'m>(&self, model: &'m str) -> Result<(&Target, &'m str), WireError> {
        let split = model.split_once('/').filter(|(_, rest)| !rest.is_empty());
        let found = split.and_then(|(host, rest)| Some((self.inner.hosts.get(host)?, rest)));
        let (backend, rest) = found.ok_or_else(|| self.not_found(model))?;
        let target = backend.target.get_or_try_init(|| backend.host.target(backend.clocks)).await;
        Ok((target.map_err(Error::into_cause)?, rest))
    }

    fn not_found(&self, model: &str) -> WireError {
        let shown: String = model.chars().take(SHOWN_CHARACTERS).collect();
        let hosts = self.inner.order.join(", ");
        let mut message =
            format!("no model `{}`; write host/model, where host is one of: {hosts}", shown.escape_debug());
        let host = model.split('/').next();
        if let Some((name, lacks)) = self.inner.lacking.iter().find(|(name, _)| Some(*name) == host) {
            message.push_str(&format!(" ({name} is not there because {lacks})"));
        }
        WireError::new(ErrorClass::NotFound, message).with_param("model")
    }

    /// Lets go of idle connections that are too old or whose peer has gone; nobody else does, as nothing runs in between.
    fn sweep(&self) {
        let now = Instant::now();
        {
            let mut swept = self.inner.swept.lock();
            if now.duration_since(*swept) < SWEEP_EVERY {
                return;
            }
            *swept = now;
        }
        self.inner.engine.sweep();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("hosts", &self.inner.order).finish_non_exhaustive()
    }
}

/// Makes a [`Client`].
#[derive(Default)]
pub struct ClientBuilder {
    hosts: Vec<(String, Host)>,
    lacking: Vec<(&'static str, &'static str)>,
    from_env: bool,
    clocks: Clocks,
    connect: ConnectOptions,
    recorder: Option<Arc<dyn Recorder>>,
}

impl ClientBuilder {
    /// Adds a host; its models are addressed as `name/model`. A later one of the same name takes its place.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>, host: Host) -> Self {
        self.add(name.into(), host);
        self
    }

    /// Adds the hosts that the environment has, as [`Client::from_env`] lists them.
    #[must_use]
    pub fn hosts_from_env(self) -> Self {
        // A value that is not UTF-8 can be no key and no URL.
        self.hosts_from(&|name| std::env::var(name).ok())
    }

    pub(crate) fn hosts_from(mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let found = environment::hosts(lookup);
        for (name, host) in found.hosts {
            self.add(name.to_owned(), host);
        }
        self.lacking = found.lacking;
        self.from_env = true;
        self
    }

    /// Deadlines of hosts that have none of their own.
    #[must_use]
    pub fn clocks(mut self, clocks: Clocks) -> Self {
        self.clocks = clocks;
        self
    }

    /// How connections are made: CA file, proxies from the environment, how long idle ones are kept.
    #[must_use]
    pub fn connect(mut self, options: ConnectOptions) -> Self {
        self.connect = options;
        self
    }

    /// Hands the record of every call to `hook`, exactly once: outcome, tokens, times. It is called where the call ends,
    /// which may be inside a drop: it must neither block nor panic.
    #[must_use]
    pub fn on_call(mut self, hook: impl Fn(CallRecord) + Send + Sync + 'static) -> Self {
        self.recorder = Some(Arc::new(Hook(hook)));
        self
    }

    /// The client.
    ///
    /// # Errors
    /// There is no host, a host's description can't be used, or the certificates can't be read.
    pub fn build(self) -> Result<Client, Error> {
        if self.hosts.is_empty() {
            return Err(self.no_hosts());
        }
        let mut hosts = HashMap::new();
        let mut order = Vec::new();
        for (name, host) in self.hosts {
            if name.is_empty() || name.contains('/') || name.contains(char::is_whitespace) {
                return Err(Error::configuration(
                    "a host's name has no slash and no space, and is not empty",
                ));
            }
            let backend = Backend::new(host, self.clocks)
                .map_err(|error| Error::configuration(format!("host {name}: {}", error.message())))?;
            order.push(name.clone());
            hosts.insert(name, backend);
        }
        Ok(Client {
            inner: Arc::new(Inner {
                engine: Engine::new(&self.connect)?,
                hosts,
                order,
                lacking: self.lacking,
                recorder: self.recorder.unwrap_or_else(|| Arc::new(Hook(drop))),
                swept: Mutex::new(Instant::now()),
            }),
        })
    }

    fn add(&mut self, name: String, host: Host) {
        self.hosts.retain(|(other, _)| *other != name);
        self.hosts.push((name, host));
    }

    fn no_hosts(&self) -> Error {
        if !self.from_env {
            return Error::configuration("a client needs a host");
        }
        let mut message = environment::NO_HOSTS.to_owned();
        for (name, lacks) in &self.lacking {
            message.push_str(&format!("; {name}: {lacks}"));
        }
        Error::configuration(message)
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Backend {
    fn new(host: Host, clocks: Clocks) -> Result<Self, Error> {
        host.check()?;
        let target = match host.is_static() {
            true => OnceCell::new_with(Some(host.static_target(clocks)?)),
            false => OnceCell::new(),
        };
        Ok(Self { host, clocks, target })
    }
}

/// A recorder that is a function.
struct Hook<F>(F);

impl<F: Fn(CallRecord) + Send + Sync> Recorder for Hook<F> {
    fn record(&self, record: Box<CallRecord>) {
        (self.0)(*record);
    }
}

pin_project! {
    /// Notes the hang-up before what the future holds is dropped: the meter inside counts from there.
    struct MarkedWhenDropped<F> {
        #[pin]
        future: F,
        hang_up: Arc<HangUp>,
        done: bool,
    }

    impl<F> PinnedDrop for MarkedWhenDropped<F> {
        fn drop(this: Pin<&mut Self>) {
            if !this.done {
                this.hang_up.mark(Cause::CallerGone);
            }
        }
    }
}

impl<F: Future> Future for MarkedWhenDropped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.future.poll(cx);
        *this.done = polled.is_ready();
        polled
    }
}

/// Between looks at idle connections.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// A model's name is repeated only in part.
const SHOWN_CHARACTERS: usize = 100;

#[cfg(test)]
mod tests;
