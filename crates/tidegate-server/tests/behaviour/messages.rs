//! Anthropic's Messages as a surface for callers: its own shapes, and the same contract over every backend.

use serde_json::{Value, json};
use tidegate_engine::{Outcome, Provenance};

use crate::support::{
    BACKENDS, Setup,
    caller::{Answer, Caller},
};

/// A Messages request as HTTP/1.1.
fn messages(path: &str, model: &str, scenario: &str, stream: bool, header: &str) -> Vec<u8> {
    let body = json!({
        "model": model, "stream": stream, "max_tokens": 100, "messages": [{ "role": "user", "content": format!("[sim {scenario}]") }],
        "tools": [{ "name": "tide_table", "input_schema": { "type": "object" } }],
    });
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n{header}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Setup {
    fn ask(&self, model: &str, scenario: &str, stream: bool) -> Caller {
        let mut caller = self.connect();
        caller.send(&messages("/v1/messages", model, scenario, stream, ""));
        caller
    }
}

/// Name and data of each event.
fn events(answer: &Answer) -> Vec<(String, Value)> {
    let read = |block: &str| {
        let (name, data) = block.split_once('\n').expect("an event has two lines");
        let name = name.strip_prefix("event: ").expect("a name").to_owned();
        (name, serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON"))
    };
    answer.text().split("\n\n").filter(|block| !block.is_empty()).map(read).collect()
}

/// What a stream says: text, thinking, arguments of calls, stop reason, and the prompt's and the answer's tokens.
fn said(events: &[(String, Value)]) -> (String, String, String, String, (u64, u64)) {
    let pieces = |field: &str| -> String {
        events.iter().filter_map(|(_, data)| data["delta"][field].as_str()).collect()
    };
    let delta =
        events.iter().find(|(name, _)| name == "message_delta").map(|(_, data)| data.clone()).unwrap();
    let usage = &delta["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let prompt =
        count("input_tokens") + count("cache_read_input_tokens") + count("cache_creation_input_tokens");
    let stop = delta["delta"]["stop_reason"].as_str().unwrap().to_owned();
    (pieces("text"), pieces("thinking"), pieces("partial_json"), stop, (prompt, count("output_tokens")))
}

#[test]
fn a_stream_says_the_same_over_every_backend() {
    for backend in BACKENDS {
        for http in ["", "-h2"] {
            let mut setup = Setup::start();
            let scenario = "tokens=3,reasoning=4,tools=2,prompt=30,cached=9";
            let answer = setup.ask(&format!("{backend}{http}/sim"), scenario, true).answer();
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (200, Some("text/event-stream; charset=utf-8"))
            );
            let events = events(&answer);
            assert!(events.iter().all(|(name, data)| data["type"] == **name), "{events:?}");
            assert_eq!(events.first().map(|(name, _)| name.as_str()), Some("message_start"));
            assert_eq!(events.last().map(|(name, _)| name.as_str()), Some("message_stop"));
            let (text, thinking, arguments, stop, tokens) = said(&events);
            let call = r#"{"harbour":"Delfzijl"}"#;
            assert_eq!(
                (text.as_str(), arguments.as_str()),
                (" A tide gate", [call, call].concat().as_str()),
                "{backend}"
            );
            // Chat completions of OpenAI only count their reasoning.
            let shown =
                matches!(backend, "bedrock" | "anthropic" | "gemini" | "responses" | "cohere" | "ollama");
            assert_eq!(thinking, if shown { " A tide gate is" } else { "" }, "{backend}");
            // A call of these comes in one piece.
            let generated = if matches!(backend, "gemini" | "ollama") { 9 } else { 19 };
            assert_eq!((stop.as_str(), tokens), ("tool_use", (30, generated)), "{backend}");
            let record = setup.only_record();
            assert_eq!((record.outcome, record.provenance), (Outcome::Complete, Provenance::Reported));
            assert_eq!((record.usage.prompt_tokens, record.usage.completion_tokens), (30, generated));
        }
    }
}

#[test]
fn a_whole_reply_says_the_same_over_every_backend() {
    for backend in BACKENDS {
        let mut setup = Setup::start();
        let answer = setup.ask(&format!("{backend}/sim"), "tokens=3,tools=1,prompt=30", false).answer();
        let message = answer.json();
        assert_eq!(
            (&message["type"], &message["role"]),
            (&json!("message"), &json!("assistant")),
            "{backend}"
        );
        assert_eq!(message["content"][0]["text"], " A tide gate", "{backend}");
        // Before it Gemini's signature of the call, as a block of its own.
        let call =
            message["content"].as_array().and_then(|blocks| blocks.last()).cloned().unwrap_or_default();
        assert_eq!(call["input"], json!({ "harbour": "Delfzijl" }), "{backend}");
        assert_eq!(message["stop_reason"], "tool_use", "{backend}");
        let generated = if matches!(backend, "gemini" | "ollama") { 4 } else { 9 };
        assert_eq!(message["usage"]["output_tokens"], generated, "{backend}");
        let record = setup.only_record();
        assert_eq!(answer.header("request-id"), Some(record.id.as_str()));
        assert_eq!(answer.header("x-tidegate-call-id"), Some(record.id.as_str()));
    }
}

#[test]
fn errors_have_anthropics_shape() {
    let error = |setup: &Setup, request: &[u8]| {
        let mut caller = setup.connect();
        caller.send(request);
        let answer = caller.answer();
        let said = answer.json();
        assert_eq!(said["type"], "error", "{said}");
        (answer.status, said["error"]["type"].as_str().unwrap().to_owned())
    };
    let setup = Setup::start();
    for backend in BACKENDS {
        for (status, expected) in [
            (400, (400, "invalid_request_error")),
            (401, (502, "api_error")),
            (404, (404, "not_found_error")),
            (429, (429, "rate_limit_error")),
            (500, (502, "api_error")),
            (503, (503, "overloaded_error")),
        ] {
            if (backend, status) == ("bedrock", 400) {
                // What this simulator refuses there is the model's name.
                continue;
            }
            let request =
                messages("/v1/messages", &format!("{backend}/sim"), &format!("error={status}"), true, "");
            let (got, kind) = error(&setup, &request);
            assert_eq!((got, kind.as_str()), expected, "{backend} {status}");
        }
    }
    let unknown = messages("/v1/messages", "nobody/x", "", true, "");
    assert_eq!(error(&setup, &unknown), (404, "not_found_error".to_owned()));
    let wrong_path = messages("/v1/messages/batches", "x", "", true, "anthropic-version: 2023-06-01\r\n");
    assert_eq!(error(&setup, &wrong_path), (404, "not_found_error".to_owned()));
    let body = b"POST /v1/messages HTTP/1.1\r\nhost: g\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(error(&setup, body), (400, "invalid_request_error".to_owned()));
}

/// O5, A15: what broke is said, and no end is made up.
#[test]
fn o5_a_broken_stream_ends_with_an_error_event() {
    for backend in BACKENDS {
        for fault in ["truncate=6", "fail=3", "malformed=3"] {
            let mut setup = Setup::start();
            let answer = setup.ask(&format!("{backend}/sim"), &format!("tokens=9,{fault}"), true).answer();
            let events = events(&answer);
            let (name, data) = events.last().unwrap();
            assert_eq!(
                (name.as_str(), &data["type"]),
                ("error", &json!("error")),
                "{backend} {fault}: {events:?}"
            );
            let ends = ["message_delta", "message_stop"];
            assert!(!events.iter().any(|(name, _)| ends.contains(&name.as_str())), "{backend} {fault}");
            assert!(setup.only_record().error.is_some());
        }
    }
}

#[test]
fn d14_a_silent_backend_is_bridged_by_pings() {
    let setup = Setup::builder().settings("heartbeat: 20ms").start();
    for backend in BACKENDS {
        let answer = setup.ask(&format!("{backend}/sim"), "tokens=3,interval=70ms", true).answer();
        let events = events(&answer);
        let pings = events.iter().filter(|(name, _)| name == "ping").count();
        assert!(pings >= 4, "{backend}: {pings} pings");
        assert_eq!(said(&events).0, " A tide gate", "{backend}");
    }
}

#[test]
fn a_key_may_come_as_x_api_key_or_bearer() {
    let setup = Setup::builder().settings("master_key: sixteen-characters-and-more").start();
    for (header, status) in [
        ("x-api-key: sixteen-characters-and-more\r\n", 200),
        ("authorization: Bearer sixteen-characters-and-more\r\n", 200),
        ("x-api-key: wrong\r\n", 401),
        ("", 401),
    ] {
        let mut caller = setup.connect();
        caller.send(&messages("/v1/messages", "anthropic/sim", "tokens=1", false, header));
        let answer = caller.answer();
        assert_eq!(answer.status, status, "{header}");
        if status == 401 {
            assert_eq!(answer.json()["error"]["type"], "authentication_error");
        }
    }
}

#[test]
fn tokens_are_counted_where_the_backend_can_and_nowhere_guessed() {
    let mut setup = Setup::start();
    let count = |setup: &Setup, backend: &str| {
        let mut caller = setup.connect();
        let path = "/v1/messages/count_tokens";
        caller.send(&messages(path, &format!("{backend}/sim"), "prompt=77", false, ""));
        caller.answer()
    };
    let answer = count(&setup, "anthropic");
    assert_eq!((answer.status, answer.text()), (200, r#"{"input_tokens":77}"#));
    let record = setup.records.wait(1).remove(0);
    assert_eq!((record.outcome, record.usage.total_tokens), (Outcome::Complete, 0), "a count is not billed");
    for backend in ["openai", "azure", "bedrock"] {
        let answer = count(&setup, backend);
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["type"]), (400, &json!("invalid_request_error")));
        assert!(error["message"].as_str().unwrap().contains(backend), "{error}");
    }
    assert_eq!(setup.sim.observations().len(), 1);
    assert_eq!(setup.finish().len(), 4);
}

/// Claude on Bedrock and on Vertex AI is called by Anthropic's own API: what the backend says is what the caller gets.
#[test]
fn claude_in_other_clouds_is_relayed_and_counted() {
    for backend in ["bedrock", "bedrock-h2"] {
        let mut setup = Setup::start();
        let model = format!("{backend}/anthropic.claude-sim");
        let scenario = "tokens=3,reasoning=4,tools=2,prompt=30,cached=9";
        let answer = setup.ask(&model, scenario, true).answer();
        let events = events(&answer);
        let last = events.last().unwrap();
        assert_eq!(
            last.1["amazon-bedrock-invocationMetrics"]["inputTokenCount"], 30,
            "the vendor's own word"
        );
        let (text, thinking, _, stop, tokens) = said(&events);
        assert_eq!((text.as_str(), thinking.as_str()), (" A tide gate", " A tide gate is"));
        assert_eq!((stop.as_str(), tokens), ("tool_use", (30, 19)));
        let record = setup.only_record();
        assert_eq!((record.outcome, record.provenance), (Outcome::Complete, Provenance::Reported));
        assert_eq!((record.usage.prompt_tokens, record.usage.completion_tokens), (30, 19));
    }
    let setup = Setup::start();
    let whole = setup.ask("bedrock/anthropic.claude-sim", "tokens=3,prompt=30", false).answer();
    assert_eq!(whole.json()["content"][0]["text"], " A tide gate");
    let mut caller = setup.connect();
    let model = "bedrock/us.anthropic.claude-sim";
    caller.send(&messages("/v1/messages/count_tokens", model, "prompt=77", false, ""));
    let count = caller.answer();
    assert_eq!((count.status, count.text()), (200, r#"{"input_tokens":77}"#));
    // O5: what broke is said, and no end is made up.
    for fault in ["truncate=6", "fail=3", "malformed=3"] {
        let scenario = format!("tokens=9,{fault}");
        let answer = setup.ask("bedrock/anthropic.claude-sim", &scenario, true).answer();
        let events = events(&answer);
        assert_eq!(events.last().unwrap().0, "error", "{fault}: {events:?}");
        assert!(!events.iter().any(|(name, _)| name == "message_stop"), "{fault}");
    }
}
