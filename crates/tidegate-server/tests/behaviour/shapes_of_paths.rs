//! Paths that name the model, as the clients of some vendors call it.

use serde_json::json;

use crate::support::{BACKENDS, Setup};

/// A chat request to `path`, whose body names no model.
fn unnamed(path: &str) -> Vec<u8> {
    let body = json!({ "messages": [{ "role": "user", "content": "[sim tokens=3]" }] }).to_string();
    format!("POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

#[test]
fn a_deployment_of_azures_clients_is_a_model() {
    let mut setup = Setup::start();
    for backend in BACKENDS {
        for slash in ["/", "%2F"] {
            let mut caller = setup.connect();
            let path =
                format!("/openai/deployments/{backend}{slash}sim/chat/completions?api-version=2024-10-21");
            caller.send(&unnamed(&path));
            let answer = caller.answer();
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            assert_eq!(answer.json()["choices"][0]["message"]["content"], " A tide gate", "{path}");
        }
    }
    setup.finish();
}

#[test]
fn a_path_that_names_no_model_is_not_there() {
    let mut setup = Setup::start();
    for path in ["/openai/deployments//chat/completions", "/openai/deployments/completions"] {
        let mut caller = setup.connect();
        caller.send(&unnamed(path));
        assert_eq!(caller.answer().status, 404, "{path}");
    }
    setup.finish();
}

#[test]
fn a_model_of_geminis_clients_is_named_by_its_path_in_every_form_that_google_has() {
    let mut setup = Setup::start();
    let body = json!({ "contents": [{ "parts": [{ "text": "[sim tokens=3]" }] }] }).to_string();
    let mut calls = 0;
    for version in ["v1", "v1beta1"] {
        let project = format!("/{version}/projects/p/locations/europe-west4");
        for path in [
            "/v1beta/models/openai/sim".to_owned(),
            "/v1/models/openai%2Fsim".to_owned(),
            // As google-genai spells it on Vertex AI.
            format!("{project}/publishers/openai/models/sim"),
            format!("{project}/publishers/google/models/openai%2Fsim"),
            format!("/{version}/publishers/openai/models/sim"),
        ] {
            for (operation, stream) in [
                ("generateContent", false),
                ("streamGenerateContent", true),
                ("streamGenerateContent?alt=sse", true),
            ] {
                calls += 1;
                let mut caller = setup.connect();
                let head = format!("POST {path}:{operation} HTTP/1.1\r\nhost: gateway\r\n");
                caller.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
                let answer = caller.answer();
                assert_eq!(answer.status, 200, "{path}:{operation}: {answer:?}");
                let events = operation.ends_with("sse");
                let media = match (stream, events) {
                    (_, true) => "text/event-stream; charset=utf-8",
                    (true, false) => "application/json; charset=utf-8",
                    (false, false) => "application/json",
                };
                assert_eq!(answer.header("content-type"), Some(media), "{path}:{operation}");
                let record = setup.records.wait(calls).pop().unwrap();
                assert_eq!(
                    (record.model.as_str(), record.streaming),
                    ("openai/sim", stream),
                    "{path}:{operation}"
                );
            }
        }
    }
    for path in [
        "/v1beta/models/:generateContent",
        "/v1/projects/p/locations//publishers/google/models/x:generateContent",
        "/v1/projects/p/publishers/google/models/x:generateContent",
        "/v1beta/models/openai/sim:generate",
    ] {
        let mut caller = setup.connect();
        caller.send(format!("POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: 0\r\n\r\n").as_bytes());
        assert_eq!(caller.answer().status, 404, "{path}");
    }
    setup.finish();
}
