//! The `hosts` section: what the operator says about each backend, as the SDK crate's [`Host`].
//!
//! Which keys a host has depends on how its kind authenticates; the kinds themselves are rows of `tidegate-wire`, and what a host
//! needs and what its settings may be is the SDK crate's to say. Here is where in the file it stands. Called by `sections.rs`.

use std::path::PathBuf;

use tidegate::{
    AwsRole, AwsSource, EntraIdentity, EntraSource, GoogleSource, Host, Key, Missing, environment, settings,
};
use tidegate_engine::{Clocks, HttpVersion};
use tidegate_wire::{
    auth::Secret,
    host::{AuthScheme, Dialect, HOSTS, HostRow, ResponsesUse, row},
};

use crate::{
    reader::{Field, Report, Section, none_of},
    scalar,
};

/// Reads the section. The hosts that could not be read are missing, but their names are there, so that the
/// models that lead to them are not called wrong too.
pub(super) fn read<'t>(field: &Field<'t>, report: &mut Report<'_>) -> Read<'t> {
    let mut read = Read::default();
    let Some(section) = Section::open(field, report) else { return read };
    let Read { hosts, names, pass_through } = &mut read;
    for (name, position, field) in section.fields() {
        names.push(name);
        if let Err(why) = settings::host_name(name) {
            report.error(position, &field.path, why);
            continue;
        }
        let mut open = false;
        hosts.extend(host(name, &field, &mut open, report).map(|host| (name.to_owned(), host)));
        pass_through.extend(open.then(|| name.to_owned()));
    }
    read
}

/// What the section says.
#[derive(Default)]
pub(super) struct Read<'t> {
    /// The hosts that could be read.
    pub(super) hosts: Vec<(String, Host)>,
    /// The names of all.
    pub(super) names: Vec<&'t str>,
    /// The names of those whose whole API callers may reach.
    pub(super) pass_through: Vec<String>,
}

/// `open` becomes whether callers may reach its whole API.
fn host(name: &str, field: &Field<'_>, open: &mut bool, report: &mut Report<'_>) -> Option<Host> {
    let row = kind(name, field, report);
    let known: Vec<&str> = match row {
        Some(row) => {
            let account = names_account(row).then(|| row.account_name());
            let entra = row.entra_scope.map_or(&[][..], |_| ENTRA_KEYS);
            let adc = row.google_scope.map_or(&[][..], |_| ADC_KEYS);
            let responses = (row.dialect == Dialect::OpenaiChat).then_some(RESPONSES_KEY);
            let keys = COMMON_KEYS.iter().chain(keys(row.auth)).chain(entra).chain(adc).copied();
            keys.chain(account).chain(responses).collect()
        }
        None => {
            let all = COMMON_KEYS.iter().chain(AZURE_KEYS).chain(ENTRA_KEYS).chain(AWS_KEYS).copied();
            all.chain([RESPONSES_KEY]).collect()
        }
    };
    let section = Section::of(field, &known, report)?;
    let clocks = section.field("clocks").map(|field| clocks(&field, report));
    let headers = section.field("headers").map(|field| headers(&field, report));
    let mut http = HttpVersion::default();
    section.read("http", &mut http, report, http_version);
    let mut responses = ResponsesUse::default();
    section.read(RESPONSES_KEY, &mut responses, report, responses_use);
    section.read("pass_through", open, report, scalar::boolean);
    let base_url = section.field("base_url").map(|field| base_url(&field, report));
    let mut host = Host::new(row?);
    host.clocks = clocks;
    host.headers = headers.unwrap_or_default();
    host.http = http;
    host.responses = responses;
    // Here and below: what is given but wrong has its own problem, and counts as given, so that it is not called missing too.
    host.base_url = base_url.map(Option::unwrap_or_default);
    host.account = account(host.kind, &section, report);
    match host.kind.auth {
        AuthScheme::Bearer => host.key = given(&section, "api_key", report).map_or(Key::None, Key::ApiKey),
        AuthScheme::Azure => azure(&mut host, &section, report),
        AuthScheme::Anthropic => host.key = key_or_token(&section, report),
        AuthScheme::Google => google(&mut host, &section, report),
        AuthScheme::Aws { .. } => aws(&mut host, &section, report),
    }
    if host.kind.entra_scope.is_some() {
        entra(&mut host, &section, report);
    }
    host.missing().into_iter().for_each(|what| missing(what, host.kind, &section, report));
    Some(host)
}

/// The file that a credential is in.
pub(super) fn file_of(key: &mut Key) -> Option<&mut PathBuf> {
    match key {
        Key::Google(GoogleSource { credentials_file, .. }) => credentials_file.as_mut(),
        Key::Entra(EntraSource { identity: EntraIdentity::WorkloadIdentity { token_file, .. }, .. }) => {
            token_file.as_mut()
        }
        _ => None,
    }
}

/// Says where in the file something has to be added.
fn missing(what: Missing, kind: &HostRow, section: &Section<'_>, report: &mut Report<'_>) {
    let (path, message) = match (what, kind.auth) {
        (Missing::BaseUrl, AuthScheme::Azure) => {
            let message = "needs a base_url: the resource's endpoint, such as https://NAME.openai.azure.com";
            (section.path().to_owned(), message.to_owned())
        }
        (Missing::BaseUrl, _) => {
            (section.path().to_owned(), format!("needs a base_url: {} has no address of its own", kind.name))
        }
        (Missing::Key, AuthScheme::Azure) => (
            section.path().to_owned(),
            "no credential: give api_key, or entra with what it needs, or token".to_owned(),
        ),
        (Missing::Key, AuthScheme::Google) if kind.variables.api_key.is_empty() => {
            (section.path().to_owned(), "no credential: give token".to_owned())
        }
        (Missing::Key, _) => {
            let variable = kind.variables.api_key.first().copied().unwrap_or("KEY");
            let message = format!("missing; write for example `api_key: \"${{{variable}}}\"`");
            (section.path_of("api_key"), message)
        }
        (Missing::Region, AuthScheme::Google) => {
            let message = "missing; give a region such as europe-west4, or global";
            (section.path_of("location"), message.to_owned())
        }
        (Missing::Region, _) => {
            let message = "the region is missing; give one such as eu-central-1, or set AWS_REGION";
            (section.path_of("region"), message.to_owned())
        }
        (Missing::Account, _) => {
            let name = kind.account_name();
            (section.path_of(name), format!("missing: the URL of {} names it", kind.name))
        }
    };
    report.error(section.position, &path, message);
}

/// A secret, if its key is there.
fn given(section: &Section<'_>, key: &str, report: &mut Report<'_>) -> Option<Secret> {
    let field = section.field(key)?;
    Some(Secret::new(field.text(report).unwrap_or_default()))
}

/// The kind that `kind` names, else the one that the host is named after.
fn kind(name: &str, field: &Field<'_>, report: &mut Report<'_>) -> Option<&'static HostRow> {
    let kinds: Vec<&str> =
        HOSTS.iter().flat_map(|row| [row.name].into_iter().chain(row.aliases.iter().copied())).collect();
    let said = match &field.node.value {
        crate::tree::Value::Map(entries) => entries.iter().find(|entry| entry.key == "kind"),
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
        AuthScheme::Google => GOOGLE_KEYS,
        AuthScheme::Azure => AZURE_KEYS,
        AuthScheme::Anthropic => ANTHROPIC_KEYS,
        AuthScheme::Aws { .. } => AWS_KEYS,
    }
}

fn names_account(kind: &HostRow) -> bool {
    kind.default_base_url.is_some_and(|url| url.contains("{account}"))
}

/// What is given, if the kind has one.
fn account(kind: &HostRow, section: &Section<'_>, report: &mut Report<'_>) -> Option<String> {
    let field = section.field(kind.account_name()).filter(|_| names_account(kind))?;
    Some(field.parse(report, settings::account).unwrap_or_default())
}

fn azure(host: &mut Host, section: &Section<'_>, report: &mut Report<'_>) {
    if let Some(field) = section.field("api_version") {
        host.api_version = field.parse(report, settings::api_version);
    }
    host.key = key_or_token(section, report);
}

/// Entra ID, if any of its keys is there. `entra` may be left out where the others say what is meant.
fn entra(host: &mut Host, section: &Section<'_>, report: &mut Report<'_>) {
    let Some(first) = ENTRA_KEYS.iter().find(|key| section.field(key).is_some()) else { return };
    if host.key != Key::None {
        let other = if section.field("api_key").is_some() { "api_key" } else { "token" };
        report.error(
            section.position,
            section.path(),
            format!("{other} and {first} exclude each other; remove one"),
        );
        return;
    }
    let mut text = |key: &str| section.field(key).and_then(|field| field.text(report));
    let (tenant_id, client_id, token_file) = (text("tenant_id"), text("client_id"), text("token_file"));
    let identity = match section.field("entra") {
        Some(field) => field.parse(report, entra_name),
        None if section.field("client_secret").is_some() => Some("client_secret"),
        None if section.field("token_file").is_some() => Some("workload_identity"),
        None => {
            report.error(
                section.position,
                &section.path_of("entra"),
                format!("missing, while {first} is given"),
            );
            None
        }
    };
    let (used, identity): (&[&str], _) = match identity {
        None => (ENTRA_KEYS, EntraIdentity::Default),
        Some("client_secret") => {
            let secret = given(section, "client_secret", report);
            for key in ["tenant_id", "client_id", "client_secret"] {
                if section.field(key).is_none() {
                    let message =
                        "missing: an application is known by its tenant_id, client_id and client_secret";
                    report.error(section.position, &section.path_of(key), message);
                }
            }
            // What is missing has its own problem, and so is not called wrong too.
            let identity = match (tenant_id, client_id, secret) {
                (Some(tenant_id), Some(client_id), Some(client_secret)) => {
                    EntraIdentity::ClientSecret { tenant_id, client_id, client_secret }
                }
                _ => EntraIdentity::Default,
            };
            (&["tenant_id", "client_id", "client_secret"], identity)
        }
        Some("workload_identity") => {
            let token_file = token_file.map(Into::into);
            let identity = EntraIdentity::WorkloadIdentity { tenant_id, client_id, token_file };
            (&["tenant_id", "client_id", "token_file"], identity)
        }
        Some("managed_identity") => (&["client_id"], EntraIdentity::ManagedIdentity { client_id }),
        Some("azure_cli") => (&["tenant_id"], EntraIdentity::AzureCli { tenant_id }),
        Some(_) => (&[], EntraIdentity::Default),
    };
    for key in ENTRA_IDENTITY_KEYS.iter().filter(|key| !used.contains(key) && section.field(key).is_some()) {
        let message = format!("not used by entra: {}", identity.name());
        report.error(section.position, &section.path_of(key), message);
    }
    let mut text = |key: &str| section.field(key).and_then(|field| field.text(report));
    let source = EntraSource { identity, scope: text("scope"), authority_host: text("authority_host") };
    if let Err((key, why)) = settings::entra(&source) {
        report.error(section.position, &section.path_of(key), why);
    }
    host.key = Key::Entra(source);
}

fn entra_name(text: &str) -> Result<&'static str, String> {
    let names = ["default", "client_secret", "workload_identity", "managed_identity", "azure_cli"];
    names.into_iter().find(|name| *name == text).ok_or_else(|| format!("is none of {}", names.join(", ")))
}

fn google(host: &mut Host, section: &Section<'_>, report: &mut Report<'_>) {
    if let Some(field) = section.field("location") {
        host.region = Some(field.parse(report, settings::region).unwrap_or_default());
    }
    let given = key_or_token(section, report);
    let adc = ADC_KEYS.iter().find(|key| section.field(key).is_some());
    if given == Key::None && (adc.is_some() || host.base_url.is_none()) && host.kind.google_scope.is_some() {
        let credentials_file = section.path_buf("credentials_file", report);
        let quota_project =
            section.field("quota_project").and_then(|field| field.parse(report, settings::account));
        host.key = Key::Google(GoogleSource { credentials_file, quota_project });
        return;
    }
    if let Some(adc) = adc {
        let other = if section.field("api_key").is_some() { "api_key" } else { "token" };
        report.error(
            section.position,
            section.path(),
            format!("{other} and {adc} exclude each other; remove one"),
        );
    }
    host.key = given;
}

fn key_or_token(section: &Section<'_>, report: &mut Report<'_>) -> Key {
    let key = given(section, "api_key", report).map(Key::ApiKey);
    let token = given(section, "token", report).map(Key::Token);
    if key.is_some() && token.is_some() {
        report.error(section.position, section.path(), "api_key and token exclude each other; remove one");
    }
    key.or(token).unwrap_or(Key::None)
}

fn aws(host: &mut Host, section: &Section<'_>, report: &mut Report<'_>) {
    host.region = match section.field("region") {
        Some(field) => Some(field.parse(report, settings::region).unwrap_or_default()),
        None => environment::aws_region(report.environment),
    };
    host.key = match given(section, "api_key", report) {
        Some(key) => {
            let signing =
                AWS_SIGNING_KEYS.iter().chain(AWS_CHAIN_KEYS).find(|key| section.field(key).is_some());
            if let Some(other) = signing {
                let message = format!("api_key and {other} exclude each other; remove one");
                report.error(section.position, section.path(), message);
            }
            Key::ApiKey(key)
        }
        None => aws_keys(section, report),
    };
    let unused = (report.environment)("AWS_BEARER_TOKEN_BEDROCK").is_some_and(|value| !value.is_empty());
    if matches!(host.key, Key::AwsChain(_)) && unused {
        let message = "AWS_BEARER_TOKEN_BEDROCK is set but not used here; \
                       to use it, write `api_key: ${AWS_BEARER_TOKEN_BEDROCK}`";
        report.warning(section.position, section.path(), message);
    }
}

fn aws_keys(section: &Section<'_>, report: &mut Report<'_>) -> Key {
    let id = given(section, "access_key_id", report);
    let secret = given(section, "secret_access_key", report);
    let session_token = given(section, "session_token", report);
    let there = |key: &str| section.field(key).is_some();
    for (one, other) in [
        ("access_key_id", "secret_access_key"),
        ("secret_access_key", "access_key_id"),
        ("session_token", "access_key_id"),
    ] {
        if there(one) && !there(other) {
            report.error(section.position, &section.path_of(other), format!("missing, while {one} is given"));
        }
    }
    match (id, secret) {
        (Some(access_key_id), Some(secret_access_key)) => {
            if let Some(other) = AWS_CHAIN_KEYS.iter().find(|key| there(key)) {
                let message = format!("access_key_id and {other} exclude each other; remove one");
                report.error(section.position, section.path(), message);
            }
            Key::AwsKeys { access_key_id, secret_access_key, session_token }
        }
        _ => Key::AwsChain(aws_source(section, report)),
    }
}

fn aws_source(section: &Section<'_>, report: &mut Report<'_>) -> AwsSource {
    let mut text = |key: &str| section.field(key).and_then(|field| field.text(report));
    let (profile, arn) = (text("profile"), text("role_arn"));
    let (session_name, external_id) = (text("role_session_name"), text("external_id"));
    let role = arn.map(|arn| AwsRole { arn, session_name, external_id });
    for key in ["role_session_name", "external_id"] {
        if section.field(key).is_some() && section.field("role_arn").is_none() {
            report.error(
                section.position,
                &section.path_of("role_arn"),
                format!("missing, while {key} is given"),
            );
        }
    }
    AwsSource { profile, role }
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

fn headers(field: &Field<'_>, report: &mut Report<'_>) -> Vec<(String, Secret)> {
    let mut headers: Vec<(String, Secret)> = Vec::new();
    let Some(section) = Section::open(field, report) else { return headers };
    for (name, position, field) in section.fields() {
        let header = match settings::header_name(name) {
            Ok(header) => header,
            Err(why) => {
                report.error(position, &field.path, why);
                continue;
            }
        };
        let Some(text) = field.text(report) else { continue };
        match settings::header_value(&text) {
            Ok(_) => {
                headers.retain(|(other, _)| header != other.as_str());
                headers.push((header.as_str().to_owned(), Secret::new(text)));
            }
            Err(why) => field.error(report, why),
        }
    }
    headers
}

fn base_url(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = field.text(report)?;
    if settings::url_holds_secret(&text) {
        field.error(report, settings::URL_HOLDS_SECRET);
        return None;
    }
    field.parse(report, settings::base_url)
}

fn http_version(text: &str) -> Result<HttpVersion, String> {
    match text {
        "auto" => Ok(HttpVersion::Auto),
        "1" => Ok(HttpVersion::Http1),
        "2" => Ok(HttpVersion::Http2),
        _ => Err("is none of auto, 1, 2".to_owned()),
    }
}

fn responses_use(text: &str) -> Result<ResponsesUse, String> {
    match text {
        "auto" => Ok(ResponsesUse::Auto),
        "always" => Ok(ResponsesUse::Always),
        "never" => Ok(ResponsesUse::Never),
        _ => Err("is none of auto, always, never".to_owned()),
    }
}

const RESPONSES_KEY: &str = "responses";
const COMMON_KEYS: &[&str] = &["kind", "base_url", "headers", "http", "clocks", "pass_through"];
const BEARER_KEYS: &[&str] = &["api_key"];
const AZURE_KEYS: &[&str] = &["api_key", "token", "api_version"];
/// Of hosts that take tokens of Entra ID.
const ENTRA_KEYS: &[&str] =
    &["entra", "tenant_id", "client_id", "client_secret", "token_file", "scope", "authority_host"];
/// Those of them that say who asks.
const ENTRA_IDENTITY_KEYS: &[&str] = &["tenant_id", "client_id", "client_secret", "token_file"];
/// Of hosts that take tokens of Google Cloud.
const ADC_KEYS: &[&str] = &["credentials_file", "quota_project"];
const ANTHROPIC_KEYS: &[&str] = &["api_key", "token"];
const GOOGLE_KEYS: &[&str] = &["api_key", "token", "location"];
const AWS_KEYS: &[&str] = &[
    "api_key",
    "region",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "profile",
    "role_arn",
    "role_session_name",
    "external_id",
];
const AWS_SIGNING_KEYS: &[&str] = &["access_key_id", "secret_access_key", "session_token"];
const AWS_CHAIN_KEYS: &[&str] = &["profile", "role_arn", "role_session_name", "external_id"];
