//! How many frames a second one core relays: `cargo run --release -p tidegate-wire --example relay_speed`.
//!
//! A synthetic openai-chat stream in the recorded form, fed to the relay one frame at a time (a backend that flushes every
//! token) and in pieces of 16 KiB (a backend that is faster than its reader). Beside it, the same stream through the full
//! decoder into hub events, which is what the SDK pays.
#![expect(clippy::print_stdout, reason = "prints its measurements")]

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use tidegate_wire::{
    WireError,
    client::{ClientDialect, Operation},
    host::{Dialect, Emulation, ReplyPlan},
    reply::Reply,
};

/// Content frames of a stream.
const FRAMES: usize = 1_000;
/// Streams per measurement.
const STREAMS: usize = 300;

fn main() -> Result<(), WireError> {
    let frames = stream();
    let whole: Vec<u8> = frames.concat();
    println!("frames per stream {}, bytes per frame {}", frames.len(), whole.len() / frames.len());
    let single: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
    let large: Vec<Bytes> = whole.chunks(16 << 10).map(Bytes::copy_from_slice).collect();
    let odd: Vec<Bytes> = whole.chunks(333).map(Bytes::copy_from_slice).collect();
    let plan = ReplyPlan {
        client: ClientDialect::OpenaiChat,
        operation: Operation::Generate,
        dialect: Dialect::OpenaiChat,
        streaming: true,
        include_usage: true,
        choices: 1,
        model: "m".to_owned(),
        response: tidegate_wire::host::ResponseFacts::default(),
        emulation: Emulation::default(),
    };
    for (name, pieces) in [("1 frame", &single), ("16 KiB", &large), ("333 bytes", &odd)] {
        measure(&format!("relay, pieces of {name}"), pieces, single.len(), || plan.reply("id", 1))?;
    }
    measure("events, pieces of 1 frame", &single, single.len(), || plan.events())
}

fn measure<I>(
    name: &str,
    pieces: &[Bytes],
    frames: usize,
    machine: impl Fn() -> Box<dyn Reply<Item = I>>,
) -> Result<(), WireError> {
    let mut items = VecDeque::new();
    let mut delivered = 0;
    let start = Instant::now();
    for _ in 0..STREAMS {
        let mut reply = machine();
        for piece in pieces {
            reply.push(piece.clone(), &mut items)?;
            delivered += items.len();
            items.clear();
        }
        reply.finish(&mut items)?;
        items.clear();
    }
    let total = frames * STREAMS;
    let nanos = start.elapsed().as_nanos() / total as u128;
    println!("{name}: {nanos} ns per frame, {} frames/s, {delivered} items", 1_000_000_000 / nanos.max(1));
    Ok(())
}

fn stream() -> Vec<Vec<u8>> {
    let head = r#"{"id":"chatcmpl-E4Rjs6IxaJVge9Ntk5keJsaeDy6vS","object":"chat.completion.chunk","created":1784728648,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_cbf1785567","#;
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {head}\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}],\"usage\":null,\"obfuscation\":\"4lLcQ\"}}\n\n"
        )
    };
    let mut frames = vec![chunk(r#""role":"assistant","content":"","refusal":null"#, "null").into_bytes()];
    frames.extend((0..FRAMES).map(|at| {
        let text = if at % 10 == 0 { r#" say \"yes\"\n"# } else { " word" };
        chunk(&format!("\"content\":\"{text}\""), "null").into_bytes()
    }));
    frames.push(chunk("", "\"stop\"").into_bytes());
    let usage = r#""choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1000,"total_tokens":1009}"#;
    frames.push(format!("data: {head}{usage}}}\n\n").into_bytes());
    frames.push(b"data: [DONE]\n\n".to_vec());
    frames
}
