//! Errors and small replies as HTTP: the one file that knows which status and headers they get.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header};
use tidegate_wire::{ErrorClass, WireError, client::ClientDialect};

use super::body::ReplyBody;

/// Puts the call's id into a reply: under our name, and under the one that the caller's clients show.
pub(crate) fn name(response: &mut Response<ReplyBody>, client: ClientDialect, call_id: &str) {
    let theirs = match client {
        // Google's clients show none; its servers' is of this name where there is one.
        ClientDialect::OpenaiChat | ClientDialect::OpenaiResponses | ClientDialect::Gemini(_) => {
            "x-request-id"
        }
        ClientDialect::AnthropicMessages => "request-id",
        ClientDialect::BedrockConverse => "x-amzn-requestid",
    };
    if let Ok(id) = HeaderValue::try_from(call_id) {
        // One that the backend gave to a reply that is passed on is the backend's to explain.
        response.headers_mut().entry(theirs).or_insert_with(|| id.clone());
        response.headers_mut().insert("x-tidegate-call-id", id);
    }
}

/// An error in the caller's JSON shape.
pub(crate) fn error(client: ClientDialect, error: &WireError) -> Response<ReplyBody> {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, client.encode_error(error));
    let headers = response.headers_mut();
    headers.extend(client.error_header(error));
    headers.extend(client.reply_headers(error.upstream_headers(), SystemTime::now()));
    if let Some(wait) = error.retry_after() {
        // Whole seconds, rounded up: zero would mean "at once" to most clients.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    match error.class() {
        ErrorClass::Unauthorized => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // Clients retry 429 and 5xx by themselves; for an exhausted quota that is of no use.
        ErrorClass::QuotaExceeded => {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        _ => {}
    }
    response
}

/// A path that exists, with a method that it doesn't take.
pub(crate) fn wrong_method(client: ClientDialect, allowed: &str) -> Response<ReplyBody> {
    let wrong =
        WireError::bad_request(format!("this path takes {allowed} only")).with_code("method_not_allowed");
    let mut response = error(client, &wrong);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// A path at which only another protocol is spoken. The fields that say so are HTTP/1.1's.
pub(crate) fn upgrade_required(
    client: ClientDialect,
    wrong: &WireError,
    version: Version,
) -> Response<ReplyBody> {
    let mut response = error(client, wrong);
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    let headers = response.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    if version < Version::HTTP_2 {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    response
}

/// A JSON reply.
pub(crate) fn json(status: StatusCode, body: Bytes) -> Response<ReplyBody> {
    with_type(status, "application/json", body)
}

/// A plain text reply.
pub(crate) fn text(status: StatusCode, body: &'static str) -> Response<ReplyBody> {
    with_type(status, "text/plain; charset=utf-8", Bytes::from_static(body.as_bytes()))
}

/// Metrics in the Prometheus text format.
pub(crate) fn metrics(body: String) -> Response<ReplyBody> {
    with_type(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", body.into())
}

fn with_type(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
