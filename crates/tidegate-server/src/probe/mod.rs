//! The hang-up matrix as a tool: calls through a gateway, cut off in every phase and in every way, and how long the gateway
//! took to close each backend.
//!
//! Works on any OpenAI-compatible gateway that can be pointed at the probe's simulated backends; without one it starts an
//! embedded Tidegate. Time is the machine's monotonic clock on both sides: read immediately before the system call that hangs
//! up, and by the simulator when the operating system tells it that its peer has closed. Used by `tidegate probe`, by the
//! demo and by the matrix test.

mod caller;
mod embedded;
mod report;
mod session;
mod surface;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tidegate_sim::{ClosedHow, Observation, SimHandle};

pub use caller::HangUp;
pub(crate) use caller::{Caller, Wire};
pub use embedded::Embedded;
pub use report::{Cell, Report, Unfilled};
pub(crate) use surface::Request;
pub use surface::Surface;

/// Where in its life a call is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The gateway's TLS handshake with the backend is not answered.
    Connecting,
    /// The backend does not read the request.
    Sending,
    /// The backend has the request and is silent.
    AwaitingHeaders,
    /// The backend has sent its head and no token.
    BeforeFirstToken,
    /// Tokens come every few milliseconds.
    BetweenFrames,
    /// Half of a frame has come.
    InsideFrame,
    /// Tokens came, then nothing.
    Stalled,
    /// The caller does not read and every buffer is full.
    CallerNotReading,
    /// A realtime session is open, and nothing is asked in it.
    IdleSession,
    /// The caller did not ask for a stream.
    NonStreaming,
    /// The gateway is going down and lets running calls finish.
    Draining,
}

impl Phase {
    /// All of them, in the order of a call.
    pub const ALL: [Self; 11] = [
        Self::Connecting,
        Self::Sending,
        Self::AwaitingHeaders,
        Self::BeforeFirstToken,
        Self::BetweenFrames,
        Self::InsideFrame,
        Self::Stalled,
        Self::CallerNotReading,
        Self::IdleSession,
        Self::NonStreaming,
        Self::Draining,
    ];

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Sending => "sending",
            Self::AwaitingHeaders => "awaiting_headers",
            Self::BeforeFirstToken => "before_first_token",
            Self::BetweenFrames => "between_frames",
            Self::InsideFrame => "inside_frame",
            Self::Stalled => "stalled",
            Self::CallerNotReading => "caller_not_reading",
            Self::IdleSession => "idle_session",
            Self::NonStreaming => "non_streaming",
            Self::Draining => "draining",
        }
    }

    /// What the simulator is asked to do.
    fn scenario(self) -> &'static str {
        match self {
            // Decided by the listener that the gateway is pointed at.
            Self::Connecting | Self::Sending | Self::IdleSession => "tokens=3",
            Self::AwaitingHeaders | Self::NonStreaming => "headers_delay=60s",
            Self::BeforeFirstToken => "first_token_delay=60s",
            Self::BetweenFrames | Self::Draining => "tokens=100000,interval=5ms",
            Self::InsideFrame => "tokens=100,interval=1ms,split_stall=8",
            Self::Stalled => "tokens=100,interval=1ms,stall=3",
            Self::CallerNotReading => "tokens=1000000,interval=0ms,text=4096",
        }
    }

    /// Whether the backend has begun to reply in it.
    pub fn has_reply(self) -> bool {
        matches!(
            self,
            Self::BeforeFirstToken
                | Self::BetweenFrames
                | Self::InsideFrame
                | Self::Stalled
                | Self::CallerNotReading
                | Self::Draining
        )
    }

    /// Whether calls of this phase can be told apart by a tag in their body; else they are made one at a time.
    fn is_tagged(self) -> bool {
        !matches!(self, Self::Connecting | Self::Sending)
    }

    /// How many pieces of the stream the caller waits for before it hangs up, so that it has had some of the answer.
    fn frames_first(self, surface: Surface) -> usize {
        match self {
            Self::BetweenFrames | Self::Draining | Self::InsideFrame | Self::Stalled => {
                surface.frames_first()
            }
            _ => 0,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The backends that are simulated; `responses` is OpenAI by its Responses API.
pub const BACKENDS: [&str; 9] =
    ["openai", "azure", "bedrock", CLAUDE_ON_BEDROCK, "anthropic", "gemini", "responses", "cohere", "ollama"];

/// Bedrock with a model that callers of Messages reach by its own API, InvokeModel.
pub const CLAUDE_ON_BEDROCK: &str = "bedrock-claude";

/// The kind of a simulated backend's host, and the model that is called there.
pub(crate) fn simulated(backend: &str) -> (&str, &'static str) {
    match backend {
        CLAUDE_ON_BEDROCK => ("bedrock", "anthropic.claude-sim"),
        "responses" => ("openai", "sim"),
        kind => (kind, "sim"),
    }
}

/// What to probe.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names out of [`BACKENDS`].
    pub backends: Vec<String>,
    /// Phases.
    pub phases: Vec<Phase>,
    /// Kinds of hang-up.
    pub hang_ups: Vec<HangUp>,
    /// What callers speak.
    pub surfaces: Vec<Surface>,
    /// HTTP versions between gateway and backend: 1, 2.
    pub http: Vec<u8>,
    /// Calls in each cell.
    pub calls: usize,
    /// When a backend that has not been closed counts as never stopped.
    pub patience: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            backends: BACKENDS.map(str::to_owned).to_vec(),
            phases: Phase::ALL.to_vec(),
            hang_ups: HangUp::ALL.to_vec(),
            surfaces: Surface::ALL.to_vec(),
            http: vec![1, 2],
            calls: 20,
            patience: Duration::from_secs(3),
        }
    }
}

/// The gateway under test, as the probe needs to know it.
pub trait Gateway {
    /// Where callers connect without TLS.
    fn plain(&self) -> SocketAddr;
    /// Where callers connect with TLS, if anywhere, and what they then trust.
    fn tls(&self) -> Option<(SocketAddr, &str)>;
    /// A key for callers.
    fn key(&self) -> Option<&str>;
    /// The name under which it reaches the simulator of `phase` as `backend` over HTTP `http`. `None`: it doesn't.
    fn model(&self, backend: &str, phase: Phase, http: u8) -> Option<String>;
    /// The simulator behind that name.
    fn simulator(&self, phase: Phase) -> &SimHandle;
    /// Whether callers can be expected to find this kind of hang-up possible; if not, its absence is no error.
    fn must_allow(&self, hang_up: HangUp) -> bool;
    /// Begins to drain; `false`: can't be made to.
    fn drain(&mut self) -> io::Result<bool>;
    /// Makes it ready for new calls after a drain.
    fn renew(&mut self) -> io::Result<()>;
}

/// Runs `plan` on `gateway`. `progress` is called after each cell with how many are done and how many there are. A cell that
/// can't be made says why ([`Cell::unfilled`]), and the others are made.
///
/// # Errors
/// The gateway can't be connected to at all, or not be made ready again after a drain.
pub async fn run(
    gateway: &mut dyn Gateway,
    plan: &Plan,
    mut progress: impl FnMut(usize, usize, &Cell),
) -> io::Result<Report> {
    let started = Instant::now();
    let missing = Missing::find(gateway, plan).await?;
    let mut wanted = Vec::new();
    for &surface in &plan.surfaces {
        for &http in &plan.http {
            for backend in &plan.backends {
                for &phase in &plan.phases {
                    for &hang_up in &plan.hang_ups {
                        if !surface.covers(backend, phase, hang_up, http) {
                            continue;
                        }
                        wanted.push(Cell::new(backend.clone(), surface, phase, hang_up, http));
                    }
                }
            }
        }
    }
    let total = wanted.len();
    let mut cells = Vec::with_capacity(total);
    for mut cell in wanted {
        match missing.of(&cell, gateway) {
            Some(why) => cell.leave_unfilled(why),
            None => try_to_fill(gateway, plan, &mut cell).await?,
        }
        progress(cells.len() + 1, total, &cell);
        cells.push(cell);
    }
    Ok(Report { cells, took: started.elapsed() })
}

/// What the gateway does not offer, found before the first call.
struct Missing {
    /// Why callers can't use HTTP/2 without TLS.
    http2: Option<String>,
}

impl Missing {
    async fn find(gateway: &dyn Gateway, plan: &Plan) -> io::Result<Self> {
        let address = gateway.plain();
        let unreachable =
            |error| io::Error::other(format!("no connection to the gateway at {address}: {error}"));
        drop(tokio::net::TcpStream::connect(address).await.map_err(unreachable)?);
        let http2 = match plan.hang_ups.iter().any(|hang_up| hang_up.is_http2()) {
            true => caller::speaks_http2(address).await.err().map(|error| error.to_string()),
            false => None,
        };
        Ok(Self { http2 })
    }

    fn of(&self, cell: &Cell, gateway: &dyn Gateway) -> Option<Unfilled> {
        if gateway.model(cell.backend(), cell.phase(), cell.http()).is_none() {
            return Some(Unfilled::NotPossible(
                "no model is known by which the gateway gets there".to_owned(),
            ));
        }
        let hang_up = cell.hang_up();
        let reason = match &self.http2 {
            Some(reason) if hang_up.is_http2() => reason.clone(),
            _ if hang_up == HangUp::TlsClose && gateway.tls().is_none() => {
                "no TLS listener is known".to_owned()
            }
            _ => return None,
        };
        Some(if gateway.must_allow(hang_up) {
            Unfilled::Failed(reason)
        } else {
            Unfilled::NotPossible(reason)
        })
    }
}

/// Fills a cell as far as it goes; what stops it becomes the cell's.
async fn try_to_fill(gateway: &mut dyn Gateway, plan: &Plan, cell: &mut Cell) -> io::Result<()> {
    if let Err(error) = fill(gateway, plan, cell).await {
        cell.leave_unfilled(Unfilled::Failed(error.to_string()));
        if cell.phase() == Phase::Draining {
            // It may be draining already, and the next cell wants a gateway.
            gateway.renew()?;
        }
    }
    Ok(())
}

async fn fill(gateway: &mut dyn Gateway, plan: &Plan, cell: &mut Cell) -> io::Result<()> {
    let together = if cell.phase().is_tagged() { TOGETHER } else { 1 };
    let mut left = plan.calls;
    while left > 0 {
        let batch = left.min(together);
        left -= batch;
        let mut calls = Vec::with_capacity(batch);
        for _ in 0..batch {
            calls.push(Call::start(gateway, cell).await?);
        }
        for call in &mut calls {
            call.reach(gateway, cell).await?;
        }
        if cell.phase() == Phase::Draining && !gateway.drain()? {
            return Err(io::Error::other("the gateway can't be made to drain"));
        }
        for call in calls {
            call.hang_up(gateway, plan, cell).await?;
        }
        if cell.phase() == Phase::Draining {
            gateway.renew()?;
        }
    }
    Ok(())
}

/// One call of a cell.
struct Call {
    caller: Caller,
    tag: Option<String>,
    began_ns: u64,
}

impl Call {
    async fn start(gateway: &dyn Gateway, cell: &Cell) -> io::Result<Self> {
        let phase = cell.phase();
        let model = gateway.model(cell.backend(), phase, cell.http()).unwrap_or_default();
        let tag = format!("p{}", uuid::Uuid::now_v7().simple());
        let request = request(&model, cell.surface(), phase, &tag);
        let began_ns = tidegate_sim::monotonic_ns();
        let wire = Wire::of(cell.hang_up(), gateway);
        let receive_buffer = (phase == Phase::CallerNotReading).then_some(SMALL_BUFFER);
        let caller = if cell.surface() == Surface::Realtime {
            let path = session::path(&request.path, &model, phase, &tag);
            Caller::open_session(&wire, &path, gateway.key(), receive_buffer).await?
        } else {
            Caller::send(&wire, request, gateway.key(), receive_buffer).await?
        };
        Ok(Self { caller, tag: phase.is_tagged().then_some(tag), began_ns })
    }

    /// Waits until the call is where it is to be cut off.
    async fn reach(&mut self, gateway: &dyn Gateway, cell: &Cell) -> io::Result<()> {
        let phase = cell.phase();
        let simulator = gateway.simulator(phase);
        let arrived = tokio::select! {
            biased;
            seen = observe(simulator, self.tag.as_deref(), self.began_ns, ARRIVAL, |_| true) => seen.is_some(),
            () = self.caller.refused() => false,
        };
        if !arrived {
            return Err(self.lost().await);
        }
        if cell.surface() == Surface::Realtime && !matches!(phase, Phase::Connecting | Phase::AwaitingHeaders)
        {
            // Once it is open.
            self.caller.read(0).await?;
            self.caller.say(&session::first_words(phase, self.tag.as_deref().unwrap_or_default())).await?;
        }
        match phase {
            Phase::Connecting | Phase::AwaitingHeaders | Phase::IdleSession | Phase::NonStreaming => {}
            // Until every buffer on the way is full.
            Phase::Sending => tokio::time::sleep(FILLING).await,
            Phase::CallerNotReading => self.await_blocked(simulator).await,
            Phase::BeforeFirstToken if cell.surface() == Surface::Realtime => {
                drop(self.caller.read_announcement().await?);
            }
            _ => drop(self.caller.read(phase.frames_first(cell.surface())).await?),
        }
        if phase == Phase::InsideFrame || phase == Phase::Stalled {
            self.observe(simulator, ARRIVAL, |seen| {
                matches!(seen.phase_at_close, tidegate_sim::Phase::InsideFrame | tidegate_sim::Phase::Stalled)
            })
            .await
            .ok_or_else(|| io::Error::other(format!("{phase}: the backend did not come that far")))?;
        }
        Ok(())
    }

    /// Why a call did not arrive, in the gateway's own words if it has any.
    async fn lost(&mut self) -> io::Error {
        let reply = tokio::time::timeout(FILLING, self.caller.read(0)).await;
        let words = match reply {
            Ok(Err(error)) => format!(": {error}"),
            Ok(Ok(_)) | Err(_) => String::new(),
        };
        io::Error::other(format!("the call did not reach the simulated backend{words}"))
    }

    /// Waits until the backend can't write any more because the caller doesn't read.
    async fn await_blocked(&self, simulator: &SimHandle) {
        let mut before = 0;
        let deadline = Instant::now() + ARRIVAL;
        while Instant::now() < deadline {
            tokio::time::sleep(FILLING).await;
            let written =
                self.observe(simulator, ARRIVAL, |_| true).await.map_or(0, |seen| seen.bytes_written);
            if written > 0 && written == before {
                return;
            }
            before = written;
        }
    }

    async fn hang_up(self, gateway: &dyn Gateway, plan: &Plan, cell: &mut Cell) -> io::Result<()> {
        let Self { caller, tag, began_ns } = self;
        let (at_ns, gone) = caller.hang_up(cell.hang_up()).await?;
        let simulator = gateway.simulator(cell.phase());
        let closed =
            observe(simulator, tag.as_deref(), began_ns, plan.patience, |seen| seen.closed_ns.is_some())
                .await;
        match closed.and_then(|seen| seen.closed_ns.map(|closed_ns| (seen, closed_ns))) {
            Some((seen, closed_ns)) => {
                // An HTTP/2 backend must lose the stream alone, not the connection that others share.
                if cell.http() == 2 && seen.closed_how == Some(ClosedHow::H2Lost) && cell.phase().is_tagged()
                {
                    cell.lost_connection();
                }
                cell.closed(at_ns, closed_ns);
            }
            None => cell.never_stopped(),
        }
        drop(gone);
        Ok(())
    }

    async fn observe(
        &self,
        simulator: &SimHandle,
        patience: Duration,
        reached: impl Fn(&Observation) -> bool,
    ) -> Option<Observation> {
        observe(simulator, self.tag.as_deref(), self.began_ns, patience, reached).await
    }
}

/// Waits for the backend's view of a call: by its tag, or as the one that began after it.
async fn observe(
    simulator: &SimHandle,
    tag: Option<&str>,
    began_ns: u64,
    patience: Duration,
    reached: impl Fn(&Observation) -> bool,
) -> Option<Observation> {
    match tag {
        Some(tag) => simulator.wait_for(tag, patience, reached).await,
        None => {
            // An HTTP/2 connection may be older than the call on it.
            let mine =
                |seen: &Observation| seen.accepted_ns.max(seen.request_ns) >= began_ns && reached(seen);
            simulator.wait_for_any(patience, mine).await
        }
    }
}

/// A request that tells the simulator what to do.
fn request(model: &str, surface: Surface, phase: Phase, tag: &str) -> Request {
    let mut prompt = format!("[sim {},tag={tag}]", phase.scenario());
    if phase == Phase::Sending {
        prompt.push_str(&"x".repeat(BIG_REQUEST));
    }
    surface.request(model, phase != Phase::NonStreaming, &prompt)
}

/// Calls that are brought into their phase together and then cut off one after the other.
const TOGETHER: usize = 10;
/// How long a call may take to reach its backend.
const ARRIVAL: Duration = Duration::from_secs(5);
/// Long enough for loopback to fill what it can.
const FILLING: Duration = Duration::from_millis(30);
/// A receive buffer that is soon full, in bytes.
const SMALL_BUFFER: usize = 4096;
/// A request that the socket buffers on the way to a backend that does not read can't hold, in bytes.
const BIG_REQUEST: usize = 512 * 1024;
