//! The paths at which models are called, and what is spoken there: a row for each.

use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;
use tidegate_wire::client::{ClientDialect, Operation};

/// A path at which a model is called.
#[derive(Debug)]
pub(super) struct Surface {
    path: &'static str,
    client: ClientDialect,
    operation: Operation,
}

/// What is known of a call before its body is read.
pub(super) struct Asked {
    pub(super) client: ClientDialect,
    pub(super) operation: Operation,
    /// Header fields that are a part of the request.
    pub(super) headers: HeaderMap,
}

impl Surface {
    /// The surface that a request calls.
    pub(super) fn of(request: &Request<Incoming>) -> Option<&'static Self> {
        Self::at(request.uri().path()).filter(|_| request.method() == Method::POST)
    }

    /// The surface at a path.
    pub(super) fn at(path: &str) -> Option<&'static Self> {
        SURFACES.iter().find(|surface| surface.path == path)
    }

    /// What a request's caller understands: by its path, else by what only one dialect's clients send.
    pub(super) fn client_of(request: &Request<Incoming>) -> ClientDialect {
        match Self::at(request.uri().path()) {
            Some(surface) => surface.client,
            None if request.headers().contains_key("anthropic-version") => ClientDialect::AnthropicMessages,
            None => ClientDialect::OpenaiChat,
        }
    }

    /// Of a request no more than the call needs: there is one for each call that runs.
    pub(super) fn take(&self, request: Request<Incoming>) -> (Asked, Incoming) {
        let (parts, body) = request.into_parts();
        let mut headers = HeaderMap::new();
        for name in self.client.request_headers() {
            if let Some(value) = parts.headers.get(name) {
                headers.insert(name, value.clone());
            }
        }
        (Asked { client: self.client, operation: self.operation, headers }, body)
    }
}

static SURFACES: [Surface; 4] = [
    Surface {
        path: "/v1/chat/completions",
        client: ClientDialect::OpenaiChat,
        operation: Operation::Generate,
    },
    Surface { path: "/chat/completions", client: ClientDialect::OpenaiChat, operation: Operation::Generate },
    Surface {
        path: "/v1/messages",
        client: ClientDialect::AnthropicMessages,
        operation: Operation::Generate,
    },
    Surface {
        path: "/v1/messages/count_tokens",
        client: ClientDialect::AnthropicMessages,
        operation: Operation::CountTokens,
    },
];
