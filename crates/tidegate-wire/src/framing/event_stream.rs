//! AWS event stream: length-prefixed binary messages with checksums. Reading and writing one is `aws-smithy-eventstream`'s; here the
//! messages are found in the byte stream, and bounded before anything is buffered for them.

use std::sync::LazyLock;

use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};

use super::{Frame, MAX_FRAME, too_long};
use crate::WireError;

/// Total length, headers length, checksum of both.
const PRELUDE: usize = 12;
/// A message without headers and payload: the prelude and the message's checksum.
const SHORTEST: usize = PRELUDE + 4;
/// botocore's limit.
const MAX_HEADERS: u32 = 128 << 10;

#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The beginning of a message. `pending.len() <= MAX_FRAME`.
    pending: Vec<u8>,
}

impl Reader {
    pub(super) fn push(
        &mut self,
        chunk: &[u8],
        sink: &mut dyn FnMut(Frame<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut rest = chunk;
        while !self.pending.is_empty() && !rest.is_empty() {
            // Fill up to the prelude first, for only then the message's length is known.
            let target = message_length(&self.pending)?.unwrap_or(PRELUDE);
            let (piece, behind) = rest.split_at(rest.len().min(target.saturating_sub(self.pending.len())));
            self.pending.extend_from_slice(piece);
            rest = behind;
            if message_length(&self.pending)?.is_some_and(|length| length == self.pending.len()) {
                emit(&self.pending, sink)?;
                self.pending.clear();
            }
        }
        while let Some(length) = message_length(rest)?.filter(|length| *length <= rest.len()) {
            let (message, behind) = rest.split_at(length);
            emit(message, sink)?;
            rest = behind;
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<(), WireError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        Err(WireError::truncated("the backend's event stream ended inside a message"))
    }
}

/// The length of the message that begins here, once its prelude is there and found right.
pub(crate) fn message_length(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    let Some((prelude, _)) = bytes.split_first_chunk::<PRELUDE>() else { return Ok(None) };
    let [t0, t1, t2, t3, h0, h1, h2, h3, c0, c1, c2, c3] = *prelude;
    let total = u32::from_be_bytes([t0, t1, t2, t3]);
    let headers = u32::from_be_bytes([h0, h1, h2, h3]);
    // The checksum comes first: a corrupted length must not be waited for.
    if crc32([t0, t1, t2, t3, h0, h1, h2, h3]) != u32::from_be_bytes([c0, c1, c2, c3]) {
        return Err(WireError::protocol("the backend's event stream has a wrong prelude checksum"));
    }
    let length = total as usize;
    if length > MAX_FRAME || headers > MAX_HEADERS {
        return Err(too_long("event-stream message", MAX_FRAME));
    }
    if length < SHORTEST {
        return Err(WireError::protocol("the backend's event stream has a message that is too short"));
    }
    Ok(Some(length))
}

/// CRC-32 (IEEE) of a prelude's two lengths; the decoder crate checks a prelude only once the message is whole.
fn crc32(bytes: [u8; 8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// Hands the one message that `bytes` are to `sink`.
pub(crate) fn emit(
    bytes: &[u8],
    sink: &mut dyn FnMut(Frame<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let message = decode_message(bytes)?;
    let header = |name| text_header(message.headers(), name);
    let message_type = header(":message-type").unwrap_or("event");
    match message_type {
        "error" => sink(Frame::EventStream {
            message_type,
            name: header(":error-code").unwrap_or_default(),
            payload: header(":error-message").unwrap_or_default().as_bytes(),
        }),
        other => {
            let name = if other == "exception" { ":exception-type" } else { ":event-type" };
            sink(Frame::EventStream {
                message_type,
                name: header(name).unwrap_or_default(),
                payload: message.payload(),
            })
        }
    }
}

/// Decodes exactly one message.
pub(super) fn decode_message(bytes: &[u8]) -> Result<Message, WireError> {
    let message = read_message_from(bytes)
        .map_err(|error| WireError::protocol(format!("the backend's event stream is malformed: {error}")))?;
    let headers = message.headers();
    let repeated = headers
        .iter()
        .enumerate()
        .any(|(at, header)| headers.iter().take(at).any(|other| other.name() == header.name()));
    if repeated {
        return Err(WireError::protocol("the backend's event stream repeats a header in a message"));
    }
    Ok(message)
}

fn text_header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers.iter().find(|header| header.name().as_str() == name).and_then(|header| match header.value() {
        HeaderValue::String(value) => Some(value.as_str()),
        _ => None,
    })
}

/// Writes an event, whose payload is JSON.
pub(crate) fn write_event(name: &'static str, payload: &[u8], out: &mut Vec<u8>) {
    write("event", ":event-type", name, payload, out);
}

/// Writes an exception, whose payload is JSON.
pub(crate) fn write_exception(name: &'static str, payload: &[u8], out: &mut Vec<u8>) {
    write("exception", ":exception-type", name, payload, out);
}

fn write(
    kind: &'static str,
    name_header: &'static str,
    name: &'static str,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let header =
        |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let message = Message::new(payload.to_vec())
        .add_header(header(name_header, name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", kind));
    // Fails for headers that are too long only, and these are short.
    let _ = write_message_to(&message, out);
}

/// An event of a name that no client knows: botocore and the SDK for JavaScript skip those, as this reader's dialect does.
pub(crate) static PING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut ping = Vec::new();
    write_event("ping", b"{}", &mut ping);
    ping
});
