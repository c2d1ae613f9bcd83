use http::HeaderMap;

use super::*;
use crate::{
    ErrorClass,
    host::{Endpoint, row},
};

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().expect("a value"));
    }
    headers
}

fn ask(query: &str) -> Ask {
    Ask::read(Some(query), &HeaderMap::new()).expect("a request for a session")
}

fn endpoint(host: &str, base: Option<&str>, version: Option<&str>) -> Endpoint {
    row(host).expect("a host").endpoint(base, None, version).expect("an endpoint")
}

fn url(endpoint: &Endpoint, query: &str) -> String {
    endpoint.prepare_realtime(&ask(query), "the/model").expect("a request").uri.to_string()
}

#[test]
fn the_model_is_named_in_the_query_by_either_name() {
    assert_eq!(ask("model=gpt-realtime").model, "gpt-realtime");
    assert_eq!(ask("api-version=2024-10-01-preview&deployment=my%20own").model, "my own");
    for without in [None, Some(""), Some("model="), Some("intent=transcription")] {
        let error = Ask::read(without, &HeaderMap::new()).expect_err("no model");
        assert_eq!((error.class(), error.param()), (ErrorClass::BadRequest, Some("model")));
    }
    let long = format!("model={}", "x".repeat(513));
    assert_eq!(Ask::read(Some(&long), &HeaderMap::new()).expect_err("too long").param(), Some("model"));
}

#[test]
fn no_spelling_names_the_backend_another_model() {
    let openai = endpoint("openai", None, None);
    for query in [
        "Model=other&model=m",
        "m%6Fdel=other&model=m",
        "model=m&DEPLOYMENT=m",
        "%64eployment=x&model=m&model=m",
    ] {
        assert_eq!(url(&openai, query), "https://api.openai.com/v1/realtime?model=the%2Fmodel", "{query}");
    }
}

/// The backend would get the gateway's key.
#[test]
fn a_key_in_the_query_goes_no_further() {
    let azure = endpoint("azure", Some("https://x.openai.azure.com"), Some("2024-10-01-preview"));
    let with = url(&azure, "deployment=m&api-key=sk-1&API%2dKEY=sk-1&key=sk-1&access_token=sk-1&intent=x");
    assert!(with.ends_with("&deployment=the%2Fmodel&intent=x"), "{with}");
}

#[test]
fn a_browser_offers_its_key_and_the_preview_as_subprotocols() {
    let offered = "realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1";
    let browser = headers(&[("sec-websocket-protocol", offered)]);
    assert!(offers_subprotocol(&browser));
    assert_eq!(offered_key(&browser).expect("a key").expose(), "sk-1");
    assert!(Ask::read(Some("model=m"), &browser).expect("right").beta);
    let lines = headers(&[
        ("sec-websocket-protocol", "realtime"),
        ("sec-websocket-protocol", "openai-insecure-api-key.sk-2"),
    ]);
    assert_eq!(offered_key(&lines).expect("a key").expose(), "sk-2");
    assert!(!offers_subprotocol(&headers(&[("sec-websocket-protocol", "chat")])));
    assert!(offered_key(&HeaderMap::new()).is_none());
}

#[test]
fn each_host_gets_its_own_url() {
    let openai = endpoint("openai", None, None);
    assert_eq!(
        url(&openai, "model=m&a=b%20c"),
        "https://api.openai.com/v1/realtime?model=the%2Fmodel&a=b%20c"
    );
    assert_eq!(
        url(&openai, "intent=transcription&model=m"),
        "https://api.openai.com/v1/realtime?intent=transcription",
        "such a session refuses a model here"
    );
    let azure = |base, version| url(&endpoint("azure", Some(base), version), "deployment=m&api-version=1&x");
    let dated =
        "https://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment=the%2Fmodel&x";
    assert_eq!(azure("https://r.openai.azure.com", Some("2025-04-01-preview")), dated);
    assert_eq!(azure("https://r.openai.azure.com/openai/deployments/d", Some("2025-04-01-preview")), dated);
    let v1 = "https://r.openai.azure.com/openai/v1/realtime?model=the%2Fmodel&x";
    assert_eq!(azure("https://r.openai.azure.com", None), v1);
    assert_eq!(azure("https://r.openai.azure.com/openai/v1/", None), v1);
    assert!(azure("https://openai.example", None).starts_with("https://openai.example/openai/v1/realtime?"));
    let own = endpoint("vllm", Some("http://127.0.0.1:8000"), None);
    assert_eq!(url(&own, "model=m"), "http://127.0.0.1:8000/v1/realtime?model=the%2Fmodel");
}

#[test]
fn of_the_callers_header_only_the_preview_is_passed_on() {
    let openai = endpoint("openai", None, None);
    let caller = headers(&[
        ("openai-beta", "realtime=v1"),
        ("authorization", "Bearer secret"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-protocol", "realtime, openai-insecure-api-key.secret"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]);
    let ask = Ask::read(Some("model=m"), &caller).expect("right");
    let outbound = openai.prepare_realtime(&ask, "m").expect("a request");
    assert!(outbound.asks_for_upgrade());
    let mut names: Vec<_> = outbound.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["connection", "openai-beta", "sec-websocket-version", "upgrade"]);
    let plain =
        openai.prepare_realtime(&super::Ask::read(Some("model=m"), &HeaderMap::new()).expect("right"), "m");
    assert!(!plain.expect("a request").headers.contains_key("openai-beta"));
}

#[test]
fn a_host_of_another_dialect_has_no_sessions() {
    for host in ["anthropic", "gemini"] {
        let error = endpoint(host, None, None).prepare_realtime(&ask("model=m"), "m").expect_err("refused");
        assert_eq!((error.class(), error.param()), (ErrorClass::BadRequest, Some("model")));
    }
}
