//! Just enough HTTP/1.1 for load and mock: heads by `httparse`, bodies by length or chunks, events counted.
//!
//! Pure: bytes in, progress out. Reads any well-formed reply that a gateway may send, at any split of its bytes;
//! refuses replies without a length, because a closed loop can't go on after them.

use anyhow::{Context, Result, bail};

/// Reads one response, fed in pieces.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    body: Option<BodyDecoder>,
    status: u16,
    /// Events of the body so far: lines that start with `data:`.
    events: EventCounter,
}

impl ResponseReader {
    /// Takes bytes of the response and says how many it used. While the head is incomplete that is none: feed
    /// it again with more behind. Later it is all of them, up to the end of the response.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut used = 0;
        if self.body.is_none() {
            let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut head = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(length) = head.parse(bytes)? else { return Ok(0) };
            self.status = head.code.unwrap_or(0);
            self.body = Some(BodyDecoder::of(head.headers).context("a response without a length")?);
            used = length;
        }
        let rest = bytes.get(used..).unwrap_or_default();
        let (Some(body), events) = (&mut self.body, &mut self.events) else { return Ok(used) };
        Ok(used + body.feed(rest, |payload| events.feed(payload))?)
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.body, Some(BodyDecoder::Done))
    }

    /// The status code; zero before the head.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn events(&self) -> u64 {
        self.events.events
    }
}

/// Finds the end of a body and what is payload in it.
#[derive(Debug)]
pub(crate) enum BodyDecoder {
    /// So many bytes are still to come; never zero.
    Length(u64),
    /// Within a chunk's size line; `extension` when past the digits.
    ChunkSize {
        size: u64,
        extension: bool,
    },
    /// Within a chunk's data; never zero.
    ChunkData(u64),
    /// Within the line end after a chunk's data.
    ChunkEnd,
    /// Within the trailer; `line` counts the bytes of its current line.
    Trailer {
        line: usize,
    },
    Done,
}

impl BodyDecoder {
    /// By the headers of the message; `None` when they name no length.
    pub(crate) fn of(headers: &[httparse::Header<'_>]) -> Option<Self> {
        for header in headers {
            if header.name.eq_ignore_ascii_case("content-length") {
                let length = std::str::from_utf8(header.value).ok()?.trim().parse().ok()?;
                return Some(Self::of_length(length));
            }
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                return Some(Self::ChunkSize { size: 0, extension: false });
            }
        }
        None
    }

    pub(crate) fn of_length(length: u64) -> Self {
        if length == 0 { Self::Done } else { Self::Length(length) }
    }

    /// Takes bytes, gives their payload to `sink`, says how many belonged to this body.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) -> Result<usize> {
        let mut rest = bytes;
        while let (false, Some(&byte)) = (matches!(self, Self::Done), rest.first()) {
            let taken = match self {
                Self::Length(left) | Self::ChunkData(left) => {
                    let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    sink(rest.get(..taken).unwrap_or_default());
                    *left -= taken as u64;
                    taken
                }
                _ => 1,
            };
            self.step(byte)?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(bytes.len() - rest.len())
    }

    /// The state after `byte`, which is only looked at within a size line, a line end or the trailer.
    fn step(&mut self, byte: u8) -> Result<()> {
        match self {
            Self::Length(0) => *self = Self::Done,
            Self::ChunkData(0) => *self = Self::ChunkEnd,
            Self::Length(_) | Self::ChunkData(_) | Self::Done => {}
            Self::ChunkSize { size: 0, .. } if byte == b'\n' => *self = Self::Trailer { line: 0 },
            Self::ChunkSize { size, .. } if byte == b'\n' => *self = Self::ChunkData(*size),
            Self::ChunkSize { size, extension } => match char::from(byte).to_digit(16) {
                Some(digit) if !*extension => {
                    *size = size.checked_mul(16).context("chunk size too large")? + u64::from(digit);
                }
                _ if matches!(byte, b';' | b'\r' | b' ') || *extension => *extension = true,
                _ => bail!("not a chunk size: {byte:#04x}"),
            },
            Self::ChunkEnd if byte == b'\n' => *self = Self::ChunkSize { size: 0, extension: false },
            Self::ChunkEnd if byte == b'\r' => {}
            Self::ChunkEnd => bail!("no line end after a chunk"),
            Self::Trailer { line: 0 } if byte == b'\n' => *self = Self::Done,
            Self::Trailer { line } if byte == b'\n' => *line = 0,
            Self::Trailer { line } if byte != b'\r' => *line += 1,
            Self::Trailer { .. } => {}
        }
        Ok(())
    }
}

/// Counts lines that start with `data:`, at any split of the bytes.
#[derive(Debug, Default)]
struct EventCounter {
    events: u64,
    /// How many bytes of the field's name the current line has matched; all of them once the line is decided.
    matched: usize,
}

impl EventCounter {
    fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            let Some(&expected) = FIELD.get(self.matched) else {
                let Some(end) = memchr::memchr(b'\n', bytes) else { return };
                self.matched = 0;
                bytes = bytes.get(end + 1..).unwrap_or_default();
                continue;
            };
            self.matched = match byte {
                _ if byte == expected => self.matched + 1,
                b'\n' => 0,
                _ => FIELD.len(),
            };
            self.events += u64::from(byte == expected && self.matched == FIELD.len());
            bytes = bytes.get(1..).unwrap_or_default();
        }
    }
}

const FIELD: &[u8] = b"data:";
/// Portkey and LiteLLM add about twenty of their own.
pub(crate) const MOST_HEADERS: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        e\r\ndata: one\n\ndat\r\n1A;x=y\r\na:two\n\n: not data: this\n\n\r\n0\r\nTrailer: 1\r\n\r\n";

    fn read(reader: &mut ResponseReader, pieces: &[&[u8]]) -> usize {
        let (mut held, mut used) = (Vec::new(), 0);
        for piece in pieces {
            held.extend_from_slice(piece);
            let taken = reader.feed(&held).unwrap();
            held.drain(..taken);
            used += taken;
        }
        used
    }

    #[test]
    fn a_chunked_stream_counts_the_same_at_every_split() {
        for split in 0..=CHUNKED.len() {
            let mut reader = ResponseReader::default();
            let (before, after) = CHUNKED.split_at(split);
            assert_eq!(read(&mut reader, &[before, after]), CHUNKED.len(), "split at {split}");
            assert!(reader.is_done(), "split at {split}");
            assert_eq!((reader.status(), reader.events()), (200, 2), "split at {split}");
        }
    }

    #[test]
    fn a_cut_stream_is_not_done() {
        for end in 0..CHUNKED.len() {
            let mut reader = ResponseReader::default();
            read(&mut reader, &[&CHUNKED[..end]]);
            assert!(!reader.is_done(), "cut at {end}");
        }
    }

    #[test]
    fn bytes_behind_the_response_are_left_alone() {
        let mut reader = ResponseReader::default();
        let bytes = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nnoHTTP/1.1";
        assert_eq!(reader.feed(bytes).unwrap(), bytes.len() - 8);
        assert!(reader.is_done());
        assert_eq!(reader.status(), 404);
    }

    #[test]
    fn a_reply_without_a_length_is_refused() {
        assert!(ResponseReader::default().feed(b"HTTP/1.1 200 OK\r\n\r\nbody").is_err());
    }

    #[test]
    fn nonsense_as_a_chunk_size_is_refused() {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n";
        assert!(ResponseReader::default().feed(head).is_err());
    }
}
