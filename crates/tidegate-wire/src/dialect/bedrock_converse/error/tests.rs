use http::{HeaderMap, HeaderValue};

use super::*;
use crate::{Blame, Retry};

fn answer(status: u16, kind: &'static str, body: &str) -> WireError {
    let mut headers = HeaderMap::new();
    if !kind.is_empty() {
        headers.insert("x-amzn-errortype", HeaderValue::from_static(kind));
    }
    decode_error(status, &headers, body.as_bytes())
}

#[test]
fn the_error_type_header_is_cut_at_its_first_colon() {
    let error = answer(
        400,
        "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/",
        r#"{"message":"no"}"#,
    );
    assert_eq!((error.class(), error.code()), (ErrorClass::BadRequest, Some("ValidationException")));
    assert_eq!((error.message(), error.upstream_status()), ("no", Some(400)));
}

#[test]
fn an_unknown_model_is_not_found_although_bedrock_says_400() {
    let error =
        answer(400, "ValidationException", r#"{"message":"The provided model identifier is invalid."}"#);
    assert_eq!(
        (error.class(), error.status(), error.code()),
        (ErrorClass::NotFound, 404, Some("model_not_found"))
    );
}

#[test]
fn texts_of_an_overlong_prompt_are_known() {
    for message in [
        "Input is too long for requested model.",
        "The model returned the following errors: prompt is too long: 204857 tokens > 200000 maximum",
        "The model returned the following errors: Input Tokens Exceeded: ...",
        "The input token count (131500) exceeds the maximum number of tokens allowed",
        "This model's maximum context length is 8192 tokens.",
    ] {
        let error = answer(400, "ValidationException", &format!(r#"{{"message":"{message}"}}"#));
        assert_eq!(error.class(), ErrorClass::ContextLength, "{message}");
        assert_eq!(error.code(), Some("context_length_exceeded"), "{message}");
    }
}

#[test]
fn throttling_that_speaks_of_tokens_is_no_context_overflow() {
    let error = answer(
        429,
        "ThrottlingException",
        r#"{"message":"Too many tokens, please wait before trying again."}"#,
    );
    assert_eq!((error.class(), error.retry()), (ErrorClass::RateLimited, Retry::BeforeFirstByte));
}

#[test]
fn refused_credentials_are_the_gateways_fault_and_never_the_callers_401() {
    for kind in ["ExpiredTokenException", "UnrecognizedClientException", "AccessDeniedException", ""] {
        let error = answer(403, kind, r#"{"message":"no"}"#);
        assert_eq!((error.class(), error.status()), (ErrorClass::UpstreamAuth, 502), "{kind}");
        assert_eq!(error.blame(), Blame::Gateway, "{kind}");
        assert_eq!(error.message(), "the backend refused the gateway's credentials (HTTP 403)", "{kind}");
        assert_eq!(error.code(), Some(kind).filter(|kind| !kind.is_empty()));
    }
}

#[test]
fn a_frame_that_refuses_credentials_keeps_its_name_and_never_its_words() {
    const WORDS: &str = "The security token AKIASECRET included in the request is expired";
    let exception =
        decode_exception("expiredTokenException", format!(r#"{{"message":"{WORDS}"}}"#).as_bytes());
    let error = decode_error_message("ExpiredTokenException", WORDS.as_bytes());
    for error in [exception, error] {
        assert_eq!(error.class(), ErrorClass::UpstreamAuth);
        assert_eq!(error.message(), "the backend refused the gateway's credentials (HTTP 403)");
        assert_eq!(error.code(), Some("ExpiredTokenException"));
        assert!(!format!("{error:?}").contains("AKIASECRET"), "{error:?}");
    }
}

/// AWS's words on a wrong signature quote the request that was signed, its session token included.
#[test]
fn an_error_about_the_signature_never_keeps_its_words_whatever_its_status() {
    for kind in ["InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationTokenException"] {
        let error = answer(400, kind, r#"{"message":"x-amz-security-token:SECRET"}"#);
        assert_eq!((error.class(), error.code()), (ErrorClass::UpstreamAuth, Some(kind)));
        assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
    }
}

#[test]
fn modelled_exceptions_outrank_their_status() {
    for (status, kind, class) in [
        (400, "ServiceQuotaExceededException", ErrorClass::QuotaExceeded),
        (429, "ModelNotReadyException", ErrorClass::RateLimited),
        (424, "ModelErrorException", ErrorClass::UpstreamBroke),
        (408, "ModelTimeoutException", ErrorClass::Timeout),
        (404, "ResourceNotFoundException", ErrorClass::NotFound),
        (503, "ServiceUnavailableException", ErrorClass::Overloaded),
        (500, "InternalServerException", ErrorClass::UpstreamBroke),
        (400, "ConflictException", ErrorClass::BadRequest),
    ] {
        assert_eq!(answer(status, kind, "{}").class(), class, "{kind}");
    }
}

#[test]
fn without_a_kind_the_status_decides() {
    for (status, class) in [
        (402, ErrorClass::QuotaExceeded),
        (413, ErrorClass::TooLarge),
        (422, ErrorClass::BadRequest),
        (429, ErrorClass::RateLimited),
        (502, ErrorClass::UpstreamBroke),
        (504, ErrorClass::Timeout),
        (302, ErrorClass::Protocol),
    ] {
        assert_eq!(answer(status, "", "<html>").class(), class, "{status}");
    }
}

#[test]
fn a_body_that_is_no_json_still_gives_a_message_and_leaks_nothing() {
    let error = answer(502, "", "<html>proxy at 10.0.0.1</html>");
    assert_eq!(error.message(), "Bedrock answered 502 without a message");
}

#[test]
fn message_may_be_capitalised_and_the_kind_may_be_in_the_body() {
    let error =
        answer(400, "", r#"{"__type":"com.amazon.coral.service#ThrottlingException","Message":"slow down"}"#);
    assert_eq!((error.class(), error.message()), (ErrorClass::RateLimited, "slow down"));
}

#[test]
fn frames_and_headers_name_the_same_exception_alike() {
    let framed = decode_exception("throttlingException", br#"{"message":"slow down"}"#);
    assert_eq!(framed, answer(429, "ThrottlingException", r#"{"message":"slow down"}"#));
}

#[test]
fn a_frames_status_is_the_modelled_one() {
    for (name, status) in [
        ("validationException", 400),
        ("internalServerException", 500),
        ("modelStreamErrorException", 424),
        ("throttlingException", 429),
        ("serviceUnavailableException", 503),
        ("modelTimeoutException", 408),
        ("somethingNewException", 500),
    ] {
        assert_eq!(decode_exception(name, b"{}").upstream_status(), Some(status), "{name}");
    }
}
