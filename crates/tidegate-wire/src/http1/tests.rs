use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::ErrorClass;

/// What comes of `body` in pieces of the given sizes, the last one repeated, and what is left of the bytes.
fn decode(
    decoder: &mut BodyDecoder,
    body: &[u8],
    sizes: &[usize],
) -> Result<(Vec<u8>, bool, usize), ErrorClass> {
    let (mut buffer, mut out, mut rest) = (BytesMut::new(), Vec::new(), body);
    let mut sizes = sizes.iter().copied().chain(std::iter::repeat(*sizes.last().unwrap()));
    loop {
        match decoder.decode(&mut buffer).map_err(|error| error.class())? {
            Decoded::Data(piece) => {
                assert!(!piece.is_empty());
                out.extend_from_slice(&piece);
            }
            Decoded::End => return Ok((out, true, buffer.len() + rest.len())),
            Decoded::More if rest.is_empty() => return Ok((out, false, buffer.len())),
            Decoded::More => {
                let (piece, later) = rest.split_at(sizes.next().unwrap().clamp(1, rest.len()));
                buffer.extend_from_slice(piece);
                rest = later;
            }
        }
    }
}

fn head(text: &str) -> Result<Option<ReplyHead>, ErrorClass> {
    HeadReader::default().read(&mut BytesMut::from(text)).map_err(|error| error.class())
}

fn good(fields: &str) -> ReplyHead {
    head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).unwrap().unwrap()
}

#[test]
fn a_request_head_is_what_a_server_reads() {
    let mut request = RequestHead::new(&http::Method::POST, "/v1/chat?x=1", "api.test:8080");
    request.field(&http::header::ACCEPT, &http::HeaderValue::from_static("a/b"));
    assert_eq!(
        String::from_utf8(request.finish(7)).unwrap(),
        "POST /v1/chat?x=1 HTTP/1.1\r\nhost: api.test:8080\r\naccept: a/b\r\ncontent-length: 7\r\n\r\n"
    );
}

#[test]
fn the_head_says_how_the_body_is_framed() {
    let body = b"3\r\nabc\r\n0\r\n\r\nmore";
    assert_eq!(
        decode(&mut good("Transfer-Encoding: Chunked\r\n").body, body, &[99]),
        Ok((b"abc".into(), true, 4))
    );
    assert_eq!(decode(&mut good("content-length: 2\r\n").body, body, &[99]), Ok((b"3\r".into(), true, 15)));
    assert_eq!(decode(&mut good("content-length: 0\r\n").body, body, &[99]), Ok((vec![], true, 17)));
    let mut until_close = good("");
    assert_eq!(decode(&mut until_close.body, body, &[5]), Ok((body.into(), false, 0)));
    assert!(until_close.body.ends_here() && until_close.closing);
    for status in [204, 304] {
        let mut empty = head(&format!("HTTP/1.1 {status} x\r\ncontent-length: 5\r\n\r\n")).unwrap().unwrap();
        assert_eq!(decode(&mut empty.body, body, &[99]), Ok((vec![], true, 17)), "{status}");
    }
}

#[test]
fn a_connection_is_kept_only_if_nothing_speaks_against_it() {
    assert!(!good("content-length: 2\r\n").closing);
    assert!(!good("content-length: 2\r\nconnection: keep-alive\r\n").closing);
    assert!(good("content-length: 2\r\nConnection: x, Close\r\n").closing);
    assert!(good("content-length: 2\r\ntransfer-encoding: chunked\r\n").closing);
    assert!(head("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n").unwrap().unwrap().closing);
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused() {
    for fields in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: -1\r\n",
        "content-length: +1\r\n",
        "content-length: 1, 1\r\n",
        "content-length: 99999999999999999999999\r\n",
        "content-length:\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "content-length : 2\r\n",
        " folded: 1\r\n",
        "content-length: 2\u{a0}\r\n",
        "x: 1\ncontent-length: 2\r\n",
        "x: 1\rcontent-length: 2\r\n",
        "content-length: 2\n\r\n",
        ": 1\r\n",
        "x: a\0b\r\n",
    ] {
        assert_eq!(
            head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).unwrap_err(),
            ErrorClass::Protocol,
            "{fields}"
        );
    }
    for line in [
        "\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\n",
        "HTTP/1.1 101 X",
        "HTTP/2 200 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 099 OK",
        "SSH-2.0-x",
        "\u{16}\u{3}\u{1}",
    ] {
        assert_eq!(head(&format!("{line}\r\n\r\n")).map(|_| ()), Err(ErrorClass::Protocol), "{line}");
    }
}

#[test]
fn a_head_is_bounded() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(MAX_HEAD));
    assert_eq!(head(&long).unwrap_err(), ErrorClass::Protocol);
    assert!(head(&long[..MAX_HEAD - 1]).unwrap().is_none());
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(129));
    assert_eq!(head(&many).unwrap_err(), ErrorClass::Protocol);
}

#[test]
fn heads_that_announce_are_passed_over_and_bounded_together() {
    let interim = "HTTP/1.1 103 Early\r\nlink: x\r\n\r\n";
    let text = format!("{}HTTP/1.1 200 OK\r\n\r\nrest", interim.repeat(20));
    for size in [1, 7, 30, 31, 32, 999] {
        let (mut reader, mut buffer, mut rest) = (HeadReader::default(), BytesMut::new(), text.as_bytes());
        let head = loop {
            let (piece, later) = rest.split_at(size.min(rest.len()));
            buffer.extend_from_slice(piece);
            rest = later;
            if let Some(head) = reader.read(&mut buffer).unwrap() {
                break head;
            }
        };
        assert_eq!([&buffer[head.length..], rest].concat(), b"rest", "{size}");
    }
    assert_eq!(head(&interim.repeat(MAX_HEAD / interim.len() + 1)).unwrap_err(), ErrorClass::Protocol);
}

#[test]
fn a_head_that_comes_byte_by_byte_costs_no_more_than_its_bytes() {
    // Parsed anew at each byte this would be two gigabytes.
    let text = format!("HTTP/1.1 200 OK\r\n{}", format!("x: {}\r\n", "y".repeat(1000)).repeat(60));
    let (mut reader, mut buffer) = (HeadReader::default(), BytesMut::new());
    let mut parsed = 0;
    for byte in text.bytes() {
        buffer.extend_from_slice(&[byte]);
        let before = reader.doubled();
        assert!(reader.read(&mut buffer).unwrap().is_none());
        parsed += if reader.doubled() == before { 0 } else { buffer.len() };
    }
    assert!(parsed < 2 * text.len(), "{parsed} bytes were parsed");
}

#[test]
fn fields_are_found_again() {
    let text = "HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nx-a: 1\r\nx-a: 2\r\n\r\n";
    let fields = header_fields(&Bytes::from(text), |_| true);
    assert_eq!(fields["retry-after"], "3");
    assert_eq!(fields.get_all("x-a").iter().count(), 2);
}

#[test]
fn broken_chunks_are_refused() {
    let chunked = || good("transfer-encoding: chunked\r\n").body;
    for body in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "1\n",
        "1\r\rx",
        "1\r\nxy",
        "1\r\nx\n",
        "1\r\nx\rx",
        "1;a\nx",
        "1 2\r\nx",
        "1 \nx",
        " 1\r\nx",
        "1000000000000000\r\n",
        "0\r\nx\ny",
        "0\r\n\n",
        "0\r\n\rx",
    ] {
        assert_eq!(decode(&mut chunked(), body.as_bytes(), &[1]), Err(ErrorClass::Protocol), "{body:?}");
    }
    for bounded in [
        format!("1;{}", "x".repeat(20_000)),
        format!("1{};", " ".repeat(20_000)),
        format!("0\r\n{}", "a: b\r\n".repeat(10_000)),
    ] {
        assert_eq!(decode(&mut chunked(), bounded.as_bytes(), &[999]), Err(ErrorClass::Protocol));
    }
    let mut cut = chunked();
    assert_eq!(decode(&mut cut, b"5\r\nabc", &[1]), Ok((b"abc".into(), false, 0)));
    assert!(!cut.ends_here());
}

#[test]
fn what_came_before_broken_framing_is_handed_on() {
    let mut buffer = BytesMut::from("3\r\nabc\r\n2\r\ndeX");
    let mut decoder = good("transfer-encoding: chunked\r\n").body;
    assert_eq!(decoder.decode(&mut buffer).unwrap(), Decoded::Data(Bytes::from("abcde")));
    assert_eq!(decoder.decode(&mut buffer).unwrap_err().class(), ErrorClass::Protocol);
}

#[test]
fn chunks_that_come_together_are_one_piece() {
    let mut buffer = BytesMut::from("3\r\nabc\r\n0002 ;x=y\r\nde\r\n0\r\nt: u\r\n\r\nrest");
    let start = buffer.as_ptr() as usize;
    let mut decoder = good("transfer-encoding: chunked\r\n").body;
    let Decoded::Data(piece) = decoder.decode(&mut buffer).unwrap() else { panic!("no piece") };
    assert_eq!(piece, "abcde");
    assert_eq!(piece.as_ptr() as usize, start + 3);
    assert_eq!(decoder.decode(&mut buffer).unwrap(), Decoded::End);
    assert_eq!(buffer, "rest");
}

proptest! {
    /// However it is chunked and cut, a body comes out as it went in.
    #[test]
    fn a_chunked_body_survives(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..20),
        sizes in prop::collection::vec(1usize..50, 1..20),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        let decoded = decode(&mut good("transfer-encoding: chunked\r\n").body, &wire, &sizes);
        prop_assert_eq!(decoded, Ok((chunks.concat(), true, 0)));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), sizes in prop::collection::vec(1usize..50, 1..9)) {
        let _ = HeadReader::default().read(&mut BytesMut::from(&*bytes));
        let _ = header_fields(&Bytes::from(bytes.clone()), |_| true);
        let _ = decode(&mut good("transfer-encoding: chunked\r\n").body, &bytes, &sizes);
    }
}
