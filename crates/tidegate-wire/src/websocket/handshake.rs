//! The keys of the opening handshake (RFC 6455, section 4).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

/// `Sec-WebSocket-Key` of a request, of 16 random bytes.
pub fn new_key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Whether a request's `Sec-WebSocket-Key` is 16 bytes in base64.
pub fn is_key(key: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

/// `Sec-WebSocket-Accept` of the reply to a request with this key.
pub fn accept_key(key: &[u8]) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(WEBSOCKET).finalize();
    STANDARD.encode(digest)
}

/// RFC 6455, section 1.3.
const WEBSOCKET: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
