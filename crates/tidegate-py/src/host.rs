//! Arguments as Python gives them, made into backends and what they are asked.
//!
//! What is not given is taken from the environment, by the SDK's variables. Every complaint names the argument. Called by
//! `call.rs`, before anything is sent.

use std::time::Duration;

use bytes::Bytes;
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyDict, PyMapping, PyString},
};
use serde_json::Value;
use tidegate::{
    AwsRole, AwsSource, ChatRequest, Clocks, EntraIdentity, EntraSource, GoogleSource, Host, Missing, Secret,
    model,
};
use tidegate_wire::{
    WireError,
    dialect::openai_chat::Inbound,
    host::{HOSTS, row},
};

use crate::{
    attempts::{Candidate, Origin, Plan},
    configuration::Configuration,
    convert, error,
};

/// The kind of host that a model's name begins with, and the host's own name for the model. A name without a slash is
/// OpenAI's; `provider` says the kind where the name does not.
///
/// # Errors
/// There is no such kind.
#[pyfunction]
#[pyo3(signature = (name, provider=None))]
pub(crate) fn split_model(py: Python<'_>, name: &str, provider: Option<&str>) -> PyResult<(String, String)> {
    let rest = |kind: &str| name.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
    let (kind, own) = match (provider, model::split(name)) {
        (Some(provider), _) => (provider, rest(provider)),
        (None, Some(split)) => split,
        (None, None) => ("openai", name),
    };
    if row(kind).is_some() && !own.is_empty() {
        return Ok((kind.to_owned(), own.to_owned()));
    }
    let hosts = HOSTS.iter().map(|row| row.name);
    let (argument, message) = match provider {
        Some(_) => {
            ("custom_llm_provider", format!("custom_llm_provider: {}", model::not_found(kind, [], hosts)))
        }
        None => ("model", model::not_found(name, [], hosts)),
    };
    let failure = WireError::bad_request(message).with_param(argument);
    Err(error::raised(py, "BadRequestError", &failure.into(), None))
}

/// What a call is to do, from its candidates: for each the fields of OpenAI's request and the settings.
///
/// # Errors
/// What is wrong with an argument.
pub(crate) fn plan<'py>(
    py: Python<'py>,
    candidates: Vec<(Bound<'py, PyDict>, Bound<'py, PyDict>)>,
    retries: u32,
    configuration: Option<&Configuration>,
) -> PyResult<Plan> {
    let mut made = Vec::with_capacity(candidates.len());
    let mut streaming = false;
    for (body, settings) in candidates {
        let candidate = candidate(py, &body, &Settings(settings), configuration)?;
        streaming |= candidate.request.stream.is_some();
        made.push(candidate);
    }
    Ok(Plan { candidates: made, retries, streaming })
}

fn candidate(
    py: Python<'_>,
    body: &Bound<'_, PyDict>,
    settings: &Settings<'_>,
    configuration: Option<&Configuration>,
) -> PyResult<Candidate> {
    let host = described(py, &settings.text("host")?.unwrap_or_default(), configuration)?;
    let (region, name) = aws_name(host.kind.name, settings.text("name")?.unwrap_or_default());
    let json = json(&name, body)?;
    let request = Inbound::parse(json).and_then(|inbound| inbound.decode());
    let request = request.map_err(|failure| error::of_configuration(py, &failure.into()))?;
    let host = with_settings(py, host, region, request.stream.is_some(), settings)?;
    let include_usage = request.stream.as_ref().and_then(|stream| stream.include_usage).unwrap_or(false);
    let origin = Origin { provider: host.kind.name, model: name.into(), include_usage };
    let request = ChatRequest { drop_params: settings.flag("drop_params")?, ..request };
    Ok(Candidate { host, request, origin })
}

/// The request with `model` as the backend names it.
fn json(name: &str, body: &Bound<'_, PyDict>) -> PyResult<Bytes> {
    let mut out = b"{\"model\":".to_vec();
    out.extend_from_slice(Value::from(name).to_string().as_bytes());
    for (field, value) in body.iter() {
        let field = field
            .cast_into::<PyString>()
            .map_err(|_| PyTypeError::new_err("extra_body: its keys must be str"))?;
        out.push(b',');
        out.extend_from_slice(Value::from(field.to_str()?).to_string().as_bytes());
        out.push(b':');
        convert::write_json(&value, field.to_str()?, &mut out)?;
    }
    out.push(b'}');
    Ok(out.into())
}

/// A Bedrock model may be named with its region, and with the operation that every call here uses.
fn aws_name(kind: &str, name: String) -> (Option<String>, String) {
    if kind != "bedrock" {
        return (None, name);
    }
    let name = name.strip_prefix("converse/").map(str::to_owned).unwrap_or(name);
    match name.split_once('/') {
        // An ARN has slashes too, and colons before them.
        Some((region, rest))
            if region.matches('-').count() >= 2 && tidegate::settings::region(region).is_ok() =>
        {
            (Some(region.to_owned()), rest.to_owned())
        }
        _ => (None, name),
    }
}

/// What is known of the host without this call's settings.
fn described(py: Python<'_>, name: &str, configuration: Option<&Configuration>) -> PyResult<Host> {
    if let Some(host) = configuration.and_then(|own| own.host(name)) {
        return Ok(host);
    }
    let environment = |name: &str| std::env::var(name).ok();
    Host::from_environment(name, &environment).map_err(|failure| error::of_configuration(py, &failure))
}

fn with_settings(
    py: Python<'_>,
    host: Host,
    region: Option<String>,
    streaming: bool,
    settings: &Settings<'_>,
) -> PyResult<Host> {
    let mut host = settings.credentials(py, host)?;
    if let Some(url) = settings.text("api_base")? {
        host = host.base_url(url);
    }
    if let Some(version) = settings.text("api_version")? {
        host = host.api_version(version);
    }
    if let Some(region) = settings.text("aws_region_name")?.or(region) {
        host = host.region(region);
    }
    if let Some(project) = settings.text("vertex_project")? {
        host = host.account(project);
    }
    if let Some(location) = settings.text("vertex_location")? {
        host = host.region(location);
    }
    for (name, value) in settings.headers()? {
        host = host.header(name, value);
    }
    host.clocks = settings.clocks(streaming)?.or(host.clocks);
    match host.check() {
        Ok(()) => Ok(host),
        Err(failure) => Err(unusable(py, &host, &failure)),
    }
}

fn unusable(py: Python<'_>, host: &Host, failure: &tidegate::Error) -> PyErr {
    let (class, argument) = match host.missing().first() {
        Some(Missing::Key) => ("AuthenticationError", "api_key"),
        Some(Missing::BaseUrl) => ("BadRequestError", "api_base"),
        Some(Missing::Region) => ("BadRequestError", "aws_region_name"),
        Some(Missing::Account) => ("BadRequestError", "api_base"),
        None => {
            let failure = WireError::bad_request(format!("{}: {}", host.kind.name, failure.message()));
            return error::raised(py, "BadRequestError", &failure.into(), None);
        }
    };
    let message = format!("{}: {}; or pass {argument}", host.kind.name, failure.message());
    let failure = WireError::bad_request(message).with_param(argument);
    error::raised(py, class, &failure.into(), None)
}

/// What a call says besides its request; there is no `None` among the values.
struct Settings<'py>(Bound<'py, PyDict>);

impl<'py> Settings<'py> {
    fn given(&self, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.get_item(name)
    }

    fn text(&self, name: &str) -> PyResult<Option<String>> {
        let Some(value) = self.given(name)? else { return Ok(None) };
        match value.cast::<PyString>() {
            Ok(text) => match text.to_str() {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(PyValueError::new_err(format!(
                    "{name}: the text has half a surrogate pair and is no UTF-8"
                ))),
            },
            Err(_) => Err(wrong_type(name, "a str", &value)),
        }
    }

    fn flag(&self, name: &str) -> PyResult<bool> {
        self.given(name)?.map_or(Ok(false), |value| value.is_truthy())
    }

    fn headers(&self) -> PyResult<Vec<(String, String)>> {
        let Some(given) = self.given("extra_headers")? else { return Ok(Vec::new()) };
        let mapping = given.cast::<PyMapping>().map_err(|_| wrong_type("extra_headers", "a dict", &given))?;
        let mut headers = Vec::new();
        for item in mapping.items()?.iter() {
            let pair = item
                .extract()
                .map_err(|_| PyTypeError::new_err("extra_headers: names and values must be str"))?;
            headers.push(pair);
        }
        Ok(headers)
    }

    /// Those given, else those found.
    fn credentials(&self, py: Python<'_>, found: Host) -> PyResult<Host> {
        if let Some(key) = self.text("api_key")? {
            return Ok(found.api_key(key));
        }
        if let Some(token) = self.text("azure_ad_token")? {
            return Ok(found.token(token));
        }
        if let Some(source) = self.entra(py)? {
            return Ok(found.entra(source));
        }
        if let Some(file) = self.text("vertex_credentials")? {
            if file.trim_start().starts_with('{') {
                return Err(error::bad_argument(
                    py,
                    "vertex_credentials",
                    "is the path of a file, not what is in it",
                ));
            }
            let credentials_file = Some(file.into());
            return Ok(found.google(GoogleSource { credentials_file, quota_project: None }));
        }
        let session = self.text("aws_session_token")?;
        let source = self.aws_source(py)?;
        match (self.text("aws_access_key_id")?, self.text("aws_secret_access_key")?) {
            (Some(_), Some(_)) if source.is_some() => {
                let why = "excludes aws_profile_name and aws_role_name; give one of them";
                Err(error::bad_argument(py, "aws_access_key_id", why))
            }
            (Some(id), Some(secret)) => Ok(found.aws_keys(id, secret, session)),
            (None, None) if session.is_none() => Ok(match source {
                Some(source) => found.aws_source(source),
                None => found,
            }),
            (None, _) => Err(error::bad_argument(
                py,
                "aws_access_key_id",
                "is missing beside the other half of the key",
            )),
            (_, None) => Err(error::bad_argument(
                py,
                "aws_secret_access_key",
                "is missing beside the other half of the key",
            )),
        }
    }

    /// An application of Entra ID, if one is given.
    fn entra(&self, py: Python<'_>) -> PyResult<Option<EntraSource>> {
        let (tenant_id, client_id) = (self.text("tenant_id")?, self.text("client_id")?);
        let scope = self.text("azure_scope")?;
        let identity = match (tenant_id, client_id, self.text("client_secret")?) {
            (None, None, None) => return Ok(None),
            (Some(tenant_id), Some(client_id), Some(secret)) => {
                EntraIdentity::ClientSecret { tenant_id, client_id, client_secret: Secret::new(secret) }
            }
            (None, ..) => return Err(error::bad_argument(py, "tenant_id", ENTRA_PART)),
            (_, None, _) => return Err(error::bad_argument(py, "client_id", ENTRA_PART)),
            (.., None) => return Err(error::bad_argument(py, "client_secret", ENTRA_PART)),
        };
        let authority_host = std::env::var("AZURE_AUTHORITY_HOST").ok().filter(|host| !host.is_empty());
        Ok(Some(EntraSource { identity, scope, authority_host }))
    }

    /// The profile and the role, if either is given.
    fn aws_source(&self, py: Python<'_>) -> PyResult<Option<AwsSource>> {
        let profile = self.text("aws_profile_name")?;
        let arn = self.text("aws_role_name")?;
        let (session_name, external_id) = (self.text("aws_session_name")?, self.text("aws_external_id")?);
        if arn.is_none() && (session_name.is_some() || external_id.is_some()) {
            let why = "is missing: aws_session_name and aws_external_id are of a role";
            return Err(error::bad_argument(py, "aws_role_name", why));
        }
        let role = arn.map(|arn| AwsRole { arn, session_name, external_id });
        Ok((profile.is_some() || role.is_some()).then_some(AwsSource { profile, role }))
    }

    /// A `timeout` is how long this program waits for anything to come: for the connection, the reply's head, its first token,
    /// the next piece; of a reply that is not streamed also for all of it.
    fn clocks(&self, streaming: bool) -> PyResult<Option<Clocks>> {
        let timeout = self.seconds("timeout")?;
        let timeout = if streaming { self.seconds("stream_timeout")?.or(timeout) } else { timeout };
        let Some(timeout) = timeout else { return Ok(None) };
        let default = Clocks::default();
        Ok(Some(Clocks {
            connect: default.connect.min(timeout),
            response_headers: timeout,
            first_token: timeout,
            idle: timeout,
            total: if streaming { default.total.max(timeout) } else { timeout },
        }))
    }

    fn seconds(&self, name: &str) -> PyResult<Option<Duration>> {
        let Some(value) = self.given(name)? else { return Ok(None) };
        let seconds: f64 = value.extract().map_err(|_| wrong_type(name, "a number of seconds", &value))?;
        if seconds == f64::INFINITY {
            return Ok(Some(LONGEST));
        }
        let positive = Duration::try_from_secs_f64(seconds).ok().filter(|timeout| !timeout.is_zero());
        let timeout = positive.ok_or_else(|| {
            PyValueError::new_err(format!("{name} must be a positive number of seconds, not {seconds}"))
        })?;
        Ok(Some(timeout.min(LONGEST)))
    }
}

fn wrong_type(name: &str, wanted: &str, found: &Bound<'_, PyAny>) -> PyErr {
    let kind = found.get_type().name().map_or_else(|_| "that".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{name} must be {wanted}, not {kind}"))
}

const ENTRA_PART: &str =
    "is missing beside the other parts of an application of Entra ID: tenant_id, client_id, client_secret";
/// A week: later than anybody waits, and sooner than a clock overflows.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
