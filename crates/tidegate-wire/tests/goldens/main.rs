//! Every client dialect with every backend dialect: what the backend gets, and what the caller gets of a small reply.
//!
//! A snapshot for each pair, to be read (`snapshots`), with a section for each of six cases; and, of the same exchanges, what has to hold
//! whatever the dialects (`invariants`). Everything goes by the entry points that the gateway uses, so a pair that refuses a request has the
//! refusal as its golden. Nothing has to be redacted: id and time are given, and what is made up is made from them.
#![cfg(test)]

mod facts;
mod invariants;
mod replies;
mod requests;

use std::{collections::VecDeque, fmt::Write as _};

use bytes::Bytes;
use http::HeaderValue;
use replies::{Call, Said};
use requests::Case;
use serde_json::Value;
use tidegate_wire::{
    WireError,
    client::{ClientDialect, Inbound, Outside, StreamForm},
    framing::{Frame, Framer, Framing},
    host::{Endpoint, Place, Prepared, ResponsesUse, row},
};

/// What callers speak, by name.
const CLIENTS: [(&str, ClientDialect); 5] = [
    ("openai-chat", ClientDialect::OpenaiChat),
    ("openai-responses", ClientDialect::OpenaiResponses),
    ("anthropic-messages", ClientDialect::AnthropicMessages),
    ("gemini", ClientDialect::Gemini(StreamForm::Events)),
    ("bedrock-converse", ClientDialect::BedrockConverse),
];

/// A backend of each dialect.
struct Backend {
    name: &'static str,
    host: &'static str,
    base_url: Option<&'static str>,
    model: &'static str,
    responses: ResponsesUse,
}

const BACKENDS: [Backend; 8] = [
    // One that has a place for reasoning and its signature.
    Backend { base_url: Some("http://proxy.example/v1"), ..backend("openai-chat", "litellm_proxy", "large") },
    Backend { responses: ResponsesUse::Always, ..backend("openai-responses", "openai", "gpt-5.4") },
    backend("anthropic-messages", "anthropic", "claude-sonnet-4-5"),
    // Nobody's Claude: a caller of Messages gets it by Converse, too.
    backend("bedrock-converse", "bedrock", "eu.amazon.nova-2-lite-v1:0"),
    // By InvokeModel to a caller of Messages, and by Converse to all others.
    backend("bedrock-invoke", "bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    backend("gemini", "gemini", "gemini-3-pro"),
    backend("cohere-chat", "cohere", "command-a-reasoning-08-2025"),
    backend("ollama", "ollama", "qwen3"),
];

const fn backend(name: &'static str, host: &'static str, model: &'static str) -> Backend {
    Backend { name, host, base_url: None, model, responses: ResponsesUse::Never }
}

impl Backend {
    fn endpoint(&self) -> Endpoint {
        let place = Place { base_url: self.base_url, region: Some("eu-west-1"), ..Place::default() };
        let endpoint = row(self.host).unwrap().endpoint_at(place).unwrap();
        Endpoint { responses: self.responses, ..endpoint }
    }

    fn prepare(&self, client: ClientDialect, body: &Value, streaming: bool) -> Result<Prepared, WireError> {
        let mut outside = Outside::of(client);
        match client {
            ClientDialect::Gemini(_) | ClientDialect::BedrockConverse => {
                outside.model = Some("asked".to_owned());
                outside.stream = Some(streaming);
            }
            ClientDialect::AnthropicMessages => {
                outside.headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
            }
            ClientDialect::OpenaiChat | ClientDialect::OpenaiResponses => {}
        }
        let inbound = Inbound::read(outside, body.to_string().into())?;
        self.endpoint().prepare(&inbound, self.model)
    }
}

const TEXT: &str = "Low tide is at 06:12.";
const REASONING: &str = "Brest first, then Cadiz.";
const ANSWER: &str = r#"{"place":"Brest","time":"06:12"}"#;

/// What the backend says to a request.
fn said(case: Case, prepared: &Prepared) -> Said {
    let text = Said { text: Some(TEXT), ..Said::default() };
    let call = |id, arguments| Call { id, name: "low_tide".to_owned(), arguments };
    let calls = || vec![call("call_1", r#"{"place":"Brest"}"#), call("call_2", r#"{"place":"Cadiz"}"#)];
    match case {
        Case::Text | Case::Image => text,
        Case::Tools => Said { calls: calls(), ..text },
        Case::Reasoning => Said {
            reasoning: Some(REASONING),
            signature: replies::signature(prepared.plan.dialect),
            calls: calls(),
            ..Said::default()
        },
        Case::Structured if prepared.plan.emulation.answer_tool => {
            let body: Value = serde_json::from_slice(&prepared.outbound.body).unwrap();
            let name = body.pointer("/tools/0/name").or(body.pointer("/toolConfig/tools/0/toolSpec/name"));
            let name = name.unwrap().as_str().unwrap().to_owned();
            Said { calls: vec![Call { id: "call_1", name, arguments: ANSWER }], ..Said::default() }
        }
        Case::Structured => Said { text: Some(ANSWER), ..Said::default() },
        Case::Error => Said { fails: true, ..text },
    }
}

/// What the caller gets of the reply, and the error if it broke off.
fn told(prepared: &Prepared, body: Vec<u8>) -> (Vec<u8>, Option<WireError>) {
    let mut reply = prepared.plan.reply("made-up", 7);
    let mut items = VecDeque::new();
    let outcome = reply.push(Bytes::from(body), &mut items).and_then(|()| reply.finish(&mut items));
    if let Err(error) = &outcome {
        reply.fail(error, &mut items);
    }
    (Vec::from(items).concat(), outcome.err())
}

/// Everything that passes between the two in one case. What is refused has nothing behind it.
struct Exchange {
    streamed: Result<Prepared, WireError>,
    whole: Result<Prepared, WireError>,
    /// The request that gives the reply back.
    second: Option<Result<Prepared, WireError>>,
    stream_told: Vec<u8>,
    stream_error: Option<WireError>,
    whole_told: Vec<u8>,
    /// The status of a whole reply that is a refusal.
    refused: Option<WireError>,
}

fn exchange(client: ClientDialect, backend: &Backend, case: Case) -> Exchange {
    let streamed = backend.prepare(client, &requests::first(client, case, true), true);
    let first = requests::first(client, case, false);
    let whole = backend.prepare(client, &first, false);
    let mut exchange = Exchange {
        streamed,
        whole,
        second: None,
        stream_told: Vec::new(),
        stream_error: None,
        whole_told: Vec::new(),
        refused: None,
    };
    if let Ok(prepared) = &exchange.streamed {
        let body = replies::body(prepared.plan.dialect, &said(case, prepared), true);
        (exchange.stream_told, exchange.stream_error) = told(prepared, body);
    }
    match &exchange.whole {
        Ok(prepared) if case == Case::Error => {
            let (status, headers, body) = replies::refusal(prepared.plan.dialect);
            let error = backend.endpoint().decode_error(status, &headers, &body);
            exchange.whole_told = client.encode_error(&error).to_vec();
            exchange.refused = Some(error);
        }
        Ok(prepared) => {
            let body = replies::body(prepared.plan.dialect, &said(case, prepared), false);
            let (bytes, error) = told(prepared, body);
            assert_eq!(error, None, "{case:?}");
            if matches!(case, Case::Tools | Case::Reasoning) {
                let reply = serde_json::from_slice(&bytes).unwrap();
                let body = requests::second(client, first, &reply);
                exchange.second = Some(backend.prepare(client, &body, false));
            }
            exchange.whole_told = bytes;
        }
        Err(_) => {}
    }
    exchange
}

fn every_pair() -> impl Iterator<Item = (&'static str, ClientDialect, &'static Backend)> {
    CLIENTS.into_iter().flat_map(|(name, client)| BACKENDS.iter().map(move |backend| (name, client, backend)))
}

#[test]
fn every_pair_says_what_its_golden_says() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut wrong = Vec::new();
    for (client_name, client, backend) in every_pair() {
        let name = format!("{client_name}--{}", backend.name);
        let golden = golden(client, backend);
        let compared =
            settings.bind(|| std::panic::catch_unwind(|| insta::assert_snapshot!(name.as_str(), golden)));
        if compared.is_err() {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "differ from their goldens: {wrong:?}");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/snapshots");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let goldens = files.filter(|name| name.to_str().unwrap().ends_with(".snap")).count();
    assert_eq!(goldens, CLIENTS.len() * BACKENDS.len(), "a golden without a pair");
}

fn golden(client: ClientDialect, backend: &Backend) -> String {
    let mut out = String::new();
    for case in Case::ALL {
        let exchange = exchange(client, backend, case);
        let _ = writeln!(out, "================ {}\n", case.name());
        let _ = write!(out, "---- request, streamed\n{}\n", request(&exchange.streamed));
        if let Ok(whole) = &exchange.whole {
            let _ = write!(out, "---- request, whole\n{} {}\n\n", whole.outbound.method, whole.outbound.uri);
        }
        if let Some(second) = &exchange.second {
            let _ = write!(out, "---- request, second turn\n{}\n", request(second));
        }
        if exchange.streamed.is_ok() {
            let _ = write!(out, "---- reply, streamed\n{}\n\n", streamed(client, &exchange.stream_told));
        }
        if exchange.whole.is_ok() {
            let status = exchange.refused.as_ref().map_or(200, WireError::status);
            let _ = write!(out, "---- reply, whole\n{status}\n{}\n\n", pretty(&exchange.whole_told));
        }
    }
    out
}

fn request(prepared: &Result<Prepared, WireError>) -> String {
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let param = error.param().unwrap_or("-");
            return format!(
                "refused: {} {:?} param {param}: {}\n",
                error.status(),
                error.class(),
                error.message()
            );
        }
    };
    let outbound = &prepared.outbound;
    let mut out = format!("{} {}\n", outbound.method, outbound.uri);
    for (name, value) in &outbound.headers {
        let _ = writeln!(out, "{name}: {}", value.to_str().unwrap());
    }
    let _ = write!(out, "\n{}\n", pretty(&outbound.body));
    if !prepared.dropped.is_empty() {
        let _ = writeln!(out, "left out: {:?}", prepared.dropped);
    }
    out
}

fn pretty(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// A stream as it is; binary messages as lines.
fn streamed(client: ClientDialect, body: &[u8]) -> String {
    if client != ClientDialect::BedrockConverse {
        return String::from_utf8(body.to_vec()).unwrap().trim_end().to_owned();
    }
    let mut lines = Vec::new();
    let mut sink = |frame: Frame<'_>| {
        let Frame::EventStream { message_type, name, payload } = frame else { panic!("{frame:?}") };
        lines.push(format!("{message_type} {name} {}", std::str::from_utf8(payload).unwrap()));
        Ok(())
    };
    let mut framer = Framer::new(Framing::EventStream);
    framer.push(&Bytes::copy_from_slice(body), &mut sink).unwrap();
    framer.finish(&mut sink).unwrap();
    lines.join("\n")
}
