//! The whole file: its top-level keys, each section's own keys and defaults.
//!
//! Called by `config::parse` and `config::load`, which says in which folder relative paths start.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tidegate_engine::FetchRules;

use crate::{
    Config, Environment, HttpVersions, Limits, Listener, Loaded, Log, LogFormat, LogLevel, TlsFiles, hosts,
    mask::{Mask, unparsed_line},
    models,
    problem::{Position, Problem, Severity},
    reader::{Field, Report, Section},
    scalar, tree,
};

/// What of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
    Gateway,
    /// What it says of backends: hosts, models, how to connect. The rest is looked at for its keys only.
    Backends,
}

/// Reads `text`. With a `folder`, relative paths start there, and the files named are opened to see whether they can be.
pub(super) fn parse(
    file: &str,
    text: &str,
    environment: Environment<'_>,
    folder: Option<&Path>,
    scope: Scope,
) -> Loaded {
    let root = match tree::read(text) {
        Ok(root) => root,
        Err((position, why)) => return Loaded::failed(syntax_problem(file, text, position, &why)),
    };
    let mask = Mask::of(&root, text);
    let mut report = Report { file, text, mask, environment, problems: Vec::new() };
    let field = Field { node: &root, path: String::new() };
    let mut config = Config::default();
    if let Some(section) = Section::of(&field, TOP_KEYS, &mut report) {
        let mut reading = Reading { section: &section, config: &mut config, folder };
        reading.backends(&mut report);
        if scope == Scope::Gateway {
            reading.callers(&mut report);
        }
    }
    Loaded::of(config, report.problems)
}

fn syntax_problem(file: &str, text: &str, position: Option<Position>, why: &str) -> Problem {
    let line = position.and_then(|position| text.lines().nth(position.line.saturating_sub(1)));
    let hint = match line {
        Some(line) if line.contains("${") && !line.contains("\"${") => {
            "; inside `{ }` a reference needs quotes: \"${NAME}\""
        }
        Some(line) if line.trim_start_matches(' ').starts_with('\t') => {
            "; YAML indents with spaces, not tabs"
        }
        _ => "",
    };
    Problem {
        position,
        excerpt: position.and_then(|position| unparsed_line(text, position.line)),
        ..Problem::nowhere(Severity::Error, file, "", format!("not valid YAML: {why}{hint}"))
    }
}

/// One pass over the top level.
struct Reading<'r, 't> {
    section: &'r Section<'t>,
    config: &'r mut Config,
    folder: Option<&'r Path>,
}

impl Reading<'_, '_> {
    fn backends(&mut self, report: &mut Report<'_>) {
        self.hosts_and_models(report);
        self.connect(report);
    }

    fn callers(&mut self, report: &mut Report<'_>) {
        self.master_key(report);
        self.listen(report);
        self.of_every_call(report);
        if let Some(field) = self.section.field("limits") {
            limits(&field, &mut self.config.limits, report);
        }
        if let Some(field) = self.section.field("fetch_media") {
            self.config.fetch_media = fetch_media(&field, report);
        }
        self.log(report);
    }

    fn hosts_and_models(&mut self, report: &mut Report<'_>) {
        let hosts::Read { hosts, names, pass_through } = match self.section.field("hosts") {
            Some(field) => hosts::read(&field, report),
            None => hosts::Read::default(),
        };
        if names.is_empty() && self.section.field("hosts").is_none_or(|field| field.is_empty()) {
            let position =
                self.section.field("hosts").map_or(self.section.position, |field| field.node.position);
            report.error(position, "hosts", NO_HOSTS);
        }
        self.config.hosts = hosts;
        self.config.pass_through = pass_through;
        if let Some(field) = self.section.field("default_host") {
            self.config.default_host = field.parse(report, |text| match names.contains(&text) {
                true => Ok(text.to_owned()),
                false => Err(format!("names no configured host; hosts: {}", names.join(", "))),
            });
        }
        let folder = self.folder;
        for file in self.config.hosts.iter_mut().filter_map(|(_, host)| hosts::file_of(&mut host.key)) {
            *file = folder.map_or_else(|| file.clone(), |folder| folder.join(&*file));
        }
        if let Some(field) = self.section.field("models") {
            self.config.models = models::read(&field, &names, report);
        }
    }

    fn master_key(&mut self, report: &mut Report<'_>) {
        let Some(field) = self.section.field("master_key") else {
            if (report.environment)("TIDEGATE_MASTER_KEY").is_some_and(|value| !value.is_empty()) {
                let message = "TIDEGATE_MASTER_KEY is set but the file does not use it; \
                               to use it, write `master_key: ${TIDEGATE_MASTER_KEY}`";
                report.warning(self.section.position, "master_key", message);
            }
            return;
        };
        self.config.master_key = self.section.secret("master_key", report);
        let short = |key: &tidegate_wire::auth::Secret| key.expose().chars().count() < SHORTEST_MASTER_KEY;
        if self.config.master_key.as_ref().is_some_and(short) {
            field.warning(report, SHORT_MASTER_KEY);
        }
    }

    fn listen(&mut self, report: &mut Report<'_>) {
        let Some(field) = self.section.field("listen") else { return };
        let items = field.items();
        if items.is_empty() {
            field.error(report, "names no address; leave the key out for 127.0.0.1:4000");
            return;
        }
        // A master key that is given but could not be read is no reason to complain about the address as well.
        let guarded = self.section.field("master_key").is_some();
        let mut listeners: Vec<Listener> = Vec::new();
        for item in &items {
            let Some((place, listener)) = self.listener(item, report) else { continue };
            if !guarded && !listener.address.ip().is_loopback() {
                place.error(report, format!("{} {OPEN_TO_ALL}", place.quoted()));
            }
            let taken = |other: &Listener| other.address == listener.address && other.address.port() != 0;
            if listeners.iter().any(taken) {
                place.error(report, format!("{} is here twice; remove one", place.quoted()));
            }
            listeners.push(listener);
        }
        if !listeners.is_empty() {
            self.config.listen = listeners;
        }
    }

    fn listener<'t>(&self, item: &Field<'t>, report: &mut Report<'_>) -> Option<(Field<'t>, Listener)> {
        if !matches!(item.node.value, tree::Value::Map(_)) {
            let address = item.parse(report, scalar::address)?;
            return Some((item.clone(), Listener::plain(address)));
        }
        let section = Section::of(item, &["address", "tls", "half_close", "http"], report)?;
        let mut half_close = false;
        section.read("half_close", &mut half_close, report, scalar::boolean);
        let http = section.field("http").and_then(|field| http_versions(&field, report));
        let tls = section.field("tls").and_then(|field| self.tls(&field, report));
        let Some(place) = section.field("address") else {
            item.error(report, "needs an address, such as 127.0.0.1:4000");
            return None;
        };
        let mut listener = Listener::plain(place.parse(report, scalar::address)?);
        listener.tls = tls;
        listener.half_close = half_close;
        listener.http = http.unwrap_or(listener.http);
        Some((place, listener))
    }

    fn tls(&self, field: &Field<'_>, report: &mut Report<'_>) -> Option<TlsFiles> {
        let section = Section::of(field, &["certificate", "key"], report)?;
        for key in ["certificate", "key"] {
            if section.field(key).is_none() {
                report.error(
                    section.position,
                    &section.path_of(key),
                    "missing: TLS needs a certificate and its key",
                );
            }
        }
        let certificate = self.readable(&section, "certificate", report);
        let key = self.readable(&section, "key", report);
        Some(TlsFiles { certificate: certificate?, key: key? })
    }

    fn of_every_call(&mut self, report: &mut Report<'_>) {
        let Self { section, config, .. } = self;
        section.read("drop_params", &mut config.drop_params, report, scalar::boolean);
        section.read("heartbeat", &mut config.heartbeat, report, |text| {
            scalar::duration(text).map(|pause| (pause > Duration::ZERO).then_some(pause))
        });
        section.read("user_timeout", &mut config.user_timeout, report, scalar::positive_duration);
        section.read("drain", &mut config.drain, report, scalar::duration);
        section.read("workers", &mut config.workers, report, scalar::count);
    }

    fn connect(&mut self, report: &mut Report<'_>) {
        let Some(field) = self.section.field("connect") else { return };
        let known = ["ca_file", "proxy_from_env", "idle_timeout", "user_timeout"];
        let Some(section) = Section::of(&field, &known, report) else { return };
        self.config.connect.ca_file = self.readable(&section, "ca_file", report);
        let connect = &mut self.config.connect;
        section.read("proxy_from_env", &mut connect.proxy_from_env, report, scalar::boolean);
        section.read("idle_timeout", &mut connect.idle_timeout, report, scalar::positive_duration);
        section.read("user_timeout", &mut connect.user_timeout, report, scalar::positive_duration);
    }

    fn log(&mut self, report: &mut Report<'_>) {
        let Some(field) = self.section.field("log") else { return };
        let Some(section) = Section::of(&field, &["format", "level", "file"], report) else { return };
        let file = section.path_buf("file", report).map(|path| self.in_folder(path));
        let log: &mut Log = &mut self.config.log;
        log.file = file;
        section.read("format", &mut log.format, report, log_format);
        section.read("level", &mut log.level, report, log_level);
    }

    /// A path to a file that has to be there.
    fn readable(&self, section: &Section<'_>, key: &str, report: &mut Report<'_>) -> Option<PathBuf> {
        let path = self.in_folder(section.path_buf(key, report)?);
        if self.folder.is_some()
            && let Err(error) = fs::File::open(&path)
            && let Some(field) = section.field(key)
        {
            field.error(report, format!("{} can't be read: {error}", field.quoted()));
        }
        Some(path)
    }

    fn in_folder(&self, path: PathBuf) -> PathBuf {
        self.folder.map_or(path.clone(), |folder| folder.join(path))
    }
}

fn limits(field: &Field<'_>, limits: &mut Limits, report: &mut Report<'_>) {
    let known = ["body", "header_bytes", "header_time", "body_time", "idle_time"];
    let Some(section) = Section::of(field, &known, report) else { return };
    section.read("body", &mut limits.body, report, scalar::size);
    section.read("header_bytes", &mut limits.header_bytes, report, header_bytes);
    section.read("header_time", &mut limits.header_time, report, scalar::positive_duration);
    section.read("body_time", &mut limits.body_time, report, scalar::positive_duration);
    section.read("idle_time", &mut limits.idle_time, report, scalar::positive_duration);
}

/// What may be fetched has no default: whoever turns it on says whom a caller may make the gateway call.
fn fetch_media(field: &Field<'_>, report: &mut Report<'_>) -> Option<FetchRules> {
    let section = Section::of(field, &["hosts", "networks", "size", "time"], report)?;
    let texts = |key: &str, report: &mut Report<'_>| -> Option<Vec<String>> {
        section.field(key)?.items().iter().map(|item| item.text(report)).collect()
    };
    let mut rules = FetchRules {
        hosts: texts("hosts", report).unwrap_or_default(),
        networks: Vec::new(),
        size: DEFAULT_MEDIA_SIZE,
        time: DEFAULT_MEDIA_TIME,
    };
    if rules.hosts.is_empty() {
        field.error(
            report,
            "names no hosts; write `hosts: [\"*.example.com\"]`, or [\"*\"] for every public one",
        );
        return None;
    }
    if let Some(networks) = section.field("networks") {
        for item in networks.items() {
            let network = item.parse(report, |text| {
                text.parse::<ipnet::IpNet>()
                    .map_err(|_| "is not a network; write for example 10.1.0.0/16".to_owned())
            });
            rules.networks.extend(network);
        }
    }
    section.read("size", &mut rules.size, report, scalar::size);
    section.read("time", &mut rules.time, report, scalar::positive_duration);
    Some(rules)
}

fn header_bytes(text: &str) -> Result<usize, String> {
    match scalar::size(text)? {
        bytes if bytes < LEAST_HEADER_BYTES => {
            Err("is less than 8KiB, which real requests' heads reach".to_owned())
        }
        bytes if bytes > MOST_HEADER_BYTES => Err("is more than 1MiB".to_owned()),
        bytes => Ok(bytes),
    }
}

fn http_versions(field: &Field<'_>, report: &mut Report<'_>) -> Option<HttpVersions> {
    let mut versions = HttpVersions { http1: false, http2: false };
    let items = field.items();
    for item in &items {
        match item.text(report)?.as_str() {
            "1" => versions.http1 = true,
            "2" => versions.http2 = true,
            _ => {
                item.error(report, format!("{} is neither 1 nor 2", item.quoted()));
                return None;
            }
        }
    }
    if items.is_empty() {
        field.error(report, "names no version; write [1, 2], [1] or [2]");
        return None;
    }
    Some(versions)
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is neither text nor json".to_owned()),
    }
}

fn log_level(text: &str) -> Result<LogLevel, String> {
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let found = levels.into_iter().find(|level| level.name() == text);
    found.ok_or_else(|| "is none of error, warn, info, debug, trace".to_owned())
}

const TOP_KEYS: &[&str] = &[
    "listen",
    "master_key",
    "hosts",
    "default_host",
    "models",
    "limits",
    "drop_params",
    "fetch_media",
    "heartbeat",
    "user_timeout",
    "drain",
    "connect",
    "log",
    "workers",
];
const NO_HOSTS: &str = "no host is configured, and with a file none is taken from the environment; write for example \
                        `hosts: { openai: { api_key: \"${OPENAI_API_KEY}\" } }`";
pub(super) const OPEN_TO_ALL: &str = "is open to other machines, which needs a master_key; \
                                      give one, or listen on 127.0.0.1";
pub(super) const SHORT_MASTER_KEY: &str = "is shorter than 16 characters, which can be guessed";
pub(super) const SHORTEST_MASTER_KEY: usize = 16;
/// Bedrock's own bound for an image is 3.75 MB, for a document 4.5 MB; others take more.
const DEFAULT_MEDIA_SIZE: usize = 20 << 20;
const DEFAULT_MEDIA_TIME: Duration = Duration::from_secs(10);
/// hyper's smallest read buffer.
const LEAST_HEADER_BYTES: usize = 8 << 10;
const MOST_HEADER_BYTES: usize = 1 << 20;
