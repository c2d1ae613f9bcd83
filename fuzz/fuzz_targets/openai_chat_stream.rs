//! No reply panics; relay and decoder judge and count alike; the relay's output decodes to what its input did.
#![no_main]

use std::collections::VecDeque;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_wire::{
    ErrorClass,
    client::{ClientDialect, Operation},
    host::{Dialect, Emulation, ReplyPlan},
    reply::{Progress, Reply},
};

fuzz_target!(|input: &[u8]| {
    // More answers than a short input can begin: a backend that sends more than was asked for is another matter.
    let plan = ReplyPlan {
        client: ClientDialect::OpenaiChat,
        operation: Operation::Generate,
        dialect: Dialect::OpenaiChat,
        streaming: input.first() != Some(&b'{'),
        include_usage: true,
        choices: 64,
        model: "m".to_owned(),
        response: tidegate_wire::host::ResponseFacts::default(),
        emulation: Emulation::default(),
    };
    let (relayed, failed, progress) = run(plan.reply("id", 1), input);
    let (_, events_failed, events_progress) = run(plan.events(), input);
    // What the decoder can't read the relay may pass on: it does not look at the types of fields that it doesn't use.
    if events_failed == Some(ErrorClass::Protocol) {
        return;
    }
    assert_eq!((failed, &progress), (events_failed, &events_progress));
    let (_, _, again) = run(plan.events(), &relayed.concat());
    assert_eq!(again.content_bytes, progress.content_bytes);
});

fn run<I>(mut reply: Box<dyn Reply<Item = I>>, input: &[u8]) -> (Vec<I>, Option<ErrorClass>, Progress) {
    let mut items = VecDeque::new();
    let fed = reply.push(Bytes::copy_from_slice(input), &mut items);
    let failed = fed.and_then(|()| reply.finish(&mut items)).err().map(|error| error.class());
    let progress = reply.progress().clone();
    (items.into(), failed, progress)
}
