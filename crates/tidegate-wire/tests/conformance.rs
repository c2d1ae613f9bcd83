//! Public conformance suites: web-platform-tests for SSE, three for AWS event streams, AWS's own for SigV4.
#![cfg(test)]

#[path = "support/recorded.rs"]
mod recorded;
mod support;

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use recorded::corpus;
use serde_json::Value;
use support::{cuttings, read_json};
use tidegate_wire::{
    ErrorClass, WireError,
    auth::{AwsCredential, Credential, Secret, authenticate, sign_v4},
    framing::{Frame, Framer, Framing},
    outbound::Outbound,
};

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A frame's name and payload.
type Named = (String, Vec<u8>);

/// What a framer says of a body; and its error, if it has one.
fn frames(framing: Framing, pieces: &[Bytes]) -> (Vec<Named>, Result<(), WireError>) {
    let mut seen = Vec::new();
    let mut sink = |frame: Frame<'_>| {
        seen.push(match frame {
            Frame::Sse { event, data } => (event.to_owned(), data.as_bytes().to_vec()),
            Frame::EventStream { message_type, name, payload } => {
                (format!("{message_type}/{name}"), payload.to_vec())
            }
            Frame::Line(line) => (String::new(), line.to_vec()),
            Frame::Whole(body) => (String::new(), body.to_vec()),
        });
        Ok(())
    };
    let mut framer = Framer::new(framing);
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| framer.push(piece, &mut sink));
    }
    let result = result.and_then(|()| framer.finish(&mut sink));
    (seen, result)
}

/// The suite's `last_event_id` is not compared: a gateway does not reconnect to a backend, so frames carry no id.
#[test]
fn sse_follows_web_platform_tests_in_every_chunking() {
    let Some(root) = corpus() else { return };
    let suite = read_json(&root.join("_conformance/sse/wpt-sse-cases.json"));
    let cases = suite["cases"].as_array().unwrap();
    for case in cases {
        let body = STANDARD.decode(text(&case["body_b64"])).unwrap();
        let expected: Vec<Named> = case["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| (text(&event["event"]).to_owned(), text(&event["data"]).as_bytes().to_vec()))
            .collect();
        let mut all = cuttings(&body, 1);
        for size in 2..12 {
            all.push(body.chunks(size).map(Bytes::copy_from_slice).collect());
        }
        for pieces in all {
            let (seen, result) = frames(Framing::Sse, &pieces);
            assert_eq!(result, Ok(()), "{}", case["name"]);
            assert_eq!(seen, expected, "{}", case["name"]);
        }
    }
    println!("sse: {} web-platform-tests cases", cases.len());
}

fn accept(name: &str, bytes: &[u8], payload: &[u8]) {
    for pieces in cuttings(bytes, 2) {
        let (seen, result) = frames(Framing::EventStream, &pieces);
        assert_eq!(result, Ok(()), "{name}");
        assert_eq!(seen.len(), 1, "{name}");
        assert_eq!(seen[0].1, payload, "{name}");
    }
}

fn reject(name: &str, bytes: &[u8]) {
    for pieces in cuttings(bytes, 3) {
        let (seen, result) = frames(Framing::EventStream, &pieces);
        assert!(seen.is_empty(), "{name} was taken");
        let class = result.expect_err(name).class();
        assert!(matches!(class, ErrorClass::Protocol | ErrorClass::Truncated), "{name}: {class:?}");
    }
}

#[test]
fn event_streams_follow_the_go_sdk_suite() {
    let Some(root) = corpus() else { return };
    let root = root.join("_conformance/eventstream/aws-sdk-go-v2");
    let mut checked = 0;
    for (kind, good) in [("positive", true), ("negative", false)] {
        for entry in fs::read_dir(root.join("encoded").join(kind)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let bytes = fs::read(entry.path()).unwrap();
            if good {
                let decoded = read_json(&root.join("decoded").join(kind).join(&name));
                accept(&name, &bytes, &STANDARD.decode(decoded["payload"].as_str().unwrap_or("")).unwrap());
            } else {
                reject(&name, &bytes);
            }
            checked += 1;
        }
    }
    println!("event stream: {checked} messages of aws-sdk-go-v2");
}

#[test]
fn event_streams_follow_the_smithy_suite() {
    let Some(root) = corpus() else { return };
    let root = root.join("_conformance/eventstream");
    let suite = read_json(&root.join("smithy-rs.expect.json"));
    let cases = suite["cases"].as_array().unwrap();
    for case in cases {
        let name = text(&case["file"]);
        let bytes = fs::read(root.join("smithy-rs").join(name)).unwrap();
        match case["messages"].as_array() {
            Some(messages) => {
                assert_eq!(messages.len(), 1);
                let payload = messages[0]["payload_b64"].as_str().unwrap_or_default();
                accept(name, &bytes, &STANDARD.decode(payload).unwrap());
            }
            None => reject(name, &bytes),
        }
    }
    println!("event stream: {} messages of smithy-rs", cases.len());
}

#[test]
fn event_streams_follow_the_botocore_suite() {
    let Some(root) = corpus() else { return };
    let suite = read_json(&root.join("_conformance/eventstream/botocore-cases.json"));
    let mut checked = 0;
    for case in suite["positive"].as_array().unwrap() {
        let name = text(&case["name"]);
        // An error message has no payload; its text is in a header.
        let payload = match case["headers"][":error-message"].as_str() {
            Some(message) => message.as_bytes().to_vec(),
            None => STANDARD.decode(text(&case["payload_b64"])).unwrap(),
        };
        accept(name, &unhex(text(&case["hex"])), &payload);
        checked += 1;
    }
    for case in suite["negative"].as_array().unwrap() {
        match case["hex"].as_str() {
            Some(hex) => reject(text(&case["name"]), &unhex(hex)),
            None => reject_oversized(case),
        }
        checked += 1;
    }
    println!("event stream: {checked} messages of botocore");
}

/// The one case that is described instead of given: a valid prelude that announces more than 24 MiB. It has to be
/// refused at the prelude, before any of it is buffered.
fn reject_oversized(case: &Value) {
    assert_eq!(case["name"], "INVALID_PAYLOAD_LENGTH");
    let prelude = Bytes::from(unhex("0180002100000000dd3f33b1"));
    let (seen, result) = frames(Framing::EventStream, &[prelude]);
    assert!(seen.is_empty());
    assert_eq!(result.unwrap_err().class(), ErrorClass::Protocol);
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// `20150830T123600Z` as a time.
fn amz_time(text: &str) -> SystemTime {
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
    let (year, month, day) = (number(0..4), number(4..6), number(6..8));
    // Days from the civil calendar, counted from March, so that leap days come last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + number(9..11) * 3600 + number(11..13) * 60 + number(13..15);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The canonical requests of this file were computed after `Authorization` had been set, so their text shows an
/// authorization header, although the signature beside them does not cover one. The `Authorization` header is compared.
#[test]
fn bedrock_requests_are_signed_as_botocore_signs_them() {
    let Some(root) = corpus() else { return };
    let suite = read_json(&root.join("_conformance/sigv4/bedrock-generated.json"));
    let cases = suite["cases"].as_array().unwrap();
    for case in cases {
        let mut headers = HeaderMap::new();
        let mut expected = HeaderMap::new();
        for (name, value) in case["headers"].as_object().unwrap() {
            let name = HeaderName::try_from(name).unwrap();
            let value = HeaderValue::from_str(text(value)).unwrap();
            let added = ["authorization", "x-amz-date", "x-amz-security-token"].contains(&name.as_str());
            if !added {
                headers.insert(name.clone(), value.clone());
            }
            expected.insert(name, value);
        }
        // A stale one must neither be signed nor kept.
        headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer stale"));
        let credential = Credential::Aws(AwsCredential {
            access_key_id: text(&case["access_key"]).to_owned(),
            secret_access_key: Secret::new(text(&case["secret_key"])),
            session_token: case["session_token"].as_str().map(Secret::new),
            region: text(&case["region"]).to_owned(),
            service: if case["service"] == "bedrock-mantle" { "bedrock-mantle" } else { "bedrock" },
        });
        assert!(["bedrock", "bedrock-mantle"].contains(&text(&case["service"])));
        let mut request = Outbound {
            method: text(&case["method"]).parse().unwrap(),
            uri: text(&case["url"]).parse().unwrap(),
            headers,
            body: text(&case["body"]).to_owned().into(),
        };
        authenticate(&mut request, &credential, amz_time(text(&case["amz_date"]))).unwrap();
        assert_eq!(request.headers, expected, "{}", case["name"]);
    }
    println!("sigv4: {} bedrock requests", cases.len());
}

/// Cases of the AWS suite that are refused rather than signed, with the reason.
const REFUSED: [(&str, &str); 1] =
    [("get-space", "a raw space in the request line: no URI holds one, so no request of ours has one")];

#[test]
fn sigv4_follows_the_aws_suite() {
    let Some(root) = corpus() else { return };
    let mut folders = Vec::new();
    collect(&root.join("_conformance/sigv4/aws4_testsuite"), &mut folders);
    let mut checked = 0;
    for folder in &folders {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let file = |end: &str| fs::read_to_string(folder.join(format!("{name}.{end}"))).unwrap();
        let request = SuiteRequest::read(&file("req"));
        let credential = AwsCredential {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: request.token.clone().or_else(|| token_of(&file("creq"))).map(Secret::new),
            region: "us-east-1".to_owned(),
            service: "service",
        };
        let (uri, body) = (&request.uri, request.body.as_bytes());
        let signed = sign_v4(&request.method, uri, &request.headers, body, &credential, request.time);
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            assert!(signed.is_err(), "{name} can be signed after all: {reason}");
            continue;
        }
        assert_eq!(signed.unwrap()["authorization"].to_str().unwrap(), file("authz").trim(), "{name}");
        checked += 1;
    }
    println!("sigv4: {checked} of {} cases of aws4_testsuite", folders.len());
}

/// The session token that only the expected canonical request shows.
fn token_of(canonical: &str) -> Option<String> {
    canonical.lines().find_map(|line| line.strip_prefix("x-amz-security-token:")).map(str::to_owned)
}

fn collect(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    let name = folder.file_name().unwrap().to_str().unwrap();
    if folder.join(format!("{name}.req")).is_file() {
        found.push(folder.to_owned());
    }
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        }
    }
}

/// A request as the suite writes it: a raw HTTP/1.1 head, and a body.
struct SuiteRequest {
    method: String,
    uri: String,
    headers: HeaderMap,
    token: Option<String>,
    time: SystemTime,
    body: String,
}

impl SuiteRequest {
    fn read(raw: &str) -> Self {
        let raw = raw.replace("\r\n", "\n");
        let (head, body) = raw.split_once("\n\n").unwrap_or((&raw, ""));
        // A line that begins with a space continues the one before it.
        let head = head.replace("\n ", " ");
        let mut lines = head.lines();
        let start = lines.next().unwrap();
        let (method, rest) = start.split_once(' ').unwrap();
        let path = rest.rsplit_once(' ').map_or(rest, |(path, _)| path);
        let mut headers = HeaderMap::new();
        let (mut time, mut token) = (None, None);
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            match name.to_ascii_lowercase().as_str() {
                "x-amz-date" => time = Some(amz_time(value.trim())),
                "x-amz-security-token" => token = Some(value.trim().to_owned()),
                _ => {
                    let name = HeaderName::try_from(name).unwrap();
                    headers.append(name, HeaderValue::from_str(value).unwrap());
                }
            }
        }
        let host = headers["host"].to_str().unwrap().trim().to_owned();
        let (method, uri) = (method.to_owned(), format!("https://{host}{path}"));
        Self { method, uri, headers, token, time: time.unwrap(), body: body.to_owned() }
    }
}
