//! The effective configuration as YAML: every key with the value in force, secrets redacted.
//!
//! What is printed can be read again; a secret then is the word `[redacted]`. Called by `tidegate check`.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use tidegate::{EntraIdentity, EntraSource, Host, Key};
use tidegate_engine::{Clocks, FetchRules, HttpVersion};
use tidegate_wire::host::{AuthScheme, ResponsesUse};

use crate::{Config, Limits, Listener, LogFormat};

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("listen:\n")?;
        self.listen.iter().try_for_each(|listener| write_listener(f, listener))?;
        match self.master_key {
            Some(_) => writeln!(f, "master_key: {REDACTED}")?,
            None => f.write_str("# master_key: none, so loopback only\n")?,
        }
        f.write_str("hosts:\n")?;
        for (name, host) in &self.hosts {
            write_host(f, name, host)?;
            writeln!(f, "    pass_through: {}", self.pass_through.contains(name))?;
        }
        if let Some(name) = &self.default_host {
            writeln!(f, "default_host: {}", quoted(name))?;
        }
        if !self.models.is_empty() {
            f.write_str("models:\n")?;
        }
        for model in &self.models {
            writeln!(f, "  {}: {}", quoted(&model.name), quoted(&model.target))?;
        }
        write_limits(f, &self.limits)?;
        writeln!(f, "drop_params: {}", self.drop_params)?;
        if let Some(rules) = &self.fetch_media {
            write_fetch_media(f, rules)?;
        }
        writeln!(f, "heartbeat: {}", time(self.heartbeat.unwrap_or_default()))?;
        writeln!(f, "user_timeout: {}", time(self.user_timeout))?;
        writeln!(f, "drain: {}", time(self.drain))?;
        self.write_connect(f)?;
        self.write_log(f)?;
        writeln!(f, "workers: {}", self.workers)
    }
}

impl Config {
    fn write_connect(&self, f: &mut impl Write) -> fmt::Result {
        f.write_str("connect:\n")?;
        if let Some(file) = &self.connect.ca_file {
            writeln!(f, "  ca_file: {}", quoted(&file.to_string_lossy()))?;
        }
        writeln!(f, "  proxy_from_env: {}", self.connect.proxy_from_env)?;
        writeln!(f, "  idle_timeout: {}", time(self.connect.idle_timeout))?;
        writeln!(f, "  user_timeout: {}", time(self.connect.user_timeout))
    }

    fn write_log(&self, f: &mut impl Write) -> fmt::Result {
        let format = match self.log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        writeln!(f, "log:\n  format: {format}\n  level: {}", self.log.level.name())?;
        match &self.log.file {
            Some(file) => writeln!(f, "  file: {}", quoted(&file.to_string_lossy())),
            None => Ok(()),
        }
    }
}

fn write_listener(f: &mut impl Write, listener: &Listener) -> fmt::Result {
    writeln!(f, "  - address: {}", quoted(&listener.address.to_string()))?;
    if let Some(tls) = &listener.tls {
        writeln!(f, "    tls:")?;
        writeln!(f, "      certificate: {}", quoted(&tls.certificate.to_string_lossy()))?;
        writeln!(f, "      key: {}", quoted(&tls.key.to_string_lossy()))?;
    }
    let versions = match (listener.http.http1, listener.http.http2) {
        (true, true) => "[1, 2]",
        (false, true) => "[2]",
        (_, false) => "[1]",
    };
    writeln!(f, "    half_close: {}\n    http: {versions}", listener.half_close)
}

fn write_host(f: &mut impl Write, name: &str, host: &Host) -> fmt::Result {
    writeln!(f, "  {}:\n    kind: {}", quoted(name), host.kind.name)?;
    match host.url() {
        Some(url) => writeln!(f, "    base_url: {}", quoted(&url))?,
        None if host.kind.google_scope.is_some() => {
            writeln!(f, "    # base_url and project: from Google's application default credentials")?;
        }
        None => writeln!(f, "    # base_url and region: from the AWS default chain")?,
    }
    if let Some(version) = &host.api_version {
        writeln!(f, "    api_version: {}", quoted(version))?;
    }
    if let Some(region) = &host.region {
        let name = if host.kind.auth == AuthScheme::Google { "location" } else { "region" };
        writeln!(f, "    {name}: {}", quoted(region))?;
    }
    if let Some(account) = &host.account {
        writeln!(f, "    {}: {}", host.kind.account_name(), quoted(account))?;
    }
    write_key(f, &host.key)?;
    if !host.headers.is_empty() {
        writeln!(f, "    headers:")?;
    }
    for (name, _) in &host.headers {
        writeln!(f, "      {}: {REDACTED}", quoted(name))?;
    }
    let version = match host.http {
        HttpVersion::Auto => "auto",
        HttpVersion::Http1 => "1",
        HttpVersion::Http2 => "2",
    };
    writeln!(f, "    http: {version}")?;
    match host.responses {
        ResponsesUse::Auto => {}
        ResponsesUse::Always => writeln!(f, "    responses: always")?,
        ResponsesUse::Never => writeln!(f, "    responses: never")?,
    }
    write_clocks(f, &host.clocks.unwrap_or_default())
}

fn write_key(f: &mut impl Write, key: &Key) -> fmt::Result {
    match key {
        Key::None => writeln!(f, "    # no key"),
        Key::ApiKey(_) => writeln!(f, "    api_key: {REDACTED}"),
        Key::Token(_) => writeln!(f, "    token: {REDACTED}"),
        Key::AwsChain(source) => {
            writeln!(f, "    # credentials: from the AWS default chain")?;
            let role = source.role.as_ref();
            for (name, value) in [
                ("profile", source.profile.as_ref()),
                ("role_arn", role.map(|role| &role.arn)),
                ("role_session_name", role.and_then(|role| role.session_name.as_ref())),
            ] {
                if let Some(value) = value {
                    writeln!(f, "    {name}: {}", quoted(value))?;
                }
            }
            match role.and_then(|role| role.external_id.as_ref()) {
                Some(_) => writeln!(f, "    external_id: {REDACTED}"),
                None => Ok(()),
            }
        }
        Key::Entra(source) => write_entra(f, source),
        Key::Google(source) => {
            writeln!(f, "    # credentials: {source}")?;
            if let Some(file) = &source.credentials_file {
                writeln!(f, "    credentials_file: {}", quoted(&file.to_string_lossy()))?;
            }
            match &source.quota_project {
                Some(project) => writeln!(f, "    quota_project: {}", quoted(project)),
                None => Ok(()),
            }
        }
        Key::AwsKeys { session_token, .. } => {
            writeln!(f, "    access_key_id: {REDACTED}\n    secret_access_key: {REDACTED}")?;
            match session_token {
                Some(_) => writeln!(f, "    session_token: {REDACTED}"),
                None => Ok(()),
            }
        }
    }
}

fn write_entra(f: &mut impl Write, source: &EntraSource) -> fmt::Result {
    writeln!(f, "    # credentials: tokens of {source}")?;
    writeln!(f, "    entra: {}", source.identity.name())?;
    let mut line = |name: &str, value: Option<&str>| match value {
        Some(value) => writeln!(f, "    {name}: {}", quoted(value)),
        None => Ok(()),
    };
    match &source.identity {
        EntraIdentity::Default => {}
        EntraIdentity::ClientSecret { tenant_id, client_id, .. } => {
            line("tenant_id", Some(tenant_id))?;
            line("client_id", Some(client_id))?;
            line("client_secret", Some("[redacted]"))?;
        }
        EntraIdentity::WorkloadIdentity { tenant_id, client_id, token_file } => {
            line("tenant_id", tenant_id.as_deref())?;
            line("client_id", client_id.as_deref())?;
            line("token_file", token_file.as_deref().map(|file| file.to_string_lossy()).as_deref())?;
        }
        EntraIdentity::ManagedIdentity { client_id } => line("client_id", client_id.as_deref())?,
        EntraIdentity::AzureCli { tenant_id } => line("tenant_id", tenant_id.as_deref())?,
    }
    line("scope", source.scope.as_deref())?;
    line("authority_host", source.authority_host.as_deref())
}

fn write_clocks(f: &mut impl Write, clocks: &Clocks) -> fmt::Result {
    let Clocks { connect, response_headers, first_token, idle, total } = *clocks;
    writeln!(f, "    clocks:")?;
    writeln!(f, "      connect: {}", time(connect))?;
    writeln!(f, "      response_headers: {}", time(response_headers))?;
    writeln!(f, "      first_token: {}", time(first_token))?;
    writeln!(f, "      idle: {}", time(idle))?;
    writeln!(f, "      total: {}", time(total))
}

fn write_limits(f: &mut impl Write, limits: &Limits) -> fmt::Result {
    let Limits { body, header_bytes, header_time, body_time, idle_time } = *limits;
    writeln!(f, "limits:\n  body: {}\n  header_bytes: {}", bytes(body), bytes(header_bytes))?;
    writeln!(f, "  header_time: {}\n  body_time: {}", time(header_time), time(body_time))?;
    writeln!(f, "  idle_time: {}", time(idle_time))
}

fn write_fetch_media(f: &mut impl Write, rules: &FetchRules) -> fmt::Result {
    let list = |items: Vec<String>| items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ");
    let FetchRules { hosts, networks, size, time: most } = rules;
    writeln!(f, "fetch_media:\n  hosts: [{}]", list(hosts.clone()))?;
    if !networks.is_empty() {
        writeln!(f, "  networks: [{}]", list(networks.iter().map(ToString::to_string).collect()))?;
    }
    writeln!(f, "  size: {}\n  time: {}", bytes(*size), time(*most))
}

/// In the largest unit that fits without a rest.
fn time(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let fits = units.into_iter().find(|(unit, _)| milliseconds > 0 && milliseconds.is_multiple_of(*unit));
    match fits {
        Some((unit, name)) => format!("{}{name}", milliseconds / unit),
        None if milliseconds == 0 => "0s".to_owned(),
        None => format!("{milliseconds}ms"),
    }
}

fn bytes(size: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units.into_iter().find(|(unit, _)| size.is_multiple_of(*unit));
    fits.map_or_else(|| size.to_string(), |(unit, name)| format!("{}{name}", size / unit))
}

/// A double-quoted YAML scalar; dollar signs doubled, as references are written with one.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '$' => quoted.push_str("$$"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Quoted, since a bare `[` begins a list.
const REDACTED: &str = "\"[redacted]\"";
