//! Header fields of a backend's reply: the caller gets those that are its to see, in the form that its clients read.

use serde_json::json;

use crate::support::{Setup, caller::Answer};

fn ask(setup: &Setup, path: &str, backend: &str, scenario: &str, stream: bool) -> Answer {
    let body = json!({
        "model": format!("{backend}/sim"), "stream": stream, "max_tokens": 100,
        "messages": [{ "role": "user", "content": format!("[sim {scenario}]") }],
    });
    let body = body.to_string();
    let mut caller = setup.connect();
    let head = format!("POST {path} HTTP/1.1\r\nhost: g\r\ncontent-length: {}\r\n\r\n", body.len());
    caller.send(format!("{head}{body}").as_bytes());
    caller.answer()
}

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

#[test]
fn rate_limits_are_told_in_the_callers_form() {
    let mut setup = Setup::start();
    for (backend, http2) in [("openai", ""), ("openai", "-h2"), ("azure", "")] {
        for stream in [false, true] {
            let backend = format!("{backend}{http2}");
            let chat = ask(&setup, CHAT, &backend, "tokens=2", stream);
            let messages = ask(&setup, MESSAGES, &backend, "tokens=2", stream);
            let limit = chat.header("x-ratelimit-limit-requests").expect("the simulator says one");
            assert_eq!(messages.header("anthropic-ratelimit-requests-limit"), Some(limit), "{backend}");
            let theirs = |answer: &Answer| answer.head.contains("anthropic-ratelimit");
            assert!(!theirs(&chat) && !messages.head.contains("x-ratelimit"), "{backend}");
        }
    }
    setup.finish();
}

/// The call's own id stays the caller's, and the backend's is told beside it.
#[test]
fn the_backends_id_of_the_request_is_told() {
    let mut setup = Setup::start();
    for backend in ["openai", "azure", "bedrock", "anthropic"] {
        for scenario in ["tokens=2", "error=429"] {
            let answer = ask(&setup, CHAT, backend, scenario, true);
            let upstream =
                answer.header("x-tidegate-upstream-request-id").unwrap_or_else(|| panic!("{answer:?}"));
            assert_ne!(Some(upstream), answer.header("x-request-id"), "{backend}");
            assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("call_")), "{backend}");
        }
    }
    setup.finish();
}
