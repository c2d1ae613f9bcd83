"""Failures: LiteLLM's classes and status codes, and the `openai` package's classes above them. Retries and fallbacks."""

import asyncio
import pickle
import subprocess
import sys
import time

import pytest

import tidegate
from conftest import HOSTS
from processes import refusing_port
from tidegate import acompletion, completion


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, tidegate.BadRequestError),
        (401, tidegate.AuthenticationError),
        (404, tidegate.NotFoundError),
        (429, tidegate.RateLimitError),
        (500, tidegate.InternalServerError),
        (503, tidegate.ServiceUnavailableError),
    ],
)
def test_a_refusal_is_the_exception_of_its_status(backend, host, streaming, status, kind):
    arguments = backend.arguments(host, f"error={status}") | {"stream": streaming}
    if (host, status) == ("bedrock", 400):
        # The simulator's 400 is the one of a model that is not there.
        kind = tidegate.NotFoundError
    for call in (lambda: asyncio.run(acompletion(**arguments)), lambda: completion(**arguments)):
        with pytest.raises(kind) as raised:
            call()
        error = raised.value
        assert type(error) is kind and error.llm_provider == host and error.model in arguments["model"]
        assert error.message == str(error) and error.call_id.startswith("call_")
        # Bedrock refuses credentials with 403 and says overload with its own codes: the class is what counts.
        if host == "openai":
            assert error.status_code == status == error.response.status_code


def test_how_long_to_wait_is_told(backend):
    with pytest.raises(tidegate.RateLimitError) as raised:
        completion(**backend.arguments("azure", "error=429 retry_after=7"))
    assert raised.value.response.headers["Retry-After"] == "7"


@pytest.mark.parametrize("host", HOSTS)
def test_the_backend_s_own_header_fields_are_there(backend, host):
    """Its id of the request, for whoever asks its support."""
    with pytest.raises(tidegate.RateLimitError) as raised:
        completion(**backend.arguments(host, "error=429"))
    headers = raised.value.response.headers
    assert headers["Content-Type"] == "application/json" and raised.value.request_id in headers.values()
    assert dict(pickle.loads(pickle.dumps(raised.value)).response.headers) == dict(headers)


@pytest.mark.parametrize("scenario", ["truncate=3", "reset=3", "eof=3"])
def test_a_stream_that_breaks_off_is_an_error_and_no_end(backend, scenario):
    stream = completion(**backend.arguments("openai", f"tokens=20 {scenario}"), stream=True)
    given = []
    with pytest.raises((tidegate.APIConnectionError, tidegate.InternalServerError)):
        given.extend(stream)
    # What came before is given; and who asks again is not told that it was all.
    assert stream.chunks
    with pytest.raises(RuntimeError, match="closed before its end"):
        next(stream)


def test_timeouts_and_unreachable_backends(backend):
    slow = backend.arguments("openai", "tokens=5 first_token_delay=60s")
    for streaming in (True, False):
        started = time.monotonic()
        with pytest.raises(tidegate.Timeout) as raised:
            for _ in completion(**slow, stream=streaming, timeout=0.2):
                pass
        assert raised.value.status_code == 408 and time.monotonic() - started < 5
    nobody = slow | {"api_base": f"http://127.0.0.1:{refusing_port()}/v1"}
    with pytest.raises(tidegate.APIConnectionError):
        completion(**nobody)


def test_exceptions_can_be_pickled(backend):
    with pytest.raises(tidegate.RateLimitError) as raised:
        completion(**backend.arguments("openai", "error=429 retry_after=7"))
    again = pickle.loads(pickle.dumps(raised.value))
    assert type(again) is tidegate.RateLimitError and again.message == raised.value.message
    assert again.response.headers["retry-after"] == "7"


OPENAI = """
import tidegate
from tidegate.exceptions import RateLimitError, Timeout
assert "openai" not in __import__("sys").modules, "nobody asked for it"
import openai
try:
    tidegate.completion("openai/x", [{"role": "user", "content": "[sim error=429]"}], api_base=URL, api_key="x")
except openai.RateLimitError as error:
    assert type(error) is RateLimitError and isinstance(error, openai.APIError) and error.status_code == 429
    assert issubclass(Timeout, openai.APITimeoutError) and str(error) == error.message and error.body is None
    assert issubclass(tidegate.ContextWindowExceededError, openai.BadRequestError)
else:
    raise AssertionError("it was not refused")
"""


def test_the_openai_package_s_except_clauses_hold(backend):
    pytest.importorskip("openai")
    program = f"URL = {backend.simulator.url + '/v1'!r}\n{OPENAI}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_retries_and_fallbacks(backend):
    tag, failing = backend.tagged("openai", "error=503")
    with pytest.raises(tidegate.ServiceUnavailableError):
        completion(**failing, num_retries=1)
    assert len(backend.seen(tag)) == 2

    # A refusal that would come again is not asked for again.
    tag, wrong = backend.tagged("openai", "error=400")
    with pytest.raises(tidegate.BadRequestError):
        completion(**wrong, num_retries=3)
    assert len(backend.seen(tag)) == 1

    other = backend.arguments("azure", "tokens=5")
    reply = completion(**failing, fallbacks=[other])
    assert reply.choices[0].message.content == " A tide gate is one"


def test_credentials_stay_with_their_vendor(backend):
    """A fallback to another vendor does not take the first one's key along."""
    first = backend.arguments("openai", "error=503")
    with pytest.raises(tidegate.OpenAIError) as raised:
        completion(**first, fallbacks=["azure/x"])
    assert "AZURE" in str(raised.value)


def test_a_fallback_has_a_name_and_an_organization_of_its_own():
    """What was said of the first backend is not said to the other."""
    from tidegate._request import _candidate, _instead, in_order

    given = {"model": "openai/gpt-4o", "organization": "org-1", "extra_body": {"model": "gpt-4o-eu", "top_k": 1}}
    ours = in_order({**given, "messages": []})
    body, settings = _candidate(ours, None)
    assert settings["name"] == "gpt-4o-eu" and settings["extra_headers"] == {"OpenAI-Organization": "org-1"}
    body, settings = _candidate(_instead(ours, "azure/spare", None), None)
    assert settings["name"] == "spare" and "extra_headers" not in settings and body["top_k"] == 1


ADOPTED = """
import tidegate
# As `litellm.exceptions`: while something is raised, too.
RateLimitError = tidegate.exceptions.RateLimitError
import openai

class Both(openai.RateLimitError, tidegate.RateLimitError):
    pass

try:
    tidegate.completion("openai/x", [], mock_response="x", api_key="k")
except openai.BadRequestError as error:
    assert type(error) is tidegate.UnsupportedParamsError
try:
    raise tidegate.NotFoundError("no such model", "gpt-4", "openai")
except openai.NotFoundError as error:
    assert (error.model, error.llm_provider) == ("gpt-4", "openai")
assert isinstance(RateLimitError("x", "openai", "gpt-4"), tidegate.OpenAIError)
"""


def test_the_openai_package_s_classes_whenever_it_is_imported():
    """Whoever raises, in whatever order things are imported; a class with both as bases replaces no failure."""
    subprocess.run([sys.executable, "-c", ADOPTED], check=True, timeout=30)


def test_whatever_stands_in_for_the_openai_package(backend):
    program = f"""
import sys, unittest.mock
sys.modules["openai"] = unittest.mock.MagicMock()
import tidegate
try:
    tidegate.completion(**{backend.arguments("openai", "error=429")!r})
except tidegate.RateLimitError:
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == 7


def test_the_classes_are_related_as_litellm_s_are():
    assert not issubclass(tidegate.RateLimitError, tidegate.APIError)
    assert not issubclass(tidegate.Timeout, tidegate.APIConnectionError)
    assert issubclass(tidegate.ContextWindowExceededError, tidegate.BadRequestError)
    error = tidegate.APIError(502, "broken", "openai", "gpt-4")
    assert (error.status_code, error.message, error.llm_provider, error.model) == (502, "broken", "openai", "gpt-4")
    with pytest.raises(TypeError, match="mesage"):
        tidegate.RateLimitError(mesage="x")
    assert tidegate.__version__ and "exceptions" in dir(tidegate) and tidegate.BudgetExceededError
