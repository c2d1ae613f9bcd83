//! The HTTP surface: paths, the caller's key, and calls of models. What is spoken where is a table (`surface.rs`).
//!
//! A handler is a future that owns its call; nothing here spawns. Errors become HTTP in `respond.rs` and nowhere else.

mod body;
mod call;
mod realtime;
mod respond;
mod route;
mod surface;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use http::{Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, service::Service};
use tidegate_engine::{Cause, HangUp, Meter};
use tidegate_wire::{ErrorClass, WireError, auth::Signed, client::ClientDialect, realtime::offered_key};

pub(crate) use body::ReplyBody;
use route::Route;
use surface::Surface;

use crate::{
    caller::{CallerContext, Running},
    gateway::Gateway,
};

/// Finds the handler of a request.
#[derive(Clone)]
pub(crate) struct Router {
    gateway: Arc<Gateway>,
}

/// The service of one connection.
pub(crate) struct ConnectionService {
    gateway: Arc<Gateway>,
    context: CallerContext,
}

impl Router {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    pub(crate) fn service(&self, context: CallerContext) -> ConnectionService {
        ConnectionService { gateway: self.gateway.clone(), context }
    }
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if request.version() < http::Version::HTTP_2 {
            // A caller that speaks again has had its last reply; one that multiplexes may not have.
            self.context.tail.settle();
            return self.answer(self.context.clone(), request);
        }
        let context = self.context.stream();
        let hang_up = context.hang_up.clone();
        Box::pin(StreamCall { hang_up, answered: false, answer: self.answer(context, request) })
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, Infallible>> + Send>>;

impl ConnectionService {
    /// Finds who answers. Only what takes time becomes a future of some size, and it holds no more of the request than it
    /// needs: there is one for each call that runs.
    fn answer(&self, context: CallerContext, request: Request<Incoming>) -> Answer {
        let gateway = &self.gateway;
        let running = context.begin();
        let id = call_id();
        let open = matches!(request.uri().path(), "/healthz" | "/readyz");
        let route = Route::at(gateway, request.uri().path()).filter(|route| route.takes(request.method()));
        let client = Surface::client_of(&request);
        let opens = realtime::is_at(request.uri().path()) && request.method() == Method::GET;
        let access = if open { Access::Granted } else { access(gateway, route.as_ref(), &request) };
        let response = match (access, route) {
            (Access::Refused(error), route) => {
                if route.is_some() || opens {
                    let recorder = Arc::clone(&gateway.recorder);
                    let mut meter = Meter::start(id.clone(), context.hang_up.clone(), recorder);
                    match route {
                        Some(route) => route.name(&mut meter),
                        None => realtime::name(&mut meter),
                    }
                    meter.refused(&error);
                }
                respond::error(client, &error)
            }
            _ if opens => {
                let gateway = gateway.clone();
                let opening = realtime::Opening::of(&request);
                return Box::pin(async move {
                    let response = realtime::answer(&gateway, &context, &id, opening).await;
                    Ok(finish(response, client, &id, running))
                });
            }
            (access, Some(route)) => {
                let gateway = gateway.clone();
                let signed = match access {
                    Access::Signed(signed) => Some(signed),
                    _ => None,
                };
                let (asked, body) = route.take(request, gateway.drop_params);
                return Box::pin(async move {
                    let answered = call::answer(&gateway, &context, &id, route, asked, signed, body).await;
                    let response = answered.unwrap_or_else(|error| respond::error(client, &error));
                    Ok(finish(response, client, &id, running))
                });
            }
            (_, None) => local(gateway, client, &request),
        };
        Box::pin(std::future::ready(Ok(finish(response, client, &id, running))))
    }
}

fn finish(
    mut response: Response<ReplyBody>,
    client: ClientDialect,
    id: &str,
    running: Running,
) -> Response<ReplyBody> {
    respond::name(&mut response, client, id);
    response.map(|body| body.running(running))
}

/// A call on an HTTP/2 stream. Its reset shows only in its being dropped, which is noted before anything else is.
struct StreamCall {
    hang_up: Arc<HangUp>,
    answered: bool,
    answer: Answer,
}

impl Future for StreamCall {
    type Output = Result<Response<ReplyBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.answer.as_mut().poll(cx);
        self.answered = polled.is_ready();
        polled
    }
}

impl Drop for StreamCall {
    fn drop(&mut self) {
        if !self.answered {
            self.hang_up.mark(Cause::CallerGone);
        }
    }
}

/// Unique, and sorted by time.
fn call_id() -> String {
    format!("call_{}", uuid::Uuid::now_v7().simple())
}

/// What is answered without a backend.
fn local(gateway: &Gateway, client: ClientDialect, request: &Request<Incoming>) -> Response<ReplyBody> {
    let refused = |error: &WireError| respond::error(client, error);
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/v1/models" | "/models") => respond::json(StatusCode::OK, models(gateway)),
        (&Method::GET, "/healthz") => respond::text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/readyz") => match gateway.readiness.is_ready() {
            true => respond::text(StatusCode::OK, "ready\n"),
            false => respond::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        },
        (&Method::GET, "/metrics") => respond::metrics(gateway.metrics.encode()),
        (_, "/v1/models" | "/models" | "/healthz" | "/readyz" | "/metrics") => {
            respond::wrong_method(client, "GET")
        }
        (_, path) if realtime::is_at(path) => respond::wrong_method(client, "GET"),
        (method, path) => {
            if let Some(route) = Route::at(gateway, path) {
                return respond::wrong_method(client, &route.allowed());
            }
            if let Some(model) = route::own_model(gateway, path) {
                return match *method {
                    Method::GET => respond::json(StatusCode::OK, model_object(&model).to_string().into()),
                    _ => respond::wrong_method(client, "GET"),
                };
            }
            let message = format!(
                "there is no {method} {path} here; POST /v1/chat/completions, POST /v1/responses, POST /v1/messages, POST /v1beta/models/MODEL:generateContent, POST /model/MODEL/converse and GET /v1/models are"
            );
            refused(&WireError::new(ErrorClass::NotFound, message).with_code("not_found"))
        }
    }
}

/// The operator's own names; a host's whole catalogue is the host's to list.
fn models(gateway: &Gateway) -> bytes::Bytes {
    let data: Vec<_> = gateway.targets.models().map(model_object).collect();
    serde_json::json!({"object": "list", "data": data}).to_string().into()
}

fn model_object(name: &str) -> serde_json::Value {
    serde_json::json!({"id": name, "object": "model", "created": 0, "owned_by": "tidegate"})
}

/// Whether a caller may call.
enum Access {
    Granted,
    Refused(WireError),
    /// It signed its request: whether it has the key shows when the body is there.
    Signed(Box<Signed>),
}

fn access(gateway: &Gateway, route: Option<&Route>, request: &Request<Incoming>) -> Access {
    let Some(expected) = &gateway.master_key else { return Access::Granted };
    let refused = |message| Access::Refused(WireError::new(ErrorClass::Unauthorized, message));
    let headers = request.headers();
    let surface = route.and_then(Route::surface);
    if surface.is_some_and(Surface::is_signed) {
        match Signed::read(request.method(), request.uri(), headers, SystemTime::now()) {
            Some(Ok(signed)) => return Access::Signed(Box::new(signed)),
            Some(Err(error)) => return Access::Refused(error),
            None => {}
        }
    }
    let bearer = headers.get(header::AUTHORIZATION).map(|value| {
        let value = value.as_bytes();
        value
            .split_at_checked(7)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .map(|(_, key)| key)
    });
    // A browser can't set header fields for a WebSocket.
    let offered = Some(headers).filter(|_| realtime::is_at(request.uri().path())).and_then(offered_key);
    // Azure's, Anthropic's and Google's clients send their key in these, or in the query.
    let named = OWN_KEYS.iter().find_map(|name| headers.get(*name)).map(|value| value.as_bytes());
    let query = surface.and_then(|surface| surface.key(request.uri()));
    let given = match bearer {
        Some(Some(key)) => Some(key),
        Some(None) => return refused("the Authorization header is not of the form `Bearer KEY`"),
        None => named.or(query.as_deref().map(str::as_bytes)),
    };
    let given = given.or(offered.as_ref().map(|key| key.expose().as_bytes()));
    match given {
        None => refused("no key: send `Authorization: Bearer KEY` with the gateway's master key"),
        Some(given) if !expected.is(given) => refused("the key is not the gateway's master key"),
        Some(_) => Access::Granted,
    }
}

/// Header fields in which a vendor's clients send their key.
const OWN_KEYS: [&str; 3] = ["api-key", "x-api-key", "x-goog-api-key"];
