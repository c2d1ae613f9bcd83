//! The simulator invents no header and no field: what it sends, the corpus of recorded traffic has too.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{
    AZURE, BEDROCK, CONVERSE, CONVERSE_STREAM, MESSAGES, OPENAI, RESPOND, RESPOND_STREAM, RESPONSES, STREAM,
    WHOLE, exchange, request,
};
use tidegate_sim::{Config, Simulator};

type Names = BTreeSet<String>;

/// The names of headers, and the paths of JSON fields with array places left out.
#[derive(Default)]
struct Shape {
    headers: Names,
    fields: Names,
}

impl Shape {
    fn add_fields(&mut self, path: &str, value: &Value) {
        match value {
            // A tool's input is the model's own, and filter verdicts name whatever filters there are.
            Value::Object(_) if path.ends_with("toolUse.input") || path.ends_with("content.input") => {}
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path = format!("{path}.{name}");
                    self.add_fields(&path, value);
                    self.fields.insert(path);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.add_fields(path, value)),
            _ => {}
        }
    }

    fn add_body(&mut self, mut body: &[u8]) {
        if let Ok(document) = serde_json::from_slice::<Value>(body) {
            return self.add_fields("", &document);
        }
        if body.starts_with(b"data: ") || body.starts_with(b"event: ") {
            let text = String::from_utf8_lossy(body).into_owned();
            let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
            data.filter_map(|data| serde_json::from_str(data).ok())
                .for_each(|event| self.add_fields("", &event));
            return;
        }
        while let Ok(message) = aws_smithy_eventstream::frame::read_message_from(&mut body) {
            let kind = message.headers().first().unwrap().value().as_string().unwrap().as_str().to_owned();
            self.add_fields(&kind, &serde_json::from_slice(message.payload()).unwrap());
        }
    }
}

fn recorded(folder: &Path, apis: &[&str]) -> Shape {
    let index: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let mut shape = Shape::default();
    for entry in index.iter().filter(|entry| apis.iter().any(|api| entry["api"] == *api)) {
        shape.headers.extend(entry["response_headers"].as_object().unwrap().keys().cloned());
        shape.add_body(&std::fs::read(folder.join(entry["response_file"].as_str().unwrap())).unwrap());
    }
    shape
}

#[tokio::test]
async fn every_header_and_field_sent_has_been_recorded() {
    let corpus: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if !corpus.exists() {
        println!(
            "the corpus of recorded traffic is absent: the simulator's shapes were not compared with it"
        );
        return;
    }
    let sim = Simulator::start(Config::default()).unwrap();
    let scenario = "tokens=4,tools=1,reasoning=2,cached=1";
    for (folder, apis, calls) in [
        ("openai", &["chat"][..], [(OPENAI, STREAM, scenario), (OPENAI, WHOLE, scenario)]),
        ("azure", &["chat"], [(AZURE, STREAM, "tokens=4,tools=1,async_filter=1"), (AZURE, WHOLE, scenario)]),
        (
            "bedrock",
            &["converse", "converse-stream"],
            [(CONVERSE_STREAM, BEDROCK, scenario), (CONVERSE, BEDROCK, scenario)],
        ),
        (
            "openai",
            &["responses", "chat"],
            // Of OpenAI no whole reply was recorded that shows its reasoning.
            [(RESPONSES, RESPOND_STREAM, scenario), (RESPONSES, RESPOND, "tokens=4,tools=1,cached=1")],
        ),
        ("anthropic", &["messages"], [(MESSAGES, STREAM, scenario), (MESSAGES, WHOLE, scenario)]),
    ] {
        let recorded = recorded(&corpus.join(folder), apis);
        let mut sent = Shape::default();
        for (path, body, scenario) in calls {
            for scenario in [scenario, "error=429", "error=401"] {
                let answer = exchange(sim.address(), &request(path, scenario, body)).await;
                sent.headers.extend(answer.headers.iter().map(|(name, _)| name.clone()));
                sent.add_body(&answer.body);
            }
        }
        sent.headers.remove("content-length");
        let invented: Vec<_> = sent
            .headers
            .difference(&recorded.headers)
            .chain(sent.fields.difference(&recorded.fields))
            .collect();
        assert!(invented.is_empty(), "{folder}: never recorded: {invented:?}");
        assert!(sent.fields.len() > 15 && sent.headers.len() > 3, "{folder}: too little was compared");
        println!(
            "{folder}: {} headers and {} fields, all of them recorded",
            sent.headers.len(),
            sent.fields.len()
        );
    }
}
