//! What is said of descriptions, and what becomes of them.

use std::time::Duration;

use tidegate_engine::{Clocks, Credentials, HttpVersion, Target};
use tidegate_wire::{
    auth::Credential,
    host::{HOSTS, row},
};

use super::{Host, Key, Missing};
use crate::{AwsSource, CredentialSources};

async fn ready(host: Host) -> Target {
    host.target(&CredentialSources::default()).await.unwrap()
}

fn credential(target: &Target) -> &Credential {
    match &target.credentials {
        Credentials::Static(credential) => credential,
        Credentials::Renewed(_) => panic!("the chain"),
    }
}

#[tokio::test]
async fn each_kind_authenticates_in_its_own_way() {
    let openai = ready(Host::openai("k")).await;
    assert!(matches!(credential(&openai), Credential::Bearer(key) if key.expose() == "k"));
    let azure = ready(Host::azure("https://r/", "k").api_version("2024-10-21")).await;
    assert!(matches!(credential(&azure), Credential::Header(name, key)
        if name == "api-key" && key.expose() == "k"));
    assert_eq!(azure.endpoint.base_url, "https://r");
    assert_eq!(azure.endpoint.api_version.as_deref(), Some("2024-10-21"));
    let anthropic = ready(Host::anthropic("k")).await;
    assert!(matches!(credential(&anthropic), Credential::Header(name, key)
        if name == "x-api-key" && key.expose() == "k"));
    assert_eq!(anthropic.endpoint.base_url, "https://api.anthropic.com");
    let entra = ready(Host::azure_token("https://r", "t")).await;
    assert!(matches!(credential(&entra), Credential::Bearer(key) if key.expose() == "t"));
    let bearer = ready(Host::bedrock("eu-west-1", "k")).await;
    assert!(matches!(credential(&bearer), Credential::Bearer(key) if key.expose() == "k"));
    assert_eq!(bearer.endpoint.base_url, "https://bedrock-runtime.eu-west-1.amazonaws.com");
    let signed = ready(Host::bedrock_keys("eu-west-1", "id", "s", Some("t".to_owned()))).await;
    assert!(matches!(credential(&signed), Credential::Aws(aws)
        if aws.region == "eu-west-1" && aws.service == "bedrock" && aws.session_token.is_some()));
    let local = ready(Host::openai_compatible("http://127.0.0.1:8000/v1")).await;
    assert!(matches!(credential(&local), Credential::Anonymous));
}

#[tokio::test]
async fn hosts_that_leave_their_credentials_to_aws_share_one_look_up_for_each_region() {
    let sources = CredentialSources::default();
    let chain = async |region: &str| {
        let target = Host::bedrock_default_chain().region(region).target(&sources).await.unwrap();
        assert_eq!(target.endpoint.region.as_deref(), Some(region));
        match target.credentials {
            Credentials::Renewed(renewed) => renewed,
            Credentials::Static(_) => panic!("not the chain"),
        }
    };
    let first = chain("eu-west-1").await;
    assert!(std::sync::Arc::ptr_eq(&first, &chain("eu-west-1").await));
    assert!(!std::sync::Arc::ptr_eq(&first, &chain("us-east-1").await));
}

#[tokio::test]
async fn what_is_said_last_counts() {
    let clocks = Clocks { idle: Duration::from_secs(1), ..Clocks::default() };
    let host = Host::bedrock("eu-west-1", "k")
        .aws_keys("id", "s", None)
        .region("us-east-1")
        .base_url("http://127.0.0.1:1")
        .header("X-A", "1")
        .header("x-a", "2")
        .clocks(clocks)
        .http(HttpVersion::Http2);
    assert_eq!(host.headers.len(), 1, "each name once");
    let target = ready(host).await;
    assert!(matches!(credential(&target), Credential::Aws(aws) if aws.region == "us-east-1"));
    assert_eq!(target.endpoint.base_url, "http://127.0.0.1:1");
    assert_eq!(target.endpoint.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["2"]);
    assert_eq!((target.clocks, target.http), (clocks, HttpVersion::Http2));
}

#[test]
fn what_is_missing_is_named_with_its_variable() {
    let said = |host: Host| host.check().unwrap_err().to_string();
    let blank = |kind| Host::of_kind(kind).unwrap();
    assert_eq!(blank("openai").missing(), [Missing::Key]);
    assert_eq!(said(blank("openai")), "the key is missing (in the environment: OPENAI_API_KEY)");
    assert_eq!(blank("azure").missing(), [Missing::BaseUrl, Missing::Key]);
    assert_eq!(
        said(blank("azure").api_key("k")),
        "base_url is missing, such as https://NAME.openai.azure.com (in the environment: AZURE_API_BASE)"
    );
    assert_eq!(
        said(blank("azure").base_url("https://r")),
        "the key is missing (in the environment: AZURE_API_KEY (or AZURE_AD_TOKEN, or AZURE_TENANT_ID with AZURE_CLIENT_ID \
         and AZURE_CLIENT_SECRET))"
    );
    assert_eq!(blank("bedrock").missing(), [], "the chain finds all");
    for host in [blank("bedrock").api_key("k"), blank("bedrock").aws_keys("i", "s", None)] {
        assert_eq!(said(host), "region is missing, such as eu-central-1 (in the environment: AWS_REGION)");
    }
    assert!(blank("bedrock").api_key("k").base_url("http://h").check().is_ok());
    assert!(blank("openai").base_url("http://h").check().is_ok(), "a local server wants no key");
}

#[test]
fn what_can_not_be_used_is_named_and_not_repeated() {
    let said = |host: Host| host.check().unwrap_err().to_string();
    let kind = said(Host::openai("k").aws_keys("i", "hunter2", None));
    assert_eq!(kind, "openai takes no AWS credentials");
    let version = said(Host::azure("https://r", "k").api_version("hunter2 or so"));
    assert!(version.starts_with("api_version is not an API version; "), "{version}");
    for name in ["Host", "Accept", "Accept-Encoding"] {
        let own = said(Host::openai("k").header(name, "hunter2"));
        assert_eq!(own, format!("header {name:?}: this header is Tidegate's own to set"));
    }
    let unknown = Host::of_kind("opneai").unwrap_err().to_string();
    assert!(unknown.starts_with("no host of kind `opneai`; kinds: openai, azure, bedrock, "), "{unknown}");
}

#[test]
fn the_url_in_force_is_known_as_soon_as_the_region_is() {
    let url = |host: Host| host.url();
    assert_eq!(url(Host::openai("k")).as_deref(), Some("https://api.openai.com/v1"));
    assert_eq!(url(Host::bedrock_default_chain()), None);
    let there = "https://bedrock-runtime.eu-west-1.amazonaws.com";
    assert_eq!(url(Host::bedrock_default_chain().region("eu-west-1")).as_deref(), Some(there));
    assert_eq!(url(Host::of_kind("azure").unwrap()), None);
}

#[test]
fn vertex_is_where_its_location_is() {
    let url = |location: &str| Host::vertex_ai("p-1", location, "t").url().unwrap();
    let path = |location: &str| format!("/v1beta1/projects/p-1/locations/{location}/publishers/google");
    let cases = [
        ("europe-west4", "https://europe-west4-aiplatform.googleapis.com"),
        ("global", "https://aiplatform.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
    ];
    for (location, origin) in cases {
        assert_eq!(url(location), format!("{origin}{}", path(location)));
    }
    let without = Host::of_kind("vertex").unwrap().token("t");
    assert_eq!(without.missing(), [Missing::Region, Missing::Account]);
    let said = without.region("eu").check().unwrap_err().to_string();
    assert_eq!(said, "project is missing (in the environment: VERTEXAI_PROJECT)");
}

#[test]
fn a_kind_is_known_by_its_aliases_too() {
    assert_eq!(Host::of_kind("together").unwrap().kind.name, "together_ai");
    let url = Host::of_kind("vllm").unwrap().base_url("http://127.0.0.1:8000/").url();
    assert_eq!(url.as_deref(), Some("http://127.0.0.1:8000/v1"));
    let account = Host::of_kind("snowflake").unwrap().api_key("k").account("a/b").check().unwrap_err();
    assert!(account.to_string().starts_with("account has characters"), "{account}");
}

#[test]
fn every_kind_that_has_a_constructor_is_known() {
    let hosts = [
        Host::openai("k"),
        Host::openai_compatible("http://h"),
        Host::azure("http://h", "k"),
        Host::azure_token("http://h", "t"),
        Host::gemini("k"),
        Host::vertex_ai("p-1", "global", "t"),
        Host::bedrock("eu-west-1", "k"),
        Host::bedrock_keys("eu-west-1", "i", "s", None),
        Host::bedrock_default_chain(),
    ];
    for host in &hosts {
        assert!(host.check().is_ok(), "{host:?}");
    }
    for kind in HOSTS {
        assert_eq!(Host::of_kind(kind.name).unwrap().kind.name, row(kind.name).unwrap().name);
    }
    assert_eq!(hosts.last().unwrap().key, Key::AwsChain(AwsSource::default()));
}
