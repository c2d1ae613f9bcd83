//! What can be said of a client without calling anybody.

use std::time::Duration;

use crate::{Blame, ChatRequest, ChatStream, Client, Clocks, Error, Host};

fn built(host: Host) -> Result<Client, Error> {
    Client::builder().host("h", host).build()
}

#[test]
fn futures_and_streams_may_move_between_threads() {
    fn sent<T: Send>(_: &T) {}
    fn unpin<T: Unpin + Send>() {}
    let client = built(Host::openai("k")).unwrap();
    sent(&client.chat(ChatRequest::new("h/m")));
    sent(&client.stream(ChatRequest::new("h/m")));
    unpin::<ChatStream>();
}

#[tokio::test]
async fn a_client_without_hosts_says_so_when_one_is_named() {
    let client = Client::builder().build().unwrap();
    let error = client.chat(ChatRequest::new("openai/gpt-4o")).await.unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (404, "no model `openai/gpt-4o`; there is no host that a name could begin with")
    );
}

#[tokio::test]
async fn deadlines_of_a_target_are_its_hosts_else_the_clients() {
    let clocks = |seconds| Clocks { total: Duration::from_secs(seconds), ..Clocks::default() };
    let client = Client::builder().clocks(clocks(1)).host("h", Host::openai("k")).build().unwrap();
    let host = client.host("h").unwrap();
    assert_eq!(client.target(host).await.unwrap().clocks, clocks(1));
    assert_eq!(client.target(&host.clone().clocks(clocks(2))).await.unwrap().clocks, clocks(2));
    assert!(client.host("other").is_none());
}

#[test]
fn an_environment_without_hosts_says_what_to_set() {
    let error = Client::builder()
        .hosts_from(&|name| (name == "AZURE_API_KEY").then(|| "k-secret".to_owned()))
        .build()
        .unwrap_err();
    assert_eq!(error.blame(), Blame::Gateway);
    let said = error.to_string();
    assert!(said.contains("OPENAI_API_KEY") && said.contains("azure: AZURE_API_BASE is missing"), "{said}");
    assert!(!said.contains("k-secret"), "{said}");
}

#[test]
fn a_host_of_the_environment_gives_way_to_one_of_the_same_name() {
    let client = Client::builder()
        .hosts_from(&|name| (name == "OPENAI_API_KEY").then(|| "k".to_owned()))
        .host("openai", Host::openai_compatible("http://127.0.0.1:1/v1"))
        .build()
        .unwrap();
    assert_eq!(client.hosts().collect::<Vec<_>>(), ["openai"]);
}

#[test]
fn a_value_of_the_environment_that_can_not_be_used_is_said_of_its_variable() {
    let variables = |name: &str| match name {
        "OPENAI_API_KEY" => Some("k".to_owned()),
        "OPENAI_BASE_URL" => Some("hunter2".to_owned()),
        _ => None,
    };
    let builder = || Client::builder().hosts_from(&variables);
    assert_eq!(
        builder().build().unwrap_err().to_string(),
        "OPENAI_BASE_URL: is not a base URL; write one such as https://api.example.com/v1"
    );
    // Nobody asks for it any more.
    assert!(builder().host("openai", Host::openai("k")).build().is_ok());
}

#[test]
fn a_host_that_can_not_work_is_refused_without_repeating_its_url() {
    for url in
        ["https://user:hunter2@h/v1", "https://h/v1?key=hunter2", "hunter2", "ftp://hunter2/", "https:///"]
    {
        let error = built(Host::openai("k").base_url(url)).unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("host h: base_url ") || said.starts_with("host h: a base URL holds no user"),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    let error = built(Host::bedrock("eu-west-1.evil.example/", "k")).unwrap_err();
    assert_eq!(error.to_string(), "host h: region is not an AWS region; write one such as eu-central-1");
    let error = built(Host::openai("k").header("x-a", "hunter2\n")).unwrap_err();
    let expected = "host h: header \"x-a\": a header's value may hold no line break or control character";
    assert_eq!(error.to_string(), expected);
    let error = Client::builder().host("a/b", Host::openai("k")).build().unwrap_err();
    assert!(error.to_string().contains("no slash"), "{error}");
}

#[test]
fn nothing_shows_a_secret() {
    let host = Host::bedrock_keys("eu-west-1", "AKID", "hunter2", Some("hunter2".to_owned()));
    let builder = Client::builder().host("b", host).host("o", Host::openai("hunter2").header("x", "hunter2"));
    let shown = format!("{builder:?} {:?}", builder.hosts);
    assert!(!shown.contains("hunter2"), "{shown}");
    let client = builder.build().unwrap();
    assert!(!format!("{client:?}").contains("hunter2"));
}

#[tokio::test]
async fn an_unknown_model_lists_the_hosts_and_says_what_is_missing() {
    let client = Client::builder()
        .hosts_from(&|name| ["OPENAI_API_KEY", "AZURE_API_KEY"].contains(&name).then(|| "k".to_owned()))
        .build()
        .unwrap();
    let error = client.chat(ChatRequest::new("azure/gpt-4o").user("hi")).await.unwrap_err();
    assert_eq!(error.param(), Some("model"));
    assert_eq!((error.blame(), error.status()), (Blame::Client, 404));
    assert_eq!(
        error.to_string(),
        "no model `azure/gpt-4o`; write host/model, where host is one of: openai (azure is not there because \
         AZURE_API_BASE is missing, such as https://NAME.openai.azure.com)"
    );
    for model in ["gpt-4o", "openai/", "/gpt", ""] {
        let error = client.chat(ChatRequest::new(model)).await.unwrap_err();
        assert_eq!(error.param(), Some("model"), "{model}");
    }
}
