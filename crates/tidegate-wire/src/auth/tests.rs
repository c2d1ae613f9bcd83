//! Callers' signatures: what verifies, and everything that must not.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Method, Uri};

use super::{AwsCredential, Secret, Signed, sign_v4};

const SECRET: &str = "sk-the-gateways-master-key";
const URL: &str = "http://gateway:4000/model/azure%2Fgpt-4o/converse?a=b%20c";
const BODY: &[u8] = br#"{"messages":[]}"#;

fn at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

/// A request as a client signs it.
fn signed(secret: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("gateway:4000"));
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("amz-sdk-request", HeaderValue::from_static("attempt=1"));
    let credential = AwsCredential {
        access_key_id: "anybody".to_owned(),
        secret_access_key: Secret::new(secret),
        session_token: None,
        region: "eu-west-1".to_owned(),
        service: "bedrock",
    };
    let added = sign_v4("POST", URL, &headers, BODY, &credential, at()).unwrap();
    headers.extend(added);
    headers
}

fn check(
    method: &Method,
    url: &str,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<(), String> {
    let uri: Uri = url.parse().unwrap();
    let told = |error: crate::WireError| format!("{} {}", error.status(), error.code().unwrap_or_default());
    let signed = Signed::read(method, &uri, headers, now).unwrap().map_err(told)?;
    signed.verify(body, &Secret::new(SECRET)).map_err(told)
}

const PATH: &str = "/model/azure%2Fgpt-4o/converse?a=b%20c";
const WRONG: &str = "401 InvalidSignatureException";

#[test]
fn a_signature_made_with_the_key_verifies_by_path_and_by_whole_url() {
    let headers = signed(SECRET);
    assert_eq!(check(&Method::POST, PATH, &headers, BODY, at()), Ok(()));
    // As HTTP/2 has it.
    let mut bare = headers.clone();
    bare.remove("host");
    assert_eq!(check(&Method::POST, URL, &bare, BODY, at()), Ok(()));
    // What is not signed may come on the way.
    bare.insert("x-forwarded-for", HeaderValue::from_static("10.0.0.1"));
    assert_eq!(check(&Method::POST, URL, &bare, BODY, at()), Ok(()));
}

#[test]
fn nothing_that_is_signed_can_be_changed() {
    let headers = signed(SECRET);
    let wrong = Err(WRONG.to_owned());
    assert_eq!(check(&Method::POST, PATH, &signed("another"), BODY, at()), wrong, "the key");
    assert_eq!(check(&Method::POST, PATH, &headers, b"{}", at()), wrong, "the body");
    assert_eq!(check(&Method::GET, PATH, &headers, BODY, at()), wrong, "the method");
    let other = "/model/azure%2Fgpt-4o-mini/converse?a=b%20c";
    assert_eq!(check(&Method::POST, other, &headers, BODY, at()), wrong, "the path");
    assert_eq!(check(&Method::POST, &PATH.replace("a=b", "a=c"), &headers, BODY, at()), wrong, "the query");
    for (name, value) in [
        ("host", "gateway:4001"),
        ("content-type", "text/plain"),
        ("amz-sdk-request", "attempt=2"),
        ("x-amz-date", "20261118T110641Z"),
    ] {
        let mut changed = headers.clone();
        changed.insert(name, HeaderValue::from_static(value));
        assert_eq!(check(&Method::POST, PATH, &changed, BODY, at()), wrong, "{name}");
    }
    let mut unsigned_payload = headers.clone();
    unsigned_payload.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    assert_eq!(check(&Method::POST, PATH, &unsigned_payload, b"{}", at()), wrong, "a word about the body");
}

#[test]
fn the_host_and_the_time_have_to_be_among_what_is_signed() {
    let headers = signed(SECRET);
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    for name in ["host;", ";x-amz-date"] {
        let mut changed = headers.clone();
        let without = authorization.replace(name, "");
        assert_ne!(without, authorization);
        changed.insert("authorization", HeaderValue::from_str(&without).unwrap());
        let uri: Uri = PATH.parse().unwrap();
        let refused = Signed::read(&Method::POST, &uri, &changed, at()).unwrap().unwrap_err();
        assert!(refused.message().contains("have to be signed"), "{name}: {refused}");
    }
}

#[test]
fn every_letter_of_the_authorization_counts() {
    let headers = signed(SECRET);
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    for at_letter in 0..authorization.len() {
        let mut bytes = authorization.clone().into_bytes();
        bytes[at_letter] = if bytes[at_letter] == b'a' { b'b' } else { b'a' };
        let mut changed = headers.clone();
        changed.insert("authorization", HeaderValue::from_bytes(&bytes).unwrap());
        let uri: Uri = PATH.parse().unwrap();
        let verified = match Signed::read(&Method::POST, &uri, &changed, at()) {
            None | Some(Err(_)) => false,
            Some(Ok(signed)) => signed.verify(BODY, &Secret::new(SECRET)).is_ok(),
        };
        // Whose access key it is, is not what is checked.
        let id = authorization.find("Credential=").unwrap() + "Credential=".len()
            ..authorization.find('/').unwrap();
        let free = id.contains(&at_letter);
        assert!(!verified || free, "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_signature_is_good_for_five_minutes_around_its_time() {
    let headers = signed(SECRET);
    let minutes = |count: u64| Duration::from_secs(count * 60);
    assert_eq!(check(&Method::POST, PATH, &headers, BODY, at() + minutes(5)), Ok(()));
    assert_eq!(check(&Method::POST, PATH, &headers, BODY, at() - minutes(5)), Ok(()));
    assert_eq!(check(&Method::POST, PATH, &headers, BODY, at() + minutes(6)), Err(WRONG.to_owned()));
    assert_eq!(check(&Method::POST, PATH, &headers, BODY, at() - minutes(6)), Err(WRONG.to_owned()));
}

#[test]
fn a_signature_that_says_too_little_is_incomplete() {
    let headers = signed(SECRET);
    let incomplete = Err("401 IncompleteSignatureException".to_owned());
    let mut undated = headers.clone();
    undated.insert("x-amz-date", HeaderValue::from_static("20261118T1506410"));
    assert_eq!(check(&Method::POST, PATH, &undated, BODY, at()), incomplete);
    undated.remove("x-amz-date");
    assert_eq!(check(&Method::POST, PATH, &undated, BODY, at()), incomplete);
    for authorization in
        ["AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0"]
    {
        let mut broken = headers.clone();
        broken.insert("authorization", HeaderValue::from_static(authorization));
        assert_eq!(check(&Method::POST, PATH, &broken, BODY, at()), incomplete);
    }
    let uri: Uri = PATH.parse().unwrap();
    assert!(Signed::read(&Method::POST, &uri, &HeaderMap::new(), at()).is_none(), "not signed at all");
}

#[test]
fn the_credential_says_the_whole_day() {
    let headers = signed(SECRET);
    let authorization = headers["authorization"].to_str().unwrap();
    let day = headers["x-amz-date"].to_str().unwrap().get(..8).unwrap();
    for part in ["", "2026", "202611"] {
        let mut shorter = headers.clone();
        let value = authorization.replacen(&format!("/{day}/"), &format!("/{part}/"), 1);
        shorter.insert("authorization", value.parse().unwrap());
        let checked = check(&Method::POST, PATH, &shorter, BODY, at());
        assert_eq!(checked, Err("401 IncompleteSignatureException".to_owned()), "{part:?}");
    }
}
