//! The providers' error answers: status, headers and body as each of them forms it.

use bytes::Bytes;

use super::{anthropic, bedrock, chat, cohere, gemini, ollama, quoted};
use crate::journal::Backend;
use crate::plan::{Body, Head, Plan};
use crate::scenario::Scenario;

/// The answer that a scenario's `error` asks for; it takes the scenario's delays and faults with it.
pub(super) fn scenario_error(backend: Backend, status: u16, model: &str, scenario: Scenario) -> Plan {
    let filtered =
        backend == Backend::Azure && status == 400 && scenario.finish.as_deref() == Some("content_filter");
    let body = if filtered { PROMPT_FILTERED.to_owned() } else { body(backend, status, None, model) };
    let mut head = head(backend, status, model);
    if let Some(seconds) = scenario.retry_after {
        head = head.with("retry-after", seconds.to_string());
    }
    if let Some(millis) = scenario.retry_after_ms {
        head = head.with("retry-after-ms", millis.to_string());
    }
    let body = Body::Whole { bytes: Bytes::from(body), thinking: std::time::Duration::ZERO, completion: 0 };
    Plan { head, body, scenario }
}

pub(super) fn bad_request(backend: Backend, message: &str) -> Plan {
    Plan::prompt_answer(head(backend, 400, ""), body(backend, 400, Some(message), ""))
}

pub(super) fn unknown_url(backend: Backend) -> Plan {
    let body = match backend {
        Backend::Azure => r#"{"error":{"code":"404","message": "Resource not found"}}"#.to_owned(),
        Backend::Bedrock => {
            r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#
                .to_owned()
        }
        Backend::Gemini => gemini::error(404, "NOT_FOUND", "Requested entity was not found."),
        _ => openai(
            "Unknown request URL. Please check the URL for typos, or see the docs at https://platform.openai.com/docs/api-reference/.",
            "invalid_request_error",
            Some("unknown_url"),
        ),
    };
    Plan::prompt_answer(head(backend, 404, ""), body)
}

pub(super) fn unauthorized(backend: Backend, missing: bool) -> Plan {
    let (status, message) = match (backend, missing) {
        (Backend::Bedrock, true) => (403, "Missing Authentication Token"),
        (Backend::Bedrock, false) => (403, "The security token included in the request is invalid."),
        (Backend::Azure, _) => (401, AZURE_DENIED),
        (Backend::Anthropic, true) => (401, "x-api-key header is required"),
        (Backend::Anthropic, false) => (401, "invalid x-api-key"),
        (Backend::Gemini, true) => {
            (403, "Method doesn't allow unregistered callers (callers without established identity).")
        }
        // Not 401 (recorded).
        (Backend::Gemini, false) => (400, "API key not valid. Please pass a valid API key."),
        (Backend::Cohere, true) => (401, "no api key supplied"),
        (Backend::Cohere, false) => (
            401,
            "Incorrect API key provided: bad****. You can find your API key at https://dashboard.cohere.com/api-keys.",
        ),
        (Backend::Ollama, _) => (401, "Unauthorized"),
        (_, true) => (
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        ),
        (_, false) => (
            401,
            "Incorrect API key provided: bad****. You can find your API key at https://platform.openai.com/account/api-keys.",
        ),
    };
    let body = match (backend, missing) {
        (Backend::Openai, true) => openai(message, "invalid_request_error", None),
        _ => body(backend, status, Some(message), ""),
    };
    let exception =
        if missing { "MissingAuthenticationTokenException" } else { "UnrecognizedClientException" };
    let head = match backend {
        Backend::Bedrock => bedrock::error_head(status, exception),
        _ => head(backend, status, ""),
    };
    Plan::prompt_answer(head, body)
}

fn head(backend: Backend, status: u16, model: &str) -> Head {
    match backend {
        Backend::Bedrock => bedrock::error_head(status, bedrock_exception(status)),
        Backend::Azure => chat::azure_head(status, "application/json", model),
        Backend::Anthropic => anthropic::head(status, "application/json"),
        Backend::Gemini => gemini::head(status, "application/json; charset=UTF-8"),
        Backend::Cohere => cohere::head(status, "application/json"),
        Backend::Ollama => ollama::head(status, "application/json; charset=utf-8"),
        _ => chat::openai_head(status, "application/json"),
    }
}

fn body(backend: Backend, status: u16, message: Option<&str>, model: &str) -> String {
    let message = message.unwrap_or_else(|| usual_message(backend, status));
    match backend {
        Backend::Bedrock => format!(r#"{{"message":{}}}"#, quoted(message)),
        Backend::Anthropic => anthropic::error(status, message),
        Backend::Gemini => gemini::error(status, gemini::status_name(status), message),
        Backend::Cohere => cohere::error(status, message),
        Backend::Ollama => ollama::error(message),
        Backend::Azure => {
            format!(r#"{{"error":{{"code":"{}","message":{}}}}}"#, azure_code(status), quoted(message))
        }
        _ => match status {
            404 => openai(
                &format!("The model `{model}` does not exist or you do not have access to it."),
                "invalid_request_error",
                Some("model_not_found"),
            ),
            401 => openai(message, "invalid_request_error", Some("invalid_api_key")),
            429 => openai(message, "requests", Some("rate_limit_exceeded")),
            500.. => openai(message, "server_error", None),
            _ => openai(message, "invalid_request_error", None),
        },
    }
}

fn openai(message: &str, kind: &str, code: Option<&str>) -> String {
    let code = code.map_or_else(|| "null".to_owned(), quoted);
    format!(
        "{{\n    \"error\": {{\n        \"message\": {},\n        \"type\": \"{kind}\",\n        \"param\": null,\n        \"code\": {code}\n    }}\n}}\n",
        quoted(message)
    )
}

fn usual_message(backend: Backend, status: u16) -> &'static str {
    match (backend, status) {
        (Backend::Bedrock, 429) => "Too many requests, please wait before trying again.",
        (Backend::Bedrock, 403) => "You don't have access to the model with the specified model ID.",
        (Backend::Bedrock, 500) => {
            "The system encountered an unexpected error during processing. Try your request again."
        }
        (Backend::Bedrock, 503) => "Bedrock is unable to process your request.",
        (Backend::Bedrock, _) => "The provided model identifier is invalid.",
        (Backend::Azure, 401) => AZURE_DENIED,
        (Backend::Azure, 404) => {
            "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."
        }
        (Backend::Azure, 429) => {
            "Your requests have exceeded the call rate limit of your current pricing tier. Please retry after 1 second."
        }
        (Backend::Anthropic, 401) => "invalid x-api-key",
        (Backend::Anthropic, 404) => "model: claude-unknown",
        (Backend::Anthropic, 429) => {
            "This request would exceed your account's rate limit. Please try again later."
        }
        (Backend::Anthropic, 503 | 529) => "Overloaded",
        (Backend::Anthropic, 500..) => "Internal server error",
        (_, 401) => {
            "Incorrect API key provided: bad****. You can find your API key at https://platform.openai.com/account/api-keys."
        }
        (Backend::Gemini, 404) => {
            "models/none is not found for API version v1beta, or is not supported for generateContent."
        }
        (Backend::Gemini, 429) => "Resource exhausted. Please try again later.",
        (_, 429) => "Rate limit reached for requests. Please try again in 1s.",
        (_, 503) => "The engine is currently overloaded, please try again later.",
        (_, 500..) => "The server had an error while processing your request. Sorry about that!",
        _ => "Invalid request.",
    }
}

fn azure_code(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "401",
        403 => "Forbidden",
        404 => "DeploymentNotFound",
        408 => "Timeout",
        429 => "RateLimitReached",
        503 => "ServiceUnavailable",
        _ => "InternalServerError",
    }
}

fn bedrock_exception(status: u16) -> &'static str {
    match status {
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}

const AZURE_DENIED: &str = "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.";

/// A prompt that Azure's content filter blocks: 400 also for a stream, with the verdicts inside.
const PROMPT_FILTERED: &str = concat!(
    r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","#,
    r#""type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"#,
    r#""code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":false,"severity":"safe"},"#,
    r#""jailbreak":{"filtered":true,"detected":true},"self_harm":{"filtered":false,"severity":"safe"},"#,
    r#""sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}}}}"#,
);
