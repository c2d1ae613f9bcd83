use bytes::Bytes;

use super::{eventstream_frames, framed, split, sse_frames};
use crate::Backend;

#[test]
fn the_same_seed_splits_the_same_way_and_no_byte_is_lost() {
    let body = Bytes::from((0..10_000).map(|n| n as u8).collect::<Vec<_>>());
    let pieces = split(&body, 7);
    assert!(pieces.len() > 10);
    assert_eq!(pieces, split(&body, 7));
    assert_ne!(pieces, split(&body, 8));
    assert_eq!(pieces.concat(), body);
}

#[test]
fn a_line_of_a_payload_becomes_an_event() {
    let body = framed(b"{\"a\":1}\n{\"b\":2}\n", Backend::Openai, false);
    assert_eq!(body, "data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n");
    assert_eq!(sse_frames(&body).len(), 3);
    let named = framed(b"{\"type\":\"ping\"}\n", Backend::Anthropic, false);
    assert_eq!(named, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

#[test]
fn frames_that_do_not_add_up_are_passed_on_whole() {
    for body in [&b"\0\0\0\x14 0123456789abcde!tail"[..], b"\0\0\0\x01xyz", b"\0\0", b"\xff\xff\xff\xff0"] {
        let body = Bytes::copy_from_slice(body);
        assert_eq!(eventstream_frames(&body).concat(), body);
    }
    let unfinished = Bytes::from_static(b"data: 1\n\ndata: 2");
    assert_eq!(sse_frames(&unfinished).concat(), unfinished);
}
