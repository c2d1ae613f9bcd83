//! The `hosts` section: what the operator says about each backend.
//!
//! Which keys a host has depends on how its kind authenticates; the kinds themselves are rows of `tidegate-wire`. Called by
//! `sections.rs`; `discover.rs` makes the same [`Host`] from the environment.

use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate_engine::{Clocks, HttpVersion};
use tidegate_wire::{
    auth::Secret,
    host::{AuthScheme, HOSTS, HostRow, row},
};

use super::{
    Environment,
    reader::{Field, Report, Section, none_of},
    scalar,
};

/// A backend as the operator described it.
#[derive(Clone, Debug)]
pub struct Host {
    /// What its models are prefixed with.
    pub name: String,
    /// Its kind.
    pub row: &'static HostRow,
    /// Without a trailing slash. `None`: the kind's default, as soon as the region is known.
    pub base_url: Option<String>,
    /// Azure's `api-version`; `None` is the v1 surface.
    pub api_version: Option<String>,
    /// AWS region; `None` for other kinds, and where the AWS default chain is to find it.
    pub region: Option<String>,
    /// Sent with every request. Every value is marked as sensitive.
    pub headers: HeaderMap,
    /// HTTP version to speak.
    pub http: HttpVersion,
    /// Deadlines.
    pub clocks: Clocks,
    /// How to authenticate.
    pub key: Key,
}

/// What a host authenticates us by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Nothing: a local server.
    None,
    /// The kind's API key.
    ApiKey(Secret),
    /// A token of Entra ID.
    Token(Secret),
    /// AWS access key.
    AwsKeys {
        /// Its id.
        access_key_id: Secret,
        /// The secret.
        secret_access_key: Secret,
        /// For temporary credentials.
        session_token: Option<Secret>,
    },
    /// Whatever the AWS default chain finds.
    AwsChain,
}

impl Host {
    /// A host of kind `row` with default deadlines.
    pub(super) fn new(name: &str, row: &'static HostRow, key: Key) -> Self {
        Self {
            name: name.to_owned(),
            row,
            base_url: None,
            api_version: None,
            region: None,
            headers: HeaderMap::new(),
            http: HttpVersion::default(),
            clocks: Clocks::default(),
            key,
        }
    }

    /// The URL to use once `region` is known; `None` if it is not, or if the kind has no default.
    pub(super) fn url(&self, region: Option<&str>) -> Option<String> {
        let default = || match (self.row.default_base_url?, region) {
            (default, Some(region)) => Some(default.replace(REGION, region)),
            (default, None) => (!default.contains(REGION)).then(|| default.to_owned()),
        };
        self.base_url.clone().or_else(default)
    }
}

/// Reads the section. The hosts that could not be read are missing, but their names are in the second list, so that the
/// models that lead to them are not called wrong too.
pub(super) fn read<'t>(field: &Field<'t>, report: &mut Report<'_>) -> (Vec<Host>, Vec<&'t str>) {
    let Some(section) = Section::open(field, report) else { return (Vec::new(), Vec::new()) };
    let (mut hosts, mut names) = (Vec::new(), Vec::new());
    for (name, position, field) in section.fields() {
        names.push(name);
        if name.is_empty() || name.contains('/') || name.contains(char::is_whitespace) {
            let message = "a host's name has no slash and no space: models are addressed as name/model";
            report.error(position, &field.path, message);
            continue;
        }
        hosts.extend(host(name, &field, report));
    }
    (hosts, names)
}

fn host(name: &str, field: &Field<'_>, report: &mut Report<'_>) -> Option<Host> {
    let row = kind(name, field, report);
    let known: Vec<&str> = match row {
        Some(row) => COMMON_KEYS.iter().chain(keys(row.auth)).copied().collect(),
        None => COMMON_KEYS.iter().chain(AZURE_KEYS).chain(AWS_KEYS).copied().collect(),
    };
    let section = Section::of(field, &known, report)?;
    let clocks = section.field("clocks").map(|field| clocks(&field, report));
    let headers = section.field("headers").map(|field| headers(&field, report));
    let mut http = HttpVersion::default();
    section.read("http", &mut http, report, http_version);
    let base_url = section.field("base_url").map(|field| base_url(&field, report));
    let mut host = Host::new(name, row?, Key::None);
    host.clocks = clocks.unwrap_or_default();
    host.headers = headers.unwrap_or_default();
    host.http = http;
    match (&base_url, row?.default_base_url) {
        (None, None) => report.error(section.position, &field.path, missing_base_url(row?)),
        _ => host.base_url = base_url.flatten(),
    }
    match row?.auth {
        AuthScheme::Bearer => bearer(&mut host, &section, report),
        AuthScheme::Azure => azure(&mut host, &section, report),
        AuthScheme::Aws { .. } => aws(&mut host, &section, report),
    }
    Some(host)
}

/// The kind that `kind` names, else the one that the host is named after.
fn kind(name: &str, field: &Field<'_>, report: &mut Report<'_>) -> Option<&'static HostRow> {
    let kinds: Vec<&str> = HOSTS.iter().map(|row| row.name).collect();
    let said = match &field.node.value {
        super::tree::Value::Map(entries) => entries.iter().find(|entry| entry.key == "kind"),
        _ => None,
    };
    if let Some(entry) = said {
        let field = Field { node: &entry.node, path: format!("{}.kind", field.path) };
        return field.parse(report, |text| {
            row(text).ok_or_else(|| format!("is an {}", none_of("kind of host", text, &kinds)))
        });
    }
    let found = row(name);
    if found.is_none() {
        let what = none_of("kind of host", name, &kinds);
        field.error(report, format!("{what}; a host with a name of its own says which with `kind:`"));
    }
    found
}

fn keys(auth: AuthScheme) -> &'static [&'static str] {
    match auth {
        AuthScheme::Bearer => BEARER_KEYS,
        AuthScheme::Azure => AZURE_KEYS,
        AuthScheme::Aws { .. } => AWS_KEYS,
    }
}

fn bearer(host: &mut Host, section: &Section<'_>, report: &mut Report<'_>) {
    match section.secret("api_key", report) {
        Some(key) => host.key = Key::ApiKey(key),
        // A server of one's own often wants no key; the vendor always does.
        None if host.base_url.is_some() || section.field("base_url").is_some() => {}
        None if section.field("api_key").is_some() => {}
        None => {
            let variable = host.row.name.to_ascii_uppercase();
            let message = format!("missing; write for example `api_key: \"${{{variable}_API_KEY}}\"`");
            report.error(section.position, &section.path_of("api_key"), message);
        }
    }
}

fn azure(host: &mut Host, section: &Section<'_>, report: &mut Report<'_>) {
    if let Some(field) = section.field("api_version") {
        host.api_version = field.parse(report, api_version);
    }
    let given = (section.field("api_key").is_some(), section.field("token").is_some());
    let key = section.secret("api_key", report).map(Key::ApiKey);
    let token = section.secret("token", report).map(Key::Token);
    match given {
        (false, false) => {
            let message = "no credential: give api_key, or token for Entra ID";
            report.error(section.position, section.path(), message);
        }
        (true, true) => {
            let message = "api_key and token exclude each other; remove one";
            report.error(section.position, section.path(), message);
        }
        _ => host.key = key.or(token).unwrap_or(Key::None),
    }
}

fn aws(host: &mut Host, section: &Section<'_>, report: &mut Report<'_>) {
    host.region = match section.field("region") {
        Some(field) => field.parse(report, region),
        None => region_of(report.environment),
    };
    host.key = match section.secret("api_key", report) {
        Some(key) => {
            let signing = AWS_SIGNING_KEYS.iter().find(|key| section.field(key).is_some());
            if let Some(other) = signing {
                let message = format!("api_key and {other} exclude each other; remove one");
                report.error(section.position, section.path(), message);
            }
            Key::ApiKey(key)
        }
        None => aws_keys(section, report),
    };
    let region_missing = host.region.is_none() && section.field("region").is_none();
    let region_needed = match host.key {
        Key::AwsKeys { .. } => true,
        // The chain finds one; a bearer key needs it only for the default URL.
        Key::AwsChain => false,
        _ => section.field("base_url").is_none(),
    };
    if region_missing && region_needed {
        let message = "the region is missing; give one such as eu-central-1, or set AWS_REGION";
        report.error(section.position, &section.path_of("region"), message);
    }
    let unused = (report.environment)("AWS_BEARER_TOKEN_BEDROCK").is_some_and(|value| !value.is_empty());
    if host.key == Key::AwsChain && unused {
        let message = "AWS_BEARER_TOKEN_BEDROCK is set but not used here; \
                       to use it, write `api_key: ${AWS_BEARER_TOKEN_BEDROCK}`";
        report.warning(section.position, section.path(), message);
    }
}

fn aws_keys(section: &Section<'_>, report: &mut Report<'_>) -> Key {
    let id = section.secret("access_key_id", report);
    let secret = section.secret("secret_access_key", report);
    let session_token = section.secret("session_token", report);
    let given = |key: &str| section.field(key).is_some();
    for (one, other) in [
        ("access_key_id", "secret_access_key"),
        ("secret_access_key", "access_key_id"),
        ("session_token", "access_key_id"),
    ] {
        if given(one) && !given(other) {
            report.error(section.position, &section.path_of(other), format!("missing, while {one} is given"));
        }
    }
    match (id, secret) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Key::AwsKeys { access_key_id, secret_access_key, session_token }
        }
        _ => Key::AwsChain,
    }
}

fn clocks(field: &Field<'_>, report: &mut Report<'_>) -> Clocks {
    let mut clocks = Clocks::default();
    let known = ["connect", "response_headers", "first_token", "idle", "total"];
    if let Some(section) = Section::of(field, &known, report) {
        section.read("connect", &mut clocks.connect, report, scalar::positive_duration);
        section.read("response_headers", &mut clocks.response_headers, report, scalar::positive_duration);
        section.read("first_token", &mut clocks.first_token, report, scalar::positive_duration);
        section.read("idle", &mut clocks.idle, report, scalar::positive_duration);
        section.read("total", &mut clocks.total, report, scalar::positive_duration);
    }
    clocks
}

fn headers(field: &Field<'_>, report: &mut Report<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(section) = Section::open(field, report) else { return headers };
    for (name, position, field) in section.fields() {
        let header = match HeaderName::from_bytes(name.as_bytes()) {
            Ok(header) if OWN_HEADERS.contains(&header.as_str()) => {
                report.error(position, &field.path, "this header is set by Tidegate itself");
                continue;
            }
            Ok(header) => header,
            Err(_) => {
                report.error(position, &field.path, "is not a header's name");
                continue;
            }
        };
        let Some(text) = field.text(report) else { continue };
        match HeaderValue::from_str(&text) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.insert(header, value);
            }
            Err(_) => field.error(report, "a header's value may hold no line break or control character"),
        }
    }
    headers
}

fn base_url(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = field.text(report)?;
    if scalar::url_holds_secret(&text) {
        field.error(report, URL_HOLDS_SECRET);
        return None;
    }
    field.parse(report, scalar::base_url)
}

fn http_version(text: &str) -> Result<HttpVersion, String> {
    match text {
        "auto" => Ok(HttpVersion::Auto),
        "1" => Ok(HttpVersion::Http1),
        "2" => Ok(HttpVersion::Http2),
        _ => Err("is none of auto, 1, 2".to_owned()),
    }
}

/// An API version goes into URLs as it is.
pub(super) fn api_version(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(text.to_owned());
    }
    Err("is not an API version; write one such as 2024-10-21, or leave the key out for the v1 API".to_owned())
}

/// A region goes into host names as it is.
pub(super) fn region(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Ok(text.to_owned());
    }
    Err("is not an AWS region; write one such as eu-central-1".to_owned())
}

/// The region that the AWS tools would take from the environment.
pub(super) fn region_of(environment: Environment<'_>) -> Option<String> {
    let names = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"];
    names
        .into_iter()
        .filter_map(environment)
        .find_map(|value| region(&value).ok().filter(|it| !it.is_empty()))
}

fn missing_base_url(row: &HostRow) -> String {
    match row.auth {
        AuthScheme::Azure => {
            "needs a base_url: the resource's endpoint, such as https://NAME.openai.azure.com".to_owned()
        }
        _ => format!("needs a base_url: {} has no address of its own", row.name),
    }
}

pub(super) const URL_HOLDS_SECRET: &str =
    "a base URL holds no user, query or fragment; give credentials by their own keys";
const REGION: &str = "{region}";
const COMMON_KEYS: &[&str] = &["kind", "base_url", "headers", "http", "clocks"];
const BEARER_KEYS: &[&str] = &["api_key"];
const AZURE_KEYS: &[&str] = &["api_key", "token", "api_version"];
const AWS_KEYS: &[&str] = &["api_key", "region", "access_key_id", "secret_access_key", "session_token"];
const AWS_SIGNING_KEYS: &[&str] = &["access_key_id", "secret_access_key", "session_token"];
/// Framing and routing of the connection, and what the signature is made of.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
