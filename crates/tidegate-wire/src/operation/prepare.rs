//! A request for an operation into a backend's.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE},
};
use percent_encoding::utf8_percent_encode;

use super::{
    Form, Model, Operation, Request,
    embeddings::{self, Family, Shape, Vectors, Wanted},
    pass_through, rerank,
};
use crate::{
    ErrorClass, WireError,
    client::query,
    host::{Endpoint, SEGMENT, Services},
    outbound::Outbound,
    reply::{Document, Ends, Pass, ReadDocument, Reply, WholeRelay},
};

/// What a call of an operation needs.
pub struct PreparedOperation {
    /// What to send.
    pub outbound: Outbound,
    /// Reads the answer.
    pub reply: Box<dyn Reply<Item = Bytes>>,
    /// Whether the answer goes on as it comes, with its own head; else it is one JSON document.
    pub passes: bool,
}

/// Where, and what.
struct Way {
    /// Below the API's root; or a whole URL.
    url: String,
    body: Bytes,
    read: Option<ReadDocument>,
}

impl Endpoint {
    /// Whether this host has the operation: of model-less ones as far as is known.
    pub fn has_operation(&self, operation: &Operation) -> bool {
        let own_url = self.host.default_base_url.is_none_or(|default| !self.base_url.starts_with(default));
        let translated = matches!(operation.form, Form::Embeddings);
        match self.host.services {
            Services::OpenAi | Services::OpenAiBelowV1 => {
                own_url || !self.host.lacks_operations.contains(&operation.name)
            }
            Services::Azure => !matches!(operation.name, "moderations" | "rerank" | "embed" | "uploads"),
            Services::Gemini | Services::Vertex => translated,
            Services::Cohere => translated || matches!(operation.name, "embed" | "rerank"),
            Services::Bedrock => translated || operation.form == Form::Rerank,
            Services::None => false,
        }
    }

    /// Turns a caller's request into this backend's. `model` is the backend's name for the model, if one does it; `id` is the
    /// call's.
    ///
    /// # Errors
    /// [`ErrorClass::BadRequest`]: the host has no such operation (code `unsupported_operation`), or can't honour a parameter.
    pub fn prepare_operation(
        &self,
        mut request: Request,
        model: Option<&str>,
        id: &str,
    ) -> Result<PreparedOperation, WireError> {
        let operation = request.operation();
        let way = match operation.form {
            Form::PassThrough => {
                let query = request.asked.query.as_deref().map(|query| without(query, &[]));
                let query = query.as_deref().filter(|query| !query.is_empty());
                let url = pass_through::url(&self.base_url, &request.asked.path, query)?;
                Way { url, body: request.take_body(None), read: None }
            }
            _ if !self.has_operation(operation) => return Err(self.unsupported(operation.name)),
            Form::Embeddings => self.embeddings(&mut request, model.unwrap_or_default())?,
            Form::Rerank => self.rerank(&mut request, model.unwrap_or_default(), id)?,
            Form::Relayed => {
                Way { url: self.relayed_url(&request, model)?, body: request.take_body(model), read: None }
            }
        };
        let passes = way.read.is_none();
        let reply: Box<dyn Reply<Item = Bytes>> = match (way.read, operation.form) {
            (Some(read), _) => Box::new(WholeRelay::document(read)),
            (None, Form::PassThrough) => Box::new(Pass::new(Ends::WithItsBody)),
            (None, _) => Box::new(Pass::new(Ends::WithItsLastEvent)),
        };
        let uri = way.url.parse().map_err(|error| {
            let name = self.host.name;
            WireError::new(
                ErrorClass::Internal,
                format!("the base URL of host {name} does not make a URL: {error}"),
            )
        })?;
        let headers = self.operation_headers(&request, passes);
        let outbound = Outbound { method: request.asked.method, uri, headers, body: way.body };
        Ok(PreparedOperation { outbound, reply, passes })
    }

    /// The operator's word comes first.
    fn operation_headers(&self, request: &Request, passes: bool) -> HeaderMap {
        let mut headers = request.asked.headers.clone();
        if !passes {
            headers.insert(CONTENT_TYPE, JSON);
            headers.insert(ACCEPT, JSON);
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        headers
    }

    fn embeddings(&self, request: &mut Request, model: &str) -> Result<Way, WireError> {
        let (base64, host) = (request.base64, self.host.name);
        if matches!(self.host.services, Services::OpenAi | Services::OpenAiBelowV1 | Services::Azure) {
            let read: ReadDocument = Box::new(move |body, _| embeddings::read_relayed(body, base64));
            let url = self.relayed_url(request, Some(model))?;
            return Ok(Way { url, body: request.take_body(Some(model)), read: Some(read) });
        }
        let family = Family::of(model);
        if self.host.services == Services::Bedrock && family.is_none() {
            return Err(self.unknown_model("embeddings", model));
        }
        let body = std::mem::take(&mut request.body);
        // Its syntax has been checked.
        let wanted = Wanted::read(std::str::from_utf8(&body).unwrap_or_default(), host)?;
        let shape = Shape { base64, count: wanted.texts.len(), model: model.to_owned() };
        let base = &self.base_url;
        let (url, body, decode): (_, _, Decode) = match self.host.services {
            Services::Gemini => {
                let model = model.strip_prefix("models/").unwrap_or(model);
                let url = format!("{base}/models/{}:batchEmbedContents", segment(model)?);
                (url, embeddings::encode_batch(&wanted, model, host)?, Box::new(embeddings::decode_batch))
            }
            Services::Vertex if model.starts_with("gemini-embedding-2") => {
                let url = format!("{base}/models/{}:embedContent", segment(model)?);
                (url, embeddings::encode_one(&wanted, host)?, Box::new(embeddings::decode_one))
            }
            Services::Vertex => {
                let url = format!("{base}/models/{}:predict", segment(model)?);
                (url, embeddings::encode_predict(&wanted, host)?, Box::new(embeddings::decode_predictions))
            }
            Services::Cohere => {
                let body = embeddings::encode_cohere(&wanted, Some(model), host)?;
                (self.cohere_url("embed"), body, Box::new(embeddings::decode_cohere))
            }
            _ => {
                let family = family.ok_or_else(|| self.unknown_model("embeddings", model))?;
                let url = format!("{base}/model/{}/invoke", segment(model)?);
                (url, family.encode(&wanted, host)?, Box::new(move |body| family.decode(body)))
            }
        };
        let read: ReadDocument = Box::new(move |body, counted| decode(&body)?.document(&shape, counted));
        Ok(Way { url, body, read: Some(read) })
    }

    fn rerank(&self, request: &mut Request, model: &str, id: &str) -> Result<Way, WireError> {
        if self.host.services != Services::Bedrock {
            let url = self.relayed_url(request, Some(model))?;
            let read: ReadDocument = Box::new(|body, _| rerank::read_relayed(body));
            return Ok(Way { url, body: request.take_body(Some(model)), read: Some(read) });
        }
        if !model.contains("rerank") {
            return Err(self.unknown_model("rerank", model));
        }
        let text = std::str::from_utf8(&request.body).unwrap_or_default();
        let body = rerank::encode_bedrock(text, model, self.host.name)?;
        let url = format!("{}/model/{}/invoke", self.base_url, segment(model)?);
        let id = id.to_owned();
        let read: ReadDocument = Box::new(move |body, counted| {
            let document = rerank::decode_bedrock(&body, &id)?;
            Ok(Document { usage: counted.map(crate::hub::Usage::of_prompt), ..document })
        });
        Ok(Way { url, body, read: Some(read) })
    }

    fn unknown_model(&self, operation: &str, model: &str) -> WireError {
        let name = self.host.name;
        WireError::bad_request(format!(
            "No form of {operation} is known for the model {model} of the host {name}."
        ))
        .with_code(UNSUPPORTED)
        .with_param("model")
    }

    /// The URL of an operation that goes on as it is.
    fn relayed_url(&self, request: &Request, model: Option<&str>) -> Result<String, WireError> {
        let operation = request.operation();
        let path = match (&request.asked.model, operation.model) {
            // One model, by its name in the path.
            (Some(_), Model::Required) if operation.methods.first() == Some(&http::Method::GET) => {
                format!("{}/{}", operation.path, segment(model.unwrap_or_default())?)
            }
            _ => request.asked.path.clone(),
        };
        if !pass_through::stays_inside(&path) {
            return Err(
                WireError::bad_request("The path has steps that lead out of it.").with_code("invalid_path")
            );
        }
        let url = match self.host.services {
            Services::Azure => {
                let done_by = model.filter(|_| !operation.is_resource()).map(segment).transpose()?;
                self.azure_url(&path, done_by)
            }
            Services::Cohere => self.cohere_url(&path),
            _ => self.openai_url(&path),
        };
        // Of a request for a model the query says what the body says, or is Azure's version, which is the operator's.
        let query = request.asked.query.as_deref().filter(|_| operation.model == Model::None);
        let query = query.map(|query| without(query, &["host", "api-version"]));
        Ok(match query.filter(|query| !query.is_empty()) {
            Some(query) => format!("{url}{}{query}", if url.contains('?') { '&' } else { '?' }),
            None => url,
        })
    }

    /// Cohere has a version in every path; a base URL may name one, too.
    fn cohere_url(&self, path: &str) -> String {
        let base = &self.base_url;
        let root =
            ["/compatibility/v1", "/v1", "/v2/chat", "/v2"].iter().find_map(|end| base.strip_suffix(end));
        format!("{}/v2/{path}", root.unwrap_or(base))
    }
}

type Decode = Box<dyn for<'a> Fn(&'a [u8]) -> Result<Vectors<'a>, WireError> + Send>;

/// A name as one segment of a path.
fn segment(model: &str) -> Result<String, WireError> {
    // Some proxies decode a path before they look at its steps.
    if model.split(['/', '\\']).any(|step| matches!(step, "." | "..")) {
        return Err(
            WireError::bad_request(format!("Invalid 'model': {model:?} names none.")).with_param("model")
        );
    }
    Ok(utf8_percent_encode(model, SEGMENT).to_string())
}

/// A query without parameters that are not the backend's: these, in any spelling, and keys.
fn without(query: &str, names: &[&str]) -> String {
    let kept = query::parameters(query)
        .filter(|parameter| !parameter.is_key() && !names.contains(&&*parameter.name))
        .map(|parameter| parameter.text);
    kept.collect::<Vec<_>>().join("&")
}

const UNSUPPORTED: &str = "unsupported_operation";
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
