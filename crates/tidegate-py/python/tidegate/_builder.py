"""`stream_chunk_builder`: the chunks of a stream, put together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .types.utils import (
    ChatCompletionMessageToolCall,
    Choices,
    ChoiceLogprobs,
    Custom,
    Delta,
    Function,
    Message,
    ModelResponse,
    ModelResponseStream,
    StreamingChoices,
)


def stream_chunk_builder(chunks: Iterable[ModelResponseStream], messages: Any = None) -> ModelResponse | None:
    """The reply that these chunks are the pieces of; of none at all, `None`.

    It says what the chunks said: an answer that was cut off has no `finish_reason`, and `usage` is there if a chunk had it
    (`stream_options={"include_usage": True}`). `messages` is taken and means nothing here.
    """
    answers: dict[int, _Answer] = {}
    fields: dict[str, Any] = {}
    for chunk in chunks:
        for name, value in chunk.__dict__.items():
            if name == "choices":
                continue
            if name in ("usage", "model") or name not in fields:
                fields[name] = value
        for choice in chunk.choices:
            answers.setdefault(choice.index, _Answer()).add(choice)
    if not fields:
        return None
    fields.pop("object", None)
    choices = [answers[index].choice(index) for index in sorted(answers)]
    return ModelResponse(**fields, choices=choices)


class _Answer:
    """What has come of one answer."""

    def __init__(self) -> None:
        self.text: dict[str, str] = {}
        self.calls: dict[int, dict[str, str]] = {}
        self.delta_fields: dict[str, Any] = {}
        self.fields: dict[str, Any] = {}

    def add(self, choice: StreamingChoices) -> None:
        for name, value in choice.__dict__.items():
            if name == "delta":
                self._add_delta(value)
            elif name == "logprobs" and isinstance(value, ChoiceLogprobs):
                self._add_logprobs(value)
            elif name != "index" and value is not None:
                self.fields[name] = value

    def choice(self, index: int) -> Choices:
        """All of it."""
        calls = [_call(self.calls[at]) for at in sorted(self.calls)]
        message = Message(**{"content": None if calls else "", **self.text, **self.delta_fields})
        if calls:
            message.tool_calls = calls
        return Choices(finish_reason=self.fields.pop("finish_reason", None), index=index, message=message, **self.fields)

    def _add_delta(self, delta: Delta) -> None:
        for name, value in delta.__dict__.items():
            if value is None or name == "role":
                continue
            if name == "tool_calls":
                self._add_calls(value)
            elif name in ("content", "reasoning_content", "refusal"):
                self.text[name] = self.text.get(name, "") + value
            elif name == "thinking_blocks":
                self._add_thinking(value)
            elif isinstance(value, list):
                self.delta_fields[name] = [*self.delta_fields.get(name, ()), *value]
            else:
                self.delta_fields[name] = value

    def _add_thinking(self, pieces: list[dict[str, Any]]) -> None:
        """A block ends with its signature; withheld ones come whole."""
        blocks = self.delta_fields.setdefault("thinking_blocks", [])
        for piece in pieces:
            last = blocks[-1] if blocks else {}
            if piece.get("type") == last.get("type") == "thinking" and not last.get("signature"):
                blocks[-1] = {**last, **piece, "thinking": last["thinking"] + piece["thinking"]}
            else:
                blocks.append(piece)

    def _add_calls(self, pieces: list[Any]) -> None:
        for piece in pieces:
            call = self.calls.setdefault(piece.index, {"id": "", "type": "function", "name": "", "arguments": ""})
            custom = piece.get("custom")
            called = custom or piece.function
            call["id"] = piece.id or call["id"]
            call["type"] = "custom" if custom else call["type"]
            call["name"] = called.name or call["name"]
            call["arguments"] += (custom.input if custom else called.arguments) or ""

    def _add_logprobs(self, logprobs: ChoiceLogprobs) -> None:
        before = self.fields.setdefault("logprobs", ChoiceLogprobs())
        for name, values in logprobs.__dict__.items():
            if isinstance(values, list):
                before[name] = [*(before.get(name) or ()), *values]


def _call(call: dict[str, str]) -> ChatCompletionMessageToolCall:
    if call["type"] == "custom":
        custom = Custom(input=call["arguments"], name=call["name"])
        return ChatCompletionMessageToolCall(custom=custom, id=call["id"], type="custom")
    function = Function(arguments=call["arguments"], name=call["name"])
    return ChatCompletionMessageToolCall(function=function, id=call["id"], type="function")
