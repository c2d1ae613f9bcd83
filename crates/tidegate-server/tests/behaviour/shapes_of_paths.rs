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
