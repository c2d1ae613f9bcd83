//! Embeddings by Bedrock's InvokeModel: each vendor's own form.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{Vectors, Wanted, cohere, parsed};
use crate::WireError;

/// Whose form a model's request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operation) enum Family {
    /// Amazon Titan; only from version 2 on the length of a vector can be chosen.
    Titan { chooses_length: bool },
    /// Amazon Nova (recorded: `amazon.nova-2-multimodal-embeddings-v1:0`).
    Nova,
    /// Cohere Embed.
    Cohere,
}

impl Family {
    /// By the model's id, which may stand in a profile's or an ARN. `None`: not known to embed.
    pub(in crate::operation) fn of(model: &str) -> Option<Self> {
        if model.contains("titan-embed") {
            return Some(Self::Titan { chooses_length: model.contains("titan-embed-text-v2") });
        }
        if model.contains("nova") && model.contains("embeddings") {
            return Some(Self::Nova);
        }
        model.contains("cohere.embed").then_some(Self::Cohere)
    }

    pub(in crate::operation) fn encode(
        self,
        wanted: &Wanted<'_>,
        host: &'static str,
    ) -> Result<Bytes, WireError> {
        match self {
            Self::Cohere => cohere::encode(wanted, None, host),
            Self::Titan { chooses_length } => {
                wanted.refuse(host, &["input_type", "task_type", "truncate"])?;
                if !chooses_length {
                    wanted.refuse(host, &["dimensions"])?;
                }
                let text = wanted.only_text(host)?;
                let body = match wanted.dimensions {
                    Some(length) => json!({ "inputText": text, "dimensions": length }),
                    None => json!({ "inputText": text }),
                };
                Ok(body.to_string().into())
            }
            Self::Nova => {
                wanted.refuse(host, &["input_type", "task_type"])?;
                let truncation = wanted.truncate.as_deref().unwrap_or("END");
                let text = wanted.only_text(host)?;
                let mut parameters = json!({
                    "embeddingPurpose": "GENERIC_INDEX",
                    "text": { "truncationMode": truncation, "value": text },
                });
                if let (Some(length), Some(fields)) = (wanted.dimensions, parameters.as_object_mut()) {
                    fields.insert("embeddingDimension".to_owned(), length.into());
                }
                let body = json!({ "taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": parameters });
                Ok(body.to_string().into())
            }
        }
    }

    pub(in crate::operation) fn decode(self, body: &[u8]) -> Result<Vectors<'_>, WireError> {
        match self {
            Self::Cohere => cohere::decode(body),
            Self::Titan { .. } => {
                let reply: Titan<'_> = parsed(body)?;
                let prompt_tokens = reply.input_text_token_count;
                Ok(Vectors { vectors: vec![reply.embedding], prompt_tokens, ..Vectors::default() })
            }
            Self::Nova => {
                let reply: Nova<'_> = parsed(body)?;
                let vectors = reply.embeddings.iter().map(|embedding| embedding.embedding).collect();
                Ok(Vectors { vectors, ..Vectors::default() })
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Titan<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
    input_text_token_count: Option<u64>,
}

#[derive(Deserialize)]
struct Nova<'a> {
    #[serde(borrow)]
    embeddings: Vec<NovaVector<'a>>,
}

#[derive(Deserialize)]
struct NovaVector<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
}
