//! `POST /v1/chat/completions`: one call, from the request body to the reply.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tidegate_engine::{Meter, Target};
use tidegate_wire::{
    ErrorClass, WireError, dialect::openai_chat::Inbound, host::Prepared, outbound::Outbound, reply::Reply,
};

use super::body::ReplyBody;
use crate::{caller::CallerContext, config::Limits, gateway::Gateway};

/// Answers one chat request.
///
/// # Cancel safety
/// Dropping the future closes the backend and settles the call as given up.
pub(super) async fn answer(
    gateway: &Gateway,
    context: &CallerContext,
    id: &str,
    body: Incoming,
) -> Result<Response<ReplyBody>, WireError> {
    let body = read(body, &gateway.limits).await?;
    let call = prepare(gateway, context, id, body)?;
    let streaming = call.streaming;
    let mut exchange = gateway.engine.start(&call.target, call.outbound, call.reply, call.meter).await?;
    context.bound(exchange.due());
    // Of no use here, and they keep a read buffer.
    drop(exchange.take_headers());
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

/// A call that is ready to be sent.
struct Call {
    target: Arc<Target>,
    outbound: Outbound,
    reply: Box<dyn Reply<Item = Bytes>>,
    meter: Meter,
    streaming: bool,
}

/// From the request body to what is sent. The body is let go of: a long stream must not keep what the caller sent twice.
fn prepare(gateway: &Gateway, context: &CallerContext, id: &str, body: Bytes) -> Result<Call, WireError> {
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
    match prepared {
        Ok((target, Prepared { outbound, plan })) => {
            let reply = plan.openai_chat(id, unix_seconds());
            Ok(Call { target, outbound, reply, meter, streaming: inbound.stream })
        }
        Err(error) => {
            meter.status(error.status());
            meter.failed(&error);
            Err(error)
        }
    }
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
