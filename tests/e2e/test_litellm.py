"""LiteLLM as a client, unmodified, over every backend: whole, streamed, with tools, and hanging up half way.

In an environment of its own: it wants an older client of OpenAI's than the other tests.
"""

import asyncio

import litellm
import pytest

from processes import KEY, PATIENCE_S
from test_hang_up import backend_closed

HOSTS = ("openai", "azure", "bedrock", "anthropic", "gemini")
TEXT = " A tide gate"
ENDLESS = "tokens=100000,interval=2ms"
TOOL = {
    "type": "function",
    "function": {
        "name": "tide_table",
        "description": "When the tide turns.",
        "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}}},
    },
}


@pytest.fixture
def arguments(gateway):
    """Those of a call, as LiteLLM's users point it at a gateway: by OpenAI's prefix, or at Anthropic's surface by its own."""

    def make(provider: str, host: str, scenario: str, **more) -> dict:
        base = gateway.url if provider == "anthropic" else f"{gateway.url}/v1"
        messages = [{"role": "user", "content": f"[sim {scenario}]"}]
        where = {"api_base": base, "api_key": KEY, "num_retries": 0, "timeout": PATIENCE_S}
        return {"model": f"{provider}/{host}/gpt-4o-mini", "messages": messages, **where, **more}

    return make


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("provider", ("openai", "anthropic"))
def test_a_whole_answer_with_tool_calls(arguments, provider, host):
    reply = litellm.completion(**arguments(provider, host, "tokens=3,tools=2,prompt=30", tools=[TOOL]))
    message = reply.choices[0].message
    assert message.content == TEXT
    assert [call.function.name for call in message.tool_calls] == ["tide_table"] * 2
    assert reply.usage.prompt_tokens == 30


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("provider", ("openai", "anthropic"))
def test_a_stream_adds_up_to_the_same(arguments, provider, host):
    chunks = list(litellm.completion(**arguments(provider, host, "tokens=3,tools=2", tools=[TOOL], stream=True)))
    message = litellm.stream_chunk_builder(chunks).choices[0].message
    assert message.content == TEXT
    assert [call.function.name for call in message.tool_calls] == ["tide_table"] * 2


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("provider", ("openai", "anthropic"))
def test_closing_the_stream_stops_the_backend(simulator, arguments, provider, host):
    tag = f"litellm-{provider}-{host}"

    async def reads():
        stream = await litellm.acompletion(**arguments(provider, host, f"{ENDLESS},tag={tag}", stream=True))
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(reads())
    backend_closed(simulator, tag)
