//! Reranking: Cohere's form for the caller, which Jina's and vLLM's servers share; on Bedrock that of InvokeModel.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    WireError,
    client::each_field,
    dialect::{any_usage::Account, api::Api},
    reply::{Document, Progress},
};

/// A request for Bedrock's InvokeModel (recorded: `cohere.rerank-v3-5:0`).
///
/// # Errors
/// A field is missing, of the wrong type, or has no place there.
pub(super) fn encode_bedrock(body: &str, model: &str, host: &'static str) -> Result<Bytes, WireError> {
    let mut fields = Vec::new();
    each_field(body, |key, value| {
        fields.push((key, value));
        Ok(())
    })?;
    let mut out = serde_json::Map::new();
    for (key, value) in fields.iter().filter(|(_, value)| value.get() != "null") {
        match &**key {
            "query" | "top_n" => drop(out.insert(key.clone().into_owned(), read(key, value.get())?)),
            "documents" => drop(out.insert("documents".to_owned(), documents(value.get(), host)?)),
            "model" => {}
            other => return Err(Api(host).unsupported(other, "it has no such field")),
        }
    }
    for name in ["query", "documents"] {
        if !out.contains_key(name) {
            let message = format!("Missing required parameter: '{name}'.");
            return Err(WireError::bad_request(message).with_param(name));
        }
    }
    if model.contains("cohere") {
        out.insert("api_version".to_owned(), 2.into());
    }
    Ok(Value::Object(out).to_string().into())
}

/// Bedrock's reply, in Cohere's form; `id` is the call's.
///
/// # Errors
/// It has no results.
pub(super) fn decode_bedrock(body: &[u8], id: &str) -> Result<Document, WireError> {
    let reply: Value = parsed(body)?;
    let results = reply.get("results").filter(|results| results.is_array());
    let results = results.ok_or_else(no_results)?;
    let body = json!({ "id": id, "results": results, "meta": { "api_version": { "version": "2" } } });
    Ok(Document { body: body.to_string().into(), ..Document::default() })
}

/// Looks through a reply that is relayed.
///
/// # Errors
/// It has no results.
pub(super) fn read_relayed(body: Bytes) -> Result<Document, WireError> {
    let reply: Value = parsed(&body)?;
    // Voyage and its kin call the list `data`.
    if !["results", "data"].iter().any(|name| reply.get(name).is_some_and(Value::is_array)) {
        return Err(no_results());
    }
    let (mut account, mut seen) = (Account::default(), Progress::default());
    account.read(&reply);
    account.enter(&mut seen);
    Ok(Document { body, usage: seen.usage, model: seen.served_model, id: seen.upstream_id })
}

/// Texts, of which each may be the `text` of an object.
fn documents(raw: &str, host: &'static str) -> Result<Value, WireError> {
    let Value::Array(documents) = read("documents", raw)? else {
        return Err(WireError::bad_request("`documents` is no array").with_param("documents"));
    };
    let texts: Option<Vec<Value>> = documents
        .into_iter()
        .map(|document| match document {
            Value::String(_) => Some(document),
            Value::Object(fields) if fields.len() == 1 => {
                fields.get("text").filter(|text| text.is_string()).cloned()
            }
            _ => None,
        })
        .collect();
    texts.map(Value::Array).ok_or_else(|| Api(host).unsupported("documents", "documents are texts there"))
}

fn read(name: &str, raw: &str) -> Result<Value, WireError> {
    serde_json::from_str(raw)
        .map_err(|_| WireError::bad_request(format!("`{name}` can't be read")).with_param(name))
}

fn parsed(body: &[u8]) -> Result<Value, WireError> {
    serde_json::from_slice(body).map_err(|error| match error.is_eof() {
        true => WireError::truncated("the backend's reply ended before it was complete"),
        false => WireError::protocol("the backend's reply is not JSON"),
    })
}

fn no_results() -> WireError {
    WireError::protocol("the backend's reply has no results")
}
