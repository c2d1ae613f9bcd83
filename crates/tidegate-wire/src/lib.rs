//! Wire formats of LLM providers, as pure functions: bytes, time, ids and credentials come in as arguments, bytes and
//! events go out.
//!
//! What is here: the hub types that every dialect translates to and from ([`hub`]), framing ([`framing`]), dialects
//! ([`dialect`]), what callers speak ([`client`]), HTTP/1.1 ([`http1`]), WebSocket ([`websocket`]) and the sessions spoken over it ([`realtime`]), hosts as rows of data ([`host`]), request signing ([`auth`]), and the two machines
//! that put them together: [`outbound`] makes the backend's request out of the caller's, [`reply`] turns the backend's bytes into what
//! the caller gets.
//!
//! What is never here: sockets, clocks, randomness, logging, global state. Called by `tidegate-engine`, by the SDK crate
//! for its types, and by `tidegate-sim` for its encoders.

pub mod auth;
pub mod client;
pub mod dialect;
pub mod error;
pub mod framing;
pub mod host;
pub mod http1;
pub mod hub;
mod json;
pub mod operation;
pub mod outbound;
pub mod realtime;
pub mod reply;
pub mod websocket;

pub use error::{Blame, ErrorClass, Retry, WireError};
