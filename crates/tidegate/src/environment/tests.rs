//! Which hosts appear from which variables, and what is said about the rest.

use tidegate_wire::host::HOSTS;

use super::{Discovered, Verdict, aws_region, discover};
use crate::{AwsSource, EntraIdentity, EntraSource, GoogleSource, Host, Key, Secret};

type Pairs<'p> = &'p [(&'p str, &'p str)];

fn lookup<'p>(variables: Pairs<'p>) -> impl Fn(&str) -> Option<String> + 'p {
    |name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
}

fn found(variables: Pairs<'_>) -> Discovered {
    discover(&lookup(variables))
}

fn names(variables: Pairs<'_>) -> Vec<&'static str> {
    found(variables).hosts.iter().map(|(name, _)| *name).collect()
}

/// The notes of an environment without hosts: variable and what is said of it.
fn said(variables: Pairs<'_>) -> Vec<(&'static str, String)> {
    let found = found(variables);
    assert!(found.hosts.is_empty(), "{variables:?}");
    found.notes.iter().map(|note| (note.variable, note.to_string())).collect()
}

#[test]
fn each_host_appears_from_its_own_variables() {
    assert!(names(&[]).is_empty());
    assert_eq!(names(&[("OPENAI_API_KEY", "k")]), ["openai"]);
    assert_eq!(names(&[("OPENAI_BASE_URL", "http://h/v1")]), ["openai"]);
    assert_eq!(names(&[("AZURE_API_KEY", "k"), ("AZURE_API_BASE", "https://r")]), ["azure"]);
    assert_eq!(names(&[("AZURE_OPENAI_AD_TOKEN", "t"), ("AZURE_OPENAI_ENDPOINT", "https://r")]), ["azure"]);
    assert_eq!(names(&[("ANTHROPIC_API_KEY", "k")]), ["anthropic"]);
    assert_eq!(names(&[("ANTHROPIC_AUTH_TOKEN", "t")]), ["anthropic"]);
    let foundry = [("ANTHROPIC_FOUNDRY_API_KEY", "k"), ("ANTHROPIC_FOUNDRY_BASE_URL", "https://r/anthropic")];
    assert_eq!(names(&foundry), ["azure-anthropic"]);
    assert_eq!(names(&[("AWS_BEARER_TOKEN_BEDROCK", "k"), ("AWS_REGION", "eu-west-1")]), ["bedrock"]);
    let keys = [("AWS_ACCESS_KEY_ID", "i"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "eu-west-1")];
    assert_eq!(names(&keys), ["bedrock"]);
    assert_eq!(names(&[("AWS_PROFILE", "p")]), ["bedrock"]);
    assert_eq!(names(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/f")]), ["bedrock"]);
    assert_eq!(names(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://h")]), ["bedrock"]);
}

#[test]
fn every_kind_of_host_appears_from_its_own_variables_alone() {
    let values = |names: &[&'static str], value: &'static str| names.first().map(|name| (*name, value));
    for kind in HOSTS {
        let variables = &kind.variables;
        let own: Vec<_> = [
            values(variables.api_key, "k"),
            values(variables.token, "t"),
            values(variables.base_url, "https://h.example/v1"),
            values(variables.region, "eu-west-1"),
            values(variables.account, "a"),
        ]
        .into_iter()
        .flatten()
        .collect();
        // Ollama's servers and its cloud have one key.
        let expected: &[&str] =
            if kind.name == "ollama" { &["ollama", "ollama_cloud"] } else { &[kind.name] };
        assert_eq!(names(&own), expected, "{own:?}");
    }
}

/// A key for Ollama's cloud must not be taken for the wish to call a server on this machine.
#[test]
fn a_key_alone_makes_no_host_of_a_server_on_this_machine() {
    assert_eq!(names(&[("OLLAMA_API_KEY", "k")]), ["ollama_cloud"]);
    let found = found(&[("OLLAMA_API_BASE", "http://127.0.0.1:11434")]);
    assert_eq!(found.hosts[0].1.url().as_deref(), Some("http://127.0.0.1:11434"));
    assert!(found.notes.is_empty(), "a server of one's own wants no key");
}

#[test]
fn an_account_goes_into_the_url() {
    let half = [("CLOUDFLARE_API_KEY", "k")];
    assert_eq!(
        said(&half),
        [("CLOUDFLARE_API_KEY", "no host cloudflare: CLOUDFLARE_ACCOUNT_ID is missing".to_owned())]
    );
    let found = found(&[half[0], ("CLOUDFLARE_ACCOUNT_ID", "a1")]);
    let url = "https://api.cloudflare.com/client/v4/accounts/a1/ai/v1";
    assert_eq!(found.hosts[0].1.url().as_deref(), Some(url));
}

#[test]
fn the_narrower_credential_comes_first() {
    let azure = [("AZURE_AD_TOKEN", "t"), ("AZURE_API_KEY", "k"), ("AZURE_API_BASE", "https://r")];
    assert!(matches!(&found(&azure).hosts[0].1.key, Key::ApiKey(key) if key.expose() == "k"));
    assert!(matches!(&found(&[azure[0], azure[2]]).hosts[0].1.key, Key::Token(_)));
    let aws = [
        ("AWS_BEARER_TOKEN_BEDROCK", "b"),
        ("AWS_ACCESS_KEY_ID", "i"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_PROFILE", "p"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let key = |from: usize| found(&aws[from..]).hosts[0].1.key.clone();
    assert!(matches!(key(0), Key::ApiKey(_)));
    assert!(matches!(key(1), Key::AwsKeys { session_token: None, .. }));
    assert_eq!(key(3), Key::AwsChain(AwsSource::default()));
    // The chain takes them from the same variables, and finds the region.
    assert_eq!(found(&aws[1..3]).hosts[0].1.key, Key::AwsChain(AwsSource::default()));
}

#[test]
fn an_azure_host_without_a_key_has_what_azures_own_clients_would_find() {
    let base = ("AZURE_OPENAI_ENDPOINT", "https://r");
    let secret = [
        base,
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_CLIENT_SECRET", "s"),
        ("AZURE_SCOPE", "x"),
    ];
    let source = |variables: Pairs<'_>| match &found(variables).hosts[0].1.key {
        Key::Entra(source) => source.clone(),
        other => panic!("{other:?}"),
    };
    let (tenant_id, client_id) = ("t".to_owned(), "c".to_owned());
    let identity = EntraIdentity::ClientSecret { tenant_id, client_id, client_secret: Secret::new("s") };
    let expected = EntraSource { identity, scope: Some("x".to_owned()), authority_host: None };
    assert_eq!(source(&secret), expected);
    // A key is the narrower of the two.
    assert!(matches!(
        found(&[&secret[..], &[("AZURE_API_KEY", "k")]].concat()).hosts[0].1.key,
        Key::ApiKey(_)
    ));
    // These variables are other tools', too: by themselves they are no host, and no word about one.
    assert!(names(&secret[1..]).is_empty() && said(&secret[1..]).is_empty());

    let workload = [
        base,
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/f"),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"),
    ];
    let workload_source = source(&workload);
    assert_eq!(workload_source.identity.name(), "workload_identity");
    assert_eq!(workload_source.authority_host.as_deref(), Some("https://login.microsoftonline.us/"));

    let service = [base, ("IDENTITY_ENDPOINT", "http://h"), ("IDENTITY_HEADER", "h")];
    assert_eq!(source(&service).identity, EntraIdentity::ManagedIdentity { client_id: None });
    for (name, expected) in [
        ("ManagedIdentityCredential", "managed_identity"),
        ("azureclicredential", "azure_cli"),
        ("dev", "azure_cli"),
        ("prod", "default"),
        ("EnvironmentCredential", "client_secret"),
    ] {
        let chosen = [&secret[..], &[("AZURE_TOKEN_CREDENTIALS", name)]].concat();
        assert_eq!(source(&chosen).identity.name(), expected, "{name}");
    }
}

#[test]
fn a_vertex_host_has_googles_credentials_where_something_says_that_it_is_wanted() {
    let file = ("GOOGLE_APPLICATION_CREDENTIALS", "/f");
    // Other tools', too.
    assert!(names(&[file]).is_empty() && said(&[file]).is_empty());
    let place = [file, ("GOOGLE_CLOUD_LOCATION", "global")];
    let source = |variables: Pairs<'_>| match &found(variables).hosts[0].1.key {
        Key::Google(source) => source.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(source(&place).credentials_file, Some("/f".into()));
    let project = [("VERTEXAI_PROJECT", "p"), ("VERTEXAI_LOCATION", "global")];
    assert_eq!(source(&project), GoogleSource::default());
    let token = [&project[..], &[file, ("VERTEXAI_ACCESS_TOKEN", "t")]].concat();
    assert!(matches!(found(&token).hosts[0].1.key, Key::Token(_)));
    let elsewhere = found(&[("VERTEXAI_API_BASE", "http://127.0.0.1:1")]);
    assert_eq!(elsewhere.hosts[0].1.key, Key::None);
}

#[test]
fn an_empty_variable_is_not_set() {
    assert!(names(&[("OPENAI_API_KEY", ""), ("AWS_PROFILE", "")]).is_empty());
    let second = [("AZURE_API_KEY", ""), ("AZURE_OPENAI_API_KEY", "k"), ("AZURE_API_BASE", "https://r")];
    assert_eq!(names(&second), ["azure"]);
}

#[test]
fn half_a_host_says_what_it_lacks() {
    let cases: [(Pairs<'_>, &str); 6] = [
        (
            &[("AZURE_API_KEY", "k")],
            "no host azure: AZURE_API_BASE is missing, such as https://NAME.openai.azure.com",
        ),
        (
            &[("AZURE_OPENAI_AD_TOKEN", "t")],
            "no host azure: AZURE_API_BASE is missing, such as https://NAME.openai.azure.com",
        ),
        (
            &[("AZURE_API_BASE", "https://r")],
            "no host azure: AZURE_API_KEY (or AZURE_AD_TOKEN, or AZURE_TENANT_ID with AZURE_CLIENT_ID and \
             AZURE_CLIENT_SECRET) is missing",
        ),
        (
            &[("AWS_BEARER_TOKEN_BEDROCK", "k")],
            "no host bedrock: AWS_REGION is missing, such as eu-central-1",
        ),
        (&[("AWS_ACCESS_KEY_ID", "i")], "not used: AWS_SECRET_ACCESS_KEY is missing"),
        (&[("AWS_SECRET_ACCESS_KEY", "i")], "not used: AWS_ACCESS_KEY_ID is missing"),
    ];
    for (variables, expected) in cases {
        assert_eq!(said(variables), [(variables[0].0, expected.to_owned())]);
    }
}

#[test]
fn half_a_key_beside_a_profile_is_said_though_the_host_is_there() {
    let found = found(&[("AWS_ACCESS_KEY_ID", "i"), ("AWS_PROFILE", "p")]);
    assert_eq!(found.hosts[0].1.key, Key::AwsChain(AwsSource::default()));
    assert_eq!(found.notes[0].verdict, Verdict::NotUsed);
}

#[test]
fn a_server_without_a_key_is_a_host_and_a_word_about_it() {
    let found = found(&[("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")]);
    assert_eq!(found.hosts[0].1.key, Key::None);
    assert_eq!((found.notes[0].variable, found.notes[0].verdict), ("OPENAI_BASE_URL", Verdict::Used));
    assert_eq!(found.notes[0].to_string(), "OPENAI_API_KEY is not set: calls to this server carry no key");
}

#[test]
fn a_value_that_can_not_be_used_is_said_of_its_variable_and_not_repeated() {
    let cases: [(Pairs<'_>, &str, &str); 4] = [
        (
            &[("OPENAI_API_KEY", "k"), ("OPENAI_API_BASE", "hunter2")],
            "OPENAI_API_BASE",
            "is not a base URL; write one such as https://api.example.com/v1",
        ),
        (
            &[("AZURE_API_KEY", "k"), ("AZURE_API_BASE", "https://u:hunter2@h")],
            "AZURE_API_BASE",
            "a base URL holds no user, query or fragment; give credentials by their own keys",
        ),
        (
            &[("AZURE_API_KEY", "k"), ("AZURE_API_BASE", "https://h"), ("OPENAI_API_VERSION", "hunter2/")],
            "OPENAI_API_VERSION",
            "is not an API version; write one such as 2024-10-21, or leave it out for the v1 API",
        ),
        (
            &[("AWS_PROFILE", "p"), ("AWS_DEFAULT_REGION", "hunter2/")],
            "AWS_DEFAULT_REGION",
            "is not an AWS region; write one such as eu-central-1",
        ),
    ];
    for (variables, variable, expected) in cases {
        assert_eq!(found(variables).notes[0].verdict, Verdict::Invalid);
        assert_eq!(said(variables), [(variable, expected.to_owned())]);
    }
}

#[test]
fn a_region_alone_is_no_host_and_a_word_about_the_default_chain() {
    let expected = "no host bedrock: no AWS credentials variable is set; set AWS_PROFILE=default to use the AWS default chain";
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        assert_eq!(said(&[(name, "eu-west-1")]), [(name, expected.to_owned())]);
    }
    assert!(found(&[("AWS_REGION", "eu-west-1"), ("AWS_PROFILE", "default")]).notes.is_empty());
    let half = said(&[("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "i")]);
    assert_eq!(half, [("AWS_ACCESS_KEY_ID", "not used: AWS_SECRET_ACCESS_KEY is missing".to_owned())]);
    assert!(said(&[("AWS_REGION", "Europe"), ("OPENAI_API_VERSION", "1/2")]).is_empty());
}

#[test]
fn a_kind_takes_what_there_is_and_the_call_the_rest() {
    let environment = lookup(&[("AZURE_API_KEY", "k"), ("AZURE_API_VERSION", "2024-10-21")]);
    let half = Host::from_environment("azure", &environment).unwrap();
    assert!(half.check().is_err());
    let whole = half.base_url("https://r").token("t");
    assert!(whole.check().is_ok() && matches!(whole.key, Key::Token(_)));
    assert_eq!(whole.api_version.as_deref(), Some("2024-10-21"));
    let nothing = Host::from_environment("bedrock", &|_| None).unwrap();
    assert_eq!((nothing.key.clone(), nothing.region.clone()), (Key::AwsChain(AwsSource::default()), None));
    assert!(Host::from_environment("nobody", &|_| None).is_err());
}

#[test]
fn the_region_of_the_aws_tools_is_the_first_that_is_one() {
    assert_eq!(aws_region(&|_| None), None);
    let variables = [("AWS_REGION", "Europe"), ("AWS_DEFAULT_REGION", ""), ("AWS_REGION_NAME", "eu-west-1")];
    assert_eq!(aws_region(&lookup(&variables)).as_deref(), Some("eu-west-1"));
}
