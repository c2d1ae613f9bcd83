//! How the gateway behaves towards callers and backends, misbehaving ones above all. Names of tests begin with the id of
//! `docs/edge-cases.md` that they are about, where there is one.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking, and says what it measured"
)]

#[path = "../support/mod.rs"]
mod support;

mod backend_faults;
mod caller_faults;
mod detecting;
mod drain;
mod dropping;
mod fetching;
mod http2;
mod listeners;
mod messages;
mod naming;
mod operations;
mod passing_on;
mod paying;
mod realtime;
mod refusals;
mod reply_headers;
mod responses;
mod shapes_of_paths;
mod stalled_callers;
mod vendors;
