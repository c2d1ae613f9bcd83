//! A caller's request into a backend's: URL, headers, body.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    AuthScheme, Dialect, Emulation, Endpoint, Prepared, Quirk, ReplyPlan, ResponseFacts, Services,
    responses::Ask,
};
use crate::{
    ErrorClass, WireError,
    client::{ClientDialect, Inbound, Operation, RelayShape},
    dialect::{
        answer_tool, anthropic_messages,
        api::{Api, UNSUPPORTED_PARAMETER},
        bedrock_converse::{self, EncodeOptions},
        cohere_chat, gemini, ollama,
        openai_chat::{self, RequestShape},
        openai_responses,
    },
    hub::ChatRequest,
    outbound::Outbound,
};

impl Endpoint {
    /// Turns a caller's request into this backend's, relaying bytes where the dialect is the same. `model` is the backend's name
    /// for the model (deployment, model id, ARN).
    ///
    /// # Errors
    /// [`ErrorClass::BadRequest`], naming the parameter, if the backend can't honour the request.
    pub fn prepare(&self, inbound: &Inbound, model: &str) -> Result<Prepared, WireError> {
        self.prepare_as(inbound, None, model)
    }

    /// The same for a request that was decoded, and changed: media fetched, say.
    ///
    /// # Errors
    /// As [`Endpoint::prepare`].
    pub fn prepare_decoded(
        &self,
        inbound: &Inbound,
        request: &ChatRequest,
        model: &str,
    ) -> Result<Prepared, WireError> {
        self.prepare_as(inbound, Some(request), model)
    }

    /// Whether media that a caller names by URL have to be fetched for this backend: it takes their bytes alone.
    /// `model` is the backend's name for the model.
    pub fn takes_bytes_alone(&self, inbound: &Inbound, model: &str) -> bool {
        let dialect = self.spoken(inbound.client, model);
        let translated = inbound.operation == Operation::Generate && !inbound.client.is(dialect);
        translated && matches!(dialect, Dialect::BedrockConverse | Dialect::Ollama)
    }

    fn prepare_as(
        &self,
        inbound: &Inbound,
        decoded: Option<&ChatRequest>,
        model: &str,
    ) -> Result<Prepared, WireError> {
        let (dialect, read) = self.dialect(inbound, decoded, model)?;
        let relayed = inbound.client.is(dialect);
        if inbound.operation == Operation::CountTokens && !relayed {
            return Err(self.cannot_count());
        }
        if inbound.operation == Operation::Complete && !self.completes() {
            return Err(self.unsupported("completions"));
        }
        let mut dropped = Vec::new();
        let (body, emulation) = if relayed {
            (self.hosted(inbound, dialect, model, &mut dropped)?, Emulation::default())
        } else {
            match decoded.or(read.as_ref()) {
                Some(request) => self.translated(request, dialect, model, &mut dropped)?,
                None => self.translated(&inbound.decode()?, dialect, model, &mut dropped)?,
            }
        };
        let plan = ReplyPlan {
            client: inbound.client,
            operation: inbound.operation,
            dialect,
            streaming: inbound.stream,
            include_usage: inbound.include_usage,
            choices: answers(Some(inbound.choices), &dropped),
            model: inbound.model.clone(),
            emulation,
            response: self.response_facts(inbound, relayed),
        };
        let passed = if relayed { self.passed(dialect, &inbound.headers) } else { HeaderMap::new() };
        Ok(Prepared { dropped, ..self.prepared(plan, model, body, &passed)? })
    }

    /// Header fields of the caller's that go on to a backend which speaks its dialect.
    fn passed(&self, dialect: Dialect, headers: &HeaderMap) -> HeaderMap {
        let mut passed = headers.clone();
        match dialect {
            // Both stand in the body.
            Dialect::BedrockInvoke => passed.clear(),
            // The version stands in the body.
            Dialect::VertexMessages => {
                passed.clear();
                for beta in headers.get_all(&anthropic_messages::BETA_HEADER) {
                    passed.append(anthropic_messages::BETA_HEADER, beta.clone());
                }
            }
            _ => {}
        }
        passed
    }

    /// The caller's own body, as the cloud wants it that has the API of the caller's dialect.
    fn hosted(
        &self,
        inbound: &Inbound,
        dialect: Dialect,
        model: &str,
        dropped: &mut Vec<String>,
    ) -> Result<Bytes, WireError> {
        let body = self.relayed(inbound, dialect, model, dropped)?;
        let count = inbound.operation == Operation::CountTokens;
        match dialect {
            Dialect::BedrockInvoke if count => {
                anthropic_messages::invoke_count_body(&body, &inbound.headers, model)
            }
            Dialect::BedrockInvoke => anthropic_messages::invoke_body(&body, &inbound.headers, model),
            Dialect::VertexMessages => anthropic_messages::vertex_body(&body, &inbound.headers, count),
            _ => Ok(body),
        }
    }

    /// The caller's own body, with what this backend needs changed.
    fn relayed(
        &self,
        inbound: &Inbound,
        dialect: Dialect,
        model: &str,
        dropped: &mut Vec<String>,
    ) -> Result<Bytes, WireError> {
        // What the table says of a host is of its chat completions.
        let is_chat = dialect == Dialect::OpenaiChat;
        let continued = self.continued(inbound)?;
        let shape = RelayShape {
            model,
            stream_options: is_chat && self.asks_for_usage(),
            rename_max_tokens: is_chat
                && inbound.operation == Operation::Generate
                && self.renames_max_tokens(model),
            renames: if is_chat { self.host.renames } else { &[] },
            continued: continued.as_deref(),
        };
        let lacks = if is_chat { self.host.lacks } else { &[] };
        let mut lacking = lacks.iter().filter(|name| inbound.gives(name));
        let Some(first) = lacking.next() else { return Ok(inbound.relay_body(shape)) };
        if !inbound.drop_params {
            return Err(openai_chat::lacking(self.host.name, first));
        }
        let mut left = inbound.leaving_out(first)?;
        dropped.push((*first).to_owned());
        for name in lacking {
            left = left.leaving_out(name)?;
            dropped.push((*name).to_owned());
        }
        Ok(left.relay_body(shape))
    }

    /// The body in the backend's dialect, and what has to be made good when its reply is read.
    fn translated(
        &self,
        request: &ChatRequest,
        dialect: Dialect,
        model: &str,
        dropped: &mut Vec<String>,
    ) -> Result<(Bytes, Emulation), WireError> {
        let (needed, several_calls) = match dialect {
            Dialect::AnthropicMessages | Dialect::BedrockInvoke | Dialect::VertexMessages => {
                (anthropic_messages::needs_answer_tool(request, model), false)
            }
            Dialect::BedrockConverse => (bedrock_converse::needs_answer_tool(request, model), true),
            Dialect::Gemini | Dialect::CohereChat | Dialect::Ollama => (None, true),
            Dialect::OpenaiChat | Dialect::OpenaiResponses => (None, false),
        };
        let one_call =
            several_calls && request.parallel_tool_calls == Some(false) && !request.tools.is_empty();
        let emulation = Emulation { answer_tool: needed.is_some(), one_call };
        if emulation == Emulation::default() {
            return Ok((self.encoded(request, dialect, model, dropped)?, emulation));
        }
        let mut request = request.clone();
        if one_call {
            request.parallel_tool_calls = None;
        }
        if let Some(forcing) = needed {
            request = answer_tool::with_tool(request, forcing, Api(self.host.name))?;
        }
        Ok((self.encoded(&request, dialect, model, dropped)?, emulation))
    }

    /// The body in the backend's dialect; where the request allows it, without what that can't honour.
    fn encoded(
        &self,
        request: &ChatRequest,
        dialect: Dialect,
        model: &str,
        dropped: &mut Vec<String>,
    ) -> Result<Bytes, WireError> {
        let mut refused = match self.encode(request, dialect, model) {
            Err(error) if request.drop_params => error,
            encoded => return encoded,
        };
        let mut left = request.clone();
        // Ends: each round leaves out something that was there.
        loop {
            let name = refused.param().filter(|_| refused.code() == Some(UNSUPPORTED_PARAMETER));
            // A part of a parameter can't be left out alone, but with all of it.
            let root = name.and_then(|name| name.split(['.', '[']).next());
            let Some(left_out) = [name, root].into_iter().flatten().find(|name| left.leave_out(name)) else {
                return Err(refused);
            };
            dropped.push(left_out.to_owned());
            match self.encode(&left, dialect, model) {
                Err(error) => refused = error,
                encoded => return encoded,
            }
        }
    }

    /// Whether it has OpenAI's legacy completions.
    fn completes(&self) -> bool {
        matches!(self.host.services, Services::OpenAi | Services::OpenAiBelowV1 | Services::Azure)
            && !self.host.lacks_operations.contains(&"completions")
    }

    /// What the host has not, by name.
    pub(crate) fn unsupported(&self, operation: &str) -> WireError {
        let name = self.host.name;
        WireError::bad_request(format!("The host {name} has no operation {operation}."))
            .with_code("unsupported_operation")
    }

    /// An estimate is not made: a program that asks wants to know whether its prompt fits, and without the model's own tokenizer
    /// nobody can tell it.
    fn cannot_count(&self) -> WireError {
        let name = self.host.name;
        WireError::bad_request(format!(
            "Tokens can't be counted for this model: its host {name} has no such operation, and there is no tokenizer for it here."
        ))
        .with_param("model")
    }

    /// The same for a hub request (the SDK).
    ///
    /// # Errors
    /// As [`Endpoint::prepare`].
    pub fn prepare_hub(&self, request: &ChatRequest, model: &str) -> Result<Prepared, WireError> {
        let dialect = self.dialect_for(ClientDialect::OpenaiChat, model, || Ask::of(request));
        let mut dropped = Vec::new();
        let (body, emulation) = self.translated(request, dialect, model, &mut dropped)?;
        let plan = ReplyPlan {
            client: ClientDialect::OpenaiChat,
            operation: Operation::Generate,
            dialect,
            streaming: request.stream.is_some(),
            include_usage: request.stream.as_ref().and_then(|stream| stream.include_usage).unwrap_or(false),
            choices: answers(request.limits.n, &dropped),
            model: request.model.clone(),
            emulation,
            response: ResponseFacts::default(),
        };
        Ok(Prepared { dropped, ..self.prepared(plan, model, body, &HeaderMap::new())? })
    }

    /// In which dialect the backend gets a request; and the request, if it had to be decoded to tell.
    fn dialect(
        &self,
        inbound: &Inbound,
        decoded: Option<&ChatRequest>,
        model: &str,
    ) -> Result<(Dialect, Option<ChatRequest>), WireError> {
        let client = inbound.client;
        // They are there beside whatever else the host speaks.
        if inbound.operation == Operation::Complete {
            return Ok((Dialect::OpenaiChat, None));
        }
        if client == ClientDialect::OpenaiChat {
            return Ok((self.dialect_for(client, model, || Ask::in_chat(inbound)), None));
        }
        let spoken = self.spoken(client, model);
        if client.is(spoken) {
            return Ok((spoken, None));
        }
        if client == ClientDialect::OpenaiResponses {
            return Ok((if self.has_responses() { Dialect::OpenaiResponses } else { spoken }, None));
        }
        if let Some(request) = decoded {
            return Ok((self.dialect_for(client, model, || Ask::of(request)), None));
        }
        let request = inbound.decode()?;
        Ok((self.dialect_for(client, model, || Ask::of(&request)), Some(request)))
    }

    /// The body in the backend's dialect.
    fn encode(&self, request: &ChatRequest, dialect: Dialect, model: &str) -> Result<Bytes, WireError> {
        match dialect {
            Dialect::OpenaiChat => {
                let foreign_fields = !self.host.has(Quirk::RefusesForeignFields);
                let shape = RequestShape {
                    model,
                    force_usage: self.asks_for_usage(),
                    // OpenAI's own reasoning models refuse the old name; whoever wrote this request may have no other.
                    rename_max_tokens: is_reasoning_gpt(model) && !foreign_fields,
                    foreign_fields,
                    renames: self.host.renames,
                    lacks: self.host.lacks,
                };
                Ok(openai_chat::encode_request_as(request, self.host.name, shape)?.into())
            }
            Dialect::OpenaiResponses => {
                openai_responses::encode_request(request, &openai_responses::EncodeOptions { model })
            }
            Dialect::AnthropicMessages | Dialect::BedrockInvoke | Dialect::VertexMessages => {
                let options = anthropic_messages::EncodeOptions { model };
                let body = anthropic_messages::encode_request(request, &options)?;
                match dialect {
                    Dialect::BedrockInvoke => {
                        anthropic_messages::invoke_body(&body, &HeaderMap::new(), model)
                    }
                    Dialect::VertexMessages => {
                        anthropic_messages::vertex_body(&body, &HeaderMap::new(), false)
                    }
                    _ => Ok(body),
                }
            }
            Dialect::BedrockConverse => bedrock_converse::encode_request(request, &EncodeOptions { model }),
            Dialect::Gemini => gemini::encode_request(request, model),
            Dialect::CohereChat => cohere_chat::encode_request(request, model),
            Dialect::Ollama => ollama::encode_request(request, model),
        }
    }

    /// `passed` are header fields of the caller's that are a part of its request.
    fn prepared(
        &self,
        plan: ReplyPlan,
        model: &str,
        body: Bytes,
        passed: &HeaderMap,
    ) -> Result<Prepared, WireError> {
        // No encoding protects these: a proxy on the way takes them for steps in the path, and so for another operation. Some
        // decode the slashes between them before.
        if self.puts_model_in_path(plan.dialect)
            && model.split(['/', '\\']).any(|step| matches!(step, "." | ".."))
        {
            return Err(
                WireError::bad_request(format!("Invalid 'model': {model:?} names none.")).with_param("model")
            );
        }
        let outbound = Outbound {
            method: Method::POST,
            uri: self.uri(plan.dialect, model, plan.streaming, plan.operation)?,
            headers: self.request_headers(plan.dialect, plan.streaming, passed),
            body,
        };
        Ok(Prepared { outbound, plan, dropped: Vec::new() })
    }

    pub(super) fn request_headers(&self, dialect: Dialect, streaming: bool, passed: &HeaderMap) -> HeaderMap {
        let accept = match (dialect, streaming) {
            (_, false) => "application/json",
            (Dialect::BedrockConverse | Dialect::BedrockInvoke, true) => "application/vnd.amazon.eventstream",
            (Dialect::Ollama, true) => "application/x-ndjson",
            (_, true) => "text/event-stream",
        };
        let mut headers = self.headers.clone();
        for (name, value) in passed {
            // The operator's word comes first.
            headers.entry(name).or_insert_with(|| value.clone());
        }
        if dialect == Dialect::AnthropicMessages {
            anthropic_messages::pin_version(&mut headers);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers
    }

    pub(super) fn uri(
        &self,
        dialect: Dialect,
        model: &str,
        streaming: bool,
        operation: Operation,
    ) -> Result<Uri, WireError> {
        let base = self.base_url.trim_end_matches('/');
        let segment = utf8_percent_encode(model, SEGMENT);
        let text = match (dialect, self.host.auth) {
            (Dialect::BedrockConverse, _) => {
                let operation = if streaming { "converse-stream" } else { "converse" };
                format!("{base}/model/{segment}/{operation}")
            }
            (Dialect::BedrockInvoke, _) if operation == Operation::CountTokens => {
                let model = utf8_percent_encode(anthropic_messages::counted_model(model), SEGMENT);
                format!("{base}/model/{model}/count-tokens")
            }
            (Dialect::BedrockInvoke, _) => {
                let operation = if streaming { "invoke-with-response-stream" } else { "invoke" };
                format!("{base}/model/{segment}/{operation}")
            }
            (Dialect::VertexMessages, _) => {
                // As its clients call it; generateContent is called in the newer version.
                let place = base.strip_suffix("/publishers/google").unwrap_or(base);
                let place = place.replacen("/v1beta1/", "/v1/", 1);
                let models = format!("{place}/publishers/anthropic/models");
                match (operation, streaming) {
                    (Operation::CountTokens, _) => format!("{models}/count-tokens:rawPredict"),
                    (_, true) => format!("{models}/{segment}:streamRawPredict"),
                    (_, false) => format!("{models}/{segment}:rawPredict"),
                }
            }
            (Dialect::AnthropicMessages, _) => {
                // As some write it, since OpenAI's has it.
                let base = base.strip_suffix("/v1").unwrap_or(base);
                let count = if operation == Operation::CountTokens { "/count_tokens" } else { "" };
                format!("{base}/v1/messages{count}")
            }
            (Dialect::Gemini, _) => {
                let operation = match (operation, streaming) {
                    (Operation::CountTokens, _) => "countTokens",
                    (_, true) => "streamGenerateContent?alt=sse",
                    (_, false) => "generateContent",
                };
                // As Google's list of models names them.
                let model = model.strip_prefix("models/").unwrap_or(model);
                format!("{base}/models/{}:{operation}", utf8_percent_encode(model, SEGMENT))
            }
            (Dialect::OpenaiResponses, _) => self.responses_url(""),
            (Dialect::CohereChat, _) => {
                // As LiteLLM's users write it, or with the version.
                let base = base.strip_suffix("/v2/chat").or_else(|| base.strip_suffix("/v2")).unwrap_or(base);
                format!("{base}/v2/chat")
            }
            (Dialect::Ollama, _) => {
                // Its OpenAI-compatible API is at `/v1`, and many know no other.
                let base = base.strip_suffix("/v1").or_else(|| base.strip_suffix("/api")).unwrap_or(base);
                format!("{base}/api/chat")
            }
            (Dialect::OpenaiChat, auth) => {
                let path = if operation == Operation::Complete { "completions" } else { "chat/completions" };
                match auth {
                    AuthScheme::Azure => self.azure_url(path, Some(segment.to_string())),
                    _ => self.openai_url(path),
                }
            }
        };
        text.parse().map_err(|error| {
            WireError::new(
                ErrorClass::Internal,
                format!("the base URL of host {} does not make a URL: {error}", self.host.name),
            )
        })
    }

    /// The URL of `path` below the root of OpenAI's API.
    pub(crate) fn openai_url(&self, path: &str) -> String {
        let base = self.base_url.trim_end_matches('/');
        if self.host.services != Services::OpenAiBelowV1 {
            return format!("{base}/{path}");
        }
        let root = base.strip_suffix("/v1").or_else(|| base.strip_suffix("/api")).unwrap_or(base);
        format!("{root}/v1/{path}")
    }

    /// The URL of `path` at a resource of Azure's. Of what no deployment does there is none.
    ///
    /// The deployments surface if a dated API version is set, else v1, which knows only undated ones (`preview`). A base URL
    /// may already hold a part of the path, as Azure's portal shows it: `/openai`, `/openai/v1`, a whole deployment, or
    /// `/models` (model inference).
    pub(crate) fn azure_url(&self, path: &str, deployment: Option<String>) -> String {
        let base = self.base_url.trim_end_matches('/');
        let version = self.api_version.as_deref();
        let query = version.map(|version| format!("?api-version={}", utf8_percent_encode(version, SEGMENT)));
        let query = query.unwrap_or_default();
        if base.ends_with("/models") || base.contains("/openai/deployments/") {
            return format!("{base}/{path}{query}");
        }
        let resource = azure_resource(base);
        let surface = match (self.dated_version(), deployment) {
            (Some(_), Some(deployment)) => format!("deployments/{deployment}/"),
            (Some(_), None) => String::new(),
            (None, _) => "v1/".to_owned(),
        };
        format!("{resource}/openai/{surface}{path}{query}")
    }

    /// Azure's v1 surface does not, but knows no such model either.
    fn puts_model_in_path(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::OpenaiChat => self.host.auth == AuthScheme::Azure,
            Dialect::OpenaiResponses | Dialect::CohereChat | Dialect::Ollama => false,
            Dialect::AnthropicMessages
            | Dialect::BedrockConverse
            | Dialect::BedrockInvoke
            | Dialect::Gemini
            | Dialect::VertexMessages => true,
        }
    }

    /// Whether the host has to be asked for the usage of a stream, and knows how.
    fn asks_for_usage(&self) -> bool {
        // Dated versions sort as text.
        !self.host.has(Quirk::ReportsUsageUnasked)
            && (!self.host.has(Quirk::DatesStreamOptions)
                || self.dated_version().is_none_or(|version| version >= "2024-09-01"))
    }

    /// An undated version (`preview`, `latest`) is newer than all of them.
    pub(super) fn dated_version(&self) -> Option<&str> {
        self.api_version.as_deref().filter(|version| version.starts_with("20"))
    }

    fn renames_max_tokens(&self, model: &str) -> bool {
        self.host.has(Quirk::RenamesMaxTokens) && is_reasoning_gpt(model)
    }
}

/// A base URL without what it may hold of the path.
pub(super) fn azure_resource(base: &str) -> &str {
    base.strip_suffix("/openai/v1").or_else(|| base.strip_suffix("/openai")).unwrap_or(base)
}

/// How many answers are to be expected.
fn answers(asked: Option<u32>, dropped: &[String]) -> u32 {
    asked.filter(|_| !dropped.iter().any(|name| name == "n")).unwrap_or(1).max(1)
}

/// Known by name: the o-series and gpt-5 and its successors, `gpt-5-chat` included. A deployment with a name of its own is left
/// alone.
fn is_reasoning_gpt(model: &str) -> bool {
    let gpt_5_or_later = model
        .strip_prefix("gpt-")
        .and_then(|rest| rest.split(['.', '-']).next())
        .and_then(|major| major.parse::<u32>().ok())
        // gpt-35 is Azure's spelling of gpt-3.5.
        .is_some_and(|major| (5..35).contains(&major));
    let o_series = ["o1", "o3", "o4"]
        .iter()
        .any(|name| model.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')));
    gpt_5_or_later || o_series
}

/// Everything but RFC 3986's unreserved characters: `:` and `/` of model ids and ARNs are encoded.
pub(crate) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
