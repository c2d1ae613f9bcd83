//! `/v1/realtime`: the opening of a session over WebSocket (RFC 6455), which the connection then relays.
//!
//! What is refused is refused before the change of protocol, as an ordinary HTTP reply: the backend is asked first, and the
//! caller gets 101 only when it has answered so.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
};
use http_body::Body as _;
use hyper::body::Incoming;
use tidegate_engine::{Meter, Session};
use tidegate_wire::{
    WireError,
    client::ClientDialect,
    realtime::{Ask, Observer, SUBPROTOCOL, offers_subprotocol},
    websocket::{accept_key, is_key},
};

use super::{body::ReplyBody, respond};
use crate::{caller::CallerContext, gateway::Gateway};

/// Whether sessions are opened at a path: OpenAI's, and both of Azure's.
pub(super) fn is_at(path: &str) -> bool {
    matches!(path, "/v1/realtime" | "/realtime" | "/openai/v1/realtime" | "/openai/realtime")
}

/// Notes what a call at such a path is asked to do.
pub(super) fn name(meter: &mut Meter) {
    meter.operation("realtime", true);
}

/// What is needed of a request for a session. The rest of it is let go of.
pub(super) struct Opening {
    ask: Result<Ask, WireError>,
    /// The answer to its key. `None`: it asks for no change of protocol that there is.
    accept: Option<String>,
    /// Whether the subprotocol is to be answered.
    subprotocol: bool,
    version: Version,
}

impl Opening {
    pub(super) fn of(request: &Request<Incoming>) -> Self {
        let headers = request.headers();
        let asks = request.version() == Version::HTTP_11
            && has_token(headers, CONNECTION.as_str(), "upgrade")
            && has_token(headers, UPGRADE.as_str(), "websocket")
            && has_token(headers, "sec-websocket-version", "13")
            && request.body().is_end_stream();
        let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
        Self {
            ask: Ask::read(request.uri().query(), headers),
            accept: key.filter(|key| asks && is_key(key)).map(accept_key),
            subprotocol: offers_subprotocol(headers),
            version: request.version(),
        }
    }
}

/// Opens a session.
///
/// # Cancel safety
/// Dropping the future closes the backend and settles the call as given up.
pub(super) async fn answer(
    gateway: &Gateway,
    context: &CallerContext,
    id: &str,
    opening: Opening,
) -> Response<ReplyBody> {
    let mut meter = Meter::start(id.to_owned(), context.hang_up.clone(), Arc::clone(&gateway.recorder));
    name(&mut meter);
    let client = ClientDialect::OpenaiChat;
    let Opening { ask, accept, subprotocol, version } = opening;
    let Some(accept) = accept else {
        let error = WireError::bad_request(UPGRADE_REQUIRED).with_code("upgrade_required");
        let response = respond::upgrade_required(client, &error, version);
        meter.refused(&error);
        meter.status(response.status().as_u16());
        return response;
    };
    match open(gateway, ask, meter).await {
        Ok(session) => {
            context.relay(session);
            switching(&accept, subprotocol)
        }
        Err(error) => respond::error(client, &error),
    }
}

async fn open(
    gateway: &Gateway,
    ask: Result<Ask, WireError>,
    mut meter: Meter,
) -> Result<Session, WireError> {
    let prepared = ask.and_then(|ask| {
        meter.asked(ask.model.clone(), true);
        let (target, model) = gateway.targets.resolve(&ask.model)?;
        Ok((Arc::clone(target), target.endpoint.prepare_realtime(&ask, model)?, ask.transcribes))
    });
    match prepared {
        Ok((target, outbound, transcribes)) => {
            let observer = Observer::new(transcribes);
            gateway.engine.open_session(&target, outbound, observer, meter).await
        }
        Err(error) => {
            meter.refused(&error);
            Err(error)
        }
    }
}

fn switching(accept: &str, subprotocol: bool) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::try_from(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}

fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

const UPGRADE_REQUIRED: &str = "a realtime session is opened by an HTTP/1.1 request for WebSocket, version 13, without a body: \
    `Connection: Upgrade`, `Upgrade: websocket`, `Sec-WebSocket-Version: 13`, `Sec-WebSocket-Key`";
