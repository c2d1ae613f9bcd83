//! The simulator's own URLs: `GET /_sim/calls[?tag=T]` lists what was seen, `DELETE /_sim/calls` forgets it, and
//! `GET /_sim/running` counts the calls under way.

use http::Method;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::journal::Journal;
use crate::plan::Head;

pub(crate) fn answer(parts: &Parts, journal: &Journal) -> (Head, String) {
    let head = |status| Head::new(status, "application/json");
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/_sim/calls") => {
            let tag = tag(parts.uri.query().unwrap_or_default());
            let seen = journal.observations(tag.as_deref());
            match serde_json::to_string(&seen) {
                Ok(json) => (head(200), json),
                Err(error) => (head(500), serde_json::json!({ "error": error.to_string() }).to_string()),
            }
        }
        (&Method::DELETE, "/_sim/calls") => {
            journal.clear();
            (head(200), "[]".to_owned())
        }
        (&Method::GET, "/_sim/running") => (head(200), format!(r#"{{"running":{}}}"#, journal.running())),
        _ => (head(404), r#"{"error":"no such simulator URL"}"#.to_owned()),
    }
}

fn tag(query: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(name, _)| *name == "tag")
        .map(|(_, tag)| percent_decode_str(tag).decode_utf8_lossy().into_owned())
}
