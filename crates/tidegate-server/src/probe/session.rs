//! What a caller of a realtime session sends: the request that opens it, and its frames.

use std::net::SocketAddr;

use super::Phase;

/// The request for a session. The simulator's tag and scenario go in the query, which is passed on to it.
pub(super) fn opening(address: SocketAddr, path: &str, key: Option<&str>) -> Vec<u8> {
    let authorization = key.map_or_else(String::new, |key| format!("authorization: Bearer {key}\r\n"));
    format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGlkZWdhdGUgcHJvYmUuLg==\r\n{authorization}\r\n"
    )
    .into_bytes()
}

/// Where a session is asked for.
pub(super) fn path(base: &str, model: &str, phase: Phase, tag: &str) -> String {
    let mut scenario = format!("tag={tag}");
    if phase == Phase::AwaitingHeaders {
        scenario.push_str(&format!(",{}", phase.scenario()));
    }
    let scenario = scenario.replace('=', "%3D").replace(',', "%2C");
    format!("{base}?model={}&sim={scenario}", model.replace('/', "%2F"))
}

/// What is said once the session is open.
pub(super) fn first_words(phase: Phase, tag: &str) -> Vec<u8> {
    match phase {
        Phase::IdleSession => Vec::new(),
        // More than what fits on the way to a backend that does not read, and less than what fits on the way to it and to the
        // gateway: a FIN behind more could not arrive.
        Phase::Sending => frame(0x82, &vec![0; BIG_MESSAGE]),
        _ => {
            let instructions = format!("[sim {},tag={tag}]", phase.scenario());
            let event =
                serde_json::json!({"type": "response.create", "response": {"instructions": instructions}});
            frame(0x81, event.to_string().as_bytes())
        }
    }
}

/// A close frame, with 1000.
pub(super) fn goodbye() -> Vec<u8> {
    frame(0x88, &1000_u16.to_be_bytes())
}

/// The beginning of a frame whose end never comes.
pub(super) fn half_a_frame() -> Vec<u8> {
    let mut whole = frame(0x81, &[b'x'; 64]);
    whole.truncate(32);
    whole
}

/// A client's frame, with a mask that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 127];
    frame.extend((payload.len() as u64).to_be_bytes());
    if let Ok(length @ ..126) = u8::try_from(payload.len()) {
        frame = vec![first, 0x80 | length];
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

const BIG_MESSAGE: usize = 146 * 1024;
