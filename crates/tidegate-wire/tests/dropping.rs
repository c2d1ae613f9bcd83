//! `drop_params`: what a backend can't honour is left out if the request says so, and named; else refused, and nothing is left out.

#![cfg(test)]

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tidegate_wire::{
    ErrorClass, WireError,
    client::{ClientDialect, Inbound, Operation, Outside},
    host::{Place, Prepared, row},
};

/// What a host makes of a request, and what it leaves out.
fn prepared(
    host: &str,
    model: &str,
    outside: Outside,
    body: &Value,
) -> Result<(Value, Vec<String>), WireError> {
    let place = Place { region: Some("eu-west-1"), base_url: Some("http://backend"), ..Place::default() };
    let endpoint = row(host).unwrap().endpoint_at(place).unwrap();
    let inbound = Inbound::read(outside, Bytes::from(body.to_string()))?;
    let Prepared { outbound, dropped, plan } = endpoint.prepare(&inbound, model)?;
    assert_eq!(plan.choices, 1);
    Ok((serde_json::from_slice(&outbound.body).unwrap(), dropped))
}

fn chat(drop_params: bool) -> Outside {
    Outside { drop_params, ..Outside::of(ClientDialect::OpenaiChat) }
}

fn asked(fields: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

const TRANSLATED: [(&str, &str); 4] = [
    ("bedrock", "meta.llama3-1-8b-instruct-v1:0"),
    ("anthropic", "claude-haiku-4-5"),
    ("gemini", "gemini-2.5-flash"),
    // By its Responses API.
    ("openai", "gpt-5-pro"),
];

#[test]
fn what_a_backend_lacks_is_left_out_and_named() {
    for (host, model) in TRANSLATED {
        let body = asked(json!({"logit_bias": {"5": 1}, "brand_new": true, "temperature": 0.5}));
        let refused = prepared(host, model, chat(false), &body).unwrap_err();
        assert_eq!(
            (refused.class(), refused.code()),
            (ErrorClass::BadRequest, Some("unsupported_parameter")),
            "{host}"
        );
        let (sent, mut dropped) = prepared(host, model, chat(true), &body).unwrap();
        dropped.sort();
        assert_eq!(dropped, ["brand_new", "logit_bias"], "{host}");
        let (alone, none) = prepared(host, model, chat(true), &asked(json!({"temperature": 0.5}))).unwrap();
        assert_eq!(sent, alone, "{host}: what it has is kept");
        assert!(none.is_empty(), "{host}");
    }
}

/// Half of a schema is none.
#[test]
fn a_part_of_a_parameter_goes_with_all_of_it() {
    let (host, model) = TRANSLATED[0];
    let body = asked(json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}));
    let param = prepared(host, model, chat(false), &body).unwrap_err().param().map(str::to_owned);
    assert_eq!(param.as_deref(), Some("response_format.json_schema.schema"));
    let (sent, dropped) = prepared(host, model, chat(true), &body).unwrap();
    assert_eq!(
        (dropped, sent),
        (vec!["response_format".to_owned()], prepared(host, model, chat(true), &asked(json!({}))).unwrap().0)
    );
}

#[test]
fn an_answer_is_not_waited_for_that_was_left_out() {
    // `prepared` checks that one answer is expected.
    let (host, model) = TRANSLATED[0];
    let (_, dropped) = prepared(host, model, chat(true), &asked(json!({"n": 3}))).unwrap();
    assert_eq!(dropped, ["n"]);
}

#[test]
fn the_conversation_is_never_left_out() {
    let (host, model) = TRANSLATED[0];
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "brand_new"}]}]});
    assert!(prepared(host, model, chat(true), &body).unwrap_err().param().unwrap().starts_with("messages"));
    // Nor what is wrong, and not merely unknown.
    let body = asked(json!({"temperature": "hot"}));
    assert_eq!(prepared(host, model, chat(true), &body).unwrap_err().param(), Some("temperature"));
}

/// Of a relayed body only the parameter goes; the rest are the caller's own bytes.
#[test]
fn a_relayed_body_loses_nothing_else() {
    let place = Place { base_url: Some("http://backend"), ..Place::default() };
    let endpoint = row("mistral").unwrap().endpoint_at(place).unwrap();
    let relayed = |body: &'static str| {
        let inbound = Inbound::read(chat(true), Bytes::from_static(body.as_bytes())).unwrap();
        let Prepared { outbound, dropped, .. } = endpoint.prepare(&inbound, "m").unwrap();
        (String::from_utf8(outbound.body.to_vec()).unwrap(), dropped.join(","))
    };
    let cases = [
        (r#"{"user":"u", "model":"m", "messages":[{}]}"#, r#"{ "model":"m", "messages":[{}]}"#, "user"),
        (r#"{"model":"m", "messages":[{}] ,"user":"u" }"#, r#"{"model":"m", "messages":[{}] }"#, "user"),
        (
            r#"{"model":"m","logit_bias":{"1":1},"top_p":1.50,"user":"u","messages":[{}]}"#,
            r#"{"model":"m","top_p":1.50,"messages":[{}]}"#,
            "user,logit_bias",
        ),
    ];
    for (body, sent, dropped) in cases {
        assert_eq!(relayed(body), (sent.to_owned(), dropped.to_owned()));
    }
}

/// LiteLLM's field, in the body: it is the gateway's, and comes before what the header or the operator say.
#[test]
fn a_body_may_say_it_and_no_backend_sees_that() {
    for host in ["openai", "bedrock", "anthropic", "gemini"] {
        let (sent, dropped) =
            prepared(host, "amazon.nova-lite-v1:0", chat(false), &asked(json!({"drop_params": true})))
                .unwrap();
        assert!(dropped.is_empty() && !sent.to_string().contains("drop_params"), "{host}: {sent}");
    }
    let body = asked(json!({"drop_params": true, "logit_bias": {"5": 1}}));
    assert_eq!(prepared("bedrock", "m", chat(false), &body).unwrap().1, ["logit_bias"]);
    let body = asked(json!({"drop_params": false, "logit_bias": {"5": 1}}));
    assert!(prepared("bedrock", "m", chat(true), &body).is_err());
    let error = prepared("openai", "m", chat(true), &asked(json!({"drop_params": "yes"}))).unwrap_err();
    assert_eq!((error.param(), error.code()), (Some("drop_params"), Some("invalid_type")));
}

#[test]
fn it_is_the_same_for_callers_of_messages() {
    let outside = Outside {
        operation: Operation::Generate,
        headers: HeaderMap::new(),
        drop_params: true,
        ..Outside::of(ClientDialect::AnthropicMessages)
    };
    let body = asked(json!({"inference_geo": "eu"}));
    assert_eq!(prepared("gemini", "gemini-2.5-flash", outside, &body).unwrap().1, ["inference_geo"]);
}
