"""Replies, streamed and not, through each kind of host; and what is said of wrong arguments."""

import asyncio
import copy
import json
import pickle
import types
import unittest.mock

import pytest

import tidegate
from conftest import HOSTS, KEY
from tidegate import acompletion, completion
from tidegate.types.utils import Choices, Delta, Message, ModelResponse, ModelResponseStream, StreamingChoices, Usage

TEXT = " A tide gate is one"


def text_of(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


async def collected(stream):
    return [chunk async for chunk in stream]


@pytest.mark.parametrize("host", HOSTS)
def test_a_whole_reply(backend, host):
    arguments = backend.arguments(host, "tokens=5")
    for reply in (asyncio.run(acompletion(**arguments)), completion(**arguments)):
        assert isinstance(reply, ModelResponse) and reply
        (choice,) = reply.choices
        assert isinstance(choice, Choices) and isinstance(choice.message, Message)
        assert choice.message.content == TEXT == reply["choices"][0]["message"]["content"]
        assert choice.finish_reason == "stop" and choice.message.role == "assistant"
        assert isinstance(reply.usage, Usage) and reply.usage.completion_tokens == 5
        assert reply.usage.total_tokens == reply.usage.prompt_tokens + 5
        assert reply.object == "chat.completion" and reply.id and reply.created and reply.model


@pytest.mark.parametrize("host", HOSTS)
def test_a_streamed_reply(backend, host):
    arguments = backend.arguments(host, "tokens=5")

    async def streamed():
        stream = await acompletion(**arguments, stream=True)
        return stream, await collected(stream)

    stream, chunks = asyncio.run(streamed())
    blocking = completion(**arguments, stream=True)
    for stream, chunks in ((stream, chunks), (blocking, list(blocking))):
        assert text_of(chunks) == TEXT and stream.chunks == chunks
        assert all(isinstance(chunk, ModelResponseStream) for chunk in chunks)
        assert all(isinstance(chunk.choices[0], StreamingChoices) for chunk in chunks)
        assert all(isinstance(chunk.choices[0].delta, Delta) for chunk in chunks)
        assert [chunk.choices[0].delta.role for chunk in chunks][:2] == ["assistant", None]
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
        assert len({chunk.id for chunk in chunks}) == 1 and chunks[0].object == "chat.completion.chunk"
        assert not any(chunk.usage for chunk in chunks)
        assert stream.custom_llm_provider == host and list(stream) == []


@pytest.mark.parametrize("host", HOSTS)
def test_the_usage_of_a_stream_comes_last_and_only_if_asked_for(backend, host):
    arguments = backend.arguments(host, "tokens=5")
    *chunks, last = completion(**arguments, stream=True, stream_options={"include_usage": True})
    assert last.usage.completion_tokens == 5 and last.choices[0].delta.content is None
    assert not any(chunk.usage for chunk in chunks)


@pytest.mark.parametrize("host", HOSTS)
def test_tools(backend, host):
    tool = {"type": "function", "function": {"name": "tide_table", "parameters": {"type": "object", "properties": {}}}}
    arguments = backend.arguments(host, "tokens=2 tools=1") | {"tools": [tool]}
    reply = completion(**arguments)
    (call,) = reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "tool_calls" and call.type == "function" and call.id
    assert call.function.name == "tide_table" and json.loads(call.function.arguments)

    pieces = [piece for chunk in completion(**arguments, stream=True) for piece in chunk.choices[0].delta.tool_calls or ()]
    assert pieces[0].id and pieces[0].function.name == "tide_table" and {piece.index for piece in pieces} == {0}
    assert json.loads("".join(piece.function.arguments for piece in pieces)) == json.loads(call.function.arguments)

    # What came goes back as it is, as the object and as a dict.
    for message in (reply.choices[0].message, reply.choices[0].message.model_dump()):
        answer = {"role": "tool", "tool_call_id": call.id, "content": "06:12"}
        again = arguments | {"messages": [*arguments["messages"], message, answer]}
        assert completion(**again).choices[0].message.content


def test_replies_can_be_dumped_copied_compared_and_changed(backend):
    reply = completion(**backend.arguments("azure", "tokens=5 tools=1"))
    dumped = reply.model_dump()
    assert reply.json() == json.loads(reply.model_dump_json(indent=2)) == dumped
    assert reply.model_dump(include={"id"}) == {"id": reply.id} and "id" not in reply.model_dump(exclude={"id"})
    with pytest.raises(TypeError, match="excluded"):
        reply.model_dump(excluded={"id"})
    changed = reply.model_copy(update={"id": "x"}, deep=True)
    assert changed.id == "x" != reply.id and changed.choices[0] == reply.choices[0] is not changed.choices[0]
    assert reply.dict() == dumped and ModelResponse(**dumped) == reply and dict(reply).keys() == dumped.keys()
    assert "tool_calls" not in completion(**backend.arguments("azure")).model_dump(exclude_none=True)["choices"][0]["message"]
    assert pickle.loads(pickle.dumps(reply)) == reply == copy.deepcopy(reply)
    assert reply.get("nothing") is None and "nothing" not in reply and reply.get("id") == reply["id"]
    assert "tide_table" in repr(reply) and repr(reply).startswith("ModelResponse(id=")
    reply.choices[0].message.content = "changed"
    reply["note"] = 1
    assert reply.model_dump()["choices"][0]["message"]["content"] == "changed" and reply.note == 1
    with pytest.raises(AttributeError):
        reply.nothing  # noqa: B018
    with pytest.raises(KeyError):
        reply["nothing"]


def test_many_calls_at_once_on_one_loop(backend):
    async def many():
        calls = [acompletion(**backend.arguments(HOSTS[n % 3], "tokens=5 interval=2ms")) for n in range(60)]
        return await asyncio.gather(*calls)

    assert {reply.choices[0].message.content for reply in asyncio.run(many())} == {TEXT}


def test_a_fast_backend_does_not_starve_the_loop(backend):
    """Other tasks run while thousands of chunks are ready."""

    async def turns():
        turned = 0

        async def other():
            nonlocal turned
            while True:
                turned += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        async for _ in await acompletion(**backend.arguments("openai", "tokens=20000"), stream=True):
            pass
        task.cancel()
        return turned

    assert asyncio.run(turns()) > 20000 / 64


def test_settings_reach_the_backend(backend):
    stream = completion(
        **backend.arguments("openai", "tokens=1"),
        stream=True,
        extra_headers={"x-team": "harbour"},
        extra_body={"top_k": 3},
        temperature=0.1,
        metadata={"any": object()},
        timeout=20,
    )
    assert text_of(stream) == " A" and stream.response_headers["x-request-id"].startswith("req_")


def test_the_environment_and_the_default_provider(backend, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{backend.simulator.url}/v1")
    messages = [{"role": "user", "content": "[sim tokens=5]"}]
    for model, more in (("gpt-4o", {}), ("openai/gpt-4o", {}), ("org/gpt", {"custom_llm_provider": "openai"})):
        assert completion(model, messages, **more).choices[0].message.content == TEXT


def test_a_schema_of_a_pydantic_model():
    """As the `openai` package makes it."""
    import pydantic
    from openai.lib._pydantic import to_strict_json_schema

    from tidegate import _schema

    class Gauge(pydantic.BaseModel):
        """Where."""

        name: str = pydantic.Field(description="its name")

    class Tide(pydantic.BaseModel):
        type: str
        default: str
        height: float | None = None
        gauge: Gauge = pydantic.Field(description="the nearest one")
        others: list[Gauge]
        either: Gauge | int
        tree: list["Tide"]

    for model in (Gauge, Tide):
        made = _schema.strict(model.model_json_schema())
        assert made == to_strict_json_schema(model)
    assert list(made["$defs"]["Tide"]["properties"])[:2] == ["type", "default"]


def test_replies_in_a_web_framework_s_schema():
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()

    @app.get("/")
    def endpoint() -> ModelResponse:
        return ModelResponse()

    import pydantic

    assert app.openapi()["paths"]["/"]
    assert pydantic.create_model("Kept", reply=(ModelResponse, ...)).model_json_schema()["properties"]["reply"]["title"]

    assert pydantic.TypeAdapter(ModelResponse).dump_python(ModelResponse(id="1"))["id"] == "1"


def test_a_reply_made_by_hand():
    reply = ModelResponse()
    assert reply.id and reply.choices[0].message.content is None and reply.choices[0].finish_reason == "stop"
    reply = ModelResponse(choices=[{"message": {"content": "ebb"}}], usage={"prompt_tokens_details": {}})
    assert reply.choices[0].message.content == "ebb" and reply.usage.prompt_tokens_details.cached_tokens is None


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"model": ""}, TypeError, "model must be a str"),
        ({"model": "nobody/x"}, tidegate.BadRequestError, "openai, azure, bedrock"),
        ({"messages": None}, tidegate.BadRequestError, "messages"),
        ({"messages": "hello"}, tidegate.BadRequestError, "messages"),
        ({"messages": []}, tidegate.BadRequestError, "messages"),
        ({"messages": [{"role": "nobody", "content": ""}]}, tidegate.BadRequestError, "messages[0].role"),
        ({"messages": [{"role": "user", "content": b""}]}, TypeError, "messages[0].content"),
        ({"temperature": float("nan")}, ValueError, "temperature"),
        ({"temperature": "warm"}, tidegate.BadRequestError, "temperature"),
        ({"temprature": 1}, TypeError, "'temperature'"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": "long"}, TypeError, "timeout"),
        ({"api_key": 1}, TypeError, "api_key must be a str, not int"),
        ({"api_key": None}, tidegate.AuthenticationError, "OPENAI_API_KEY"),
        ({"api_base": "nowhere"}, tidegate.BadRequestError, "base_url"),
        ({"base_url": "http://127.0.0.1"}, TypeError, "base_url and api_base"),
        ({"extra_headers": {"host": "x"}}, tidegate.BadRequestError, "host"),
        ({"extra_headers": "x"}, TypeError, "extra_headers"),
        ({"num_retries": -1}, ValueError, "num_retries"),
        ({"fallbacks": "azure/x"}, TypeError, "fallbacks"),
        ({"mock_response": "x"}, tidegate.UnsupportedParamsError, "mock_response"),
        ({"response_format": int}, TypeError, "response_format"),
        ({"fallbacks": [5]}, TypeError, "fallbacks"),
        ({"fallbacks": [{"gpt-4o": ["azure/x"]}]}, TypeError, "fallbacks"),
        ({"headers": "x"}, TypeError, "headers must be a dict"),
        ({"extra_headers": {"a": 1}}, TypeError, "extra_headers: names and values must be str"),
        ({"azure_ad_token_provider": "x"}, TypeError, "azure_ad_token_provider must be a function"),
        ({"seed": 10**5000}, ValueError, "seed"),
        ({"model": "openai/\ud800"}, ValueError, "model"),
        ({"api_key": "\ud800"}, ValueError, "api_key"),
        ({"custom_llm_provider": 3}, TypeError, "custom_llm_provider must be a str"),
        ({"langfuse_secret_key": "s"}, TypeError, "langfuse_secret_key"),
        ({"aws_web_identity_token": "t"}, tidegate.UnsupportedParamsError, "aws_web_identity_token"),
    ],
)
def test_wrong_arguments_are_named(backend, changes, kind, said):
    arguments = backend.arguments("openai", "tokens=1") | changes
    if changes == {"api_key": None}:
        del arguments["api_base"]
    with pytest.raises(kind) as raised:
        completion(**arguments)
    assert said in str(raised.value)


def test_what_asks_for_nothing_is_let_through(backend):
    """Notes for LiteLLM's logs, and switches that are off."""
    arguments = backend.arguments("openai", "tokens=5") | {"base_url": None, "caching": False, "mock_response": ""}
    notes = {"tags": ["a"], "model_info": {}, "no-log": True, "litellm_trace_id": "x", "organization": "org-1"}
    timeouts = {"timeout": "20", "stream_timeout": float("inf")}
    assert completion(**arguments, **notes, **timeouts).choices[0].message.content == TEXT


def test_a_token_is_asked_for_only_where_it_is_wanted(backend):
    asked = []

    def provider():
        asked.append(1)
        return KEY

    completion(**backend.arguments("openai", "tokens=1"), azure_ad_token_provider=provider)
    completion(**backend.arguments("azure", "tokens=1"), azure_ad_token_provider=provider)
    assert not asked
    completion(**backend.arguments("azure", "tokens=1") | {"api_key": None}, azure_ad_token_provider=provider)
    assert asked == [1]


def test_any_mapping_is_a_dict(backend):
    arguments = backend.arguments("openai", "tokens=5")
    arguments["messages"] = [types.MappingProxyType(message) for message in arguments["messages"]]
    assert completion(**arguments).choices[0].message.content == TEXT


class GivesItself:
    def model_dump(self, **_):
        return self


class ChangesItsOwner:
    def __init__(self, owner: dict):
        self.owner = owner

    def model_dump(self, **_):
        self.owner["more"] = 1
        return "x"


def test_objects_that_misbehave_while_they_are_sent(backend):
    """A mock gives itself for whatever it is asked; another thread may change what is being sent."""
    arguments = backend.arguments("openai", "tokens=1")
    with pytest.raises(ValueError, match=r"messages\[0\]: .*nested|messages\[0\] is nested"):
        completion(arguments["model"], [GivesItself()], api_key=KEY)
    with pytest.raises((ValueError, TypeError)):
        completion(arguments["model"], [unittest.mock.MagicMock()], api_key=KEY)
    message = dict(arguments["messages"][0])
    message["name"] = ChangesItsOwner(message)
    assert completion(**arguments | {"messages": [message]}).choices[0].message.content


def test_the_backend_s_own_fields_win(backend):
    arguments = backend.arguments("openai", "tokens=1") | {"extra_body": {"model": "gpt-4.1", "temperature": 0}}
    assert completion(**arguments, temperature=1).choices[0].message.content


def test_no_aws_credentials_are_no_refusal(backend, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    arguments = backend.arguments("bedrock")
    del arguments["aws_access_key_id"], arguments["aws_secret_access_key"]
    with pytest.raises(tidegate.AuthenticationError, match="bedrock: no credential for bedrock from the AWS default chain.*aws_access_key_id"):
        completion(**arguments)


def test_the_stream_says_who_answers(backend):
    arguments = backend.arguments("openai", "error=500") | {"fallbacks": [backend.arguments("azure", "tokens=1")]}
    stream = completion(**arguments, stream=True)
    assert (stream.custom_llm_provider, stream.model) == ("azure", "gpt-4o-prod")


def test_what_is_missing_is_named_with_its_variable():
    messages = [{"role": "user", "content": ""}]
    with pytest.raises(tidegate.BadRequestError, match="AZURE_API_BASE.*api_base"):
        completion("azure/x", messages, api_key=KEY)
    with pytest.raises(tidegate.AuthenticationError, match="AZURE_API_KEY.*api_key"):
        completion("azure/x", messages, api_base="https://x.openai.azure.com")
    with pytest.raises(tidegate.BadRequestError, match="AWS_REGION.*aws_region_name"):
        completion("bedrock/x", messages, aws_access_key_id="A", aws_secret_access_key="B")
    with pytest.raises(tidegate.BadRequestError, match="aws_secret_access_key"):
        completion("bedrock/x", messages, aws_access_key_id="A")


def test_parameters_that_a_dialect_does_not_know_can_be_dropped(backend):
    arguments = backend.arguments("bedrock", "tokens=5") | {"logit_bias": {"50256": -100}, "n": 2}
    with pytest.raises(tidegate.BadRequestError):
        completion(**arguments)
    assert completion(**arguments, drop_params=True).choices[0].message.content == TEXT
