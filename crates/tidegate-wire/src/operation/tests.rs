use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, HeaderName},
};

use super::{request::replace, *};
use crate::{
    WireError,
    host::{Endpoint, row},
    reply::{Pass, Reply},
};

fn asked(path: &str, media: &'static str) -> Asked {
    let found = find(path).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    Asked {
        operation: found.operation,
        method: Method::POST,
        path: found.path.to_owned(),
        query: None,
        headers,
        model: found.deployment.map(str::to_owned),
        host: None,
    }
}

fn endpoint(host: &str, base: Option<&str>) -> Endpoint {
    row(host).unwrap().endpoint(base, Some("us-east-1"), None).unwrap()
}

fn prepared(
    host: &str,
    base: Option<&str>,
    path: &str,
    body: &str,
    model: &str,
) -> Result<PreparedOperation, WireError> {
    let request = Request::read(asked(path, "application/json"), Bytes::from(body.to_owned()))?;
    endpoint(host, base).prepare_operation(request, Some(model), "call_1")
}

fn sent(body: &str) -> String {
    let prepared = prepared("openai", None, "/v1/embeddings", body, "other").unwrap();
    String::from_utf8(prepared.outbound.body.to_vec()).unwrap()
}

fn answered(prepared: PreparedOperation, reply: &str) -> Result<(String, crate::reply::Progress), WireError> {
    let mut machine = prepared.reply;
    let mut items = std::collections::VecDeque::new();
    machine.push(Bytes::from(reply.to_owned()), &mut items)?;
    machine.finish(&mut items)?;
    let text: Vec<u8> = items.into_iter().flatten().collect();
    Ok((String::from_utf8(text).unwrap(), machine.take_progress()))
}

#[test]
fn a_path_leads_to_its_row_under_every_root() {
    let name = |path: &str| find(path).map(|found| (found.operation.name, found.path.to_owned()));
    for root in ["/v1/", "/openai/v1/", "/openai/", "/"] {
        assert_eq!(
            name(&format!("{root}embeddings")),
            Some(("embeddings", "embeddings".to_owned())),
            "{root}"
        );
        assert_eq!(name(&format!("{root}files/a/content")), Some(("files", "files/a/content".to_owned())));
    }
    let deployed = find("/openai/deployments/a/b/audio/speech").unwrap();
    assert_eq!((deployed.operation.name, deployed.deployment), ("speech", Some("a/b")));
    assert_eq!(name("/v2/rerank").unwrap().0, "rerank");
    for nowhere in [
        "/v2/embeddings",
        "/v1/embeddings/x",
        "/v1/models",
        "/v1/models/",
        "/v1/filesystem",
        "/openai/deployments/embeddings",
        "/openai/deployments/a/files",
        "/v1",
    ] {
        assert!(find(nowhere).is_none(), "{nowhere}");
    }
}

#[test]
fn the_backends_name_takes_the_models_place_and_nothing_else_moves() {
    assert_eq!(
        sent(r#"{ "input" : [1.50, 2], "model" : "m" }"#),
        r#"{ "input" : [1.50, 2], "model" : "other" }"#
    );
    assert_eq!(sent(r#"{"model":"a-much-longer-name","x":1}"#), r#"{"model":"other","x":1}"#);
    assert_eq!(sent(r#"{"x":1e400,"model":"a-much-longer-name"}"#), r#"{"x":1e400,"model":"other"}"#);
    for wrong in [
        r#"{"input":"a"}"#,
        r#"{"model":null}"#,
        r#"{"model":1}"#,
        r#"{"model":"a","model":"b"}"#,
        "[]",
        "",
        r#"{"model":""}"#,
    ] {
        let error = prepared("openai", None, "/v1/embeddings", wrong, "m").err().unwrap();
        assert_eq!(error.status(), 400, "{wrong}");
    }
}

#[test]
fn a_replacement_gives_the_same_bytes_wherever_it_stands_and_whatever_its_length() {
    for place in [0..4, 2..9, 12..20, 16..20, 5..5] {
        for text in ["", "x", "the same", "a good deal longer"] {
            let body = b"01234567890123456789".to_vec();
            let mut expected = body.clone();
            expected.splice(place.clone(), text.bytes());
            let shared = Bytes::from(body);
            let kept = shared.clone();
            assert_eq!(replace(shared, place.clone(), text), expected, "{place:?} {text:?}: shared");
            assert_eq!(replace(kept, place.clone(), text), expected, "{place:?} {text:?}: its own");
        }
    }
}

const MEDIA: &str = "multipart/form-data; charset=x; boundary=\"b\"";

fn form(body: &str) -> Result<String, WireError> {
    let request = Request::read(asked("/v1/audio/transcriptions", MEDIA), Bytes::from(body.to_owned()))?;
    let prepared = endpoint("openai", None).prepare_operation(request, Some("other"), "id")?;
    Ok(String::from_utf8(prepared.outbound.body.to_vec()).unwrap())
}

#[test]
fn a_forms_model_is_found_and_the_rest_goes_on_as_it_is() {
    let part = |head: &str, value: &str| format!("--b\r\n{head}\r\n\r\n{value}\r\n");
    let field =
        |name: &str, value: &str| part(&format!("Content-Disposition: form-data; name=\"{name}\""), value);
    let file = part(
        "content-disposition:form-data; filename=\"model\"; name=file\r\nX: y",
        "--b\r\n--bmodel\r\n\0\u{1}",
    );
    // A line that only begins like the boundary is the file's own.
    let file = file.replace("--b\r\n--bmodel", "--a\r\n-bmodel");
    for (before, behind) in [(file.as_str(), ""), ("", file.as_str()), (file.as_str(), file.as_str())] {
        for model in ["m", "other", "a-much-longer-name"] {
            let body =
                |model: &str| format!("preamble\r\n{before}{}{behind}--b--\r\n", field("model", model));
            assert_eq!(form(&body(model)).unwrap(), body("other"), "{model}");
        }
    }
    let empty = format!("{}{}--b--", field("prompt", ""), field("model", "m"));
    assert!(form(&empty).unwrap().contains("other"));
    for broken in ["", "nothing", "--b", "--b\r\n", "--b\r\nname\r\n\r\n", "--bx\r\n\r\n\r\n--b--"] {
        assert_eq!(form(broken).unwrap_err().status(), 400, "{broken:?}");
    }
    let twice = format!("{}{}--b--", field("model", "m"), field("model", "n"));
    assert_eq!(form(&twice).unwrap_err().param(), Some("model"));
    let none = format!("{}--b--", field("prompt", "p"));
    assert_eq!(form(&none).unwrap_err().param(), Some("model"));
}

#[test]
fn a_model_that_only_the_path_names_is_written_into_the_form() {
    let asked = asked("/openai/deployments/d/audio/transcriptions", MEDIA);
    let request = Request::read(asked, Bytes::from_static(b"--b\r\n\r\nx\r\n--b--")).unwrap();
    assert_eq!(request.model.as_deref(), Some("d"));
    let prepared = endpoint("openai", None).prepare_operation(request, Some("w"), "id").unwrap();
    let body = String::from_utf8(prepared.outbound.body.to_vec()).unwrap();
    assert_eq!(
        body,
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nw\r\n--b\r\n\r\nx\r\n--b--"
    );
    assert_eq!(prepared.outbound.headers[CONTENT_TYPE], MEDIA);
}

#[test]
fn each_host_has_operations_at_its_own_address() {
    let at = |host: &str, base: Option<&str>, path: &str, model: &str| {
        let body = r#"{"model":"m","input":"a","query":"q","documents":["a"]}"#;
        prepared(host, base, path, body, model).map(|prepared| prepared.outbound.uri.to_string())
    };
    assert_eq!(
        at("openai", None, "/v1/audio/speech", "m").unwrap(),
        "https://api.openai.com/v1/audio/speech"
    );
    let azure = Some("https://n.openai.azure.com");
    assert_eq!(
        at("azure", azure, "/v1/images/edits", "d").unwrap(),
        "https://n.openai.azure.com/openai/v1/images/edits"
    );
    let vertex = Some("https://v/publishers/google");
    let body = r#"{"model":"m","input":"a"}"#;
    let uri = |host: &str, base: Option<&str>, model: &str| {
        prepared(host, base, "/v1/embeddings", body, model).unwrap().outbound.uri.to_string()
    };
    assert_eq!(
        uri("vertex_ai", vertex, "text-embedding-005"),
        "https://v/publishers/google/models/text-embedding-005:predict"
    );
    assert_eq!(
        uri("vertex_ai", vertex, "gemini-embedding-2"),
        "https://v/publishers/google/models/gemini-embedding-2:embedContent"
    );
    assert_eq!(
        uri("bedrock", Some("https://b"), "cohere.embed-v4:0"),
        "https://b/model/cohere.embed-v4%3A0/invoke"
    );
    for base in [
        None,
        Some("https://api.cohere.com"),
        Some("https://api.cohere.com/v2"),
        Some("https://api.cohere.com/v1"),
    ] {
        assert_eq!(uri("cohere", base, "embed-v4.0"), "https://api.cohere.com/v2/embed", "{base:?}");
    }
    for base in [None, Some("http://localhost:11434"), Some("http://localhost:11434/api")] {
        assert_eq!(uri("ollama", base, "all-minilm"), "http://localhost:11434/v1/embeddings", "{base:?}");
    }
    let error = at("openai", None, "/v1/rerank", "m").unwrap_err();
    assert_eq!(error.code(), Some("unsupported_operation"));
    assert!(error.message().contains("openai") && error.message().contains("rerank"), "{error}");
    assert_eq!(
        at("openai", Some("http://localhost:8000/v1"), "/v1/rerank", "m").unwrap(),
        "http://localhost:8000/v1/rerank"
    );
    for dots in [".", ".."] {
        assert_eq!(
            prepared("bedrock", None, "/v1/rerank", r#"{"model":"m","query":"q","documents":[]}"#, dots)
                .err()
                .unwrap()
                .status(),
            400
        );
    }
}

#[test]
fn a_query_goes_on_without_what_it_says_to_us() {
    let files = |query: &str| {
        let asked = Asked {
            method: Method::GET,
            query: Some(query.to_owned()),
            ..asked("/v1/files", "application/json")
        };
        let request = Request::read(asked, Bytes::new()).unwrap();
        let azure = endpoint("azure", Some("https://n.openai.azure.com"));
        azure.prepare_operation(request, None, "id").unwrap().outbound.uri.to_string()
    };
    assert_eq!(
        files("limit=2&host=azure&api-version=1&after=a"),
        "https://n.openai.azure.com/openai/v1/files?limit=2&after=a"
    );
    assert_eq!(
        files("limit=2&api%2Dversion=1&API-Key=sk"),
        "https://n.openai.azure.com/openai/v1/files?limit=2"
    );
    assert_eq!(files("host=azure"), "https://n.openai.azure.com/openai/v1/files");
}

#[test]
fn a_path_that_is_passed_through_can_not_leave_the_base_url() {
    let url = |base: &str, path: &str| super::pass_through::url(base, path, Some("a=b"));
    for (base, path, expected) in [
        ("https://h/v1", "v1/models", "https://h/v1/models?a=b"),
        ("https://h/v1", "models", "https://h/v1/models?a=b"),
        ("https://h", "v1/models", "https://h/v1/models?a=b"),
        ("https://h/openai/v1", "v1/models", "https://h/openai/v1/models?a=b"),
        ("https://h/openai/v1", "openai/v1/models", "https://h/openai/v1/models?a=b"),
        ("https://h/openai/v1", "openai/models", "https://h/openai/v1/openai/models?a=b"),
        ("https://h/v1", "/evil.example/x", "https://h/v1//evil.example/x?a=b"),
        ("https://h/v1", "@evil.example", "https://h/v1/@evil.example?a=b"),
        ("https://h", "model/arn%3Aa%2Fb/invoke", "https://h/model/arn%3Aa%2Fb/invoke?a=b"),
        ("https://h", "a/...", "https://h/a/...?a=b"),
    ] {
        assert_eq!(url(base, path).unwrap(), expected);
    }
    for path in [
        "..",
        "a/../b",
        "a/./b",
        "%2e%2e/b",
        "a/%2E./b",
        "a%2f..%2fb",
        "a%5c..%5cb",
        "%252e%252e/b",
        "%25252e%25252e/b",
        "%2525252525252e/b",
        "..;x/b",
        "a%00b",
        "a%0d%0ab",
    ] {
        assert!(url("https://h/v1", path).is_err(), "{path}");
    }
}

#[test]
fn a_key_in_the_query_is_taken_off_wherever_clients_put_theirs() {
    let uri = |host: &str, key: &str| {
        let asked = Asked {
            operation: &PASS_THROUGH,
            method: Method::GET,
            path: "models".to_owned(),
            query: Some(format!("pageSize=5&{key}=mine")),
            headers: HeaderMap::new(),
            model: None,
            host: None,
        };
        let request = Request::read(asked, Bytes::new()).unwrap();
        let prepared = endpoint(host, None).prepare_operation(request, None, "id").unwrap();
        prepared.outbound.uri.query().unwrap().to_owned()
    };
    for key in ["key", "api-key", "API%2Dkey", "access_token"] {
        assert_eq!([uri("gemini", key), uri("openai", key)], ["pageSize=5"; 2], "{key}");
    }
    assert_eq!(uri("openai", "keys"), "pageSize=5&keys=mine");
}

proptest::proptest! {
    /// Whatever a caller sends: an error, or a body that is its own but for the model's name.
    #[test]
    fn any_form_is_refused_or_goes_on_but_for_the_models_name(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "--b", "--b--", "\r\n", "\r\n\r\n", "content-disposition: form-data; name=\"model\"", ": ", "name=model", ";", "m", "\0",
        ]), 0..24),
    ) {
        let body = pieces.concat();
        if let Ok(sent) = form(&body) {
            let at = (0..=body.len()).find(|at| {
                let spare = (body.len() + 5).checked_sub(sent.len());
                let rest = spare.and_then(|spare| body.as_bytes().get(at + spare..));
                body.as_bytes().get(..*at) == sent.as_bytes().get(..*at) && rest == sent.as_bytes().get(at + 5..)
                    && sent.as_bytes().get(*at..at + 5) == Some(b"other")
            });
            proptest::prop_assert!(at.is_some(), "{:?} became {:?}", body, sent);
        }
    }
}

#[test]
fn a_callers_credentials_stay_here() {
    let mut all = HeaderMap::new();
    for name in [
        "authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "x-amz-security-token",
        "x-amz-date",
        "x-tidegate-host",
        "proxy-authorization",
        "host",
        "te",
        "content-length",
        "x-forwarded-host",
    ] {
        all.insert(HeaderName::from_static(name), HeaderValue::from_static("mine"));
    }
    all.insert("sec-websocket-protocol", HeaderValue::from_static("openai-insecure-api-key.sk-1"));
    assert!(passed_headers(&all).is_empty(), "{:?}", passed_headers(&all));
    all.insert("x-amzn-bedrock-trace", HeaderValue::from_static("ENABLED"));
    all.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    assert_eq!(passed_headers(&all).len(), 2);
}

#[test]
fn vectors_that_were_asked_for_as_base64_come_so_from_a_backend_that_knows_only_numbers() {
    let body = r#"{"model":"m","input":["a","b"],"encoding_format":"base64"}"#;
    let reply = r#"{"data": [{"embedding": [1, -2.5e0], "index": 0}, {"embedding":"AAAAAA==","index":1}], "other": 1.10, "model": "served", "usage": {"prompt_tokens": 7, "total_tokens": 7}}"#;
    let (text, progress) =
        answered(prepared("openai", None, "/v1/embeddings", body, "m").unwrap(), reply).unwrap();
    assert_eq!(text, reply.replace("[1, -2.5e0]", "\"AACAPwAAIMA=\""));
    assert_eq!(
        (progress.usage.unwrap().prompt_tokens, progress.served_model.as_deref()),
        (7, Some("served"))
    );
    let float = body.replace("base64", "float");
    let (text, _) =
        answered(prepared("openai", None, "/v1/embeddings", &float, "m").unwrap(), reply).unwrap();
    assert_eq!(text, reply, "numbers go through in the backend's own spelling");
}

#[test]
fn what_is_no_list_of_vectors_is_an_error() {
    let body = r#"{"model":"m","input":["a","b"]}"#;
    let relayed = |reply: &str| {
        answered(prepared("openai", None, "/v1/embeddings", body, "m").unwrap(), reply).unwrap_err()
    };
    use crate::ErrorClass as Class;
    assert_eq!(relayed("").class(), Class::Truncated);
    assert_eq!(relayed(r#"{"data":[{"embedding":[1"#).class(), Class::Truncated);
    assert_eq!(relayed("<html>").class(), Class::Protocol);
    assert_eq!(relayed(r#"{"object":"list"}"#).class(), Class::Protocol);
    assert_eq!(
        relayed(r#"{"error":{"message":"too many","code":"rate_limit_exceeded"}}"#).class(),
        Class::RateLimited
    );
    let translated = |reply: &str| {
        answered(prepared("gemini", None, "/v1/embeddings", body, "m").unwrap(), reply).unwrap_err()
    };
    assert_eq!(
        translated(r#"{"embeddings":[{"values":[1]}]}"#).class(),
        Class::Protocol,
        "one vector for two texts"
    );
    assert_eq!(translated(r#"{"embeddings":[{"values":[1]},{"values":["x"]}]}"#).class(), Class::Protocol);
    assert_eq!(translated(r#"{"embeddings":[{"values":[1]}"#).class(), Class::Truncated);
}

fn passed(
    ends: crate::reply::Ends,
    media: &'static str,
    pieces: &[&str],
) -> (Result<(), WireError>, String, crate::reply::Progress) {
    let mut machine = Pass::new(ends);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    machine.head(StatusCode::OK, &headers);
    let mut items = std::collections::VecDeque::new();
    for piece in pieces {
        machine.push(Bytes::copy_from_slice(piece.as_bytes()), &mut items).unwrap();
    }
    let finished = machine.finish(&mut items);
    let text: Vec<u8> = items.into_iter().flatten().collect();
    (finished, String::from_utf8(text).unwrap(), machine.take_progress())
}

#[test]
fn a_streams_last_event_is_looked_for_at_every_split() {
    use crate::reply::Ends::{WithItsBody, WithItsLastEvent};
    let stream = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\r\n\r\ndata: {\"type\":\"transcript.text.done\",\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}\n\n";
    for at in 0..stream.len() {
        let (first, second) = stream.split_at(at);
        let (finished, text, progress) =
            passed(WithItsLastEvent, "text/event-stream; charset=utf-8", &[first, second]);
        assert_eq!((finished, text.as_str()), (Ok(()), stream));
        let usage = progress.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, progress.usage_final), (3, 2, true));
    }
    let begun = "data: {\"type\":\"response.output_text.done\"}\n\n";
    assert_eq!(
        passed(WithItsLastEvent, "text/event-stream", &[begun]).0.unwrap_err().class(),
        crate::ErrorClass::Truncated
    );
    assert_eq!(passed(WithItsBody, "text/event-stream", &[begun]).0, Ok(()));
    let failed =
        "data: {\"type\":\"error\",\"error\":{\"message\":\"no\",\"code\":\"rate_limit_exceeded\"}}\n\n";
    assert_eq!(
        passed(WithItsLastEvent, "text/event-stream", &[failed]).0.unwrap_err().class(),
        crate::ErrorClass::RateLimited
    );
}

#[test]
fn usage_is_read_in_every_dialects_words() {
    use crate::reply::Ends::WithItsBody;
    for (media, body, expected) in [
        (
            "application/json",
            r#"{"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}"#,
            (3, 2, Some(1)),
        ),
        (
            "application/json",
            r#"{"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"thoughtsTokenCount":4}}"#,
            (3, 6, None),
        ),
        (
            "application/json",
            r#"{"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5,"cacheReadInputTokens":7}}"#,
            (10, 2, Some(7)),
        ),
        ("application/json", r#"{"usage":{"total_tokens":9}}"#, (9, 0, None)),
        (
            "text/event-stream",
            "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":8}}\n\n",
            (7, 8, Some(4)),
        ),
        (
            "text/event-stream",
            "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}}\n\n",
            (3, 2, None),
        ),
    ] {
        let usage = passed(WithItsBody, media, &[body]).2.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens), expected, "{body}");
    }
    for (media, body) in [
        ("audio/mpeg", r#"{"usage":{"prompt_tokens":3}}"#),
        ("application/json", "not JSON"),
        ("application/json", r#"{"usage":null}"#),
    ] {
        assert_eq!(passed(WithItsBody, media, &[body]).2.usage, None, "{media} {body}");
    }
}
