//! The configuration without a file: hosts appear from the environment variables that their users already have.
//!
//! What is half given is a warning that names what is missing. An empty variable counts as unset. Never quotes a value.
//! Called by `config::load` when no file is named.

use tidegate_wire::{
    auth::Secret,
    host::{HostRow, row},
};

use super::{
    Config, Environment, Listener, Loaded,
    hosts::{self, Host, Key, URL_HOLDS_SECRET},
    problem::{Problem, Severity},
    scalar,
    sections::{OPEN_TO_ALL, SHORT_MASTER_KEY, SHORTEST_MASTER_KEY},
};

/// Looks for hosts, for `TIDEGATE_MASTER_KEY` and for `TIDEGATE_LISTEN`.
pub(super) fn discover(environment: Environment<'_>) -> Loaded {
    let mut search = Search { environment, problems: Vec::new() };
    let mut config = Config { hosts: search.hosts(), ..Config::default() };
    if config.hosts.is_empty() && !search.problems.iter().any(Problem::is_error) {
        search.problem(Severity::Error, "", NO_HOSTS);
    }
    if let Some((name, key)) = search.secret(&["TIDEGATE_MASTER_KEY"]) {
        if key.expose().chars().count() < SHORTEST_MASTER_KEY {
            search.problem(Severity::Warning, name, SHORT_MASTER_KEY);
        }
        config.master_key = Some(key);
    }
    search.listen(&mut config);
    Loaded::of(config, search.problems)
}

struct Search<'e> {
    environment: Environment<'e>,
    problems: Vec<Problem>,
}

impl Search<'_> {
    fn hosts(&mut self) -> Vec<Host> {
        [self.openai(), self.azure(), self.bedrock()].into_iter().flatten().collect()
    }

    fn openai(&mut self) -> Option<Host> {
        let key = self.secret(&["OPENAI_API_KEY"]);
        let url = self.first(&["OPENAI_BASE_URL", "OPENAI_API_BASE"]);
        if key.is_none() {
            let (name, _) = url.as_ref()?;
            let message = "OPENAI_API_KEY is not set: calls to this server carry no key";
            self.problem(Severity::Warning, name, message);
        }
        let mut host = host("openai", key.map_or(Key::None, |(_, key)| Key::ApiKey(key)))?;
        if let Some((name, url)) = url {
            host.base_url = Some(self.url(name, &url)?);
        }
        Some(host)
    }

    fn azure(&mut self) -> Option<Host> {
        let key = self.secret(&["AZURE_API_KEY", "AZURE_OPENAI_API_KEY"]);
        let token = self.secret(&["AZURE_AD_TOKEN", "AZURE_OPENAI_AD_TOKEN"]);
        let url = self.first(&["AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"]);
        let version = self.first(&["AZURE_API_VERSION", "OPENAI_API_VERSION"]);
        let key = match (key, token) {
            // A key is the narrower of the two: it was made for this resource.
            (Some((name, key)), _) => Some((name, Key::ApiKey(key))),
            (None, token) => token.map(|(name, token)| (name, Key::Token(token))),
        };
        let (key, url_name, url) = match (key, url) {
            (Some((_, key)), Some((name, url))) => (key, name, url),
            (Some((name, _)), None) => {
                let message =
                    "no host azure: AZURE_API_BASE is missing, such as https://NAME.openai.azure.com";
                self.problem(Severity::Warning, name, message);
                return None;
            }
            (None, Some((name, _))) => {
                let message = "no host azure: AZURE_API_KEY (or AZURE_AD_TOKEN) is missing";
                self.problem(Severity::Warning, name, message);
                return None;
            }
            (None, None) => return None,
        };
        let mut host = host("azure", key)?;
        host.base_url = Some(self.url(url_name, &url)?);
        if let Some((name, version)) = version {
            host.api_version = Some(self.parsed(name, hosts::api_version(&version))?);
        }
        Some(host)
    }

    fn bedrock(&mut self) -> Option<Host> {
        let region = self.first(&["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"]);
        let key = self.aws_key()?;
        let region = match region {
            Some((name, region)) => Some(self.parsed(name, hosts::region(&region))?),
            None => None,
        };
        let key = match (key, &region) {
            ((name, Key::ApiKey(_)), None) => {
                let message = "no host bedrock: AWS_REGION is missing, such as eu-central-1";
                self.problem(Severity::Warning, name, message);
                return None;
            }
            // The profile may name the region, and the chain takes these very keys from the environment.
            ((_, Key::AwsKeys { .. }), None) => Key::AwsChain,
            ((_, key), _) => key,
        };
        let mut host = host("bedrock", key)?;
        host.region = region;
        Some(host)
    }

    /// In the order of the AWS tools: the bearer key, the access key, the profile.
    fn aws_key(&mut self) -> Option<(&'static str, Key)> {
        if let Some((name, key)) = self.secret(&["AWS_BEARER_TOKEN_BEDROCK"]) {
            return Some((name, Key::ApiKey(key)));
        }
        let id = self.secret(&["AWS_ACCESS_KEY_ID"]);
        let secret = self.secret(&["AWS_SECRET_ACCESS_KEY"]);
        let profile = self.first(&["AWS_PROFILE"]);
        match (id, secret) {
            (Some((name, access_key_id)), Some((_, secret_access_key))) => {
                let session_token = self.secret(&["AWS_SESSION_TOKEN"]).map(|(_, token)| token);
                return Some((name, Key::AwsKeys { access_key_id, secret_access_key, session_token }));
            }
            (Some((name, _)), None) => {
                self.problem(Severity::Warning, name, "not used: AWS_SECRET_ACCESS_KEY is missing");
            }
            (None, Some((name, _))) => {
                self.problem(Severity::Warning, name, "not used: AWS_ACCESS_KEY_ID is missing");
            }
            (None, None) => {}
        }
        profile.map(|(name, _)| (name, Key::AwsChain))
    }

    fn listen(&mut self, config: &mut Config) {
        if let Some((name, text)) = self.first(&["TIDEGATE_LISTEN"])
            && let Some(address) = self.parsed(name, scalar::address(&text))
        {
            config.listen = vec![Listener::plain(address)];
        }
        let open = config.listen.iter().any(|listener| !listener.address.ip().is_loopback());
        if open && config.master_key.is_none() {
            let message = format!("{OPEN_TO_ALL} (TIDEGATE_MASTER_KEY)");
            self.problem(Severity::Error, "TIDEGATE_LISTEN", message);
        }
    }

    fn url(&mut self, name: &str, text: &str) -> Option<String> {
        if scalar::url_holds_secret(text) {
            self.problem(Severity::Error, name, URL_HOLDS_SECRET);
            return None;
        }
        self.parsed(name, scalar::base_url(text))
    }

    fn parsed<T>(&mut self, name: &str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|why| self.problem(Severity::Error, name, why)).ok()
    }

    /// The first of `names` that is set, with its value.
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| {
            let value = (self.environment)(name).filter(|value| !value.is_empty())?;
            Some((*name, value))
        })
    }

    fn secret(&self, names: &[&'static str]) -> Option<(&'static str, Secret)> {
        self.first(names).map(|(name, value)| (name, Secret::new(value)))
    }

    fn problem(&mut self, severity: Severity, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::nowhere(severity, "environment", name, message));
    }
}

fn host(name: &str, key: Key) -> Option<Host> {
    let row: &'static HostRow = row(name)?;
    Some(Host::new(name, row, key))
}

const NO_HOSTS: &str = "no backend is configured. Set OPENAI_API_KEY, or AZURE_API_KEY with AZURE_API_BASE, or \
                        AWS_BEARER_TOKEN_BEDROCK (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE) with \
                        AWS_REGION; or name a file with --config; or see it work without any: tidegate demo";
