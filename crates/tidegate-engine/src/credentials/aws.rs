//! AWS: the SDK's default chain, and a role assumed with what it finds.
//!
//! What is looked for, and where, is aws-config's; renewal is `renewed.rs`'s.

use std::fmt;

use aws_config::{BehaviorVersion, Region, SdkConfig, sts::AssumeRoleProvider};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_http_client::tls;
use tidegate_wire::{
    ErrorClass, WireError,
    auth::{AwsCredential, Credential, Secret},
};

use super::{Fetch, Issued, Source, brief};

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
    name: String,
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
        Ok(Self { provider, region, service, name: source.to_string() })
    }

    /// The region that requests are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }
}

impl Source for AwsChain {
    fn name(&self) -> &str {
        &self.name
    }

    fn remedy(&self) -> &str {
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE, \
         or give the machine a role"
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(async move {
            let found = self.provider.provide_credentials().await.map_err(|error| reason(&error))?;
            let credential = Credential::Aws(AwsCredential {
                access_key_id: found.access_key_id().to_owned(),
                secret_access_key: Secret::new(found.secret_access_key()),
                session_token: found.session_token().map(Secret::new),
                region: self.region.clone(),
                service: self.service,
            });
            Ok(Issued { credential, expires: found.expiry() })
        })
    }
}

/// The chain's own words are one level of several, and the first says little.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    brief(&text)
}

impl fmt::Display for AwsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the AWS default chain")?;
        if let Some(profile) = &self.profile {
            write!(f, ", profile {profile}")?;
        }
        if let Some(role) = &self.role {
            write!(f, ", role {}", role.arn)?;
        }
        Ok(())
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
