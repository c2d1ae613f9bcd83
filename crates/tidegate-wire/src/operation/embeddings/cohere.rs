//! Cohere's embeddings, v2; on Bedrock the same but for the model and what old models don't know.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{Text, Vectors, Wanted, parsed};
use crate::WireError;

/// A request. `model`: where the body names it.
pub(in crate::operation) fn encode(
    wanted: &Wanted<'_>,
    model: Option<&str>,
    host: &'static str,
) -> Result<Bytes, WireError> {
    wanted.refuse(host, &["task_type"])?;
    let mut body = json!({
        // Wanted by every model but the oldest.
        "input_type": wanted.input_type.as_deref().unwrap_or("search_document"),
        "embedding_types": ["float"],
        "texts": wanted.texts,
    });
    if let Some(fields) = body.as_object_mut() {
        fields.extend(model.map(|model| ("model".to_owned(), model.into())));
        fields.extend(wanted.dimensions.map(|length| ("output_dimension".to_owned(), length.into())));
        fields.extend(wanted.truncate.as_deref().map(|truncate| ("truncate".to_owned(), truncate.into())));
    }
    Ok(body.to_string().into())
}

/// A reply. Its vectors are listed by type, or, by models on Bedrock that were not asked for types, alone.
pub(in crate::operation) fn decode(body: &[u8]) -> Result<Vectors<'_>, WireError> {
    let reply: Reply<'_> = parsed(body)?;
    let vectors = match reply.embeddings.get().starts_with('{') {
        true => parsed::<ByType<'_>>(reply.embeddings.get().as_bytes())?.float,
        false => parsed(reply.embeddings.get().as_bytes())?,
    };
    let billed = reply.meta.and_then(|meta| meta.billed_units).and_then(|units| units.input_tokens);
    // Counted with a decimal point by some versions.
    let prompt_tokens = billed.filter(|count| *count >= 0.0).map(|count| count as u64);
    Ok(Vectors { vectors, prompt_tokens, id: reply.id.map(|id| id.0) })
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    embeddings: &'a RawValue,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct ByType<'a> {
    #[serde(borrow)]
    float: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Meta {
    billed_units: Option<Units>,
}

#[derive(Deserialize)]
struct Units {
    input_tokens: Option<f64>,
}
