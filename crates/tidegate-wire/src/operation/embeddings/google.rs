//! Google's embeddings: batches on AI Studio; on Vertex AI `predict`, and for the newest models one text at a time.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Vectors, Wanted, parsed, unsupported};
use crate::WireError;

/// `batchEmbedContents`.
pub(in crate::operation) fn encode_batch(
    wanted: &Wanted<'_>,
    model: &str,
    host: &'static str,
) -> Result<Bytes, WireError> {
    wanted.refuse(host, &["truncate"])?;
    let task = task(wanted, host)?;
    let one = |text: &str| {
        let mut request = content(wanted, &task, text);
        request.insert("model".to_owned(), format!("models/{model}").into());
        Value::Object(request)
    };
    let requests: Vec<Value> = wanted.texts.iter().map(|text| one(text)).collect();
    Ok(json!({ "requests": requests }).to_string().into())
}

/// `embedContent`.
pub(in crate::operation) fn encode_one(wanted: &Wanted<'_>, host: &'static str) -> Result<Bytes, WireError> {
    wanted.refuse(host, &["truncate"])?;
    let task = task(wanted, host)?;
    Ok(Value::Object(content(wanted, &task, wanted.only_text(host)?)).to_string().into())
}

/// Vertex AI's `predict`.
pub(in crate::operation) fn encode_predict(
    wanted: &Wanted<'_>,
    host: &'static str,
) -> Result<Bytes, WireError> {
    wanted.refuse(host, &["truncate"])?;
    let task = task(wanted, host)?;
    let instance = |text: &str| match &task {
        Some(task) => json!({ "content": text, "task_type": task }),
        None => json!({ "content": text }),
    };
    let instances: Vec<Value> = wanted.texts.iter().map(|text| instance(text)).collect();
    let body = match wanted.dimensions {
        Some(length) => json!({ "instances": instances, "parameters": { "outputDimensionality": length } }),
        None => json!({ "instances": instances }),
    };
    Ok(body.to_string().into())
}

fn content(wanted: &Wanted<'_>, task: &Option<String>, text: &str) -> serde_json::Map<String, Value> {
    let mut fields = serde_json::Map::new();
    fields.insert("content".to_owned(), json!({ "parts": [{ "text": text }] }));
    fields.extend(task.iter().map(|task| ("taskType".to_owned(), task.clone().into())));
    fields.extend(wanted.dimensions.map(|length| ("outputDimensionality".to_owned(), length.into())));
    fields
}

/// Google's word for what the vectors are for; Cohere's have one each.
fn task(wanted: &Wanted<'_>, host: &'static str) -> Result<Option<String>, WireError> {
    if let Some(task) = &wanted.task_type {
        return Ok(Some(task.clone().into_owned()));
    }
    let Some(kind) = wanted.input_type.as_deref() else { return Ok(None) };
    let task = TASKS.iter().find(|(theirs, _)| *theirs == kind).map(|(_, task)| (*task).to_owned());
    task.map(Some)
        .ok_or_else(|| unsupported("input_type", host, "it has no task of this kind; give `task_type`"))
}

const TASKS: [(&str, &str); 4] = [
    ("search_document", "RETRIEVAL_DOCUMENT"),
    ("search_query", "RETRIEVAL_QUERY"),
    ("classification", "CLASSIFICATION"),
    ("clustering", "CLUSTERING"),
];

/// A reply of `batchEmbedContents`.
pub(in crate::operation) fn decode_batch(body: &[u8]) -> Result<Vectors<'_>, WireError> {
    let reply: Batch<'_> = parsed(body)?;
    Ok(Vectors {
        vectors: reply.embeddings.iter().map(|embedding| embedding.values).collect(),
        prompt_tokens: reply.usage.and_then(|usage| usage.prompt),
        ..Vectors::default()
    })
}

/// A reply of `embedContent`.
pub(in crate::operation) fn decode_one(body: &[u8]) -> Result<Vectors<'_>, WireError> {
    let reply: One<'_> = parsed(body)?;
    let prompt_tokens = reply.usage.and_then(|usage| usage.prompt);
    Ok(Vectors { vectors: vec![reply.embedding.values], prompt_tokens, ..Vectors::default() })
}

/// A reply of `predict`, which counts each text.
pub(in crate::operation) fn decode_predictions(body: &[u8]) -> Result<Vectors<'_>, WireError> {
    let reply: Predictions<'_> = parsed(body)?;
    let counts = reply.predictions.iter().map(|prediction| {
        let count = prediction.embeddings.statistics.as_ref()?.token_count?;
        // Counts of some models are written with a decimal point.
        (count >= 0.0).then_some(count as u64)
    });
    let prompt_tokens = counts.sum::<Option<u64>>();
    let vectors = reply.predictions.iter().map(|prediction| prediction.embeddings.values).collect();
    Ok(Vectors { vectors, prompt_tokens, ..Vectors::default() })
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    embeddings: Vec<Values<'a>>,
    #[serde(rename = "usageMetadata")]
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct One<'a> {
    #[serde(borrow)]
    embedding: Values<'a>,
    #[serde(rename = "usageMetadata")]
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(rename = "promptTokenCount")]
    prompt: Option<u64>,
}

#[derive(Deserialize)]
struct Predictions<'a> {
    #[serde(borrow)]
    predictions: Vec<Prediction<'a>>,
}

#[derive(Deserialize)]
struct Prediction<'a> {
    #[serde(borrow)]
    embeddings: Values<'a>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Statistics {
    token_count: Option<f64>,
}
