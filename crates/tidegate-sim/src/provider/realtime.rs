//! OpenAI's and Azure's realtime sessions: which events answer which, as frames of a server.
//!
//! An answer is made as of chat completions: its scenario is the session's (model's name, the query's `sim=`, header), and the
//! last `[sim ...]` bracket of what the caller has said.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{measure, quoted};
use crate::journal::Call;
use crate::plan::{Body, ContentFrames, Head, Plan, Segment, Stream};
use crate::scenario::{Scenario, WORDS};

/// What one session does.
pub(crate) struct Script {
    model: String,
    scenario: Scenario,
    /// The caller's words since the last response.
    prompt: Vec<u8>,
    responses: u32,
}

impl Script {
    pub(super) fn new(model: String, scenario: Scenario) -> Self {
        Self { model, scenario, prompt: Vec::new(), responses: 0 }
    }

    pub(crate) fn never_reads(&self) -> bool {
        self.scenario.never_read
    }

    /// The time from the request to the answer.
    pub(crate) fn headers_delay(&self) -> std::time::Duration {
        self.scenario.headers_delay
    }

    /// What is said first.
    pub(crate) fn hello(&self) -> Bytes {
        let session = json!({"type": "realtime", "object": "realtime.session", "id": "sess_simulated", "model": self.model});
        event("session.created", &json!({"session": session}))
    }

    /// The frames that answer a message that asks for no response.
    pub(crate) fn answers(&mut self, message: &[u8], call: &Call) -> Vec<Bytes> {
        call.update(|seen| seen.request_bytes += message.len() as u64);
        let Ok(said) = serde_json::from_slice::<Value>(message) else {
            return vec![failure("invalid_json", "We could not parse the JSON of your event.")];
        };
        self.prompt.extend_from_slice(message);
        match said.get("type").and_then(Value::as_str) {
            Some("session.update") => {
                vec![event("session.updated", &json!({"session": said.get("session")}))]
            }
            Some("conversation.item.create") => {
                vec![event("conversation.item.added", &json!({"item": said.get("item")}))]
            }
            Some("response.create" | "response.cancel" | "input_audio_buffer.append") => Vec::new(),
            _ => vec![failure("unknown_event", "Invalid value for 'type'.")],
        }
    }

    /// The response that a message asks for.
    pub(crate) fn response(&mut self, message: &[u8], call: &Call) -> Option<Plan> {
        let said: Value = serde_json::from_slice(message).ok()?;
        if said.get("type")?.as_str()? != "response.create" {
            return None;
        }
        let prompt = std::mem::take(&mut self.prompt);
        let mut scenario = match self.scenario.clone().with_prompt(&prompt) {
            Ok(scenario) => scenario,
            Err(error) => {
                let frame = failure("bad_scenario", &error.to_string());
                return Some(Plan::prompt_answer(Head::new(101, "application/json"), frame));
            }
        };
        scenario.headers_delay = std::time::Duration::ZERO;
        if let Some(tag) = &scenario.tag {
            call.tag(tag);
        }
        let input = scenario.prompt.map_or(measure(&prompt), u64::from);
        call.update(|seen| seen.truth_usage.prompt += input);
        self.responses += 1;
        Some(plan(&format!("resp_{}", self.responses), input, scenario))
    }

    /// The code of the close frame that ends the session behind a response, if one does.
    pub(crate) fn close_after(&self, plan: &Plan) -> Option<u16> {
        plan.scenario.eof.map(|_| plan.scenario.close.unwrap_or(1000))
    }
}

fn plan(id: &str, input: u64, scenario: Scenario) -> Plan {
    let response = |status: &str, output: Value, usage: Value| json!({"response": {"object": "realtime.response", "id": id, "status": status, "output": output, "usage": usage}});
    let cached = u64::from(scenario.cached);
    let usage = json!({
        "total_tokens": input + u64::from(scenario.tokens), "input_tokens": input, "output_tokens": scenario.tokens,
        "input_token_details": {"cached_tokens": cached, "text_tokens": input, "audio_tokens": 0,
            "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0}},
        "output_token_details": {"text_tokens": scenario.tokens, "audio_tokens": 0},
    });
    // It is made before the first token is sent, and calls that are to be cut off ask for gigabytes.
    let text = if scenario.tokens <= LONGEST_REPEATED { scenario.whole_text() } else { String::new() };
    let said = json!([{"id": "item_1", "object": "realtime.item", "type": "message", "role": "assistant",
        "content": [{"type": "output_text", "text": text}]}]);
    let item = json!({"response_id": id, "output_index": 0, "item": {"id": "item_1", "type": "message"}});
    let words = u32::try_from(WORDS.len()).unwrap_or(1);
    let frames: Arc<[Bytes]> = (0..words).map(|index| delta(id, &scenario.token_text(index))).collect();
    let stream = Stream {
        segments: vec![
            Segment::Fixed(vec![
                event("response.created", &response("in_progress", json!([]), Value::Null)),
                event("response.output_item.added", &item),
            ]),
            Segment::Content { frames: ContentFrames::Cycle(frames), first: 0, count: scenario.tokens },
            Segment::Fixed(vec![event("response.done", &response("completed", said, usage))]),
        ],
        hidden: 0,
        failure: failure("server_error", "The server had an error while processing your request."),
        malformed: Bytes::from_static(&[0xff, 0x00]),
    };
    Plan { head: Head::new(101, "application/json"), body: Body::Stream(stream), scenario }
}

fn delta(id: &str, text: &str) -> Bytes {
    let text = quoted(text);
    frame(0x81, format!(
        r#"{{"type":"response.output_text.delta","event_id":"event_delta","response_id":"{id}","item_id":"item_1","output_index":0,"content_index":0,"delta":{text}}}"#
    ).as_bytes())
}

fn failure(code: &str, message: &str) -> Bytes {
    let error =
        json!({"type": "server_error", "code": code, "message": message, "param": null, "event_id": null});
    event("error", &json!({"error": error}))
}

fn event(kind: &str, fields: &Value) -> Bytes {
    let mut event = json!({"type": kind, "event_id": "event_simulated"});
    if let (Some(event), Some(fields)) = (event.as_object_mut(), fields.as_object()) {
        event.extend(fields.clone());
    }
    frame(0x81, event.to_string().as_bytes())
}

/// Tokens of a response that its end repeats.
const LONGEST_REPEATED: u32 = 10_000;

/// A close frame.
pub(crate) fn goodbye(code: u16) -> Bytes {
    frame(0x88, &code.to_be_bytes())
}

/// The answer to a ping.
pub(crate) fn pong(words: &[u8]) -> Bytes {
    frame(0x8a, words)
}

/// A server's frame: no mask.
fn frame(first: u8, payload: &[u8]) -> Bytes {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame.into()
}
