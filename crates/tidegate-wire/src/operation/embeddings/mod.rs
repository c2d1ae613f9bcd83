//! Embeddings: OpenAI's form for the caller, and the hosts' own.
//!
//! A relayed reply is mended where the caller asked for base64 and the backend knows only numbers. Numbers go through in the
//! backend's own spelling; base64 is that of little-endian 32-bit floats, as OpenAI's.

mod bedrock;
mod cohere;
mod google;

use std::{borrow::Cow, ops::Range};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::value::RawValue;

pub(super) use bedrock::Family;
pub(super) use cohere::{decode as decode_cohere, encode as encode_cohere};
pub(super) use google::{
    decode_batch, decode_one, decode_predictions, encode_batch, encode_one, encode_predict,
};

use crate::{
    WireError,
    client::{each_field, optional, splice, wrong_type},
    dialect::{
        api::Api,
        openai_chat::{error_of, usage},
    },
    hub::Usage,
    json::Cursor,
    reply::Document,
};

/// What a caller wants embedded.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// Never empty.
    pub(super) texts: Vec<Cow<'a, str>>,
    /// Length of a vector.
    pub(super) dimensions: Option<u32>,
    /// Cohere's name for what the vectors are for: `search_query`.
    pub(super) input_type: Option<Cow<'a, str>>,
    /// Google's: `RETRIEVAL_QUERY`.
    pub(super) task_type: Option<Cow<'a, str>>,
    /// What becomes of a text that is too long: Cohere's `NONE`, `START`, `END`.
    pub(super) truncate: Option<Cow<'a, str>>,
}

/// What a host answered.
#[derive(Debug, Default)]
pub(super) struct Vectors<'a> {
    /// Each an array of numbers, in the order of the texts.
    pub(super) vectors: Vec<&'a RawValue>,
    pub(super) prompt_tokens: Option<u64>,
    pub(super) id: Option<Cow<'a, str>>,
}

/// How a vector is to be written, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) base64: bool,
    /// How many vectors there have to be.
    pub(super) count: usize,
    /// The backend's name for the model, where its reply does not say.
    pub(super) model: String,
}

impl<'a> Wanted<'a> {
    /// Reads a request in OpenAI's form, with the fields beside it that hosts of other forms know.
    ///
    /// # Errors
    /// A field is missing, of the wrong type, or one that no other host has a place for; each by its name.
    pub(super) fn read(body: &'a str, host: &'static str) -> Result<Self, WireError> {
        let mut fields: Vec<(Cow<'a, str>, &'a RawValue)> = Vec::new();
        each_field(body, |key, value| {
            fields.push((key, value));
            Ok(())
        })?;
        let mut wanted = Self::default();
        for (key, value) in fields.iter().filter(|(_, value)| value.get() != "null") {
            let raw = Some(*value);
            match &**key {
                "input" => wanted.texts = texts(value, host)?,
                "dimensions" => wanted.dimensions = optional("dimensions", raw, "a positive integer")?,
                "input_type" => wanted.input_type = optional("input_type", raw, "a string")?,
                "task_type" => wanted.task_type = optional("task_type", raw, "a string")?,
                "truncate" => wanted.truncate = optional("truncate", raw, "a string")?,
                "encoding_format" => encoding(value)?,
                // Said in another place, or a hint that changes no vector.
                "model" | "user" => {}
                other => return Err(unsupported(other, host, "it has no such field")),
            }
        }
        if wanted.texts.is_empty() {
            return Err(WireError::bad_request("Missing required parameter: 'input'.").with_param("input"));
        }
        Ok(wanted)
    }

    /// Refuses what was given and the host has no place for.
    fn refuse(&self, host: &'static str, names: &[&str]) -> Result<(), WireError> {
        let given = [
            ("dimensions", self.dimensions.is_some()),
            ("input_type", self.input_type.is_some()),
            ("task_type", self.task_type.is_some()),
            ("truncate", self.truncate.is_some()),
        ];
        match given.iter().find(|(name, given)| *given && names.contains(name)) {
            Some((name, _)) => Err(unsupported(name, host, "it has no such parameter")),
            None => Ok(()),
        }
    }

    /// The only text, for models that take one at a time.
    fn only_text(&self, host: &'static str) -> Result<&str, WireError> {
        match self.texts.as_slice() {
            [text] => Ok(text),
            _ => {
                Err(unsupported("input", host, "this model takes one text at a time, not a list of several"))
            }
        }
    }
}

/// The host can't honour a parameter.
fn unsupported(param: &str, host: &'static str, why: &str) -> WireError {
    Api(host).unsupported(param, why)
}

fn encoding(value: &RawValue) -> Result<(), WireError> {
    match value.get() {
        r#""float""# | r#""base64""# => Ok(()),
        _ => Err(WireError::bad_request("Invalid 'encoding_format': expected 'float' or 'base64'.")
            .with_param("encoding_format")),
    }
}

fn texts<'a>(value: &'a RawValue, host: &'static str) -> Result<Vec<Cow<'a, str>>, WireError> {
    let text = value.get();
    if text.starts_with('"') {
        let only = serde_json::from_str::<Text<'a>>(text);
        return Ok(vec![only.map_err(|_| wrong_type("input", "a string", text, None))?.0]);
    }
    let inside = text.strip_prefix('[').map(str::trim_start);
    match inside.and_then(|inside| inside.bytes().next()) {
        Some(b'0'..=b'9' | b'[') => {
            Err(unsupported("input", host, "arrays of tokens mean something to OpenAI's models alone"))
        }
        Some(_) => {
            let texts: Vec<Text<'a>> = serde_json::from_str(text)
                .map_err(|_| wrong_type("input", "a string or an array of strings", text, None))?;
            Ok(texts.into_iter().map(|text| text.0).collect())
        }
        None => Err(wrong_type("input", "a string or an array of strings", text, None)),
    }
}

/// A string, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl Vectors<'_> {
    /// The reply in OpenAI's form.
    ///
    /// # Errors
    /// There are not as many vectors as texts, or one is none.
    pub(super) fn document(self, shape: &Shape, counted: Option<u64>) -> Result<Document, WireError> {
        if self.vectors.len() != shape.count {
            return Err(WireError::protocol(format!(
                "the backend answered {} texts with {} vectors",
                shape.count,
                self.vectors.len()
            )));
        }
        let mut out = String::with_capacity(self.vectors.iter().map(|vector| vector.get().len() + 64).sum());
        out.push_str(r#"{"object":"list","data":["#);
        for (index, vector) in self.vectors.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let numbers = numbers(vector)?;
            let written: Cow<'_, str> = match shape.base64 {
                true => format!("\"{}\"", base64_of(&numbers)).into(),
                false => vector.get().into(),
            };
            out.push_str(&format!(
                r#"{comma}{{"object":"embedding","index":{index},"embedding":{written}}}"#
            ));
        }
        let prompt_tokens = self.prompt_tokens.or(counted);
        // Clients look for it; a host that does not count says nothing, and the record has an estimate.
        let shown = prompt_tokens.unwrap_or(0);
        out.push_str(&format!(
            r#"],"model":{},"usage":{{"prompt_tokens":{shown},"total_tokens":{shown}}}}}"#,
            serde_json::Value::from(&*shape.model)
        ));
        Ok(Document {
            body: out.into(),
            usage: prompt_tokens.map(Usage::of_prompt),
            model: None,
            id: self.id.map(Cow::into_owned),
        })
    }
}

/// Looks through a reply in OpenAI's form; only vectors that were asked for as base64 and are none are written anew.
///
/// # Errors
/// It is no list of vectors, or an error.
pub(super) fn read_relayed(body: Bytes, base64: bool) -> Result<Document, WireError> {
    let text =
        std::str::from_utf8(&body).map_err(|_| WireError::protocol("the backend's reply is not UTF-8"))?;
    let mut found = Relayed::default();
    let whole = found.read(text);
    if whole.is_none() || !found.has_data {
        return Err(no_list(text));
    }
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    if base64 {
        for place in found.arrays {
            let vector = body.get(place.clone()).unwrap_or_default();
            let numbers: Vec<f32> = serde_json::from_slice(vector).map_err(|_| no_vector())?;
            edits.push((place, format!("\"{}\"", base64_of(&numbers))));
        }
    }
    let (usage, model, id) = (found.usage, found.model, found.id);
    let body = if edits.is_empty() { body } else { splice(&body, &edits) };
    Ok(Document { body, usage, model, id })
}

/// Of a reply that is no list of vectors.
fn no_list(text: &str) -> WireError {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) if value.get("error").is_some_and(|error| !error.is_null()) => error_of(text),
        Err(error) if error.is_eof() => {
            WireError::truncated("the backend's reply ended before it was complete")
        }
        _ => WireError::protocol("the backend's reply is no list of embeddings"),
    }
}

#[derive(Default)]
struct Relayed {
    has_data: bool,
    /// Where vectors stand that are arrays of numbers.
    arrays: Vec<Range<usize>>,
    usage: Option<Usage>,
    model: Option<String>,
    id: Option<String>,
}

impl Relayed {
    /// `None`: broken JSON, or no object.
    fn read(&mut self, text: &str) -> Option<()> {
        let mut cursor = Cursor::over(text);
        cursor.fields(|cursor, key| {
            match key {
                b"data" => {
                    self.has_data = true;
                    cursor.items(|cursor| self.vector(text, cursor))?;
                }
                b"usage" if cursor.is_at_object() => self.usage = usage(cursor),
                b"model" => self.model = plain(cursor.raw(Cursor::skip)?),
                b"id" => self.id = plain(cursor.raw(Cursor::skip)?),
                _ => cursor.skip()?,
            }
            Some(())
        })?;
        cursor.is_at_end().then_some(())
    }

    fn vector(&mut self, text: &str, cursor: &mut Cursor<'_>) -> Option<()> {
        cursor.fields(|cursor, key| {
            let raw = cursor.raw(Cursor::skip)?;
            if key == b"embedding" && raw.starts_with('[') {
                self.arrays.push(crate::client::place(text, raw));
            }
            Some(())
        })
    }
}

fn plain(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

fn numbers(vector: &RawValue) -> Result<Vec<f32>, WireError> {
    serde_json::from_str(vector.get()).map_err(|_| no_vector())
}

fn no_vector() -> WireError {
    WireError::protocol("the backend's reply has an embedding that is no array of numbers")
}

fn base64_of(numbers: &[f32]) -> String {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

/// A reply in a host's own form.
fn parsed<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|error| match error.is_eof() {
        true => WireError::truncated("the backend's reply ended before it was complete"),
        false => WireError::protocol(format!("the backend's reply holds no embeddings: {error}")),
    })
}
