//! The body of a reply, out of its framing.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::WireError;

/// Takes a body out of its framing.
#[derive(Debug)]
pub struct BodyDecoder(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are still to come.
    Length(u64),
    UntilClose,
    /// In the line that gives a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the size: white space, of which so many bytes, before extensions or the line's end.
    Space {
        size: u64,
        length: u16,
    },
    /// In extensions, which nobody reads. So many bytes of them.
    Extension {
        size: u64,
        length: u16,
    },
    /// Behind the line's carriage return.
    SizeEnd {
        size: u64,
    },
    /// In a chunk: so many bytes are still to come.
    Chunk(u64),
    ChunkCr,
    ChunkLf,
    /// Behind the last chunk: trailer fields, which nobody reads. The length of this line, and of all.
    Trailer {
        line: u16,
        all: u16,
    },
    /// Behind a carriage return there.
    TrailerEnd {
        line: u16,
        all: u16,
    },
    Over,
}

/// What there was to decode.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A piece of the body, never empty.
    Data(Bytes),
    /// Nothing more without more bytes.
    More,
    /// The body has ended. Bytes that follow are left where they are.
    End,
}

impl BodyDecoder {
    pub(super) fn length(length: u64) -> Self {
        Self(if length == 0 { State::Over } else { State::Length(length) })
    }

    pub(super) fn chunked() -> Self {
        Self(State::Size { size: 0, digits: 0 })
    }

    pub(super) fn until_close() -> Self {
        Self(State::UntilClose)
    }

    /// Takes what `buffer` has of the body. Chunks that came together are one piece, without being copied elsewhere.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Protocol`]: the framing is broken.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, WireError> {
        match self.0 {
            State::Over => Ok(Decoded::End),
            _ if buffer.is_empty() => Ok(Decoded::More),
            State::UntilClose => Ok(Decoded::Data(buffer.split().freeze())),
            State::Length(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                self.0 = match left - taken as u64 {
                    0 => State::Over,
                    left => State::Length(left),
                };
                Ok(Decoded::Data(buffer.split_to(taken).freeze()))
            }
            _ => self.chunks(buffer),
        }
    }

    /// The backend has closed the connection. True: the body ends by that.
    pub fn ends_here(&self) -> bool {
        matches!(self.0, State::UntilClose | State::Over)
    }

    fn chunks(&mut self, buffer: &mut BytesMut) -> Result<Decoded, WireError> {
        // Where the piece stands, and how far the buffer has been read.
        let (mut start, mut end, mut at) = (0, 0, 0);
        while let Some(&byte) = buffer.get(at) {
            if let State::Chunk(left) = self.0 {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len() - at);
                if end == 0 {
                    (start, end) = (at, at + taken);
                } else {
                    buffer.copy_within(at..at + taken, end);
                    end += taken;
                }
                at += taken;
                self.0 = match left - taken as u64 {
                    0 => State::ChunkCr,
                    left => State::Chunk(left),
                };
                continue;
            }
            match self.0.next(byte) {
                Ok(next) => self.0 = next,
                // What came before the broken byte is the caller's; the next call says what is wrong.
                Err(_) if end > 0 => break,
                Err(error) => return Err(error),
            }
            at += 1;
            if self.0 == State::Over {
                break;
            }
        }
        let mut piece = buffer.split_to(at);
        if end > 0 {
            piece.truncate(end);
            piece.advance(start);
            return Ok(Decoded::Data(piece.freeze()));
        }
        Ok(if self.0 == State::Over { Decoded::End } else { Decoded::More })
    }
}

impl State {
    /// The state behind a byte of the framing.
    fn next(self, byte: u8) -> Result<Self, WireError> {
        match (self, byte) {
            (Self::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Ok(Self::Size { size: size * 16 + u64::from(digit), digits: digits + 1 })
            }
            (Self::Size { size, digits: 1.. }, b'\r') => Ok(Self::SizeEnd { size }),
            (Self::Size { size, digits: 1.. }, b' ' | b'\t') => Ok(Self::Space { size, length: 1 }),
            (Self::Size { size, digits: 1.. }, b';') => Ok(Self::Extension { size, length: 1 }),
            (Self::Space { size, length }, b' ' | b'\t') if length < MAX_IGNORED => {
                Ok(Self::Space { size, length: length + 1 })
            }
            (Self::Space { size, length }, b';') => Ok(Self::Extension { size, length }),
            (Self::Space { size, .. } | Self::Extension { size, .. }, b'\r') => Ok(Self::SizeEnd { size }),
            (Self::Extension { size, length }, byte) if byte != b'\n' && length < MAX_IGNORED => {
                Ok(Self::Extension { size, length: length + 1 })
            }
            (Self::SizeEnd { size: 0 }, b'\n') => Ok(Self::Trailer { line: 0, all: 0 }),
            (Self::SizeEnd { size }, b'\n') => Ok(Self::Chunk(size)),
            (Self::ChunkCr, b'\r') => Ok(Self::ChunkLf),
            (Self::ChunkLf, b'\n') => Ok(Self::Size { size: 0, digits: 0 }),
            (Self::Trailer { line, all }, b'\r') => Ok(Self::TrailerEnd { line, all }),
            (Self::Trailer { line, all }, byte) if byte != b'\n' && all < MAX_IGNORED => {
                Ok(Self::Trailer { line: line + 1, all: all + 1 })
            }
            (Self::TrailerEnd { line: 0, .. }, b'\n') => Ok(Self::Over),
            (Self::TrailerEnd { all, .. }, b'\n') => Ok(Self::Trailer { line: 0, all }),
            _ => Err(WireError::protocol("the backend's reply is not chunked as it should be")),
        }
    }
}

/// Hexadecimal digits of a chunk's size: no chunk is larger than 2^60 bytes.
const MAX_DIGITS: u8 = 15;
/// Bytes of one chunk's extensions with the white space before them, and of all trailer fields.
const MAX_IGNORED: u16 = 16 * 1024;
