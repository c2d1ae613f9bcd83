//! The paths at which models are called, and what is spoken there: a row for each.

use http::{HeaderMap, Method, Request, Uri};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tidegate_engine::Meter;
use tidegate_wire::{
    client::{ClientDialect, Operation, Outside, StreamForm},
    host::KeptOperation,
};

/// A path at which a model is called.
#[derive(Debug)]
pub(super) struct Surface {
    /// May hold `{model}`, which stands for one or more segments: names such as `azure/gpt-4o` have a slash, and not every client
    /// encodes it. Before that, `*` stands for one segment that says nothing here.
    path: &'static str,
    client: ClientDialect,
    operation: Operation,
    /// Whether the reply is to be streamed, where the path says so.
    stream: Option<bool>,
}

impl Surface {
    /// The surface at a path.
    pub(super) fn at(path: &str) -> Option<&'static Self> {
        SURFACES.iter().chain(&GEMINI_SURFACES).find(|surface| surface.is_at(path))
    }

    /// What a request's caller understands: by its path, else by what only one dialect's clients send.
    pub(super) fn client_of(request: &Request<Incoming>) -> ClientDialect {
        match Self::at(request.uri().path()) {
            Some(surface) => surface.client,
            None if KeptResponse::methods_at(request.uri().path()).is_some() => {
                ClientDialect::OpenaiResponses
            }
            None if request.headers().contains_key("anthropic-version") => ClientDialect::AnthropicMessages,
            None => ClientDialect::OpenaiChat,
        }
    }

    /// Notes what a call on it is asked to do, if that is not to generate from messages.
    pub(super) fn name(&self, meter: &mut Meter) {
        match self.operation {
            Operation::Generate | Operation::Kept => {}
            Operation::CountTokens => meter.operation("count_tokens", true),
            Operation::Complete => meter.operation("completions", true),
        }
    }

    /// Of a request no more than the call needs: there is one for each call that runs.
    /// `drop_params` is what the operator wants of those who don't say.
    pub(super) fn take(&self, request: Request<Incoming>, drop_params: bool) -> (Outside, Incoming) {
        let (parts, body) = request.into_parts();
        let mut headers = HeaderMap::new();
        for name in self.client.request_headers() {
            if let Some(value) = parts.headers.get(name) {
                headers.insert(name, value.clone());
            }
        }
        let Self { operation, stream, .. } = *self;
        let client = match self.client {
            ClientDialect::Gemini(_) if query(&parts.uri, "alt").as_deref() == Some("sse") => {
                ClientDialect::Gemini(StreamForm::Events)
            }
            client => client,
        };
        let wish = parts.headers.get(DROP_PARAMS).map(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        let drop_params = wish.unwrap_or(drop_params);
        let model = self.model(parts.uri.path());
        (Outside { client, operation, headers, model, stream, drop_params }, body)
    }

    /// Whether its clients sign their requests.
    pub(super) fn is_signed(&self) -> bool {
        self.client == ClientDialect::BedrockConverse
    }

    /// The key in a request's query, where its dialect has one there.
    pub(super) fn key(&self, uri: &Uri) -> Option<String> {
        matches!(self.client, ClientDialect::Gemini(_)).then(|| query(uri, "key")).flatten()
    }

    fn is_at(&self, path: &str) -> bool {
        match self.path.split_once(MODEL) {
            None => self.path == path,
            Some(_) => self.model_segment(path).is_some(),
        }
    }

    /// The model that the path names, decoded. What is no UTF-8 then names no model that there is.
    fn model(&self, path: &str) -> Option<String> {
        let model =
            self.model_segment(path).map(|segment| percent_decode_str(segment).decode_utf8_lossy())?;
        // As Vertex's clients spell a model `PUBLISHER/NAME`.
        match model.split_once("/models/").filter(|_| self.path.contains("/publishers/{model}")) {
            Some((publisher, name)) => Some(format!("{publisher}/{name}")),
            None => Some(model.into_owned()),
        }
    }

    fn model_segment<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (before, behind) = self.path.split_once(MODEL)?;
        let model = strip_prefix(path, before)?.strip_suffix(behind)?;
        (!model.is_empty() && !model.starts_with('/')).then_some(model)
    }
}

/// What is behind `pattern`, in which `*` stands for one segment.
fn strip_prefix<'a>(path: &'a str, pattern: &str) -> Option<&'a str> {
    let mut pieces = pattern.split('*');
    let mut rest = path.strip_prefix(pieces.next()?)?;
    for piece in pieces {
        let end = rest.find('/').filter(|end| *end > 0)?;
        rest = rest.get(end..)?.strip_prefix(piece)?;
    }
    Some(rest)
}

/// A parameter of the query, decoded.
fn query(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// A caller's wish that parameters which the backend can't honour are left out: `true`. Anything else is the wish to be told.
const DROP_PARAMS: &str = "x-tidegate-drop-params";

const MODEL: &str = "{model}";

/// A request about a response that a backend keeps: the paths of the Responses API below the one at which responses are created.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeptResponse {
    pub(super) operation: KeptOperation,
    /// As the caller knows it.
    pub(super) id: String,
    /// Without its `?`.
    pub(super) query: Option<String>,
}

impl KeptResponse {
    /// The methods that a path of this kind takes. `None`: it is no such path.
    pub(super) fn methods_at(path: &str) -> Option<&'static [Method]> {
        Some(match Self::parts(path)?.1 {
            None => &[Method::GET, Method::DELETE],
            Some("cancel") => &[Method::POST],
            Some("input_items") => &[Method::GET],
            Some(_) => return None,
        })
    }

    /// What a request asks for at a path of this kind, by a method that it takes.
    pub(super) fn take(request: Request<Incoming>) -> (Self, Incoming) {
        let (parts, body) = request.into_parts();
        let (id, action) = Self::parts(parts.uri.path()).unwrap_or_default();
        let operation = match (parts.method, action) {
            (_, Some("cancel")) => KeptOperation::Cancel,
            (_, Some(_)) => KeptOperation::InputItems,
            (Method::DELETE, None) => KeptOperation::Delete,
            (_, None) => KeptOperation::Retrieve,
        };
        let id = percent_decode_str(id).decode_utf8_lossy().into_owned();
        (Self { operation, id, query: parts.uri.query().map(str::to_owned) }, body)
    }

    /// The id, and what stands behind it.
    fn parts(path: &str) -> Option<(&str, Option<&str>)> {
        let created_at = |surface: &&Surface| surface.client == ClientDialect::OpenaiResponses;
        let mut roots = SURFACES.iter().filter(created_at).map(|surface| surface.path);
        let rest = roots.find_map(|root| path.strip_prefix(root)?.strip_prefix('/'))?;
        let (id, action) = rest.split_once('/').map_or((rest, None), |(id, action)| (id, Some(action)));
        (!id.is_empty()).then_some((id, action))
    }
}

const fn at(path: &'static str, client: ClientDialect, operation: Operation) -> Surface {
    Surface { path, client, operation, stream: None }
}

/// One that streams or not by its path.
const fn by_path(path: &'static str, client: ClientDialect, stream: bool) -> Surface {
    Surface { path, client, operation: Operation::Generate, stream: Some(stream) }
}

static SURFACES: [Surface; 16] = [
    at("/v1/chat/completions", ClientDialect::OpenaiChat, Operation::Generate),
    at("/chat/completions", ClientDialect::OpenaiChat, Operation::Generate),
    // As Azure's clients call a deployment, which is here a model.
    at("/openai/v1/chat/completions", ClientDialect::OpenaiChat, Operation::Generate),
    at("/openai/deployments/{model}/chat/completions", ClientDialect::OpenaiChat, Operation::Generate),
    at("/v1/completions", ClientDialect::OpenaiChat, Operation::Complete),
    at("/completions", ClientDialect::OpenaiChat, Operation::Complete),
    at("/openai/v1/completions", ClientDialect::OpenaiChat, Operation::Complete),
    at("/openai/deployments/{model}/completions", ClientDialect::OpenaiChat, Operation::Complete),
    at("/v1/responses", ClientDialect::OpenaiResponses, Operation::Generate),
    at("/responses", ClientDialect::OpenaiResponses, Operation::Generate),
    // As Azure's clients call it, with and without a dated version.
    at("/openai/v1/responses", ClientDialect::OpenaiResponses, Operation::Generate),
    at("/openai/responses", ClientDialect::OpenaiResponses, Operation::Generate),
    at("/v1/messages", ClientDialect::AnthropicMessages, Operation::Generate),
    at("/v1/messages/count_tokens", ClientDialect::AnthropicMessages, Operation::CountTokens),
    by_path("/model/{model}/converse", ClientDialect::BedrockConverse, false),
    by_path("/model/{model}/converse-stream", ClientDialect::BedrockConverse, true),
];

/// The paths of Gemini's operations on a model, which say what is wanted at their end.
macro_rules! gemini {
    ($($path:literal,)*) => {
        [$(
            by_path(concat!($path, ":generateContent"), GEMINI, false),
            by_path(concat!($path, ":streamGenerateContent"), GEMINI, true),
            at(concat!($path, ":countTokens"), GEMINI, Operation::CountTokens),
        )*]
    };
}

const GEMINI: ClientDialect = ClientDialect::Gemini(StreamForm::Array);

static GEMINI_SURFACES: [Surface; 30] = gemini![
    "/v1beta/models/{model}",
    "/v1/models/{model}",
    // As Vertex AI's clients call a model: Google's own by its name, another's by its publisher and name.
    "/v1beta1/projects/*/locations/*/publishers/google/models/{model}",
    "/v1beta1/projects/*/locations/*/publishers/{model}",
    "/v1/projects/*/locations/*/publishers/google/models/{model}",
    "/v1/projects/*/locations/*/publishers/{model}",
    // The same with a key, which needs no project.
    "/v1beta1/publishers/google/models/{model}",
    "/v1beta1/publishers/{model}",
    "/v1/publishers/google/models/{model}",
    "/v1/publishers/{model}",
];
