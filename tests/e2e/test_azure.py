"""OpenAI's official client as its users have it for Azure, on the gateway: the model is a deployment in the path (dated versions) or in
the body (v1), over several backends.
"""

import time

import openai
import pytest

from processes import KEY, PATIENCE_S, Gateway
from test_hang_up import WITHIN_MS, assert_line_of_a_caller_gone, backend_closed, request

HOSTS = ("openai", "azure", "azure-v1", "bedrock", "anthropic", "gemini", "vertex_ai")


def dated(gateway: Gateway, key: str = KEY) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=gateway.url, api_version="2024-10-21", api_key=key, max_retries=0, timeout=PATIENCE_S
    )


def undated(gateway: Gateway, key: str = KEY) -> openai.OpenAI:
    """The class for Azure knows dated versions only; v1 is called with the other one."""
    return openai.OpenAI(
        base_url=f"{gateway.url}/openai/v1/", default_headers={"api-key": key}, api_key=key, max_retries=0, timeout=PATIENCE_S
    )


CLIENTS = pytest.mark.parametrize("connect", [dated, undated], ids=["dated", "v1"])


@CLIENTS
@pytest.mark.parametrize("host", HOSTS)
def test_a_whole_reply_and_a_stream(gateway, connect, host):
    with connect(gateway) as client:
        asked = request(host, "tokens=3,prompt=30")
        reply = client.chat.completions.create(**(asked | {"stream": False}))
        assert reply.choices[0].message.content == " A tide gate"
        assert reply.usage.prompt_tokens == 30
        chunks = list(client.chat.completions.create(**asked))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == " A tide gate"


@CLIENTS
@pytest.mark.parametrize("host", HOSTS)
def test_a_close_half_way_stops_the_backend(simulator, gateway, connect, host):
    tag = f"azure-closed-{connect.__name__}-{host}"
    with connect(gateway) as client:
        stream = client.chat.completions.create(**request(host, f"tokens=100000,interval=2ms,tag={tag}"))
        call_id = stream.response.headers["x-tidegate-call-id"]
        for _ in range(3):
            next(stream)
        stream.close()
        gone = time.monotonic_ns()
    assert (backend_closed(simulator, tag)["closed_ns"] - gone) / 1e6 < WITHIN_MS
    assert_line_of_a_caller_gone(gateway, call_id, status=200)


@CLIENTS
def test_the_key_is_the_gateways(simulator, tmp_path_factory, connect):
    folder = tmp_path_factory.mktemp("azure")
    with Gateway(folder, simulator.url, f"master_key: {KEY}-master\n") as gateway:
        asked = request("openai", "tokens=3", streaming=False)
        with connect(gateway, f"{KEY}-master") as client:
            assert client.chat.completions.create(**asked).choices[0].message.content == " A tide gate"
        with connect(gateway, "wrong") as client, pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(**asked)
