//! The paths at which models are called, and what is spoken there: a row for each.

use std::borrow::Cow;

use http::{HeaderMap, Request};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tidegate_engine::Meter;
use tidegate_wire::client::{ClientDialect, Operation, Outside};

/// A path at which a model is called.
#[derive(Debug)]
pub(super) struct Surface {
    /// May hold `{model}`, which stands for one or more segments: names such as `azure/gpt-4o` have a slash, and not every client
    /// encodes it.
    path: &'static str,
    client: ClientDialect,
    operation: Operation,
    /// Whether the reply is to be streamed, where the path says so.
    stream: Option<bool>,
}

impl Surface {
    /// The surface at a path.
    pub(super) fn at(path: &str) -> Option<&'static Self> {
        SURFACES.iter().find(|surface| surface.is_at(path))
    }

    /// What a request's caller understands: by its path, else by what only one dialect's clients send.
    pub(super) fn client_of(request: &Request<Incoming>) -> ClientDialect {
        match Self::at(request.uri().path()) {
            Some(surface) => surface.client,
            None if request.headers().contains_key("anthropic-version") => ClientDialect::AnthropicMessages,
            None => ClientDialect::OpenaiChat,
        }
    }

    /// Notes what a call on it is asked to do, if that is not to generate from messages.
    pub(super) fn name(&self, meter: &mut Meter) {
        match self.operation {
            Operation::Generate => {}
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
        let Self { client, operation, stream, .. } = *self;
        let wish = parts.headers.get(DROP_PARAMS).map(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        let drop_params = wish.unwrap_or(drop_params);
        let model = self.model(parts.uri.path());
        (Outside { client, operation, headers, model, stream, drop_params }, body)
    }

    fn is_at(&self, path: &str) -> bool {
        match self.path.split_once(MODEL) {
            None => self.path == path,
            Some(_) => self.model_segment(path).is_some(),
        }
    }

    /// The model that the path names, decoded. What is no UTF-8 then names no model that there is.
    fn model(&self, path: &str) -> Option<String> {
        self.model_segment(path)
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy())
            .map(Cow::into_owned)
    }

    fn model_segment<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (before, behind) = self.path.split_once(MODEL)?;
        let model = path.strip_prefix(before)?.strip_suffix(behind)?;
        (!model.is_empty() && !model.starts_with('/')).then_some(model)
    }
}

/// A caller's wish that parameters which the backend can't honour are left out: `true`. Anything else is the wish to be told.
const DROP_PARAMS: &str = "x-tidegate-drop-params";

const MODEL: &str = "{model}";

const fn at(path: &'static str, client: ClientDialect, operation: Operation) -> Surface {
    Surface { path, client, operation, stream: None }
}

static SURFACES: [Surface; 10] = [
    at("/v1/chat/completions", ClientDialect::OpenaiChat, Operation::Generate),
    at("/chat/completions", ClientDialect::OpenaiChat, Operation::Generate),
    // As Azure's clients call a deployment, which is here a model.
    at("/openai/v1/chat/completions", ClientDialect::OpenaiChat, Operation::Generate),
    at("/openai/deployments/{model}/chat/completions", ClientDialect::OpenaiChat, Operation::Generate),
    at("/v1/completions", ClientDialect::OpenaiChat, Operation::Complete),
    at("/completions", ClientDialect::OpenaiChat, Operation::Complete),
    at("/openai/v1/completions", ClientDialect::OpenaiChat, Operation::Complete),
    at("/openai/deployments/{model}/completions", ClientDialect::OpenaiChat, Operation::Complete),
    at("/v1/messages", ClientDialect::AnthropicMessages, Operation::Generate),
    at("/v1/messages/count_tokens", ClientDialect::AnthropicMessages, Operation::CountTokens),
];
