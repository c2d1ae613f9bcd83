//! The client: one engine, the hosts that calls can name, and the calls through it.
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
    host::row,
    hub::{ChatRequest, Event, StreamOptions},
};
use tokio::sync::OnceCell;

use crate::{
    ChatResponse, ChatStream, CredentialSources, Error, Host,
    environment::{self, Lookup, Note, Verdict},
    model, settings,
};

/// Connections, and calls through them. Cheap to clone; clones share the connections.
///
/// [`Client::chat`] and [`Client::stream`] call models on the hosts that it knows by name, addressed as `host/model`:
/// `openai/gpt-4o`, `azure/DEPLOYMENT`, `bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0`. [`Client::chat_at`] and
/// [`Client::stream_at`] call whatever [`Target`] they are given, which may be made for that one call.
///
/// It works inside a Tokio runtime with I/O and time enabled, and its idle connections belong to the runtime that opened them:
/// keep one client for each runtime.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    hosts: HashMap<String, Named>,
    /// Names of `hosts` in the order in which they were given.
    order: Vec<String>,
    /// What is to be said about variables of the environment, if that is where the hosts come from.
    notes: Vec<Note>,
    /// Deadlines of hosts without their own.
    clocks: Clocks,
    sources: CredentialSources,
    recorder: Arc<dyn Recorder>,
    swept: Mutex<Instant>,
}

/// A host, and its target once somebody has called it.
struct Named {
    host: Host,
    target: OnceCell<Target>,
}

impl Client {
    /// A client with the hosts that the environment has, under their kinds' names: `openai`, `azure`, `bedrock`.
    /// [`environment::discover`] says by which variables.
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
        self.start(None, request).await?.into_response().await
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
        self.start(None, request).await
    }

    /// As [`Client::chat`], of `target` instead of a host that the client knows: `request.model` is the target's own name for
    /// the model, without the name of a host before it. The target may be made for this one call; connections are shared with
    /// every call to the same address.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), tidegate::Error> {
    /// use std::time::Duration;
    /// use tidegate::{ChatRequest, Client, Clocks, Host, model};
    ///
    /// let client = Client::builder().build()?;
    /// let (kind, name) = model::split("azure/gpt-4o-prod").expect("host/model");
    /// let host = Host::from_environment(kind, &|name| std::env::var(name).ok())?
    ///     .base_url("https://other.openai.azure.com")
    ///     .api_key("KEY")
    ///     .header("x-team", "harbour")
    ///     .clocks(Clocks { total: Duration::from_secs(30), ..Clocks::default() });
    /// let target = client.target(&host).await?;
    /// let request = ChatRequest::new(name).user("What is a tide gate?").extra("service_tier", "flex");
    /// println!("{}", client.chat_at(&target, request).await?.text());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::chat`].
    ///
    /// # Cancel safety
    /// As [`Client::chat`].
    pub async fn chat_at(&self, target: &Target, mut request: ChatRequest) -> Result<ChatResponse, Error> {
        request.stream = None;
        self.start(Some(target), request).await?.into_response().await
    }

    /// As [`Client::stream`], of `target`, as [`Client::chat_at`].
    ///
    /// # Errors
    /// As [`Client::stream`].
    ///
    /// # Cancel safety
    /// As [`Client::stream`].
    pub async fn stream_at(&self, target: &Target, mut request: ChatRequest) -> Result<ChatStream, Error> {
        request.stream.get_or_insert_with(StreamOptions::default);
        self.start(Some(target), request).await
    }

    /// Makes `host` ready for calls. Costs no request: at most a look-up of AWS credentials, which is shared with every other
    /// host of this client that leaves them to the default chain. Deadlines are the host's own, else the client's.
    ///
    /// # Errors
    /// The description can't be used ([`Host::check`]), or the AWS default chain knows no region.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the look-up of AWS credentials; nothing is held.
    pub async fn target(&self, host: &Host) -> Result<Target, Error> {
        let mut target = host.target(&self.inner.sources).await?;
        target.clocks = host.clocks.unwrap_or(self.inner.clocks);
        Ok(target)
    }

    /// The host of this name, to be called in another way: clone it, change it, and make it a [`Client::target`].
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.inner.hosts.get(name).map(|named| &named.host)
    }

    /// Names of the hosts, in the order in which they were given.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.inner.order.iter().map(String::as_str)
    }

    /// Number of idle HTTP/1.1 connections that are kept for further calls.
    pub fn idle_connections(&self) -> usize {
        self.inner.engine.idle_connections()
    }

    /// Without a `target`, `request.model` names the host.
    async fn start(&self, target: Option<&Target>, request: ChatRequest) -> Result<ChatStream, Error> {
        self.sweep();
        let id = format!("call_{}", uuid::Uuid::now_v7().simple());
        let hang_up = Arc::new(HangUp::default());
        let streaming = request.stream.is_some();
        let mut meter = Meter::start(id.clone(), hang_up.clone(), self.inner.recorder.clone());
        meter.asked(request.model.clone(), streaming);
        let exchange = self.exchange(target, request, meter);
        let guarded = MarkedWhenDropped { future: exchange, hang_up: hang_up.clone(), done: false };
        match guarded.await {
            Ok((exchange, dropped)) => Ok(ChatStream::new(exchange, id, hang_up, dropped)),
            Err(error) => Err(Error::of_call(error, &id)),
        }
    }

    async fn exchange(
        &self,
        target: Option<&Target>,
        request: ChatRequest,
        mut meter: Meter,
    ) -> Result<(Exchange<Event>, Vec<String>), WireError> {
        let found = match target {
            Some(target) => Ok((target, request.model.as_str())),
            None => self.resolve(&request.model).await,
        };
        let prepared =
            found.and_then(|(target, model)| Ok((target, target.endpoint.prepare_hub(&request, model)?)));
        let (target, prepared) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                meter.refused(&error);
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
        Ok((exchange, prepared.dropped))
    }

    /// The host that `name` begins with, and the host's own name for the model.
    async fn resolve<'m>(&self, name: &'m str) -> Result<(&Target, &'m str), WireError> {
        // A host that is there under its kind's name is known by the kind's other names, too.
        let hosts = &self.inner.hosts;
        let host = |name| hosts.get(name).or_else(|| hosts.get(row(name)?.name));
        let found = model::split(name).and_then(|(name, rest)| Some((host(name)?, rest)));
        let (named, rest) = found.ok_or_else(|| self.not_found(name))?;
        let target = named.target.get_or_try_init(|| self.target(&named.host)).await;
        Ok((target.map_err(Error::into_cause)?, rest))
    }

    fn not_found(&self, name: &str) -> WireError {
        let mut message = model::not_found(name, [], self.hosts());
        let host = name.split('/').next();
        let note = self.inner.notes.iter().find(|note| Some(note.host) == host);
        if let Some(Note { host, message: lacks, .. }) = note.filter(|note| self.host(note.host).is_none()) {
            message.push_str(&format!(" ({host} is not there because {lacks})"));
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
        if self.inner.engine.sweep() {
            // The next call looks at the next few.
            *self.inner.swept.lock() = now.checked_sub(SWEEP_EVERY).unwrap_or(now);
        }
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
    /// What the environment said, if it was asked.
    notes: Option<Vec<Note>>,
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

    /// Adds the hosts that the environment has, as [`environment::discover`] finds them.
    #[must_use]
    pub fn hosts_from_env(self) -> Self {
        // A value that is not UTF-8 can be no key and no URL.
        self.hosts_from(&|name| std::env::var(name).ok())
    }

    /// As [`ClientBuilder::hosts_from_env`], with variables that `lookup` looks up.
    #[must_use]
    pub fn hosts_from(mut self, lookup: Lookup<'_>) -> Self {
        let found = environment::discover(lookup);
        for (name, host) in found.hosts {
            self.add(name.to_owned(), host);
        }
        self.notes = Some(found.notes);
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

    /// The client. One without hosts calls targets only ([`Client::chat_at`]).
    ///
    /// # Errors
    /// A host's description can't be used, the environment was asked for hosts and there is none or it holds a value that
    /// can't be used, or the certificates can't be read.
    pub fn build(self) -> Result<Client, Error> {
        self.check_environment()?;
        let mut hosts = HashMap::new();
        let mut order = Vec::new();
        for (name, host) in self.hosts {
            settings::host_name(&name).map_err(Error::configuration)?;
            host.check()
                .map_err(|error| Error::configuration(format!("host {name}: {}", error.message())))?;
            order.push(name.clone());
            hosts.insert(name, Named { host, target: OnceCell::new() });
        }
        Ok(Client {
            inner: Arc::new(Inner {
                engine: Engine::new(&self.connect)?,
                hosts,
                order,
                notes: self.notes.unwrap_or_default(),
                clocks: self.clocks,
                sources: CredentialSources::new(&self.connect),
                recorder: self.recorder.unwrap_or_else(|| Arc::new(Hook(drop))),
                swept: Mutex::new(Instant::now()),
            }),
        })
    }

    fn add(&mut self, name: String, host: Host) {
        self.hosts.retain(|(other, _)| *other != name);
        self.hosts.push((name, host));
    }

    fn check_environment(&self) -> Result<(), Error> {
        let Some(notes) = &self.notes else { return Ok(()) };
        // A host that was given by other means is the one that is called.
        let given = |note: &Note| self.hosts.iter().any(|(name, _)| name == note.host);
        let invalid = notes.iter().find(|note| note.verdict == Verdict::Invalid && !given(note));
        if let Some(Note { variable, message, .. }) = invalid {
            return Err(Error::configuration(format!("{variable}: {message}")));
        }
        if !self.hosts.is_empty() {
            return Ok(());
        }
        let mut message = environment::NO_HOSTS.to_owned();
        for note in notes {
            message.push_str(&format!("; {}: {}", note.host, note.message));
        }
        Err(Error::configuration(message))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("hosts", &self.hosts).finish_non_exhaustive()
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

#[cfg(test)]
mod tests;
