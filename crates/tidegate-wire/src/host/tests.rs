use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::client::{Inbound, Outside};

fn endpoint(host: &str, base: Option<&str>, version: Option<&str>) -> Endpoint {
    row(host).unwrap().endpoint(base, Some("eu-west-1"), version).unwrap()
}

fn inbound(body: &str) -> Inbound {
    Inbound::parse(body.to_owned().into()).unwrap()
}

fn uri(endpoint: &Endpoint, model: &str) -> String {
    let inbound = inbound(r#"{"model":"m","messages":[{}]}"#);
    endpoint.prepare(&inbound, model).unwrap().outbound.uri.to_string()
}

fn sent(endpoint: &Endpoint, body: &str, model: &str) -> String {
    let prepared = endpoint.prepare(&inbound(body), model).unwrap();
    String::from_utf8(prepared.outbound.body.to_vec()).unwrap()
}

#[test]
fn openai_has_a_default_base_url() {
    let endpoint = endpoint("openai", None, None);
    assert_eq!(uri(&endpoint, "gpt-4o"), "https://api.openai.com/v1/chat/completions");
}

#[test]
fn azure_needs_a_base_url() {
    let error = row("azure").unwrap().endpoint(None, None, None).unwrap_err();
    assert_eq!(error.blame(), crate::Blame::Gateway);
    assert!(error.message().contains("azure"), "{error}");
}

#[test]
fn azure_puts_the_deployment_in_the_url_if_an_api_version_is_set() {
    let version = Some("2024-10-21");
    for base in
        ["https://r.openai.azure.com", "https://r.openai.azure.com/", "https://r.openai.azure.com/openai"]
    {
        let endpoint = endpoint("azure", Some(base), version);
        assert_eq!(
            uri(&endpoint, "my deployment"),
            "https://r.openai.azure.com/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21"
        );
    }
}

#[test]
fn azure_without_an_api_version_is_the_v1_surface() {
    for base in ["https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/"] {
        let endpoint = endpoint("azure", Some(base), None);
        assert_eq!(uri(&endpoint, "d"), "https://r.openai.azure.com/openai/v1/chat/completions");
    }
}

/// The path's word counts; the body gets the backend's name whether it had one or not.
#[test]
fn a_model_that_the_path_names_is_the_one_that_is_sent() {
    let sent = |body: &'static str, model: &str| {
        let outside = Outside { model: Some("m".to_owned()), ..Outside::of(ClientDialect::OpenaiChat) };
        let inbound = Inbound::read(outside, Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(inbound.model, "m");
        endpoint("openai", None, None).prepare(&inbound, model).unwrap().outbound.body
    };
    assert_eq!(sent(r#"{"messages":[{}]}"#, "m"), r#"{"model":"m","messages":[{}]}"#);
    assert_eq!(sent(r#"{"model":"other","messages":[{}]}"#, "m"), r#"{"model":"m","messages":[{}]}"#);
    assert_eq!(sent(r#"{"messages":[{}],"model":null}"#, "gpt"), r#"{"messages":[{}],"model":"gpt"}"#);
}

/// Such a version is one of the v1 surface, which has no other.
#[test]
fn azure_with_an_undated_api_version_is_the_v1_surface() {
    for base in [
        "https://r.openai.azure.com",
        "https://r.openai.azure.com/openai",
        "https://r.openai.azure.com/openai/v1",
    ] {
        let endpoint = endpoint("azure", Some(base), Some("preview"));
        assert_eq!(
            uri(&endpoint, "d"),
            "https://r.openai.azure.com/openai/v1/chat/completions?api-version=preview"
        );
    }
}

#[test]
fn azure_with_a_dated_api_version_is_the_deployments_surface_whatever_the_base_url_names() {
    let endpoint = endpoint("azure", Some("https://r.openai.azure.com/openai/v1"), Some("2024-10-21"));
    assert_eq!(
        uri(&endpoint, "d"),
        "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21"
    );
}

#[test]
fn azure_model_inference_keeps_its_path() {
    let endpoint =
        endpoint("azure", Some("https://r.services.ai.azure.com/models"), Some("2024-05-01-preview"));
    assert_eq!(
        uri(&endpoint, "grok"),
        "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview"
    );
}

#[test]
fn bedrock_encodes_colons_and_slashes_of_a_model_id() {
    let endpoint = endpoint("bedrock", None, None);
    assert_eq!(endpoint.base_url, "https://bedrock-runtime.eu-west-1.amazonaws.com");
    let arn = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.m-v1:0";
    assert_eq!(
        endpoint.uri(endpoint.host.dialect, arn, true, Operation::Generate).unwrap(),
        "https://bedrock-runtime.eu-west-1.amazonaws.com/model/\
         arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.m-v1%3A0/converse-stream"
    );
}

#[test]
fn a_model_that_would_be_a_step_in_the_path_is_refused() {
    let inbound = inbound(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
    let request = inbound.decode().unwrap();
    let azure = endpoint("azure", Some("https://a"), Some("2024-10-21"));
    for endpoint in [azure, endpoint("azure", Some("https://a"), None), endpoint("bedrock", None, None)] {
        for model in [".", "..", "../x", "a/../../b", "a/..", "..\\x"] {
            let tried = [endpoint.prepare(&inbound, model), endpoint.prepare_hub(&request, model)];
            for error in tried.into_iter().map(|prepared| prepared.err().unwrap()) {
                assert_eq!((error.class(), error.param()), (ErrorClass::BadRequest, Some("model")));
            }
        }
        for model in ["...", "..m", "a/..b", "a..b"] {
            let uri = endpoint.prepare(&inbound, model).unwrap().outbound.uri;
            assert!(!uri.path().split('/').any(|segment| matches!(segment, "." | "..")), "{uri}");
        }
    }
    assert!(endpoint("openai", None, None).prepare(&inbound, "..").is_ok());
}

#[test]
fn azure_reasoning_models_get_max_tokens_under_its_new_name() {
    let body = r#"{"max_tokens": 5, "model":"m","messages":[{}]}"#;
    let azure = endpoint("azure", Some("https://a"), None);
    for model in ["gpt-5", "gpt-5-chat", "gpt-5.6-nano", "gpt-6.1-sol", "o1", "o3-mini", "o4-mini"] {
        let expected = format!(r#"{{"max_completion_tokens": 5, "model":"{model}","messages":[{{}}]}}"#);
        assert_eq!(sent(&azure, body, model), expected);
    }
    for model in ["gpt-4o", "gpt-35-turbo", "o100", "chat", "gpt-oss-120b"] {
        assert!(sent(&azure, body, model).contains(r#""max_tokens": 5"#), "{model}");
    }
    let openai = endpoint("openai", None, None);
    assert!(sent(&openai, body, "gpt-5").contains(r#""max_tokens": 5"#));
}

#[test]
fn max_tokens_is_left_alone_where_the_new_name_is_there_too() {
    let azure = endpoint("azure", Some("https://a"), None);
    let body = r#"{"max_tokens":5,"max_completion_tokens":6,"model":"gpt-5","messages":[{}]}"#;
    assert_eq!(sent(&azure, body, "gpt-5"), body);
}

#[test]
fn a1_usage_is_asked_for_in_every_stream_that_can_report_it() {
    let body = r#"{"model":"m","messages":[{}],"stream":true}"#;
    let asked = r#"{"stream_options":{"include_usage":true},"model":"m","messages":[{}],"stream":true}"#;
    assert_eq!(sent(&endpoint("openai", None, None), body, "m"), asked);
    for (version, expected) in [
        (None, asked),
        (Some("2024-10-21"), asked),
        (Some("2024-09-01-preview"), asked),
        (Some("preview"), asked),
        (Some("2024-08-01-preview"), body),
        (Some("2023-07-01-preview"), body),
    ] {
        assert_eq!(sent(&endpoint("azure", Some("https://a"), version), body, "m"), expected);
    }
}

#[test]
fn an_untouched_body_is_not_copied() {
    let body = r#"{"model":"m","messages":[{}]}"#;
    let inbound = inbound(body);
    let prepared = endpoint("openai", None, None).prepare(&inbound, "m").unwrap();
    assert_eq!(prepared.outbound.body.as_ptr(), inbound.body.as_ptr());
}

#[test]
fn a_hub_request_names_the_backends_model_and_asks_for_usage() {
    let mut request = inbound(r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":5}"#)
        .decode()
        .unwrap();
    request.stream = Some(crate::hub::StreamOptions::default());
    let azure = endpoint("azure", Some("https://a"), None);
    let prepared = azure.prepare_hub(&request, "gpt-5").unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&prepared.outbound.body).unwrap();
    assert_eq!(
        sent,
        serde_json::json!({ "model": "gpt-5", "messages": [{ "role": "user", "content": "hi" }], "stream": true,
            "max_completion_tokens": 5, "stream_options": { "include_usage": true } })
    );
    assert!(prepared.plan.streaming);
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn retry_after_is_the_longer_of_its_two_forms_and_never_now() {
    let wait = |pairs: &[(&'static str, &'static str)]| refusal::retry_after(&headers(pairs));
    assert_eq!(wait(&[("retry-after", "1"), ("retry-after-ms", "0")]), Some(Duration::from_secs(1)));
    assert_eq!(wait(&[("retry-after", "1"), ("retry-after-ms", "1500")]), Some(Duration::from_millis(1500)));
    assert_eq!(wait(&[("retry-after", "2.5")]), Some(Duration::from_millis(2500)));
    assert_eq!(wait(&[("retry-after-ms", "0")]), None);
    for nonsense in ["soon", "-3", "NaN", "Sun, 22 Nov 2026 10:00:00 GMT", ""] {
        assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
    }
    // A date counts from the reply's own date: time is not known here.
    let date = ("date", "Sun, 22 Nov 2026 10:00:00 GMT");
    assert_eq!(
        wait(&[date, ("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")]),
        Some(Duration::from_secs(30))
    );
    assert_eq!(
        wait(&[date, ("retry-after", "Sunday, 22-Nov-26 10:01:00 GMT")]),
        Some(Duration::from_secs(60))
    );
    assert_eq!(wait(&[date, ("retry-after", "Sun, 22 Nov 2026 09:59:00 GMT")]), None, "already past");
    assert_eq!(
        wait(&[date, ("retry-after", "Mon, 22 Nov 2027 10:00:00 GMT")]),
        Some(Duration::from_secs(86_400))
    );
    assert_eq!(wait(&[("date", "now"), ("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")]), None);
    assert_eq!(wait(&[("retry-after", "1e300")]), Some(Duration::from_secs(86_400)));
    assert_eq!(wait(&[("retry-after", "inf")]), Some(Duration::from_secs(86_400)));
    assert_eq!(wait(&[]), None);
}

#[test]
fn every_dialects_refusal_keeps_the_wait_that_it_asks_for() {
    let asked = headers(&[("retry-after", "7")]);
    for host in ["openai", "bedrock"] {
        let error = endpoint(host, None, None).decode_error(429, &asked, b"");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{host}");
    }
}

#[test]
fn refusals_are_sorted_by_what_they_mean() {
    let endpoint = endpoint("openai", None, None);
    let class =
        |status: u16, body: &str| endpoint.decode_error(status, &HeaderMap::new(), body.as_bytes()).class();
    let coded = |code: &str| format!(r#"{{"error":{{"message":"m","code":"{code}"}}}}"#);
    assert_eq!(class(400, &coded("context_length_exceeded")), ErrorClass::ContextLength);
    assert_eq!(class(429, &coded("insufficient_quota")), ErrorClass::QuotaExceeded);
    assert_eq!(class(429, &coded("RateLimitReached")), ErrorClass::RateLimited);
    assert_eq!(class(404, &coded("DeploymentNotFound")), ErrorClass::NotFound);
    assert_eq!(class(400, &coded("content_filter")), ErrorClass::ContentFilter);
    assert_eq!(class(401, &coded("401")), ErrorClass::UpstreamAuth);
    assert_eq!(class(403, "{}"), ErrorClass::UpstreamAuth);
    assert_eq!(class(402, "{}"), ErrorClass::QuotaExceeded);
    assert_eq!(class(408, ""), ErrorClass::Timeout);
    assert_eq!(class(413, ""), ErrorClass::TooLarge);
    assert_eq!(class(422, r#"{"detail":"bad"}"#), ErrorClass::BadRequest);
    assert_eq!(class(500, "<html>"), ErrorClass::UpstreamBroke);
    assert_eq!(class(503, ""), ErrorClass::Overloaded);
    assert_eq!(class(529, ""), ErrorClass::Overloaded);
}

#[test]
fn a_refusal_of_our_credentials_keeps_its_code_and_never_its_words() {
    for (host, body) in [
        ("openai", r#"{"error":{"message":"wrong: sk-SECRET","code":"invalid_api_key"}}"#),
        ("openai", "plain text about sk-SECRET"),
        ("bedrock", r#"{"message":"sk-SECRET"}"#),
    ] {
        let error = endpoint(host, None, None).decode_error(401, &HeaderMap::new(), body.as_bytes());
        assert_eq!(error.class(), ErrorClass::UpstreamAuth, "{body}");
        assert_eq!(error.message(), "the backend refused the gateway's credentials (HTTP 401)", "{body}");
        assert_eq!(error.upstream_status(), Some(401), "{body}");
        assert_eq!(error.code(), body.contains("invalid_api_key").then_some("invalid_api_key"), "{body}");
    }
}

#[test]
fn a_refusal_keeps_the_backends_words_wherever_they_stand() {
    let endpoint = endpoint("openai", None, None);
    let read = |body: &str| endpoint.decode_error(400, &HeaderMap::new(), body.as_bytes());
    for body in [
        r#"{"error":{"message":"words"}}"#,
        r#"{"error":"words"}"#,
        r#"{"detail":"words"}"#,
        r#"{"object":"error","message":"words"}"#,
        "words",
    ] {
        assert_eq!(read(body).message(), "words", "{body}");
    }
    assert_eq!(read(r#"{"error":{"message":"m","code":429}}"#).code(), Some("429"));
    assert_eq!(
        read("<html>secret page</html>").message(),
        "the backend answered with status 400 and no message"
    );
    assert_eq!(read(r#"{"error":{"mess"#).message(), "the backend answered with status 400 and no message");
}

/// Partitions of the AWS SDK for Rust (`partitions.json`).
#[test]
fn every_aws_partition_has_its_own_domain() {
    for (region, domain) in [
        ("eu-west-1", "amazonaws.com"),
        ("us-gov-west-1", "amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn"),
        ("us-iso-east-1", "c2s.ic.gov"),
        ("us-isob-east-1", "sc2s.sgov.gov"),
        ("us-isof-south-1", "csp.hci.ic.gov"),
        ("eu-isoe-west-1", "cloud.adc-e.uk"),
        ("eusc-de-east-1", "amazonaws.eu"),
        ("newer-north-1", "amazonaws.com"),
    ] {
        let endpoint = row("bedrock").unwrap().endpoint(None, Some(region), None).unwrap();
        assert_eq!(endpoint.base_url, format!("https://bedrock-runtime.{region}.{domain}"));
    }
}

#[test]
fn anthropic_has_its_path_and_version() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hello"}]}"#;
    for base in [None, Some("https://api.anthropic.com/v1/")] {
        let endpoint = endpoint("anthropic", base, None);
        let outbound = endpoint.prepare(&inbound(body), "claude-sonnet-5").unwrap().outbound;
        assert_eq!(outbound.uri, "https://api.anthropic.com/v1/messages");
        assert_eq!(outbound.headers["anthropic-version"], "2023-06-01");
    }
    let mut foundry = endpoint("azure-anthropic", Some("https://r.services.ai.azure.com/anthropic"), None);
    foundry.headers.insert("anthropic-version", "2026-10-21".parse().unwrap());
    let outbound = foundry.prepare(&inbound(body), "claude-sonnet-5").unwrap().outbound;
    assert_eq!(outbound.uri, "https://r.services.ai.azure.com/anthropic/v1/messages");
    assert_eq!(outbound.headers["anthropic-version"], "2026-10-21", "the operator's word counts");
}

/// A request that reaches only the Responses API, from a caller of any dialect, goes there.
#[test]
fn chat_requests_go_to_the_responses_api_where_a_model_takes_them_nowhere_else() {
    const TOOLS: &str = r#","tools":[{"type":"function","function":{"name":"f"}}]"#;
    let none = r#","reasoning_effort":"none""#;
    let low = r#","reasoning_effort":"low""#;
    let max = r#","reasoning_effort":"max""#;
    for (model, fields, bridged) in [
        ("gpt-5-pro", "", true),
        ("gpt-5.2-pro-2025-12-11", "", true),
        ("o1-pro", "", true),
        ("gpt-5.1-codex-max", "", true),
        ("codex-mini-latest", "", true),
        ("o3-deep-research", "", true),
        ("computer-use-preview", "", true),
        ("gpt-4o", TOOLS, false),
        ("gpt-35-turbo", TOOLS, false),
        ("gpt-oss-120b", TOOLS, false),
        ("gpt-5.1", &format!("{TOOLS}{low}"), false),
        ("gpt-5.4", TOOLS, false),
        ("gpt-5.4", low, false),
        ("gpt-5.4", &format!("{TOOLS}{none}"), false),
        ("gpt-5.4-2026-03-05", &format!("{TOOLS}{low}"), true),
        ("gpt-5.4-chat-latest", &format!("{TOOLS}{low}"), false),
        ("gpt-5.6", "", false),
        ("gpt-5.6", r#","tools":[]"#, false),
        ("gpt-5.6-mini", TOOLS, true),
        ("gpt-5.6-mini", &format!("{TOOLS}{none}"), false),
        ("gpt-5.10", TOOLS, true),
        ("gpt-6", TOOLS, true),
        ("gpt-6-astra", &format!("{TOOLS}{none}"), true),
        ("gpt-6.1-sol", max, true),
        ("gpt-6.1-sol", low, false),
        ("gemini-3-pro", "", false),
        ("my-deployment", &format!("{TOOLS}{low}"), false),
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{fields}}}"#);
        for (host, base, chat, responses) in [
            (
                "openai",
                None,
                "https://api.openai.com/v1/chat/completions",
                "https://api.openai.com/v1/responses",
            ),
            (
                "azure",
                Some("https://r.openai.azure.com"),
                "https://r.openai.azure.com/openai/v1/chat/completions",
                "https://r.openai.azure.com/openai/v1/responses",
            ),
        ] {
            let prepared = endpoint(host, base, None).prepare(&inbound(&body), model).unwrap();
            let expected = if bridged { responses } else { chat };
            assert_eq!(prepared.outbound.uri, expected, "{model} {fields}");
            assert_eq!(prepared.plan.dialect == Dialect::OpenaiResponses, bridged, "{model} {fields}");
            let by_hub =
                endpoint(host, base, None).prepare_hub(&inbound(&body).decode().unwrap(), model).unwrap();
            assert_eq!(by_hub.outbound.uri, expected, "{model} {fields}");
        }
        let elsewhere = endpoint("groq", None, None).prepare(&inbound(&body), model).unwrap();
        assert_eq!(elsewhere.plan.dialect, Dialect::OpenaiChat, "{model}: no other host has the rule");
    }
    let messages = Outside::of(ClientDialect::AnthropicMessages);
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","input_schema":{}}]}"#;
    let asked = Inbound::read(messages, body.into()).unwrap();
    let prepared = endpoint("openai", None, None).prepare(&asked, "gpt-6").unwrap();
    assert_eq!(prepared.outbound.uri, "https://api.openai.com/v1/responses");
}

#[test]
fn an_operator_has_the_last_word_on_the_responses_api() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    let with = |host: &str, model: &str, when| {
        let mut endpoint = endpoint(host, None, None);
        endpoint.responses = when;
        endpoint.prepare(&inbound(body), model).unwrap().outbound.uri.path().to_owned()
    };
    assert_eq!(with("openai", "gpt-5-pro", ResponsesUse::Never), "/v1/chat/completions");
    assert_eq!(with("openai", "gpt-4o", ResponsesUse::Always), "/v1/responses");
    assert_eq!(with("xai", "grok-4", ResponsesUse::Always), "/v1/responses");
}

#[test]
fn azures_responses_are_on_the_v1_surface_whatever_the_base_url_names() {
    for (base, version, query) in [
        ("https://r.openai.azure.com/openai", Some("2024-10-21"), ""),
        ("https://r.openai.azure.com/openai/deployments/d", Some("2024-10-21"), ""),
        ("https://r.openai.azure.com/models", Some("2024-05-01-preview"), ""),
        ("https://r.openai.azure.com/openai/v1", Some("preview"), "?api-version=preview"),
    ] {
        let url = endpoint("azure", Some(base), version).responses_url("");
        assert_eq!(url, format!("https://r.openai.azure.com/openai/v1/responses{query}"), "{base}");
    }
}

/// The one rule of which API of a cloud is called.
#[test]
fn claude_is_called_by_its_own_api_where_the_caller_speaks_it_or_the_cloud_has_no_other() {
    use ClientDialect::{AnthropicMessages, OpenaiChat};
    let profile = "arn:aws:bedrock:eu-west-1:1:application-inference-profile/x1";
    for (host, client, model, dialect) in [
        ("bedrock", AnthropicMessages, "eu.anthropic.claude-haiku-4-5-20251001-v1:0", Dialect::BedrockInvoke),
        ("bedrock", AnthropicMessages, "anthropic.claude-v2", Dialect::BedrockInvoke),
        ("bedrock", AnthropicMessages, "amazon.nova-pro-v1:0", Dialect::BedrockConverse),
        ("bedrock", AnthropicMessages, profile, Dialect::BedrockConverse),
        ("bedrock", OpenaiChat, "anthropic.claude-v2", Dialect::BedrockConverse),
        ("vertex_ai", AnthropicMessages, "claude-sonnet-4@20250514", Dialect::VertexMessages),
        ("vertex_ai", OpenaiChat, "claude-sonnet-4@20250514", Dialect::VertexMessages),
        ("vertex_ai", OpenaiChat, "gemini-3-flash", Dialect::Gemini),
        ("gemini", AnthropicMessages, "claude-sonnet-5", Dialect::Gemini),
        ("anthropic", OpenaiChat, "claude-sonnet-5", Dialect::AnthropicMessages),
        ("openrouter", AnthropicMessages, "anthropic/claude-sonnet-5", Dialect::OpenaiChat),
    ] {
        let place = Place { region: Some("eu-west-1"), account: Some("p-1"), ..Place::default() };
        let endpoint = row(host).unwrap().endpoint_at(place).unwrap();
        assert_eq!(endpoint.spoken(client, model), dialect, "{host} {client:?} {model}");
    }
}

/// A Messages request as a caller's, with header fields of its own.
fn messages(operation: Operation, headers: &[(&'static str, &'static str)], body: &str) -> Inbound {
    let outside = Outside {
        operation,
        headers: self::headers(headers),
        ..Outside::of(ClientDialect::AnthropicMessages)
    };
    Inbound::read(outside, body.to_owned().into()).unwrap()
}

#[test]
fn invoke_model_gets_the_callers_own_body_with_version_and_betas_in_it() {
    let body = r#"{"model":"x", "stream": true,"max_tokens":9.0,"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#;
    let inbound = messages(
        Operation::Generate,
        &[("anthropic-beta", "a-1, b-2"), ("anthropic-version", "2023-06-01")],
        body,
    );
    let bedrock = endpoint("bedrock", None, None);
    let model = "eu.anthropic.claude-haiku-4-5-20251001-v1:0";
    let outbound = bedrock.prepare(&inbound, model).unwrap().outbound;
    assert_eq!(
        outbound.uri,
        "https://bedrock-runtime.eu-west-1.amazonaws.com/model/\
         eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke-with-response-stream"
    );
    assert_eq!(
        outbound.body,
        r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["a-1","b-2"],"max_tokens":9.0,"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#
    );
    assert_eq!(outbound.headers["accept"], "application/vnd.amazon.eventstream");
    assert!(
        !outbound.headers.contains_key("anthropic-beta")
            && !outbound.headers.contains_key("anthropic-version")
    );
    let version = |headers: &[(&'static str, &'static str)], model: &str, body: &str| {
        let inbound = messages(Operation::Generate, headers, body);
        let outbound = bedrock.prepare(&inbound, model).unwrap().outbound;
        let sent: serde_json::Value = serde_json::from_slice(&outbound.body).unwrap();
        sent["anthropic_version"].as_str().unwrap().to_owned()
    };
    let newer = [("anthropic-version", "2026-10-21")];
    assert_eq!(version(&newer, "anthropic.claude-sonnet-5", body), "2026-10-21");
    assert_eq!(version(&newer, model, body), "bedrock-2023-05-31", "a model that has no such version");
    let own = body.replace("\"model\"", "\"anthropic_version\":\"mine\",\"model\"");
    assert_eq!(version(&[], model, &own), "mine");
}

#[test]
fn bedrock_counts_the_tokens_of_what_would_be_invoked() {
    let body = r#"{"model":"x","messages":[{"role":"user","content":"Hi"}]}"#;
    let inbound = messages(Operation::CountTokens, &[], body);
    let bedrock = endpoint("bedrock", None, None);
    let prepared = bedrock.prepare(&inbound, "us.anthropic.claude-sonnet-4-20250514-v1:0").unwrap();
    assert_eq!(
        prepared.outbound.uri.path(),
        "/model/anthropic.claude-sonnet-4-20250514-v1%3A0/count-tokens",
        "a profile is refused (recorded)"
    );
    let sent: serde_json::Value = serde_json::from_slice(&prepared.outbound.body).unwrap();
    let inside = sent["input"]["invokeModel"]["body"].as_str().unwrap();
    let inside = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, inside).unwrap();
    assert_eq!(
        String::from_utf8(inside).unwrap(),
        r#"{"max_tokens":32000,"anthropic_version":"bedrock-2023-05-31","messages":[{"role":"user","content":"Hi"}]}"#
    );
    let mut told = std::collections::VecDeque::new();
    let mut reply = prepared.plan.reply("id", 1);
    reply.push(Bytes::from_static(br#"{"inputTokens": 18}"#), &mut told).unwrap();
    reply.finish(&mut told).unwrap();
    assert_eq!(Vec::from(told).concat(), br#"{"input_tokens":18}"#);
    let nova = bedrock.prepare(&inbound, "amazon.nova-pro-v1:0").err().unwrap();
    assert_eq!((nova.class(), nova.param()), (ErrorClass::BadRequest, Some("model")));
}

#[test]
fn vertex_ai_has_claude_at_anthropics_own_place() {
    let place = Place { region: Some("us-east5"), account: Some("p-1"), ..Place::default() };
    let vertex = row("vertex_ai").unwrap().endpoint_at(place).unwrap();
    let models = "https://us-east5-aiplatform.googleapis.com/v1/projects/p-1/locations/us-east5/publishers/anthropic/models";
    let body = r#"{"model":"x","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    let betas = [("anthropic-beta", "a-1"), ("anthropic-version", "2023-06-01")];
    let outbound =
        vertex.prepare(&messages(Operation::Generate, &betas, body), "claude-opus-5").unwrap().outbound;
    assert_eq!(outbound.uri.to_string(), format!("{models}/claude-opus-5:streamRawPredict"));
    assert_eq!(
        outbound.body,
        r#"{"anthropic_version":"vertex-2023-10-16","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#
    );
    assert_eq!(outbound.headers["anthropic-beta"], "a-1");
    assert!(!outbound.headers.contains_key("anthropic-version"));
    let count =
        vertex.prepare(&messages(Operation::CountTokens, &[], body), "claude-opus-5").unwrap().outbound;
    assert_eq!(count.uri.to_string(), format!("{models}/count-tokens:rawPredict"));
    assert!(String::from_utf8(count.body.to_vec()).unwrap().contains(r#""model":"claude-opus-5""#));
    // A chat completion is translated into the same.
    let chat = inbound(r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":5}"#);
    let prepared = vertex.prepare(&chat, "claude-opus-5").unwrap();
    assert_eq!(prepared.outbound.uri.to_string(), format!("{models}/claude-opus-5:rawPredict"));
    let sent: serde_json::Value = serde_json::from_slice(&prepared.outbound.body).unwrap();
    assert_eq!((&sent["anthropic_version"], sent.get("model")), (&"vertex-2023-10-16".into(), None));
    assert_eq!(prepared.plan.dialect, Dialect::VertexMessages);
}

/// Where a cloud's API takes the caller's own body, nothing of it is changed, so nothing is fetched for it.
#[test]
fn media_are_fetched_for_those_who_take_bytes_alone() {
    let chat = inbound(r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#);
    let own =
        messages(Operation::Generate, &[], r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#);
    for (host, inbound, model, alone) in [
        ("bedrock", &chat, "anthropic.claude-v2", true),
        ("bedrock", &own, "anthropic.claude-v2", false),
        ("bedrock", &own, "amazon.nova-pro-v1:0", true),
        ("ollama", &chat, "qwen3", true),
        ("cohere", &chat, "command-a-03-2025", false),
        ("openai", &chat, "gpt-5", false),
    ] {
        assert_eq!(endpoint(host, None, None).takes_bytes_alone(inbound, model), alone, "{host} {model}");
    }
}
