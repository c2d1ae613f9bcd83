//! Who answers a request: a surface at which models are called, the host that keeps a response, another operation, or a host that
//! is passed through to; in this order, so that none of the latter hides one of the former.

use http::{HeaderMap, Method, Request, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tidegate_engine::Meter;
use tidegate_wire::{
    client::Outside,
    operation::{self, Asked, Found, Model, Operation, PASS_THROUGH},
};

use super::{
    realtime,
    surface::{KeptResponse, Surface},
};
use crate::gateway::Gateway;

/// What a request's path leads to.
#[derive(Clone, Copy)]
pub(super) enum Route {
    Surface(&'static Surface),
    /// A response that a host keeps, by these methods.
    Kept(&'static [Method]),
    Operation(&'static Operation),
    /// A host of the configuration.
    PassThrough,
}

/// What a call is asked to do.
pub(super) enum Call {
    Model(Outside),
    /// Few calls are one of these, and those of models are to stay small.
    Kept(Box<KeptResponse>),
    Operation(Box<Asked>),
}

impl Route {
    /// Where a path leads, whatever the method. `None`: to nobody who calls a backend, or to a session, which is no call with a body.
    pub(super) fn at(gateway: &Gateway, path: &str) -> Option<Self> {
        if realtime::is_at(path) {
            return None;
        }
        if let Some(surface) = Surface::at(path) {
            return Some(Self::Surface(surface));
        }
        if let Some(methods) = KeptResponse::methods_at(path) {
            return Some(Self::Kept(methods));
        }
        let own_model = |found: &Found<'_>| found.operation.name == "model" && is_own(gateway, found.path);
        match operation::find(path) {
            Some(found) if own_model(&found) => None,
            Some(found) => Some(Self::Operation(found.operation)),
            None => host_and_rest(path)
                .and_then(|(host, _)| gateway.targets.passed_through(host))
                .map(|_| Self::PassThrough),
        }
    }

    /// The surface, if it leads to one.
    pub(super) fn surface(&self) -> Option<&'static Surface> {
        match self {
            Self::Surface(surface) => Some(surface),
            Self::Kept(_) | Self::Operation(_) | Self::PassThrough => None,
        }
    }

    /// The methods that it takes, as the header `allow` lists them.
    pub(super) fn allowed(&self) -> String {
        self.methods().iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn takes(&self, method: &Method) -> bool {
        self.methods().contains(method)
    }

    fn methods(&self) -> &'static [Method] {
        match self {
            Self::Surface(_) => &[Method::POST],
            Self::Kept(methods) => methods,
            Self::Operation(operation) => operation.methods,
            Self::PassThrough => PASS_THROUGH.methods,
        }
    }

    /// Notes what a call on it is asked to do.
    pub(super) fn name(&self, meter: &mut Meter) {
        let operation = match self {
            Self::Surface(surface) => return surface.name(meter),
            // It was paid for when it was made.
            Self::Kept(_) => return meter.operation("responses", false),
            Self::Operation(operation) => operation,
            Self::PassThrough => &PASS_THROUGH,
        };
        meter.operation(operation.name, operation.is_text());
    }

    /// Of a request no more than the call needs: there is one for each call that runs.
    pub(super) fn take(&self, request: Request<Incoming>, drop_params: bool) -> (Call, Incoming) {
        match self {
            Self::Surface(surface) => {
                let (outside, body) = surface.take(request, drop_params);
                (Call::Model(outside), body)
            }
            Self::Kept(_) => {
                let (kept, body) = KeptResponse::take(request);
                (Call::Kept(Box::new(kept)), body)
            }
            Self::Operation(_) => take_operation(request),
            Self::PassThrough => take_passed(request),
        }
    }
}

/// The operator's own name for a model, if a path of one model names one: it is told of here.
pub(super) fn own_model<'p>(gateway: &Gateway, path: &'p str) -> Option<std::borrow::Cow<'p, str>> {
    let found = operation::find(path).filter(|found| found.operation.name == "model")?;
    is_own(gateway, found.path).then(|| model_of(found.path))
}

fn is_own(gateway: &Gateway, path: &str) -> bool {
    let model = model_of(path);
    gateway.targets.models().any(|own| own == model)
}

/// The model of a path such as `models/gpt-4o`.
fn model_of(path: &str) -> std::borrow::Cow<'_, str> {
    let segment = path.split_once('/').map_or("", |(_, rest)| rest);
    percent_decode_str(segment).decode_utf8_lossy()
}

fn take_operation(request: Request<Incoming>) -> (Call, Incoming) {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().map(str::to_owned);
    let found = operation::find(parts.uri.path());
    let (operation, path, deployment) = match found {
        Some(Found { operation, path, deployment }) => (operation, path, deployment),
        // It was found before.
        None => (&PASS_THROUGH, "", None),
    };
    let decoded = |segment| percent_decode_str(segment).decode_utf8_lossy().into_owned();
    let model = match operation.methods.contains(&Method::POST) {
        true => deployment.map(decoded),
        false => Some(model_of(path).into_owned()),
    };
    let asked = Asked {
        operation,
        method: parts.method,
        path: path.to_owned(),
        host: named_host(&parts.headers, query.as_deref()).filter(|_| operation.model != Model::Required),
        query,
        headers: kept_headers(&parts.headers),
        model,
    };
    (Call::Operation(Box::new(asked)), body)
}

fn take_passed(request: Request<Incoming>) -> (Call, Incoming) {
    let (parts, body) = request.into_parts();
    let (host, rest) = host_and_rest(parts.uri.path()).unwrap_or_default();
    let asked = Asked {
        operation: &PASS_THROUGH,
        method: parts.method,
        path: rest.to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: operation::passed_headers(&parts.headers),
        model: None,
        host: Some(host.to_owned()),
    };
    (Call::Operation(Box::new(asked)), body)
}

/// `/openai/v1/models` is `v1/models` of `openai`.
fn host_and_rest(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.split_once('/')
}

/// The host that a caller names for what no model does.
fn named_host(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    let header = headers.get("x-tidegate-host").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| *name == "host");
    header.or_else(|| Some(percent_decode_str(named.next()?.1).decode_utf8_lossy().into_owned()))
}

/// The header fields that are a part of a request for an operation.
fn kept_headers(all: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [header::CONTENT_TYPE, header::ACCEPT, header::RANGE] {
        if let Some(value) = all.get(&name) {
            kept.insert(name, value.clone());
        }
    }
    for name in ["openai-beta", "idempotency-key"] {
        if let Some(value) = all.get(name) {
            kept.insert(name, value.clone());
        }
    }
    kept
}
