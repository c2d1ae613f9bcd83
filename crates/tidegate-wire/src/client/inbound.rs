//! The caller's request on the hot path: one pass over the body checks its syntax and finds the few values that relaying
//! needs; their places are remembered, so that a relayed body is the caller's own bytes but for those.
//!
//! The same for every client dialect: they differ in the names of their parameters, and some things only one of them has.
//! Never builds a tree of the body; [`Inbound::decode`] does, for backends of another dialect.

use std::{fmt, ops::Range};

use bytes::Bytes;
use http::HeaderMap;
use serde::{
    Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{ClientDialect, Operation};
use crate::{
    WireError,
    dialect::openai_responses,
    hub::{ChatRequest, StreamOptions},
};

/// What of a caller's request stands outside its body: in its path, and in its header.
#[derive(Clone, Debug)]
pub struct Outside {
    /// What the caller speaks.
    pub client: ClientDialect,
    /// What it wants.
    pub operation: Operation,
    /// Header fields that are a part of the request: those of [`ClientDialect::request_headers`].
    pub headers: HeaderMap,
    /// The model, where the path names it. The body need not then, and what it says is not looked at.
    pub model: Option<String>,
    /// Whether the reply is to be streamed, where the path says so.
    pub stream: Option<bool>,
    /// Whether parameters that the backend can't honour are left out, and said to have been, instead of being refused. A body may
    /// say otherwise, by LiteLLM's field `drop_params`.
    pub drop_params: bool,
}

impl Outside {
    /// Of a request for an answer that says the rest in its body.
    pub fn of(client: ClientDialect) -> Self {
        let operation = Operation::default();
        Self { client, operation, headers: HeaderMap::new(), model: None, stream: None, drop_params: false }
    }
}

/// A caller's request, checked for syntax and read as deep as relaying needs; the rest is looked at only if it has to be
/// translated.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// What the caller speaks.
    pub client: ClientDialect,
    /// What it wants.
    pub operation: Operation,
    /// Header fields that are a part of the request: those of [`ClientDialect::request_headers`].
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
    /// The model as the caller named it.
    pub model: String,
    /// Whether the reply is to be streamed.
    pub stream: bool,
    /// Whether the caller is to be told of a stream's usage: in openai-chat, if it asked.
    pub include_usage: bool,
    /// How many answers the caller asked for (`n`).
    pub choices: u32,
    /// Whether parameters that the backend can't honour are left out instead of being refused.
    pub drop_params: bool,
    places: Places,
    given: Known,
}

/// Where in the body the values stand that relaying may change. All within the body.
#[derive(Clone, Debug)]
struct Places {
    /// Behind the body's `{`.
    fields: usize,
    model: ModelPlace,
    /// The key `max_tokens` without its quotes, if it was spelled plainly and `max_completion_tokens` is absent.
    max_tokens_key: Option<Range<usize>>,
    usage: UsageOption,
}

/// Where the model is named.
#[derive(Clone, Debug)]
enum ModelPlace {
    /// In the body, here.
    Body(Range<usize>),
    /// In the path; what the body has in its place, if it has something.
    Path(Option<Range<usize>>),
    /// In the path, and the dialect's bodies have no place for it.
    Nowhere,
}

/// Where `stream_options.include_usage` is or would be.
#[derive(Clone, Debug, Default)]
enum UsageOption {
    /// No `stream_options`.
    #[default]
    Absent,
    /// `stream_options` is null, here.
    Null(Range<usize>),
    /// `stream_options` is an object without it; its fields begin here.
    Missing { at: usize, empty: bool },
    /// Its value.
    Given(Range<usize>),
}

/// What a backend needs changed in a relayed body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelayShape<'a> {
    /// The backend's name for the model.
    pub(crate) model: &'a str,
    /// Whether the backend knows `stream_options`.
    pub(crate) stream_options: bool,
    /// Whether `max_tokens` has to be called `max_completion_tokens`.
    pub(crate) rename_max_tokens: bool,
    /// OpenAI's names of parameters, and the backend's.
    pub(crate) renames: &'a [(&'a str, &'a str)],
    /// The backend's own id of the response that this one continues, where the caller knows it by another.
    pub(crate) continued: Option<&'a str>,
}

impl Inbound {
    /// Reads the body of an openai-chat request.
    ///
    /// # Errors
    /// As [`Inbound::read`].
    pub fn parse(body: Bytes) -> Result<Self, WireError> {
        Self::read(Outside::of(ClientDialect::OpenaiChat), body)
    }

    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`crate::ErrorClass::BadRequest`]: not JSON (with the position), or a field that is missing, repeated, of the
    /// wrong type or, if it is the model, longer than 512 bytes (named).
    pub fn read(outside: Outside, body: Bytes) -> Result<Self, WireError> {
        let text = std::str::from_utf8(&body).map_err(|error| {
            WireError::bad_request(format!(
                "The request body is not UTF-8: invalid byte at offset {}.",
                error.valid_up_to()
            ))
        })?;
        let fields = read_fields(outside.client, outside.operation, text)?;
        if let Some(raw) = fields.drop_params {
            let wish = optional::<bool>(DROP_PARAMS, Some(raw), "a boolean")?;
            let drop_params = wish.unwrap_or(outside.drop_params);
            // It is the gateway's, and no backend knows it.
            return Self::read(Outside { drop_params, ..outside }, without(text, DROP_PARAMS)?);
        }
        let Outside { client, operation, headers, model: named, stream: told, drop_params } = outside;
        let model_place = fields.model.map(|raw| place(text, raw.get()));
        let (model, model_place) = match named {
            Some(named) if client.says_by_path() => (checked_model(named)?, ModelPlace::Nowhere),
            Some(named) => (checked_model(named)?, ModelPlace::Path(model_place)),
            None => (fields.model(text)?, ModelPlace::Body(model_place.unwrap_or_default())),
        };
        let prompts = match operation {
            Operation::Complete => fields.prompts()?,
            Operation::Generate | Operation::CountTokens | Operation::Kept => {
                fields.check_conversation(client)?;
                1
            }
        };
        let stream = match told {
            Some(told) => told,
            None => optional::<bool>("stream", fields.stream, "a boolean")?.unwrap_or(false),
        };
        // A count is one document, whatever the body says.
        let stream = stream && operation != Operation::CountTokens;
        let choices =
            optional::<u32>(client.choices_name(), fields.choices, "a positive integer")?.unwrap_or(1);
        // There is that number of answers to each prompt.
        let choices = choices.max(1).saturating_mul(prompts);
        let (include_usage, usage) = match client {
            ClientDialect::OpenaiChat => fields.usage_option(text)?,
            ClientDialect::OpenaiResponses
            | ClientDialect::AnthropicMessages
            | ClientDialect::Gemini(_)
            | ClientDialect::BedrockConverse => (true, UsageOption::Absent),
        };
        let places = Places {
            fields: text.find('{').map_or(0, |brace| brace + 1),
            model: model_place,
            max_tokens_key: fields
                .max_tokens_key
                .filter(|_| !fields.has_max_completion_tokens)
                .map(|key| place(text, key)),
            usage,
        };
        let given = fields.known;
        Ok(Self {
            client,
            operation,
            headers,
            model,
            stream,
            include_usage,
            choices,
            drop_params,
            places,
            given,
            body,
        })
    }

    /// Whether the caller gave this one of its dialect's parameters, and not as null.
    pub(crate) fn gives(&self, name: &str) -> bool {
        self.given.has(name) && self.field(name).is_some_and(|(_, value)| value.get() != "null")
    }

    /// The JSON text of one of its dialect's parameters, if the caller gave it.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.given.has(name).then(|| self.field(name)).flatten().map(|(_, value)| value.get())
    }

    /// Reads the whole request into the hub's types.
    ///
    /// # Errors
    /// [`crate::ErrorClass::BadRequest`], naming the path (`messages[2].content[0].type`).
    pub fn decode(&self) -> Result<ChatRequest, WireError> {
        let request = match self.places.model {
            ModelPlace::Body(_) => self.client.decode(&self.body),
            ModelPlace::Nowhere => self.client.decode(&self.body).map(|request| {
                // The usage is a part of every stream of such an API.
                let options = StreamOptions { include_usage: Some(true), ..StreamOptions::default() };
                ChatRequest { model: self.model.clone(), stream: self.stream.then_some(options), ..request }
            }),
            ModelPlace::Path(_) => {
                let named = self.places.name_model(&self.model, &self.model);
                self.client.decode(&splice(&self.body, named.as_slice()))
            }
        };
        Ok(ChatRequest { drop_params: self.drop_params, ..request? })
    }

    /// The same without one of its parameters.
    pub(crate) fn leaving_out(&self, name: &str) -> Result<Self, WireError> {
        let named = match self.places.model {
            ModelPlace::Body(_) => None,
            ModelPlace::Path(_) | ModelPlace::Nowhere => Some(self.model.clone()),
        };
        let outside = Outside {
            client: self.client,
            operation: self.operation,
            headers: self.headers.clone(),
            model: named,
            stream: Some(self.stream),
            drop_params: self.drop_params,
        };
        let text = std::str::from_utf8(&self.body).unwrap_or_default();
        Self::read(outside, without(text, name)?)
    }

    /// The body for a backend of the same dialect: the caller's bytes but for the model's name and, in a stream, the
    /// wish for usage, which the ledger needs whether the caller does or not.
    pub(crate) fn relay_body(&self, shape: RelayShape<'_>) -> Bytes {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        edits.extend(self.places.name_model(&self.model, shape.model));
        if self.stream && !self.include_usage && shape.stream_options {
            edits.push(self.places.ask_for_usage());
        }
        if let Some(key) = self.places.max_tokens_key.clone().filter(|_| shape.rename_max_tokens) {
            edits.push((key, "max_completion_tokens".to_owned()));
        }
        for (name, own) in shape.renames.iter().filter(|(name, own)| self.given.has(name) && !self.gives(own))
        {
            let key = self.field(name).and_then(|(key, _)| key);
            edits.extend(key.map(|key| (key, (*own).to_owned())));
        }
        if let Some((_, value)) = self.field(CONTINUED).filter(|_| shape.continued.is_some())
            && let (Some(id), Ok(text)) = (shape.continued, std::str::from_utf8(&self.body))
        {
            edits.push((place(text, value.get()), serde_json::Value::from(id).to_string()));
        }
        if edits.is_empty() {
            return self.body.clone();
        }
        edits.sort_by_key(|(range, _)| range.start);
        splice(&self.body, &edits)
    }

    /// The id of the response that this one continues, as the caller knows it.
    pub(crate) fn continued(&self) -> Option<String> {
        serde_json::from_str(self.value(CONTINUED)?).ok()
    }

    /// A field of the body: its key's place, without the quotes, if it is spelled plainly; and its value. Looked for only where a
    /// backend differs in it.
    fn field(&self, name: &str) -> Option<(Option<Range<usize>>, &RawValue)> {
        let text = std::str::from_utf8(&self.body).ok()?;
        let mut found = None;
        let search = each_field(text, |key, value| {
            if key == name {
                let plain = match key {
                    std::borrow::Cow::Borrowed(key) => Some(place(text, key)),
                    std::borrow::Cow::Owned(_) => None,
                };
                found = Some((plain, value));
            }
            Ok(())
        });
        search.ok().and(found)
    }
}

impl Places {
    /// The edit that gives the backend's `name` to a model that the caller called `asked`.
    fn name_model(&self, asked: &str, name: &str) -> Option<(Range<usize>, String)> {
        let spelled = || serde_json::Value::from(name).to_string();
        match &self.model {
            ModelPlace::Nowhere => None,
            ModelPlace::Body(_) if asked == name => None,
            ModelPlace::Body(place) | ModelPlace::Path(Some(place)) => Some((place.clone(), spelled())),
            ModelPlace::Path(None) => Some((self.fields..self.fields, format!(r#""model":{},"#, spelled()))),
        }
    }

    fn ask_for_usage(&self) -> (Range<usize>, String) {
        match &self.usage {
            UsageOption::Absent => {
                (self.fields..self.fields, r#""stream_options":{"include_usage":true},"#.to_owned())
            }
            UsageOption::Null(range) => (range.clone(), r#"{"include_usage":true}"#.to_owned()),
            UsageOption::Missing { at, empty } => {
                let comma = if *empty { "" } else { "," };
                (*at..*at, format!(r#""include_usage":true{comma}"#))
            }
            UsageOption::Given(range) => (range.clone(), "true".to_owned()),
        }
    }
}

/// The object `text` without its fields of this name.
fn without(text: &str, name: &str) -> Result<Bytes, WireError> {
    let fields = text.find('{').map_or(0, |brace| brace + 1);
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(text.get(..fields).unwrap_or_default().as_bytes());
    // Each field with the comma before it, if it has one.
    let mut from = fields;
    let mut kept = false;
    each_field(text, |key, value| {
        let end = place(text, value.get()).end;
        let field = text.get(from..end).unwrap_or_default();
        from = end;
        if key != name {
            let field = if kept { field } else { field.trim_start().trim_start_matches(',') };
            out.extend_from_slice(field.as_bytes());
            kept = true;
        }
        Ok(())
    })?;
    out.extend_from_slice(text.get(from..).unwrap_or_default().as_bytes());
    Ok(out.into())
}

/// The object `body` without some of its fields and with others, which stand first; one that it has already is left alone.
///
/// # Errors
/// It is no JSON object.
pub(crate) fn reshaped(
    body: &Bytes,
    leave_out: &[&str],
    add: &[(&str, serde_json::Value)],
) -> Result<Bytes, WireError> {
    let mut body = body.clone();
    for name in leave_out {
        body = without(std::str::from_utf8(&body).unwrap_or_default(), name)?;
    }
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let (mut given, mut empty) = (Vec::new(), true);
    each_field(text, |key, _| {
        empty = false;
        given.extend(add.iter().map(|(name, _)| *name).filter(|name| key == *name));
        Ok(())
    })?;
    let fields = text.find('{').map_or(0, |brace| brace + 1);
    let added = add.iter().filter(|(name, _)| !given.contains(name));
    let added: Vec<String> = added.map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    let comma = if empty || added.is_empty() { "" } else { "," };
    Ok(splice(&body, &[(fields..fields, added.join(",") + comma)]))
}

/// Replaces ranges, which are sorted and don't overlap.
pub(crate) fn splice(body: &[u8], edits: &[(Range<usize>, String)]) -> Bytes {
    let grown: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let mut out = Vec::with_capacity(body.len() + grown);
    let mut from = 0;
    for (range, text) in edits {
        out.extend_from_slice(body.get(from..range.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        from = range.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out.into()
}

/// LiteLLM's name for the wish that parameters which a backend can't honour are left out.
const DROP_PARAMS: &str = "drop_params";

/// Of a model's name, in bytes: it goes into URLs, logs and error messages. The longest recorded ids are ARNs of about 100.
const MAX_MODEL: usize = 512;

/// In openai-responses, the response that this one continues.
const CONTINUED: &str = "previous_response_id";

/// The values that relaying looks at, unread.
#[derive(Default)]
struct Fields<'a> {
    model: Option<&'a RawValue>,
    /// What the answer goes on from: messages, contents, or a prompt.
    conversation: Option<&'a RawValue>,
    /// Whether there is something that its backend keeps to go on from.
    continues: bool,
    stream: Option<&'a RawValue>,
    stream_options: Option<&'a RawValue>,
    choices: Option<&'a RawValue>,
    max_tokens_key: Option<&'a str>,
    has_max_completion_tokens: bool,
    drop_params: Option<&'a RawValue>,
    known: Known,
}

impl<'a> Fields<'a> {
    fn model(&self, text: &str) -> Result<String, WireError> {
        let raw = self.model.ok_or_else(|| {
            WireError::bad_request("You must provide a model parameter.").with_param("model")
        })?;
        let model = serde_json::from_str::<String>(raw.get())
            .map_err(|_| wrong_type("model", "a string", raw.get(), position(text, raw.get())))?;
        checked_model(model)
    }

    fn check_conversation(&self, client: ClientDialect) -> Result<(), WireError> {
        if client == ClientDialect::OpenaiResponses {
            return openai_responses::check_input(self.conversation.map(RawValue::get), self.continues);
        }
        let name = client.conversation();
        let Some(raw) = self.conversation else {
            return Err(WireError::bad_request(format!("Missing required parameter: '{name}'."))
                .with_param(name)
                .with_code("missing_required_parameter"));
        };
        let Some(inside) = raw.get().strip_prefix('[') else {
            // Google's parser takes one content without its brackets.
            let lone = matches!(client, ClientDialect::Gemini(_)) && raw.get().starts_with('{');
            return if lone { Ok(()) } else { Err(wrong_type(name, "an array", raw.get(), None)) };
        };
        if inside.trim_start().starts_with(']') {
            return Err(WireError::bad_request(format!(
                "Invalid '{name}': empty array. Expected an array with minimum length 1.",
            ))
            .with_param(name)
            .with_code("empty_array"));
        }
        Ok(())
    }

    /// How many prompts legacy completions have: a list holds texts or lists of tokens, or is itself one of tokens.
    fn prompts(&self) -> Result<u32, WireError> {
        let Some(raw) = self.conversation else {
            return Err(WireError::bad_request("Missing required parameter: 'prompt'.")
                .with_param("prompt")
                .with_code("missing_required_parameter"));
        };
        let several =
            raw.get().strip_prefix('[').is_some_and(|inside| inside.trim_start().starts_with(['"', '[']));
        if !several {
            return Ok(1);
        }
        let prompts = serde_json::from_str::<Vec<serde::de::IgnoredAny>>(raw.get());
        Ok(prompts.map_or(1, |prompts| u32::try_from(prompts.len()).unwrap_or(u32::MAX)))
    }

    fn usage_option(&self, text: &str) -> Result<(bool, UsageOption), WireError> {
        let Some(raw) = self.stream_options else { return Ok((false, UsageOption::Absent)) };
        if raw.get() == "null" {
            return Ok((false, UsageOption::Null(place(text, raw.get()))));
        }
        if !raw.get().starts_with('{') {
            return Err(wrong_type("stream_options", "an object", raw.get(), None));
        }
        let mut seen: Option<&'a RawValue> = None;
        let mut empty = true;
        each_field(raw.get(), |key, value| {
            empty = false;
            if key == "include_usage" && seen.replace(value).is_some() {
                return Err("stream_options.include_usage");
            }
            Ok(())
        })?;
        match seen {
            None => {
                let at = place(text, raw.get()).start + 1;
                Ok((false, UsageOption::Missing { at, empty }))
            }
            Some(value) => {
                let asked = optional::<bool>("stream_options.include_usage", Some(value), "a boolean")?;
                Ok((asked.unwrap_or(false), UsageOption::Given(place(text, value.get()))))
            }
        }
    }
}

/// Of Gemini's settings what a relay has to know. One that is no object is the backend's to refuse, or the decoder's.
#[derive(serde::Deserialize)]
struct GenerationConfig<'a> {
    #[serde(borrow, default, rename = "candidateCount", alias = "candidate_count")]
    candidate_count: Option<&'a RawValue>,
}

pub(crate) fn checked_model(model: String) -> Result<String, WireError> {
    if model.is_empty() {
        return Err(WireError::bad_request("Invalid 'model': it must not be empty.").with_param("model"));
    }
    if model.len() > MAX_MODEL {
        let message = format!("Invalid 'model': it must not be longer than {MAX_MODEL} bytes.");
        return Err(WireError::bad_request(message).with_param("model"));
    }
    Ok(model)
}

fn read_fields(client: ClientDialect, operation: Operation, text: &str) -> Result<Fields<'_>, WireError> {
    let mut fields = Fields::default();
    fields.known.names = client.parameters();
    let is_chat = client == ClientDialect::OpenaiChat;
    let is_gemini = matches!(client, ClientDialect::Gemini(_));
    let conversation = match operation {
        Operation::Complete => "prompt",
        _ => client.conversation(),
    };
    each_field(text, |key, value| {
        fields.known.see(&key)?;
        match &*key {
            "model" => fields.model = Some(value),
            name if name == conversation => fields.conversation = Some(value),
            CONTINUED | "conversation" | "prompt" => fields.continues |= value.get() != "null",
            "stream" => fields.stream = Some(value),
            "stream_options" => fields.stream_options = Some(value),
            "n" if is_chat => fields.choices = Some(value),
            "generationConfig" | "generation_config" if is_gemini => {
                fields.choices = serde_json::from_str::<GenerationConfig<'_>>(value.get())
                    .ok()
                    .and_then(|config| config.candidate_count);
            }
            DROP_PARAMS => fields.drop_params = Some(value),
            "max_completion_tokens" => fields.has_max_completion_tokens = true,
            "max_tokens" => {
                fields.max_tokens_key = match key {
                    std::borrow::Cow::Borrowed(key) => Some(key),
                    std::borrow::Cow::Owned(_) => None,
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(fields)
}

/// Which of the dialect's parameters have come: a repeated one has two meanings, and parsers differ in which they take.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    names: &'static [&'static str],
    /// A bit for each.
    seen: u64,
}

impl Known {
    fn see(&mut self, key: &str) -> Result<(), &'static str> {
        let Some((bit, name)) = self.names.iter().enumerate().find(|(_, name)| **name == key) else {
            return Ok(());
        };
        let mask = 1 << bit;
        if self.seen & mask != 0 {
            return Err(name);
        }
        self.seen |= mask;
        Ok(())
    }

    fn has(self, name: &str) -> bool {
        let bit = self.names.iter().position(|parameter| *parameter == name);
        bit.is_some_and(|bit| self.seen & (1 << bit) != 0)
    }
}

/// Hands each field of the JSON object `text` to `sink`, whose error is the name of a repeated field. Checks the syntax
/// of all of it; values are skipped without recursion, so nesting can't overflow the stack.
pub(crate) fn each_field<'a, F>(text: &'a str, sink: F) -> Result<(), WireError>
where
    F: FnMut(std::borrow::Cow<'a, str>, &'a RawValue) -> Result<(), &'static str>,
{
    let mut repeated = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer
        .deserialize_map(FieldVisitor { sink, repeated: &mut repeated })
        .and_then(|()| deserializer.end());
    match (read, repeated) {
        (Ok(()), _) => Ok(()),
        (Err(error), Some(name)) => Err(WireError::bad_request(format!(
            "Duplicate parameter '{name}' at line {} column {}.",
            error.line(),
            error.column()
        ))
        .with_param(name)),
        (Err(error), None) if error.is_data() => {
            Err(WireError::bad_request(format!("The request body must be a JSON object: {error}.")))
        }
        (Err(error), None) => {
            Err(WireError::bad_request(format!("The request body is not valid JSON: {error}.")))
        }
    }
}

struct FieldVisitor<'r, F> {
    sink: F,
    repeated: &'r mut Option<&'static str>,
}

impl<'a, F> Visitor<'a> for FieldVisitor<'_, F>
where
    F: FnMut(std::borrow::Cow<'a, str>, &'a RawValue) -> Result<(), &'static str>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let value = map.next_value()?;
            if let Err(name) = (self.sink)(key, value) {
                *self.repeated = Some(name);
                return Err(A::Error::custom("duplicate field"));
            }
        }
        Ok(())
    }
}

/// A key, borrowed unless it is spelled with escapes.
struct Key<'a>(std::borrow::Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(key.into()))
            }
            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(key.to_owned().into()))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The value, `None` where absent or null.
pub(crate) fn optional<T: serde::de::DeserializeOwned>(
    name: &'static str,
    raw: Option<&RawValue>,
    expected: &str,
) -> Result<Option<T>, WireError> {
    raw.map_or(Ok(None), |raw| {
        serde_json::from_str::<Option<T>>(raw.get()).map_err(|_| wrong_type(name, expected, raw.get(), None))
    })
}

pub(crate) fn wrong_type(name: &str, expected: &str, found: &str, at: Option<(usize, usize)>) -> WireError {
    let found = match found.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    let at = at.map_or_else(String::new, |(line, column)| format!(" (line {line} column {column})"));
    WireError::bad_request(format!("Invalid type for '{name}': expected {expected}, but got {found}{at}."))
        .with_param(name)
        .with_code("invalid_type")
}

/// Where `part`, a slice of `text`, stands in it.
pub(crate) fn place(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.len()
}

fn position(text: &str, part: &str) -> Option<(usize, usize)> {
    let before = text.get(..place(text, part).start)?;
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1) + 1;
    Some((line, column))
}
