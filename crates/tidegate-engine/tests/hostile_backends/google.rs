//! Google's application default credentials: what the token servers of each kind of file are asked, and what is made of their answers.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::{SignatureScheme, crypto::ring::default_provider};
use serde_json::{Value, json};
use tidegate_engine::{
    ConnectOptions,
    credentials::{Google, GoogleSource, Issued, Source as _, TokenClient},
};
use tidegate_wire::auth::Credential;

use crate::support::{Backend, read_request_text, say};

/// Token servers that answer by path, and a file of credentials.
struct Scene {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    file: tempfile::NamedTempFile,
    _backend: Backend,
}

impl Scene {
    fn new() -> Self {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = requests.clone();
        let backend = Backend::start(move |_, mut stream| {
            let Some(request) = read_request_text(&mut stream) else { return };
            let path = request.split(' ').nth(1).unwrap().to_owned();
            seen.lock().unwrap().push(request);
            let (status, body) = match path.as_str() {
                "/lend" => {
                    ("200 OK", json!({"accessToken": "a.lent.token", "expireTime": "2999-01-01T00:00:00Z"}))
                }
                "/refuse" => (
                    "400 Bad Request",
                    json!({"error": "invalid_grant", "error_description": "Token has been revoked.", "echo": "hunter2"}),
                ),
                "/subject" => ("200 OK", json!({"access_token": "somebody-elses-token"})),
                _ => {
                    ("200 OK", json!({"access_token": "a.token", "expires_in": 3599, "token_type": "Bearer"}))
                }
            };
            let body = body.to_string();
            let length = body.len();
            say(&mut stream, format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"));
        });
        let url = format!("http://{}", backend.address);
        Self { url, requests, file: tempfile::NamedTempFile::new().unwrap(), _backend: backend }
    }

    fn google(&mut self, file: &Value) -> Google {
        self.file.write_all(file.to_string().as_bytes()).unwrap();
        let options = ConnectOptions { proxy_from_env: false, ..ConnectOptions::default() };
        let credentials_file = Some(self.file.path().to_owned());
        let source = GoogleSource { credentials_file, quota_project: None };
        Google::new(&source, "https://scope.example", Arc::new(TokenClient::new(&options)))
    }

    /// The form of the only request, or of the first to `path`.
    fn form(&self, path: &str) -> Vec<(String, String)> {
        let requests = self.requests.lock().unwrap();
        let request = requests.iter().find(|request| request.starts_with(&format!("POST {path} "))).unwrap();
        let body = request.split("\r\n\r\n").nth(1).unwrap();
        body.split('&')
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                (
                    name.to_owned(),
                    percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned(),
                )
            })
            .collect()
    }
}

fn field(form: &[(String, String)], name: &str) -> String {
    form.iter().find(|(key, _)| key == name).expect(name).1.clone()
}

fn token(issued: &Issued) -> &str {
    match &issued.credential {
        Credential::Bearer(token) => token.expose(),
        _ => "",
    }
}

fn service_account(url: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": "a-project",
        "private_key_id": "a-key",
        "private_key": include_str!("fixtures/for_tests_only.pem"),
        "client_email": "tides@a-project.iam.gserviceaccount.com",
        "token_uri": format!("{url}/token"),
    })
}

#[tokio::test]
async fn a_service_account_signs_its_grant() {
    let mut scene = Scene::new();
    let google = scene.google(&service_account(&scene.url.clone()));
    let issued = google.fetch().await.unwrap();
    assert_eq!(token(&issued), "a.token");
    let left = issued.expires.unwrap().duration_since(SystemTime::now()).unwrap();
    assert!((Duration::from_secs(3590)..=Duration::from_secs(3600)).contains(&left), "{left:?}");
    let form = scene.form("/token");
    assert_eq!(field(&form, "grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let assertion = field(&form, "assertion");
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let part = |index| -> Value {
        let part = signed.split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({"alg": "RS256", "typ": "JWT", "kid": "a-key"}));
    let claims = part(1);
    assert_eq!(claims["iss"], "tides@a-project.iam.gserviceaccount.com");
    assert_eq!(claims["scope"], "https://scope.example");
    assert_eq!(claims["aud"], format!("{}/token", scene.url));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    let provider = default_provider();
    let mapping = provider.signature_verification_algorithms.mapping;
    let (_, algorithms) =
        mapping.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256).unwrap();
    let key = include_bytes!("fixtures/for_tests_only.public.der");
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    algorithms[0].verify_signature(key, signed.as_bytes(), &signature).unwrap();
}

#[tokio::test]
async fn the_file_names_the_project_and_the_one_whose_quota_counts() {
    let mut scene = Scene::new();
    let projects = scene.google(&service_account("http://h")).projects(true).await.unwrap();
    assert_eq!((projects.project.as_deref(), projects.quota), (Some("a-project"), None));
    let user = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "quota_project_id": "a-quota"});
    let projects = Scene::new().google(&user).projects(true).await.unwrap();
    assert_eq!((projects.project.as_deref(), projects.quota.as_deref()), (Some("a-quota"), Some("a-quota")));
}

#[tokio::test]
async fn a_user_shows_the_refresh_token() {
    let mut scene = Scene::new();
    let user = json!({"type": "authorized_user", "client_id": "c", "client_secret": "a secret&",
        "refresh_token": "1//r", "token_uri": format!("{}/token", scene.url)});
    assert_eq!(token(&scene.google(&user).fetch().await.unwrap()), "a.token");
    let form = scene.form("/token");
    assert_eq!(field(&form, "grant_type"), "refresh_token");
    assert_eq!(
        (field(&form, "client_secret"), field(&form, "refresh_token")),
        ("a secret&".to_owned(), "1//r".to_owned())
    );
}

#[tokio::test]
async fn an_external_account_exchanges_its_token_and_acts_for_a_service_account() {
    let mut subject = tempfile::NamedTempFile::new().unwrap();
    subject.write_all(b"somebody-elses-token\n").unwrap();
    let format = json!({"type": "json", "subject_token_field_name": "access_token"});
    for by_file in [true, false] {
        let mut scene = Scene::new();
        let url = scene.url.clone();
        let from = if by_file {
            json!({"file": subject.path()})
        } else {
            json!({"url": format!("{url}/subject"), "headers": {"metadata": "true"}, "format": format})
        };
        let google = scene.google(&json!({"type": "external_account", "audience": "//iam/pool",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": format!("{url}/token"),
            "credential_source": from, "service_account_impersonation_url": format!("{url}/lend")}));
        let issued = google.fetch().await.unwrap();
        assert_eq!(token(&issued), "a.lent.token");
        assert!(issued.expires.unwrap() > SystemTime::now() + Duration::from_secs(1_000_000));
        let form = scene.form("/token");
        assert_eq!(field(&form, "subject_token"), "somebody-elses-token");
        assert_eq!(field(&form, "audience"), "//iam/pool");
        let requests = scene.requests.lock().unwrap();
        let lend = requests.iter().find(|request| request.starts_with("POST /lend ")).unwrap();
        assert!(
            lend.contains("authorization: Bearer a.token\r\n") && lend.contains("https://scope.example"),
            "{lend}"
        );
        assert!(by_file || requests.iter().any(|request| request.contains("metadata: true\r\n")));
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_oauths_words_and_no_others() {
    let mut scene = Scene::new();
    let user = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "token_uri": format!("{}/refuse", scene.url)});
    let said = scene.google(&user).fetch().await.unwrap_err();
    assert_eq!(said, "status 400 invalid_grant Token has been revoked.");
}

#[tokio::test]
async fn a_file_that_can_not_be_used_is_named_without_what_is_in_it() {
    for (file, expected) in [
        (json!({"type": "service_account", "client_email": "e", "private_key": "hunter2"}), "is no RSA key"),
        (json!({"type": "authorized_user", "client_secret": "hunter2"}), "client_id is missing"),
        (json!({"type": "hunter2"}), "its type is none of"),
        (json!("hunter2"), "type is missing"),
        (
            json!({"type": "external_account", "audience": "a", "subject_token_type": "t", "token_url": "u",
                "credential_source": {"environment_id": "aws1", "url": "http://hunter2"}}),
            "only a file or a url",
        ),
    ] {
        let said = Scene::new().google(&file).fetch().await.unwrap_err();
        assert!(said.contains(expected) && !said.contains("hunter2"), "{said}");
    }
}
