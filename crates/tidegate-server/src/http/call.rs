//! One call of a model, from the request body to the reply, whatever its caller speaks.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tidegate_config::Limits;
use tidegate_engine::{Exchange, Fetched, Fetcher, Meter, Target};
use tidegate_wire::{
    ErrorClass, WireError,
    auth::Signed,
    client::{ClientDialect, Inbound, Outside, is_of_use},
    dialect::openai_responses::kept,
    host::Prepared,
    hub::{ChatRequest, Source},
    operation::{self, Asked, PreparedOperation},
    outbound::Outbound,
    reply::Reply,
};

use super::{
    body::ReplyBody,
    route::{self, Route},
    surface::KeptResponse,
};
use crate::{caller::CallerContext, gateway::Gateway};

/// Answers one request. One that is `signed` is answered if the gateway's key made the signature.
///
/// # Cancel safety
/// Dropping the future closes the backend and settles the call as given up. A response that a host keeps goes on, if it runs in the
/// background.
pub(super) async fn answer(
    gateway: &Gateway,
    context: &CallerContext,
    id: &str,
    route: Route,
    asked: route::Call,
    signed: Option<Box<Signed>>,
    body: Incoming,
) -> Result<Response<ReplyBody>, WireError> {
    let recorder = Arc::clone(&gateway.recorder);
    let mut meter = Meter::start(id.to_owned(), context.hang_up.clone(), recorder);
    route.name(&mut meter);
    let body = match read(body, &gateway.limits).await {
        Ok(body) => body,
        // The meter settles as given up. Where the caller left its reading side open, it is told.
        Err(Unread::CutShort(error)) => return Err(error),
        Err(Unread::Refused(error)) => {
            meter.refused(&error);
            return Err(error);
        }
    };
    if let Some((signed, key)) = signed.zip(gateway.master_key.as_ref())
        && let Err(error) = signed.verify(&body, key)
    {
        meter.refused(&error);
        return Err(error);
    }
    let call = match asked {
        route::Call::Model(outside) => prepare(gateway, id, outside, body, meter).await?,
        route::Call::Kept(asked) => prepare_kept(gateway, id, &asked, meter)?,
        route::Call::Operation(asked) => prepare_operation(gateway, id, *asked, body, meter)?,
    };
    let (form, client, dropped) = (call.form, call.client, call.dropped);
    let mut exchange = gateway.engine.start(&call.target, call.outbound, call.reply, call.meter).await?;
    context.bound(exchange.due());
    if let Form::Passed { verbatim } = form {
        return Ok(passed(exchange, verbatim, context));
    }
    let now = SystemTime::now();
    // All of them would keep a read buffer.
    let told = client.reply_headers(&exchange.take_headers().pick(is_of_use), now);
    let head = Head { told, dropped };
    if form == Form::Stream {
        if let Some(meter) = exchange.meter() {
            meter.status(StatusCode::OK.as_u16());
        }
        let body = ReplyBody::stream(
            exchange,
            context.clone(),
            gateway.heartbeat.map(|every| (every, client.heartbeat())),
        );
        return Ok(with_head(body, client.stream_type(), head));
    }
    let whole = match exchange.next().await {
        Some(Ok(whole)) => whole,
        Some(Err(error)) => {
            // Why is noted already.
            if let Some(meter) = exchange.meter() {
                meter.status(error.status());
            }
            return Err(error);
        }
        None => {
            let error = WireError::protocol("the backend's reply is empty");
            if let Some(meter) = exchange.meter() {
                meter.refused(&error);
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
    Ok(with_head(body, WHOLE_TYPE, head))
}

const WHOLE_TYPE: &str = "application/json";

/// A call that is ready to be sent.
struct Call {
    target: Arc<Target>,
    outbound: Outbound,
    reply: Box<dyn Reply<Item = Bytes>>,
    meter: Meter,
    form: Form,
    client: ClientDialect,
    /// Parameters that were left out.
    dropped: Vec<String>,
}

/// What the caller gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One JSON document.
    Whole,
    /// A stream in the caller's dialect, with its signs of life.
    Stream,
    /// What the backend says, as it comes.
    Passed { verbatim: bool },
}

/// From the request body to what is sent. The body is let go of: a long stream must not keep what the caller sent twice.
async fn prepare(
    gateway: &Gateway,
    id: &str,
    outside: Outside,
    body: Bytes,
    mut meter: Meter,
) -> Result<Call, WireError> {
    let client = outside.client;
    let prepared = async {
        let inbound = Inbound::read(outside, body)?;
        meter.asked(inbound.model.clone(), inbound.stream);
        let (target, model) = gateway.targets.resolve(&inbound.model)?;
        let prepared = match &gateway.fetcher {
            Some(fetcher) if target.endpoint.takes_bytes_alone(&inbound, model) => {
                // Boxed: what few calls go through must not make every call's future large.
                let request = Box::pin(with_media(fetcher, inbound.decode()?, gateway.limits.body)).await?;
                target.endpoint.prepare_decoded(&inbound, &request, model)?
            }
            _ => target.endpoint.prepare(&inbound, model)?,
        };
        Ok((Arc::clone(target), prepared, inbound.stream))
    };
    match prepared.await {
        Ok((target, Prepared { outbound, plan, dropped }, streaming)) => {
            let reply = plan.reply(id, unix_seconds());
            let form = if streaming { Form::Stream } else { Form::Whole };
            Ok(Call { target, outbound, reply, meter, form, client, dropped })
        }
        Err(error) => {
            meter.refused(&error);
            Err(error)
        }
    }
}

/// The same for what is asked about a response that a host keeps. Clients send an empty body at most.
fn prepare_kept(
    gateway: &Gateway,
    id: &str,
    asked: &KeptResponse,
    mut meter: Meter,
) -> Result<Call, WireError> {
    let prepared = keeper(gateway, &asked.id).and_then(|(host, target, own)| {
        let prepared = target.endpoint.prepare_kept(asked.operation, own, asked.query.as_deref())?;
        meter.asked(format!("{host}/responses"), prepared.plan.streaming);
        Ok((Arc::clone(target), prepared))
    });
    match prepared {
        Ok((target, Prepared { outbound, plan, dropped })) => {
            let reply = plan.reply(id, unix_seconds());
            let form = if plan.streaming { Form::Stream } else { Form::Whole };
            Ok(Call { target, outbound, reply, meter, form, client: plan.client, dropped })
        }
        Err(error) => {
            meter.refused(&error);
            Err(error)
        }
    }
}

/// The host that keeps a response: its name, itself, and its own id of the response. An id that names none is the only host's that
/// has the Responses API, if there is one only.
fn keeper<'g>(
    gateway: &'g Gateway,
    marked: &'g str,
) -> Result<(&'g str, &'g Arc<Target>, &'g str), WireError> {
    let mut hosts = gateway.targets.hosts().filter(|(_, target)| target.endpoint.has_responses());
    let named = kept::split(marked);
    let found = match &named {
        Some((name, own)) => hosts.find(|(host, _)| host == name).map(|(host, target)| (host, target, *own)),
        None => match (hosts.next(), hosts.next()) {
            (Some((host, target)), None) => Some((host, target, marked)),
            _ => None,
        },
    };
    found.ok_or_else(|| {
        let why = match named {
            Some((name, _)) => format!("there is no host {name:?} here that keeps responses"),
            None => "its id does not say which host keeps it".to_owned(),
        };
        let message = format!("the response {marked:?} is not known here: {why}");
        WireError::new(ErrorClass::NotFound, message)
            .with_param("response_id")
            .with_code("response_not_found")
    })
}

/// The same for what is asked besides chat.
fn prepare_operation(
    gateway: &Gateway,
    id: &str,
    asked: Asked,
    body: Bytes,
    mut meter: Meter,
) -> Result<Call, WireError> {
    let operation = asked.operation;
    let targets = &gateway.targets;
    let prepared = operation::Request::read(asked, body).and_then(|request| {
        let named = request.model.clone();
        meter.asked(named.clone().unwrap_or_default(), request.stream);
        let (target, model) = match &named {
            Some(name) => {
                let (target, model) = targets.resolve(name)?;
                (target, Some(model))
            }
            None => {
                let has = |target: &Arc<Target>| target.endpoint.has_operation(operation);
                (targets.host_for(request.host(), has)?, None)
            }
        };
        Ok((Arc::clone(target), target.endpoint.prepare_operation(request, model, id)?))
    });
    match prepared {
        Ok((target, PreparedOperation { outbound, reply, passes })) => {
            let verbatim = operation.is_verbatim();
            let form = if passes { Form::Passed { verbatim } } else { Form::Whole };
            let client = ClientDialect::OpenaiChat;
            Ok(Call { target, outbound, reply, meter, form, client, dropped: Vec::new() })
        }
        Err(error) => {
            meter.refused(&error);
            Err(error)
        }
    }
}

/// A reply with the backend's own status, and those of its header fields that a caller gets.
fn passed(mut exchange: Exchange<Bytes>, verbatim: bool, context: &CallerContext) -> Response<ReplyBody> {
    let status = exchange.status();
    if let Some(meter) = exchange.meter() {
        meter.status(status.as_u16());
    }
    let said = exchange.take_headers().into_map();
    let mut headers = operation::returned_headers(&said, verbatim);
    if !verbatim {
        headers.extend(ClientDialect::OpenaiChat.reply_headers(&said, SystemTime::now()));
    }
    let media = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if media.is_some_and(|media| media.starts_with(b"text/event-stream")) {
        headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    }
    let mut response = Response::new(ReplyBody::stream(exchange, context.clone(), None));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The request with the bytes of what it names by URL. One after the other: a caller can't make us call many hosts at once. Nor
/// can it make us hold more than it could have sent: together they are as small as a request body, `most` bytes.
async fn with_media(
    fetcher: &Fetcher,
    mut request: ChatRequest,
    most: usize,
) -> Result<ChatRequest, WireError> {
    let (mut documents, mut held) = (0, 0);
    for source in request.sources_mut() {
        let url = match source {
            Source::Url(url) if url.starts_with("http://") || url.starts_with("https://") => &*url,
            _ => continue,
        };
        documents += 1;
        if documents > MOST_DOCUMENTS {
            let message = format!("the request names more than {MOST_DOCUMENTS} documents by URL");
            return Err(WireError::bad_request(message).with_code("url_not_fetched"));
        }
        let Fetched { media_type, bytes } = fetcher.fetch(url).await?;
        let data = BASE64_STANDARD.encode(bytes);
        held += data.len();
        if held > most {
            let message =
                format!("what the request names by URL is larger than {most} bytes in all, in base64");
            return Err(WireError::new(ErrorClass::TooLarge, message));
        }
        *source = Source::Base64 { media_type, data };
    }
    Ok(request)
}

/// Fetched for one request. Bedrock takes 20 images and 5 documents in a message.
const MOST_DOCUMENTS: usize = 200;

/// What the caller is told outside the body.
struct Head {
    /// By the backend.
    told: HeaderMap,
    /// Parameters that were left out.
    dropped: Vec<String>,
}

fn with_head(body: ReplyBody, content_type: &'static str, head: Head) -> Response<ReplyBody> {
    let Head { told, dropped } = head;
    let mut response = Response::new(body);
    *response.headers_mut() = told;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if content_type != WHOLE_TYPE {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    }
    if !dropped.is_empty() {
        // A name is whatever the caller's JSON had for one.
        let names: Vec<_> = dropped.iter().map(|name| utf8_percent_encode(name, NAME).to_string()).collect();
        if let Ok(names) = HeaderValue::try_from(names.join(", ")) {
            headers.insert("x-tidegate-dropped-params", names);
        }
    }
    response
}

/// Names of parameters as a header field shows them.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-');

/// Why a request body has not been read.
enum Unread {
    /// The caller, or its stream, ended before it.
    CutShort(WireError),
    Refused(WireError),
}

/// Reads the request body, within bounds of size and time.
async fn read(body: Incoming, limits: &Limits) -> Result<Bytes, Unread> {
    let too_large = || {
        let message = format!("the request body is larger than {} bytes", limits.body);
        Unread::Refused(WireError::new(ErrorClass::TooLarge, message))
    };
    if body.size_hint().lower() > limits.body as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(limits.body_time, collect(body, limits.body)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(error)) => {
            let told = WireError::bad_request(format!("the request body broke off: {error}"));
            Err(if is_cut_short(&error) { Unread::CutShort(told) } else { Unread::Refused(told) })
        }
        Err(_) => Err(Unread::Refused(WireError::bad_request(format!(
            "the request body did not arrive within {} s",
            limits.body_time.as_secs()
        )))),
    }
}

/// Whether a body ended because its caller did, and not because it is wrong. Mostly the connection knows first and this is
/// not asked: it is for an end inside TLS, for one stream of HTTP/2, and where a FIN says nothing.
fn is_cut_short(error: &hyper::Error) -> bool {
    use std::{error::Error as _, io};
    let cause = error.source();
    let reset = cause.and_then(|cause| cause.downcast_ref::<h2::Error>());
    let failed = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || reset.is_some_and(|reset| reset.is_remote() || reset.is_io())
        || failed.is_some_and(|failed| {
            matches!(failed.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
        })
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

/// nginx and its kin buffer unless told not to.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
