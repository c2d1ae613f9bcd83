//! The gateway: HTTP surface, caller connections, call log, command line.
//!
//! The library is what the binary `tidegate` is made of, public so that tests and tools can run a gateway in their own
//! process ([`run::start`]).

mod caller;
pub mod cli;
mod gateway;
mod http;
pub mod probe;
mod record;
pub mod run;
