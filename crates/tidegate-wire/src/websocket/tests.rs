use proptest::prelude::*;

use super::*;

/// A frame as its sender writes it.
fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(masked | u8::try_from(length).expect("short")),
        length @ 126..65536 => {
            frame.push(masked | 126);
            frame.extend(u16::try_from(length).expect("medium").to_be_bytes());
        }
        length => {
            frame.push(masked | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask.into_iter().flatten());
    let key = mask.unwrap_or_default();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What was read: each message whole, with its kind; and the error, if there was one.
fn read(
    sender: Sender,
    pieces: impl IntoIterator<Item = Vec<u8>>,
) -> (Vec<(Kind, Vec<u8>)>, Option<WrongFrame>) {
    let mut reader = FrameReader::new(sender);
    let (mut whole, mut control, mut data) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        let mut rest = piece.as_slice();
        loop {
            let part = match reader.next(&mut rest) {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(wrong) => return (whole, Some(wrong)),
            };
            let into = if matches!(part.kind, Kind::Text | Kind::Binary) { &mut data } else { &mut control };
            if part.is_first {
                assert!(into.is_empty(), "the message before it has ended");
            }
            part.append_to(into, 0, usize::MAX);
            if part.is_last {
                whole.push((part.kind, std::mem::take(into)));
            }
        }
        assert!(rest.is_empty());
    }
    (whole, None)
}

fn wrong(sender: Sender, bytes: &[u8]) -> Option<&'static str> {
    read(sender, [bytes.to_vec()]).1.map(|wrong| wrong.0)
}

#[test]
fn the_key_of_rfc_6455_gets_its_answer() {
    assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
    assert!(is_key(new_key([7; 16]).as_bytes()));
    for not_a_key in ["", "dGhlIHNhbXBsZQ==", "not base64, this one", "dGhlIHNhbXBsZSBub25jZQ"] {
        assert!(!is_key(not_a_key.as_bytes()), "{not_a_key}");
    }
}

#[test]
fn the_frames_of_rfc_6455_are_read() {
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(Sender::Client, [masked.to_vec()]).0, [(Kind::Text, b"Hello".to_vec())]);
    let pieces = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x89, 0x00, 0x80, 0x02, 0x6c, 0x6f];
    let (whole, error) = read(Sender::Server, [pieces.to_vec()]);
    assert_eq!(whole, [(Kind::Ping, Vec::new()), (Kind::Text, b"Hello".to_vec())]);
    assert_eq!(error, None);
}

#[test]
fn what_breaks_the_protocol_is_refused() {
    use Sender::{Client, Server};
    assert_eq!(wrong(Server, &[0xc1, 0]), Some("a frame has a reserved bit, and no extension was agreed on"));
    assert_eq!(wrong(Client, &[0x81, 0]), Some("a client's frame is not masked"));
    assert_eq!(wrong(Server, &[0x81, 0x80]), Some("a server's frame is masked"));
    assert_eq!(wrong(Server, &[0x83, 0]), Some("a frame has an unknown opcode"));
    assert_eq!(wrong(Server, &[0x09, 0]), Some("a control frame is in pieces"));
    assert_eq!(wrong(Server, &[0x88, 126]), Some("a control frame is longer than 125 bytes"));
    assert_eq!(wrong(Server, &[0x80, 0]), Some("a frame continues no message"));
    assert_eq!(wrong(Server, &[0x01, 0, 0x81, 0]), Some("a message begins inside another one"));
    assert_eq!(wrong(Server, &[0x88, 1]), Some("a close frame has half a code"));
    let endless = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(wrong(Server, &endless), Some("a frame is longer than frames can be"));
    assert_eq!(wrong(Server, &[0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2]), None);
}

#[test]
fn a_close_frame_says_its_code_and_as_much_of_the_reason_as_fits() {
    assert_eq!(close_frame(1001, "so long"), frame(0x88, b"\x03\xe9so long", None));
    let long = "é".repeat(100);
    let (whole, error) = read(Sender::Server, [close_frame(1014, &long)]);
    assert_eq!(error, None);
    assert_eq!(whole, [(Kind::Close, [b"\x03\xf6", "é".repeat(61).as_bytes()].concat())]);
}

#[test]
fn a_border_is_where_a_frame_has_ended_and_none_has_begun() {
    let mut reader = FrameReader::new(Sender::Server);
    let bytes = [frame(0x01, b"abc", None), frame(0x80, b"", None)].concat();
    let mut borders = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        let mut piece = std::slice::from_ref(byte);
        while reader.next(&mut piece).expect("right").is_some() {}
        if reader.is_at_border() {
            borders.push(at + 1);
        }
    }
    assert_eq!(borders, [5, 7]);
}

/// A message, its mask, and where it is cut into frames.
fn message() -> impl Strategy<Value = (u8, Vec<u8>, Option<usize>, [u8; 4])> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(any::<u8>(), 120..130),
        (65530_usize..65540).prop_map(|length| vec![7; length]),
    ];
    (1_u8..3, payload, proptest::option::of(0_usize..40), any::<[u8; 4]>())
}

fn pieces(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([bytes.len()]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts.zip(ends).map(|(start, end)| bytes[start..end].to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_are_the_same_however_they_are_cut(
        messages in proptest::collection::vec(message(), 1..4),
        is_client in any::<bool>(),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let sender = if is_client { Sender::Client } else { Sender::Server };
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (opcode, payload, cut, mask) in &messages {
            let mask = is_client.then_some(*mask);
            let kind = if *opcode == 1 { Kind::Text } else { Kind::Binary };
            match cut.map(|cut| cut.min(payload.len())) {
                Some(cut) => {
                    bytes.extend(frame(*opcode, &payload[..cut], mask));
                    bytes.extend(frame(0x89, b"?", mask));
                    bytes.extend(frame(0x80, &payload[cut..], mask));
                    expected.push((Kind::Ping, b"?".to_vec()));
                }
                None => bytes.extend(frame(0x80 | opcode, payload, mask)),
            }
            expected.push((kind, payload.clone()));
        }
        let (whole, error) = read(sender, pieces(&bytes, &cuts));
        prop_assert_eq!(error, None);
        prop_assert_eq!(whole, expected);
    }

    #[test]
    fn no_bytes_make_it_panic_and_an_error_does_not_hang_on_how_they_come(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        is_client in any::<bool>(),
    ) {
        let sender = if is_client { Sender::Client } else { Sender::Server };
        let (_, at_once) = read(sender, [bytes.clone()]);
        let (_, one_by_one) = read(sender, bytes.iter().map(|byte| vec![*byte]));
        prop_assert_eq!(at_once, one_by_one);
    }
}
