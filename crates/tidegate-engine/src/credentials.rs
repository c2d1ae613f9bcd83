//! Credentials: static ones as they are, AWS ones from the default chain, renewed before they expire.
//!
//! Never logs one. A renewal belongs to the call that needs it: if that caller hangs up, the next call renews.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, Region, SdkConfig, sts::AssumeRoleProvider};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_http_client::tls;
use parking_lot::Mutex;
use tidegate_wire::{
    ErrorClass, WireError,
    auth::{AwsCredential, Credential, Secret},
};

/// Where a target's credentials come from.
#[derive(Clone)]
pub enum Credentials {
    /// Given once: keys and tokens.
    Static(Credential),
    /// Looked up and renewed.
    Aws(Arc<AwsChain>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static(_) => "Static",
            Self::Aws(_) => "Aws",
        })
    }
}

/// What the AWS default chain is to start from and to end with. By default neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AwsSource {
    /// The profile to read, instead of the one that `AWS_PROFILE` names.
    pub profile: Option<String>,
    /// The role to assume with what the chain finds.
    pub role: Option<AwsRole>,
}

/// A role of IAM to assume, by STS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AwsRole {
    /// Its ARN.
    pub arn: String,
    /// What the session is called in logs of AWS. `None`: a name made of the time.
    pub session_name: Option<String>,
    /// What the role's owner asks of others' accounts.
    pub external_id: Option<String>,
}

/// The AWS default chain: environment, profile, SSO, web identity, container, instance; and a role assumed with that.
pub struct AwsChain {
    provider: SharedCredentialsProvider,
    region: String,
    service: &'static str,
    cached: Mutex<Option<Cached>>,
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Cached {
    credential: AwsCredential,
    expires: Option<SystemTime>,
}

impl AwsChain {
    /// The default chain, for signing requests to `service`. `region` wins over the one that the environment or the
    /// profile names.
    ///
    /// # Errors
    /// [`ErrorClass::Internal`]: no region is known.
    pub async fn from_environment(
        source: &AwsSource,
        region: Option<String>,
        service: &'static str,
    ) -> Result<Self, WireError> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
        if let Some(profile) = &source.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &region {
            loader = loader.region(Region::new(region.clone()));
        }
        let found = loader.load().await;
        let region = region.or_else(|| found.region().map(ToString::to_string)).ok_or_else(|| {
            WireError::new(
                ErrorClass::Internal,
                "no AWS region: set AWS_REGION, or name it in the configuration or the AWS profile",
            )
        })?;
        let provider = match &source.role {
            Some(role) => Some(SharedCredentialsProvider::new(role.provider(&found).await)),
            None => found.credentials_provider(),
        };
        let provider = provider
            .ok_or_else(|| WireError::new(ErrorClass::UpstreamAuth, "no AWS credentials provider"))?;
        Ok(Self::from_provider(provider, region, service))
    }

    /// The region that requests are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The same with a provider of the caller's own.
    pub fn from_provider(provider: SharedCredentialsProvider, region: String, service: &'static str) -> Self {
        Self { provider, region, service, cached: Mutex::new(None), renewing: tokio::sync::Mutex::new(()) }
    }

    /// A credential that is fresh enough to sign with now.
    ///
    /// # Errors
    /// [`ErrorClass::UpstreamAuth`]: the chain has none, or its source failed.
    ///
    /// # Cancel safety
    /// Dropping the future gives up a renewal; nothing is held.
    pub async fn fresh(&self) -> Result<AwsCredential, WireError> {
        if let Some(credential) = self.usable(RENEW_BEFORE) {
            return Ok(credential);
        }
        // One call renews; as long as the old credential is good, the others go on with it.
        let renewing = match self.renewing.try_lock() {
            Ok(guard) => guard,
            Err(_) => {
                if let Some(credential) = self.usable(Duration::ZERO) {
                    return Ok(credential);
                }
                self.renewing.lock().await
            }
        };
        if let Some(credential) = self.usable(RENEW_BEFORE) {
            return Ok(credential);
        }
        let renewed = self.provider.provide_credentials().await;
        let result = match renewed {
            Ok(found) => {
                let credential = AwsCredential {
                    access_key_id: found.access_key_id().to_owned(),
                    secret_access_key: Secret::new(found.secret_access_key()),
                    session_token: found.session_token().map(Secret::new),
                    region: self.region.clone(),
                    service: self.service,
                };
                *self.cached.lock() =
                    Some(Cached { credential: credential.clone(), expires: found.expiry() });
                Ok(credential)
            }
            // A source that fails for a moment is no reason to throw a good credential away.
            Err(error) => self.usable(Duration::ZERO).ok_or_else(|| {
                WireError::new(ErrorClass::UpstreamAuth, format!("no AWS credentials: {error}"))
            }),
        };
        // Not before the new one is there: who waits would renew once more.
        drop(renewing);
        result
    }

    /// The cached credential, if it stays good for `margin`.
    fn usable(&self, margin: Duration) -> Option<AwsCredential> {
        let cached = self.cached.lock();
        let cached = cached.as_ref()?;
        let good = cached.expires.is_none_or(|expires| expires > SystemTime::now() + margin);
        good.then(|| cached.credential.clone())
    }
}

impl AwsRole {
    async fn provider(&self, chain: &SdkConfig) -> AssumeRoleProvider {
        let mut role = AssumeRoleProvider::builder(&self.arn).configure(chain);
        if let Some(name) = &self.session_name {
            role = role.session_name(name);
        }
        if let Some(id) = &self.external_id {
            role = role.external_id(id);
        }
        role.build().await
    }
}

/// Renewal starts this long before the end, several times what a slow metadata service takes.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
