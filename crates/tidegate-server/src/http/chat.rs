//! `POST /v1/chat/completions`: one call, from the request body to the reply.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tidegate_engine::Meter;
use tidegate_wire::{ErrorClass, WireError, dialect::openai_chat::Inbound};

use super::{body::ReplyBody, respond};
use crate::{caller::CallerContext, config::Limits, gateway::Gateway};

/// Answers one chat request.
///
/// # Cancel safety
/// Dropping the future closes the backend and settles the call as given up.
pub(crate) async fn handle(
    gateway: &Gateway,
    context: &CallerContext,
    id: &str,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    call(gateway, context, id, request).await.unwrap_or_else(|error| respond::error(&error))
}

async fn call(
    gateway: &Gateway,
    context: &CallerContext,
    id: &str,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, WireError> {
    let body = read(request.into_body(), &gateway.limits).await?;
    let inbound = Inbound::parse(body)?;
    let mut meter = Meter::start(
        id.to_owned(),
        inbound.model.clone(),
        inbound.stream,
        context.hang_up.clone(),
        Arc::clone(&gateway.recorder),
    );
    let prepared = gateway.targets.resolve(&inbound.model).and_then(|(target, model)| {
        let prepared = target.endpoint.prepare(&inbound, model)?;
        Ok((Arc::clone(target), prepared))
    });
    let (target, prepared) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            meter.status(error.status());
            meter.failed(&error);
            return Err(error);
        }
    };
    let reply = prepared.plan.openai_chat(id, unix_seconds());
    let streaming = inbound.stream;
    // What the caller sent is in the outbound request now; a long stream must not keep it.
    drop(inbound);
    let mut exchange = gateway.engine.start(&target, prepared.outbound, reply, meter).await?;
    exchange.release_headers();
    if streaming {
        if let Some(meter) = exchange.meter() {
            meter.status(StatusCode::OK.as_u16());
        }
        let body = ReplyBody::stream(exchange, context.clone(), gateway.heartbeat);
        return Ok(with_head(body, "text/event-stream; charset=utf-8"));
    }
    let whole = match exchange.next().await {
        Some(Ok(whole)) => whole,
        Some(Err(error)) => {
            if let Some(meter) = exchange.meter() {
                meter.status(error.status());
            }
            return Err(error);
        }
        None => {
            let error = WireError::protocol("the backend's reply is empty");
            if let Some(meter) = exchange.meter() {
                meter.status(error.status());
                meter.failed(&error);
            }
            return Err(error);
        }
    };
    // Runs the reply to its end, so that its connection goes back before the caller is answered.
    while exchange.next().await.is_some() {}
    let body = match exchange.take_meter() {
        Some(mut meter) => {
            meter.status(StatusCode::OK.as_u16());
            ReplyBody::metered(whole, meter, context.clone())
        }
        None => ReplyBody::whole(whole),
    };
    Ok(with_head(body, "application/json"))
}

fn with_head(body: ReplyBody, content_type: &'static str) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if content_type.starts_with("text/event-stream") {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // nginx and its kin buffer unless told not to.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    response
}

/// Reads the request body, within bounds of size and time.
async fn read(body: Incoming, limits: &Limits) -> Result<Bytes, WireError> {
    let too_large = || {
        WireError::new(ErrorClass::TooLarge, format!("the request body is larger than {} bytes", limits.body))
    };
    if body.size_hint().lower() > limits.body as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(limits.body_time, collect(body, limits.body)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(error)) => Err(WireError::bad_request(format!("the request body broke off: {error}"))),
        Err(_) => Err(WireError::bad_request(format!(
            "the request body did not arrive within {} s",
            limits.body_time.as_secs()
        ))),
    }
}

/// `None`: larger than `limit`.
async fn collect(mut body: Incoming, limit: usize) -> Result<Option<Bytes>, hyper::Error> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Ok(None);
        }
        // Most bodies come in one piece and are not copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(limit);
                rest.reserve(first.len() + data.len() + expected);
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(Some(if rest.is_empty() { first } else { rest.freeze() }))
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
