//! Good configurations: every key read, variables followed, the environment's own hosts, secrets kept, names resolved.
//! Bad ones are in `tests/fixtures`.

use std::{collections::HashMap, fs, time::Duration};

use tidegate::{AwsRole, AwsSource, Host, Key};
use tidegate_engine::{Credentials, HttpVersion};
use tidegate_wire::{ErrorClass, auth::Credential};

use crate::{Config, Environment, Loaded, LogFormat, LogLevel, Problem, discover, load, parse};

const EVERYTHING: &str = r#"
listen:
  - address: 127.0.0.1:4001
    tls: { certificate: cert.pem, key: key.pem }
    half_close: true
    http: [2]
  - "[::]:4002"
master_key: ${TIDEGATE_MASTER_KEY}
hosts:
  openai: { api_key: "${OPENAI_API_KEY}" }
  azure: { base_url: "https://x.openai.azure.com/", api_version: 2024-10-21, responses: never, api_key: os.environ/AZURE }
  eu: { kind: azure, base_url: "https://eu.openai.azure.com", token: entra-secret }
  bedrock:
    region: eu-central-1
    access_key_id: AKIA-secret
    secret_access_key: aws-secret
    session_token: session-secret
    headers: { X-Team: "header-secret$$" }
    http: 1
    clocks: { connect: 1s, response_headers: 2m, first_token: 1h30m, idle: 250ms, total: 1d }
  local: { kind: openai, base_url: "http://${ADDRESS:-127.0.0.1}:8000/v1" }
  anthropic: { api_key: anthropic-secret }
  foundry: { kind: azure-anthropic, base_url: "https://x.services.ai.azure.com/anthropic", token: foundry-secret }
models:
  1.10: azure/gpt-4o-prod
  claude: { target: bedrock/us.anthropic.claude-sonnet-5 }
  best: claude
  openai/gpt-4o: openai/gpt-4o
  arn: bedrock/arn:aws:bedrock:eu-central-1:1:inference-profile/eu.x-v1:0
limits: { body: 1MiB, header_time: 1s, body_time: 2s, idle_time: 3s, header_bytes: 16KiB }
drop_params: true
fetch_media: { hosts: ["*", "cdn.internal:8080"], networks: [10.0.0.0/8], size: 1MiB, time: 2s }
heartbeat: 0s
user_timeout: 61s
drain: 0s
connect: { ca_file: ca.pem, proxy_from_env: false, idle_timeout: 9s, user_timeout: 8s }
log: { format: json, level: debug, file: "/var/log/$${it} \"1\".log" }
workers: 3
"#;

const SECRETS: [&str; 6] =
    ["master-secret", "openai-secret", "azure-secret", "entra-secret", "aws-secret", "header-secret"];

fn variables<'v>(pairs: &'v [(&'v str, &'v str)]) -> impl Fn(&str) -> Option<String> + 'v {
    |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

fn everything() -> Config {
    let environment = variables(&[
        ("TIDEGATE_MASTER_KEY", "master-secret-of-a-length"),
        ("OPENAI_API_KEY", "openai-secret"),
        ("AZURE", "azure-secret"),
    ]);
    config(parse("t.yaml", EVERYTHING, &environment))
}

fn config(loaded: Loaded) -> Config {
    match loaded.into_result() {
        Ok((config, warnings)) => {
            assert_eq!(lines(&warnings), Vec::<String>::new());
            config
        }
        Err(problems) => panic!("{:#?}", lines(&problems)),
    }
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn no_variables(_: &str) -> Option<String> {
    None
}

fn minimal(rest: &str) -> String {
    format!("hosts: {{ openai: {{ api_key: sk-1 }} }}\n{rest}")
}

#[test]
fn every_key_is_read() {
    let config = everything();
    let first = &config.listen[0];
    assert_eq!((first.address.to_string().as_str(), first.half_close), ("127.0.0.1:4001", true));
    assert_eq!((first.http.http1, first.http.http2), (false, true));
    assert_eq!(first.tls.as_ref().map(|tls| tls.key.to_str()), Some(Some("key.pem")));
    assert_eq!(config.listen[1].address.to_string(), "[::]:4002");
    let names: Vec<&str> = config.hosts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["openai", "azure", "eu", "bedrock", "local", "anthropic", "foundry"]);
    let host = |index: usize| &config.hosts[index].1;
    assert_eq!(host(1).base_url.as_deref(), Some("https://x.openai.azure.com"));
    assert_eq!(host(1).api_version.as_deref(), Some("2024-10-21"));
    assert_eq!(host(1).responses, tidegate_wire::host::ResponsesUse::Never);
    assert_eq!(host(2).kind.name, "azure");
    assert!(matches!(host(2).key, Key::Token(_)));
    let bedrock = host(3);
    assert_eq!((bedrock.region.as_deref(), bedrock.http), (Some("eu-central-1"), HttpVersion::Http1));
    let headers: Vec<_> = bedrock.headers.iter().map(|(name, value)| (&**name, value.expose())).collect();
    assert_eq!(headers, [("x-team", "header-secret$")]);
    let clocks = bedrock.clocks.unwrap();
    assert_eq!(clocks.first_token, Duration::from_secs(5_400));
    assert_eq!(clocks.idle, Duration::from_millis(250));
    assert_eq!(host(4).base_url.as_deref(), Some("http://127.0.0.1:8000/v1"));
    assert_eq!(host(4).key, Key::None);
    assert_eq!((config.limits.body, config.limits.header_bytes), (1 << 20, 16 << 10));
    assert_eq!((config.drop_params, config.heartbeat, config.drain), (true, None, Duration::ZERO));
    let fetch = config.fetch_media.expect("rules");
    assert_eq!((fetch.hosts.len(), fetch.networks[0].to_string()), (2, "10.0.0.0/8".to_owned()));
    assert_eq!((fetch.size, fetch.time), (1 << 20, Duration::from_secs(2)));
    assert_eq!((config.connect.proxy_from_env, config.workers), (false, 3));
    assert_eq!(config.connect.user_timeout, Duration::from_secs(8));
    assert_eq!(config.log.file, Some("/var/log/${it} \"1\".log".into()));
    assert_eq!((config.log.format, config.log.level), (LogFormat::Json, LogLevel::Debug));
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let config = config(parse("t.yaml", &minimal(""), &no_variables));
    assert_eq!(config.listen.len(), 1);
    assert_eq!(config.listen[0].address.to_string(), "127.0.0.1:4000");
    assert!(config.listen[0].http.http1 && config.listen[0].http.http2 && !config.listen[0].half_close);
    assert!(!config.drop_params && config.fetch_media.is_none());
    assert_eq!(config.heartbeat, Some(Duration::from_secs(15)));
    assert_eq!((config.limits.body, config.limits.header_bytes), (32 << 20, 64 << 10));
    assert_eq!(config.user_timeout, Duration::from_secs(60));
    assert_eq!(config.drain, Duration::from_secs(30));
    assert!(config.connect.proxy_from_env && config.workers >= 1);
}

#[test]
fn a_name_that_looks_like_a_number_keeps_its_text() {
    assert_eq!(everything().models[0].name, "1.10");
    let text = minimal("models: { a: openai/4.10, b: &it openai/1.0, c: *it }");
    let models = config(parse("t.yaml", &text, &no_variables)).models;
    let targets: Vec<&str> = models.iter().map(|model| model.target.as_str()).collect();
    assert_eq!(targets, ["openai/4.10", "openai/1.0", "openai/1.0"]);
    let text = "hosts: { azure: { base_url: \"http://127.0.0.1\", api_key: 0012.50, api_version: 2024 } }";
    let hosts = config(parse("t.yaml", text, &no_variables)).hosts;
    let (_, host) = &hosts[0];
    let Key::ApiKey(key) = &host.key else { panic!("{:?}", host.key) };
    assert_eq!((key.expose(), host.api_version.as_deref()), ("0012.50", Some("2024")));
}

#[test]
fn an_empty_variable_takes_the_default_and_a_dollar_sign_stays() {
    let environment = variables(&[("EMPTY", ""), ("SET", "s")]);
    let expand = |text: &str| crate::expand::expand(text, &environment);
    assert_eq!(expand("${EMPTY:-d}${SET:-d}${UNSET:-d}${UNSET:-}"), Ok("dsd".to_owned()));
    assert_eq!(expand("$$ $$${SET} $x 5$ $${SET}"), Ok("$ $s $x 5$ ${SET}".to_owned()));
    assert_eq!(expand("os.environ/SET"), Ok("s".to_owned()));
    assert_eq!(expand("${UNSET}${ALSO}").map_err(|wrong| wrong.len()), Err(2));
    assert!(expand("${SET").is_err() && expand("${}").is_err() && expand("${a b}").is_err());
}

#[test]
fn nothing_that_prints_a_configuration_shows_a_secret() {
    let config = everything();
    for printed in [format!("{config}"), format!("{config:?}"), format!("{config:#?}")] {
        for secret in SECRETS.iter().chain(&["AKIA-secret", "session-secret"]) {
            assert!(!printed.contains(secret), "{secret} in {printed}");
        }
    }
    assert_eq!(config.master_key.as_ref().map(|key| key.expose()), Some("master-secret-of-a-length"));
}

#[test]
fn the_effective_configuration_can_be_read_again_and_means_the_same() {
    let printed = everything().to_string();
    let loaded = parse("printed.yaml", &printed, &no_variables);
    let (again, warnings) = loaded.into_result().unwrap_or_else(|problems| panic!("{:#?}", lines(&problems)));
    assert_eq!(again.to_string(), printed);
    assert!(warnings.iter().all(|warning| warning.path == "master_key"), "{:#?}", lines(&warnings));
}

#[test]
fn hosts_appear_from_the_environment() {
    let environment = variables(&[
        ("OPENAI_API_KEY", "sk"),
        ("AZURE_OPENAI_API_KEY", "az"),
        ("AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com/"),
        ("OPENAI_API_VERSION", "2024-10-21"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "aws"),
        ("AWS_REGION_NAME", "eu-west-1"),
        ("TIDEGATE_LISTEN", "0.0.0.0:80"),
        ("TIDEGATE_MASTER_KEY", "a-key-that-is-long-enough"),
    ]);
    let config = config(discover(&environment));
    let hosts: HashMap<&str, &Host> = config.hosts.iter().map(|(name, host)| (&**name, host)).collect();
    assert_eq!(hosts.len(), 3);
    assert_eq!(hosts["azure"].base_url.as_deref(), Some("https://x.openai.azure.com"));
    assert_eq!(hosts["azure"].api_version.as_deref(), Some("2024-10-21"));
    assert!(matches!(&hosts["bedrock"].key, Key::AwsKeys { session_token: None, .. }));
    assert_eq!(hosts["bedrock"].url().as_deref(), Some("https://bedrock-runtime.eu-west-1.amazonaws.com"));
    assert_eq!(config.listen[0].address.to_string(), "0.0.0.0:80");
}

#[test]
fn a_bearer_key_comes_before_an_access_key_and_an_access_key_before_a_profile() {
    let all = [
        ("AWS_BEARER_TOKEN_BEDROCK", "b"),
        ("AWS_ACCESS_KEY_ID", "i"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_PROFILE", "p"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let key = |from: usize| config(discover(&variables(&all[from..]))).hosts[0].1.key.clone();
    assert!(matches!(key(0), Key::ApiKey(_)));
    assert!(matches!(key(1), Key::AwsKeys { .. }));
    assert_eq!(key(3), Key::AwsChain(AwsSource::default()));
}

#[test]
fn what_the_environment_gives_by_halves_is_a_warning_that_names_the_rest() {
    let cases = [
        (("AZURE_API_KEY", "k"), "AZURE_API_BASE is missing"),
        (("AZURE_AD_TOKEN", "k"), "AZURE_API_BASE is missing"),
        (("AZURE_API_BASE", "https://x"), "AZURE_API_KEY (or AZURE_AD_TOKEN, or AZURE_TENANT_ID"),
        (("AWS_BEARER_TOKEN_BEDROCK", "k"), "AWS_REGION is missing"),
        (("AWS_ACCESS_KEY_ID", "k"), "AWS_SECRET_ACCESS_KEY is missing"),
        (("AWS_SECRET_ACCESS_KEY", "k"), "AWS_ACCESS_KEY_ID is missing"),
        (("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"), "OPENAI_API_KEY is not set"),
    ];
    for (half, expected) in cases {
        let pairs = [half, ("AWS_PROFILE", "p")];
        let loaded = discover(&variables(&pairs));
        let said = lines(&loaded.problems);
        assert!(loaded.config.is_some() || half.0.starts_with("AWS_BEARER"), "{said:?}");
        let found = said.iter().any(|line| {
            line.starts_with(&format!("environment: warning: {}: ", half.0)) && line.contains(expected)
        });
        assert!(found, "{half:?}: {said:?}");
    }
}

#[test]
fn no_backend_at_all_names_the_variables_and_the_demo() {
    let loaded = discover(&no_variables);
    let said = lines(&loaded.problems).join("\n");
    assert!(loaded.config.is_none());
    for word in ["OPENAI_API_KEY", "AZURE_API_BASE", "AWS_BEARER_TOKEN_BEDROCK", "tidegate demo"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn bad_values_in_the_environment_are_errors_that_do_not_repeat_them() {
    let environment = variables(&[
        ("OPENAI_API_KEY", "sk"),
        ("OPENAI_BASE_URL", "secret-in-the-wrong-variable"),
        ("TIDEGATE_LISTEN", "0.0.0.0:4000"),
        ("TIDEGATE_MASTER_KEY", ""),
    ]);
    let loaded = discover(&environment);
    let said = lines(&loaded.problems).join("\n");
    assert!(loaded.config.is_none());
    assert!(said.contains("OPENAI_BASE_URL: is not a base URL"), "{said}");
    assert!(said.contains("TIDEGATE_LISTEN: is open to other machines"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn with_a_file_the_environment_adds_no_host_and_says_what_it_leaves_unused() {
    let environment = variables(&[
        ("AZURE_API_KEY", "k"),
        ("AZURE_API_BASE", "https://x"),
        ("TIDEGATE_MASTER_KEY", "a-key-that-is-long-enough"),
        ("AWS_BEARER_TOKEN_BEDROCK", "b"),
    ]);
    let loaded = parse("t.yaml", "hosts: { bedrock: { region: eu-west-1 } }", &environment);
    let said = lines(&loaded.problems);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("TIDEGATE_MASTER_KEY is set but the file does not use it"), "{said:?}");
    assert!(said[1].contains("AWS_BEARER_TOKEN_BEDROCK is set but not used here"), "{said:?}");
    let config = loaded.config.expect("warnings only");
    assert_eq!((config.hosts.len(), config.master_key), (1, None));
}

#[test]
fn files_are_opened_and_relative_paths_start_at_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tidegate.yaml");
    let text = minimal("connect: { ca_file: ca.pem }\nlog: { file: logs/it.log }");
    fs::write(&file, text).expect("written");
    let problems = load(Some(&file), &no_variables).problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].path, "connect.ca_file");
    assert!(problems[0].message.starts_with("`ca.pem` can't be read: "), "{}", problems[0].message);
    fs::write(folder.path().join("ca.pem"), "").expect("written");
    let config = config(load(Some(&file), &no_variables));
    assert_eq!(config.connect.ca_file, Some(folder.path().join("ca.pem")));
    assert_eq!(config.log.file, Some(folder.path().join("logs/it.log")));
    let missing = load(Some(&folder.path().join("none.yaml")), &no_variables);
    assert!(missing.problems[0].message.starts_with("can't be read"), "{:?}", missing.problems);
}

#[test]
fn hostile_yaml_is_refused_not_suffered() {
    let deep = format!("hosts: {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let all = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{all}]\n"));
    }
    for text in [deep.as_str(), laughs.as_str(), "a: 1\n---\nb: 2\n", "\u{0}", "- ["] {
        let loaded = parse("t.yaml", text, &(&no_variables as Environment<'_>));
        let said = lines(&loaded.problems);
        assert!(said.len() == 1 && said[0].contains("not valid YAML"), "{said:?}");
    }
}

#[tokio::test]
async fn names_resolve_to_targets_aliases_first() {
    let targets = everything().targets().await.unwrap_or_else(|problems| panic!("{:#?}", lines(&problems)));
    let cases = [
        ("1.10", "https://x.openai.azure.com", "gpt-4o-prod"),
        ("claude", "https://bedrock-runtime.eu-central-1.amazonaws.com", "us.anthropic.claude-sonnet-5"),
        ("best", "https://bedrock-runtime.eu-central-1.amazonaws.com", "us.anthropic.claude-sonnet-5"),
        ("openai/gpt-4o", "https://api.openai.com/v1", "gpt-4o"),
        ("openai/org/model:latest", "https://api.openai.com/v1", "org/model:latest"),
        ("eu/gpt-4o", "https://eu.openai.azure.com", "gpt-4o"),
        (
            "arn",
            "https://bedrock-runtime.eu-central-1.amazonaws.com",
            "arn:aws:bedrock:eu-central-1:1:inference-profile/eu.x-v1:0",
        ),
    ];
    for (name, url, model) in cases {
        let (target, backend_model) = targets.resolve(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((target.endpoint.base_url.as_str(), backend_model), (url, model), "{name}");
    }
    assert_eq!(targets.models().collect::<Vec<_>>(), ["1.10", "claude", "best", "openai/gpt-4o", "arn"]);
}

#[tokio::test]
async fn an_unknown_model_is_told_what_there_is() {
    let targets = everything().targets().await.unwrap_or_else(|problems| panic!("{:#?}", lines(&problems)));
    for name in ["gpt-4o", "", "/", "openai/", "/gpt-4o", "unknown/gpt-4o", "OPENAI/gpt-4o"] {
        let Err(error) = targets.resolve(name) else { panic!("{name} resolved") };
        assert_eq!((error.class(), error.param()), (ErrorClass::NotFound, Some("model")));
        let expected = format!(
            "no model `{name}`; configured: 1.10, claude, best, openai/gpt-4o, arn; \
             or write host/model, where host is one of: openai, azure, eu, bedrock, local, anthropic, foundry"
        );
        assert_eq!(error.message(), expected);
    }
    let long = "x".repeat(100_000);
    assert!(targets.resolve(&long).is_err_and(|error| error.message().len() < 400));
}

#[tokio::test]
async fn each_host_authenticates_in_its_own_way() {
    let targets = everything().targets().await.unwrap_or_else(|problems| panic!("{:#?}", lines(&problems)));
    let credential = |name: &str| {
        let (_, target) = targets.hosts().find(|(host, _)| *host == name).expect("a host");
        match &target.credentials {
            Credentials::Static(credential) => credential.clone(),
            Credentials::Renewed(_) => panic!("{name} has none of its own"),
        }
    };
    assert!(matches!(credential("openai"), Credential::Bearer(key) if key.expose() == "openai-secret"));
    assert!(matches!(credential("azure"), Credential::Header(name, key)
        if name == "api-key" && key.expose() == "azure-secret"));
    assert!(matches!(credential("eu"), Credential::Bearer(key) if key.expose() == "entra-secret"));
    assert!(matches!(credential("local"), Credential::Anonymous));
    assert!(matches!(credential("anthropic"), Credential::Header(name, key)
        if name == "x-api-key" && key.expose() == "anthropic-secret"));
    assert!(matches!(credential("foundry"), Credential::Bearer(token) if token.expose() == "foundry-secret"));
    assert!(matches!(credential("bedrock"), Credential::Aws(aws)
        if aws.region == "eu-central-1" && aws.service == "bedrock" && aws.session_token.is_some()));
}

#[tokio::test]
async fn a_bedrock_host_without_keys_uses_the_aws_default_chain() {
    let loaded = parse("t.yaml", "hosts: { bedrock: { region: eu-west-1 } }", &no_variables);
    let targets = config(loaded).targets().await.unwrap_or_else(|problems| panic!("{:#?}", lines(&problems)));
    let Ok((target, model)) = targets.resolve("bedrock/a/b") else { panic!("not resolved") };
    assert!(matches!(target.credentials, Credentials::Renewed(_)));
    assert_eq!((target.endpoint.region.as_deref(), model), (Some("eu-west-1"), "a/b"));
}

#[test]
fn entra_is_read_and_shown_and_what_is_shown_can_be_read() {
    let text = r#"
hosts:
  azure: { base_url: "https://r", tenant_id: a-tenant, client_id: a-client, client_secret: "$S" }
  workload: { kind: azure, base_url: "https://r", entra: workload_identity, token_file: /run/token }
  machine: { kind: azure, base_url: "https://r", entra: managed_identity, client_id: a-client, scope: "https://s/.default" }
  cli: { kind: azure, base_url: "https://r", entra: azure_cli, authority_host: "https://login.microsoftonline.us" }
  found: { kind: azure-anthropic, base_url: "https://r", entra: default }
"#;
    let config = config(parse("t.yaml", &text.replace("$S", "hunter2"), &no_variables));
    let names: Vec<&str> = config
        .hosts
        .iter()
        .map(|(_, host)| match &host.key {
            Key::Entra(source) => source.identity.name(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["client_secret", "workload_identity", "managed_identity", "azure_cli", "default"]);
    let shown = config.to_string();
    assert!(shown.contains("# credentials: tokens of Entra ID (managed identity)"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let again = parse("t.yaml", &shown, &no_variables).config.unwrap();
    assert_eq!(again.to_string(), shown);
}

#[tokio::test]
async fn a_file_of_google_credentials_is_found_from_the_folder_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let account = r#"{"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "quota_project_id": "a-project"}"#;
    std::fs::write(folder.path().join("google.json"), account).unwrap();
    let file = folder.path().join("tidegate.yaml");
    let text = "hosts: { vertex_ai: { location: europe-west4, credentials_file: google.json } }";
    std::fs::write(&file, text).unwrap();
    let config = config(crate::load(Some(&file), &no_variables));
    let shown = config.to_string();
    assert!(shown.contains("# credentials: Google's application default credentials in"), "{shown}");
    let targets = config.targets().await.unwrap_or_else(|problems| panic!("{:#?}", lines(&problems)));
    let Ok((target, _)) = targets.resolve("vertex_ai/gemini") else { panic!("not resolved") };
    assert!(matches!(target.credentials, Credentials::Renewed(_)));
    assert!(target.endpoint.base_url.contains("/projects/a-project/locations/europe-west4/"));
    assert_eq!(target.endpoint.headers["x-goog-user-project"], "a-project");
    let two = parse(
        "t.yaml",
        "hosts: { vertex_ai: { project: p, location: l, token: t, credentials_file: f } }",
        &no_variables,
    );
    assert!(lines(&two.problems).join("").contains("token and credentials_file exclude each other"));
}

#[test]
fn what_entra_lacks_or_has_too_much_is_said() {
    let said = |fields: &str| {
        let text = format!("hosts: {{ azure: {{ base_url: \"https://r\", {fields} }} }}");
        let loaded = parse("t.yaml", &text, &no_variables);
        lines(&loaded.problems).join("\n")
    };
    for (fields, expected) in [
        ("tenant_id: t", "hosts.azure.entra: missing, while tenant_id is given"),
        (
            "entra: client_secret, client_id: c, client_secret: s",
            "hosts.azure.tenant_id: missing: an application",
        ),
        ("api_key: k, entra: default", "api_key and entra exclude each other; remove one"),
        ("entra: azure_cli, client_id: c", "hosts.azure.client_id: not used by entra: azure_cli"),
        ("entra: browser", "hosts.azure.entra: `browser` is none of default, client_secret"),
        (
            "entra: default, authority_host: \"http://h\"",
            "hosts.azure.authority_host: is not the URL of a directory",
        ),
        ("entra: azure_cli, tenant_id: \"a b\"", "hosts.azure.tenant_id: is no id of Entra ID"),
    ] {
        assert!(said(fields).contains(expected), "{fields}: {}", said(fields));
    }
    let elsewhere = parse("t.yaml", "hosts: { openai: { api_key: k, entra: default } }", &no_variables);
    assert!(lines(&elsewhere.problems).join("").contains("entra"));
}

#[test]
fn a_role_and_a_profile_are_read_and_shown() {
    let text = r#"
hosts:
  bedrock: { region: eu-central-1, profile: harbour, role_arn: "arn:aws:iam::1:role/tides", external_id: theirs }
"#;
    let config = parse("test", text, &|_| None).config.unwrap();
    let role = AwsRole {
        arn: "arn:aws:iam::1:role/tides".to_owned(),
        session_name: None,
        external_id: Some("theirs".to_owned()),
    };
    let source = AwsSource { profile: Some("harbour".to_owned()), role: Some(role) };
    assert_eq!(config.hosts[0].1.key, Key::AwsChain(source));
    let shown = config.to_string();
    assert!(
        shown.contains("role_arn: \"arn:aws:iam::1:role/tides\"") && !shown.contains("theirs"),
        "{shown}"
    );
}
