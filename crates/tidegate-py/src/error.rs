//! Failures, as exceptions of `tidegate.exceptions`. Which class stands for which failure is said here and nowhere else.

use pyo3::{
    prelude::*,
    sync::PyOnceLock,
    types::{PyDict, PyType},
};
use tidegate::{Error, ErrorClass};

use crate::attempts::{Failure, Origin};

/// What a call that failed raises.
pub(crate) fn of_call(py: Python<'_>, failure: &Failure) -> PyErr {
    let Failure { error, origin } = failure;
    raised(py, class_of(error), error, Some(origin))
}

/// What wrong settings raise before there is a call.
pub(crate) fn of_configuration(py: Python<'_>, error: &Error) -> PyErr {
    raised(py, class_of(error), error, None)
}

/// An exception of this class, whatever the error's own would be.
pub(crate) fn raised(py: Python<'_>, class: &str, error: &Error, origin: Option<&Origin>) -> PyErr {
    match exception(py, class, error, origin) {
        Ok(exception) => PyErr::from_value(exception),
        Err(failed) => failed,
    }
}

/// An argument that can't be used.
pub(crate) fn bad_argument(py: Python<'_>, name: &str, why: &str) -> PyErr {
    let error = tidegate_wire::WireError::bad_request(format!("{name}: {why}")).with_param(name);
    raised(py, "BadRequestError", &error.into(), None)
}

/// Header fields as text. What is not readable as such is left out.
pub(crate) fn readable(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect()
}

fn exception<'py>(
    py: Python<'py>,
    class: &str,
    error: &Error,
    origin: Option<&Origin>,
) -> PyResult<Bound<'py, PyAny>> {
    static RAISED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let facts = PyDict::new(py);
    facts.set_item("message", message(error, origin))?;
    facts.set_item("llm_provider", origin.map(|origin| origin.provider))?;
    facts.set_item("model", origin.map(|origin| &*origin.model))?;
    facts.set_item("code", error.code())?;
    facts.set_item("param", error.param())?;
    facts.set_item("upstream_status", error.upstream_status())?;
    facts.set_item("retry_after", error.retry_after().map(|wait| wait.as_secs_f64()))?;
    facts.set_item("headers", readable(error.upstream_headers()))?;
    facts.set_item("call_id", error.call_id())?;
    let make = RAISED.import(py, "tidegate.exceptions", "Facts")?;
    make.call((), Some(&facts))?.call_method1("exception", (class,))
}

/// The engine speaks of a gateway's credentials; here they are the program's.
fn message(error: &Error, origin: Option<&Origin>) -> String {
    match (error.class(), error.upstream_status(), origin) {
        (ErrorClass::UpstreamAuth, Some(status), Some(origin)) => {
            format!("{} refused the credentials (HTTP {status})", origin.provider)
        }
        // The chain has none, or its source failed.
        (ErrorClass::UpstreamAuth, None, Some(origin)) => {
            format!("{}: {}; or pass {AWS_KEYS}", origin.provider, error.message())
        }
        _ => error.message().to_owned(),
    }
}

const AWS_KEYS: &str = "aws_access_key_id and aws_secret_access_key, aws_profile_name or aws_role_name";

/// The names are LiteLLM's, whose users' `except` clauses name them.
fn class_of(error: &Error) -> &'static str {
    match (error.class(), error.upstream_status()) {
        (ErrorClass::ContextLength, _) => "ContextWindowExceededError",
        (ErrorClass::ContentFilter, _) => "ContentPolicyViolationError",
        (_, Some(422)) => "UnprocessableEntityError",
        (ErrorClass::BadRequest | ErrorClass::TooLarge, _) => "BadRequestError",
        (ErrorClass::UpstreamAuth, Some(403)) => "PermissionDeniedError",
        (ErrorClass::UpstreamAuth | ErrorClass::Unauthorized, _) => "AuthenticationError",
        (ErrorClass::NotFound, _) => "NotFoundError",
        (ErrorClass::RateLimited | ErrorClass::QuotaExceeded, _) => "RateLimitError",
        (ErrorClass::Timeout, _) => "Timeout",
        (ErrorClass::Overloaded, _) => "ServiceUnavailableError",
        (ErrorClass::UpstreamBroke, Some(502)) => "BadGatewayError",
        (ErrorClass::UpstreamBroke, _) => "InternalServerError",
        (ErrorClass::Connect | ErrorClass::Truncated | ErrorClass::Protocol, _) => "APIConnectionError",
        (ErrorClass::Internal, _) => "BadRequestError",
    }
}
