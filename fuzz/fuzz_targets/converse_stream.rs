//! No ConverseStream reply panics; where it is cut changes nothing; what an openai-chat caller gets of it reads as it should.
//!
//! The input is text, a frame a line: the event's name, a space, the payload. `!` in front makes it an exception, `?` an
//! error. Messages are built around them here, so that checksums and lengths, which `eventstream` tries, are right.
#![no_main]

use std::collections::VecDeque;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_wire::{
    WireError,
    client::{ClientDialect, Operation},
    host::{Dialect, Emulation, ReplyPlan},
    reply::{Progress, Reply},
};

fuzz_target!(|input: &[u8]| {
    let Some((cut, lines)) = input.split_first() else { return };
    let body: Vec<u8> = lines.split(|byte| *byte == b'\n').flat_map(message).collect();
    let plan = ReplyPlan {
        client: ClientDialect::OpenaiChat,
        operation: Operation::Generate,
        dialect: Dialect::BedrockConverse,
        streaming: true,
        include_usage: true,
        choices: 1,
        model: "m".to_owned(),
        response: tidegate_wire::host::ResponseFacts::default(),
        emulation: Emulation::default(),
    };
    let events = run(plan.events(), &[&body]);
    let (head, tail) = body.split_at(body.len() * usize::from(*cut) / 256);
    assert_eq!(events, run(plan.events(), &[head, tail]));

    let sent = run(plan.reply("id", 1), &[&body]);
    assert_eq!((&sent.result, &sent.progress), (&events.result, &events.progress));
    let read = run(ReplyPlan { dialect: Dialect::OpenaiChat, ..plan }.events(), &[&sent.items.concat()]);
    assert_eq!(read.result.is_ok(), sent.result.is_ok(), "{:?}", read.result);
    assert_eq!(read.progress.content_bytes, sent.progress.content_bytes);
});

/// The event-stream message that a line stands for; nothing for a line that can't be one.
fn message(line: &[u8]) -> Vec<u8> {
    let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (name, payload) = line.split_at(space);
    let payload = payload.get(1..).unwrap_or_default();
    let (kind, name_header, name) = match name {
        [b'!', name @ ..] => ("exception", ":exception-type", name),
        [b'?', name @ ..] => ("error", ":error-code", name),
        name => ("event", ":event-type", name),
    };
    let text = |name: &'static str, value: &[u8]| {
        Header::new(name, HeaderValue::String(String::from_utf8_lossy(value).into_owned().into()))
    };
    let mut headers = vec![text(name_header, name), text(":message-type", kind.as_bytes())];
    let payload = match kind {
        "error" => {
            headers.push(text(":error-message", payload));
            Bytes::new()
        }
        _ => Bytes::copy_from_slice(payload),
    };
    let mut bytes = Vec::new();
    // Names and error messages can be longer than a header may be.
    match write_message_to(&Message::new_from_parts(headers, payload), &mut bytes) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

#[derive(Debug, PartialEq)]
struct Run<I> {
    items: Vec<I>,
    result: Result<(), WireError>,
    progress: Progress,
}

/// Feeds a machine to its end; a failure is told to the caller as the gateway would.
fn run<I>(mut reply: Box<dyn Reply<Item = I>>, pieces: &[&[u8]]) -> Run<I> {
    let mut items = VecDeque::new();
    let result = pieces
        .iter()
        .try_for_each(|piece| reply.push(Bytes::copy_from_slice(piece), &mut items))
        .and_then(|()| reply.finish(&mut items));
    if let Err(error) = &result {
        reply.fail(error, &mut items);
    }
    Run { items: items.into(), result, progress: reply.take_progress() }
}
