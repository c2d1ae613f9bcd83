//! Recorded exchanges come back byte for byte, from the project's own small recordings and, where it is at hand, from the
//! corpus of recorded traffic.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::{BEDROCK, Client, STREAM, exchange, request};
use tidegate_sim::{Config, Replay, SimHandle, Simulator};

fn serving(directory: &Path) -> SimHandle {
    let replay = Some(Arc::new(Replay::load(directory).unwrap()));
    Simulator::start(Config { replay, ..Config::default() }).unwrap()
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

fn path_for(id: &str) -> String {
    let name = id.replace(['/', ':'], "%2F");
    match id {
        _ if id.starts_with("bedrock/invoke-with-response-stream") => {
            format!("/model/claude-replay:{name}/invoke-with-response-stream")
        }
        _ if id.starts_with("bedrock/invoke") => format!("/model/claude-replay:{name}/invoke"),
        _ if id.starts_with("bedrock/converse-stream") => format!("/model/{name}/converse-stream"),
        _ if id.starts_with("bedrock/") => format!("/model/{name}/converse"),
        _ if is_google(id) && id.contains("/stream") && !id.contains(".unary.") => {
            format!("/v1beta/models/{name}:streamGenerateContent?alt=sse")
        }
        _ if is_google(id) => format!("/v1beta/models/{name}:generateContent"),
        _ if id.starts_with("azure/") => {
            format!("/openai/deployments/{name}/chat/completions?api-version=2024-10-21")
        }
        _ if id.starts_with("cohere/") => "/v2/chat".to_owned(),
        _ if id.starts_with("ollama/") => "/api/chat".to_owned(),
        _ if id.starts_with("anthropic/") => "/v1/messages".to_owned(),
        _ => "/v1/chat/completions".to_owned(),
    }
}

fn is_google(id: &str) -> bool {
    id.starts_with("gemini/") || id.starts_with("vertex/")
}

fn body_for(id: &str) -> String {
    if is_google(id) {
        return r#"{"contents":[{"parts":[{"text":"Hi"}]}]}"#.to_owned();
    }
    if id.starts_with("bedrock/invoke") {
        return r#"{"anthropic_version":"bedrock-2023-05-31","messages":[]}"#.to_owned();
    }
    if id.starts_with("bedrock/") { BEDROCK.to_owned() } else { STREAM.replace("gpt-4o-mini", id) }
}

#[tokio::test]
async fn a_recording_is_served_under_each_of_its_names() {
    let sim = serving(&own());
    let recorded = std::fs::read(own().join("azure/chat.stream.01-tide.response.sse")).unwrap();
    for name in [
        "azure%2Fchat.stream.01-tide",
        "azure/chat.stream.01-tide",
        "chat.stream.01-tide",
        "chat.stream.01",
        "replay:chat.stream.01",
    ] {
        let path = format!("/openai/deployments/{name}/chat/completions?api-version=2024-10-21");
        let answer = exchange(sim.address(), &request(&path, "", STREAM)).await;
        assert_eq!(answer.body, recorded, "{name}");
        assert_eq!(answer.header("x-ms-region"), Some("Nowhere"), "{name}");
    }
}

#[tokio::test]
async fn an_error_a_document_and_a_payload_come_with_their_status_and_media_type() {
    let sim = serving(&own());
    let refused =
        exchange(sim.address(), &request(&path_for("bedrock/converse.unary.01-refused"), "", BEDROCK)).await;
    assert_eq!(
        (refused.status, refused.header("x-amzn-errortype")),
        (403, Some("ExpiredTokenException:http://x/"))
    );
    let body = body_for("openai/chat.payload.01-lines");
    let lines = exchange(sim.address(), &request("/v1/chat/completions", "", &body)).await;
    assert_eq!(lines.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!((lines.events().len(), lines.chunks.len()), (2, 3));
}

#[tokio::test]
async fn a_replayed_stream_can_be_split_and_stalled() {
    let sim = serving(&own());
    let path = path_for("azure/chat.stream.01-tide");
    let plain = exchange(sim.address(), &request(&path, "", STREAM)).await;
    let split = exchange(sim.address(), &request(&path, "split=3", STREAM)).await;
    assert_eq!(plain.body, split.body);
    assert!(split.chunks.len() > plain.chunks.len());
    let mut client = Client::connect(sim.address()).await;
    client.send(&request(&path, "stall=1,tag=held", STREAM)).await;
    client.read_until(b"\n\n").await;
    drop(client);
    let seen = sim.observation("held", support::SECONDS).await.unwrap();
    assert_eq!((seen.frames_written, seen.phase_at_close), (1, tidegate_sim::Phase::Stalled));
}

#[tokio::test]
async fn every_recording_of_the_corpus_comes_back_byte_for_byte() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if !corpus.exists() {
        println!("the corpus of recorded traffic is absent: only the project's own recordings were checked");
        return;
    }
    let sim = serving(&corpus);
    let ids: Vec<String> = Replay::load(&corpus).unwrap().ids().map(str::to_owned).collect();
    for id in &ids {
        let provider = corpus.join(id.split_once('/').unwrap().0);
        let index: Vec<serde_json::Value> =
            serde_json::from_slice(&std::fs::read(provider.join("index.json")).unwrap()).unwrap();
        let entry = index.iter().find(|entry| entry["id"] == id.as_str()).unwrap();
        let recorded = std::fs::read(provider.join(entry["response_file"].as_str().unwrap())).unwrap();
        let answer = exchange(sim.address(), &request(&path_for(id), "", &body_for(id))).await;
        assert_eq!(u64::from(answer.status), entry["status"].as_u64().unwrap(), "{id}");
        if entry["response_fidelity"].as_str().unwrap_or_default().starts_with("payload")
            && entry["streaming"] == true
        {
            assert_eq!(
                answer.events().len(),
                recorded.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count(),
                "{id}"
            );
        } else {
            assert_eq!(answer.body, recorded, "{id}");
        }
        for (name, value) in entry["response_headers"].as_object().unwrap() {
            if !["transfer-encoding", "content-length", "content-encoding"].contains(&name.as_str()) {
                assert_eq!(answer.header(name), value.as_str(), "{id} {name}");
            }
        }
    }
    assert!(ids.len() > 100, "only {} recordings found", ids.len());
    println!("{} recordings of the corpus came back byte for byte", ids.len());
}

#[test]
fn a_directory_without_recordings_is_an_error_that_names_it() {
    let error = Replay::load(&own().join("azure")).unwrap_err().to_string();
    assert!(error.contains("recordings/azure") || error.contains("recordings"), "{error}");
}
