//! Entra ID: what its token endpoint is asked, over TLS that only a certificate of the operator's own makes trusted, and what is made of its answers.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tidegate_engine::{
    ConnectOptions,
    credentials::{Entra, EntraIdentity, EntraSource, Renewed, Source as _, TokenClient},
};
use tidegate_wire::auth::{Credential, Secret};

use crate::{
    support::{Backend, read_request_text, say},
    tls::behind_tls,
};

/// A directory that gives every request the same answer.
struct Directory {
    backend: Backend,
    certificate: tempfile::NamedTempFile,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Directory {
    fn saying(status: &'static str, body: impl Into<String>) -> Self {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (seen, body) = (requests.clone(), body.into());
        let (backend, certificate) = behind_tls(move |_, mut tls| {
            let Some(request) = read_request_text(&mut tls) else { return };
            seen.lock().unwrap().push(request);
            let length = body.len();
            say(&mut tls, format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"));
        });
        Self { backend, certificate, requests }
    }

    fn entra(&self, identity: EntraIdentity) -> Entra {
        let options = ConnectOptions {
            ca_file: Some(self.certificate.path().to_owned()),
            proxy_from_env: false,
            ..ConnectOptions::default()
        };
        let authority_host = Some(format!("https://{}", self.backend.address));
        let source = EntraSource { identity, scope: None, authority_host };
        Entra::new(&source, "https://scope.example/.default", Arc::new(TokenClient::new(&options)))
    }
}

fn client_secret() -> EntraIdentity {
    EntraIdentity::ClientSecret {
        tenant_id: "a-tenant".to_owned(),
        client_id: "a-client".to_owned(),
        client_secret: Secret::new("hunter2"),
    }
}

#[tokio::test]
async fn an_application_asks_with_its_secret_for_the_scope_in_its_tenant() {
    let directory =
        Directory::saying("200 OK", r#"{"token_type":"Bearer","expires_in":3599,"access_token":"a.token"}"#);
    let issued = directory.entra(client_secret()).fetch().await.unwrap();
    let Credential::Bearer(token) = issued.credential else { panic!("a bearer token") };
    assert_eq!(token.expose(), "a.token");
    let left = issued.expires.unwrap().duration_since(SystemTime::now()).unwrap();
    assert!((Duration::from_secs(3590)..=Duration::from_secs(3600)).contains(&left), "{left:?}");
    let requests = directory.requests.lock().unwrap();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(request.starts_with("POST /a-tenant/oauth2/v2.0/token HTTP/1.1\r\n"), "{request}");
    for part in [
        "client_id=a-client",
        "client_secret=hunter2",
        "grant_type=client_credentials",
        "scope=https%3A%2F%2Fscope.example%2F.default",
    ] {
        assert!(request.contains(part), "{part}: {request}");
    }
}

#[tokio::test]
async fn a_workload_identity_shows_the_token_in_its_file_which_may_change() {
    let directory =
        Directory::saying("200 OK", r#"{"token_type":"Bearer","expires_in":3599,"access_token":"a.token"}"#);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let entra = directory.entra(EntraIdentity::WorkloadIdentity {
        tenant_id: Some("a-tenant".to_owned()),
        client_id: Some("a-client".to_owned()),
        token_file: Some(file.path().to_owned()),
    });
    for assertion in ["first", "first.second"] {
        file.write_all(if assertion == "first" { b"first" } else { b".second" }).unwrap();
        entra.fetch().await.unwrap();
        let requests = directory.requests.lock().unwrap();
        let request = requests.last().unwrap();
        assert!(request.contains(&format!("client_assertion={assertion}&")), "{request}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_directorys_words_and_without_the_secret() {
    let directory = Directory::saying(
        "401 Unauthorized",
        r#"{"error":"invalid_client","error_codes":[7000215],"error_description":"AADSTS7000215: Invalid client secret hunter2 provided.\r\nTrace ID: 1"}"#,
    );
    let renewed = Renewed::new(directory.entra(client_secret()));
    let error = renewed.fresh("azure").await.unwrap_err();
    let said = error.message();
    assert!(said.contains("Entra ID (client secret)") && said.contains("AADSTS7000215"), "{said}");
    assert!(said.contains("AZURE_CLIENT_SECRET") && said.contains("[redacted]"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains('\n') && !said.contains("http"), "{said}");
    assert_eq!(directory.requests.lock().unwrap().len(), 1, "the crate's own retries are off");
    assert!(!format!("{renewed:?}").contains("hunter2"));
}

#[tokio::test]
async fn an_answer_that_is_no_token_is_an_error_without_the_answer() {
    let directory = Directory::saying("200 OK", "<html>sign in, hunter2</html>");
    let said = directory.entra(client_secret()).fetch().await.unwrap_err();
    assert!(!said.contains("hunter2"), "{said}");
}
