//! Hosts: each vendor is a row of data (dialect, URL rule, auth, named quirks), and an [`Endpoint`] is a row plus what the
//! operator said about it (base URL, API version, region).
//!
//! This is where the caller's request meets a backend: [`Endpoint::prepare`] yields the request to send and the machine
//! that reads its reply. Called by `tidegate-engine`; never opens a connection and never holds a credential.

mod plan;
mod prepare;
mod refusal;
mod rows;
#[cfg(test)]
mod tests;

use http::HeaderMap;

use crate::{
    ErrorClass, WireError,
    client::{ClientDialect, Operation},
    outbound::Outbound,
};

pub use rows::{HOSTS, row};

/// A backend as configured: a host row and the operator's facts about it.
#[derive(Clone, Debug)]
pub struct Endpoint {
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
}

/// A vendor, as data.
#[derive(Debug)]
pub struct HostRow {
    /// Name and model prefix, for example `azure`.
    pub name: &'static str,
    /// Wire format that it speaks.
    pub dialect: Dialect,
    /// How it authenticates.
    pub auth: AuthScheme,
    /// Base URL where the operator gives none; `{region}` is filled in, and `{aws_domain}` with the domain of its partition.
    /// `None`: it must be given.
    pub default_base_url: Option<&'static str>,
    /// Whether closing the connection stops generation and the bill.
    pub abort_stops_billing: AbortBilling,
    /// In what it differs from its dialect.
    pub quirks: &'static [Quirk],
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
}

/// Backend wire formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions.
    OpenaiChat,
    /// Anthropic's Messages API.
    AnthropicMessages,
    /// Bedrock Converse and ConverseStream.
    BedrockConverse,
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

/// What a call needs after a request has been prepared for a backend.
pub struct Prepared {
    /// What to send.
    pub outbound: Outbound,
    /// How to read the answer.
    pub plan: ReplyPlan,
}

/// How a backend's reply is to be read; made by [`Endpoint::prepare`].
#[derive(Clone, Debug)]
pub struct ReplyPlan {
    /// What the caller speaks.
    pub client: ClientDialect,
    /// What it wants.
    pub operation: Operation,
    /// The backend's dialect.
    pub dialect: Dialect,
    /// Whether the reply is a stream.
    pub streaming: bool,
    /// Whether the caller is to be told of a stream's usage.
    pub include_usage: bool,
    /// How many answers the caller asked for.
    pub choices: u32,
    /// The model as the caller named it, for replies whose dialect does not say.
    pub model: String,
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
        let base_url = match (base_url, self.default_base_url) {
            (Some(given), _) => given.to_owned(),
            (None, Some(default)) if default.contains("{region}") => {
                let region = region.ok_or_else(|| self.misconfigured("needs a region"))?;
                default.replace("{region}", region).replace("{aws_domain}", rows::aws_domain(region))
            }
            (None, Some(default)) => default.to_owned(),
            (None, None) => return Err(self.misconfigured("needs a base URL")),
        };
        Ok(Endpoint {
            host: self,
            base_url: base_url.trim_end_matches('/').to_owned(),
            api_version: api_version.map(str::to_owned),
            region: region.map(str::to_owned),
            headers: HeaderMap::new(),
        })
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
