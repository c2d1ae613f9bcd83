//! Which requests go to a host's Responses API, and where that is.
//!
//! OpenAI and Azure have two dialects: chat completions, and for what those refuse the Responses API. Which models and requests
//! that are is the data at the end of this file (WIRE facts, "What changed in 2026"; the model pages of OpenAI's documentation); the
//! operator's word ([`ResponsesUse`]) comes before it. Models are known by their names: a deployment with a name of its own is
//! left to chat completions. Called by [`Endpoint::prepare`].

use percent_encoding::utf8_percent_encode;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::{
    AuthScheme, Dialect, Emulation, Endpoint, Prepared, Quirk, ReplyPlan, ResponseFacts, ResponsesUse,
    prepare::{SEGMENT, azure_resource},
};
use crate::{
    ErrorClass, WireError,
    client::{ClientDialect, Inbound, Operation, query},
    dialect::openai_responses::{echo, kept},
    hub::{ChatRequest, ReasoningEffort},
    outbound::Outbound,
};

/// What a caller wants of a response that its backend keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptOperation {
    /// To read it.
    Retrieve,
    /// To have it forgotten.
    Delete,
    /// To have it stopped, if it runs in the background.
    Cancel,
    /// To read what it was made from.
    InputItems,
}

/// What of a request decides.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    /// Whether it has tools.
    tools: bool,
    /// The reasoning effort, in OpenAI's spelling. `None`: the model's default.
    effort: Option<String>,
}

impl Ask {
    pub(super) fn of(request: &ChatRequest) -> Self {
        Self {
            tools: !request.tools.is_empty(),
            effort: request.reasoning_effort.as_ref().map(ReasoningEffort::as_openai).map(str::to_owned),
        }
    }

    /// The same of a chat completion that has not been decoded.
    pub(super) fn in_chat(inbound: &Inbound) -> Self {
        let some =
            |tools: &str| tools.strip_prefix('[').is_some_and(|items| !items.trim_start().starts_with(']'));
        Self {
            tools: inbound.value("tools").is_some_and(some),
            effort: inbound.value("reasoning_effort").and_then(|effort| serde_json::from_str(effort).ok()),
        }
    }
}

impl Endpoint {
    /// In which of its dialects the backend gets a request that is no caller's of the Responses API. `ask` is called only where it
    /// matters.
    pub(super) fn dialect_for(
        &self,
        client: ClientDialect,
        model: &str,
        ask: impl FnOnce() -> Ask,
    ) -> Dialect {
        let bridged = self.host.dialect == Dialect::OpenaiChat
            && match self.responses {
                ResponsesUse::Always => true,
                ResponsesUse::Never => false,
                ResponsesUse::Auto => {
                    self.host.has(Quirk::BridgesToResponses)
                        && Model::of(model).is_some_and(|model| model.needs_responses(ask))
                }
            };
        if bridged { Dialect::OpenaiResponses } else { self.spoken(client, model) }
    }

    /// Whether a caller of the Responses API is relayed: the backend has it, as far as is known.
    pub fn has_responses(&self) -> bool {
        self.host.dialect == Dialect::OpenaiChat
            && match self.responses {
                ResponsesUse::Auto => self.host.responses.is_some(),
                ResponsesUse::Always => true,
                ResponsesUse::Never => false,
            }
    }

    /// A request about a response that this backend keeps, by the backend's own id. `query` is the caller's, without its `?`.
    ///
    /// # Errors
    /// [`ErrorClass::BadRequest`]: the id is none.
    pub fn prepare_kept(
        &self,
        operation: KeptOperation,
        id: &str,
        query: Option<&str>,
    ) -> Result<Prepared, WireError> {
        if matches!(id, "" | "." | "..") || !id.bytes().all(is_of_id) {
            return Err(
                WireError::bad_request(format!("{id:?} is no id of a response")).with_param("response_id")
            );
        }
        let (method, suffix) = match operation {
            KeptOperation::Retrieve => (Method::GET, ""),
            KeptOperation::Delete => (Method::DELETE, ""),
            KeptOperation::Cancel => (Method::POST, "/cancel"),
            KeptOperation::InputItems => (Method::GET, "/input_items"),
        };
        let passed: Vec<_> =
            query::parameters(query.unwrap_or_default()).filter(query::Parameter::is_passed).collect();
        let streams = |parameter: &query::Parameter<'_>| {
            parameter.name == "stream" && parameter.value.eq_ignore_ascii_case("true")
        };
        let streaming = operation == KeptOperation::Retrieve && passed.iter().any(streams);
        let mut url = self.responses_url(&format!("/{}{suffix}", utf8_percent_encode(id, SEGMENT)));
        for parameter in passed {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(parameter.text);
        }
        let uri = url.parse().map_err(|error| {
            WireError::new(ErrorClass::BadRequest, format!("the query does not make a URL: {error}"))
        })?;
        let plan = ReplyPlan {
            client: ClientDialect::OpenaiResponses,
            operation: Operation::Kept,
            dialect: Dialect::OpenaiResponses,
            streaming,
            include_usage: true,
            choices: 1,
            model: String::new(),
            emulation: Emulation::default(),
            response: ResponseFacts { kept_by: Some(self.name.clone()), ..ResponseFacts::default() },
        };
        let headers = self.request_headers(plan.dialect, streaming, &HeaderMap::new());
        Ok(Prepared {
            outbound: Outbound { method, uri, headers, body: Bytes::new() },
            plan,
            dropped: Vec::new(),
        })
    }

    /// The backend's own id of the response that a relayed request continues, if the caller has another for it.
    pub(super) fn continued(&self, inbound: &Inbound) -> Result<Option<String>, WireError> {
        let Some(marked) = inbound.continued() else { return Ok(None) };
        let Some((host, id)) = kept::split(&marked) else { return Ok(None) };
        if host == self.name {
            return Ok(Some(id.to_owned()));
        }
        let message = format!(
            "the response {marked:?} is kept by the host {host:?}, and the model {:?} is at {:?}; send the items of the conversation as `input`",
            inbound.model, self.name
        );
        Err(WireError::bad_request(message).with_param("previous_response_id"))
    }

    pub(super) fn response_facts(&self, inbound: &Inbound, relayed: bool) -> ResponseFacts {
        if inbound.client != ClientDialect::OpenaiResponses {
            return ResponseFacts::default();
        }
        // By the API's own default it is.
        let is_kept = relayed && inbound.value("store") != Some("false");
        ResponseFacts {
            echo: if relayed { String::new() } else { echo(inbound) },
            kept_by: is_kept.then(|| self.name.clone()),
        }
    }

    /// Where responses are created, or, with its path behind that, where one is.
    pub(super) fn responses_url(&self, path: &str) -> String {
        let base = self.base_url.trim_end_matches('/');
        if self.host.auth != AuthScheme::Azure {
            return format!("{base}/responses{path}");
        }
        // A resource has its v1 surface whatever it is called by otherwise, and that knows undated versions only.
        let deployment = base.split_once("/openai/deployments/").map(|(resource, _)| resource);
        let resource = deployment.or_else(|| base.strip_suffix("/models")).unwrap_or(azure_resource(base));
        let version = self.api_version.as_deref().filter(|_| self.dated_version().is_none());
        let query = version.map(|version| format!("?api-version={}", utf8_percent_encode(version, SEGMENT)));
        format!("{resource}/openai/v1/responses{path}{}", query.unwrap_or_default())
    }
}

/// Whether an id may hold this. What ends or begins a step of a path does not: some proxies decode a path before they look at its
/// steps, and the request would be another one.
fn is_of_id(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\' | b'%' | b'?' | b'#')
}

/// One of OpenAI's models that a rule may be about.
struct Model<'a> {
    name: &'a str,
    /// `(5, 4)` for gpt-5.4 and what is derived from it; `(0, 0)` for other families.
    version: (u32, u32),
}

impl<'a> Model<'a> {
    /// `None`: not one of them, which most calls are told from the first letters.
    fn of(name: &'a str) -> Option<Self> {
        let other = || FAMILIES.iter().any(|family| name.starts_with(family));
        match name.strip_prefix("gpt-") {
            Some(rest) => {
                let number = rest.split('-').next()?;
                let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
                Some(Self { name, version: (major.parse().ok()?, minor.parse().ok()?) })
            }
            None => other().then_some(Self { name, version: (0, 0) }),
        }
    }

    fn needs_responses(&self, ask: impl FnOnce() -> Ask) -> bool {
        let has_part = |part: &&str| format!("-{}-", self.name).contains(&format!("-{part}-"));
        if ONLY_THERE.iter().any(has_part) {
            return true;
        }
        // gpt-35 is Azure's spelling of gpt-3.5. The chat models don't reason.
        if !(TOOLS_WITH_EFFORT..(35, 0)).contains(&self.version) || has_part(&"chat") {
            return false;
        }
        let Ask { tools, effort } = ask();
        let named = |models: &[&str]| models.iter().any(|model| self.name.starts_with(model));
        match effort.as_deref() {
            Some("max") if named(MAX_ONLY_THERE) => true,
            Some("none") => tools && named(ALWAYS_REASON),
            Some(_) => tools,
            None => tools && self.version >= TOOLS_BY_DEFAULT,
        }
    }
}

/// Beginnings of names besides `gpt-N`.
const FAMILIES: &[&str] = &["o1", "o3", "o4", "codex", "computer-use"];

/// Parts of the names of models that chat completions has not at all.
const ONLY_THERE: &[&str] = &["pro", "codex", "deep-research", "computer-use-preview"];

/// From here on chat completions refuses function tools beside a reasoning effort other than `none`.
const TOOLS_WITH_EFFORT: (u32, u32) = (5, 4);

/// From here on also where no effort is given, since the default is to reason.
const TOOLS_BY_DEFAULT: (u32, u32) = (5, 6);

/// Models that don't accept `none`.
const ALWAYS_REASON: &[&str] = &["gpt-6-astra", "gpt-6.1-sol"];

/// Models that think their most on the Responses API only.
const MAX_ONLY_THERE: &[&str] = &["gpt-6.1-sol"];
