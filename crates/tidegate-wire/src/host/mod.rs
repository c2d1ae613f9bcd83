//! Hosts: each vendor is a row of data (dialect, URL rule, auth, named quirks), and an [`Endpoint`] is a row plus what the
//! operator said about it (base URL, API version, region).
//!
//! This is where the caller's request meets a backend: [`Endpoint::prepare`] yields the request to send and the machine
//! that reads its reply. Called by `tidegate-engine`; never opens a connection and never holds a credential.

use bytes::Bytes;
use http::HeaderMap;

use crate::{
    ErrorClass, WireError,
    dialect::openai_chat,
    hub::{ChatRequest, Event},
    outbound::Outbound,
    reply::Reply,
};

/// A backend as configured: a host row and the operator's facts about it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The vendor.
    pub host: &'static HostRow,
    /// Scheme, authority and path prefix, without a trailing slash, for example `https://api.openai.com/v1`.
    pub base_url: String,
    /// Azure's `api-version`; `None` selects the v1 surface.
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
    /// Base URL where the operator gives none; `{region}` is filled in. `None`: it must be given.
    pub default_base_url: Option<&'static str>,
    /// Whether closing the connection stops generation and the bill.
    pub abort_stops_billing: AbortBilling,
}

/// Backend wire formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions.
    OpenaiChat,
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
    /// The backend's dialect.
    pub dialect: Dialect,
    /// Whether the reply is a stream.
    pub streaming: bool,
    /// Whether the caller asked for a usage chunk at the end of its stream.
    pub include_usage: bool,
    /// The model as the caller named it, for replies whose dialect does not say.
    pub model: String,
}

impl Endpoint {
    /// Turns a caller's openai-chat request into this backend's, relaying bytes where the dialect is the same.
    /// `model` is the backend's name for the model (deployment, model id, ARN).
    ///
    /// # Errors
    /// [`ErrorClass::BadRequest`], naming the parameter, if the backend can't honour the request.
    pub fn prepare(&self, _inbound: &openai_chat::Inbound, _model: &str) -> Result<Prepared, WireError> {
        Err(WireError::new(ErrorClass::Internal, "not here yet"))
    }

    /// The same for a hub request (the SDK).
    ///
    /// # Errors
    /// As [`Endpoint::prepare`].
    pub fn prepare_hub(&self, _request: &ChatRequest, _model: &str) -> Result<Prepared, WireError> {
        Err(WireError::new(ErrorClass::Internal, "not here yet"))
    }

    /// Reads a reply with a status other than 2xx. `body` may be cut off at a bound.
    pub fn decode_error(&self, status: u16, _headers: &HeaderMap, _body: &[u8]) -> WireError {
        WireError::new(ErrorClass::UpstreamBroke, "not here yet").with_upstream_status(status)
    }
}

impl ReplyPlan {
    /// A machine that yields bytes for an openai-chat caller. `id` and `created` (Unix seconds) fill what the backend's
    /// dialect does not say.
    pub fn openai_chat(&self, _id: &str, _created: u64) -> Box<dyn Reply<Item = Bytes>> {
        unreachable!("not here yet")
    }

    /// A machine that yields hub events.
    pub fn events(&self) -> Box<dyn Reply<Item = Event>> {
        unreachable!("not here yet")
    }
}
