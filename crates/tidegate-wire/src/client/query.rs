//! The query of a caller's request, where it goes on to a backend.

use percent_encoding::percent_decode_str;

/// A parameter of a query.
pub(crate) struct Parameter<'a> {
    /// Its name, decoded and in lower case: read as loosely as any backend may read it, since what is decided by it here must not
    /// be said to a backend in another spelling.
    pub(crate) name: String,
    /// Its value, decoded.
    pub(crate) value: String,
    /// As it came.
    pub(crate) text: &'a str,
}

impl Parameter<'_> {
    /// Whether it may go on. The version of an API is the operator's to choose, and a key is the gateway's.
    pub(crate) fn is_passed(&self) -> bool {
        self.name != "api-version" && !self.is_key()
    }

    /// Whether it is a key, which is the caller's for the gateway.
    pub(crate) fn is_key(&self) -> bool {
        KEYS.contains(&&*self.name)
    }
}

/// The parameters of a query, which is without its `?`.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = Parameter<'_>> {
    query.split('&').filter(|text| !text.is_empty()).map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Parameter { name: decoded(name).trim().to_ascii_lowercase(), value: decoded(value), text }
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// Names under which Google, Azure (of realtime sessions, and API Management) and others take a key in the query.
const KEYS: [&str; 5] = ["key", "api-key", "api_key", "access_token", "subscription-key"];
