//! HTTP/1.1 backends that break, flood, stall and lie, as bare sockets: what the engine makes of them, what it gives back,
//! and that nothing of one call ever reaches the next.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
#![expect(clippy::disallowed_methods, reason = "a backend's thread serves no call")]

mod support;

mod credentials;
mod entra;
mod floods;
mod google;
mod hanging_up;
mod replies;
mod requests;
mod reuse;
mod tls;
