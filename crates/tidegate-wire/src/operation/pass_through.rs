//! Pass-through: a request goes to a host as it is, and its reply comes back as it is. What is left out of both is said here.

use http::{HeaderMap, HeaderName, Method, Uri, header};
use percent_encoding::percent_decode;

use super::{Form, Model, Operation};
use crate::{ErrorClass, WireError};

/// Whatever a host's API has, below the host's name.
pub static PASS_THROUGH: Operation = Operation {
    name: "pass_through",
    path: "",
    methods: &[Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE],
    model: Model::None,
    form: Form::PassThrough,
};

/// Of a caller's header fields those that go on: not its credentials, nor what belongs to its connection or to the way to us.
pub fn passed_headers(all: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for (name, value) in all {
        let left_out = is_hop_by_hop(all, name)
            || CREDENTIALS.contains(&name.as_str())
            || OF_THE_WAY.contains(&name.as_str())
            || LEFT_OUT.iter().any(|start| name.as_str().starts_with(start));
        if !left_out {
            passed.append(name, value.clone());
        }
    }
    passed
}

/// Of a backend's header fields those that the caller gets of a reply that is passed on: of an operation what tells of its content;
/// of a host that is passed through to all but those of the connection, what its origin says of itself, and cookies, which are
/// ours. Never the length: the reply's end tells it, so that it is known whether there was one.
pub fn returned_headers(all: &HeaderMap, verbatim: bool) -> HeaderMap {
    let mut returned = HeaderMap::new();
    for (name, value) in all {
        let given = match verbatim {
            true => !is_hop_by_hop(all, name) && !OF_THE_ORIGIN.contains(&name.as_str()),
            false => OF_THE_CONTENT.contains(&name.as_str()),
        };
        if given {
            returned.append(name, value.clone());
        }
    }
    returned
}

fn is_hop_by_hop(all: &HeaderMap, name: &HeaderName) -> bool {
    let named = all.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut named = named.flat_map(|value| value.split(',')).map(str::trim);
    HOP_BY_HOP.contains(&name.as_str()) || named.any(|token| token.eq_ignore_ascii_case(name.as_str()))
}

/// The URL of `path` at a host. Where the path begins as the base URL ends (`/v1`), that is there once.
///
/// # Errors
/// [`ErrorClass::BadRequest`]: the path leads out of the base URL, or could to somebody who decodes it once more.
pub(super) fn url(base: &str, path: &str, query: Option<&str>) -> Result<String, WireError> {
    if !stays_inside(path) {
        return Err(
            WireError::bad_request("The path has steps that lead out of it.").with_code("invalid_path")
        );
    }
    let parsed: Uri = base
        .parse()
        .map_err(|_| WireError::new(ErrorClass::Internal, "the host's base URL does not make a URL"))?;
    let own: Vec<&str> = parsed.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let asked: Vec<&str> = path.split('/').collect();
    let shared = (0..=own.len().min(asked.len()))
        .rev()
        .find(|length| own.get(own.len() - length..) == asked.get(..*length))
        .unwrap_or(0);
    let rest = asked.get(shared..).unwrap_or_default().join("/");
    let slash = if rest.is_empty() { "" } else { "/" };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!("{}{slash}{rest}{query}", base.trim_end_matches('/')))
}

/// Whether no step of the path goes up, however often it is decoded and whatever slash somebody takes for one.
pub(super) fn stays_inside(path: &str) -> bool {
    let mut text = path.as_bytes().to_vec();
    for _ in 0..MAX_DECODED {
        let goes_up = text.split(|byte| matches!(byte, b'/' | b'\\')).any(|step| {
            // Some servers take what follows a semicolon for a parameter.
            let step = step.split(|byte| *byte == b';').next().unwrap_or_default();
            matches!(step, b"." | b"..")
        });
        if goes_up || text.iter().any(|byte| byte.is_ascii_control()) {
            return false;
        }
        let decoded: Vec<u8> = percent_decode(&text).collect();
        if decoded == text {
            return true;
        }
        text = decoded;
    }
    false
}

/// Encoded more often than this, a path means no good.
const MAX_DECODED: usize = 4;
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// How the names of others begin: of the way to us, of a signature, of ours, of an upgrade, where browsers put a key.
const LEFT_OUT: [&str; 4] = ["x-forwarded-", "x-amz-", "x-tidegate-", "sec-websocket-"];
/// What a caller shows to us.
const CREDENTIALS: [&str; 6] =
    ["authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie", "ocp-apim-subscription-key"];
/// A reply in a coding that was asked for could not be looked at; the rest is the engine's to say.
const OF_THE_WAY: [&str; 7] =
    ["host", "content-length", "accept-encoding", "expect", "forwarded", "via", "x-real-ip"];
/// What would be taken for the gateway's own, and the length.
const OF_THE_ORIGIN: [&str; 4] = ["set-cookie", "strict-transport-security", "alt-svc", "content-length"];
const OF_THE_CONTENT: [&str; 7] = [
    "content-type",
    "content-disposition",
    "content-encoding",
    "content-range",
    "accept-ranges",
    "etag",
    "last-modified",
];
