//! A caller's request for an operation, read as deep as sending it on needs.

use std::{borrow::Cow, ops::Range};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Method, header::CONTENT_TYPE};
use serde_json::value::RawValue;

use super::{Model, Operation, multipart};
use crate::{
    WireError,
    client::{checked_model, each_field, optional, place, splice, wrong_type},
};

/// What of a request stands outside its body.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The row.
    pub operation: &'static Operation,
    /// The method.
    pub method: Method,
    /// Below the API's root, or below the host's name.
    pub path: String,
    /// The query, without its question mark.
    pub query: Option<String>,
    /// The header fields that go on.
    pub headers: HeaderMap,
    /// The model, where the path names it.
    pub model: Option<String>,
    /// The host that the caller names, for what no model does.
    pub host: Option<String>,
}

/// A request, read.
#[derive(Debug)]
pub struct Request {
    pub(super) asked: Asked,
    pub(super) body: Bytes,
    /// The model as the caller named it.
    pub model: Option<String>,
    /// Whether its reply is to be streamed.
    pub stream: bool,
    /// Whether vectors are to come as base64.
    pub(super) base64: bool,
    model_place: ModelPlace,
}

/// Where the backend's name of the model goes.
#[derive(Debug)]
enum ModelPlace {
    /// Nowhere.
    Nowhere,
    /// In the place of a JSON value.
    Json(Range<usize>),
    /// Behind the `{` of a JSON object; whether fields follow.
    NewInJson(usize, bool),
    /// In the place of a form's value.
    Form(Range<usize>),
    /// Before the parts of a form with this boundary.
    NewInForm(String),
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// [`crate::ErrorClass::BadRequest`]: a model is wanted and none is named, or the body is not what its content-type says.
    pub fn read(asked: Asked, body: Bytes) -> Result<Self, WireError> {
        let mut request = Self {
            body,
            model: asked.model.clone(),
            stream: false,
            base64: false,
            model_place: ModelPlace::Nowhere,
            asked,
        };
        if request.asked.operation.model != Model::None && request.asked.method == Method::POST {
            match multipart::boundary(&request.asked.headers)? {
                Some(boundary) => request.read_form(boundary)?,
                None => request.read_json()?,
            }
        }
        match &request.model {
            Some(model) => drop(checked_model(model.clone())?),
            None if request.asked.operation.model == Model::Required => {
                return Err(WireError::bad_request("You must provide a model parameter.").with_param("model"));
            }
            None => {}
        }
        Ok(request)
    }

    /// The row.
    pub fn operation(&self) -> &'static Operation {
        self.asked.operation
    }

    /// The host that the caller names.
    pub fn host(&self) -> Option<&str> {
        self.asked.host.as_deref()
    }

    fn read_form(&mut self, boundary: String) -> Result<(), WireError> {
        let form = multipart::fields(&self.body, &boundary)?;
        let text = |place: &Range<usize>| {
            let bytes = self.body.get(place.clone()).unwrap_or_default();
            std::str::from_utf8(bytes).map(str::trim).map(str::to_owned)
        };
        let unreadable = |_| WireError::bad_request("A field of the form is not UTF-8.");
        let streams = form.stream.as_ref().map(text).transpose().map_err(unreadable)?;
        let model = form.model.as_ref().map(text).transpose().map_err(unreadable)?;
        self.stream = streams.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        self.model = self.model.take().or(model);
        self.model_place = form.model.map_or(ModelPlace::NewInForm(boundary), ModelPlace::Form);
        Ok(())
    }

    fn read_json(&mut self) -> Result<(), WireError> {
        let text = std::str::from_utf8(&self.body).map_err(|error| {
            let at = error.valid_up_to();
            WireError::bad_request(format!("The request body is not UTF-8: invalid byte at offset {at}."))
        })?;
        let mut fields = Fields::default();
        each_field(text, |key, value| fields.see(&key, value))?;
        self.stream = optional::<bool>("stream", fields.stream, "a boolean")?.unwrap_or(false);
        let encoding = optional::<Cow<'_, str>>("encoding_format", fields.encoding_format, "a string")?;
        self.base64 = encoding.as_deref() == Some("base64");
        self.model_place = match fields.model {
            Some(raw) => ModelPlace::Json(place(text, raw.get())),
            None => ModelPlace::NewInJson(text.find('{').map_or(0, |brace| brace + 1), !fields.empty),
        };
        if self.model.is_none() {
            self.model = match fields.model.filter(|raw| raw.get() != "null") {
                Some(raw) => Some(
                    serde_json::from_str::<String>(raw.get())
                        .map_err(|_| wrong_type("model", "a string", raw.get(), None))?,
                ),
                None => None,
            };
        }
        self.asked.headers.entry(CONTENT_TYPE).or_insert(super::prepare::JSON);
        Ok(())
    }

    /// The body with the backend's name of the model in it. The request's own goes with it: a file is not kept twice.
    pub(super) fn take_body(&mut self, model: Option<&str>) -> Bytes {
        let body = std::mem::take(&mut self.body);
        let Some(model) = model else { return body };
        let spelled = || serde_json::Value::from(model).to_string();
        match &self.model_place {
            ModelPlace::Nowhere => body,
            ModelPlace::Json(place) => replace(body, place.clone(), &spelled()),
            ModelPlace::Form(place) => replace(body, place.clone(), model),
            ModelPlace::NewInJson(at, fields_follow) => {
                let comma = if *fields_follow { "," } else { "" };
                splice(&body, &[(*at..*at, format!(r#""model":{}{comma}"#, spelled()))])
            }
            ModelPlace::NewInForm(boundary) => {
                splice(&body, &[(0..0, multipart::part(boundary, "model", model))])
            }
        }
    }
}

/// The values that sending on looks at, unread.
struct Fields<'a> {
    model: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    encoding_format: Option<&'a RawValue>,
    empty: bool,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self { model: None, stream: None, encoding_format: None, empty: true }
    }
}

impl<'a> Fields<'a> {
    /// A repeated field has two meanings, and parsers differ in which they take.
    fn see(&mut self, key: &str, value: &'a RawValue) -> Result<(), &'static str> {
        self.empty = false;
        let (slot, name) = match key {
            "model" => (&mut self.model, "model"),
            "stream" => (&mut self.stream, "stream"),
            "encoding_format" => (&mut self.encoding_format, "encoding_format"),
            _ => return Ok(()),
        };
        if slot.replace(value).is_some() { Err(name) } else { Ok(()) }
    }
}

/// Replaces a range by text. What does not grow is moved in its own place, the shorter side of the two: a form's fields stand
/// before or behind a file that is large.
pub(super) fn replace(body: Bytes, range: Range<usize>, text: &str) -> Bytes {
    if body.get(range.clone()) == Some(text.as_bytes()) {
        return body;
    }
    let Some(spare) = range.len().checked_sub(text.len()) else {
        return splice(&body, &[(range, text.to_owned())]);
    };
    match body.try_into_mut() {
        Ok(body) => shrink(body, range, text, spare),
        Err(shared) => splice(&shared, &[(range, text.to_owned())]),
    }
}

fn shrink(mut body: BytesMut, range: Range<usize>, text: &str, spare: usize) -> Bytes {
    let length = body.len();
    let behind = length - range.end;
    if range.start <= behind {
        body.copy_within(..range.start, spare);
        if let Some(place) = body.get_mut(range.end - text.len()..range.end) {
            place.copy_from_slice(text.as_bytes());
        }
        body.advance(spare);
    } else {
        if let Some(place) = body.get_mut(range.start..range.start + text.len()) {
            place.copy_from_slice(text.as_bytes());
        }
        body.copy_within(range.end.., range.start + text.len());
        body.truncate(length - spare);
    }
    body.freeze()
}
