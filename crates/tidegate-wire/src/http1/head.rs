//! Heads: a request's is written, a reply's is read.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use memchr::memchr_iter;

use super::BodyDecoder;
use crate::WireError;

/// Longest head of a reply, in bytes, with all that only announce it.
pub const MAX_HEAD: usize = 64 * 1024;
/// Most header fields in the head of a reply; recorded ones have up to 40.
const MAX_FIELDS: usize = 128;

/// The head of a request, being written.
#[derive(Debug)]
pub struct RequestHead(Vec<u8>);

impl RequestHead {
    /// Begins with the request line and `host`. `target` is a path with its query, or an absolute URL for a proxy.
    pub fn new(method: &Method, target: &str, host: &str) -> Self {
        let mut head = Self(Vec::with_capacity(512));
        head.put(&[method.as_str(), " ", target, " HTTP/1.1\r\nhost: ", host, "\r\n"]);
        head
    }

    /// Adds a field.
    pub fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.put(&[name.as_str(), ": "]);
        self.0.extend_from_slice(value.as_bytes());
        self.put(&["\r\n"]);
    }

    /// Ends that of a request without a body, which asks for another protocol.
    pub fn finish_upgrade(mut self) -> Vec<u8> {
        self.put(&["\r\n"]);
        self.0
    }

    /// Ends it. `length` is the body's, in bytes.
    pub fn finish(mut self, length: usize) -> Vec<u8> {
        self.put(&["content-length: ", &length.to_string(), "\r\n\r\n"]);
        self.0
    }

    fn put(&mut self, parts: &[&str]) {
        for part in parts {
            self.0.extend_from_slice(part.as_bytes());
        }
    }
}

/// Finds the head of a reply in bytes that come in pieces.
///
/// However small the pieces, the work is linear in the bytes: every line is looked at once, and what is there is parsed
/// only when it is whole or has doubled, so that something that is not HTTP is known for it early.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// How far line ends have been looked for, and where the line begins that has none yet.
    searched: usize,
    line: usize,
    /// The length from which on an incomplete head is parsed again.
    doubled: usize,
    /// Bytes of the heads before this one, which only announced it.
    announced: usize,
    /// Whether a change of protocol was asked for.
    upgrade: bool,
}

impl HeadReader {
    /// For the reply to a request that asks for another protocol: status 101 is one then, and what follows is that protocol's.
    pub fn of_upgrade() -> Self {
        Self { upgrade: true, ..Self::default() }
    }

    /// Reads the head at the beginning of `buffer`. `None`: it has not come whole. Heads of status 100 to 199 only announce
    /// the reply: they are taken off the buffer and passed over.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Protocol`]: not HTTP/1.1, longer than [`MAX_HEAD`], framed in a way that is ambiguous or was not
    /// asked for, or a change of protocol, which was not asked for either.
    pub fn read(&mut self, buffer: &mut BytesMut) -> Result<Option<ReplyHead>, WireError> {
        loop {
            let end = self.find_end(buffer)?;
            if self.announced + end.unwrap_or(buffer.len() + 1) > MAX_HEAD {
                return Err(broken(&format!("its head is longer than {MAX_HEAD} bytes")));
            }
            let Some(end) = end else {
                if buffer.len() >= self.doubled {
                    self.doubled = buffer.len() * 2;
                    ReplyHead::parse(buffer)?;
                }
                return Ok(None);
            };
            let head = ReplyHead::parse(buffer.get(..end).unwrap_or_default())?;
            let head = head.ok_or_else(|| broken("its head has an empty line inside"))?;
            let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
            if !head.status.is_informational() || (switches && self.upgrade) {
                return Ok(Some(head));
            }
            if switches {
                return Err(broken("it changes to another protocol"));
            }
            buffer.advance(head.length);
            let (announced, upgrade) = (self.announced + head.length, self.upgrade);
            *self = Self { announced, upgrade, ..Self::default() };
        }
    }

    /// Where the next parse of an incomplete head is due.
    #[cfg(test)]
    pub(super) fn doubled(&self) -> usize {
        self.doubled
    }

    /// The index behind the empty line that ends the head.
    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, WireError> {
        let from = self.searched;
        for found in memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()) {
            let line = bytes.get(self.line..from + found).unwrap_or_default();
            // Parsers disagree about a line feed alone: to some it ends the line, to others it is a part of it.
            let Some((b'\r', said)) = line.split_last() else {
                return Err(broken("it has a line feed alone"));
            };
            let behind = from + found + 1;
            match (said, self.line) {
                ([], 0) => return Err(broken("it begins with an empty line")),
                ([], _) => return Ok(Some(behind)),
                _ => self.line = behind,
            }
        }
        self.searched = bytes.len();
        Ok(None)
    }
}

/// What the head of a reply says of what follows.
#[derive(Debug)]
pub struct ReplyHead {
    /// The status.
    pub status: StatusCode,
    /// The length of the head itself, in bytes.
    pub length: usize,
    /// Reads the body.
    pub body: BodyDecoder,
    /// Whether the connection ends with this reply.
    pub closing: bool,
}

impl ReplyHead {
    /// Reads the head at the beginning of `bytes`. `None`: it has not come whole.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, WireError> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut reply = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut reply, bytes, &mut fields)
            .map_err(|error| broken(&error.to_string()))?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        let status = reply.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or_else(|| broken("it has no valid status"))?;
        let facts = Facts::read(reply.headers)?;
        let empty =
            status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let until_close = !empty && !facts.chunked && facts.length.is_none();
        let body = match (facts.chunked, facts.length) {
            _ if empty => BodyDecoder::length(0),
            (true, _) => BodyDecoder::chunked(),
            (false, Some(length)) => BodyDecoder::length(length),
            (false, None) => BodyDecoder::until_close(),
        };
        // Both a coding and a length: the coding wins, and nothing that follows can be trusted (RFC 9112, 6.3).
        let doubtful = facts.chunked && facts.length.is_some();
        let closing = facts.close || until_close || doubtful || reply.version == Some(0);
        Ok(Some(Self { status, length, body, closing }))
    }
}

/// The fields that say how a reply is framed.
#[derive(Default)]
struct Facts {
    length: Option<u64>,
    chunked: bool,
    close: bool,
}

impl Facts {
    fn read(fields: &[httparse::Header<'_>]) -> Result<Self, WireError> {
        let mut facts = Self::default();
        for field in fields {
            let is = |name: HeaderName| field.name.eq_ignore_ascii_case(name.as_str());
            // Told apart by length first: most fields are none of these.
            match field.name.len() {
                14 if is(header::CONTENT_LENGTH) => facts.see_length(field.value)?,
                17 if is(header::TRANSFER_ENCODING) => facts.see_coding(field.value)?,
                10 if is(header::CONNECTION) => facts.close |= has_token(field.value, b"close"),
                _ => {}
            }
        }
        Ok(facts)
    }

    fn see_length(&mut self, value: &[u8]) -> Result<(), WireError> {
        let text = std::str::from_utf8(value.trim_ascii()).unwrap_or_default();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let length = if digits { text.parse().ok() } else { None };
        let length = length.ok_or_else(|| broken("its content-length is no number"))?;
        if self.length.replace(length).is_some_and(|other| other != length) {
            return Err(broken("it has two lengths"));
        }
        Ok(())
    }

    fn see_coding(&mut self, value: &[u8]) -> Result<(), WireError> {
        if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(broken("it has a transfer coding other than chunked"));
        }
        self.chunked = true;
        Ok(())
    }
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// The header fields of `head`, which has been read before, that are `wanted` by name, which is as the server spelled it. Values are slices of it.
pub fn header_fields(head: &Bytes, wanted: impl Fn(&str) -> bool) -> HeaderMap {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut reply = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut reply, head, &mut fields);
    let mut headers = HeaderMap::new();
    if parsed.is_ok() {
        for field in reply.headers.iter().filter(|field| wanted(field.name)) {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value));
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
    }
    headers
}

fn broken(what: &str) -> WireError {
    WireError::protocol(format!("the backend's reply is not HTTP/1.1 as it should be: {what}"))
}
