"""Streams put together again."""

import pytest

from conftest import HOSTS
from tidegate import completion, stream_chunk_builder
from tidegate.types.utils import Delta, ModelResponseStream, StreamingChoices


@pytest.mark.parametrize("scenario", ["tokens=9", "tokens=3 tools=2", "tokens=3 reasoning=4"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_stream_put_together_is_the_whole_reply(backend, host, scenario):
    arguments = backend.arguments(host, scenario)
    stream = completion(**arguments, stream=True, stream_options={"include_usage": True})
    built = stream_chunk_builder(stream)
    whole = completion(**arguments)
    ours, theirs = built.choices[0], whole.choices[0]
    assert ours.message.content == theirs.message.content and ours.finish_reason == theirs.finish_reason
    assert ours.message.reasoning_content == theirs.message.reasoning_content
    assert ours.message.thinking_blocks == theirs.message.thinking_blocks
    calls = [[(call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()] for choice in (ours, theirs)]
    assert calls[0] == calls[1] and len(calls[0]) == (2 if "tools" in scenario else 0)
    assert built.usage.completion_tokens == whole.usage.completion_tokens
    assert built.object == "chat.completion" and built.id


def test_what_was_cut_off_has_no_end(backend):
    stream = completion(**backend.arguments("openai", "tokens=50"), stream=True)
    for _ in range(4):
        next(stream)
    stream.close()
    built = stream_chunk_builder(stream.chunks)
    assert built.choices[0].finish_reason is None and built.choices[0].message.content == " A tide gate"
    assert built.usage is None and stream_chunk_builder([]) is None


def test_chunks_that_somebody_wrote():
    chunks = [
        ModelResponseStream(id="1", choices=[StreamingChoices(index=at, delta=Delta(content=text))])
        for at, text in ((1, "b"), (0, "a"), (1, "d"), (0, "c"))
    ]
    built = stream_chunk_builder(chunks)
    assert [choice.message.content for choice in built.choices] == ["ac", "bd"]
