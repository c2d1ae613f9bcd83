//! The backend's request, ready to be signed and sent.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header::UPGRADE};

/// A request to a backend, complete but for its credentials, which [`crate::auth`] adds at the moment of sending.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Mostly `POST`.
    pub method: Method,
    /// Absolute.
    pub uri: Uri,
    /// Without credentials, `host` and `content-length`.
    pub headers: HeaderMap,
    /// The exact bytes to send.
    pub body: Bytes,
}

impl Outbound {
    /// Whether it asks the backend to change to another protocol (RFC 9110, section 7.8).
    pub fn asks_for_upgrade(&self) -> bool {
        self.headers.contains_key(UPGRADE)
    }
}
