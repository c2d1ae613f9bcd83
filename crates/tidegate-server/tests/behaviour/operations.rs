//! What callers use besides chat: the same contract, over every host that has it, and a refusal by name from every other.

use serde_json::{Value, json};
use tidegate_engine::{CallRecord, Outcome, Provenance};

use crate::support::{Setup, caller::Answer};

/// A request as HTTP/1.1.
fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nhost: gateway\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

const JSON: &str = "content-type: application/json\r\n";
const FORM: &str = "content-type: multipart/form-data; boundary=tide\r\n";

fn ask(setup: &Setup, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let mut caller = setup.connect();
    caller.send(&request(method, path, headers, body));
    caller.answer()
}

fn post(setup: &Setup, path: &str, body: &Value) -> Answer {
    ask(setup, "POST", path, JSON, body.to_string().as_bytes())
}

/// A form with a file and fields; the file is `size` bytes long.
fn form(fields: &[(&str, &str)], size: usize) -> Vec<u8> {
    let mut body = b"--tide\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n".to_vec();
    body.extend(std::iter::repeat_n(b'a', size));
    for (name, value) in fields {
        body.extend_from_slice(
            format!("\r\n--tide\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}")
                .as_bytes(),
        );
    }
    body.extend_from_slice(b"\r\n--tide--\r\n");
    body
}

/// Models of every host that embeds.
const EMBEDDERS: [&str; 9] = [
    "openai/text-embedding-3-small",
    "azure/text-embedding-3-small",
    "gemini/gemini-embedding-001",
    "vertex/text-embedding-005",
    "vertex/gemini-embedding-2",
    "cohere/embed-v4.0",
    "bedrock/amazon.titan-embed-text-v2:0",
    "bedrock/cohere.embed-v4:0",
    "bedrock/amazon.nova-2-multimodal-embeddings-v1:0",
];

/// Hosts beyond those of every test, on the simulator at `backend`.
fn with_hosts(settings: &str) -> (Setup, Setup) {
    let backend = Setup::start();
    let base = format!("http://{}", backend.sim.address());
    let more = format!(
        "  vertex: {{kind: vertex_ai, base_url: \"{base}/v1beta1/projects/p/locations/global/publishers/google\", token: simulated}}\n  \
         bedrock-open: {{kind: bedrock, base_url: \"{base}\", region: us-east-1, access_key_id: AKIDSIMULATED, secret_access_key: simulated, pass_through: true}}\n  \
         open: {{kind: openai, base_url: \"{base}/v1\", api_key: simulated, pass_through: true}}\n  \
         denied: {{kind: openai, base_url: \"{base}/v1\", api_key: bad-key, pass_through: true}}\n  \
         claude: {{kind: anthropic, base_url: \"{base}\", api_key: simulated, pass_through: true}}\n"
    );
    let hosts =
        more.lines().map(str::trim).fold(Setup::builder().settings(settings), |all, line| all.host(line));
    (hosts.start(), backend)
}

#[test]
fn every_host_that_embeds_keeps_the_order_and_says_what_it_used() {
    let (mut setup, _backend) = with_hosts("");
    let mut models = Vec::new();
    for model in EMBEDDERS {
        let one_at_a_time = ["embedding-2", "titan", "nova"].iter().any(|name| model.contains(name));
        let texts = if one_at_a_time { json!(["ebb"]) } else { json!(["ebb", "spring tide"]) };
        let answer = post(&setup, "/v1/embeddings", &json!({ "model": model, "input": texts }));
        assert_eq!(answer.status, 200, "{model}: {answer:?}");
        let reply = answer.json();
        let first: Vec<Option<f64>> =
            reply["data"].as_array().expect("data").iter().map(|one| one["embedding"][0].as_f64()).collect();
        let expected = if one_at_a_time { vec![Some(3.0)] } else { vec![Some(3.0), Some(11.0)] };
        assert_eq!(first, expected, "{model}: each text has its own vector");
        assert_eq!(reply["data"][0]["index"], 0, "{model}");
        assert!(reply["usage"]["prompt_tokens"].as_u64().is_some_and(|count| count > 0), "{model}: {reply}");
        models.push(model.to_owned());
    }
    let records = setup.finish();
    for (record, model) in records.iter().zip(&models) {
        assert_eq!((&record.model, record.operation), (model, "embeddings"));
        assert_eq!((record.outcome, record.provenance), (Outcome::Complete, Provenance::Reported), "{model}");
        assert!(record.usage.prompt_tokens > 0 && record.usage.completion_tokens == 0, "{model}");
    }
    assert_eq!(records.len(), models.len(), "one record for each call");
}

#[test]
fn vectors_come_as_base64_where_they_are_asked_for_so() {
    let (mut setup, _backend) = with_hosts("");
    for model in EMBEDDERS {
        let body = json!({ "model": model, "input": "ebb", "encoding_format": "base64", "dimensions": 2 });
        let answer = post(&setup, "/v1/embeddings", &body);
        // 3.0 and 1.5 as little-endian 32-bit floats.
        assert_eq!(answer.json()["data"][0]["embedding"], "AABAQAAAwD8=", "{model}: {answer:?}");
    }
    setup.finish();
}

#[test]
fn what_a_host_can_not_honour_is_refused_by_name() {
    let (mut setup, _backend) = with_hosts("");
    let tokens = json!([[1, 2, 3]]);
    for model in EMBEDDERS.iter().filter(|model| !model.starts_with("openai") && !model.starts_with("azure"))
    {
        let answer = post(&setup, "/v1/embeddings", &json!({ "model": model, "input": tokens }));
        assert_eq!(
            (answer.status, answer.json()["error"]["param"].clone()),
            (400, json!("input")),
            "{model}"
        );
    }
    for (model, field, value) in [
        ("bedrock/amazon.titan-embed-text-v1", "dimensions", json!(8)),
        ("bedrock/amazon.titan-embed-text-v2:0", "input", json!(["a", "b"])),
        ("gemini/gemini-embedding-001", "seed", json!(1)),
        ("cohere/embed-v4.0", "task_type", json!("RETRIEVAL_QUERY")),
    ] {
        let mut body = json!({ "model": model, "input": "a" });
        body[field] = value;
        let answer = post(&setup, "/v1/embeddings", &body);
        assert_eq!((answer.status, answer.json()["error"]["param"].clone()), (400, json!(field)), "{model}");
    }
    assert!(setup.finish().iter().all(|record| record.outcome == Outcome::Refused && record.host.is_empty()));
}

#[test]
fn an_operation_that_a_host_has_not_is_refused_with_both_names() {
    let (mut setup, _backend) = with_hosts("");
    let mut calls = 0;
    for (path, model) in [
        ("/v1/embeddings", "anthropic/claude"),
        ("/v1/completions", "gemini/gemini-3"),
        ("/v1/completions", "bedrock/nova"),
        ("/v1/moderations", "azure/gpt"),
        ("/v1/rerank", "gemini/gemini-3"),
        ("/v1/audio/speech", "bedrock/nova"),
        ("/v1/images/generations", "anthropic/claude"),
        ("/v1/embeddings", "bedrock/meta.llama3"),
    ] {
        let body = json!({ "model": model, "input": "a", "prompt": "a", "query": "a", "documents": ["a"] });
        let answer = post(&setup, path, &body);
        assert_eq!(
            (answer.status, answer.error_code()),
            (400, json!("unsupported_operation")),
            "{path} {model}"
        );
        let message = answer.json()["error"]["message"].as_str().expect("a message").to_owned();
        let host = model.split('/').next().expect("a host");
        assert!(message.contains(host), "{message}");
        calls += 1;
    }
    assert_eq!(setup.finish().len(), calls, "refusals are recorded, too");
}

#[test]
fn azures_paths_name_the_deployment() {
    let (mut setup, _backend) = with_hosts("");
    let body = json!({ "input": "ebb" });
    for path in [
        "/openai/deployments/azure/emb/embeddings?api-version=2024-10-21",
        "/openai/deployments/openai%2Femb/embeddings?api-version=2024-10-21",
        "/openai/deployments/gemini/emb/embeddings",
    ] {
        let answer = post(&setup, path, &body);
        assert_eq!(answer.json()["data"][0]["embedding"][0], 3.0, "{path}: {answer:?}");
    }
    setup.finish();
}

#[test]
fn o5_legacy_completions_stream_and_end_as_chat_does() {
    let mut setup = Setup::start();
    for host in ["openai", "azure", "openai-h2"] {
        let body = |scenario: &str, stream: bool| json!({ "model": format!("{host}/instruct"), "prompt": format!("[sim {scenario}]"), "stream": stream });
        let whole = post(&setup, "/v1/completions", &body("tokens=3", false));
        assert_eq!(whole.json()["choices"][0]["text"], " A tide gate", "{host}: {whole:?}");
        let streamed = post(&setup, "/v1/completions", &body("tokens=3", true));
        let events = streamed.events();
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{host}");
        assert!(
            !events.iter().any(|data| data.contains("usage")),
            "{host}: nobody asked for usage: {events:?}"
        );
        let cut = post(&setup, "/v1/completions", &body("tokens=9,truncate=2", true));
        assert!(!cut.text().contains("[DONE]"), "{host}: no end is made up");
        let ends = post(&setup, "/v1/completions", &body("tokens=9,eof=2", true));
        assert!(ends.text().contains("upstream_truncated"), "{host}: {ends:?}");
    }
    for records in setup.finish().chunks(4) {
        let [whole, streamed, cut, ends] = records else { panic!("four calls each") };
        for record in [whole, streamed] {
            assert_eq!((record.outcome, record.usage.completion_tokens), (Outcome::Complete, 3));
            assert_eq!((record.provenance, record.operation), (Provenance::Reported, "completions"));
        }
        assert_ne!(cut.outcome, Outcome::Complete);
        assert_eq!(ends.outcome, Outcome::Truncated);
        assert!(ends.usage.completion_tokens > 0, "tokens that came are not lost: {ends:?}");
    }
}

#[test]
fn documents_are_ranked_by_every_host_that_can() {
    let (mut setup, _backend) = with_hosts("");
    let documents = json!(["ebb", "a spring tide", "neap tide"]);
    for model in [
        "cohere/rerank-v3.5",
        "hosted_vllm/reranker",
        "bedrock/cohere.rerank-v3-5:0",
        "bedrock/amazon.rerank-v1:0",
    ] {
        for path in ["/v1/rerank", "/rerank", "/v2/rerank"] {
            if model.starts_with("hosted_vllm") {
                // The simulated host of this name is one of OpenAI's form.
                continue;
            }
            let body = json!({ "model": model, "query": "tide", "documents": documents, "top_n": 2 });
            let answer = post(&setup, path, &body);
            let reply = answer.json();
            let order: Vec<_> = reply["results"]
                .as_array()
                .expect("results")
                .iter()
                .map(|one| one["index"].clone())
                .collect();
            assert_eq!(order, [json!(1), json!(2)], "{model} {path}: {answer:?}");
        }
    }
    let relayed = post(
        &setup,
        "/v1/rerank",
        &json!({ "model": "openai/reranker", "query": "tide", "documents": documents }),
    );
    assert_eq!(relayed.json()["results"][0]["index"], 1, "a server of one's own: {relayed:?}");
    let embedded = post(
        &setup,
        "/v2/embed",
        &json!({ "model": "cohere/embed-v4.0", "texts": ["ebb"], "input_type": "search_query" }),
    );
    assert_eq!(embedded.json()["embeddings"]["float"][0][0], 3.0, "{embedded:?}");
    setup.finish();
}

#[test]
fn speech_comes_as_it_is_spoken() {
    let mut setup = Setup::start();
    let body = json!({ "model": "openai/tts", "input": "[sim tokens=5]", "voice": "alloy" });
    let answer = post(&setup, "/v1/audio/speech", &body);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("audio/mpeg")));
    assert_eq!((answer.body.len(), answer.whole), (5 * 1024, true));
    for name in ["set-cookie", "openai-version"] {
        assert!(answer.header(name).is_none(), "{name} is the backend's own affair");
    }
    assert!(answer.header("x-ratelimit-remaining-requests").is_some(), "as of chat");
    assert_eq!(answer.header("x-request-id"), answer.header("x-tidegate-call-id"));
    let cut = post(
        &setup,
        "/v1/audio/speech",
        &json!({ "model": "openai/tts", "input": "[sim tokens=5,truncate=2]" }),
    );
    assert!(!cut.whole, "what broke off has no end: {cut:?}");
    let records = setup.finish();
    assert_eq!((records[0].outcome, records[0].delivered_bytes), (Outcome::Complete, 5 * 1024));
    assert_eq!(records[1].outcome, Outcome::Broken);
}

#[test]
fn a_form_goes_on_with_the_backends_name_of_the_model_and_the_file_as_it_is() {
    let mut setup = Setup::builder()
        .settings("models: {whisper: openai/whisper-1-of-a-long-name-indeed, w: openai/whisper-1}")
        .start();
    for (model, backends) in [
        ("whisper", "whisper-1-of-a-long-name-indeed"),
        ("w", "whisper-1"),
        ("openai/whisper-1", "whisper-1"),
        ("azure/whisper-1", "whisper-1"),
    ] {
        for size in [10, 300_000] {
            let tag = format!("form-{}-{size}", model.replace('/', "-"));
            let scenario = format!("[sim tokens=3,tag={tag}]");
            let body = form(&[("model", model), ("prompt", &scenario)], size);
            let answer = ask(&setup, "POST", "/v1/audio/transcriptions", FORM, &body);
            assert_eq!(answer.json()["text"], " A tide gate", "{model}: {answer:?}");
            let seen = setup.reached(&tag, |seen| seen.completed_ns.is_some());
            assert_eq!(seen.model, backends, "{model}");
            let grown = backends.len() as i64 - model.len() as i64;
            assert_eq!(
                seen.request_bytes as i64,
                body.len() as i64 + grown,
                "{model}: nothing else is changed"
            );
        }
    }
    let records = setup.finish();
    assert!(
        records
            .iter()
            .all(|record| record.provenance == Provenance::Reported && record.usage.completion_tokens == 3)
    );
}

#[test]
fn o5_a_transcription_is_streamed_and_has_to_have_its_last_event() {
    let mut setup = Setup::start();
    let told = |scenario: &str| {
        form(&[("model", "openai/gpt-4o-transcribe"), ("stream", "true"), ("prompt", scenario)], 10)
    };
    let answer = ask(&setup, "POST", "/v1/audio/transcriptions", FORM, &told("[sim tokens=3]"));
    assert!(answer.header("content-type").is_some_and(|media| media.starts_with("text/event-stream")));
    assert_eq!((answer.events().len(), answer.whole), (4, true));
    let ends = ask(&setup, "POST", "/v1/audio/transcriptions", FORM, &told("[sim tokens=3,eof=2]"));
    assert!(!ends.whole, "{ends:?}");
    let images = post(
        &setup,
        "/v1/images/generations",
        &json!({ "model": "openai/gpt-image", "prompt": "[sim tokens=2]", "stream": true }),
    );
    assert_eq!(images.events().len(), 3);
    let records = setup.finish();
    let outcomes: Vec<_> = records.iter().map(|record| (record.outcome, record.streaming)).collect();
    assert_eq!(outcomes, [(Outcome::Complete, true), (Outcome::Truncated, true), (Outcome::Complete, true)]);
    assert_eq!(records[0].usage.completion_tokens, 3);
}

#[test]
fn what_no_model_does_goes_to_the_host_that_is_named_or_the_configured_one() {
    let (mut setup, _backend) = with_hosts("");
    let nobody = ask(&setup, "GET", "/v1/files", "", b"");
    assert_eq!((nobody.status, nobody.error_code()), (400, json!("host_required")));
    let wrong = ask(&setup, "GET", "/v1/files?host=elsewhere", "", b"");
    assert_eq!((wrong.status, wrong.error_code()), (404, json!("host_not_found")));
    let other = ask(&setup, "GET", "/v1/files", "x-tidegate-host: anthropic\r\n", b"");
    assert_eq!((other.status, other.error_code()), (400, json!("unsupported_operation")));
    for headers in
        ["x-tidegate-host: openai\r\n", "x-tidegate-host: azure\r\n", "x-tidegate-host: openai-h2\r\n"]
    {
        assert_eq!(
            ask(&setup, "GET", "/v1/files", headers, b"").json()["data"][0]["object"],
            "file",
            "{headers}"
        );
        assert_eq!(ask(&setup, "POST", "/v1/batches", headers, b"{}").json()["object"], "batch");
        let cancelled = ask(&setup, "POST", "/v1/batches/batch_7/cancel", headers, b"");
        assert_eq!(
            (cancelled.json()["id"].clone(), cancelled.json()["status"].clone()),
            (json!("batch_7"), json!("cancelling"))
        );
        let content = ask(&setup, "GET", "/v1/files/file-7/content", headers, b"");
        assert_eq!(content.json(), json!({ "line": 1 }));
        assert_eq!(ask(&setup, "DELETE", "/v1/files/file-7", headers, b"").json()["deleted"], true);
        assert_eq!(
            ask(&setup, "POST", "/v1/files", &format!("{FORM}{headers}"), &form(&[("purpose", "batch")], 10))
                .json()["id"],
            "file-1"
        );
        assert_eq!(ask(&setup, "PUT", "/v1/files", headers, b"").status, 405);
        for path in [
            "/v1/files/../models",
            "/v1/files/%2e%2e/models",
            "/v1/files/%252e%252e/x",
            "/v1/files/a%5c..%5cb",
        ] {
            assert_eq!(ask(&setup, "GET", path, headers, b"").error_code(), "invalid_path", "{path}");
        }
    }
    let used = setup.finish().into_iter().filter(|record| record.status == 200);
    assert!(
        used.clone().count() > 10
            && used.clone().all(|record| record.provenance == Provenance::None && record.model.is_empty())
    );
    drop(used);

    let (mut setup, _backend) = with_hosts("default_host: open");
    assert_eq!(ask(&setup, "GET", "/v1/files?limit=2", "", b"").json()["data"][0]["object"], "file");
    assert_eq!(
        post(&setup, "/v1/moderations", &json!({ "input": "a" })).json()["results"][0]["flagged"],
        false
    );
    setup.finish();
}

#[test]
fn one_model_is_told_of_here_or_by_its_host() {
    let mut setup = Setup::builder().settings("models: {mine: openai/gpt}").start();
    assert_eq!(ask(&setup, "GET", "/v1/models/mine", "", b"").json()["owned_by"], "tidegate");
    for path in ["/v1/models/openai/gpt-4o", "/v1/models/azure%2Fgpt-4o"] {
        let answer = ask(&setup, "GET", path, "", b"");
        assert_eq!(
            (answer.json()["id"].clone(), answer.json()["owned_by"].clone()),
            (json!("gpt-4o"), json!("system")),
            "{answer:?}"
        );
    }
    assert_eq!(ask(&setup, "GET", "/v1/models/nowhere", "", b"").status, 404);
    assert_eq!(ask(&setup, "POST", "/v1/models/mine", "", b"").status, 405);
    assert_eq!(ask(&setup, "POST", "/v1/models/openai/gpt", "", b"").status, 405);
    setup.finish();
}

#[test]
fn a17_a_host_is_passed_through_to_only_if_the_configuration_says_so() {
    let (mut setup, _backend) = with_hosts("");
    let headers = "authorization: Bearer mine\r\nx-api-key: mine\r\ncookie: mine=1\r\nx-forwarded-for: 1.2.3.4\r\n\
                   connection: keep-alive, x-hop\r\nx-hop: 1\r\nx-other: kept\r\naccept-encoding: gzip\r\ncontent-type: text/x-tide\r\n";
    for path in ["/open/v1/echo/a%2Fb?x=1&y=%20", "/open/echo/a%2Fb?x=1&y=%20"] {
        let answer = ask(&setup, "PATCH", path, headers, b"as it is");
        let seen = answer.json();
        assert_eq!(seen["method"], "PATCH", "{answer:?}");
        assert_eq!(
            (seen["path"].as_str(), seen["query"].as_str()),
            (Some("/v1/echo/a%2Fb"), Some("x=1&y=%20"))
        );
        assert_eq!(
            (seen["body"].as_str(), seen["headers"]["content-type"].as_str()),
            (Some("as it is"), Some("text/x-tide"))
        );
        assert_eq!(seen["headers"]["authorization"], "Bearer simulated", "the host's own credential");
        assert_eq!(seen["headers"]["x-other"], "kept");
        for taken in ["x-api-key", "cookie", "x-forwarded-for", "x-hop", "accept-encoding"] {
            assert!(seen["headers"].get(taken).is_none(), "{taken}: {seen}");
        }
        assert!(answer.header("openai-version").is_some() && answer.header("set-cookie").is_none());
        assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("req_")), "the backend's own");
        assert!(answer.header("x-tidegate-call-id").is_some());
    }
    let signed = post(
        &setup,
        "/bedrock-open/model/amazon.titan-embed-text-v2%3A0/invoke",
        &json!({ "inputText": "ebb" }),
    );
    assert_eq!(signed.json()["embedding"][0], 3.0, "signed for AWS: {signed:?}");
    assert_eq!(ask(&setup, "GET", "/openai/v9/anything", "", b"").status, 404, "off by default");
    assert_eq!(ask(&setup, "OPTIONS", "/open/v1/models", "", b"").status, 405);
    for path in [
        "/open/../healthz",
        "/open/%2e%2e/x",
        "/open/v1/..%2f..%2fadmin",
        "/open/v1/%252e%252e/x",
        "/open/v1/..;/x",
    ] {
        assert_eq!(ask(&setup, "GET", path, "", b"").error_code(), "invalid_path", "{path}");
    }
    let refused = ask(&setup, "GET", "/open/v1/nothing", "", b"");
    assert_eq!(
        (refused.status, refused.error_code()),
        (404, json!("unknown_url")),
        "a refusal comes as it is: {refused:?}"
    );
    let denied = ask(&setup, "GET", "/denied/v1/models", "", b"");
    assert_eq!(denied.status, 502, "what a backend says of our key is not the caller's to read");
    let message = json!({ "model": "claude", "max_tokens": 9, "stream": true, "messages": [{ "role": "user", "content": "[sim tokens=3,prompt=30]" }] });
    let streamed = post(&setup, "/claude/v1/messages", &message);
    assert!(streamed.text().contains("message_stop"), "{streamed:?}");
    let records = setup.finish();
    let of =
        |host: &str| -> Vec<&CallRecord> { records.iter().filter(|record| record.host == host).collect() };
    let claude = of("anthropic");
    assert_eq!(
        (claude[0].operation, claude[0].usage.prompt_tokens, claude[0].usage.completion_tokens),
        ("pass_through", 30, 3)
    );
    let refused = records.iter().find(|record| record.status == 404).expect("a record of what was refused");
    assert_eq!((refused.outcome, refused.provenance), (Outcome::Refused, Provenance::None));
}

#[test]
fn p1_a_caller_that_hangs_up_stops_every_operation() {
    let (mut setup, backend) = with_hosts("");
    let json_body = |value: Value| (JSON, value.to_string().into_bytes());
    let silent = |tag: &str| format!("[sim headers_delay=60s,tag={tag}]");
    let running = |tag: &str| format!("[sim tokens=100000,interval=2ms,tag={tag}]");
    let calls = [
        (
            "embeddings",
            "/v1/embeddings",
            json_body(json!({ "model": "cohere/embed", "input": silent("embeddings") })),
            "",
        ),
        (
            "gemini",
            "/v1/embeddings",
            json_body(json!({ "model": "gemini/embed", "input": silent("gemini") })),
            "",
        ),
        (
            "rerank",
            "/v1/rerank",
            json_body(json!({ "model": "cohere/rerank", "query": silent("rerank"), "documents": ["a"] })),
            "",
        ),
        (
            "completions",
            "/v1/completions",
            json_body(json!({ "model": "openai/c", "prompt": running("completions"), "stream": true })),
            "data: ",
        ),
        (
            "speech",
            "/v1/audio/speech",
            json_body(json!({ "model": "openai/tts", "input": running("speech") })),
            "UUUU",
        ),
        (
            "transcription",
            "/v1/audio/transcriptions",
            (FORM, form(&[("model", "openai/w"), ("prompt", &silent("transcription"))], 1000)),
            "",
        ),
        (
            "images",
            "/v1/images/edits",
            (FORM, form(&[("model", "openai/i"), ("stream", "true"), ("prompt", &running("images"))], 1000)),
            "data: ",
        ),
        (
            "passed",
            "/claude/v1/messages",
            json_body(
                json!({ "model": "c", "max_tokens": 9, "stream": true, "messages": [{ "role": "user", "content": running("passed") }] }),
            ),
            "content_block_delta",
        ),
    ];
    let count = calls.len();
    for (tag, path, (headers, body), until) in calls {
        let mut caller = setup.connect();
        caller.send(&request("POST", path, headers, &body));
        let at = if tag == "passed" { &backend } else { &setup };
        at.reached(tag, |seen| seen.body_ns.is_some());
        if !until.is_empty() {
            caller.read_until(until);
        }
        caller.rst();
        at.stopped(tag);
    }
    setup.records.wait(count);
    let records = setup.finish();
    assert_eq!(records.len(), count, "one record for each call");
    for record in records {
        assert_eq!(record.outcome, Outcome::ClientGone, "{record:?}");
        assert!(record.hang_up_to_closed.is_some() && record.error.is_none(), "{record:?}");
    }
}

#[test]
fn a_caller_that_leaves_while_its_file_arrives_calls_nobody() {
    let mut setup = Setup::builder().settings("limits: {body: 1MiB}").start();
    let body = form(&[("model", "openai/whisper-1")], 300_000);
    let mut caller = setup.connect();
    let whole =
        request("POST", "/v1/audio/transcriptions", &format!("{FORM}expect: 100-continue\r\n"), &body);
    let (head, file) = whole.split_at(whole.len() - body.len());
    caller.send(head);
    // Says that the file is being waited for.
    caller.read_until("100 Continue");
    caller.send(&file[..file.len() / 2]);
    caller.rst();
    let records = setup.records.wait(1);
    assert_eq!(
        (records[0].outcome, records[0].host, records[0].operation),
        (Outcome::ClientGone, "", "transcriptions")
    );
    assert_eq!(records[0].provenance, Provenance::None);
    let mut caller = setup.connect();
    let head = "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: gateway\r\ncontent-length: 2000000\r\n";
    caller.send(format!("{head}{FORM}\r\n").as_bytes());
    assert_eq!(caller.answer().status, 413);
    assert_eq!(setup.finish().len(), 2);
}

#[test]
fn a_deadline_ends_what_is_passed_on_as_it_ends_chat() {
    let mut setup = Setup::builder().clocks("idle: 200ms").start();
    let body = json!({ "model": "openai/tts", "input": "[sim tokens=9,stall=2]" });
    let answer = post(&setup, "/v1/audio/speech", &body);
    assert_eq!(
        (answer.status, answer.body.len(), answer.whole),
        (200, 2 * 1024, false),
        "what came is delivered"
    );
    let record = setup.only_record();
    assert_eq!(record.outcome.name(), "deadline_idle");
}
