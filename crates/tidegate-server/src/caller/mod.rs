//! The caller's side: accepted sockets, and the knowledge that a caller has gone.
//!
//! A connection is one future that owns everything done for its caller ([`connection`]). The socket under hyper
//! ([`socket`]) learns of FIN and RST from the operating system's readiness, whatever hyper is or isn't reading, and the
//! connection future then ends: dropping it drops handlers, reply bodies and with them the backends. Nothing polls, nothing
//! is told; there is no other path by which a hang-up travels. A connection that changes to WebSocket stays what it is: the
//! same future goes on as the relay of both sockets ([`relay`]).

mod bounds;
mod connection;
mod listener;
mod relay;
mod socket;
mod streams;
mod tail;

pub(crate) use connection::{CallerContext, Running};
pub(crate) use listener::{Listener, serve_worker};
