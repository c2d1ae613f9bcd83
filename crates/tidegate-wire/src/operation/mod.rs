//! What callers use besides chat: embeddings, reranking, speech, images, files and so on, and whatever else a host has.
//!
//! An [`Operation`] is a row of a table: its name, its path, whether it names a model. A [`Request`] for one becomes a
//! backend's in `prepare.rs`: translated where this crate knows the host's own form (embeddings, rerank), relayed to hosts
//! that have it in the caller's, refused by name everywhere else. Generating text is none of these ([`crate::client`]).
//! Called by the gateway; opens no connection.

mod embeddings;
mod multipart;
mod pass_through;
mod prepare;
mod request;
mod rerank;
#[cfg(test)]
mod tests;

use http::Method;

pub use pass_through::{PASS_THROUGH, passed_headers, returned_headers};
pub use prepare::PreparedOperation;
pub use request::{Asked, Request};

/// Something that a backend does besides chat.
#[derive(Debug)]
pub struct Operation {
    /// As in records and errors: `embeddings`.
    pub name: &'static str,
    /// Below the API's root, as OpenAI and those who follow it have it: `audio/speech`. What follows a slash behind a
    /// resource's belongs to it.
    path: &'static str,
    /// The methods that it takes.
    pub methods: &'static [Method],
    /// Whether a model does it.
    pub model: Model,
    form: Form,
}

/// Whether a model does an operation, and so decides the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Its request names one.
    Required,
    /// Its request may name one.
    Optional,
    /// None: the caller or the configuration names the host.
    None,
}

/// How an operation gets to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// In the hub's types where the host's form is another.
    Embeddings,
    /// The same.
    Rerank,
    /// As it is.
    Relayed,
    /// As it is, and below the path's first segment.
    PassThrough,
}

/// What a path asks for.
#[derive(Clone, Copy, Debug)]
pub struct Found<'p> {
    /// The row.
    pub operation: &'static Operation,
    /// Below the API's root.
    pub path: &'p str,
    /// The deployment that a path of Azure's names, as it is spelled there.
    pub deployment: Option<&'p str>,
}

/// The operation at a caller's path: under `/v1/`, as Azure's clients call it, or without either. Cohere's are under `/v2/`.
pub fn find(path: &str) -> Option<Found<'_>> {
    let found = |path| {
        let operation = OPERATIONS.iter().find(|operation| operation.is_at(path))?;
        Some(Found { operation, path, deployment: None })
    };
    if let Some(rest) = path.strip_prefix("/openai/deployments/") {
        return OPERATIONS.iter().find_map(|operation| {
            let deployment = rest.strip_suffix(operation.path)?.strip_suffix('/')?;
            let named = !deployment.is_empty()
                && !deployment.starts_with('/')
                && operation.model != Model::None
                && !operation.is_resource();
            named.then_some(Found { operation, path: operation.path, deployment: Some(deployment) })
        });
    }
    if let Some(rest) = path.strip_prefix("/v2/") {
        return found(rest).filter(|found| matches!(found.path, "rerank" | "embed"));
    }
    let rest = ["/openai/v1/", "/openai/", "/v1/", "/"].iter().find_map(|root| path.strip_prefix(root))?;
    found(rest)
}

impl Operation {
    fn is_at(&self, path: &str) -> bool {
        match path.strip_prefix(self.path) {
            Some("") => self.name != ONE_MODEL,
            Some(rest) => self.is_resource() && rest.starts_with('/') && rest != "/",
            None => false,
        }
    }

    /// Whether it has paths below its own.
    fn is_resource(&self) -> bool {
        self.methods != POST
    }

    /// Whether its replies come back as they are, with all that a backend says in their heads.
    pub fn is_verbatim(&self) -> bool {
        self.form == Form::PassThrough
    }

    /// Whether the tokens of a request may be guessed from its length: they are text.
    pub fn is_text(&self) -> bool {
        matches!(self.name, "embeddings" | "embed" | "rerank" | "moderations" | "speech")
    }
}

const fn by_model(name: &'static str, path: &'static str) -> Operation {
    Operation { name, path, methods: POST, model: Model::Required, form: Form::Relayed }
}

/// Things that a host keeps for its account, each with an id.
const fn kept(name: &'static str) -> Operation {
    Operation { name, path: name, methods: RESOURCE, model: Model::None, form: Form::Relayed }
}

const POST: &[Method] = &[Method::POST];
const RESOURCE: &[Method] = &[Method::GET, Method::POST, Method::DELETE];
const ONE_MODEL: &str = "model";

/// All of them.
pub static OPERATIONS: [Operation; 17] = [
    Operation { form: Form::Embeddings, ..by_model("embeddings", "embeddings") },
    // Cohere's own form.
    by_model("embed", "embed"),
    Operation { form: Form::Rerank, ..by_model("rerank", "rerank") },
    Operation { model: Model::Optional, ..by_model("moderations", "moderations") },
    by_model("speech", "audio/speech"),
    by_model("transcriptions", "audio/transcriptions"),
    by_model("translations", "audio/translations"),
    Operation { model: Model::Optional, ..by_model("images_generations", "images/generations") },
    Operation { model: Model::Optional, ..by_model("images_edits", "images/edits") },
    Operation { model: Model::Optional, ..by_model("images_variations", "images/variations") },
    Operation { methods: &[Method::GET], ..by_model(ONE_MODEL, "models") },
    kept("files"),
    kept("uploads"),
    kept("batches"),
    kept("vector_stores"),
    kept("fine_tuning"),
    kept("containers"),
];
