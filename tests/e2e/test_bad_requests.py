"""Requests that are wrong: status, `error.type`, `param`, `code` and a message that says what to do. Nothing is sent to a
backend, and the gateway goes on working."""

import http.client
import re

import openai
import pytest

import curl
import outcome
from conftest import client_of
from processes import PATIENCE_S, Gateway
from recordings import Failure

MESSAGES = [{"role": "user", "content": "Hello"}]
INVALID = "invalid_request_error"


def body(**changes) -> dict:
    request = {"model": "openai/gpt-4o-mini", "messages": MESSAGES} | changes
    return {name: value for name, value in request.items() if value is not ABSENT}


ABSENT = object()

# Name, body, code, param, what the message says.
BAD_BODIES = (
    ("no body", "", None, None, "not valid JSON: EOF"),
    ("malformed JSON", '{"model": "openai/x", "messages": [}', None, None, "not valid JSON.*line 1 column 3"),
    ("text after the JSON", '{"model":"openai/x","messages":[{}]} x', None, None, "not valid JSON: trailing characters"),
    ("an array", "[]", None, None, "must be a JSON object"),
    ("no model", body(model=ABSENT), None, "model", "must provide a model"),
    ("an empty model", body(model=""), None, "model", "must not be empty"),
    ("a model that is no string", body(model=4), "invalid_type", "model", "expected a string, but got a number"),
    ("no messages", body(messages=ABSENT), "missing_required_parameter", "messages", "Missing required parameter"),
    ("empty messages", body(messages=[]), "empty_array", "messages", "empty array"),
    ("messages that are no array", body(messages="hi"), "invalid_type", "messages", "expected an array.*got a string"),
    ("stream that is no boolean", body(stream="yes"), "invalid_type", "stream", "expected a boolean, but got a string"),
    ("n that is no number", body(n="two"), "invalid_type", "n", "expected a positive integer"),
    ("a parameter twice", '{"model":"a/b","model":"c/d","messages":[{}]}', None, "model", "Duplicate parameter 'model'"),
    ("n for bedrock", body(model="bedrock/m", n=2), "unsupported_parameter", "n", "not supported by Bedrock Converse: `n`"),
    ("seed for bedrock", body(model="bedrock/m", seed=7), "unsupported_parameter", "seed", "Bedrock Converse: `seed`"),
    ("logprobs for bedrock", body(model="bedrock/m", logprobs=True), "unsupported_parameter", "logprobs", "`logprobs`"),
    (
        "a message without a role, for bedrock",
        body(model="bedrock/m", messages=[{"content": "x"}]),
        "missing_required_parameter",
        "messages[0].role",
        "messages\\[0\\].role",
    ),
    (
        "a part of no known type, for bedrock",
        body(model="bedrock/m", messages=[{"role": "user", "content": [{"type": "smell"}]}]),
        "unsupported_parameter",
        "messages[0].content",
        "smell",
    ),
)


@pytest.mark.parametrize(("name", "bad", "code", "param", "message"), BAD_BODIES, ids=[row[0] for row in BAD_BODIES])
def test_a_bad_body_is_refused_by_name(gateway, name, bad, code, param, message):
    assert_refused(curl.post(gateway, bad), 400, INVALID, code, param, message)


@pytest.mark.parametrize("model", ["gpt-4o", "nowhere/gpt-4o", "openai/"])
def test_an_unknown_model_is_told_what_there_is(gateway, model):
    message = f"no model `{model}`.*host is one of: openai, azure, azure-v1, bedrock"
    assert_refused(curl.post(gateway, body(model=model)), 404, INVALID, "model_not_found", "model", message)


def test_the_official_client_raises_its_class_for_each_of_them(client):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**body(model="gpt-4o"))
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**body(model="bedrock/m", n=2))
    assert raised.value.param == "n"


def test_every_refused_call_has_a_line_that_says_so_and_used_nothing(gateway):
    reply = curl.post(gateway, body(model="bedrock/m", n=2))
    call = gateway.settled(id=reply.headers["x-tidegate-call-id"])
    assert (call["outcome"], call["status"], call["usage"]) == ("refused", 400, "none")
    assert call["error"] == reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "options", "status", "code", "allow"),
    [
        ("/v1/chat/completions", ("-X", "GET"), 405, "method_not_allowed", "POST"),
        ("/v1/models", ("-X", "DELETE"), 405, "method_not_allowed", "GET"),
        ("/v1/nothing", ("-X", "POST", "-d", "{}"), 404, "not_found", None),
        ("/", (), 404, "not_found", None),
    ],
)
def test_a_wrong_path_or_method_is_told_the_right_one(gateway, path, options, status, code, allow):
    reply = curl.get(gateway, path, *options)
    assert_refused(reply, status, INVALID, code, None, "")
    assert reply.headers.get("allow") == allow
    if status == 404:
        assert path in reply.json()["error"]["message"]


@pytest.fixture(scope="module")
def guarded(simulator, tmp_path_factory):
    settings = f"master_key: {MASTER_KEY}\nlimits: {{ body: 64KiB }}\nmodels: {{ small: openai/gpt-4o-mini }}\n"
    with Gateway(tmp_path_factory.mktemp("guarded"), simulator.url, settings) as gateway:
        yield gateway


MASTER_KEY = "tide-master-0123456789"


@pytest.mark.parametrize(
    ("key", "options", "message"),
    [
        (None, (), "no key: send `Authorization: Bearer KEY`"),
        ("wrong", (), "not the gateway's master key"),
        (MASTER_KEY[:-1], (), "not the gateway's master key"),
        (MASTER_KEY + "0", (), "not the gateway's master key"),
        (None, ("-H", "authorization: Basic dTpw"), "not of the form `Bearer KEY`"),
        (None, ("-H", "api-key: wrong"), "not the gateway's master key"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/metrics", "/nowhere"])
def test_a_wrong_master_key_is_refused_everywhere(guarded, path, key, options, message):
    reply = curl.get(guarded, path, *options, key=key)
    assert_refused(reply, 401, "authentication_error", "invalid_api_key", None, message)
    assert reply.headers["www-authenticate"] == "Bearer"
    assert MASTER_KEY not in reply.body.decode()


def test_the_official_client_with_a_wrong_master_key_raises_its_class(guarded):
    with client_of(guarded, key="wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()


@pytest.mark.parametrize("header", [f"authorization: Bearer {MASTER_KEY}", f"api-key: {MASTER_KEY}"])
def test_the_right_master_key_opens_and_lists_the_operators_models(guarded, header):
    reply = curl.get(guarded, "/v1/models", "-H", header, key=None)
    assert [model["id"] for model in reply.json()["data"]] == ["small"]
    assert curl.post(guarded, body(model="small"), "-H", header, key=None).status == 200


def test_health_needs_no_key(guarded):
    assert curl.get(guarded, "/healthz", key=None).body == b"ok\n"
    assert curl.get(guarded, "/readyz", key=None).body == b"ready\n"


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_an_oversized_body_is_refused_with_the_limit(guarded, framing):
    large = body(model="small", messages=[{"role": "user", "content": "x" * 70_000}])
    options = ("-H", "transfer-encoding: chunked") if framing == "chunked" else ()
    reply = curl.post(guarded, large, *options, key=MASTER_KEY)
    assert_refused(reply, 413, INVALID, None, None, "larger than 65536 bytes")


def test_a_length_that_lies_is_no_way_around_the_limit(guarded):
    """The refusal comes before the body that is announced, so that nobody has to send it."""
    connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=PATIENCE_S)
    headers = {"content-length": "1000000000000", "authorization": f"Bearer {MASTER_KEY}"}
    connection.request("POST", "/v1/chat/completions", headers=headers)
    assert connection.getresponse().status == 413
    connection.close()


def test_after_all_that_a_good_call_works(client):
    assert client.chat.completions.create(**body()).choices[0].finish_reason == "stop"


def assert_refused(reply: curl.Reply, status: int, kind: str, code: str | None, param: str | None, message: str):
    failure = outcome.of_error_body(reply.status, reply.json()).failure
    assert re.search(message, failure.message), failure.message
    assert failure == Failure(status=status, type=kind, message=failure.message, code=code, param=param)
