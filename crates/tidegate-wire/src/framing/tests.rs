use super::*;

fn sse(pieces: &[&[u8]]) -> (Vec<(String, String)>, Result<(), WireError>) {
    let mut seen = Vec::new();
    let mut sink = |frame: Frame<'_>| {
        if let Frame::Sse { event, data } = frame {
            seen.push((event.to_owned(), data.to_owned()));
        }
        Ok(())
    };
    let mut framer = Framer::new(Framing::Sse);
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| framer.push(&Bytes::copy_from_slice(piece), &mut sink));
    }
    let result = result.and_then(|()| framer.finish(&mut sink));
    (seen, result)
}

fn message(data: &str) -> (String, String) {
    ("message".to_owned(), data.to_owned())
}

#[test]
fn an_event_is_handed_out_at_once_and_not_with_the_next() {
    let mut seen = 0;
    let mut framer = Framer::new(Framing::Sse);
    // The second line end is a lone CR: whether an LF follows must not be waited for.
    framer
        .push(&Bytes::from_static(b"data: x\r\r"), &mut |_| {
            seen += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn an_lf_that_follows_a_cr_in_the_next_piece_ends_no_second_line() {
    let (seen, _) = sse(&[b"data: x\r", b"\ndata: y\r", b"\n\r", b"\n"]);
    assert_eq!(seen, [message("x\ny")]);
}

#[test]
fn data_at_the_end_counts_only_if_nothing_of_it_can_be_missing() {
    assert_eq!(sse(&[b"data: {\"a\":1}"]).0, [message("{\"a\":1}")]);
    assert_eq!(sse(&[b"data: {\"a\":1}\n"]).0, [message("{\"a\":1}")]);
    assert_eq!(sse(&[b"data: [DONE]"]).0, [message("[DONE]")]);
    for cut in ["data: {\"a\":1", "data: [DON", "data: 12", "data: text\n", "dat"] {
        assert_eq!(sse(&[cut.as_bytes()]).0, [], "{cut}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_become_replacement_characters() {
    assert_eq!(sse(&[b"data: a\xff\n\n"]).0, [message("a\u{fffd}")]);
}

#[test]
fn an_event_beyond_the_bound_is_an_error_however_it_is_split() {
    let long = vec![b'x'; MAX_FRAME];
    for pieces in
        [vec![b"data:".as_slice(), &long, b"\n\n"], vec![&[b"data:".as_slice(), &long, b"\n\n"].concat()]]
    {
        let (seen, result) = sse(&pieces);
        assert!(seen.is_empty());
        assert_eq!(result.unwrap_err().class(), crate::ErrorClass::Protocol);
    }
}

#[test]
fn an_event_that_just_fits_is_taken() {
    let long = vec![b'x'; MAX_FRAME - "data:\n\n".len()];
    let (seen, result) = sse(&[b"data:", &long, b"\n\n"]);
    assert_eq!((seen.len(), result), (1, Ok(())));
}

/// The lines of a body that comes in these pieces.
fn json_lines(pieces: &[&[u8]]) -> (Vec<String>, Result<(), WireError>) {
    let mut seen = Vec::new();
    let mut sink = |frame: Frame<'_>| {
        let Frame::Line(line) = frame else { panic!("{frame:?} is no line") };
        seen.push(String::from_utf8_lossy(line).into_owned());
        Ok(())
    };
    let mut framer = Framer::new(Framing::JsonLines);
    let pushed = pieces.iter().try_for_each(|piece| framer.push(&Bytes::copy_from_slice(piece), &mut sink));
    let result = pushed.and_then(|()| framer.finish(&mut sink));
    (seen, result)
}

#[test]
fn json_lines_skip_blank_lines_and_drop_a_last_line_that_is_cut_off() {
    let (seen, result) = json_lines(&[b"{\"a\"", b":1}\r\n\n \n", b"[2]\n{\"cut\":"]);
    assert_eq!((seen.concat(), result), ("{\"a\":1}[2]".to_owned(), Ok(())));
}

#[test]
fn a_json_line_without_its_end_counts_if_it_is_whole() {
    assert_eq!(json_lines(&[b"{\"a\":1}\n{\"done\":", b"true}"]).0, ["{\"a\":1}", "{\"done\":true}"]);
    assert_eq!(json_lines(&[b"{\"done\":true}\r"]).0, ["{\"done\":true}"]);
    assert_eq!(json_lines(&[b""]).0, [""; 0]);
}

#[test]
fn json_lines_are_bounded_whether_they_end_or_not() {
    let long = vec![b'x'; MAX_FRAME];
    assert_eq!(json_lines(&[&long, b"\n"]).1, Ok(()));
    for pieces in [[long.as_slice(), b"x"], [&long, b"x\n"]] {
        let (seen, result) = json_lines(&pieces);
        assert_eq!((seen.len(), result.unwrap_err().class()), (0, crate::ErrorClass::Protocol));
    }
}

#[test]
fn what_reads_a_json_line_stops_the_rest() {
    let mut seen = 0;
    let mut framer = Framer::new(Framing::JsonLines);
    let error = framer.push(&Bytes::from_static(b"1\n2\n"), &mut |_| {
        seen += 1;
        Err(WireError::protocol("no"))
    });
    assert_eq!((seen, error.unwrap_err().message()), (1, "no"));
}

#[test]
fn an_event_stream_that_ends_inside_a_message_is_truncated() {
    let mut framer = Framer::new(Framing::EventStream);
    // The empty message, without its last byte.
    let cut = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8";
    framer.push(&Bytes::from_static(cut), &mut |_| Ok(())).unwrap();
    let error = framer.finish(&mut |_| Ok(())).unwrap_err();
    assert_eq!(error.class(), crate::ErrorClass::Truncated);
}

#[test]
fn an_event_stream_with_a_wrong_checksum_is_refused_at_its_prelude() {
    let mut framer = Framer::new(Framing::EventStream);
    let corrupt = b"\x00\x00\x10\x10\x00\x00\x00\x00\x05\xc2\x48\xeb";
    let error = framer.push(&Bytes::from_static(corrupt), &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.class(), crate::ErrorClass::Protocol);
}

#[test]
fn an_exception_message_is_named_by_its_type() {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
    let header =
        |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let message = Message::new(Bytes::from_static(b"{\"message\":\"no\"}"))
        .add_header(header(":message-type", "exception"))
        .add_header(header(":exception-type", "throttlingException"));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    let mut seen = 0;
    let mut framer = Framer::new(Framing::EventStream);
    framer
        .push(&bytes.into(), &mut |frame| {
            seen += 1;
            let payload = b"{\"message\":\"no\"}".as_slice();
            let (message_type, name) = ("exception", "throttlingException");
            assert_eq!(frame, Frame::EventStream { message_type, name, payload });
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, 1);
}
