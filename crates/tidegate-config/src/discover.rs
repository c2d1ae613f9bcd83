//! The configuration without a file: hosts appear from the environment variables that their users already have.
//!
//! The hosts are those that the SDK crate finds; what it notes about them becomes problems here. An empty variable counts as
//! unset. Never quotes a value. Called by `config::load` when no file is named.

use tidegate::{
    CredentialSources, Key,
    environment::{self, NO_HOSTS, Verdict},
};
use tidegate_wire::auth::Secret;

use crate::{
    Config, Environment, Listener, Loaded,
    problem::{Problem, Severity},
    scalar,
    sections::{OPEN_TO_ALL, SHORT_MASTER_KEY, SHORTEST_MASTER_KEY},
};

/// Looks for hosts, for `TIDEGATE_MASTER_KEY` and for `TIDEGATE_LISTEN`.
pub(super) fn discover(environment: Environment<'_>) -> Loaded {
    let mut search = Search { environment, problems: Vec::new() };
    let mut config = Config::default();
    search.hosts(&mut config);
    search.master_key(&mut config);
    search.listen(&mut config);
    Loaded::of(config, search.problems)
}

impl Config {
    /// Without the hosts of the environment that could not be called, as the AWS default chain knows no region or Google's
    /// credentials no project for them: their
    /// variables may be meant for other tools, and are no reason to serve nothing. Each is a warning. Hosts of a file stay.
    ///
    /// # Errors
    /// No host is left: the warnings, and what to set.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the look-up; nothing is held.
    pub async fn without_unusable_hosts(mut self) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut problems = Vec::new();
        if !self.hosts_discovered {
            return Ok((self, problems));
        }
        let sources = CredentialSources::new(&self.connect);
        for (name, host) in std::mem::take(&mut self.hosts) {
            let unsure = match host.key {
                Key::AwsChain(_) => host.region.is_none(),
                Key::Google(_) => true,
                _ => false,
            };
            if unsure && let Err(error) = host.target(&sources).await {
                let message = format!("no host {name}: {}", error.message());
                problems.push(Problem::nowhere(Severity::Warning, "environment", "", message));
            } else {
                self.hosts.push((name, host));
            }
        }
        if self.hosts.is_empty() {
            problems.push(no_hosts());
            return Err(problems);
        }
        Ok((self, problems))
    }
}

fn no_hosts() -> Problem {
    Problem::nowhere(Severity::Error, "environment", "", format!("{NO_HOSTS}{OTHER_WAYS}"))
}

struct Search<'e> {
    environment: Environment<'e>,
    problems: Vec<Problem>,
}

impl Search<'_> {
    fn hosts(&mut self, config: &mut Config) {
        let found = environment::discover(self.environment);
        for note in &found.notes {
            let severity = match note.verdict {
                Verdict::Invalid => Severity::Error,
                Verdict::NoHost | Verdict::NotUsed | Verdict::Used => Severity::Warning,
            };
            self.problem(severity, note.variable, note.to_string());
        }
        if found.hosts.is_empty() && !self.problems.iter().any(Problem::is_error) {
            self.problems.push(no_hosts());
        }
        config.hosts_discovered = true;
        config.hosts = found.hosts.into_iter().map(|(name, host)| (name.to_owned(), host)).collect();
    }

    fn master_key(&mut self, config: &mut Config) {
        let Some(key) = self.variable("TIDEGATE_MASTER_KEY") else { return };
        if key.chars().count() < SHORTEST_MASTER_KEY {
            self.problem(Severity::Warning, "TIDEGATE_MASTER_KEY", SHORT_MASTER_KEY);
        }
        config.master_key = Some(Secret::new(key));
    }

    fn listen(&mut self, config: &mut Config) {
        if let Some(text) = self.variable("TIDEGATE_LISTEN") {
            match scalar::address(&text) {
                Ok(address) => config.listen = vec![Listener::plain(address)],
                Err(why) => self.problem(Severity::Error, "TIDEGATE_LISTEN", why),
            }
        }
        let open = config.listen.iter().any(|listener| !listener.address.ip().is_loopback());
        if open && config.master_key.is_none() {
            let message = format!("{OPEN_TO_ALL} (TIDEGATE_MASTER_KEY)");
            self.problem(Severity::Error, "TIDEGATE_LISTEN", message);
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    fn problem(&mut self, severity: Severity, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::nowhere(severity, "environment", name, message));
    }
}

const OTHER_WAYS: &str = "; or name a file with --config; or see it work without any: tidegate demo";
