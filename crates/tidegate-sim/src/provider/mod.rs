//! The providers: which of them a request is meant for, what it asks, and the plan of its answer.
//!
//! Called by the connections, first with a request's head (the path and the headers already decide the provider, the
//! identity and how the body is to be read), then with its body. Pure but for the clock in ids and dates.

mod anthropic;
mod bedrock;
mod bedrock_invoke;
mod chat;
mod cohere;
mod errors;
mod gemini;
mod identity;
mod ollama;
pub(crate) mod realtime;
mod responses;
mod services;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::journal::{Backend, Call};
use crate::plan::Plan;
use crate::replay::Replay;
use crate::scenario::{Scenario, ScenarioError};

/// A request of which the head has been read.
#[derive(Debug)]
pub(crate) struct Order {
    operation: Operation,
    scenario: Result<Scenario, ScenarioError>,
    headers: HeaderMap,
    identity: identity::Identity,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Chat completions in OpenAI's form.
    Chat { azure: Option<AzureRoute> },
    /// The list of models in OpenAI's form.
    Models { azure: bool },
    /// OpenAI's Responses API.
    Responses { azure: bool },
    /// A response that is kept.
    Kept { azure: bool, id: String, operation: responses::Kept },
    /// Anthropic's Messages, or only the count of their tokens.
    Messages { count: bool },
    /// Bedrock's Converse.
    Converse { model: String, streaming: bool },
    /// Claude by Bedrock's InvokeModel, or only the count of a request's tokens.
    Invoke { model: String, streaming: bool, count: bool },
    /// Claude by Vertex AI's rawPredict.
    RawPredict { model: String, streaming: bool },
    /// Gemini's generateContent, on AI Studio or Vertex AI.
    Generate { model: String, streaming: bool },
    /// A session over WebSocket, of OpenAI or Azure. `sim`: the scenario that its query asks for.
    Realtime { azure: bool, model: String, sim: Option<String> },
    /// Only the count of its tokens.
    CountGenerate { model: String },
    /// Cohere's chat.
    CohereChat,
    /// Ollama's chat.
    OllamaChat,
    /// Something besides chat.
    Service(services::Service),
    /// None of these.
    Unknown { backend: Backend },
}

/// What an Azure URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AzureRoute {
    /// The deployment of a classic URL; v1 URLs name it in the body.
    deployment: Option<String>,
    api_version: Option<String>,
}

/// What the planners need to know of a chat request.
#[derive(Debug)]
struct Ask {
    model: String,
    streaming: bool,
    include_usage: bool,
    padded: bool,
    /// The prompt's tokens, by the simulator's own measure.
    prompt: u64,
    /// The first tool that the request offers.
    tool: Option<String>,
}

impl Order {
    /// Reads a request's head. `default` is the listener's own scenario.
    pub(crate) fn take(parts: &Parts, default: &Scenario) -> Self {
        let operation = Operation::of(&parts.method, parts.uri.path(), parts.uri.query());
        let identity = identity::Identity::of(operation.backend(), &parts.headers);
        let scenario = operation.scenario(default.clone(), &parts.headers);
        Self { operation, scenario, headers: parts.headers.clone(), identity }
    }

    /// Enters into the record what the head says.
    pub(crate) fn note(&self, call: &Call) {
        call.update(|seen| {
            seen.backend = self.operation.backend();
            seen.authorization_kind = self.identity.kind();
            if let Some(model) = self.operation.model() {
                model.clone_into(&mut seen.model);
            }
            seen.streaming = matches!(
                self.operation,
                Operation::Converse { streaming: true, .. }
                    | Operation::Generate { streaming: true, .. }
                    | Operation::Realtime { .. }
                    | Operation::Invoke { streaming: true, .. }
                    | Operation::RawPredict { streaming: true, .. }
            );
        });
        if let Some(tag) = self.scenario.as_ref().ok().and_then(|scenario| scenario.tag.as_deref()) {
            call.tag(tag);
        }
    }

    /// How the body is to be read.
    pub(crate) fn reading(&self) -> (Duration, bool) {
        self.scenario.as_ref().map_or((Duration::ZERO, false), |s| (s.read_delay, s.never_read))
    }

    /// Whether it asks for a session.
    pub(crate) fn is_realtime(&self) -> bool {
        matches!(self.operation, Operation::Realtime { .. })
    }

    /// The session that it asks for, or the answer that refuses it.
    pub(crate) fn session(self, call: &Call) -> Result<realtime::Script, Box<Plan>> {
        let backend = self.operation.backend();
        if let Some(refusal) = self.identity.refusal(backend) {
            return Err(Box::new(refusal));
        }
        let Operation::Realtime { model, sim, .. } = self.operation else {
            return Err(Box::new(errors::unknown_url(backend)));
        };
        let scenario = self.scenario.and_then(|scenario| scenario.with(sim.as_deref().unwrap_or_default()));
        let scenario =
            scenario.map_err(|error| Box::new(errors::bad_request(backend, &error.to_string())))?;
        if let Some(tag) = &scenario.tag {
            call.tag(tag);
        }
        match scenario.error {
            Some(status) => Err(Box::new(errors::scenario_error(backend, status, &model, scenario))),
            None => Ok(realtime::Script::new(model, scenario)),
        }
    }

    /// The answer to the whole request.
    pub(crate) fn plan(self, body: &Bytes, replay: Option<&Replay>, call: &Call) -> Plan {
        let backend = self.operation.backend();
        if let Some(refusal) = self.identity.refusal(backend) {
            return refusal;
        }
        let counted = match &self.operation {
            Operation::Invoke { count: true, .. } => bedrock_invoke::counted(body),
            _ => None,
        };
        let body = counted.as_ref().unwrap_or(body);
        let ask = match &self.operation {
            Operation::Realtime { .. } | Operation::Unknown { .. } => return errors::unknown_url(backend),
            Operation::Models { azure } => return chat::models(*azure),
            Operation::Chat { azure } => Ask::chat(body, azure.as_ref()),
            Operation::Responses { .. } => Ask::responses(body),
            Operation::Kept { operation, .. } => Ok(Ask::kept(operation)),
            Operation::Messages { .. } => Ask::messages(body),
            Operation::CohereChat => Ask::cohere(body),
            Operation::OllamaChat => Ask::ollama(body),
            Operation::Converse { model, streaming } => Ask::converse(body, model, *streaming),
            Operation::Generate { model, streaming } => Ask::generate(body, model, *streaming),
            Operation::CountGenerate { model } => Ask::generate(body, model, false),
            Operation::Invoke { model, streaming, .. } => Ask::hosted(body, model, *streaming, false),
            Operation::RawPredict { model, streaming } => Ask::hosted(body, model, *streaming, true),
            Operation::Service(service) => service.ask(body),
        };
        let ask = match ask {
            Ok(ask) => ask,
            Err(message) => return errors::bad_request(backend, &message),
        };
        call.update(|seen| {
            seen.model.clone_from(&ask.model);
            seen.streaming = ask.streaming;
        });
        let scenario = match self.full_scenario(&ask, body) {
            Ok(scenario) => scenario,
            Err(error) => return errors::bad_request(backend, &error.to_string()),
        };
        if let Some(tag) = &scenario.tag {
            call.tag(tag);
        }
        match replay.and_then(|replay| replay.plan(backend, &ask.model, &scenario)) {
            Some(recorded) => recorded,
            None => plan(&self, ask, scenario, body, call),
        }
    }

    /// The scenario with the body's share: the model where only the body names it, and the prompt. The header speaks last.
    fn full_scenario(&self, ask: &Ask, body: &[u8]) -> Result<Scenario, ScenarioError> {
        let scenario = self.scenario.clone()?;
        let scenario = match self.operation.model() {
            Some(_) => scenario,
            None => scenario.with_model(&ask.model)?,
        };
        with_header(scenario.with_prompt(body)?, &self.headers)
    }
}

fn plan(order: &Order, mut ask: Ask, scenario: Scenario, body: &[u8], call: &Call) -> Plan {
    let operation = &order.operation;
    ask.prompt = scenario.prompt.map_or(ask.prompt, u64::from);
    call.update(|seen| seen.truth_usage.prompt = ask.prompt);
    let backend = operation.backend();
    let status = scenario.error.or_else(|| scenario.fail.filter(|_| !ask.streaming).map(|_| 500));
    if let Some(status) = status {
        return errors::scenario_error(backend, status, &ask.model, scenario);
    }
    match operation {
        Operation::Chat { azure: None } => chat::plan(&ask, None, scenario),
        Operation::Chat { azure: Some(route) } => chat::plan(&ask, Some(route), scenario),
        Operation::Responses { azure } => responses::plan(&ask, *azure, scenario),
        Operation::Kept { azure, id, operation } => responses::kept(&ask, id, operation, *azure, scenario),
        Operation::Messages { count: false } => anthropic::plan(&ask, scenario),
        Operation::Messages { count: true } => anthropic::count(&ask, scenario),
        Operation::Converse { .. } => bedrock::plan(&ask, scenario),
        Operation::Generate { .. } => gemini::plan(&ask, scenario),
        Operation::CountGenerate { .. } => gemini::count(&ask, scenario),
        Operation::Invoke { count: false, .. } => bedrock_invoke::plan(&ask, scenario),
        Operation::Invoke { count: true, .. } => bedrock_invoke::count(&ask, scenario),
        Operation::RawPredict { .. } => anthropic::plan(&ask, scenario),
        Operation::CohereChat => cohere::plan(&ask, scenario),
        Operation::OllamaChat => ollama::plan(&ask, scenario),
        Operation::Service(service) => services::plan(service, &ask, body, &order.headers, scenario),
        Operation::Models { .. } | Operation::Realtime { .. } | Operation::Unknown { .. } => {
            errors::unknown_url(backend)
        }
    }
}

impl Operation {
    fn of(method: &Method, path: &str, query: Option<&str>) -> Self {
        let post = *method == Method::POST;
        let azure = path.starts_with("/openai/");
        match path {
            "/v1/chat/completions" if post => return Self::Chat { azure: None },
            "/v2/chat" if post => return Self::CohereChat,
            "/api/chat" if post => return Self::OllamaChat,
            "/v1/messages" if post => return Self::Messages { count: false },
            "/v1/messages/count_tokens" if post => return Self::Messages { count: true },
            "/openai/v1/chat/completions" if post => {
                return Self::Chat { azure: Some(AzureRoute { deployment: None, api_version: None }) };
            }
            "/v1/realtime" | "/openai/v1/realtime" | "/openai/realtime" if *method == Method::GET => {
                return Self::of_session(path, query);
            }
            "/v1/responses" | "/openai/v1/responses" if post => return Self::Responses { azure },
            "/v1/models" | "/openai/v1/models" if *method == Method::GET => return Self::Models { azure },
            _ => {}
        }
        let kept =
            ["/v1/responses/", "/openai/v1/responses/"].iter().find_map(|root| path.strip_prefix(root));
        if let Some(rest) = kept {
            return Self::of_kept(method, rest, query, azure);
        }
        if let Some(service) = services::Service::of(method, path, query) {
            return Self::Service(service);
        }
        if let Some(model) = path.strip_prefix("/model/").filter(|_| post) {
            return Self::of_bedrock(model);
        }
        if path.starts_with("/v1beta/models/")
            || path.starts_with("/v1beta1/projects/")
            || path.starts_with("/v1/projects/")
        {
            return Self::of_google(path, query, post);
        }
        let classic = path.strip_prefix("/openai/deployments/");
        match classic.and_then(|rest| rest.strip_suffix("/chat/completions")) {
            Some(deployment) if post => Self::of_azure(deployment, query),
            _ => Self::Unknown { backend: if azure { Backend::Azure } else { Backend::Unknown } },
        }
    }

    /// Azure wants the dated surface's version and its name of the model there, and no other.
    fn of_session(path: &str, query: Option<&str>) -> Self {
        let value = |wanted: &str| {
            let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == wanted).map(|(_, value)| decoded(value))
        };
        let azure = path.starts_with("/openai/");
        let model = match path {
            "/openai/realtime" => value("api-version").and_then(|_| value("deployment")),
            _ if value("intent").is_some_and(|intent| intent == "transcription") => Some(String::new()),
            _ => value("model"),
        };
        match model {
            Some(model) => Self::Realtime { azure, model, sim: value("sim") },
            None => Self::Unknown { backend: if azure { Backend::Azure } else { Backend::Openai } },
        }
    }

    fn of_kept(method: &Method, rest: &str, query: Option<&str>, azure: bool) -> Self {
        let (id, action) = rest.split_once('/').map_or((rest, ""), |(id, action)| (id, action));
        let streaming = query.is_some_and(|query| query.split('&').any(|pair| pair == "stream=true"));
        let operation = match (method.as_str(), action) {
            ("GET", "") => responses::Kept::Retrieve { streaming },
            ("DELETE", "") => responses::Kept::Delete,
            ("POST", "cancel") => responses::Kept::Cancel,
            ("GET", "input_items") => responses::Kept::InputItems,
            _ => return Self::Unknown { backend: if azure { Backend::Azure } else { Backend::Openai } },
        };
        Self::Kept { azure, id: decoded(id), operation }
    }

    fn of_bedrock(rest: &str) -> Self {
        let invoke = |model: &str, streaming, count| Self::Invoke { model: decoded(model), streaming, count };
        // Of other vendors' models InvokeModel has other bodies, which are not simulated.
        match rest.rsplit_once('/').filter(|(model, _)| model.contains("claude-")) {
            Some((model, "invoke")) => return invoke(model, false, false),
            Some((model, "invoke-with-response-stream")) => return invoke(model, true, false),
            Some((model, "count-tokens")) => return invoke(model, false, true),
            _ => {}
        }
        let (model, streaming) = match (rest.strip_suffix("/converse-stream"), rest.strip_suffix("/converse"))
        {
            (Some(model), _) => (model, true),
            (None, Some(model)) => (model, false),
            (None, None) => return Self::Unknown { backend: Backend::Bedrock },
        };
        Self::Converse { model: decoded(model), streaming }
    }

    /// Without `alt=sse` a stream is one JSON array, which is not simulated.
    fn of_google(path: &str, query: Option<&str>, post: bool) -> Self {
        let named = path.rsplit_once("/models/").and_then(|(_, rest)| rest.split_once(':'));
        let sse = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
        match named {
            Some((model, "rawPredict")) if post => {
                Self::RawPredict { model: decoded(model), streaming: false }
            }
            Some((model, "streamRawPredict")) if post => {
                Self::RawPredict { model: decoded(model), streaming: true }
            }
            Some((model, "generateContent")) if post => {
                Self::Generate { model: decoded(model), streaming: false }
            }
            Some((model, "streamGenerateContent")) if post && sse => {
                Self::Generate { model: decoded(model), streaming: true }
            }
            Some((model, "countTokens")) if post => Self::CountGenerate { model: decoded(model) },
            _ => Self::Unknown { backend: Backend::Gemini },
        }
    }

    fn of_azure(deployment: &str, query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let version =
            pairs.filter(|(name, _)| *name == "api-version").map(|(_, value)| decoded(value)).next();
        // Azure answers a classic URL without a version as if the resource did not exist.
        if version.is_none() {
            return Self::Unknown { backend: Backend::Azure };
        }
        Self::Chat { azure: Some(AzureRoute { deployment: Some(decoded(deployment)), api_version: version }) }
    }

    fn backend(&self) -> Backend {
        match self {
            Self::Chat { azure: None }
            | Self::Models { azure: false }
            | Self::Realtime { azure: false, .. } => Backend::Openai,
            Self::Chat { azure: Some(_) }
            | Self::Models { azure: true }
            | Self::Realtime { azure: true, .. } => Backend::Azure,
            Self::Responses { azure } | Self::Kept { azure, .. } => {
                if *azure {
                    Backend::Azure
                } else {
                    Backend::Openai
                }
            }
            Self::Messages { .. } => Backend::Anthropic,
            Self::Converse { .. } | Self::Invoke { .. } => Backend::Bedrock,
            Self::Generate { .. } | Self::CountGenerate { .. } | Self::RawPredict { .. } => Backend::Gemini,
            Self::CohereChat => Backend::Cohere,
            Self::OllamaChat => Backend::Ollama,
            Self::Service(service) => service.backend,
            Self::Unknown { backend } => *backend,
        }
    }

    /// The model, where the path names it.
    fn model(&self) -> Option<&str> {
        match self {
            Self::Chat { azure: Some(AzureRoute { deployment, .. }) } => deployment.as_deref(),
            Self::Converse { model, .. }
            | Self::Generate { model, .. }
            | Self::CountGenerate { model }
            | Self::Realtime { model, .. }
            | Self::Invoke { model, .. }
            | Self::RawPredict { model, .. } => Some(model),
            Self::Service(service) => service.model.as_deref(),
            _ => None,
        }
    }

    fn scenario(&self, default: Scenario, headers: &HeaderMap) -> Result<Scenario, ScenarioError> {
        let scenario = match self.model() {
            Some(model) => default.with_model(model)?,
            None => default,
        };
        with_header(scenario, headers)
    }
}

fn with_header(scenario: Scenario, headers: &HeaderMap) -> Result<Scenario, ScenarioError> {
    match headers.get("x-sim-scenario").map(|value| value.to_str()) {
        Some(Ok(text)) => scenario.with(text),
        Some(Err(_)) => scenario.with("x-sim-scenario"),
        None => Ok(scenario),
    }
}

impl Ask {
    fn chat(body: &[u8], azure: Option<&AzureRoute>) -> Result<Self, String> {
        let request: ChatRequest<'_> = parse(body)?;
        let deployment = azure.and_then(|route| route.deployment.clone());
        let model = deployment.or(request.model).ok_or("you must provide a model parameter")?;
        if request.messages.is_none() {
            return Err("Missing required parameter: 'messages'.".to_owned());
        }
        let options = request.stream_options.unwrap_or_default();
        Ok(Self {
            model,
            streaming: request.stream.unwrap_or(false),
            include_usage: options.include_usage.unwrap_or(false),
            padded: options.include_obfuscation.unwrap_or(true),
            prompt: measure(body),
            tool: request.tools.and_then(|tools| first_tool(tools.get(), "/0/function/name")),
        })
    }

    fn messages(body: &[u8]) -> Result<Self, String> {
        let request: ChatRequest<'_> = parse(body)?;
        if request.messages.is_none() {
            return Err("messages: Field required".to_owned());
        }
        Ok(Self {
            model: request.model.ok_or("model: Field required")?,
            streaming: request.stream.unwrap_or(false),
            include_usage: true,
            padded: false,
            prompt: measure(body),
            tool: request.tools.and_then(|tools| first_tool(tools.get(), "/0/name")),
        })
    }

    /// OpenAI's shape as far as it is looked at.
    fn cohere(body: &[u8]) -> Result<Self, String> {
        let request: ChatRequest<'_> = parse(body)?;
        if request.messages.is_none() {
            return Err("invalid request: messages is required".to_owned());
        }
        Ok(Self {
            model: request.model.ok_or("invalid request: model is required")?,
            streaming: request.stream.unwrap_or(false),
            include_usage: true,
            padded: false,
            prompt: measure(body),
            tool: request.tools.and_then(|tools| first_tool(tools.get(), "/0/function/name")),
        })
    }

    /// OpenAI's shape, too, but that it streams unless told otherwise.
    fn ollama(body: &[u8]) -> Result<Self, String> {
        let request: ChatRequest<'_> = parse(body)?;
        Ok(Self {
            model: request.model.ok_or("model is required")?,
            streaming: request.stream.unwrap_or(true),
            include_usage: true,
            padded: false,
            prompt: measure(body),
            tool: request.tools.and_then(|tools| first_tool(tools.get(), "/0/function/name")),
        })
    }

    /// Anthropic's body as other clouds have it, which refuse what stands elsewhere. Vertex AI's says whether to stream.
    fn hosted(body: &[u8], model: &str, streaming: bool, may_stream: bool) -> Result<Self, String> {
        let request: ChatRequest<'_> = parse(body)?;
        if request.anthropic_version.is_none() {
            return Err("anthropic_version: Field required".to_owned());
        }
        if request.model.is_some() {
            return Err("model: Extra inputs are not permitted".to_owned());
        }
        if request.stream.is_some() && !may_stream {
            return Err("stream: Extra inputs are not permitted".to_owned());
        }
        if request.messages.is_none() {
            return Err("messages: Field required".to_owned());
        }
        Ok(Self {
            model: model.to_owned(),
            streaming,
            include_usage: true,
            padded: false,
            prompt: measure(body),
            tool: request.tools.and_then(|tools| first_tool(tools.get(), "/0/name")),
        })
    }

    fn converse(body: &[u8], model: &str, streaming: bool) -> Result<Self, String> {
        let request: ConverseRequest<'_> = parse(body)?;
        if request.messages.is_none() {
            return Err("1 validation error detected: Value at 'messages' failed to satisfy constraint: Member must not be null".to_owned());
        }
        let tools = request.tool_config;
        Ok(Self {
            model: model.to_owned(),
            streaming,
            include_usage: true,
            padded: true,
            prompt: measure(body),
            tool: tools.and_then(|config| first_tool(config.get(), "/tools/0/toolSpec/name")),
        })
    }
}

impl Ask {
    fn generate(body: &[u8], model: &str, streaming: bool) -> Result<Self, String> {
        let request: GenerateRequest<'_> = parse(body)?;
        if request.contents.is_none() {
            return Err("* GenerateContentRequest.contents: contents is not specified\n".to_owned());
        }
        Ok(Self {
            model: model.to_owned(),
            streaming,
            include_usage: true,
            padded: false,
            prompt: measure(body),
            tool: request.tools.and_then(|tools| first_tool(tools.get(), "/0/functionDeclarations/0/name")),
        })
    }
}

impl Ask {
    fn responses(body: &[u8]) -> Result<Self, String> {
        let request: ResponsesRequest<'_> = parse(body)?;
        if request.input.is_none() {
            return Err("Missing required parameter: 'input'.".to_owned());
        }
        Ok(Self {
            model: request.model.ok_or("Missing required parameter: 'model'.")?,
            streaming: request.stream.unwrap_or(false),
            include_usage: true,
            padded: true,
            prompt: measure(body),
            tool: request.tools.and_then(|tools| first_tool(tools.get(), "/0/name")),
        })
    }

    fn kept(operation: &responses::Kept) -> Self {
        Self {
            model: "sim".to_owned(),
            streaming: matches!(operation, responses::Kept::Retrieve { streaming: true }),
            include_usage: true,
            padded: true,
            prompt: 0,
            tool: None,
        }
    }
}

#[derive(Deserialize)]
struct ResponsesRequest<'a> {
    model: Option<String>,
    stream: Option<bool>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GenerateRequest<'a> {
    #[serde(borrow)]
    contents: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChatRequest<'a> {
    model: Option<String>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    anthropic_version: Option<String>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
    include_obfuscation: Option<bool>,
}

#[derive(Deserialize)]
struct ConverseRequest<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow, rename = "toolConfig")]
    tool_config: Option<&'a RawValue>,
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|_| "We could not parse the JSON body of your request.".to_owned())
}

fn first_tool(json: &str, pointer: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    value.pointer(pointer)?.as_str().map(str::to_owned)
}

/// The simulator's measure of a prompt: one token per four bytes of the request's body, rounded up.
fn measure(body: &[u8]) -> u64 {
    (body.len() as u64).div_ceil(4)
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// The time that generating a whole answer takes: as long as streaming it would.
fn thinking(scenario: &Scenario) -> Duration {
    let tokens = scenario.tokens.saturating_add(scenario.reasoning);
    let steps = tokens.saturating_sub(1);
    let pace = match scenario.burst {
        0 => scenario.interval * steps,
        burst => scenario.gap * (steps / burst),
    };
    scenario.first_token_delay + pace
}

/// A string as JSON, quotes included.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The value of a response's `date` header.
fn date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

fn unix_nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
