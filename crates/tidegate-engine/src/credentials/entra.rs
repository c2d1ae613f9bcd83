//! Tokens of Entra ID, Azure's directory, by azure_identity over the engine's connections.
//!
//! azure_identity keeps a token until five minutes before its end, and a federated token's file for ten. Both are in the way of a
//! token that a backend refused, so each fetch is by a credential of its own: making one costs no request.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use azure_core::{
    cloud::{CloudConfiguration, CustomConfiguration},
    credentials::TokenCredential,
    error::ErrorKind,
    http::{
        AsyncRawResponse, ClientOptions, HttpClient, Request, RetryOptions, Transport, headers::Headers,
        request::Body,
    },
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};
use tidegate_wire::auth::{Credential, Secret};
use tokio::{net::TcpStream, time::timeout};

use super::{Fetch, Issued, Source, TokenClient, brief};

/// Who asks Entra ID for tokens, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EntraSource {
    /// Who asks.
    pub identity: EntraIdentity,
    /// Scope of the tokens. `None`: that of the host's kind.
    pub scope: Option<String>,
    /// `https` URL of the directory, for the national clouds. `None`: `AZURE_AUTHORITY_HOST`, else the public cloud's.
    pub authority_host: Option<String>,
}

/// A way to be known to Entra ID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum EntraIdentity {
    /// The first of the others that is there, as Azure's own clients look for it: a client secret in `AZURE_TENANT_ID`,
    /// `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`, a workload identity in `AZURE_FEDERATED_TOKEN_FILE` and the same, a managed
    /// identity (that of `AZURE_CLIENT_ID`, if that is set), the Azure CLI's user.
    #[default]
    Default,
    /// An application with a secret.
    ClientSecret {
        /// Directory.
        tenant_id: String,
        /// Application.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
    },
    /// An application that is trusted for the token of somebody else, such as Kubernetes, in a file. It is read for each
    /// fetch, so it may change. What is `None` is in `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE`.
    WorkloadIdentity {
        /// Directory.
        tenant_id: Option<String>,
        /// Application.
        client_id: Option<String>,
        /// The file.
        token_file: Option<PathBuf>,
    },
    /// The identity of the machine or the App Service that this runs on.
    ManagedIdentity {
        /// Of an identity that the user has assigned. `None`: the system's.
        client_id: Option<String>,
    },
    /// Whoever has logged in with `az login`.
    AzureCli {
        /// Directory. `None`: the user's own.
        tenant_id: Option<String>,
    },
}

impl EntraIdentity {
    /// The identities that the variables of Azure's own clients describe, in the order in which those look: a client secret, a
    /// workload identity, the identity of an App Service.
    pub fn in_environment(variable: &dyn Fn(&str) -> Option<String>) -> Vec<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let client_id = variable("AZURE_CLIENT_ID");
        let mut found = Vec::new();
        if let (Some(tenant_id), Some(client_id)) = (variable("AZURE_TENANT_ID"), client_id.clone()) {
            if let Some(secret) = variable("AZURE_CLIENT_SECRET") {
                let (tenant_id, client_id) = (tenant_id.clone(), client_id.clone());
                found.push(Self::ClientSecret { tenant_id, client_id, client_secret: Secret::new(secret) });
            }
            if let Some(file) = variable("AZURE_FEDERATED_TOKEN_FILE") {
                found.push(Self::WorkloadIdentity {
                    tenant_id: Some(tenant_id),
                    client_id: Some(client_id),
                    token_file: Some(file.into()),
                });
            }
        }
        if variable("IDENTITY_ENDPOINT").is_some() && variable("IDENTITY_HEADER").is_some() {
            found.push(Self::ManagedIdentity { client_id });
        }
        found
    }

    /// What [`EntraIdentity::Default`] stands for, in order.
    fn defaults(variable: &dyn Fn(&str) -> Option<String>) -> Vec<Self> {
        let mut found = Self::in_environment(variable);
        if !found.iter().any(|identity| matches!(identity, Self::ManagedIdentity { .. })) {
            let client_id = variable("AZURE_CLIENT_ID").filter(|id| !id.is_empty());
            found.push(Self::ManagedIdentity { client_id });
        }
        found.push(Self::AzureCli { tenant_id: None });
        found
    }

    /// Its name in configurations.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::ClientSecret { .. } => "client_secret",
            Self::WorkloadIdentity { .. } => "workload_identity",
            Self::ManagedIdentity { .. } => "managed_identity",
            Self::AzureCli { .. } => "azure_cli",
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Default => {
                "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, give this machine a managed identity, or \
                 run `az login`"
            }
            Self::ClientSecret { .. } => {
                "check tenant_id (AZURE_TENANT_ID), client_id (AZURE_CLIENT_ID) and client_secret (AZURE_CLIENT_SECRET)"
            }
            Self::WorkloadIdentity { .. } => {
                "check AZURE_TENANT_ID, AZURE_CLIENT_ID and the file of AZURE_FEDERATED_TOKEN_FILE"
            }
            Self::ManagedIdentity { .. } => {
                "give this machine a managed identity; for one that you have assigned, set client_id"
            }
            Self::AzureCli { .. } => "run `az login`",
        }
    }
}

impl fmt::Display for EntraSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entra ID ({})", self.identity.name().replace('_', " "))
    }
}

/// Fetches tokens for one scope.
pub struct Entra {
    source: EntraSource,
    scope: String,
    name: String,
    client: Arc<TokenClient>,
    /// Which of the default ones it is, as soon as one has given a token.
    found: OnceLock<EntraIdentity>,
}

impl Entra {
    /// A source of tokens of `scope`, where `source` names none.
    pub fn new(source: &EntraSource, scope: &str, client: Arc<TokenClient>) -> Self {
        let scope = source.scope.as_deref().unwrap_or(scope).to_owned();
        Self { source: source.clone(), scope, name: source.to_string(), client, found: OnceLock::new() }
    }

    async fn token(&self, identity: &EntraIdentity) -> Result<Issued, String> {
        let issued = async {
            let credential = self.credential(identity)?;
            credential.get_token(&[&self.scope], None).await
        };
        let token = issued.await.map_err(|error| self.reason(&error, identity))?;
        let seconds = u64::try_from(token.expires_on.unix_timestamp()).unwrap_or_default();
        Ok(Issued {
            credential: Credential::Bearer(Secret::new(token.token.secret())),
            expires: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        })
    }

    fn credential(&self, identity: &EntraIdentity) -> azure_core::Result<Arc<dyn TokenCredential>> {
        Ok(match identity {
            EntraIdentity::ClientSecret { tenant_id, client_id, client_secret } => {
                let options = ClientSecretCredentialOptions { client_options: self.options() };
                let secret = client_secret.expose().to_owned();
                ClientSecretCredential::new(tenant_id, client_id.clone(), secret.into(), Some(options))?
            }
            EntraIdentity::WorkloadIdentity { tenant_id, client_id, token_file } => {
                let options = WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions { client_options: self.options() },
                    tenant_id: tenant_id.clone(),
                    client_id: client_id.clone(),
                    token_file_path: token_file.clone(),
                };
                WorkloadIdentityCredential::new(Some(options))?
            }
            EntraIdentity::ManagedIdentity { client_id } => {
                let options = ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options: self.options(),
                };
                ManagedIdentityCredential::new(Some(options))?
            }
            EntraIdentity::AzureCli { tenant_id } => {
                let tenant_id = tenant_id.clone();
                AzureCliCredential::new(Some(AzureCliCredentialOptions { tenant_id, ..Default::default() }))?
            }
            EntraIdentity::Default => {
                return Err(azure_core::Error::with_message(ErrorKind::Credential, "none has been found"));
            }
        })
    }

    fn options(&self) -> ClientOptions {
        let custom = |host: &String| {
            let mut cloud = CustomConfiguration::default();
            cloud.authority_host.clone_from(host);
            Arc::new(CloudConfiguration::Custom(cloud))
        };
        ClientOptions {
            // Whoever keeps the credential fresh tries again.
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(Carrier(self.client.clone())))),
            cloud: self.source.authority_host.as_ref().map(custom),
            ..Default::default()
        }
    }

    /// The first that gives a token stays the one.
    async fn first(&self) -> Result<Issued, String> {
        if let Some(found) = self.found.get() {
            return self.token(found).await;
        }
        let mut reasons = Vec::new();
        for identity in EntraIdentity::defaults(&|name| std::env::var(name).ok()) {
            let asked = match &identity {
                EntraIdentity::ManagedIdentity { .. } if !has_metadata_service().await => {
                    Err("no metadata service here".to_owned())
                }
                identity => self.token(identity).await,
            };
            match asked {
                Ok(issued) => {
                    tracing::info!(identity = identity.name(), "tokens of Entra ID");
                    let _ = self.found.set(identity);
                    return Ok(issued);
                }
                // What the environment says so plainly is meant: another identity in its place would be a surprise.
                Err(why) if matches!(identity, EntraIdentity::ClientSecret { .. }) => {
                    return Err(format!("{}: {why}", identity.name()));
                }
                Err(why) => reasons.push(format!("{}: {why}", identity.name())),
            }
        }
        Err(reasons.join("; "))
    }

    /// azure_identity's words without its links, and without what the server may have repeated to it.
    fn reason(&self, error: &azure_core::Error, identity: &EntraIdentity) -> String {
        let text = error.to_string();
        let text = text.split("To troubleshoot").next().unwrap_or_default();
        let text = match identity {
            EntraIdentity::ClientSecret { client_secret, .. } => {
                text.replace(client_secret.expose(), "[redacted]")
            }
            _ => text.to_owned(),
        };
        brief(&text)
    }
}

impl Source for Entra {
    fn name(&self) -> &str {
        &self.name
    }

    fn remedy(&self) -> &str {
        self.source.identity.remedy()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(async move {
            match &self.source.identity {
                EntraIdentity::Default => self.first().await,
                identity => self.token(identity).await,
            }
        })
    }
}

/// Whether it is worth asking for a managed identity: everywhere else nobody answers, for more than a minute.
async fn has_metadata_service() -> bool {
    let named =
        ["IDENTITY_ENDPOINT", "MSI_ENDPOINT"].into_iter().any(|name| std::env::var_os(name).is_some());
    named || matches!(timeout(PROBE_TIME, TcpStream::connect(METADATA_SERVICE)).await, Ok(Ok(_)))
}

/// azure_core's requests over the engine's connections.
#[derive(Debug)]
struct Carrier(Arc<TokenClient>);

#[async_trait::async_trait]
impl HttpClient for Carrier {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let failed = |why: &str| azure_core::Error::with_message(ErrorKind::Io, why.to_owned());
        let method = Method::from_bytes(request.method().as_str().as_bytes())
            .map_err(|_| failed("not a method of HTTP"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers().iter() {
            let name = HeaderName::from_bytes(name.as_str().as_bytes());
            let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value.as_str())) else {
                return Err(failed("not a header of HTTP"));
            };
            headers.insert(name, value);
        }
        let Body::Bytes(body) = request.body().clone() else {
            return Err(failed("a token request has no streamed body"));
        };
        let reply = self.0.send(method, request.url().as_str(), headers, body).await;
        let reply = reply.map_err(|error| failed(error.message()))?;
        let mut headers = Headers::new();
        for (name, value) in &reply.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        let body = if reply.status.is_success() { reply.body } else { refusal(&reply.body) };
        Ok(AsyncRawResponse::from_bytes(reply.status.as_u16().into(), headers, body))
    }
}

/// What OAuth has for saying why. Of some services azure_identity repeats the whole reply, and what else is in that may be
/// anything.
fn refusal(body: &[u8]) -> Bytes {
    let mut said: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    said.retain(|name, _| matches!(name.as_str(), "error" | "error_description" | "error_codes"));
    Value::Object(said).to_string().into()
}

/// Azure's own clients wait as long for it.
const PROBE_TIME: Duration = Duration::from_secs(1);
/// Azure's, for virtual machines.
const METADATA_SERVICE: (&str, u16) = ("169.254.169.254", 80);
