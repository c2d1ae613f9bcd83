//! Google's application default credentials, over the engine's connections.
//!
//! A file says who asks: a service account signs a grant with its key, a user has a refresh token, an external account shows
//! somebody else's token to the Security Token Service, and either may then act for a service account. Without a file the
//! metadata server is asked. The file is read for each fetch, so it may change. The formats are those that Google's libraries
//! read and `gcloud` writes (AIP-4110, AIP-4112, AIP-4117).

mod file;

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_wire::auth::{Credential, Secret};

use self::file::{Account, External, ServiceAccount, SubjectToken, User, sign};
use super::{Fetch, Issued, Source, TokenClient, brief};

/// Who asks Google for tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GoogleSource {
    /// The file of the credentials. `None`: that of `GOOGLE_APPLICATION_CREDENTIALS`, else what `gcloud auth
    /// application-default login` has written, else the machine's service account.
    pub credentials_file: Option<PathBuf>,
    /// Whose quota counts. `None`: that of `GOOGLE_CLOUD_QUOTA_PROJECT`, else what the file says.
    pub quota_project: Option<String>,
}

/// What a host is told by its credentials.
#[derive(Clone, Debug, Default)]
pub struct GoogleProjects {
    /// The project that they are of.
    pub project: Option<String>,
    /// The project whose quota counts.
    pub quota: Option<String>,
}

impl GoogleSource {
    /// The file to be read, if there is one.
    fn file(&self) -> Option<PathBuf> {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(file) =
            self.credentials_file.clone().or_else(|| variable("GOOGLE_APPLICATION_CREDENTIALS"))
        {
            return Some(file);
        }
        let folder =
            variable("CLOUDSDK_CONFIG").or_else(|| Some(variable("HOME")?.join(".config/gcloud")))?;
        Some(folder.join("application_default_credentials.json")).filter(|file| file.exists())
    }
}

impl fmt::Display for GoogleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Google's application default credentials")?;
        match &self.credentials_file {
            Some(file) => write!(f, " in {}", file.display()),
            None => Ok(()),
        }
    }
}

/// Fetches tokens for Google Cloud.
pub struct Google {
    source: GoogleSource,
    scope: &'static str,
    name: String,
    client: Arc<TokenClient>,
}

/// An answer of a token server.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
struct Token {
    access_token: String,
    /// In seconds.
    expires_in: u64,
}

/// An answer of the service that lends out service accounts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lent {
    access_token: String,
    /// By RFC 3339.
    expire_time: String,
}

impl Google {
    /// A source of tokens of `scope`.
    pub fn new(source: &GoogleSource, scope: &'static str, client: Arc<TokenClient>) -> Self {
        Self { source: source.clone(), scope, name: source.to_string(), client }
    }

    /// The projects that the credentials name. Where there is no file, the metadata server is asked for the project, if it is
    /// `wanted`.
    ///
    /// # Errors
    /// The file can't be read, or nobody answers.
    pub async fn projects(&self, wanted: bool) -> Result<GoogleProjects, String> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let quota = self.source.quota_project.clone().or_else(|| set("GOOGLE_CLOUD_QUOTA_PROJECT"));
        match self.source.file() {
            Some(file) => {
                let account = Account::read(&file)?;
                let own = account.quota_project().map(str::to_owned);
                let project = account.project().map(str::to_owned).or_else(|| own.clone());
                Ok(GoogleProjects { project, quota: quota.or(own) })
            }
            None if !wanted => Ok(GoogleProjects { project: None, quota }),
            None => {
                let asked = tokio::time::timeout(METADATA_TIME, self.metadata("project/project-id")).await;
                let said = asked.map_err(|_| NO_METADATA.to_owned())??;
                let project = String::from_utf8_lossy(&said).trim().to_owned();
                Ok(GoogleProjects { project: Some(project), quota })
            }
        }
    }

    async fn token(&self) -> Result<Issued, String> {
        match self.source.file() {
            Some(file) => {
                let account = Account::read(&file)?;
                self.token_of(&account).await
            }
            None => {
                let path = format!("instance/service-accounts/default/token?scopes={}", encoded(self.scope));
                issued(&self.metadata(&path).await?)
            }
        }
    }

    async fn token_of(&self, account: &Account) -> Result<Issued, String> {
        match account {
            Account::Service(service) => self.service(service).await,
            Account::User(user) => self.user(user).await,
            Account::External(external) => {
                let token = self.external(external).await?;
                self.lent(external.impersonation.as_deref(), token).await
            }
            Account::Lent { source, url } => {
                // Of those that may stand here none has another inside.
                let token = Box::pin(self.token_of(source)).await?;
                self.lent(Some(url), token).await
            }
        }
    }

    async fn service(&self, service: &ServiceAccount) -> Result<Issued, String> {
        let assertion = sign(service, self.scope, SystemTime::now())?;
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        self.grant(&service.token_uri, &[("grant_type", grant), ("assertion", &assertion)]).await
    }

    async fn user(&self, user: &User) -> Result<Issued, String> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", user.client_id.as_str()),
            ("client_secret", user.client_secret.expose()),
            ("refresh_token", user.refresh_token.expose()),
        ];
        self.grant(&user.token_uri, &form).await
    }

    async fn external(&self, external: &External) -> Result<Issued, String> {
        let subject = match &external.subject {
            SubjectToken::File { path, field } => {
                let said = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
                subject_token(&said, field.as_deref())?
            }
            SubjectToken::Url { url, headers, field } => {
                let reply = self.send(Method::GET, url, headers.clone(), Bytes::new()).await?;
                subject_token(&reply, field.as_deref())?
            }
        };
        // Who acts for a service account asks for that right, and the service account for the scope.
        let scope = if external.impersonation.is_some() { CLOUD_PLATFORM } else { self.scope };
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", external.audience.as_str()),
            ("scope", scope),
            ("subject_token_type", external.subject_token_type.as_str()),
            ("subject_token", subject.expose()),
        ];
        self.grant(&external.token_url, &form).await
    }

    /// The token of the service account that `url` lends out, if there is one.
    async fn lent(&self, url: Option<&str>, token: Issued) -> Result<Issued, String> {
        let (Some(url), Credential::Bearer(bearer)) = (url, &token.credential) else { return Ok(token) };
        let mut headers = HeaderMap::new();
        let bearer = HeaderValue::from_str(&format!("Bearer {}", bearer.expose()));
        headers.insert(header::AUTHORIZATION, bearer.map_err(|_| NO_TOKEN.to_owned())?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = json!({ "scope": [self.scope], "lifetime": "3600s" }).to_string();
        let said = self.send(Method::POST, url, headers, body.into()).await?;
        let Lent { access_token, expire_time } =
            serde_json::from_slice(&said).map_err(|_| NO_TOKEN.to_owned())?;
        let expires = humantime::parse_rfc3339(&expire_time).map_err(|_| NO_TOKEN.to_owned())?;
        Ok(Issued { credential: Credential::Bearer(Secret::new(access_token)), expires: Some(expires) })
    }

    async fn grant(&self, url: &str, form: &[(&str, &str)]) -> Result<Issued, String> {
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        issued(&self.send(Method::POST, url, headers, body.join("&").into()).await?)
    }

    async fn metadata(&self, path: &str) -> Result<Bytes, String> {
        let host = std::env::var("GCE_METADATA_HOST").ok().filter(|host| !host.is_empty());
        let host = host.as_deref().unwrap_or("metadata.google.internal");
        let mut headers = HeaderMap::new();
        headers.insert("metadata-flavor", HeaderValue::from_static("Google"));
        let url = format!("http://{host}/computeMetadata/v1/{path}");
        let asked = self.send(Method::GET, &url, headers, Bytes::new()).await;
        asked.map_err(|why| format!("{NO_METADATA}: {why}"))
    }

    /// The body of a good reply.
    async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Bytes, String> {
        let reply = self.client.send(method, url, headers, body).await;
        let reply = reply.map_err(|error| error.message().to_owned())?;
        if reply.status.is_success() {
            return Ok(reply.body);
        }
        // Of what the server says, only what OAuth and Google's APIs have for it: the rest may repeat what it was sent.
        let said: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let text = |pointer: &str| said.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let error = [text("/error"), text("/error_description"), text("/error/message")].join(" ");
        Err(brief(&format!("status {} {error}", reply.status.as_u16())))
    }
}

impl Source for Google {
    fn name(&self) -> &str {
        &self.name
    }

    fn remedy(&self) -> &str {
        "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account, run `gcloud auth application-default login`, \
         or give the machine a service account"
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.token())
    }
}

fn issued(body: &[u8]) -> Result<Issued, String> {
    let Token { access_token, expires_in } = serde_json::from_slice(body).map_err(|_| NO_TOKEN.to_owned())?;
    let expires = SystemTime::now().checked_add(Duration::from_secs(expires_in));
    Ok(Issued { credential: Credential::Bearer(Secret::new(access_token)), expires })
}

/// The text itself, or a field of the JSON that it is.
fn subject_token(said: &[u8], field: Option<&str>) -> Result<Secret, String> {
    let token = match field {
        None => String::from_utf8(said.to_vec()).ok().map(|text| text.trim().to_owned()),
        Some(field) => serde_json::from_slice::<Value>(said)
            .ok()
            .and_then(|said| Some(said.get(field)?.as_str()?.to_owned())),
    };
    token
        .filter(|token| !token.is_empty())
        .map(Secret::new)
        .ok_or_else(|| "no token of the external account".to_owned())
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
const NO_TOKEN: &str = "the token server's answer has no token";
const NO_METADATA: &str = "no file of credentials, and no metadata server here";
/// A metadata server is on the same machine.
const METADATA_TIME: Duration = Duration::from_secs(3);
