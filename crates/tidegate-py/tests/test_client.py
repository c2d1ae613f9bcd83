"""Clients: arguments that are said once, and the hosts and names of a gateway's configuration file."""

import asyncio
import os

import pytest

import tidegate
from conftest import KEY, now_ns
from test_calls import TEXT, text_of
from tidegate import AsyncClient, Client

CONFIGURATION = """
# What it says of callers means nothing to a client; this secret is not there.
master_key: "${{GATEWAY_KEY}}"
hosts:
  azure: {{ base_url: "{url}", api_key: "${{TIDE_KEY}}", api_version: 2024-10-21 }}
  spare: {{ kind: openai, base_url: "{url}/v1", api_key: "${{TIDE_KEY}}" }}
  slow: {{ kind: openai, base_url: "{url}/v1", api_key: "${{TIDE_KEY}}", clocks: {{ response_headers: 100ms }} }}
models:
  tides: azure/gpt-4o-prod
  tides-again: tides
"""


@pytest.fixture
def config(backend, tmp_path, monkeypatch):
    monkeypatch.setenv("TIDE_KEY", KEY)
    file = tmp_path / "tidegate.yaml"
    file.write_text(CONFIGURATION.format(url=backend.simulator.url))
    return file


def asked(scenario: str) -> list[dict]:
    return [{"role": "user", "content": f"[sim {scenario}]"}]


def test_what_is_said_once(backend):
    arguments = backend.arguments("azure", "tokens=5")
    messages, model = arguments.pop("messages"), arguments.pop("model")
    client = Client(model, **arguments, timeout=5)
    assert KEY not in repr(client) and "timeout" in repr(client) and model in repr(client)
    assert client.completion(messages).choices[0].message.content
    assert client.completion(messages, stream=None, temperature=0).choices[0].message.content
    with pytest.raises(TypeError, match="'temperature'"):
        client.completion(messages, temprature=0)

    async def streamed():
        async with await AsyncClient(**arguments).completion(messages, model, stream=True) as stream:
            return [chunk async for chunk in stream]

    assert text_of(asyncio.run(streamed())) == TEXT
    with pytest.raises(TypeError, match="model"):
        Client(**arguments).completion(messages)
    # Under whatever name it was said.
    nowhere = Client(model, **arguments | {"api_base": "http://127.0.0.1:1"}, timeout=0.1)
    reply = nowhere.completion(messages, base_url=arguments["api_base"], request_timeout=5)
    assert reply.choices[0].message.content == TEXT
    with pytest.raises(TypeError, match="'temperature'"):
        Client(model, temprature=0)


def test_names_and_hosts_of_a_configuration_file(config):
    client = Client(config=config)
    assert client.models == ["tides", "tides-again"]
    for model in ("tides", "tides-again", "azure/any-deployment", "spare/gpt-4o"):
        assert client.completion(asked("tokens=5"), model).choices[0].message.content == TEXT
    stream = Client("tides", config=os.fspath(config)).completion(asked("tokens=5"), stream=True)
    assert text_of(stream) == TEXT and (stream.custom_llm_provider, stream.model) == ("azure", "gpt-4o-prod")


def test_the_environment_adds_no_host_to_a_configuration_file(config, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(tidegate.BadRequestError, match="configured: tides, tides-again.*azure, spare, slow"):
        Client(config=config).completion(asked(""), "openai/gpt-4o")
    with pytest.raises(TypeError, match="custom_llm_provider"):
        Client(config=config).completion(asked(""), "x", custom_llm_provider="openai")


def test_a_host_s_deadlines_hold_unless_the_call_says_others(config):
    client = Client("slow/gpt-4o", config=config)
    with pytest.raises(tidegate.Timeout):
        client.completion(asked("tokens=1 headers_delay=400ms"))
    assert client.completion(asked("tokens=1 headers_delay=400ms"), timeout=5).choices[0].message.content == " A"


def test_fallbacks_of_a_configuration_file(config):
    client = Client("tides", config=config, fallbacks=["spare/gpt-4o"])
    # Its key is for the first host alone; the other has one of its own.
    reply = client.completion(asked("tokens=5"), api_base="http://127.0.0.1:1", api_key="of-this-call")
    assert reply.choices[0].message.content == TEXT


def test_a_token_goes_to_hosts_of_its_kind_alone(config):
    """Whatever the hosts of the file are called."""
    asked_for = []
    client = Client(config=config, azure_ad_token_provider=lambda: asked_for.append(1) or KEY)
    client.completion(asked("tokens=1"), "spare/gpt-4o")
    assert not asked_for
    client.completion(asked("tokens=1"), "tides")
    assert asked_for == [1]


def test_a_cancelled_call_of_a_configured_client(backend, config):
    async def program():
        client = AsyncClient("tides", config=config)
        task = asyncio.create_task(client.completion(asked("headers_delay=60s tag=configured")))
        await asyncio.to_thread(backend.comes_to, "configured", "before_headers")
        cancelled = now_ns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return cancelled

    assert backend.closed("configured", asyncio.run(program())) < 100


def test_a_wrong_configuration_is_explained(config):
    config.write_text("hosts: { azur: { api_key: must-not-be-shown } }\n")
    with pytest.raises(ValueError, match="did you mean azure") as raised:
        Client(config=config)
    assert f"{config}:1:" in str(raised.value) and "must-not-be-shown" not in str(raised.value)
    with pytest.raises(ValueError, match="can't be read"):
        AsyncClient(config=config.with_name("nothing.yaml"))
