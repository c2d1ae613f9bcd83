//! A streamed reply whose backend and caller speak openai-chat: the backend's bytes go to the caller as they are, and are
//! only observed.
//!
//! Bytes are forwarded at the end of each event, never in the middle of one, so that heartbeats and errors of our own can
//! stand between. All events of a piece that need no change go out as one slice of it. Changed are only: the usage chunk
//! that the caller did not ask for (withheld), and Azure's chunks that official clients can't read (WIRE facts, "Streaming,
//! default filter" and "Asynchronous filter"). An error of the backend ends the stream.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Progress, Reply, scan::scan, tally::Tally};
use crate::{
    WireError,
    dialect::{
        Decoder,
        openai_chat::{ChatDecoder, write_error},
    },
    framing::{
        Frame, MAX_FRAME,
        sse::{BYTE_ORDER_MARK, LineEnds, is_complete_without_blank_line, read_block, single_data_line},
    },
    hub::{Event, ReplyStart},
};

/// Relays one streamed reply.
#[derive(Debug)]
pub struct Relay {
    lines: LineEnds,
    /// The beginning of an event whose end has not come. `held.len() <= MAX_FRAME`.
    held: Vec<u8>,
    first: bool,
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

/// What becomes of an event's bytes.
enum Verdict {
    Forward,
    Withhold,
    Replace(Vec<u8>),
}

impl Relay {
    /// A relay for a request that asked for `choices` answers, and for a usage chunk or not.
    pub fn new(choices: u32, include_usage: bool) -> Self {
        Self {
            lines: LineEnds::default(),
            held: Vec::new(),
            first: true,
            decoder: ChatDecoder::new(choices),
            tally: Tally::new(choices),
            start: None,
            waiting: Map::new(),
            include_usage,
            over: false,
        }
    }

    fn judge(&mut self, block: &[u8]) -> Result<Verdict, WireError> {
        if block.len() > MAX_FRAME {
            return Err(too_long());
        }
        let first = std::mem::take(&mut self.first);
        let Some(behind_mark) = block.strip_prefix(BYTE_ORDER_MARK) else { return self.judge_block(block) };
        // The mark counts as the very first bytes only, and those are not the same for us and for the caller: heartbeats may
        // stand before them, or the first event may be withheld. So ours is left out, and another kept from being the first.
        let (lead, block) = if first { ("", behind_mark) } else { ("\n", block) };
        Ok(match self.judge_block(block)? {
            Verdict::Forward => Verdict::Replace([lead.as_bytes(), block].concat()),
            other => other,
        })
    }

    fn judge_block(&mut self, block: &[u8]) -> Result<Verdict, WireError> {
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

    /// Every event of `chunk` that is complete; the rest is held.
    fn relay(&mut self, chunk: &Bytes, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        let mut run = Run { chunk, start: 0, end: 0 };
        let mut from = 0;
        while let Some(end) = self.lines.next_blank(chunk, from) {
            let block = chunk.get(from..end).unwrap_or_default();
            let split = !self.held.is_empty();
            let verdict = if split {
                self.held.extend_from_slice(block);
                let whole = std::mem::take(&mut self.held);
                match self.judge(&whole)? {
                    Verdict::Forward => Verdict::Replace(whole),
                    other => other,
                }
            } else {
                self.judge(block).inspect_err(|_| run.flush(items))?
            };
            match verdict {
                Verdict::Forward => run.end = end,
                Verdict::Withhold => run.restart(end, items),
                Verdict::Replace(bytes) => {
                    run.restart(end, items);
                    items.push_back(bytes.into());
                }
            }
            from = end;
            if self.over {
                break;
            }
        }
        run.flush(items);
        if self.over {
            return Ok(());
        }
        let rest = chunk.get(from..).unwrap_or_default();
        if self.held.len() + rest.len() > MAX_FRAME {
            return Err(too_long());
        }
        self.held.extend_from_slice(rest);
        Ok(())
    }
}

impl Reply for Relay {
    type Item = Bytes;

    fn push(&mut self, chunk: Bytes, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        if self.over { Ok(()) } else { self.relay(&chunk, items) }
    }

    fn finish(&mut self, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        let mut held = std::mem::take(&mut self.held);
        if !self.over && is_complete_without_blank_line(self.first, &held) {
            held.truncate(held.trim_ascii_end().len());
            held.extend_from_slice(b"\n\n");
            match self.judge(&held)? {
                Verdict::Forward => items.push_back(held.into()),
                Verdict::Replace(bytes) => items.push_back(bytes.into()),
                Verdict::Withhold => {}
            }
        }
        if self.over {
            return Ok(());
        }
        let mut events = Vec::new();
        self.decoder.finish(&mut events)?;
        self.tally.event(&Event::End);
        self.over = true;
        items.push_back(match self.before_done() {
            Verdict::Replace(bytes) => bytes.into(),
            _ => Bytes::from_static(DONE),
        });
        Ok(())
    }

    fn fail(&mut self, error: &WireError, items: &mut VecDeque<Bytes>) {
        items.push_back(error_event(error));
    }

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}

/// The part of a piece that is forwarded as it is. `start <= end <= chunk.len()`.
struct Run<'a> {
    chunk: &'a Bytes,
    start: usize,
    end: usize,
}

impl Run<'_> {
    fn flush(&mut self, items: &mut VecDeque<Bytes>) {
        if self.start < self.end {
            items.push_back(self.chunk.slice(self.start..self.end));
            self.start = self.end;
        }
    }

    fn restart(&mut self, at: usize, items: &mut VecDeque<Bytes>) {
        self.flush(items);
        self.start = at;
        self.end = at;
    }
}

const DONE: &[u8] = b"data: [DONE]\n\n";

/// The error event of an openai-chat stream. No `[DONE]` follows it.
pub(super) fn error_event(error: &WireError) -> Bytes {
    let mut out = b"data: ".to_vec();
    write_error(error, &mut out);
    out.extend_from_slice(b"\n\n");
    out.into()
}

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

fn too_long() -> WireError {
    WireError::protocol(format!("the backend's event is longer than {MAX_FRAME} bytes"))
}
