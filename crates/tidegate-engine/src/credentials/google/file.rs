//! The files of Google's credentials, read, and the grant that a service account signs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::{
    SignatureScheme,
    sign::{Signer, SigningKey},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tidegate_wire::auth::Secret;

/// What a file says.
pub(super) enum Account {
    Service(ServiceAccount),
    User(User),
    External(External),
    /// The service account of `url`, lent to another account.
    Lent {
        source: Box<Account>,
        url: String,
    },
}

pub(super) struct ServiceAccount {
    email: String,
    key: Secret,
    key_id: Option<String>,
    pub(super) token_uri: String,
    project: Option<String>,
    quota_project: Option<String>,
}

pub(super) struct User {
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
    pub(super) refresh_token: Secret,
    pub(super) token_uri: String,
    quota_project: Option<String>,
}

pub(super) struct External {
    pub(super) audience: String,
    pub(super) subject_token_type: String,
    pub(super) token_url: String,
    pub(super) subject: SubjectToken,
    /// Where the service account that it acts for is lent out.
    pub(super) impersonation: Option<String>,
    quota_project: Option<String>,
}

/// Where somebody else's token is; it is the whole text, or this field of the JSON that it is.
pub(super) enum SubjectToken {
    File { path: PathBuf, field: Option<String> },
    Url { url: String, headers: HeaderMap, field: Option<String> },
}

impl Account {
    /// Reads a file of a few kilobytes.
    ///
    /// # Errors
    /// It can't be read, or is of a kind that is not known here. None of its values is repeated.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let text = std::fs::read(file).map_err(|error| format!("{shown}: {error}"))?;
        let said: Value = serde_json::from_slice(&text).map_err(|_| format!("{shown}: is no JSON"))?;
        Self::of(&said).map_err(|why| format!("{shown}: {why}"))
    }

    fn of(said: &Value) -> Result<Self, String> {
        let quota_project = optional(said, "quota_project_id");
        match optional(said, "type").as_deref() {
            Some("service_account") => Ok(Self::Service(ServiceAccount {
                email: required(said, "client_email")?,
                key: Secret::new(required(said, "private_key")?),
                key_id: optional(said, "private_key_id"),
                token_uri: optional(said, "token_uri").unwrap_or_else(|| TOKEN_URI.to_owned()),
                project: optional(said, "project_id"),
                quota_project,
            })),
            Some("authorized_user") => Ok(Self::User(User {
                client_id: required(said, "client_id")?,
                client_secret: Secret::new(required(said, "client_secret")?),
                refresh_token: Secret::new(required(said, "refresh_token")?),
                token_uri: optional(said, "token_uri").unwrap_or_else(|| TOKEN_URI.to_owned()),
                quota_project,
            })),
            Some("external_account") => Ok(Self::External(External {
                audience: required(said, "audience")?,
                subject_token_type: required(said, "subject_token_type")?,
                token_url: required(said, "token_url")?,
                subject: subject(said.get("credential_source").unwrap_or(&Value::Null))?,
                impersonation: optional(said, "service_account_impersonation_url"),
                quota_project,
            })),
            Some("impersonated_service_account") => {
                let source = said.get("source_credentials").unwrap_or(&Value::Null);
                let source = Self::of(source).map_err(|why| format!("source_credentials: {why}"))?;
                if matches!(source, Self::Lent { .. }) {
                    return Err("source_credentials: an account that is lent itself".to_owned());
                }
                let url = required(said, "service_account_impersonation_url")?;
                Ok(Self::Lent { source: Box::new(source), url })
            }
            Some(_) => Err(
                "its type is none of service_account, authorized_user, external_account, impersonated_service_account"
                    .to_owned(),
            ),
            None => Err("type is missing".to_owned()),
        }
    }

    pub(super) fn project(&self) -> Option<&str> {
        match self {
            Self::Service(account) => account.project.as_deref(),
            Self::User(_) | Self::External(_) => None,
            Self::Lent { source, .. } => source.project(),
        }
    }

    pub(super) fn quota_project(&self) -> Option<&str> {
        match self {
            Self::Service(account) => account.quota_project.as_deref(),
            Self::User(user) => user.quota_project.as_deref(),
            Self::External(external) => external.quota_project.as_deref(),
            Self::Lent { source, .. } => source.quota_project(),
        }
    }
}

fn subject(said: &Value) -> Result<SubjectToken, String> {
    let field = match said.pointer("/format/type").and_then(Value::as_str) {
        Some("json") => {
            said.pointer("/format/subject_token_field_name").and_then(Value::as_str).map(str::to_owned)
        }
        _ => None,
    };
    if let Some(path) = optional(said, "file") {
        return Ok(SubjectToken::File { path: path.into(), field });
    }
    if said.get("environment_id").is_none()
        && let Some(url) = optional(said, "url")
    {
        let mut headers = HeaderMap::new();
        for (name, value) in said.get("headers").and_then(Value::as_object).into_iter().flatten() {
            let value = HeaderValue::from_str(value.as_str().unwrap_or_default());
            let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value) else {
                return Err("credential_source.headers: not a header".to_owned());
            };
            headers.insert(name, value);
        }
        return Ok(SubjectToken::Url { url, headers, field });
    }
    Err("credential_source: only a file or a url can be used".to_owned())
}

/// The grant of a service account for `scope`, good for an hour from `now` on.
pub(super) fn sign(account: &ServiceAccount, scope: &str, now: SystemTime) -> Result<String, String> {
    let unusable = || "private_key: is no RSA key in PEM".to_owned();
    let key = PrivateKeyDer::from_pem_slice(account.key.expose().as_bytes()).map_err(|_| unusable())?;
    let key: Arc<dyn SigningKey> =
        rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| unusable())?;
    let signer: Box<dyn Signer> =
        key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or_else(unusable)?;
    let issued = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let claims = json!({
        "iss": account.email,
        "scope": scope,
        "aud": account.token_uri,
        "iat": issued.as_secs(),
        "exp": (issued + GRANT_TIME).as_secs(),
    });
    let mut head = json!({ "alg": "RS256", "typ": "JWT" });
    if let (Some(id), Some(head)) = (&account.key_id, head.as_object_mut()) {
        head.insert("kid".to_owned(), id.as_str().into());
    }
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(head.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = signer.sign(signed.as_bytes()).map_err(|_| unusable())?;
    Ok(format!("{signed}.{}", encode(&signature)))
}

fn optional(said: &Value, field: &str) -> Option<String> {
    said.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn required(said: &Value, field: &str) -> Result<String, String> {
    optional(said, field).ok_or_else(|| format!("{field} is missing"))
}

/// Google's, where the file names none.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// The longest that Google takes.
const GRANT_TIME: Duration = Duration::from_secs(3600);
