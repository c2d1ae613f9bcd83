//! No reply panics; relay and decoder judge and count alike; what is relayed is the input's own bytes; what an openai-chat caller
//! gets counts as much.
#![no_main]

use std::collections::VecDeque;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_wire::{
    ErrorClass,
    client::{ClientDialect, Operation},
    host::{Dialect, ReplyPlan},
    reply::{Progress, Reply},
};

fuzz_target!(|input: &[u8]| {
    let plan = ReplyPlan {
        client: ClientDialect::OpenaiResponses,
        operation: Operation::Generate,
        dialect: Dialect::OpenaiResponses,
        // A whole reply may be relayed that is no answer yet, and not be decoded.
        streaming: true,
        include_usage: true,
        choices: 1,
        model: "m".to_owned(),
        emulation: tidegate_wire::host::Emulation::default(),
        response: tidegate_wire::host::ResponseFacts::default(),
    };
    let (relayed, failed, progress) = run(plan.reply("id", 1), input);
    let (_, events_failed, events_progress) = run(plan.events(), input);
    assert_eq!((failed, &progress), (events_failed, &events_progress));
    // A byte order mark of the backend's is left out, and one elsewhere kept from being the first.
    let marked = input.windows(3).any(|bytes| bytes == b"\xef\xbb\xbf");
    if failed.is_none() && !marked {
        let relayed = relayed.concat();
        assert!(input.starts_with(relayed.trim_ascii_end()), "relayed bytes are the backend's");
    }
    let chat = ReplyPlan { client: ClientDialect::OpenaiChat, ..plan };
    let (_, chat_failed, chat_progress) = run(chat.reply("id", 1), input);
    assert_eq!((chat_failed, &chat_progress), (failed, &progress));
});

fn run<I>(mut reply: Box<dyn Reply<Item = I>>, input: &[u8]) -> (Vec<I>, Option<ErrorClass>, Progress) {
    let mut items = VecDeque::new();
    let fed = reply.push(Bytes::copy_from_slice(input), &mut items);
    let failed = fed.and_then(|()| reply.finish(&mut items)).err().map(|error| error.class());
    let progress = reply.progress().clone();
    (items.into(), failed, progress)
}
