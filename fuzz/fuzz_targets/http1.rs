#![no_main]
//! A reply over HTTP/1.1 says the same whole and in pieces: the same heads, framing, body, and rest behind its end. It
//! never panics, and never takes a body for whole that its framing does not end.

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tidegate_wire::http1::{BodyDecoder, Decoded, HeadReader, MAX_HEAD, header_fields};

fuzz_target!(|input: &[u8]| {
    // The first two bytes say how the rest is cut: into pieces of the one size and the other in turn.
    let [first, second, reply @ ..] = input else { return };
    let sizes = [usize::from(*first).max(1), usize::from(*second).max(1)];
    let whole = read(reply, &[reply.len().max(1)]);
    assert_eq!(whole, read(reply, &sizes), "in pieces of {sizes:?}");
    assert_eq!(whole, read(reply, &[1]), "byte by byte");
});

/// What a reader sees of a reply.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    status: Option<u16>,
    fields: usize,
    closing: bool,
    body: Vec<u8>,
    end: Option<End>,
    /// Bytes behind the end.
    rest: usize,
}

#[derive(Debug, PartialEq)]
enum End {
    Broken,
    /// As the framing says.
    Whole,
    /// By the connection's close, which is right.
    Closed,
    /// By the connection's close, which is too early.
    Cut,
}

fn read(reply: &[u8], sizes: &[usize]) -> Seen {
    let mut wire = Wire { buffer: BytesMut::new(), rest: reply, sizes: sizes.iter().cycle() };
    let mut seen = Seen::default();
    let mut reader = HeadReader::default();
    let head = loop {
        match reader.read(&mut wire.buffer) {
            Ok(Some(head)) => break head,
            Ok(None) if wire.more() => {}
            // How much of a broken head must have come until it is known for it depends on the pieces: one that is cut may
            // not be.
            Ok(None) | Err(_) => return Seen { end: Some(End::Broken), ..Seen::default() },
        }
    };
    assert!(head.length <= MAX_HEAD && head.length <= wire.buffer.len());
    let block = wire.buffer.split_to(head.length).freeze();
    seen.status = Some(head.status.as_u16());
    seen.fields = header_fields(&block).len();
    seen.closing = head.closing;
    seen.end = Some(wire.body(head.body, &mut seen.body));
    seen.rest = wire.buffer.len() + wire.rest.len();
    if seen.end == Some(End::Broken) {
        seen.rest = 0;
    }
    seen
}

struct Wire<'a> {
    buffer: BytesMut,
    rest: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
}

impl Wire<'_> {
    fn more(&mut self) -> bool {
        let size = self.sizes.next().map_or(1, |size| *size).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(size);
        self.buffer.extend_from_slice(piece);
        self.rest = rest;
        !piece.is_empty()
    }

    fn body(&mut self, mut decoder: BodyDecoder, body: &mut Vec<u8>) -> End {
        loop {
            match decoder.decode(&mut self.buffer) {
                Ok(Decoded::Data(piece)) => {
                    assert!(!piece.is_empty());
                    body.extend_from_slice(&piece);
                }
                Ok(Decoded::End) => return End::Whole,
                Ok(Decoded::More) if self.more() => {}
                Ok(Decoded::More) if decoder.ends_here() => return End::Closed,
                Ok(Decoded::More) => return End::Cut,
                Err(_) => return End::Broken,
            }
        }
    }
}
