//! A backend as its user describes it, and the way from there to what the engine calls.
//!
//! The one description that everybody makes: users by hand, `environment.rs` from variables, the gateway from its file. Never
//! sends anything; looks up AWS credentials only for a host that leaves them to the default chain, and only when it is made
//! ready ([`Host::target`]). Tokens are fetched at the first call.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate_engine::{
    Clocks, Credentials, HttpVersion, Target,
    credentials::{AwsSource, EntraSource, GoogleSource},
};
use tidegate_wire::{
    auth::{AwsCredential, Credential, Secret},
    host::{AuthScheme, HOSTS, HostRow, Place, Quirk, ResponsesUse, row},
};

use crate::{CredentialSources, Error, environment, model, settings};

/// A backend: which kind, where, and how to authenticate there.
///
/// A description, not a connection: cheap to make, to clone and to change, also for a single call. It may be incomplete as long
/// as nothing is made of it; [`Host::missing`] says what it lacks.
///
/// ```
/// use tidegate::{Client, Host};
///
/// let client = Client::builder()
///     .host("azure", Host::azure("https://NAME.openai.azure.com", "KEY").api_version("2024-10-21"))
///     .host("local", Host::openai_compatible("http://127.0.0.1:8000/v1"))
///     .build()?;
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Host {
    /// The vendor.
    pub kind: &'static HostRow,
    /// `http` or `https` URL without credentials and query. `None`: the kind's default, as soon as the region is known.
    pub base_url: Option<String>,
    /// Azure's `api-version`; `None` is the v1 surface.
    pub api_version: Option<String>,
    /// AWS region, or Google's location; `None` for other kinds, and where the AWS default chain is to find it.
    pub region: Option<String>,
    /// The account in whose name the backend is called, where its URL has one (Cloudflare, Snowflake); Google's project.
    pub account: Option<String>,
    /// Sent with every request, each name once. Values may be secrets.
    pub headers: Vec<(String, Secret)>,
    /// Deadlines; `None`: those of whoever calls.
    pub clocks: Option<Clocks>,
    /// HTTP version to speak.
    pub http: HttpVersion,
    /// When its Responses API is used.
    pub responses: ResponsesUse,
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
    /// A token of Entra ID, of Anthropic's or of Google's, sent as it is: nobody renews it.
    Token(Secret),
    /// AWS access key, for signing (SigV4).
    AwsKeys {
        /// Its id.
        access_key_id: Secret,
        /// The secret.
        secret_access_key: Secret,
        /// For temporary credentials.
        session_token: Option<Secret>,
    },
    /// Whatever the AWS default chain finds, renewed before it expires.
    AwsChain(AwsSource),
    /// Tokens of Entra ID, renewed before they expire.
    Entra(EntraSource),
    /// Tokens of Google Cloud, by its application default credentials, renewed before they expire.
    Google(GoogleSource),
}

/// Something that a host can't be called without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The kind has no address of its own.
    BaseUrl,
    /// The kind wants to know who calls.
    Key,
    /// Neither the URL nor the signature can be made without one.
    Region,
    /// The URL can't be made without one.
    Account,
}

impl Host {
    /// A host of this kind, of which nothing else is said yet. One of AWS's leaves its credentials to the default chain, one of
    /// Google Cloud's to its application default credentials.
    pub fn new(kind: &'static HostRow) -> Self {
        let key = match kind.auth {
            AuthScheme::Aws { .. } => Key::AwsChain(AwsSource::default()),
            _ if kind.google_scope.is_some() => Key::Google(GoogleSource::default()),
            AuthScheme::Bearer | AuthScheme::Azure | AuthScheme::Anthropic | AuthScheme::Google => Key::None,
        };
        Self {
            kind,
            base_url: None,
            api_version: None,
            region: None,
            account: None,
            headers: Vec::new(),
            clocks: None,
            http: HttpVersion::Auto,
            responses: ResponsesUse::Auto,
            key,
        }
    }

    /// As [`Host::new`], by the kind's name (`openai`, `azure`, `groq`) or one of its aliases; `docs/hosts.md` has all.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn of_kind(name: &str) -> Result<Self, Error> {
        let kinds = || model::shortened(HOSTS.iter().map(|row| row.name));
        row(name).map(Self::new).ok_or_else(|| {
            // What somebody took for a kind is repeated only in part.
            let shown: String = name.chars().take(40).collect();
            Error::configuration(format!("no host of kind `{}`; kinds: {}", shown.escape_debug(), kinds()))
        })
    }

    /// OpenAI.
    pub fn openai(api_key: impl Into<String>) -> Self {
        Self::known("openai").api_key(api_key)
    }

    /// A server that speaks OpenAI's chat completions at `base_url` (its `/v1` included) and wants no key; give it one with
    /// [`Host::api_key`].
    pub fn openai_compatible(base_url: impl Into<String>) -> Self {
        Self::known("openai").base_url(base_url)
    }

    /// Azure OpenAI. `base_url` is the resource's endpoint, such as `https://NAME.openai.azure.com`. Without
    /// [`Host::api_version`] the v1 surface is used.
    pub fn azure(base_url: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self::known("azure").base_url(base_url).api_key(api_key)
    }

    /// Azure OpenAI with a token of Entra ID, sent as it is until the host is replaced.
    pub fn azure_token(base_url: impl Into<String>, token: impl Into<String>) -> Self {
        Self::known("azure").base_url(base_url).token(token)
    }

    /// Anthropic.
    pub fn anthropic(api_key: impl Into<String>) -> Self {
        Self::known("anthropic").api_key(api_key)
    }

    /// Gemini on Google AI Studio.
    pub fn gemini(api_key: impl Into<String>) -> Self {
        Self::known("gemini").api_key(api_key)
    }

    /// Gemini on Vertex AI with an OAuth token, sent as it is until the host is replaced. `location` is a region, `global`, `us` or
    /// `eu`.
    pub fn vertex_ai(
        project: impl Into<String>,
        location: impl Into<String>,
        token: impl Into<String>,
    ) -> Self {
        Self::known("vertex_ai").account(project).region(location).token(token)
    }

    /// Amazon Bedrock with an API key (a bearer token).
    pub fn bedrock(region: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self::known("bedrock").region(region).api_key(api_key)
    }

    /// Amazon Bedrock with an AWS access key; `session_token` for temporary credentials. Requests are signed (SigV4).
    pub fn bedrock_keys(
        region: impl Into<String>,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
        session_token: Option<String>,
    ) -> Self {
        Self::known("bedrock").region(region).aws_keys(access_key_id, secret_access_key, session_token)
    }

    /// Amazon Bedrock with what the AWS default chain finds (environment, profile, SSO, web identity, container,
    /// instance), renewed before it expires. Looked up at the first call; the region too, unless [`Host::region`] says it.
    pub fn bedrock_default_chain() -> Self {
        Self::known("bedrock")
    }

    /// Replaces the kind's own URL. No credentials and no query in it.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The API key to send, in the place of any other credential.
    #[must_use]
    pub fn api_key(self, key: impl Into<String>) -> Self {
        self.key(Key::ApiKey(Secret::new(key)))
    }

    /// A token of Entra ID or of Anthropic's to send, in the place of any other credential.
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        self.key(Key::Token(Secret::new(token)))
    }

    /// The AWS access key to sign with, in the place of any other credential; `session_token` for temporary ones.
    #[must_use]
    pub fn aws_keys(
        self,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
        session_token: Option<String>,
    ) -> Self {
        self.key(Key::AwsKeys {
            access_key_id: Secret::new(access_key_id),
            secret_access_key: Secret::new(secret_access_key),
            session_token: session_token.map(Secret::new),
        })
    }

    /// What the AWS default chain finds, from this profile or by this role, in the place of any other credential.
    #[must_use]
    pub fn aws_source(self, source: AwsSource) -> Self {
        self.key(Key::AwsChain(source))
    }

    /// Tokens of Entra ID, of this source, in the place of any other credential. They are fetched at the first call, and renewed
    /// before they expire.
    ///
    /// ```
    /// use tidegate::{EntraIdentity, EntraSource, Host};
    ///
    /// let identity = EntraIdentity::ManagedIdentity { client_id: None };
    /// let host = Host::of_kind("azure")?
    ///     .base_url("https://NAME.openai.azure.com")
    ///     .entra(EntraSource { identity, ..EntraSource::default() });
    /// host.check()?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    #[must_use]
    pub fn entra(self, source: EntraSource) -> Self {
        self.key(Key::Entra(source))
    }

    /// Tokens of Google Cloud, of this source, in the place of any other credential. They are fetched at the first call, and
    /// renewed before they expire. Where [`Host::account`] names no project, it is that of the credentials.
    ///
    /// ```
    /// use tidegate::{GoogleSource, Host};
    ///
    /// let file = Some("/etc/tides/service-account.json".into());
    /// let host = Host::of_kind("vertex_ai")?
    ///     .region("europe-west4")
    ///     .google(GoogleSource { credentials_file: file, ..GoogleSource::default() });
    /// host.check()?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    #[must_use]
    pub fn google(self, source: GoogleSource) -> Self {
        self.key(Key::Google(source))
    }

    /// How to authenticate.
    #[must_use]
    pub fn key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// Azure's `api-version`, such as `2024-10-21`: selects the deployments surface.
    #[must_use]
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(version.into());
        self
    }

    /// AWS region, such as `eu-central-1`.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The account in whose name the backend is called.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// A header to send with every request, in the place of one of the same name. Not one that Tidegate sets itself (`Host`,
    /// `Content-Length`, `Content-Type`, `Accept`, `Connection` ...), nor `Accept-Encoding`: a compressed reply could not be read.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        self.headers.push((name, Secret::new(value)));
        self
    }

    /// Deadlines of this host, in the place of the client's.
    #[must_use]
    pub fn clocks(mut self, clocks: Clocks) -> Self {
        self.clocks = Some(clocks);
        self
    }

    /// HTTP version to speak.
    #[must_use]
    pub fn http(mut self, version: HttpVersion) -> Self {
        self.http = version;
        self
    }

    /// When its Responses API is used: for requests that a model takes nowhere else, unless said otherwise here.
    #[must_use]
    pub fn responses(mut self, when: ResponsesUse) -> Self {
        self.responses = when;
        self
    }

    /// The URL in force: the one given, else the kind's default. `None`: there is none, or the region is not known yet.
    pub fn url(&self) -> Option<String> {
        Some(self.kind.endpoint_at(self.place(self.region.as_deref())).ok()?.base_url)
    }

    fn place<'a>(&'a self, region: Option<&'a str>) -> Place<'a> {
        Place {
            base_url: self.base_url.as_deref(),
            region,
            account: self.account.as_deref(),
            api_version: self.api_version.as_deref(),
        }
    }

    /// What it can't be called without; empty if it is complete.
    pub fn missing(&self) -> Vec<Missing> {
        let own_url = self.base_url.is_some();
        let default = self.kind.default_base_url;
        let filled_in = |part: &str| !own_url && default.is_some_and(|url| url.contains(part));
        let key_wanted = match self.kind.auth {
            // A server of one's own often wants no key; the vendor always does.
            AuthScheme::Bearer | AuthScheme::Anthropic | AuthScheme::Google | AuthScheme::Aws { .. } => {
                !own_url && !self.kind.has(Quirk::OwnServer)
            }
            AuthScheme::Azure => true,
        };
        let region_wanted = match &self.key {
            Key::AwsKeys { .. } => true,
            // It finds one.
            Key::AwsChain(_) => false,
            Key::None | Key::ApiKey(_) | Key::Token(_) | Key::Entra(_) | Key::Google(_) => {
                filled_in("{region}")
            }
        };
        [
            (Missing::BaseUrl, !own_url && default.is_none()),
            (Missing::Key, key_wanted && self.key == Key::None),
            (Missing::Region, region_wanted && self.region.is_none()),
            // Credentials of Google name one.
            (
                Missing::Account,
                filled_in("{account}") && self.account.is_none() && !matches!(self.key, Key::Google(_)),
            ),
        ]
        .into_iter()
        .filter_map(|(what, missing)| missing.then_some(what))
        .collect()
    }

    /// Fails on what is wrong with the description and could only fail every call.
    ///
    /// # Errors
    /// The first thing that is missing or that can't be used, by its setting's name. No value is repeated.
    pub fn check(&self) -> Result<(), Error> {
        let aws = matches!(self.key, Key::AwsKeys { .. } | Key::AwsChain(_));
        if aws && !matches!(self.kind.auth, AuthScheme::Aws { .. }) {
            return Err(Error::configuration(format!("{} takes no AWS credentials", self.kind.name)));
        }
        if let Key::Google(source) = &self.key {
            if self.kind.google_scope.is_none() {
                return Err(Error::configuration(format!(
                    "{} takes no credentials of Google Cloud",
                    self.kind.name
                )));
            }
            if let Some(project) = &source.quota_project {
                settings::account(project).map_err(|why| wrong("quota_project", &why))?;
            }
        }
        if let Key::Entra(source) = &self.key {
            if self.kind.entra_scope.is_none() {
                return Err(Error::configuration(format!("{} takes no tokens of Entra ID", self.kind.name)));
            }
            settings::entra(source).map_err(|(setting, why)| wrong(setting, &why))?;
        }
        if let Some(missing) = self.missing().first() {
            return Err(Error::configuration(environment::lack(self.kind, *missing)));
        }
        if let Some(url) = &self.base_url {
            if settings::url_holds_secret(url) {
                return Err(Error::configuration(settings::URL_HOLDS_SECRET));
            }
            settings::base_url(url).map_err(|why| wrong("base_url", &why))?;
        }
        if let Some(version) = &self.api_version {
            settings::api_version(version).map_err(|why| wrong("api_version", &why))?;
        }
        if let Some(region) = &self.region {
            settings::region(region).map_err(|why| wrong("region", &why))?;
        }
        if let Some(account) = &self.account {
            settings::account(account).map_err(|why| wrong(self.kind.account_name(), &why))?;
        }
        self.header_map().map(drop)
    }

    /// Makes it ready for calls: the target that [`Client::chat_at`](crate::Client::chat_at) and the engine take. Its deadlines
    /// are [`Host::clocks`], else the defaults. [`Client::target`](crate::Client::target) does the same with the client's.
    ///
    /// # Errors
    /// The description can't be used ([`Host::check`]), or the AWS default chain knows no region.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the look-up of AWS credentials; nothing is held.
    pub async fn target(&self, sources: &CredentialSources) -> Result<Target, Error> {
        self.check()?;
        let (region, account) = (self.region.as_deref(), self.account.as_deref());
        match &self.key {
            Key::AwsChain(source) => {
                let aws = sources.aws(source, region, self.service()).await?;
                self.target_with(
                    Credentials::Renewed(aws.credential),
                    Some(&aws.region),
                    self.account.as_deref(),
                )
            }
            Key::Entra(source) => {
                let scope = self.kind.entra_scope.unwrap_or_default();
                self.target_with(Credentials::Renewed(sources.entra(source, scope)), region, account)
            }
            Key::Google(source) => {
                let own_url = self.base_url.is_some();
                let found = sources.google_projects(source, account.is_none() && !own_url).await?;
                let scope = self.kind.google_scope.unwrap_or_default();
                let credentials = Credentials::Renewed(sources.google(source, scope));
                if account.is_none() && found.project.is_none() && !own_url {
                    return Err(Error::configuration(environment::lack(self.kind, Missing::Account)));
                }
                let mut target =
                    self.target_with(credentials, region, account.or(found.project.as_deref()))?;
                if let Some(quota) = found.quota.and_then(|quota| HeaderValue::try_from(quota).ok()) {
                    target.endpoint.headers.entry(QUOTA_PROJECT_HEADER).or_insert(quota);
                }
                Ok(target)
            }
            _ => self.target_with(Credentials::Static(self.credential()), region, account),
        }
    }

    fn target_with(
        &self,
        credentials: Credentials,
        region: Option<&str>,
        account: Option<&str>,
    ) -> Result<Target, Error> {
        let mut endpoint = self.kind.endpoint_at(Place { account, ..self.place(region) })?;
        endpoint.headers = self.header_map()?;
        endpoint.responses = self.responses;
        let mut target = Target::new(endpoint, credentials)?;
        target.clocks = self.clocks.unwrap_or_default();
        target.http = self.http;
        Ok(target)
    }

    fn credential(&self) -> Credential {
        match (&self.key, self.kind.auth) {
            (Key::ApiKey(key), AuthScheme::Azure) => Credential::Header(AZURE_KEY_HEADER, key.clone()),
            (Key::ApiKey(key), AuthScheme::Anthropic) => {
                Credential::Header(ANTHROPIC_KEY_HEADER, key.clone())
            }
            (Key::ApiKey(key), AuthScheme::Google) => Credential::Header(GOOGLE_KEY_HEADER, key.clone()),
            (Key::ApiKey(key) | Key::Token(key), _) => Credential::Bearer(key.clone()),
            (Key::AwsKeys { access_key_id, secret_access_key, session_token }, _) => {
                Credential::Aws(AwsCredential {
                    access_key_id: access_key_id.expose().to_owned(),
                    secret_access_key: secret_access_key.clone(),
                    session_token: session_token.clone(),
                    region: self.region.clone().unwrap_or_default(),
                    service: self.service(),
                })
            }
            (Key::None | Key::AwsChain(_) | Key::Entra(_) | Key::Google(_), _) => Credential::Anonymous,
        }
    }

    /// SigV4 service name; without meaning for hosts that are not AWS's.
    fn service(&self) -> &'static str {
        match self.kind.auth {
            AuthScheme::Aws { service } => service,
            AuthScheme::Bearer | AuthScheme::Azure | AuthScheme::Anthropic | AuthScheme::Google => "",
        }
    }

    fn header_map(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let name = settings::header_name(name)
                .map_err(|why| Error::configuration(format!("header {name:?}: {why}")))?;
            let value = settings::header_value(value.expose())
                .map_err(|why| Error::configuration(format!("header \"{name}\": {why}")))?;
            headers.insert(name, value);
        }
        Ok(headers)
    }

    #[expect(clippy::expect_used, reason = "a literal of this file; a test calls each")]
    fn known(kind: &str) -> Self {
        Self::new(row(kind).expect("a kind of this crate's own"))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold what should not be in it, as long as it has not been checked; so may a header's name.
        f.debug_struct("Host")
            .field("kind", &self.kind.name)
            .field("api_version", &self.api_version)
            .field("region", &self.region)
            .field("clocks", &self.clocks)
            .field("http", &self.http)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn wrong(setting: &str, why: &str) -> Error {
    Error::configuration(format!("{setting} {why}"))
}

const AZURE_KEY_HEADER: HeaderName = HeaderName::from_static("api-key");
const ANTHROPIC_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
const GOOGLE_KEY_HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");
const QUOTA_PROJECT_HEADER: HeaderName = HeaderName::from_static("x-goog-user-project");

#[cfg(test)]
mod tests;
