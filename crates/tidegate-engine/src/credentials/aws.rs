//! AWS: the SDK's default chain, and a role assumed with what it finds, over the engine's connections.
//!
//! What is looked for, and where, is aws-config's; renewal is `renewed.rs`'s.

use std::{fmt, sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, sts::AssumeRoleProvider};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tidegate_wire::{
    ErrorClass, WireError,
    auth::{AwsCredential, Credential, Secret},
};

use super::{Fetch, Issued, Source, TokenClient, brief};

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
        client: Arc<TokenClient>,
    ) -> Result<Self, WireError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(Carrier(client));
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

/// The SDK's requests over the engine's connections.
#[derive(Debug)]
struct Carrier(Arc<TokenClient>);

#[derive(Debug)]
struct Connector {
    client: Arc<TokenClient>,
    /// For a whole exchange: the replies are a few kilobytes. `None`: as long as it takes.
    time: Option<Duration>,
}

impl HttpClient for Carrier {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let time = match (settings.connect_timeout(), settings.read_timeout()) {
            (Some(connect), Some(read)) => Some(connect.saturating_add(read)),
            (connect, read) => connect.or(read),
        };
        SharedHttpConnector::new(Connector { client: self.0.clone(), time })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, time) = (self.client.clone(), self.time);
        HttpConnectorFuture::new(async move {
            let exchange = exchange(&client, &request);
            match time {
                None => exchange.await,
                Some(time) => tokio::time::timeout(time, exchange)
                    .await
                    .unwrap_or_else(|late| Err(ConnectorError::timeout(late.into()))),
            }
        })
    }
}

async fn exchange(client: &TokenClient, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let unusable = |what: &str| ConnectorError::user(what.to_owned().into());
    let method = Method::from_bytes(request.method().as_bytes()).map_err(|_| unusable("method"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers() {
        let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        let (Ok(name), Ok(value)) = (name, value) else { return Err(unusable("header")) };
        // These two are the connection's to set.
        if name != http::header::HOST && name != http::header::CONTENT_LENGTH {
            headers.append(name, value);
        }
    }
    let body = request.body().bytes().ok_or_else(|| unusable("a streamed body"))?;
    let reply = client.send(method, request.uri(), headers, Bytes::copy_from_slice(body)).await;
    let reply = reply.map_err(|error| ConnectorError::io(error.message().to_owned().into()))?;
    let status = StatusCode::try_from(reply.status.as_u16()).map_err(|_| unusable("status"))?;
    let mut response = HttpResponse::new(status, SdkBody::from(reply.body));
    for (name, value) in &reply.headers {
        if let Ok(value) = value.to_str() {
            response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(response)
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
