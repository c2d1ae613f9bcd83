"""Backends that refuse, break off or talk nonsense, as the caller sees them: an error of the right class, inside a stream
too, what had been said before it delivered, and never a finish that the backend did not send (O5)."""

import contextlib
import socket
import socketserver
import threading

import openai
import pytest

import curl
import outcome
from conftest import client_of
from processes import Gateway
from recordings import Failure, Result

HOSTS = ("openai", "azure", "bedrock")
STREAMING = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
BROKE = (502, "server_error")

# What a backend does not answer with.
NEVER = object()
# Status that the backend answers with; status, type and (openai's, azure's, bedrock's) code for the caller.
REFUSALS = (
    (400, 400, "invalid_request_error", (None, "BadRequest", NEVER)),
    (401, 502, "upstream_authentication_error", ("invalid_api_key", "401", NEVER)),
    (403, 502, "upstream_authentication_error", (None, "Forbidden", "AccessDeniedException")),
    (404, 404, "invalid_request_error", ("model_not_found", "DeploymentNotFound", "model_not_found")),
    (429, 429, "rate_limit_error", ("rate_limit_exceeded", "RateLimitReached", "rate_limit_exceeded")),
    (500, *BROKE, (None, "InternalServerError", "InternalServerException")),
    (503, 503, "overloaded_error", (None, "ServiceUnavailable", "ServiceUnavailableException")),
)


@STREAMING
@pytest.mark.parametrize(
    ("host", "upstream", "status", "kind", "code"),
    [
        pytest.param(host, upstream, status, kind, code, id=f"{host} {upstream}")
        for upstream, status, kind, codes in REFUSALS
        for host, code in zip(HOSTS, codes)
        if code is not NEVER
    ],
)
def test_a_refusal_keeps_its_class_its_words_and_its_wait(client, host, upstream, status, kind, code, streaming):
    with pytest.raises(openai.APIStatusError) as raised:
        ask(client, host, f"error={upstream},retry_after=3", streaming)
    failure = outcome.of_exception(raised.value).failure
    assert (failure.status, failure.type, failure.code) == (status, kind, code)
    assert failure.message
    assert raised.value.response.headers["retry-after"] == "3"


def test_a_filtered_prompt_is_the_callers_to_change(client):
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, "azure", "error=400,finish=content_filter", streaming=True)
    assert (raised.value.code, raised.value.param) == ("content_filter", "prompt")


def test_the_gateways_own_key_being_refused_is_never_the_callers_401(client):
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, "wrong-key", "tokens=3", streaming=False)
    failure = outcome.of_exception(raised.value).failure
    assert (failure.status, failure.type) == (502, "upstream_authentication_error")
    assert "bad" not in failure.message, "what the backend says of the gateway's key is not the caller's business"


@STREAMING
def test_a_backend_that_nobody_runs_is_unreachable(client, streaming):
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, "nobody", "tokens=3", streaming)
    failure = outcome.of_exception(raised.value).failure
    assert (failure.status, failure.type, failure.code) == (*BROKE, "upstream_unreachable")


# What the backend does after three tokens; the code for the caller.
BREAKS = (
    ("truncate", "truncate=3", "upstream_connection"),
    ("end early", "eof=3", "upstream_truncated"),
    ("reset", "reset=3", "upstream_connection"),
    ("report an error", "fail=3", None),
    ("talk nonsense", "malformed=5", "upstream_protocol_error"),
)
# Where the nonsense comes earlier or later, since frames count and not tokens.
FRAMES_BEFORE_TEXT = {"openai": 1, "azure": 2, "bedrock": 1}


@pytest.mark.parametrize("break_", BREAKS, ids=[row[0] for row in BREAKS])
@pytest.mark.parametrize("host", HOSTS)
def test_o5_a_stream_that_breaks_is_an_error_after_what_was_said(gateway, client, host, break_):
    _, scenario, code = break_
    if scenario.startswith("malformed"):
        scenario = f"malformed={3 + FRAMES_BEFORE_TEXT[host]}"
    chunks = []
    # The pause lets what was said arrive by itself, before a reset takes it along.
    with pytest.raises(openai.APIError) as raised:
        for chunk in ask(client, host, f"tokens=6,interval=20ms,{scenario}", streaming=True):
            chunks.append(chunk.to_dict())
    failure = outcome.of_exception(raised.value).failure
    assert (failure.status, failure.type) == (None, "server_error") and failure.message
    assert failure.code == code or (code is None and failure.code in REPORTED_CODES[host])
    said = outcome.of_chunks(chunks)
    assert said.answers[0].text == " A tide gate"
    assert said.answers[0].finish_reason is None and said.usage is None


REPORTED_CODES = {
    "openai": (None,),
    "azure": ("InternalServerError",),
    "bedrock": ("InternalServerException", "ModelStreamErrorException"),
}


@pytest.mark.parametrize("host", HOSTS)
def test_o5_curl_sees_the_error_event_last_and_no_done(gateway, host):
    request = request_of(host, "tokens=6,interval=5ms,eof=3") | {"stream": True}
    reply = curl.post(gateway, request)
    assert reply.status == 200
    assert reply.result() == Result(
        failure=Failure(None, "server_error", reply.result().failure.message, "upstream_truncated", None)
    )
    call = gateway.settled(id=reply.headers["x-tidegate-call-id"])
    assert (call["outcome"], call["usage"]) == ("truncated", "estimated")


@pytest.mark.parametrize("scenario", ["truncate=0", "reset=0"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_stream_that_breaks_before_its_first_token_is_an_error_too(client, host, scenario):
    with pytest.raises(openai.APIError) as raised:
        for chunk in ask(client, host, scenario, streaming=True):
            assert not chunk.choices or not chunk.choices[0].finish_reason
    assert raised.value.code == "upstream_connection"


@pytest.mark.parametrize("scenario", ["truncate=0", "reset=0", "fail=0"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_whole_reply_that_breaks_is_a_502(client, host, scenario):
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, host, scenario, streaming=False)
    assert raised.value.status_code == 502


@pytest.mark.parametrize("host", HOSTS)
def test_a_filtered_answer_finishes_as_such_with_what_was_said(client, host):
    finish = "guardrail_intervened" if host == "bedrock" else "content_filter"
    chunks = ask(client, host, f"tokens=3,finish={finish}", streaming=True)
    said = outcome.of_chunks([chunk.to_dict() for chunk in chunks])
    assert (said.answers[0].text, said.answers[0].finish_reason) == (" A tide gate", "content_filter")


# A whole reply has to be one; a stream without an event is one that ended before its first.
GARBLED = ("upstream_protocol_error", "upstream_truncated")
# What answers that is no backend at all: its bytes, and the code for the caller, whole and streamed.
IMPOSTORS = {
    "another-protocol": (b"220 mail.example.org ESMTP\r\n", *["upstream_protocol_error"] * 2),
    "nothing": (b"", "upstream_connection", "upstream_connection"),
    "half-a-head": (b"HTTP/1.1 200 OK\r\ncontent-le", "upstream_connection", "upstream_connection"),
    "a-page": (b"HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n<html>Login</html>\n", *GARBLED),
    "an-empty-body": (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", *["upstream_truncated"] * 2),
    "other-json": (b'HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{"ok":true}', *GARBLED),
    "a-redirect": (b"HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n", None, None),
}


@pytest.fixture(scope="module")
def impostors(simulator, tmp_path_factory):
    """A client of a gateway whose hosts are impostors, each of which says one thing and closes."""
    servers = {name: Impostor(reply) for name, (reply, *_) in IMPOSTORS.items()}
    settings = "\n".join(
        f"  {name}: {{ kind: openai, base_url: 'http://127.0.0.1:{server.port}/v1' }}" for name, server in servers.items()
    )
    with Gateway(tmp_path_factory.mktemp("impostors"), simulator.url, settings) as gateway, client_of(gateway) as client:
        yield client
    for server in servers.values():
        server.close()


class Impostor(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, reply: bytes):
        super().__init__(("127.0.0.1", 0), self.answer)
        self.reply = reply
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, connection, _address, _server):
        # The whole request first: closing with bytes unread would reset the connection instead.
        while b"[sim" not in connection.recv(65536):
            pass
        # The gateway may have given up on what it was told before it has been told all.
        with contextlib.suppress(OSError):
            connection.sendall(self.reply)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(65536)

    def close(self):
        self.shutdown()
        self.server_close()


@STREAMING
@pytest.mark.parametrize("name", IMPOSTORS)
def test_what_is_no_backend_is_an_error_and_never_an_answer(impostors, name, streaming):
    _, whole, streamed = IMPOSTORS[name]
    with pytest.raises(openai.APIError) as raised:
        reply = ask(impostors, name, "impostor", streaming)
        for chunk in reply if streaming else ():
            assert not chunk.choices
    failure = outcome.of_exception(raised.value).failure
    assert failure.status in ((502, None) if streaming else (502,))
    assert (failure.type, failure.code) == ("server_error", streamed if streaming else whole)


def request_of(host: str, scenario: str) -> dict:
    return {"model": f"{host}/gpt-4o-mini", "messages": [{"role": "user", "content": f"[sim {scenario}]"}]}


def ask(client: openai.OpenAI, host: str, scenario: str, streaming: bool):
    return client.chat.completions.create(**request_of(host, scenario), stream=streaming)
