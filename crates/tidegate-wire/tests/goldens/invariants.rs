//! What has to hold of every pair, so that a golden that is wrong is noticed before anybody reads it.

use serde_json::Value;
use tidegate_wire::{ErrorClass, client::ClientDialect, host::Dialect};

use crate::{
    ANSWER, Exchange, REASONING, TEXT, every_pair, exchange,
    facts::{Facts, of_stream, of_whole},
    replies::{self, OVERLOADED},
    requests::{Case, PNG, RESULT},
};

/// Every pair that does not refuse the case.
fn every_exchange(case: Case) -> impl Iterator<Item = (String, ClientDialect, Dialect, Exchange)> {
    every_pair().filter_map(move |(client_name, client, backend)| {
        let exchange = exchange(client, backend, case);
        let dialect = exchange.streamed.as_ref().ok()?.plan.dialect;
        Some((format!("{client_name} of {}, {}", backend.name, case.name()), client, dialect, exchange))
    })
}

/// What the caller was told, streamed and whole.
fn both(client: ClientDialect, exchange: &Exchange) -> [(&'static str, Facts); 2] {
    let whole = serde_json::from_slice(&exchange.whole_told).unwrap();
    [("streamed", of_stream(client, &exchange.stream_told)), ("whole", of_whole(client, &whole))]
}

/// Every text in a document, wherever it stands.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn sent(prepared: &tidegate_wire::host::Prepared) -> Value {
    serde_json::from_slice(&prepared.outbound.body).unwrap()
}

#[test]
fn every_request_is_honoured_or_refused_by_the_name_of_what_is_not() {
    let mut refused = Vec::new();
    for (client_name, client, backend) in every_pair() {
        for case in Case::ALL {
            let exchange = exchange(client, backend, case);
            assert_eq!(exchange.streamed.is_ok(), exchange.whole.is_ok(), "{client_name}, {}", backend.name);
            let Err(error) = exchange.streamed else { continue };
            assert_eq!(error.class(), ErrorClass::BadRequest, "{client_name}, {}", backend.name);
            refused.push((client_name, backend.name, case, error.param().unwrap().to_owned()));
        }
    }
    // The Responses API has no stop sequences, and its own callers ask for none.
    let expected = ["openai-chat", "anthropic-messages", "gemini", "bedrock-converse"]
        .map(|client| (client, "openai-responses", Case::Text, "stop".to_owned()));
    assert_eq!(refused, expected);
}

#[test]
fn the_text_is_the_same_for_every_pair() {
    for (case, expected) in
        [(Case::Text, TEXT), (Case::Tools, TEXT), (Case::Image, TEXT), (Case::Structured, ANSWER)]
    {
        for (pair, client, _, exchange) in every_exchange(case) {
            assert_eq!(exchange.stream_error, None, "{pair}");
            for (form, facts) in both(client, &exchange) {
                assert_eq!(facts.text, expected, "{pair}, {form}");
                assert_eq!(facts.reasoning, "", "{pair}, {form}");
            }
        }
    }
}

#[test]
fn the_calls_are_the_same_for_every_pair_and_so_are_their_results() {
    let call = |place: &str| ("low_tide".to_owned(), serde_json::json!({ "place": place }));
    for case in [Case::Tools, Case::Reasoning] {
        for (pair, client, _, exchange) in every_exchange(case) {
            for (form, facts) in both(client, &exchange) {
                assert_eq!(facts.calls, [call("Brest"), call("Cadiz")], "{pair}, {form}");
            }
            let second = sent(exchange.second.as_ref().unwrap().as_ref().unwrap());
            let results = texts(&second).iter().filter(|text| **text == RESULT).count();
            assert_eq!(results, 2, "{pair}: {second}");
        }
    }
    for (pair, client, _, exchange) in every_exchange(Case::Structured) {
        for (form, facts) in both(client, &exchange) {
            assert_eq!(facts.calls, [], "{pair}, {form}: the answer is a text, however it was got");
        }
    }
}

#[test]
fn a_finish_says_whether_calls_are_to_be_answered() {
    let name = |client, calls| match (client, calls) {
        (ClientDialect::OpenaiChat, false) => "stop",
        (ClientDialect::OpenaiChat, true) => "tool_calls",
        (ClientDialect::OpenaiResponses, _) => "completed",
        (ClientDialect::AnthropicMessages | ClientDialect::BedrockConverse, false) => "end_turn",
        (ClientDialect::AnthropicMessages | ClientDialect::BedrockConverse, true) => "tool_use",
        (ClientDialect::Gemini(_), _) => "STOP",
    };
    for case in [Case::Text, Case::Tools, Case::Reasoning, Case::Image, Case::Structured] {
        let calls = matches!(case, Case::Tools | Case::Reasoning);
        for (pair, client, _, exchange) in every_exchange(case) {
            let [(_, streamed), (_, whole)] = both(client, &exchange);
            assert_eq!(streamed.finish, if calls { "tool_calls" } else { "stop" }, "{pair}");
            assert_eq!(whole.finish, name(client, calls), "{pair}");
        }
    }
}

#[test]
fn reasoning_and_its_signature_survive_and_come_back_to_who_issued_them() {
    for (pair, client, dialect, exchange) in every_exchange(Case::Reasoning) {
        for (form, facts) in both(client, &exchange) {
            assert_eq!(facts.reasoning, REASONING, "{pair}, {form}");
            let signed = replies::signature(dialect).is_some();
            assert_eq!(!facts.signature.is_empty(), signed, "{pair}, {form}: {facts:?}");
        }
        let second = sent(exchange.second.as_ref().unwrap().as_ref().unwrap());
        let texts = texts(&second);
        if let Some(signature) = replies::signature(dialect) {
            let times = texts.iter().filter(|text| **text == signature).count();
            assert_eq!(times, 1, "{pair}: {second}");
        }
        // Gemini goes by its signatures, and has no use for a thought's text; its own callers give it back all the same.
        if dialect != Dialect::Gemini {
            assert!(texts.contains(&REASONING), "{pair}: {second}");
        }
    }
}

#[test]
fn the_usage_agrees_for_every_pair() {
    for case in [Case::Text, Case::Tools, Case::Reasoning, Case::Image, Case::Structured] {
        for (pair, client, dialect, exchange) in every_exchange(case) {
            let cached = if dialect == Dialect::Ollama { 0 } else { 40 };
            // Neither told by these backends, nor has Converse a place for it.
            let untold = matches!(dialect, Dialect::BedrockConverse | Dialect::Ollama)
                || client == ClientDialect::BedrockConverse;
            let reasoning = if untold { 0 } else { 10 };
            for (form, facts) in both(client, &exchange) {
                assert_eq!(facts.tokens, [100, 30, cached, reasoning], "{pair}, {form}");
            }
        }
    }
}

#[test]
fn an_error_mid_stream_is_told_behind_the_text_and_never_ends_in_a_finish() {
    for (pair, client, _, exchange) in every_exchange(Case::Error) {
        let error = exchange.stream_error.as_ref().unwrap();
        assert!(error.message().contains(OVERLOADED), "{pair}: {error:?}");
        let told = String::from_utf8_lossy(&exchange.stream_told);
        let at = told.find(OVERLOADED).unwrap_or_else(|| panic!("{pair}: {told}"));
        let (before, behind) = told.split_at(at);
        assert!(before.contains("Low tide i"), "{pair}: {told}");
        let finishes = match client {
            ClientDialect::OpenaiChat => [r#""finish_reason":""#, "[DONE]"],
            ClientDialect::OpenaiResponses => ["response.completed", "response.incomplete"],
            ClientDialect::AnthropicMessages => ["message_delta", "message_stop"],
            ClientDialect::Gemini(_) => [r#""finishReason""#, "STOP"],
            ClientDialect::BedrockConverse => ["messageStop", "metadata"],
        };
        for finish in finishes {
            assert!(!before.contains(finish) && !behind.contains(finish), "{pair}: {finish} in {told}");
        }
    }
}

#[test]
fn a_refusal_says_the_same_to_every_caller() {
    for (pair, client, _, exchange) in every_exchange(Case::Error) {
        let error = exchange.refused.unwrap();
        assert_eq!((error.class(), error.status()), (ErrorClass::Overloaded, 503), "{pair}");
        let told: Value = serde_json::from_slice(&exchange.whole_told).unwrap();
        assert!(texts(&told).contains(&OVERLOADED), "{pair}, {client:?}: {told}");
    }
}

#[test]
fn a_picture_reaches_every_backend_unchanged() {
    for (pair, _, _, exchange) in every_exchange(Case::Image) {
        for prepared in [exchange.streamed, exchange.whole] {
            let body = sent(&prepared.unwrap());
            let url = format!("data:image/png;base64,{PNG}");
            let times = texts(&body).iter().filter(|text| **text == PNG || **text == url).count();
            assert_eq!(times, 1, "{pair}: {body}");
        }
    }
}
