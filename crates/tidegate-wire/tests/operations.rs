//! Recorded embeddings, rerankings and legacy completions: requests come out as they were recorded, replies go through at every cut.
#![cfg(test)]

#[path = "support/recorded.rs"]
mod recorded;
#[path = "support/replies.rs"]
mod replies;
mod support;

use std::{fs, path::PathBuf};

use bytes::Bytes;
use http::{HeaderMap, Method};
use recorded::corpus;
use replies::run;
use serde_json::{Value, json, value::RawValue};
use support::{cuttings, read_json};
use tidegate_wire::{
    client::{ClientDialect, Inbound, Operation, Outside},
    host::row,
    operation::{self, Asked, PreparedOperation, Request},
};

fn prepared(host: &str, path: &str, body: &Value, model: &str) -> PreparedOperation {
    let found = operation::find(path).unwrap();
    let asked = Asked {
        operation: found.operation,
        method: Method::POST,
        path: found.path.to_owned(),
        query: None,
        headers: HeaderMap::new(),
        model: None,
        host: None,
    };
    let request = Request::read(asked, body.to_string().into()).unwrap();
    // Of a host that has no address of its own, any will do.
    let base = (host != "bedrock" && host != "gemini").then_some("https://host/v1");
    let endpoint = row(host).unwrap().endpoint(base, Some("us-east-1"), None).unwrap();
    endpoint.prepare_operation(request, Some(model), "call_1").unwrap()
}

/// The recording whose name begins so: its request and its reply.
fn recording(name: &str) -> Option<(Value, Vec<u8>)> {
    let (provider, start) = name.split_once('/').unwrap();
    let folder = corpus()?.join(provider);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(start));
    let ending = |end: &str| {
        files
            .iter()
            .find(|path| path.to_string_lossy().contains(end))
            .unwrap_or_else(|| panic!("{name}{end}"))
    };
    Some((read_json(ending(".request.")), fs::read(ending(".response.")).unwrap()))
}

/// Every array of numbers in a reply, as it is spelled, at the place that `path` names.
fn spelled<'a>(reply: &'a [u8], path: &[&str]) -> &'a str {
    let mut raw: &RawValue = serde_json::from_slice(reply).unwrap();
    for step in path {
        raw = match step.parse::<usize>() {
            Ok(index) => serde_json::from_str::<Vec<&RawValue>>(raw.get()).unwrap()[index],
            Err(_) => {
                serde_json::from_str::<std::collections::HashMap<&str, &RawValue>>(raw.get()).unwrap()[step]
            }
        };
    }
    raw.get()
}

const TEXT: &str = "Ruby is a programmer's best friend";

#[test]
fn recorded_embeddings_of_other_forms_are_translated_without_loss() {
    // Recording, host, model, what the caller asked, where the vector stands, tokens of the prompt.
    let cases = [
        (
            "gemini/batchEmbedContents.unary.02",
            "gemini",
            "gemini-embedding-001",
            json!({ "dimensions": 768 }),
            vec!["embeddings", "0", "values"],
            None,
        ),
        (
            "gemini/batchEmbedContents.unary.03",
            "gemini",
            "gemini-embedding-2",
            json!({ "dimensions": 768 }),
            vec!["embeddings", "0", "values"],
            Some(8),
        ),
        (
            "vertex/predict.unary.04",
            "vertex_ai",
            "text-embedding-004",
            json!({ "dimensions": 768 }),
            vec!["predictions", "0", "embeddings", "values"],
            Some(10),
        ),
        (
            "vertex/predict.unary.05",
            "vertex_ai",
            "gemini-embedding-001",
            json!({ "input": "Hello, world!", "input_type": "search_query" }),
            vec!["predictions", "0", "embeddings", "values"],
            Some(4),
        ),
        (
            "cohere/v2-embed.unary.02",
            "cohere",
            "embed-v4.0",
            json!({ "dimensions": 1024, "user": "u" }),
            vec!["embeddings", "float", "0"],
            Some(7),
        ),
        (
            "cohere/v2-embed.unary.04",
            "cohere",
            "embed-v4.0",
            json!({ "encoding_format": "float" }),
            vec!["embeddings", "float", "0"],
            Some(7),
        ),
        (
            "bedrock/invoke.unary.10",
            "bedrock",
            "amazon.nova-2-multimodal-embeddings-v1:0",
            json!({ "dimensions": 256 }),
            vec!["embeddings", "0", "embedding"],
            None,
        ),
    ];
    for (name, host, model, more, path, tokens) in cases {
        let Some((request, reply)) = recording(name) else { return };
        let mut body = json!({ "model": "m", "input": [TEXT] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let sent = prepared(host, "/v1/embeddings", &body, model).outbound.body;
        assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), request, "{name}");
        for pieces in cuttings(&reply, 1).iter().take(3) {
            let outcome = run(prepared(host, "/v1/embeddings", &body, model).reply, pieces);
            let document: Vec<u8> = outcome.bytes();
            let numbers = spelled(&document, &["data", "0", "embedding"]);
            assert_eq!(numbers, spelled(&reply, &path), "{name}: numbers keep their spelling");
            assert_eq!(outcome.progress.usage.as_ref().map(|usage| usage.prompt_tokens), tokens, "{name}");
        }
    }
}

#[test]
fn recorded_embeddings_of_openais_form_go_through_byte_for_byte() {
    let mut checked = 0;
    for name in [
        "openai/embeddings.unary.05",
        "openai/embeddings.unary.09",
        "openai/embeddings.unary.10",
        "openai/embeddings.unary.13",
        "azure/embeddings.unary.02",
        "azure/embeddings.unary.04",
        "mistral/embeddings.unary.01",
        "mistral/embeddings.unary.03",
        "vllm/embeddings.unary.01",
    ] {
        let Some((request, reply)) = recording(name) else { return };
        let host = match name.split_once('/').unwrap().0 {
            "vllm" => "hosted_vllm",
            host => host,
        };
        let model = request["model"].as_str().unwrap().to_owned();
        let outcome =
            run(prepared(host, "/v1/embeddings", &request, &model).reply, &[Bytes::from(reply.clone())]);
        assert_eq!(outcome.bytes(), reply, "{name}");
        let said: Value = serde_json::from_slice(&reply).unwrap();
        let usage = outcome.progress.usage.unwrap();
        assert_eq!(Some(usage.prompt_tokens), said["usage"]["prompt_tokens"].as_u64(), "{name}");
        checked += 1;
    }
    assert_eq!(checked, 9);
}

#[test]
fn recorded_rerankings_are_asked_for_and_read() {
    let Some((request, reply)) = recording("bedrock/invoke.unary.16") else { return };
    let mut body = request.clone();
    body.as_object_mut().unwrap().remove("api_version");
    body["model"] = "m".into();
    let call = prepared("bedrock", "/v1/rerank", &body, "cohere.rerank-v3-5:0");
    assert_eq!(serde_json::from_slice::<Value>(&call.outbound.body).unwrap(), request);
    let document: Value =
        serde_json::from_slice(&run(call.reply, &[reply.clone().into()]).items.concat()).unwrap();
    assert_eq!(document["results"], serde_json::from_slice::<Value>(&reply).unwrap()["results"]);

    let (request, reply) = recording("cohere/v2-rerank.unary.01").unwrap();
    let call = prepared("cohere", "/v2/rerank", &request, "rerank-v3.5");
    assert_eq!(serde_json::from_slice::<Value>(&call.outbound.body).unwrap(), request);
    assert_eq!(run(call.reply, &[reply.clone().into()]).items.concat(), reply);
}

#[test]
fn recorded_completions_go_through_byte_for_byte_and_are_counted() {
    for (name, content) in [
        ("openai/completions.stream.02", 0),
        ("openai/completions.stream.03", 0),
        ("vllm/completions.stream.01", 0),
        ("openai/completions.unary.07", 1),
        ("openai/completions.unary.11", 1),
        ("vllm/completions.unary.01", 1),
        ("azure/completions.unary.01", 1),
    ] {
        let Some((mut request, reply)) = recording(name) else { return };
        if request["model"].is_null() {
            request["model"] = "m".into();
        }
        let outside = Outside { operation: Operation::Complete, ..Outside::of(ClientDialect::OpenaiChat) };
        let inbound = Inbound::read(outside, request.to_string().into()).unwrap();
        assert_eq!(inbound.stream, content == 0, "{name}");
        let endpoint = row("openai").unwrap().endpoint(None, None, None).unwrap();
        let prepared = endpoint.prepare(&inbound, &inbound.model).unwrap();
        assert!(prepared.outbound.uri.path().ends_with("/v1/completions"));
        for pieces in cuttings(&reply, 5) {
            let outcome = run(prepared.plan.reply("id", 1), &pieces);
            assert_eq!(outcome.result, Ok(()), "{name}");
            assert_eq!(
                String::from_utf8(outcome.bytes()).unwrap(),
                String::from_utf8(reply.clone()).unwrap(),
                "{name}"
            );
            assert!(outcome.progress.ended && outcome.progress.content_events > 0, "{name}");
            assert_eq!(outcome.progress.usage.is_some(), content == 1, "{name}");
        }
    }
}

/// Neither a model that chat reaches by the Responses API nor a host's own API of chat makes them another operation.
#[test]
fn legacy_completions_are_asked_of_their_own_path_everywhere() {
    for (host, base, model, expected) in [
        ("openai", None, "gpt-5.3-codex", "https://api.openai.com/v1/completions"),
        ("ollama", None, "qwen", "http://localhost:11434/v1/completions"),
        ("ollama", Some("http://localhost:11434/api"), "qwen", "http://localhost:11434/v1/completions"),
        ("jina_ai", None, "m", "https://api.jina.ai/v1/completions"),
    ] {
        let outside = Outside { operation: Operation::Complete, ..Outside::of(ClientDialect::OpenaiChat) };
        let body = r#"{"model":"m","prompt":"The tide","max_tokens":5}"#;
        let inbound = Inbound::read(outside, body.into()).unwrap();
        let prepared =
            row(host).unwrap().endpoint(base, None, None).unwrap().prepare(&inbound, model).unwrap();
        assert_eq!(prepared.outbound.uri, expected);
        let sent = serde_json::from_slice::<Value>(&prepared.outbound.body).unwrap();
        assert_eq!((&sent["model"], &sent["prompt"]), (&model.into(), &"The tide".into()));
        assert_eq!(sent["max_tokens"], 5, "its name is not that of chat's");
    }
    for host in ["anthropic", "gemini", "cohere"] {
        let outside = Outside { operation: Operation::Complete, ..Outside::of(ClientDialect::OpenaiChat) };
        let inbound = Inbound::read(outside, r#"{"model":"m","prompt":"The tide"}"#.into()).unwrap();
        let endpoint = row(host).unwrap().endpoint(None, None, None).unwrap();
        let refused = endpoint.prepare(&inbound, "m").err().unwrap();
        assert_eq!(refused.code(), Some("unsupported_operation"), "{host}");
    }
}
