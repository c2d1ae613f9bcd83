//! The Responses API as a surface for callers: its own shapes, and the same contract over every backend; and what backends keep.

use serde_json::{Value, json};
use tidegate_engine::{Outcome, Provenance};

use crate::support::{
    BACKENDS, Setup, block_on,
    caller::{Answer, Caller},
};

/// A request as HTTP/1.1.
fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn create(model: &str, scenario: &str, fields: Value) -> Vec<u8> {
    let mut body = json!({
        "model": model, "input": [{ "role": "user", "content": format!("[sim {scenario}]") }],
        "tools": [{ "type": "function", "name": "tide_table", "parameters": { "type": "object" }, "strict": false }],
    });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request("POST", "/v1/responses", &body.to_string())
}

impl Setup {
    fn respond(&self, model: &str, scenario: &str, fields: Value) -> Caller {
        self.sent(&create(model, scenario, fields))
    }

    fn sent(&self, request: &[u8]) -> Caller {
        let mut caller = self.connect();
        caller.send(request);
        caller
    }
}

/// The events of a stream: each has its type as its name, and the number that follows.
fn events(answer: &Answer) -> Vec<Value> {
    let blocks = answer.text().split("\n\n").filter(|block| !block.is_empty());
    let read = |(number, block): (usize, &str)| {
        let (name, data) = block.split_once('\n').expect("an event has two lines");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
        assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
        assert_eq!(data["sequence_number"], number, "{data}");
        data
    };
    blocks.enumerate().map(read).collect()
}

/// What a response says: reasoning, text, arguments of calls, status, and the prompt's and the answer's tokens.
fn said(response: &Value) -> (String, String, String, String, (u64, u64)) {
    let items = || response["output"].as_array().unwrap().iter();
    let texts = |kind: &str, parts: &str| -> String {
        let of_kind = items().filter(|item| item["type"] == kind);
        let parts = of_kind.flat_map(|item| item[parts].as_array().unwrap());
        parts.filter_map(|part| part["text"].as_str()).collect()
    };
    let arguments = items().filter_map(|item| item["arguments"].as_str()).collect();
    let count = |name: &str| response["usage"][name].as_u64().unwrap_or(0);
    let status = response["status"].as_str().unwrap().to_owned();
    (
        texts("reasoning", "summary"),
        texts("message", "content"),
        arguments,
        status,
        (count("input_tokens"), count("output_tokens")),
    )
}

#[test]
fn a_stream_says_the_same_over_every_backend() {
    for backend in BACKENDS {
        for http in ["", "-h2"] {
            let mut setup = Setup::start();
            let scenario = "tokens=3,reasoning=4,tools=2,prompt=30,cached=9";
            let answer =
                setup.respond(&format!("{backend}{http}/sim"), scenario, json!({ "stream": true })).answer();
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (200, Some("text/event-stream; charset=utf-8"))
            );
            let events = events(&answer);
            let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
            assert_eq!(kinds[..2], ["response.created", "response.in_progress"], "{backend}");
            assert_eq!(kinds.last(), Some(&"response.completed"), "{backend}");
            let response = &events[events.len() - 1]["response"];
            let (reasoning, text, arguments, status, tokens) = said(response);
            let pieces: String = events
                .iter()
                .filter(|event| event["type"] == "response.output_text.delta")
                .filter_map(|event| event["delta"].as_str())
                .collect();
            assert_eq!((text.as_str(), pieces.as_str()), (" A tide gate", " A tide gate"), "{backend}");
            assert_eq!(arguments, r#"{"harbour":"Delfzijl"}{"harbour":"Delfzijl"}"#, "{backend}");
            // Chat completions of OpenAI only count their reasoning; Azure has the Responses API.
            let shown =
                if backend == "openai" && response["store"] == false { "" } else { " A tide gate is" };
            assert_eq!(reasoning, shown, "{backend}");
            // A call of Gemini's or Ollama's comes in one piece.
            let generated = if matches!(backend, "gemini" | "ollama") { 9 } else { 19 };
            assert_eq!((status.as_str(), tokens), ("completed", (30, generated)), "{backend}");
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
        let answer =
            setup.respond(&format!("{backend}/sim"), "tokens=3,tools=1,prompt=30", json!({})).answer();
        let response = answer.json();
        assert_eq!(response["object"], "response", "{backend}");
        assert!(response["id"].as_str().unwrap().starts_with("resp_"), "{backend}");
        let (_, text, arguments, status, (prompt, _)) = said(&response);
        assert_eq!(
            (text.as_str(), arguments.as_str()),
            (" A tide gate", r#"{"harbour":"Delfzijl"}"#),
            "{backend}"
        );
        assert_eq!((status.as_str(), prompt), ("completed", 30), "{backend}");
        let record = setup.only_record();
        assert_eq!(answer.header("x-request-id"), Some(record.id.as_str()));
        assert_eq!(answer.header("x-tidegate-call-id"), Some(record.id.as_str()));
    }
}

#[test]
fn a_translated_response_repeats_its_request() {
    let setup = Setup::start();
    let fields = json!({ "instructions": "Be brief.", "temperature": 0.5, "metadata": { "a": "b" } });
    let response = setup.respond("bedrock/anthropic.claude-sonnet-4", "tokens=1", fields).answer().json();
    assert_eq!(response["instructions"], "Be brief.");
    assert_eq!((&response["temperature"], &response["metadata"]), (&json!(0.5), &json!({ "a": "b" })));
    assert_eq!(response["tools"][0]["name"], "tide_table");
    assert_eq!((&response["store"], &response["background"]), (&json!(false), &json!(false)));
}

#[test]
fn o5_an_error_inside_a_stream_is_told_and_no_end_is_made_up() {
    for backend in BACKENDS {
        for fault in ["fail=2", "truncate=2"] {
            let setup = Setup::start();
            let scenario = format!("tokens=9,{fault}");
            let answer =
                setup.respond(&format!("{backend}/sim"), &scenario, json!({ "stream": true })).answer();
            let text = answer.text();
            assert!(!text.contains("response.completed"), "{backend} {fault}: {text}");
            assert!(text.contains("event: error\ndata: {"), "{backend} {fault}: {text}");
        }
    }
}

/// D1, D4: the matrix has every phase; this one is the record.
#[test]
fn a_hang_up_closes_the_backend_and_is_recorded_once() {
    for backend in BACKENDS {
        let mut setup = Setup::start();
        let scenario = "tokens=1000,interval=5ms,tag=gone";
        let mut caller = setup.respond(&format!("{backend}/sim"), scenario, json!({ "stream": true }));
        caller.read_until("output_text.delta");
        caller.rst();
        setup.stopped("gone");
        assert_eq!(setup.only_record().outcome, Outcome::ClientGone, "{backend}");
    }
}

/// The id that callers know says which host keeps the response, and everything about it goes there, by the host's own id.
#[test]
fn a6_a17_what_a_host_keeps_is_asked_of_that_host() {
    for host in ["responses", "responses-h2"] {
        let mut setup = Setup::start();
        let made = setup.respond(&format!("{host}/sim"), "tokens=3", json!({})).answer().json();
        let id = made["id"].as_str().unwrap().to_owned();
        assert!(id.ends_with(&format!(".{host}")), "{id}");
        let get = setup.sent(&request("GET", &format!("/v1/responses/{id}"), "")).answer();
        assert_eq!((get.status, &get.json()["id"]), (200, &json!(id)));
        let cancelled =
            setup.sent(&request("POST", &format!("/v1/responses/{id}/cancel"), "")).answer().json();
        assert_eq!((&cancelled["id"], &cancelled["status"]), (&json!(id), &json!("cancelled")));
        let items = setup.sent(&request("GET", &format!("/responses/{id}/input_items?limit=5"), "")).answer();
        assert_eq!(items.json()["data"][0]["id"], "msg_1", "items have their own ids");
        let deleted =
            setup.sent(&request("DELETE", &format!("/openai/v1/responses/{id}"), "")).answer().json();
        assert_eq!(deleted, json!({ "id": id, "object": "response", "deleted": true }));
        let continued =
            setup.respond(&format!("{host}/sim"), "tokens=1", json!({ "previous_response_id": id })).answer();
        assert_eq!(continued.status, 200);
        let records = setup.finish();
        assert_eq!(records.len(), 6, "A17: each is a call with its record");
        for record in &records[1..5] {
            assert_eq!(record.operation, "responses");
            assert_eq!(
                (record.outcome, record.model.as_str()),
                (Outcome::Complete, &*format!("{host}/responses"))
            );
            assert_eq!(
                (record.usage.prompt_tokens, record.usage.completion_tokens),
                (0, 0),
                "A6: paid for once"
            );
        }
    }
}

#[test]
fn a_response_that_nobody_here_keeps_is_not_found() {
    let setup = Setup::start();
    for (id, why) in [
        ("resp_1.nowhere", "there is no host \"nowhere\""),
        ("resp_1.anthropic", "there is no host \"anthropic\""),
        ("resp_1", "does not say which host"),
    ] {
        let answer = setup.sent(&request("GET", &format!("/v1/responses/{id}"), "")).answer();
        assert_eq!((answer.status, answer.error_code()), (404, json!("response_not_found")), "{id}");
        assert!(answer.text().contains(&why.replace('"', "\\\"")), "{}", answer.text());
    }
    let wrong = setup.sent(&request("POST", "/v1/responses/resp_1.responses", "")).answer();
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, DELETE")));
    let refused =
        setup.respond("bedrock/sim", "tokens=1", json!({ "previous_response_id": "resp_1.responses" }));
    let mut refused = refused;
    assert_eq!(refused.answer().json()["error"]["param"], "previous_response_id");
}

/// A hang-up closes the connection of a stream that is read again, and nothing else: no cancel is sent.
#[test]
fn p11_a_hang_up_on_a_background_stream_cancels_nothing() {
    let simulator = tidegate_sim::Config {
        scenario: tidegate_sim::Scenario {
            tokens: 1000,
            interval: std::time::Duration::from_millis(5),
            ..tidegate_sim::Scenario::default()
        },
        ..tidegate_sim::Config::default()
    };
    let mut setup = Setup::builder().simulator(simulator).start();
    let path = "/v1/responses/resp_1.responses?stream=true&starting_after=0";
    let mut caller = setup.sent(&request("GET", path, ""));
    caller.read_until("output_text.delta");
    caller.rst();
    let quiet = block_on(setup.sim.quiet(crate::support::CLOSED_WITHIN));
    assert!(quiet, "the connection was not closed");
    let seen = setup.sim.observations();
    assert_eq!(seen.len(), 1, "nothing else was sent: {seen:?}");
    assert!(seen[0].cut_short(), "{seen:?}");
    assert_eq!(setup.only_record().outcome, Outcome::ClientGone);
}

/// A response in the background has no answer yet, which is no failure.
#[test]
fn a_response_in_the_background_is_relayed_as_it_is() {
    let mut setup = Setup::start();
    let answer = setup.respond("responses/sim", "finish=queued", json!({ "background": true })).answer();
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("queued")));
    assert_eq!(setup.only_record().outcome, Outcome::Complete);
    let setup = Setup::start();
    let refused = setup.respond("gemini/sim", "tokens=1", json!({ "background": true })).answer();
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("background")));
}

/// Callers of chat completions and Messages do not see that a model is reached by another API.
#[test]
fn a_model_that_is_there_only_answers_chat_callers() {
    let setup = Setup::start();
    for backend in ["openai", "azure"] {
        let answer = setup.call(&format!("{backend}/gpt-5-pro"), "tokens=3,tag=pro", false).answer();
        assert_eq!(answer.json()["choices"][0]["message"]["content"], " A tide gate", "{backend}");
        let streamed = setup.call(&format!("{backend}/gpt-5-pro"), "tokens=3", true).answer();
        assert_eq!(streamed.streamed_text(), " A tide gate", "{backend}");
    }
}
