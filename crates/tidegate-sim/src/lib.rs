//! Simulated backends: OpenAI, Azure OpenAI, Amazon Bedrock, Anthropic, Gemini, Cohere and Ollama endpoints, faithful to the byte in framing and headers,
//! with every fault that a [`Scenario`] can ask for, and with an exact record of when and how their caller closed.
//!
//! Used in-process by tests, by the demo and by the probe, and behind `tidegate sim`. It never connects to anything, never
//! checks a secret, and knows nothing of the gateway: what it sees of a caller is what a real backend would see, except
//! that it writes it down ([`Observation`], on the machine's monotonic clock).
//!
//! A call travels: `simulator` (accept, TLS, which HTTP) → `http1` or `http2` (request, and the outlet of `play`; `realtime` for
//! a session) →
//! `provider` (whose path, what is asked, the `plan` of the answer) → `play` (delays, faults, the watch on the peer) →
//! `journal`.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use std::time::Duration;
//! use tidegate_sim::{Config, Simulator};
//!
//! let sim = Simulator::spawn_thread(Config::default())?;
//! // ... a call through a gateway whose backend is `sim.address()`, with "[sim tag=first stall=3]" in its prompt ...
//! if let Some(seen) = sim.observation("first", Duration::from_secs(5)).await {
//!     println!("{:?} at {:?} ns, in {:?}", seen.closed_how, seen.closed_ns, seen.phase_at_close);
//! }
//! # Ok(())
//! # }
//! ```

mod clock;
mod control;
mod http1;
mod http2;
mod journal;
mod plan;
mod play;
mod provider;
mod realtime;
mod replay;
mod scenario;
mod simulator;
mod socket;
mod tls;

pub use clock::monotonic_ns;
pub use journal::{Backend, ClosedHow, Observation, Phase, Usage};
pub use replay::Replay;
pub use scenario::{Scenario, ScenarioError};
pub use simulator::{Config, Listener, ListenerKind, SimHandle, Simulator};
