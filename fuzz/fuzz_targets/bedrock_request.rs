//! No request panics on its way to Bedrock; one that Converse can take is JSON that keeps the rules which its service model
//! states and the encoder promises. The model, which decides how reasoning is asked for, is the one that the request names.
#![no_main]

mod json;

use bytes::Bytes;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;
use tidegate_wire::{ErrorClass, dialect::openai_chat::Inbound, host::row};

fuzz_target!(|input: &[u8]| {
    let Ok(inbound) = Inbound::parse(Bytes::copy_from_slice(input)) else { return };
    let endpoint = row("bedrock")
        .and_then(|row| row.endpoint(None, Some("us-east-1"), None).ok())
        .expect("a default base URL");
    let prepared = match endpoint.prepare(&inbound, &inbound.model) {
        Ok(prepared) => prepared,
        Err(error) => return assert_eq!(error.class(), ErrorClass::BadRequest, "{error}"),
    };
    let sent: Value = serde_json::from_slice(&prepared.outbound.body).expect("JSON");
    let messages = sent["messages"].as_array().expect("messages");
    assert!(!messages.is_empty());
    let alternate = |pair: &[Value]| matches!(pair, [one, other] if one["role"] != other["role"]);
    assert!(messages.windows(2).all(alternate), "{sent}");
    for message in messages {
        assert!(message["content"].as_array().is_some_and(|blocks| !blocks.is_empty()), "{sent}");
    }
    if let Some(config) = sent.get("toolConfig") {
        assert!(config["tools"].as_array().is_some_and(|tools| !tools.is_empty()), "{sent}");
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});
