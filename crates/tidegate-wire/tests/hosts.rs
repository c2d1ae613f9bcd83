//! Every row of the table of hosts, by what it makes of one and the same request: a file for each in `fixtures/hosts`, with the
//! URL and the body that are sent. `TIDEGATE_WRITE_FIXTURES=1` writes those that are missing, to be read before they are kept.
#![cfg(test)]

use std::{collections::HashSet, fs, path::PathBuf};

use bytes::Bytes;
use tidegate_wire::{
    dialect::openai_chat::Inbound,
    host::{Dialect, Endpoint, HOSTS, HostRow, Place, row},
    hub::ChatRequest,
};

/// The parameters that hosts have other names for.
const REQUEST: &str = r#"{"model":"asked","max_completion_tokens":5,"seed":7,"stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
/// Converse and Messages have no seed, and say so.
const WITHOUT_SEED: &str = r#"{"model":"asked","max_completion_tokens":5,"stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;

fn endpoint(host: &'static HostRow) -> Endpoint {
    let base_url = host.default_base_url.is_none().then_some("https://host.example");
    let place = Place { base_url, region: Some("eu-west-1"), account: Some("acme"), api_version: None };
    host.endpoint_at(place).unwrap()
}

fn sent(host: &'static HostRow) -> String {
    let seedless = matches!(host.dialect, Dialect::BedrockConverse | Dialect::AnthropicMessages);
    let request = if seedless { WITHOUT_SEED } else { REQUEST };
    let inbound = Inbound::parse(Bytes::from_static(request.as_bytes())).unwrap();
    let outbound = endpoint(host).prepare(&inbound, "own/model").unwrap().outbound;
    let body = std::str::from_utf8(&outbound.body).unwrap().to_owned();
    format!("{} {}\n{body}\n", outbound.method, outbound.uri)
}

#[test]
fn every_host_sends_what_its_fixture_says() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hosts");
    for host in HOSTS {
        let path = folder.join(format!("{}.txt", host.name));
        let sent = sent(host);
        match fs::read_to_string(&path) {
            Ok(expected) => assert_eq!(sent, expected, "{}", host.name),
            Err(_) if std::env::var_os("TIDEGATE_WRITE_FIXTURES").is_some() => fs::write(path, sent).unwrap(),
            Err(error) => panic!("{}: no fixture: {error}", host.name),
        }
    }
    let files = fs::read_dir(folder).unwrap().count();
    assert_eq!(files, HOSTS.len(), "a fixture without a host");
    println!("{files} hosts");
}

#[test]
fn names_and_aliases_are_nobody_elses() {
    let mut seen = HashSet::new();
    for host in HOSTS {
        for name in [host.name].iter().chain(host.aliases) {
            assert!(seen.insert(*name), "{name} is there twice");
            assert_eq!(row(name).unwrap().name, host.name);
        }
    }
    assert!(HOSTS.len() >= 45, "{} hosts", HOSTS.len());
}

/// The SDK's requests go another way through the code and must come out with the same names.
#[test]
fn a_hub_request_gets_the_hosts_own_names_too() {
    let request = ChatRequest::new("asked").user("Hi").max_output_tokens(5).extra("seed", 7);
    let mistral = endpoint(row("mistral").unwrap());
    let body = mistral.prepare_hub(&request, "own").unwrap().outbound.body;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["max_tokens"], &body["random_seed"]), (&5.into(), &7.into()));
    assert!(body.get("seed").is_none() && body.get("max_completion_tokens").is_none());
}

#[test]
fn a_parameter_that_a_host_has_not_is_refused_by_name() {
    let mistral = endpoint(row("mistral").unwrap());
    let body = |user: &str| {
        format!(r#"{{"model":"m","user":{user},"messages":[{{"role":"user","content":"Hi"}}]}}"#)
    };
    let inbound = |user: &str| Inbound::parse(body(user).into()).unwrap();
    let refused = mistral.prepare(&inbound("\"u\""), "m").err().unwrap();
    assert_eq!((refused.param(), refused.status()), (Some("user"), 400));
    assert!(mistral.prepare(&inbound("null"), "m").is_ok(), "null is not given");
    let mut request = ChatRequest::new("m").user("Hi");
    request.user = Some("u".to_owned());
    assert_eq!(mistral.prepare_hub(&request, "m").err().unwrap().param(), Some("user"));
}

#[test]
fn a_parameter_under_both_names_is_left_to_the_host() {
    let body = r#"{"model":"m","max_tokens":4,"max_completion_tokens":5,"messages":[{"role":"user","content":"Hi"}]}"#;
    let inbound = Inbound::parse(Bytes::from_static(body.as_bytes())).unwrap();
    let prepared = endpoint(row("xai").unwrap()).prepare(&inbound, "m").unwrap();
    assert_eq!(prepared.outbound.body, body);
}
