//! What the framing targets share: a body cut in two, by its own first byte, says what it says whole.

use bytes::Bytes;
use tidegate_wire::framing::{Frame, Framer, Framing};

pub fn split_says_the_same(framing: Framing, input: &[u8]) {
    let Some((at, body)) = input.split_first() else { return };
    let (head, tail) = body.split_at(usize::from(*at).min(body.len()));
    assert_eq!(frames(framing, &[body]), frames(framing, &[head, tail]));
}

fn frames(framing: Framing, pieces: &[&[u8]]) -> (Vec<String>, bool) {
    let mut seen = Vec::new();
    let mut sink = |frame: Frame<'_>| {
        seen.push(format!("{frame:?}"));
        Ok(())
    };
    let mut framer = Framer::new(framing);
    let fed = pieces.iter().all(|piece| framer.push(&Bytes::copy_from_slice(piece), &mut sink).is_ok());
    let ok = fed && framer.finish(&mut sink).is_ok();
    (seen, ok)
}
