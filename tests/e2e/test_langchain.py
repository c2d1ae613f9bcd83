"""LangChain's clients of OpenAI and of Bedrock, unmodified, over every backend: whole, streamed, with tools and structured output, and
hanging up half way.
"""

import asyncio
from contextlib import aclosing

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from processes import KEY, PATIENCE_S
from test_hang_up import backend_closed

HOSTS = ("openai", "azure", "bedrock", "anthropic", "gemini")
TEXT = " A tide gate"
ENDLESS = "tokens=100000,interval=2ms"


@tool
def tide_table(harbour: str) -> str:
    """When the tide turns."""
    return harbour


class Answer(BaseModel):
    """An answer."""

    harbour: str


@pytest.fixture
def chat(gateway):
    def make(host: str) -> ChatOpenAI:
        return ChatOpenAI(
            model=f"{host}/gpt-4o-mini", base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0, timeout=PATIENCE_S
        )

    return make


@pytest.fixture
def converse(gateway):
    """AWS's client signs its requests; the gateway's key is its secret."""

    def make(host: str) -> ChatBedrockConverse:
        return ChatBedrockConverse(
            model=f"{host}/gpt-4o-mini",
            provider="anthropic",
            endpoint_url=gateway.url,
            region_name="us-east-1",
            aws_access_key_id="AKIAENDTOEND",
            aws_secret_access_key=KEY,
        )

    return make


def asks(scenario: str) -> str:
    return f"[sim {scenario}]"


@pytest.mark.parametrize("host", HOSTS)
def test_a_whole_answer_with_tool_calls(chat, host):
    message = chat(host).bind_tools([tide_table]).invoke(asks("tokens=3,tools=2,prompt=30"))
    assert message.text == TEXT
    assert [call["args"] for call in message.tool_calls] == [{"harbour": "Delfzijl"}] * 2
    assert message.usage_metadata["input_tokens"] == 30


@pytest.mark.parametrize("host", HOSTS)
def test_a_stream_adds_up_to_the_same(chat, host):
    whole = None
    for chunk in chat(host).bind_tools([tide_table]).stream(asks("tokens=3,tools=2,prompt=30")):
        whole = chunk if whole is None else whole + chunk
    assert whole.text == TEXT
    assert [call["args"] for call in whole.tool_calls] == [{"harbour": "Delfzijl"}] * 2


@pytest.mark.parametrize("host", HOSTS)
def test_structured_output_by_a_tool(chat, host):
    """The simulator calls the first tool that it is given."""
    structured = chat(host).with_structured_output(Answer, method="function_calling")
    assert structured.invoke(asks("tokens=0,tools=1")) == Answer(harbour="Delfzijl")


@pytest.mark.parametrize("host", HOSTS)
def test_leaving_the_loop_stops_the_backend(simulator, chat, host):
    tag = f"langchain-left-{host}"
    stream = chat(host).stream(asks(f"{ENDLESS},tag={tag}"))
    for _ in range(4):
        next(stream)
    stream.close()
    backend_closed(simulator, tag)


@pytest.mark.parametrize("host", HOSTS)
def test_leaving_the_asynchronous_loop_stops_the_backend(simulator, chat, host):
    tag = f"langchain-async-{host}"

    async def leaves_half_way():
        async with aclosing(chat(host).astream(asks(f"{ENDLESS},tag={tag}"))) as stream:
            async for _ in stream:
                break
        # Not only because the event loop ends.
        await asyncio.to_thread(backend_closed, simulator, tag)

    asyncio.run(leaves_half_way())


@pytest.mark.parametrize("host", HOSTS)
def test_converse_whole_with_tool_calls(converse, host):
    message = converse(host).bind_tools([tide_table]).invoke(asks("tokens=3,tools=2,prompt=30"))
    assert message.text == TEXT
    assert [call["args"] for call in message.tool_calls] == [{"harbour": "Delfzijl"}] * 2
    assert message.usage_metadata["input_tokens"] == 30


@pytest.mark.parametrize("host", HOSTS)
def test_a_converse_stream_adds_up_to_the_same(converse, host):
    whole = None
    for chunk in converse(host).bind_tools([tide_table]).stream(asks("tokens=3,tools=2,prompt=30")):
        whole = chunk if whole is None else whole + chunk
    assert whole.text == TEXT
    assert [call["args"] for call in whole.tool_calls] == [{"harbour": "Delfzijl"}] * 2
