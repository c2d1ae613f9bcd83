//! From the configuration to what calls are sent to: each host as a [`Target`], which the SDK crate makes, or as its
//! description, for callers who change it for a call; and each model name resolved.
//!
//! Looks up AWS credentials only for hosts that leave them to the default chain, and sends nothing to any backend. Called
//! once, at start; [`Targets::resolve`] is called for every request.

use std::{collections::HashMap, sync::Arc};

use tidegate::{CredentialSources, Host, Target, model};
use tidegate_wire::{ErrorClass, WireError, host::row};

use crate::{
    Config, models,
    problem::{Problem, Severity},
};

/// Backends and model names. A backend is here as something made ready for calls, or as what the operator said of it.
pub struct Targets<T = Arc<Target>> {
    hosts: HashMap<String, T>,
    /// Names of `hosts` in the order of the configuration.
    order: Vec<String>,
    aliases: HashMap<String, Alias<T>>,
    /// Keys of `hosts` whose whole API callers may reach.
    pass_through: Vec<String>,
    /// The key of `hosts` for what no model does.
    default_host: Option<String>,
    /// Keys of `aliases` in the order of the configuration.
    models: Vec<String>,
}

/// Where an operator's model name leads.
struct Alias<T> {
    target: T,
    model: String,
}

impl Config {
    /// Every host as a target, and what model names lead to.
    ///
    /// # Errors
    /// A host's URL can't be used, or the AWS default chain knows no region: one problem for each host.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the look-up of AWS credentials; nothing is held.
    pub async fn targets(&self) -> Result<Targets, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut hosts = HashMap::new();
        let sources = CredentialSources::new(&self.connect);
        for (name, host) in &self.hosts {
            match host.target(&sources).await {
                Ok(mut target) => {
                    target.endpoint.name.clone_from(name);
                    drop(hosts.insert(name.clone(), Arc::new(target)));
                }
                Err(error) => {
                    let path = format!("hosts.{name}");
                    problems.push(Problem::nowhere(Severity::Error, "configuration", &path, error.message()));
                }
            }
        }
        if problems.is_empty() { self.named(hosts) } else { Err(problems) }
    }

    /// The same with each host as its description, and the name that it has here.
    ///
    /// # Errors
    /// A model name leads nowhere, in a configuration that was made by hand.
    pub fn descriptions(&self) -> Result<Targets<Arc<(String, Host)>>, Vec<Problem>> {
        let described = |host: &(String, Host)| (host.0.clone(), Arc::new(host.clone()));
        self.named(self.hosts.iter().map(described).collect())
    }

    fn named<T: Clone>(&self, hosts: HashMap<String, T>) -> Result<Targets<T>, Vec<Problem>> {
        let aliases = self.aliases(&hosts)?;
        Ok(Targets {
            order: self.hosts.iter().map(|(name, _)| name.clone()).collect(),
            models: self.models.iter().map(|model| model.name.clone()).collect(),
            pass_through: self.pass_through.clone(),
            default_host: self.default_host.clone(),
            hosts,
            aliases,
        })
    }

    fn aliases<T: Clone>(
        &self,
        hosts: &HashMap<String, T>,
    ) -> Result<HashMap<String, Alias<T>>, Vec<Problem>> {
        let names = models::by_name(&self.models);
        let host_names = models::host_names(&self.hosts);
        let mut aliases = HashMap::new();
        let mut problems = Vec::new();
        for model in &self.models {
            let found = models::follow(&model.name, &names).and_then(|way| models::split(way, &host_names));
            match found.map(|(host, rest)| (hosts.get(host), rest)) {
                Ok((Some(target), rest)) => {
                    let alias = Alias { target: target.clone(), model: rest.to_owned() };
                    aliases.insert(model.name.clone(), alias);
                }
                Ok((None, _)) => {}
                Err(why) => {
                    let path = format!("models.{}", model.name);
                    problems.push(Problem::nowhere(Severity::Error, "configuration", &path, why));
                }
            }
        }
        if problems.is_empty() { Ok(aliases) } else { Err(problems) }
    }
}

impl<T> Targets<T> {
    /// The backend for `model`, and the backend's name for it. One of the operator's names comes first; else it is
    /// `host/model`, where the model may hold slashes and colons.
    ///
    /// # Errors
    /// [`ErrorClass::NotFound`], listing what there is.
    pub fn resolve<'t>(&'t self, model: &'t str) -> Result<(&'t T, &'t str), WireError> {
        if let Some(alias) = self.aliases.get(model) {
            return Ok((&alias.target, &alias.model));
        }
        let found = model::split(model).and_then(|(name, rest)| Some((self.host(name)?, rest)));
        found.ok_or_else(|| self.not_found(model))
    }

    /// The host of this name. One that is there under its kind's name is known by the kind's other names, too.
    pub fn host(&self, name: &str) -> Option<&T> {
        self.hosts.get(name).or_else(|| self.hosts.get(row(name)?.name))
    }

    /// The host whose whole API callers may reach under this name, which is its own.
    pub fn passed_through(&self, name: &str) -> Option<&T> {
        self.hosts.get(name).filter(|_| self.pass_through.iter().any(|open| open == name))
    }

    /// The host for what no model does, of those that `has` it: the one that the caller names, else the configuration's default,
    /// else the only one.
    ///
    /// # Errors
    /// [`ErrorClass::BadRequest`]: there is none, or nobody said which.
    pub fn host_for(&self, named: Option<&str>, has: impl Fn(&T) -> bool) -> Result<&T, WireError> {
        if let Some(name) = named {
            return self.host(name).ok_or_else(|| {
                let hosts = self.order.join(", ");
                let shown: String = name.chars().take(SHOWN_CHARACTERS).collect();
                let message = format!("there is no host `{}`; hosts: {hosts}", shown.escape_debug());
                WireError::new(ErrorClass::NotFound, message).with_code("host_not_found")
            });
        }
        let default = self.default_host.as_ref().and_then(|name| self.hosts.get(name));
        let mut able = self.hosts().filter(|(_, host)| has(host));
        match (default, able.next(), able.next()) {
            (Some(default), _, _) => Ok(default),
            (None, Some((_, only)), None) => Ok(only),
            (None, None, _) => Err(WireError::bad_request("none of the hosts has this operation")
                .with_code("unsupported_operation")),
            (None, Some(_), Some(_)) => {
                let names: Vec<&str> =
                    self.hosts().filter(|(_, host)| has(host)).map(|(name, _)| name).collect();
                let message = format!(
                    "several hosts have this operation; name one with the header x-tidegate-host or with ?host=: {}",
                    names.join(", ")
                );
                Err(WireError::bad_request(message).with_code("host_required"))
            }
        }
    }

    /// The operator's own names, in the order of the configuration.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(String::as_str)
    }

    /// Every host with its name, in the order of the configuration.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &T)> {
        self.order.iter().filter_map(|name| Some((name.as_str(), self.hosts.get(name)?)))
    }

    fn not_found(&self, name: &str) -> WireError {
        let message = model::not_found(name, self.models(), self.order.iter().map(String::as_str));
        WireError::new(ErrorClass::NotFound, message).with_param("model")
    }
}

/// What somebody else wrote is repeated only in part.
const SHOWN_CHARACTERS: usize = 100;
