//! Recorded exchanges of real providers, served again on the providers' own URLs.
//!
//! A recording is chosen by the model's (or deployment's) name: its id (`azure/chat.stream.01-...`), the id without the
//! provider, or the part of that before the first hyphen where only one recording has it (`chat.stream.01`), each with or
//! without `replay:` and whatever else in front. Status, recorded headers and body bytes are the provider's; the pieces that a stream is
//! written in are its frames, or arbitrary ones if the scenario gives a `split` seed. What the request says is not looked
//! at beyond its path, its credential and the model.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;

use crate::journal::Backend;
use crate::plan::{Body, Head, Plan, Segment, Stream};
use crate::scenario::Scenario;

/// Recorded exchanges by provider and name.
#[derive(Debug, Default)]
pub struct Replay {
    recordings: Vec<Recording>,
    names: HashMap<(Backend, String), usize>,
}

#[derive(Debug)]
struct Recording {
    id: String,
    backend: Backend,
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    /// The pieces of a stream, as the provider framed it; empty for a document.
    frames: Vec<Bytes>,
}

impl Replay {
    /// Loads the chat, Responses, Messages, Converse, ConverseStream and generateContent recordings below `directory`: in each provider's folder an `index.json`
    /// that names the response files and says their status, headers and fidelity.
    ///
    /// # Errors
    /// A directory without any recording, and a file that cannot be read or understood; the message names it.
    pub fn load(directory: &Path) -> io::Result<Self> {
        let mut replay = Self::default();
        for (folder, backend) in PROVIDERS {
            let folder = directory.join(folder);
            let index = folder.join("index.json");
            if !index.exists() {
                continue;
            }
            let text = fs::read(&index).map_err(|error| naming(&index, error))?;
            let entries: Vec<Entry> = serde_json::from_slice(&text).map_err(|error| naming(&index, error))?;
            for entry in entries.into_iter().filter(|entry| APIS.contains(&entry.api.as_str())) {
                let file = folder.join(&entry.response_file);
                let body = fs::read(&file).map_err(|error| naming(&file, error))?;
                replay.recordings.push(Recording::new(entry, backend, body));
            }
        }
        if replay.recordings.is_empty() {
            return Err(naming(directory, "no recordings: expected PROVIDER/index.json below"));
        }
        replay.name_all();
        Ok(replay)
    }

    /// The ids of all recordings, in the order of the indexes.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.recordings.iter().map(|recording| recording.id.as_str())
    }

    pub(crate) fn plan(&self, backend: Backend, model: &str, scenario: &Scenario) -> Option<Plan> {
        let name = model.rsplit_once("replay:").map_or(model, |(_, name)| name);
        let recording = self.recordings.get(*self.names.get(&(backend, name.to_owned()))?)?;
        Some(recording.plan(scenario.clone()))
    }

    fn name_all(&mut self) {
        let mut counts: HashMap<(Backend, String), usize> = HashMap::new();
        for recording in &self.recordings {
            *counts.entry((recording.backend, recording.short_name().to_owned())).or_default() += 1;
        }
        for (index, recording) in self.recordings.iter().enumerate() {
            let mut name = |name: &str| self.names.insert((recording.backend, name.to_owned()), index);
            name(&recording.id);
            name(recording.own_name());
            if counts.get(&(recording.backend, recording.short_name().to_owned())) == Some(&1) {
                name(recording.short_name());
            }
        }
    }
}

/// What an index says of one recording.
#[derive(Deserialize)]
struct Entry {
    id: String,
    api: String,
    status: u16,
    response_file: String,
    #[serde(default)]
    response_headers: BTreeMap<String, String>,
    #[serde(default)]
    response_fidelity: String,
}

#[derive(Default, Deserialize)]
struct EventType {
    #[serde(rename = "type")]
    kind: String,
}

impl Recording {
    fn new(entry: Entry, backend: Backend, body: Vec<u8>) -> Self {
        let payload_only = entry.response_fidelity.starts_with("payload-only");
        let document = entry.response_file.ends_with(".json");
        let body = match payload_only && !document {
            true => framed(&body, backend, entry.api == "responses"),
            false => Bytes::from(body),
        };
        let (media, frames) = match entry.response_file.rsplit('.').next() {
            Some("eventstream") => ("application/vnd.amazon.eventstream", eventstream_frames(&body)),
            Some("sse") => ("text/event-stream; charset=utf-8", sse_frames(&body)),
            _ if payload_only && !document => ("text/event-stream; charset=utf-8", sse_frames(&body)),
            Some("ndjson") => ("application/x-ndjson", lines(&body)),
            _ => ("application/json", Vec::new()),
        };
        let mut headers: Vec<(String, String)> = entry
            .response_headers
            .into_iter()
            .filter(|(name, _)| !FRAMING.contains(&name.as_str()))
            .collect();
        if !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), media.to_owned()));
        }
        Self { id: entry.id, backend, status: entry.status, headers, body, frames }
    }

    /// The id without the provider.
    fn own_name(&self) -> &str {
        self.id.split_once('/').map_or(self.id.as_str(), |(_, name)| name)
    }

    fn short_name(&self) -> &str {
        // `converse-stream.stream.01-...`: the hyphen that ends the short name comes after the last dot.
        let name = self.own_name();
        let after_dots = name.rfind('.').map_or(0, |dot| dot + 1);
        let end =
            name.get(after_dots..).and_then(|rest| rest.find('-')).map_or(name.len(), |at| after_dots + at);
        name.get(..end).unwrap_or(name)
    }

    fn plan(&self, scenario: Scenario) -> Plan {
        let owned = |text: &String| Cow::<'static, str>::Owned(text.clone());
        let headers = self.headers.iter().map(|(name, value)| (owned(name), owned(value))).collect();
        let head = Head { status: self.status, headers };
        let body = match (self.frames.is_empty(), scenario.split) {
            (true, None) => Body::Whole { bytes: self.body.clone(), thinking: Duration::ZERO, completion: 0 },
            (_, Some(seed)) => stream(split(&self.body, seed)),
            (false, None) => stream(self.frames.clone()),
        };
        Plan { head, body, scenario }
    }
}

fn stream(pieces: Vec<Bytes>) -> Body {
    Body::Stream(Stream {
        segments: vec![Segment::Listed(pieces)],
        hidden: 0,
        failure: Bytes::new(),
        malformed: Bytes::from_static(b"\x00\x00not a frame\n\n"),
    })
}

/// Puts back the SSE framing of a stream that was recorded as one JSON document per line.
/// As this backend frames its events: with their type on a line of their own, with `[DONE]` behind them, with both or with neither.
fn framed(lines: &[u8], backend: Backend, responses: bool) -> Bytes {
    let named = responses || matches!(backend, Backend::Anthropic | Backend::Cohere);
    let mut body = Vec::with_capacity(lines.len() + 1024);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && *line != b"[DONE]") {
        if named {
            let event: EventType = serde_json::from_slice(line).unwrap_or_default();
            body.extend_from_slice(format!("event: {}\n", event.kind).as_bytes());
        }
        body.extend_from_slice(b"data: ");
        body.extend_from_slice(line);
        body.extend_from_slice(b"\n\n");
    }
    if !matches!(backend, Backend::Anthropic | Backend::Gemini) {
        body.extend_from_slice(b"data: [DONE]\n\n");
    }
    Bytes::from(body)
}

/// Cuts after each blank line; what follows the last is a piece too.
fn sse_frames(body: &Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut start = 0;
    // Google's lines end with CRLF.
    let blank: &[u8] = if memmem::find(body, b"\r\n\r\n").is_some() { b"\r\n\r\n" } else { b"\n\n" };
    for end in memmem::find_iter(body, blank).map(|at| at + blank.len()) {
        frames.push(body.slice(start..end));
        start = end;
    }
    frames.extend((start < body.len()).then(|| body.slice(start..)));
    frames
}

/// Cuts behind each line.
fn lines(body: &Bytes) -> Vec<Bytes> {
    body.split_inclusive(|byte| *byte == b'\n').map(|line| body.slice_ref(line)).collect()
}

/// Cuts by the frames' own lengths; what does not add up is the last piece.
fn eventstream_frames(body: &Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut rest = body.clone();
    while let Some(length) = rest.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes) as usize) {
        let length = if length < 16 { rest.len() } else { length.min(rest.len()) };
        frames.push(rest.split_to(length));
    }
    frames.extend((!rest.is_empty()).then_some(rest));
    frames
}

/// Cuts a body at arbitrary places, the same for the same seed: many pieces of few bytes, some of many.
fn split(body: &Bytes, seed: u32) -> Vec<Bytes> {
    let mut state = u64::from(seed).wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut rest = body.clone();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        // Marsaglia's xorshift64: good enough to vary, and no dependency.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let limit = if state.is_multiple_of(8) { 4096 } else { 48 };
        let length = 1 + (state >> 32) as usize % limit;
        pieces.push(rest.split_to(length.min(rest.len())));
    }
    pieces
}

fn naming(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

const PROVIDERS: [(&str, Backend); 8] = [
    ("openai", Backend::Openai),
    ("azure", Backend::Azure),
    ("bedrock", Backend::Bedrock),
    ("anthropic", Backend::Anthropic),
    ("gemini", Backend::Gemini),
    ("vertex", Backend::Gemini),
    ("cohere", Backend::Cohere),
    ("ollama", Backend::Ollama),
];
const APIS: [&str; 11] = [
    "chat",
    "responses",
    "converse",
    "converse-stream",
    "messages",
    "generateContent",
    "streamGenerateContent",
    "v2-chat",
    "api-chat",
    "invoke",
    "invoke-with-response-stream",
];
/// Headers of the recorded connection, not of the answer: the body is stored without its content coding.
const FRAMING: [&str; 5] =
    ["connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"];

#[cfg(test)]
mod tests;
