//! From the configuration to what calls are sent to: each host as an engine's [`Target`], each model name resolved.
//!
//! Looks up AWS credentials only for hosts that leave them to the default chain, and sends nothing to any backend. Called
//! once, at start; [`Targets::resolve`] is called for every request.

use std::{collections::HashMap, sync::Arc};

use http::HeaderName;
use tidegate_engine::{Credentials, Target, credentials::AwsChain};
use tidegate_wire::{
    ErrorClass, WireError,
    auth::{AwsCredential, Credential, Secret},
    host::{AuthScheme, Endpoint},
};

use super::{
    Config, Host, Key, models,
    problem::{Problem, Severity},
};

/// Backends and model names, ready for calls.
pub struct Targets {
    hosts: HashMap<String, Arc<Target>>,
    /// Names of `hosts` in the order of the configuration.
    order: Vec<String>,
    aliases: HashMap<String, Alias>,
    /// Keys of `aliases` in the order of the configuration.
    models: Vec<String>,
}

/// Where an operator's model name leads.
struct Alias {
    target: Arc<Target>,
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
        for host in &self.hosts {
            match target(host).await {
                Ok(target) => drop(hosts.insert(host.name.clone(), Arc::new(target))),
                Err(error) => {
                    let path = format!("hosts.{}", host.name);
                    problems.push(Problem::nowhere(Severity::Error, "configuration", &path, error.message()));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let aliases = self.aliases(&hosts)?;
        Ok(Targets {
            order: self.hosts.iter().map(|host| host.name.clone()).collect(),
            models: self.models.iter().map(|model| model.name.clone()).collect(),
            hosts,
            aliases,
        })
    }

    fn aliases(&self, hosts: &HashMap<String, Arc<Target>>) -> Result<HashMap<String, Alias>, Vec<Problem>> {
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

impl Targets {
    /// The backend for `model`, and the backend's name for it. One of the operator's names comes first; else it is
    /// `host/model`, where the model may hold slashes and colons.
    ///
    /// # Errors
    /// [`ErrorClass::NotFound`], listing what there is.
    pub fn resolve<'t>(&'t self, model: &'t str) -> Result<(&'t Arc<Target>, &'t str), WireError> {
        if let Some(alias) = self.aliases.get(model) {
            return Ok((&alias.target, &alias.model));
        }
        let found = model.split_once('/').filter(|(_, rest)| !rest.is_empty());
        let found = found.and_then(|(host, rest)| Some((self.hosts.get(host)?, rest)));
        found.ok_or_else(|| self.not_found(model))
    }

    /// The operator's own names, in the order of the configuration.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(String::as_str)
    }

    /// Every host with its name, in the order of the configuration.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &Arc<Target>)> {
        self.order.iter().filter_map(|name| Some((name.as_str(), self.hosts.get(name)?)))
    }

    fn not_found(&self, model: &str) -> WireError {
        let shown: String = model.chars().take(SHOWN_CHARACTERS).collect();
        let mut message = format!("no model `{}`; ", shown.escape_debug());
        if !self.models.is_empty() {
            let shown: Vec<&str> = self.models().take(SHOWN_MODELS).collect();
            let more = if self.models.len() > SHOWN_MODELS { ", ..." } else { "" };
            message.push_str(&format!("configured: {}{more}; or ", shown.join(", ")));
        }
        let hosts = self.order.join(", ");
        message.push_str(&format!("write host/model, where host is one of: {hosts}"));
        WireError::new(ErrorClass::NotFound, message).with_param("model")
    }
}

async fn target(host: &Host) -> Result<Target, WireError> {
    let (credentials, region) = match &host.key {
        Key::AwsChain => from_chain(host).await?,
        key => (Credentials::Static(credential(host, key)), host.region.clone()),
    };
    let base_url = host.url(region.as_deref()).ok_or_else(|| {
        WireError::new(ErrorClass::Internal, "the URL is not known; give base_url or region")
    })?;
    let endpoint = Endpoint {
        host: host.row,
        base_url,
        api_version: host.api_version.clone(),
        region,
        headers: host.headers.clone(),
    };
    let mut target = Target::new(endpoint, credentials)?;
    target.clocks = host.clocks;
    target.http = host.http;
    Ok(target)
}

async fn from_chain(host: &Host) -> Result<(Credentials, Option<String>), WireError> {
    let chain = AwsChain::from_environment(host.region.clone(), service(host)).await?;
    let region = chain.region().to_owned();
    Ok((Credentials::Aws(Arc::new(chain)), Some(region)))
}

fn credential(host: &Host, key: &Key) -> Credential {
    match (key, host.row.auth) {
        (Key::ApiKey(key), AuthScheme::Azure) => Credential::Header(AZURE_KEY_HEADER, key.clone()),
        (Key::ApiKey(key) | Key::Token(key), _) => Credential::Bearer(key.clone()),
        (Key::AwsKeys { access_key_id, secret_access_key, session_token }, _) => {
            aws_credential(host, access_key_id, secret_access_key, session_token.as_ref())
        }
        (Key::None | Key::AwsChain, _) => Credential::Anonymous,
    }
}

fn aws_credential(host: &Host, id: &Secret, secret: &Secret, session_token: Option<&Secret>) -> Credential {
    Credential::Aws(AwsCredential {
        access_key_id: id.expose().to_owned(),
        secret_access_key: secret.clone(),
        session_token: session_token.cloned(),
        region: host.region.clone().unwrap_or_default(),
        service: service(host),
    })
}

/// SigV4 service name; without meaning for hosts that are not AWS's.
fn service(host: &Host) -> &'static str {
    match host.row.auth {
        AuthScheme::Aws { service } => service,
        AuthScheme::Bearer | AuthScheme::Azure => "",
    }
}

const AZURE_KEY_HEADER: HeaderName = HeaderName::from_static("api-key");
/// A caller's own text is repeated to it only in part.
const SHOWN_CHARACTERS: usize = 100;
const SHOWN_MODELS: usize = 20;
