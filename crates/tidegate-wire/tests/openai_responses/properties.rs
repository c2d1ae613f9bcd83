//! Whatever comes, the decoder neither panics nor makes up an end; and unknown things change nothing.

use std::str;

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_wire::{client::ClientDialect, host::ReplyPlan, hub::Event};

use crate::{
    fixtures::{folders, reply},
    plan,
    replies::run,
    support::Seeded,
};

fn streams() -> Vec<Vec<u8>> {
    folders()
        .iter()
        .map(|folder| reply(folder))
        .filter(|(_, streaming)| *streaming)
        .map(|(body, _)| body)
        .collect()
}

/// Events that nobody knows, comments and fields, put before every event of a stream.
#[test]
fn unknown_events_and_fields_change_nothing() {
    for body in streams() {
        let text = str::from_utf8(&body).unwrap();
        let noisy = text
            .replace("event: ", "event: brand_new\ndata: {\"type\":\"brand_new\",\"index\":0,\"delta\":7}\n\n: hush\n\nevent: ")
            .replace("{\"type\":\"response.output_text.delta\",", "{\"type\":\"response.output_text.delta\",\"obfuscation\":\"abc\",\"new\":{\"a\":[1]},");
        let (plain, noisy) =
            (run(plan(true).events(), &[body.into()]), run(plan(true).events(), &[noisy.into()]));
        assert_eq!(plain.items, noisy.items);
        assert_eq!(plain.progress, noisy.progress);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_a_success_has_its_end(
        which in 0..100_usize,
        cuts in prop::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        seed in any::<u64>(),
    ) {
        let streams = streams();
        let mut body = streams[which % streams.len()].clone();
        for (at, byte) in cuts {
            let at = at % body.len();
            body[at] = byte;
        }
        let mut random = Seeded::new(seed);
        let mut pieces = Vec::new();
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((1 + random.below(200)).min(rest.len()));
            pieces.push(Bytes::copy_from_slice(piece));
            rest = behind;
        }
        for streaming in [true, false] {
            let events = run(plan(streaming).events(), &pieces);
            prop_assert_eq!(events.result.is_ok(), events.items.last() == Some(&Event::End));
            let relay = ReplyPlan { client: ClientDialect::OpenaiResponses, ..plan(streaming) };
            let relayed = run(relay.reply("id", 1), &pieces);
            prop_assert_eq!(&relayed.result, &events.result);
            prop_assert_eq!(&relayed.progress, &events.progress);
            if relayed.result.is_ok() {
                prop_assert!(body.starts_with(relayed.bytes().trim_ascii_end()), "relayed bytes are the backend's");
            }
            let sent = run(plan(streaming).reply("id", 1), &pieces);
            prop_assert_eq!(&sent.result, &events.result);
            prop_assert_eq!(&sent.progress, &events.progress);
        }
    }
}
