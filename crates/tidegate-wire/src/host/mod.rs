//! Hosts: each vendor is a row of data (dialect, URL rule, auth, named quirks), and an [`Endpoint`] is a row plus what the
//! operator said about it (base URL, API version, region).
//!
//! This is where the caller's request meets a backend: [`Endpoint::prepare`] yields the request to send and the machine
//! that reads its reply. Called by `tidegate-engine`; never opens a connection and never holds a credential.

mod parts;
mod plan;
mod prepare;
mod realtime;
mod refusal;
mod responses;
mod route;
mod rows;
#[cfg(test)]
mod tests;

use http::HeaderMap;

use crate::{
    ErrorClass, WireError,
    client::{ClientDialect, Operation},
    outbound::Outbound,
};

pub(crate) use prepare::SEGMENT;
pub use responses::KeptOperation;
pub use rows::{HOSTS, row};

/// A backend as configured: a host row and the operator's facts about it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What its operator calls it; the vendor's name unless said otherwise.
    pub name: String,
    /// The vendor.
    pub host: &'static HostRow,
    /// Scheme, authority and path prefix, without a trailing slash, for example `https://api.openai.com/v1`.
    pub base_url: String,
    /// Azure's `api-version`; a dated one selects the deployments surface, an undated one or `None` the v1 surface.
    pub api_version: Option<String>,
    /// AWS region, for signing.
    pub region: Option<String>,
    /// Sent with every request.
    pub headers: HeaderMap,
    /// When the Responses API is used for calls.
    pub responses: ResponsesUse,
}

/// A vendor, as data.
#[derive(Debug)]
pub struct HostRow {
    /// Name and model prefix, for example `azure`.
    pub name: &'static str,
    /// Other names that callers know it by.
    pub aliases: &'static [&'static str],
    /// Wire format that it speaks.
    pub dialect: Dialect,
    /// How it authenticates.
    pub auth: AuthScheme,
    /// Scope of the tokens of Entra ID that it takes. `None`: it takes none.
    pub entra_scope: Option<&'static str>,
    /// Scope of the tokens of Google Cloud that it takes. `None`: it takes none.
    pub google_scope: Option<&'static str>,
    /// Base URL where the operator gives none; `{region}` and `{account}` are filled in, `{aws_domain}` with the domain of
    /// the region's partition and `{vertex_domain}` with that of the location. `None`: it must be given.
    pub default_base_url: Option<&'static str>,
    /// Environment variables that its users already have.
    pub variables: Variables,
    /// Whether closing the connection stops generation and the bill.
    pub abort_stops_billing: AbortBilling,
    /// How that is known.
    pub billing_source: BillingSource,
    /// OpenAI's name of a parameter, and the host's own. One that is given under both names is left alone.
    pub renames: &'static [(&'static str, &'static str)],
    /// OpenAI's parameters that it has not: a request with one is refused by name before it is sent.
    pub lacks: &'static [&'static str],
    /// What it has besides chat.
    pub services: Services,
    /// Of OpenAI's operations those that it has not, by name. Servers elsewhere that are called by this name are asked.
    pub lacks_operations: &'static [&'static str],
    /// Where it is said that the host has OpenAI's Responses API as well, at `/responses` beside the chat completions. `None`: it is
    /// not known to.
    pub responses: Option<&'static str>,
    /// In what it differs from its dialect.
    pub quirks: &'static [Quirk],
}

/// Environment variables by setting; the first that is set counts. Those of AWS's signing keys are the same for every host that
/// signs, and not in the table.
#[derive(Debug)]
pub struct Variables {
    /// The API key.
    pub api_key: &'static [&'static str],
    /// A token in the key's place.
    pub token: &'static [&'static str],
    /// The base URL.
    pub base_url: &'static [&'static str],
    /// Azure's `api-version`.
    pub api_version: &'static [&'static str],
    /// Region.
    pub region: &'static [&'static str],
    /// Account.
    pub account: &'static [&'static str],
}

/// Where an operator's host is, each part as given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// Replaces the row's own.
    pub base_url: Option<&'a str>,
    /// Region.
    pub region: Option<&'a str>,
    /// The account in whose name the backend is called; a project of Google's.
    pub account: Option<&'a str>,
    /// Azure's `api-version`.
    pub api_version: Option<&'a str>,
}

/// A way in which a host differs from its dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quirk {
    /// Reasoning models refuse `max_tokens`; they want it called `max_completion_tokens` (WIRE facts, Azure).
    RenamesMaxTokens,
    /// Refuses fields of messages that are not in its API: cache points (it caches by itself) and reasoning that is given back.
    RefusesForeignFields,
    /// `stream_options` is refused by dated API versions before 2024-09-01-preview (WIRE facts, Azure).
    DatesStreamOptions,
    /// A stream has usage without being asked for it, so it is not asked (WIRE facts, "Where usage arrives in a stream").
    ReportsUsageUnasked,
    /// A stream ends behind its last chunk, without `[DONE]`; callers get one.
    EndsWithoutDone,
    /// Reasoning is called `reasoning`, where others say `reasoning_content`.
    NamesReasoningShort,
    /// Some models take some requests, or all of them, on its Responses API only.
    BridgesToResponses,
    /// Has Claude by Anthropic's own API, too, inside an operation of its own.
    ServesClaude,
    /// A server of the operator's own: a key is sent if there is one, and a base URL without a path gets `/v1` where OpenAI's dialect is
    /// spoken.
    OwnServer,
}

/// In whose form a host has what callers use besides chat ([`crate::operation`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Services {
    /// OpenAI's paths below the base URL.
    OpenAi,
    /// The same below `/v1`, whatever the base URL says of it.
    OpenAiBelowV1,
    /// The same below a deployment or `/openai/v1`.
    Azure,
    /// Google AI Studio's embeddings.
    Gemini,
    /// Vertex AI's embeddings.
    Vertex,
    /// Embeddings and reranking by InvokeModel.
    Bedrock,
    /// Cohere's v2: embeddings and reranking.
    Cohere,
    /// Nothing.
    None,
}

/// Backend wire formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions.
    OpenaiChat,
    /// OpenAI's Responses API.
    OpenaiResponses,
    /// Anthropic's Messages API.
    AnthropicMessages,
    /// Bedrock Converse and ConverseStream.
    BedrockConverse,
    /// Gemini's generateContent and streamGenerateContent.
    Gemini,
    /// Cohere's chat API, version 2.
    CohereChat,
    /// Ollama's own chat API.
    Ollama,
    /// Anthropic's Messages API inside Bedrock's InvokeModel. No row's: a host of Bedrock speaks it to some callers.
    BedrockInvoke,
    /// Anthropic's Messages API inside Vertex AI's rawPredict. No row's: Vertex AI speaks it for some models.
    VertexMessages,
}

/// When a host's Responses API is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResponsesUse {
    /// For callers that speak it, where the host is known to have it; for others where a model takes their request nowhere else.
    #[default]
    Auto,
    /// For every caller.
    Always,
    /// For none.
    Never,
}

/// How a host authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthScheme {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// Azure: a key goes in `api-key`, a token in `Authorization: Bearer`.
    Azure,
    /// Anthropic: a key goes in `x-api-key`, a token in `Authorization: Bearer`.
    Anthropic,
    /// Google: a key goes in `x-goog-api-key`, a token in `Authorization: Bearer`.
    Google,
    /// AWS: SigV4 by service name, or a bearer API key.
    Aws {
        /// SigV4 service name.
        service: &'static str,
    },
}

/// Whether a close stops the bill (WIRE facts, "Cancellation and what an abort costs").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbortBilling {
    /// Generation stops soon after a close.
    Stops,
    /// Generation runs on and is billed in full.
    RunsOn,
    /// Not known.
    Unknown,
}

/// How it is known whether a close stops the bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BillingSource {
    /// The vendor says so, there.
    Documented(&'static str),
    /// Others say so, there.
    Reported(&'static str),
    /// It is not.
    Unknown,
}

/// What a call needs after a request has been prepared for a backend.
pub struct Prepared {
    /// What to send.
    pub outbound: Outbound,
    /// How to read the answer.
    pub plan: ReplyPlan,
    /// Parameters that the backend can't honour and that were left out, as the request allows. Mostly none.
    pub dropped: Vec<String>,
}

/// How a backend's reply is to be read; made by [`Endpoint::prepare`].
#[derive(Clone, Debug)]
pub struct ReplyPlan {
    /// What the caller speaks.
    pub client: ClientDialect,
    /// What it wants.
    pub operation: Operation,
    /// The backend's dialect, for this request: some hosts have two.
    pub dialect: Dialect,
    /// Whether the reply is a stream.
    pub streaming: bool,
    /// Whether the caller is to be told of a stream's usage.
    pub include_usage: bool,
    /// How many answers the caller asked for.
    pub choices: u32,
    /// The model as the caller named it, for replies whose dialect does not say.
    pub model: String,
    /// What the backend can't do and is done here.
    pub emulation: Emulation,
    /// What only replies in openai-responses have.
    pub response: ResponseFacts,
}

/// What of a request the backend can't honour and the reading of its reply makes good. Mostly nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Emulation {
    /// The answer comes as a tool call, since the backend has no form for what was asked.
    pub answer_tool: bool,
    /// Of several tool calls the first counts, since the backend can't be held to one.
    pub one_call: bool,
}

/// What a reply in openai-responses has beside the backend's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// What a translated reply repeats of its request: JSON fields, each with a comma behind it.
    pub echo: String,
    /// The host that keeps a relayed response, by its operator's name for it. `None`: it is not kept.
    pub kept_by: Option<String>,
}

impl HostRow {
    /// An endpoint of this host. `base_url` and `region` as the operator gave them.
    ///
    /// # Errors
    /// [`ErrorClass::Internal`]: the host has no default base URL, or its default needs a region, and none was given.
    pub fn endpoint(
        &'static self,
        base_url: Option<&str>,
        region: Option<&str>,
        api_version: Option<&str>,
    ) -> Result<Endpoint, WireError> {
        self.endpoint_at(Place { base_url, region, api_version, account: None })
    }

    /// The same, of all that an operator may say.
    ///
    /// # Errors
    /// As [`HostRow::endpoint`]; also if an account is needed and none was given.
    pub fn endpoint_at(&'static self, place: Place<'_>) -> Result<Endpoint, WireError> {
        let base_url = match (place.base_url, self.default_base_url) {
            (Some(given), _) => self.with_v1(given.trim_end_matches('/')),
            (None, Some(default)) => self.filled(default, place)?,
            (None, None) => return Err(self.misconfigured("needs a base URL")),
        };
        Ok(Endpoint {
            name: self.name.to_owned(),
            host: self,
            base_url: base_url.trim_end_matches('/').to_owned(),
            api_version: place.api_version.map(str::to_owned),
            region: place.region.map(str::to_owned),
            headers: HeaderMap::new(),
            responses: ResponsesUse::Auto,
        })
    }

    /// The default base URL with its parts filled in.
    fn filled(&self, default: &str, place: Place<'_>) -> Result<String, WireError> {
        let mut url = default.to_owned();
        if url.contains("{region}") {
            let region = place.region.ok_or_else(|| self.misconfigured("needs a region"))?;
            url = url.replace("{region}", region).replace("{aws_domain}", parts::aws_domain(region));
            url = url.replace("{vertex_domain}", &parts::vertex_domain(region));
        }
        if url.contains("{account}") {
            let account = place.account.ok_or_else(|| self.misconfigured("needs an account"))?;
            url = url.replace("{account}", account);
        }
        Ok(url)
    }

    /// People give a server of their own by its address alone.
    fn with_v1(&self, given: &str) -> String {
        let bare = given.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
        let openai = self.dialect == Dialect::OpenaiChat && self.has(Quirk::OwnServer);
        let path = if bare && openai { "/v1" } else { "" };
        format!("{given}{path}")
    }

    /// What its users call the account that its URL names.
    pub fn account_name(&self) -> &'static str {
        match self.auth {
            AuthScheme::Google => "project",
            _ => "account",
        }
    }

    /// Whether it differs from its dialect in this.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    fn misconfigured(&self, what: &str) -> WireError {
        WireError::new(ErrorClass::Internal, format!("the host {} {what}", self.name))
    }
}

impl Endpoint {
    /// Reads a reply with a status other than 2xx. `body` may be cut off at a bound.
    pub fn decode_error(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> WireError {
        refusal::decode(self.host.dialect, status, headers, body)
    }
}
