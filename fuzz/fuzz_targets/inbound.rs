//! No request panics; one that is relayed says the same but for model and usage; one that decodes encodes to what decodes
//! to the same.
#![no_main]

mod json;

use bytes::Bytes;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use tidegate_wire::{
    dialect::openai_chat::{Inbound, encode_request},
    host::row,
};

fuzz_target!(|input: &[u8]| {
    let Ok(inbound) = Inbound::parse(Bytes::copy_from_slice(input)) else { return };
    let endpoint =
        row("openai").and_then(|row| row.endpoint(None, None, None).ok()).expect("a default base URL");
    let prepared = endpoint.prepare(&inbound, "another").expect("relaying has nothing to refuse");
    let sent = Inbound::parse(prepared.outbound.body).expect("relaying keeps a request valid");
    assert_eq!((sent.model.as_str(), sent.stream), ("another", inbound.stream));
    assert_eq!(sent.include_usage, inbound.stream || inbound.include_usage);
    if let Ok(hub) = inbound.decode() {
        let again = Inbound::parse(encode_request(&hub).into()).and_then(|inbound| inbound.decode());
        assert_eq!(again.as_ref(), Ok(&hub));
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});
