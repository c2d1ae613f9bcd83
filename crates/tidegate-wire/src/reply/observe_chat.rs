//! openai-chat in the relays. Changed are only: the usage chunk that the caller did not ask for (withheld), Azure's chunks that
//! official clients can't read (WIRE facts, "Streaming, default filter" and "Asynchronous filter"), and an answer that Azure
//! blocked, which has no `message` in a whole reply.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    Progress,
    observe::{Observer, Verdict},
    scan::{scan, scan_whole},
    tally::Tally,
};
use crate::{
    WireError,
    dialect::{
        Decoder,
        openai_chat::{ChatDecoder, write_error},
    },
    framing::{
        Frame,
        sse::{read_block, single_data_line},
    },
    hub::{Event, ReplyStart},
};

/// Looks at one openai-chat reply.
#[derive(Debug)]
pub struct ChatObserver {
    decoder: ChatDecoder,
    tally: Tally,
    /// Who the reply is, once it has said so.
    start: Option<ReplyStart>,
    /// Fields that wait for the next chunk: Azure's verdict on the prompt.
    waiting: Map<String, Value>,
    include_usage: bool,
    /// The terminal event was seen; what comes after it is not the caller's.
    over: bool,
}

impl ChatObserver {
    /// For a request that asked for `choices` answers, and for a usage chunk or not.
    pub(super) fn new(choices: u32, include_usage: bool) -> Self {
        Self {
            decoder: ChatDecoder::new(choices),
            tally: Tally::new(choices),
            start: None,
            waiting: Map::new(),
            include_usage,
            over: false,
        }
    }

    /// Reads an event in full.
    fn inspect(&mut self, event: &str, data: &str) -> Result<Verdict, WireError> {
        let mut events = Vec::new();
        self.decoder.frame(Frame::Sse { event, data }, &mut events)?;
        for event in events {
            self.tally.event(&event);
            match event {
                Event::Error(error) => return Err(error),
                Event::Start(start) => self.start = Some(start),
                Event::End => self.over = true,
                _ => {}
            }
        }
        if self.over {
            return Ok(self.before_done());
        }
        match serde_json::from_str::<Map<String, Value>>(data) {
            Ok(chunk) => Ok(self.mend(chunk, data)),
            Err(_) => Ok(Verdict::Forward),
        }
    }

    /// What waits for a chunk that never came still goes out before `[DONE]`.
    fn before_done(&mut self) -> Verdict {
        if self.waiting.is_empty() {
            return Verdict::Forward;
        }
        let mut chunk = Map::new();
        self.identify(&mut chunk);
        chunk.insert("choices".to_owned(), json!([]));
        chunk.append(&mut self.waiting);
        let mut out = write_chunk(&chunk);
        out.extend_from_slice(DONE);
        Verdict::Replace(out)
    }

    fn mend(&mut self, mut chunk: Map<String, Value>, data: &str) -> Verdict {
        let empty = |name: &str| chunk.get(name).and_then(Value::as_str).is_some_and(str::is_empty);
        let anonymous = empty("id") || empty("object");
        let choices = chunk.get("choices").and_then(Value::as_array);
        let without_choices = choices.is_none_or(Vec::is_empty);
        let without_delta =
            choices.into_iter().flatten().any(|choice| choice.get("delta").is_none_or(Value::is_null));
        let reports_usage = chunk.get("usage").is_some_and(|usage| !usage.is_null());
        if without_choices && reports_usage && !self.include_usage {
            return Verdict::Withhold;
        }
        if without_choices && anonymous && !reports_usage {
            for name in ["id", "object", "created", "model", "choices", "usage"] {
                chunk.shift_remove(name);
            }
            self.waiting.append(&mut chunk);
            return Verdict::Withhold;
        }
        if anonymous || without_delta {
            self.identify(&mut chunk);
            add_deltas(&mut chunk);
        } else if self.waiting.is_empty() {
            return Verdict::Forward;
        } else {
            return Verdict::Replace(merge(&std::mem::take(&mut self.waiting), data));
        }
        chunk.append(&mut self.waiting);
        Verdict::Replace(write_chunk(&chunk))
    }

    /// Gives a chunk the stream's own name.
    fn identify(&self, chunk: &mut Map<String, Value>) {
        chunk.insert("object".to_owned(), "chat.completion.chunk".into());
        let Some(start) = &self.start else { return };
        for (name, value) in [
            ("id", start.id.clone().map(Value::from)),
            ("model", start.model.clone().map(Value::from)),
            ("created", start.created.map(Value::from)),
        ] {
            if let Some(value) = value {
                chunk.insert(name.to_owned(), value);
            }
        }
    }
}

impl Observer for ChatObserver {
    fn event(&mut self, block: &[u8]) -> Result<Verdict, WireError> {
        if let Some(data) =
            single_data_line(block).filter(|_| self.start.is_some() && self.waiting.is_empty())
            && let Some(plain) = scan(data)
        {
            for piece in plain.pieces() {
                self.decoder.begin(piece.choice);
                self.tally.begin(piece.choice);
                for length in piece.texts {
                    self.tally.content(piece.choice, length);
                }
            }
            return Ok(Verdict::Forward);
        }
        match read_block(false, block) {
            Some(fields) => self.inspect(&fields.event, &fields.data),
            // A comment, the backend's own heartbeat.
            None => Ok(Verdict::Forward),
        }
    }

    fn finish(&mut self) -> Result<Bytes, WireError> {
        let mut events = Vec::new();
        self.decoder.finish(&mut events)?;
        self.tally.event(&Event::End);
        self.over = true;
        Ok(match self.before_done() {
            Verdict::Replace(bytes) => bytes.into(),
            _ => Bytes::from_static(DONE),
        })
    }

    fn whole(&mut self, body: Bytes) -> Result<Bytes, WireError> {
        if let Some(reply) = scan_whole(&body) {
            self.tally.whole(reply);
            return Ok(body);
        }
        let mut events = Vec::new();
        self.decoder.frame(Frame::Whole(&body), &mut events)?;
        for event in events {
            self.tally.event(&event);
            if let Event::Error(error) = event {
                return Err(error);
            }
        }
        let blocked = memchr::memmem::find(&body, b"\"content_filter\"").is_some();
        Ok(if blocked { with_messages(body) } else { body })
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn error_event(&mut self, error: &WireError) -> Bytes {
        let mut out = b"data: ".to_vec();
        write_error(error, &mut out);
        out.extend_from_slice(b"\n\n");
        out.into()
    }

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}

const DONE: &[u8] = b"data: [DONE]\n\n";

fn add_deltas(chunk: &mut Map<String, Value>) {
    let choices = chunk.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten().filter_map(Value::as_object_mut) {
        if choice.get("delta").is_none_or(Value::is_null) {
            // Some backends put the whole message into a chunk: streaming clients look for a delta.
            let message = choice.shift_remove("message").filter(Value::is_object);
            choice.insert("delta".to_owned(), message.unwrap_or_else(|| json!({})));
        }
    }
}

/// The chunk with `fields` in front of its own, which stay as they are.
fn merge(fields: &Map<String, Value>, data: &str) -> Vec<u8> {
    // Line ends can stand in JSON only between tokens; on the wire they would end the data line.
    let data = data.trim().replace('\n', " ");
    let rest = data.strip_prefix('{').unwrap_or(&data);
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    let text = Value::Object(fields.clone()).to_string();
    let text = text.strip_suffix('}').unwrap_or(&text);
    format!("data: {text}{comma}{rest}\n\n").into_bytes()
}

fn write_chunk(chunk: &Map<String, Value>) -> Vec<u8> {
    let mut out = b"data: ".to_vec();
    let _ = serde_json::to_writer(&mut out, chunk);
    out.extend_from_slice(b"\n\n");
    out
}

fn with_messages(body: Bytes) -> Bytes {
    let Ok(mut reply) = serde_json::from_slice::<Value>(&body) else { return body };
    let mut mended = false;
    let choices = reply.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten().filter_map(Value::as_object_mut) {
        if choice.get("message").is_none_or(Value::is_null) {
            let message = json!({ "role": "assistant", "content": null, "refusal": null });
            choice.insert("message".to_owned(), message);
            mended = true;
        }
    }
    if mended { reply.to_string().into() } else { body }
}
