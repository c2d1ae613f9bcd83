//! A backend as its user describes it, and what the engine needs of it.
//!
//! Never sends anything; looks up AWS credentials only for a host that leaves them to the default chain, and only when it
//! is first called. Made by users and by `environment.rs`; used by `client.rs`.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue};
use tidegate_engine::{Clocks, Credentials, HttpVersion, Target, credentials::AwsChain};
use tidegate_wire::{
    auth::{AwsCredential, Credential, Secret},
    host::{AuthScheme, HostRow, row},
};

use crate::Error;

/// A backend: which kind, where, and how to authenticate there.
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
pub struct Host {
    kind: &'static str,
    base_url: Option<String>,
    api_version: Option<String>,
    region: Option<String>,
    headers: Vec<(String, Secret)>,
    clocks: Option<Clocks>,
    http: HttpVersion,
    identity: Identity,
}

#[derive(Clone)]
enum Identity {
    Anonymous,
    ApiKey(Secret),
    Token(Secret),
    Aws { access_key_id: String, secret_access_key: Secret, session_token: Option<Secret> },
    AwsChain,
}

impl Host {
    /// OpenAI.
    pub fn openai(api_key: impl Into<String>) -> Self {
        Self::new("openai", Identity::ApiKey(Secret::new(api_key)))
    }

    /// A server that speaks OpenAI's chat completions at `base_url` (its `/v1` included) and wants no key; give it one with
    /// [`Host::api_key`].
    pub fn openai_compatible(base_url: impl Into<String>) -> Self {
        Self::new("openai", Identity::Anonymous).base_url(base_url)
    }

    /// Azure OpenAI. `base_url` is the resource's endpoint, such as `https://NAME.openai.azure.com`. Without
    /// [`Host::api_version`] the v1 surface is used.
    pub fn azure(base_url: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self::new("azure", Identity::ApiKey(Secret::new(api_key))).base_url(base_url)
    }

    /// Azure OpenAI with a token of Entra ID, sent as it is until the host is replaced.
    pub fn azure_token(base_url: impl Into<String>, token: impl Into<String>) -> Self {
        Self::new("azure", Identity::Token(Secret::new(token))).base_url(base_url)
    }

    /// Amazon Bedrock with an API key (a bearer token).
    pub fn bedrock(region: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self::new("bedrock", Identity::ApiKey(Secret::new(api_key))).region(region)
    }

    /// Amazon Bedrock with an AWS access key; `session_token` for temporary credentials. Requests are signed (SigV4).
    pub fn bedrock_keys(
        region: impl Into<String>,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
        session_token: Option<String>,
    ) -> Self {
        let identity = Identity::Aws {
            access_key_id: access_key_id.into(),
            secret_access_key: Secret::new(secret_access_key),
            session_token: session_token.map(Secret::new),
        };
        Self::new("bedrock", identity).region(region)
    }

    /// Amazon Bedrock with what the AWS default chain finds (environment, profile, SSO, web identity, container,
    /// instance), renewed before it expires. Looked up at the first call; the region too, unless [`Host::region`] says it.
    pub fn bedrock_default_chain() -> Self {
        Self::new("bedrock", Identity::AwsChain)
    }

    fn new(kind: &'static str, identity: Identity) -> Self {
        Self {
            kind,
            base_url: None,
            api_version: None,
            region: None,
            headers: Vec::new(),
            clocks: None,
            http: HttpVersion::Auto,
            identity,
        }
    }

    /// Replaces the kind's own URL. No credentials and no query in it.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The key to send.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.identity = Identity::ApiKey(Secret::new(key));
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

    /// A header to send with every request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Secret::new(value)));
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

    /// Fails on what is wrong with the description and could only fail every call.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(url) = &self.base_url {
            check_url(url)?;
        } else if self.row()?.default_base_url.is_none() {
            return Err(Error::configuration("needs a base URL"));
        }
        let region = self.region.as_deref();
        // A region goes into a host name as it is.
        if region.is_some_and(|region| region.is_empty() || !region.bytes().all(is_region_byte)) {
            return Err(Error::configuration("the region is none of AWS's, such as eu-central-1"));
        }
        self.header_map().map(drop)
    }

    /// Whether the target can be made without asking anybody.
    pub(crate) fn is_static(&self) -> bool {
        !matches!(self.identity, Identity::AwsChain)
    }

    /// The target, with `clocks` where the host has none of its own.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the look-up of AWS credentials; nothing is held.
    pub(crate) async fn target(&self, clocks: Clocks) -> Result<Target, Error> {
        match self.identity {
            Identity::AwsChain => {
                let chain = AwsChain::from_environment(self.region.clone(), self.service()?).await?;
                let region = chain.region().to_owned();
                self.target_with(Credentials::Aws(Arc::new(chain)), Some(&region), clocks)
            }
            _ => self.static_target(clocks),
        }
    }

    /// The target of a host that [`Host::is_static`].
    pub(crate) fn static_target(&self, clocks: Clocks) -> Result<Target, Error> {
        self.target_with(Credentials::Static(self.credential()?), self.region.as_deref(), clocks)
    }

    fn target_with(
        &self,
        credentials: Credentials,
        region: Option<&str>,
        clocks: Clocks,
    ) -> Result<Target, Error> {
        let mut endpoint =
            self.row()?.endpoint(self.base_url.as_deref(), region, self.api_version.as_deref())?;
        endpoint.headers = self.header_map()?;
        let mut target = Target::new(endpoint, credentials)?;
        target.clocks = self.clocks.unwrap_or(clocks);
        target.http = self.http;
        Ok(target)
    }

    fn credential(&self) -> Result<Credential, Error> {
        Ok(match (&self.identity, self.row()?.auth) {
            (Identity::ApiKey(key), AuthScheme::Azure) => Credential::Header(AZURE_KEY_HEADER, key.clone()),
            (Identity::ApiKey(key) | Identity::Token(key), _) => Credential::Bearer(key.clone()),
            (Identity::Aws { access_key_id, secret_access_key, session_token }, _) => {
                Credential::Aws(AwsCredential {
                    access_key_id: access_key_id.clone(),
                    secret_access_key: secret_access_key.clone(),
                    session_token: session_token.clone(),
                    region: self.region.clone().unwrap_or_default(),
                    service: self.service()?,
                })
            }
            (Identity::Anonymous | Identity::AwsChain, _) => Credential::Anonymous,
        })
    }

    fn row(&self) -> Result<&'static HostRow, Error> {
        row(self.kind).ok_or_else(|| Error::configuration(format!("no host of kind {}", self.kind)))
    }

    fn service(&self) -> Result<&'static str, Error> {
        Ok(match self.row()?.auth {
            AuthScheme::Aws { service } => service,
            AuthScheme::Bearer | AuthScheme::Azure => "",
        })
    }

    fn header_map(&self) -> Result<http::HeaderMap, Error> {
        self.headers
            .iter()
            .map(|(name, value)| {
                let wrong = |what: &str| Error::configuration(format!("{what} of a header can't be sent"));
                let name = HeaderName::try_from(name).map_err(|_| wrong("the name"))?;
                let mut value = HeaderValue::try_from(value.expose()).map_err(|_| wrong("the value"))?;
                value.set_sensitive(true);
                Ok((name, value))
            })
            .collect()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold what should not be in it, as long as it has not been checked.
        f.debug_struct("Host").field("kind", &self.kind).field("region", &self.region).finish_non_exhaustive()
    }
}

/// Never repeats the URL: what is wrong with it may be the password in it.
fn check_url(url: &str) -> Result<(), Error> {
    if url.contains(['@', '?', '#']) {
        return Err(Error::configuration(
            "the base URL has credentials, a query or a fragment; it may have none",
        ));
    }
    let uri = url.parse::<http::Uri>().ok();
    let good = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if good {
        Ok(())
    } else {
        Err(Error::configuration("the base URL is none such as https://example.com/v1"))
    }
}

fn is_region_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

const AZURE_KEY_HEADER: HeaderName = HeaderName::from_static("api-key");
