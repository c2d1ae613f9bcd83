//! Hosts from the environment variables that their users already have.
//!
//! Which variables say what about which kind is a column of the wire crate's table of hosts. An empty variable counts as unset. Variables come in through a
//! function, so that whoever calls decides where they are looked up; no value is ever repeated. Used by `client.rs` and by the
//! gateway, so that both find the same hosts and say the same about them.

use std::fmt;

use tidegate_wire::{
    auth::Secret,
    host::{AuthScheme, HOSTS, HostRow, Quirk, Variables, row},
};

use crate::{AwsSource, EntraIdentity, EntraSource, GoogleSource, Host, Key, Missing, settings};

/// Looks a variable up.
pub type Lookup<'e> = &'e dyn Fn(&str) -> Option<String>;

/// What the environment holds.
#[derive(Clone, Debug, Default)]
pub struct Discovered {
    /// Hosts that are there and complete, each under its kind's name.
    pub hosts: Vec<(&'static str, Host)>,
    /// What is to be said about the variables: what is half there, wrong or left unused.
    pub notes: Vec<Note>,
}

/// Something about a variable that its owner would want to know. Its `Display` is what to say of the variable; the
/// variable's own name is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The variable that is there.
    pub variable: &'static str,
    /// The host that it is about.
    pub host: &'static str,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why.
    pub message: String,
}

/// What becomes of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It holds what can't be used; its host is left out.
    Invalid,
    /// Its host is left out, because another variable is missing.
    NoHost,
    /// It is not used; its host may be there by other means.
    NotUsed,
    /// It is used.
    Used,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            Verdict::NoHost => write!(f, "no host {}: ", self.host)?,
            Verdict::NotUsed => f.write_str("not used: ")?,
            Verdict::Invalid | Verdict::Used => {}
        }
        f.write_str(&self.message)
    }
}

/// Every host that the environment has.
///
/// | host | variables |
/// |---|---|
/// | `openai` | `OPENAI_API_KEY`; `OPENAI_BASE_URL` or `OPENAI_API_BASE` for another address (then the key may be missing) |
/// | `azure` | `AZURE_API_KEY` or `AZURE_OPENAI_API_KEY`, else `AZURE_AD_TOKEN` or `AZURE_OPENAI_AD_TOKEN`, else Entra ID by the variables of Azure's own clients (`docs/credentials.md`); `AZURE_API_BASE` or `AZURE_OPENAI_ENDPOINT`; `AZURE_API_VERSION` or `OPENAI_API_VERSION` (without one, the v1 surface) |
/// | `bedrock` | the first of `AWS_BEARER_TOKEN_BEDROCK`, `AWS_ACCESS_KEY_ID` with `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, `AWS_PROFILE`, `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `..._FULL_URI`; `AWS_REGION`, `AWS_DEFAULT_REGION` or `AWS_REGION_NAME` |
/// | `gemini` | `GEMINI_API_KEY` or `GOOGLE_API_KEY` |
/// | `vertex_ai` | `VERTEXAI_ACCESS_TOKEN`, else application default credentials (`docs/credentials.md`) where `GOOGLE_APPLICATION_CREDENTIALS`, `VERTEXAI_PROJECT` or `VERTEXAI_LOCATION` is there; `VERTEXAI_PROJECT` or `GOOGLE_CLOUD_PROJECT`; `VERTEXAI_LOCATION`, `VERTEX_LOCATION` or `GOOGLE_CLOUD_LOCATION` |
/// | every other | those of its row in `docs/hosts.md` |
///
/// ```
/// use tidegate::environment;
///
/// let found = environment::discover(&|name| (name == "AZURE_API_KEY").then(|| "KEY".to_owned()));
/// assert!(found.hosts.is_empty());
/// assert_eq!(
///     found.notes[0].to_string(),
///     "no host azure: AZURE_API_BASE is missing, such as https://NAME.openai.azure.com"
/// );
/// ```
pub fn discover(lookup: Lookup<'_>) -> Discovered {
    let mut found = Discovered::default();
    for kind in HOSTS {
        found.add(Reading::of(kind, lookup));
    }
    found
}

impl Host {
    /// What the environment says about hosts of this kind, by the variables of [`discover`]. Possibly nothing, or not all that is
    /// needed: what is set afterwards takes the place of what was found. A key that was found goes to whatever URL is set.
    ///
    /// ```
    /// use tidegate::Host;
    ///
    /// let environment = |name: &str| (name == "AZURE_API_KEY").then(|| "KEY".to_owned());
    /// let host = Host::from_environment("azure", &environment)?.base_url("https://NAME.openai.azure.com");
    /// host.check()?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    ///
    /// # Errors
    /// There is no such kind.
    pub fn from_environment(kind: &str, lookup: Lookup<'_>) -> Result<Self, crate::Error> {
        Ok(Reading::of(Self::of_kind(kind)?.kind, lookup).host)
    }
}

/// The region that the AWS tools would take from the environment; one that is none is passed over.
pub fn aws_region(lookup: Lookup<'_>) -> Option<String> {
    let variables = row("bedrock").map_or(&[][..], |kind| kind.variables.region);
    variables.iter().find_map(|name| settings::region(&lookup(name)?).ok())
}

/// What to say where the environment has no host at all.
pub const NO_HOSTS: &str = "no backend is configured. Set OPENAI_API_KEY, or ANTHROPIC_API_KEY, or AZURE_API_KEY with AZURE_API_BASE, or \
                            AWS_BEARER_TOKEN_BEDROCK (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE) with \
                            AWS_REGION, or the variables of another host (docs/hosts.md, `tidegate hosts`)";

/// What to say of a host that lacks something, by the setting's name.
pub(crate) fn lack(kind: &HostRow, missing: Missing) -> String {
    let setting = match missing {
        Missing::BaseUrl => "base_url",
        Missing::Key => "the key",
        Missing::Region => "region",
        Missing::Account => kind.account_name(),
    };
    let variable = match naming(kind, missing) {
        name if name.is_empty() => name,
        name => format!(" (in the environment: {name})"),
    };
    format!("{setting} is missing{}{variable}", example(kind, missing))
}

impl Discovered {
    fn add(&mut self, reading: Reading) {
        let Reading { host, opened_by, mut notes } = reading;
        let invalid = notes.iter().any(|note| note.verdict == Verdict::Invalid);
        let missing = host.missing().first().copied();
        if let Some(variable) = opened_by.filter(|_| !invalid) {
            match missing {
                None => self.hosts.push((host.kind.name, host)),
                Some(missing) => {
                    let name = naming(host.kind, missing);
                    let message = format!("{name} is missing{}", example(host.kind, missing));
                    notes.push(Note { variable, host: host.kind.name, verdict: Verdict::NoHost, message });
                }
            }
        }
        self.notes.append(&mut notes);
    }
}

/// A variable's name and its value.
type Found = (&'static str, String);

/// What the variables of one kind say.
struct Reading {
    host: Host,
    /// The variable that shows that a host of this kind is wanted: its key's, else its URL's.
    opened_by: Option<&'static str>,
    notes: Vec<Note>,
}

impl Reading {
    fn of(kind: &'static HostRow, lookup: Lookup<'_>) -> Self {
        let mut reading = Self { host: Host::new(kind), opened_by: None, notes: Vec::new() };
        let variables = &kind.variables;
        let search = Search { lookup };
        let key = match kind.auth {
            AuthScheme::Aws { .. } => reading.aws_key(variables, &search),
            AuthScheme::Bearer | AuthScheme::Azure | AuthScheme::Anthropic | AuthScheme::Google => {
                search.key(variables)
            }
        };
        let base_url = search.first(variables.base_url);
        // A key that is there by itself does not mean a server on this machine: Ollama's is for its cloud.
        let local = kind.has(Quirk::OwnServer) && kind.default_base_url.is_some();
        let by_key = key.as_ref().map(|(name, _)| *name).filter(|_| !local);
        let adc = search.google(kind);
        let by_key = by_key.or(adc.as_ref().and_then(|(opens, _)| *opens));
        reading.opened_by = by_key.or(base_url.as_ref().map(|(name, _)| *name));
        if let (Some((name, _)), None) = (&base_url, &key)
            && !(kind.entra_scope.is_some() && search.entra().is_some())
            && adc.as_ref().is_none_or(|(_, source)| source.credentials_file.is_none())
            && matches!(kind.auth, AuthScheme::Bearer | AuthScheme::Anthropic | AuthScheme::Google)
            && !kind.has(Quirk::OwnServer)
        {
            let message =
                format!("{} is not set: calls to this server carry no key", naming(kind, Missing::Key));
            reading.note(name, Verdict::Used, message);
        }
        // These variables open no host by themselves: they are other tools', too.
        let entra = || kind.entra_scope.and_then(|_| search.entra()).map(Key::Entra);
        if let Some(key) = key.map(|(_, key)| key).or_else(entra) {
            reading.host.key = key;
        } else if let Some((_, source)) = adc {
            // Another server wants none but what is said so plainly.
            let wanted = base_url.is_none() || source.credentials_file.is_some();
            reading.host.key = if wanted { Key::Google(source) } else { Key::None };
        }
        reading.host.base_url = reading.value(base_url, base_url_of);
        reading.host.api_version = reading.value(search.first(variables.api_version), settings::api_version);
        reading.host.region = reading.value(search.first(variables.region), settings::region);
        reading.host.account = reading.value(search.first(variables.account), settings::account);
        reading.region_alone(variables, &search);
        // The profile may name the region, and the chain takes these very keys from the environment.
        if matches!(reading.host.key, Key::AwsKeys { .. }) && reading.host.region.is_none() {
            reading.host.key = Key::AwsChain(AwsSource::default());
        }
        reading
    }

    /// What was found, as `check` would have it. What can't be used is kept, to be refused when it is called: a value of the
    /// caller's own may take its place.
    fn value(&mut self, found: Option<Found>, check: Check) -> Option<String> {
        let (name, value) = found?;
        Some(check(&value).unwrap_or_else(|why| {
            // Where no host is wanted, its settings are of no interest.
            if self.opened_by.is_some() {
                self.note(name, Verdict::Invalid, why);
            }
            value
        }))
    }

    /// Nothing shows that Bedrock is meant, but it may be: the AWS tools find credentials without any variable.
    fn region_alone(&mut self, variables: &Variables, search: &Search<'_>) {
        let usable = self.host.region.as_deref().is_some_and(|region| settings::region(region).is_ok());
        if let Some((name, _)) = search.first(variables.region)
            && usable
            && self.opened_by.is_none()
            // Half a key has had its word.
            && self.notes.is_empty()
        {
            let message = format!(
                "no AWS credentials variable is set; set {AWS_PROFILE}=default to use the AWS default chain"
            );
            self.note(name, Verdict::NoHost, message);
        }
    }

    /// In the order of the AWS tools: the bearer key, the access key, the profile, the role of a pod or a container.
    fn aws_key(&mut self, variables: &Variables, search: &Search<'_>) -> Option<(&'static str, Key)> {
        if let Some(found) = search.key(variables) {
            return Some(found);
        }
        match (search.secret(&[AWS_ID]), search.secret(&[AWS_SECRET])) {
            (Some((name, access_key_id)), Some((_, secret_access_key))) => {
                let session_token = search.secret(&[AWS_SESSION_TOKEN]).map(|(_, token)| token);
                return Some((name, Key::AwsKeys { access_key_id, secret_access_key, session_token }));
            }
            (Some((name, _)), None) => self.note(name, Verdict::NotUsed, format!("{AWS_SECRET} is missing")),
            (None, Some((name, _))) => self.note(name, Verdict::NotUsed, format!("{AWS_ID} is missing")),
            (None, None) => {}
        }
        let chain = |(name, _)| (name, Key::AwsChain(AwsSource::default()));
        search.first(&[AWS_PROFILE]).or_else(|| search.first(AWS_ROLES)).map(chain)
    }

    fn note(&mut self, variable: &'static str, verdict: Verdict, message: String) {
        self.notes.push(Note { variable, host: self.host.kind.name, verdict, message });
    }
}

type Check = fn(&str) -> Result<String, String>;

fn base_url_of(text: &str) -> Result<String, String> {
    if settings::url_holds_secret(text) {
        return Err(settings::URL_HOLDS_SECRET.to_owned());
    }
    settings::base_url(text)
}

struct Search<'e> {
    lookup: Lookup<'e>,
}

impl Search<'_> {
    /// A key is the narrower of the two: it was made for this resource.
    fn key(&self, variables: &Variables) -> Option<(&'static str, Key)> {
        let token = || self.secret(variables.token).map(|(name, token)| (name, Key::Token(token)));
        self.secret(variables.api_key).map(|(name, key)| (name, Key::ApiKey(key))).or_else(token)
    }

    /// What the variables of Azure's own clients say of Entra ID.
    fn entra(&self) -> Option<EntraSource> {
        let value = |name| self.first(&[name]).map(|(_, value)| value);
        let identity = match value(AZURE_TOKEN_CREDENTIALS) {
            Some(name) => self.entra_identity(&name)?,
            None => EntraIdentity::in_environment(self.lookup).into_iter().next()?,
        };
        Some(EntraSource { identity, scope: value(AZURE_SCOPE), authority_host: value(AZURE_AUTHORITY_HOST) })
    }

    /// What the environment says of Google's application default credentials, for a kind that takes them, and the variable that
    /// shows that a host is wanted. The credentials are other tools' too: by themselves, without a location, they open none.
    fn google(&self, kind: &HostRow) -> Option<(Option<&'static str>, GoogleSource)> {
        kind.google_scope?;
        let file = self.first(&[GOOGLE_APPLICATION_CREDENTIALS]);
        let by_file =
            file.as_ref().and(self.first(kind.variables.region)).map(|_| GOOGLE_APPLICATION_CREDENTIALS);
        let by_place = || {
            self.first(&["VERTEXAI_PROJECT", "VERTEXAI_LOCATION", "VERTEX_LOCATION"]).map(|(name, _)| name)
        };
        let opens = by_file.or_else(by_place);
        let credentials_file = file.map(|(_, file)| file.into());
        Some((opens, GoogleSource { credentials_file, quota_project: None }))
    }

    /// By the name of the class of Azure's clients that it is.
    fn entra_identity(&self, name: &str) -> Option<EntraIdentity> {
        let client_id = || self.first(&["AZURE_CLIENT_ID"]).map(|(_, id)| id);
        match name.to_ascii_lowercase().as_str() {
            "managedidentitycredential" => Some(EntraIdentity::ManagedIdentity { client_id: client_id() }),
            "azureclicredential" | "dev" => Some(EntraIdentity::AzureCli { tenant_id: None }),
            "environmentcredential" => EntraIdentity::in_environment(self.lookup)
                .into_iter()
                .find(|identity| matches!(identity, EntraIdentity::ClientSecret { .. })),
            "workloadidentitycredential" => EntraIdentity::in_environment(self.lookup)
                .into_iter()
                .find(|identity| matches!(identity, EntraIdentity::WorkloadIdentity { .. })),
            "prod" => Some(EntraIdentity::Default),
            _ => None,
        }
    }

    fn secret(&self, names: &[&'static str]) -> Option<(&'static str, Secret)> {
        self.first(names).map(|(name, value)| (name, Secret::new(value)))
    }

    /// The first of `names` that is set.
    fn first(&self, names: &[&'static str]) -> Option<Found> {
        names.iter().find_map(|name| {
            let value = (self.lookup)(name).filter(|value| !value.is_empty())?;
            Some((*name, value))
        })
    }
}

/// The preferred one of the variables that would give what is missing; a second way in brackets.
fn naming(kind: &HostRow, missing: Missing) -> String {
    let variables = &kind.variables;
    let preferred = |names: &[&'static str]| names.first().copied().unwrap_or_default();
    match (missing, variables.token) {
        (Missing::BaseUrl, _) => preferred(variables.base_url).to_owned(),
        (Missing::Region, _) => preferred(variables.region).to_owned(),
        (Missing::Account, _) => preferred(variables.account).to_owned(),
        (Missing::Key, token) if kind.entra_scope.is_some() => {
            let others = token.first().into_iter().chain(&["AZURE_TENANT_ID"]).copied();
            let others: Vec<&str> = others.collect();
            format!(
                "{} (or {} with AZURE_CLIENT_ID and AZURE_CLIENT_SECRET)",
                preferred(variables.api_key),
                others.join(", or ")
            )
        }
        (Missing::Key, []) => preferred(variables.api_key).to_owned(),
        (Missing::Key, token) if variables.api_key.is_empty() => preferred(token).to_owned(),
        (Missing::Key, token) => format!("{} (or {})", preferred(variables.api_key), preferred(token)),
    }
}

fn example(kind: &HostRow, missing: Missing) -> &'static str {
    match (missing, kind.auth) {
        (Missing::BaseUrl, AuthScheme::Azure) => ", such as https://NAME.openai.azure.com",
        (Missing::BaseUrl, AuthScheme::Anthropic) => ", such as https://NAME.services.ai.azure.com/anthropic",
        (Missing::BaseUrl, _) => ", such as https://api.example.com/v1",
        (Missing::Region, AuthScheme::Google) => ", such as europe-west4 or global",
        (Missing::Region, _) => ", such as eu-central-1",
        (Missing::Key | Missing::Account, _) => "",
    }
}

const AWS_ID: &str = "AWS_ACCESS_KEY_ID";
const AWS_SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const AWS_SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
const AWS_PROFILE: &str = "AWS_PROFILE";
/// What Kubernetes and ECS set for whoever has a role there.
const AWS_ROLES: &[&str] = &[
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];
/// Azure's own: which identity its clients are to use.
const AZURE_TOKEN_CREDENTIALS: &str = "AZURE_TOKEN_CREDENTIALS";
const GOOGLE_APPLICATION_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const AZURE_AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
/// LiteLLM's.
const AZURE_SCOPE: &str = "AZURE_SCOPE";

#[cfg(test)]
mod tests;
