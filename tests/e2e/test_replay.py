"""What real providers once sent, through the gateway, to real clients.

The simulator replays the recorded exchanges on the providers' own URLs; the official `openai` client and `curl` ask the
gateway for them and must end up with what the digests say, in OpenAI's terms: `recordings.py` states the mapping of
finish reasons, usage and errors. Where the corpus is absent, the same is asked of simulated exchanges only.
"""

import re

import openai
import pytest

import curl
import outcome
from recordings import Exchange, recorded, simulated

EXCHANGES = recorded() + simulated()


def cases(exchanges):
    return pytest.mark.parametrize(
        ("exchange", "host"),
        [pytest.param(exchange, host, id=f"{host}:{exchange.id}") for exchange in exchanges for host in exchange.hosts],
    )


@cases(exchange for exchange in EXCHANGES if not exchange.streaming)
def test_a_whole_reply_reaches_the_official_client_as_it_was(client, tally, exchange, host):
    try:
        reply = client.chat.completions.create(**exchange.request(host, include_usage=False))
    except openai.APIStatusError as error:
        assert error.response.headers.get("retry-after") == exchange.retry_after
        result = outcome.of_exception(error)
    else:
        result = outcome.of_completion(reply.to_dict())
    outcome.assert_same(result, exchange.result)
    tally.saw(exchange)


@cases(exchange for exchange in EXCHANGES if exchange.streaming)
def test_a_stream_reaches_the_official_client_without_usage_that_it_did_not_ask_for(client, tally, exchange, host):
    request = exchange.request(host, include_usage=False)
    try:
        chunks = [chunk.to_dict() for chunk in client.chat.completions.create(**request, stream=True)]
    except openai.APIError as error:
        result = outcome.of_exception(error)
    else:
        result = outcome.of_chunks(chunks)
    outcome.assert_same(result, exchange.result, usage_asked=False)
    tally.saw(exchange)


@cases(exchange for exchange in EXCHANGES if exchange.streaming)
def test_a_stream_with_usage_is_put_together_by_the_official_clients_own_helper(client, tally, exchange, host):
    usages = []
    try:
        with client.chat.completions.stream(**exchange.request(host, include_usage=True)) as stream:
            usages += [event.chunk.usage for event in stream if event.type == "chunk" and event.chunk.usage]
            # Not `get_final_completion`, which raises an exception of the client's own for the finish reason `length`.
            reply = stream.current_completion_snapshot
    except openai.APIError as error:
        result = outcome.of_exception(error)
    else:
        # The helper forgets the usage where OpenAI sends a chunk after it (a moderation verdict, with `usage: null`).
        reply.usage = usages[-1] if usages else None
        assert len(usages) <= 1
        result = outcome.of_completion(reply.to_dict())
    outcome.assert_same(result, exchange.result)
    tally.saw(exchange)


def samples():
    """The first three of each kind: provider, streamed or not, reply or error."""
    kinds = {}
    for exchange in EXCHANGES:
        kinds.setdefault(exchange.kind, []).append(exchange)
    return [exchange for kind in kinds.values() for exchange in kind[:3]]


@cases(samples())
def test_curl_gets_headers_and_framing_as_they_should_be(gateway, tally, exchange, host):
    request = exchange.request(host, include_usage=True) | {"stream": exchange.streaming}
    reply = curl.post(gateway, request)
    assert re.fullmatch("call_[0-9a-f]{32}", reply.headers["x-tidegate-call-id"])
    assert reply.headers["x-request-id"] == reply.headers["x-tidegate-call-id"]
    outcome.assert_same(reply.result(), exchange.result)
    tally.saw(exchange)


@cases(exchange for exchange in recorded() if exchange.body)
def test_an_openai_reply_is_relayed_byte_for_byte(gateway, tally, exchange, host):
    reply = curl.post(gateway, exchange.request(host, include_usage=True) | {"stream": exchange.streaming})
    assert reply.body == exchange.body
    tally.saw(exchange)


def test_every_kind_of_exchange_is_among_the_recorded():
    kinds = {exchange.kind for exchange in recorded()}
    if not kinds:
        pytest.skip("corpus absent")
    hosts = ("openai", "azure", "bedrock", "anthropic", "gemini", "vertex_ai", "cohere")
    expected = {f"{host} {fate}" for host in hosts for fate in FATES}
    assert kinds >= expected | {"bedrock stream error", "ollama whole reply"}


FATES = ("stream reply", "whole reply", "whole error")
