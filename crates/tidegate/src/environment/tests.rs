//! Which hosts appear from which variables.

use super::{Found, hosts};

fn found(variables: &[(&str, &str)]) -> Found {
    hosts(&|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()))
}

fn names(variables: &[(&str, &str)]) -> Vec<&'static str> {
    found(variables).hosts.iter().map(|(name, _)| *name).collect()
}

fn lacks(variables: &[(&str, &str)]) -> Vec<(&'static str, &'static str)> {
    let found = found(variables);
    assert!(found.hosts.is_empty(), "{variables:?}");
    found.lacking
}

#[test]
fn each_host_appears_from_its_own_variables() {
    assert!(names(&[]).is_empty());
    assert_eq!(names(&[("OPENAI_API_KEY", "k")]), ["openai"]);
    assert_eq!(names(&[("OPENAI_BASE_URL", "http://h/v1")]), ["openai"]);
    assert_eq!(names(&[("AZURE_API_KEY", "k"), ("AZURE_API_BASE", "https://r")]), ["azure"]);
    assert_eq!(names(&[("AZURE_OPENAI_AD_TOKEN", "t"), ("AZURE_OPENAI_ENDPOINT", "https://r")]), ["azure"]);
    assert_eq!(names(&[("AWS_BEARER_TOKEN_BEDROCK", "k"), ("AWS_REGION", "eu-west-1")]), ["bedrock"]);
    let keys = [("AWS_ACCESS_KEY_ID", "i"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "eu-west-1")];
    assert_eq!(names(&keys), ["bedrock"]);
    assert_eq!(names(&[("AWS_PROFILE", "p")]), ["bedrock"]);
}

#[test]
fn an_empty_variable_is_not_set() {
    assert!(names(&[("OPENAI_API_KEY", ""), ("AWS_PROFILE", "")]).is_empty());
    let second = [("AZURE_API_KEY", ""), ("AZURE_OPENAI_API_KEY", "k"), ("AZURE_API_BASE", "https://r")];
    assert_eq!(names(&second), ["azure"]);
}

#[test]
fn half_a_host_says_what_it_lacks() {
    assert_eq!(
        lacks(&[("AZURE_API_KEY", "k")]),
        [("azure", "AZURE_API_BASE is not set, such as https://NAME.openai.azure.com")]
    );
    assert_eq!(
        lacks(&[("AZURE_API_BASE", "https://r")]),
        [("azure", "AZURE_API_KEY (or AZURE_AD_TOKEN) is not set")]
    );
    assert_eq!(
        lacks(&[("AWS_BEARER_TOKEN_BEDROCK", "k")]),
        [("bedrock", "AWS_REGION is not set, such as eu-central-1")]
    );
    assert_eq!(lacks(&[("AWS_ACCESS_KEY_ID", "i")]), [("bedrock", "AWS_SECRET_ACCESS_KEY is not set")]);
    assert_eq!(lacks(&[("AWS_SECRET_ACCESS_KEY", "s")]), [("bedrock", "AWS_ACCESS_KEY_ID is not set")]);
}

#[test]
fn a_region_alone_is_no_host() {
    assert!(names(&[("AWS_REGION", "eu-west-1")]).is_empty());
    assert!(lacks(&[("AWS_REGION", "eu-west-1")]).is_empty());
}
