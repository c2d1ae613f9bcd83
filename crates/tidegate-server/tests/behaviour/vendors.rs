//! Google's and AWS's clients as callers: the same contract as for OpenAI's, in their own forms.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_engine::{Outcome, Provenance};

use crate::support::{BACKENDS, Setup, caller::Caller};

/// What a caller speaks, and how it wants a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Vendor {
    Google,
    /// Without `alt=sse`.
    GoogleArray,
    Aws,
}

const VENDORS: [Vendor; 3] = [Vendor::Google, Vendor::GoogleArray, Vendor::Aws];

impl Vendor {
    fn request(self, model: &str, scenario: &str, headers: &str) -> Vec<u8> {
        let text = json!([{ "text": format!("[sim {scenario}]") }]);
        let (path, body) = match self {
            Self::Google => (
                format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
                json!({ "contents": [{ "parts": text }] }),
            ),
            Self::GoogleArray => (
                format!("/v1beta/models/{model}:streamGenerateContent"),
                json!({ "contents": [{ "parts": text }] }),
            ),
            Self::Aws => (
                format!("/model/{model}/converse-stream"),
                json!({ "messages": [{ "role": "user", "content": text }] }),
            ),
        };
        let body = body.to_string();
        format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

impl Setup {
    fn ask_as(&self, vendor: Vendor, model: &str, scenario: &str) -> Caller {
        let mut caller = self.connect();
        caller.send(&vendor.request(model, scenario, ""));
        caller
    }
}

/// How often `part` is in `bytes`.
fn count(bytes: &[u8], part: &str) -> usize {
    bytes.windows(part.len()).filter(|window| *window == part.as_bytes()).count()
}

#[test]
fn a_stream_is_complete_and_accounted_for_over_every_backend() {
    for vendor in VENDORS {
        for backend in BACKENDS {
            let mut setup = Setup::start();
            let answer = setup.ask_as(vendor, &format!("{backend}/sim"), "tokens=3,prompt=30").answer();
            assert_eq!(answer.status, 200, "{vendor:?} {backend}");
            let record = setup.only_record();
            assert_eq!(
                (record.outcome, record.provenance),
                (Outcome::Complete, Provenance::Reported),
                "{vendor:?} {backend}"
            );
            assert_eq!(
                (record.usage.prompt_tokens, record.usage.completion_tokens),
                (30, 3),
                "{vendor:?} {backend}"
            );
            assert_eq!(record.delivered_bytes, answer.body.len() as u64, "{vendor:?} {backend}");
            let end = match vendor {
                Vendor::Google | Vendor::GoogleArray => "STOP",
                Vendor::Aws => "metadata",
            };
            assert_eq!(count(&answer.body, end), 1, "{vendor:?} {backend}");
        }
    }
}

#[test]
fn o5_a_broken_stream_ends_in_each_vendors_own_error() {
    for vendor in VENDORS {
        for backend in BACKENDS {
            let mut setup = Setup::start();
            let answer = setup.ask_as(vendor, &format!("{backend}/sim"), "tokens=9,truncate=5").answer();
            let ends = match vendor {
                Vendor::Google => {
                    let text = answer.text();
                    let last = text.trim_end().lines().last().unwrap().strip_prefix("data: ").unwrap();
                    let error: Value = serde_json::from_str(last).unwrap();
                    error["error"]["status"] == "INTERNAL" && !text.contains("STOP")
                }
                Vendor::GoogleArray => {
                    let elements: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
                    elements.last().unwrap()["error"]["status"] == "INTERNAL"
                }
                Vendor::Aws => {
                    count(&answer.body, "modelStreamErrorException") == 1
                        && count(&answer.body, "messageStop") == 0
                }
            };
            assert!(ends, "{vendor:?} {backend}: {:?}", String::from_utf8_lossy(&answer.body));
            let record = setup.only_record();
            assert!(
                matches!(record.outcome, Outcome::Broken | Outcome::Truncated),
                "{vendor:?} {backend}: {record:?}"
            );
        }
    }
}

#[test]
fn d14_a_silent_backend_is_bridged_by_what_each_vendors_clients_skip() {
    for vendor in VENDORS {
        for backend in ["openai", "gemini", "bedrock"] {
            let mut setup = Setup::builder().settings("heartbeat: 20ms\n").start();
            let scenario = "tokens=3,first_token_delay=300ms";
            let answer = setup.ask_as(vendor, &format!("{backend}/sim"), scenario).answer();
            let signs = match vendor {
                Vendor::Google | Vendor::GoogleArray => {
                    let lines = answer.text().split('\n').map(str::to_owned).collect::<Vec<_>>();
                    lines.iter().filter(|line| line.is_empty()).count()
                }
                Vendor::Aws => count(&answer.body, "ping"),
            };
            assert!(signs >= 5, "{vendor:?} {backend}: {signs}");
            if vendor == Vendor::GoogleArray {
                let elements: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
                assert!(elements.iter().all(|element| element.get("candidates").is_some()));
            }
            assert_eq!(setup.only_record().outcome, Outcome::Complete);
        }
    }
}

#[test]
fn a_request_is_refused_in_the_vendors_own_form_and_recorded() {
    let mut setup = Setup::builder().settings("master_key: sk-a-key\n").start();
    for (vendor, headers) in [
        (Vendor::Google, ""),
        (Vendor::Google, "x-goog-api-key: sk-another\r\n"),
        (Vendor::Aws, ""),
        (Vendor::Aws, "authorization: Bearer sk-another\r\n"),
        (
            Vendor::Aws,
            "authorization: AWS4-HMAC-SHA256 Credential=a/20261122/r/bedrock/aws4_request, SignedHeaders=host, Signature=0\r\n",
        ),
    ] {
        let mut caller = setup.connect();
        caller.send(&vendor.request("openai/sim", "tokens=3", headers));
        let answer = caller.answer();
        assert_eq!(answer.status, 401, "{vendor:?} {headers}");
        match vendor {
            Vendor::Aws => {
                assert_eq!(answer.header("x-amzn-errortype"), Some("AccessDeniedException"));
                assert!(answer.json()["message"].is_string());
                assert!(answer.header("x-amzn-requestid").is_some());
            }
            _ => assert_eq!(answer.json()["error"]["status"], "UNAUTHENTICATED"),
        }
    }
    let mut caller = setup.connect();
    caller.send(&Vendor::Google.request("openai/sim", "tokens=3", "x-goog-api-key: sk-a-key\r\n"));
    assert_eq!(caller.answer().status, 200);
    let records = setup.finish();
    assert_eq!(records.len(), 6);
    assert_eq!(records.iter().filter(|record| record.status == 401).count(), 5, "{records:?}");
    assert!(
        records
            .iter()
            .all(|record| record.hang_up_to_closed.is_none_or(|took| took < Duration::from_secs(1)))
    );
}
