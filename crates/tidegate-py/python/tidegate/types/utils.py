"""What a reply is made of, under the names that users of LiteLLM know.

An object has its fields as attributes and as items. A class says the defaults of its fields; an object holds those that
are different, in its `__dict__`, so that making one for every token costs little. Fields that are not listed here (a
backend's own) are kept as they came.
"""

from __future__ import annotations

import json
import time
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, ClassVar, TypeVar

__all__ = [
    "ChatCompletionDeltaToolCall",
    "ChatCompletionMessageToolCall",
    "ChoiceLogprobs",
    "Choices",
    "Custom",
    "Delta",
    "Function",
    "Message",
    "ModelResponse",
    "ModelResponseStream",
    "OpenAIObject",
    "StreamingChoices",
    "Usage",
    "UsageDetails",
]

_Object = TypeVar("_Object", bound="OpenAIObject")
# A class below has a method of the name `dict`, as Pydantic's models have.
_Fields = dict[str, Any]


class OpenAIObject:
    """Fields by name, as attributes and as items."""

    # Fields that are always shown, in this order; the class has their defaults.
    _fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    # Asked for what is not there. For a type checker: an object may have fields of its backend's, which no class lists.
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__!r} object has no field {name!r}")

    def __getitem__(self, name: str) -> Any:
        if name in self.__dict__ or name in self._fields:
            return getattr(self, name)
        raise KeyError(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__ or name in self._fields

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._shown().items())

    def get(self, name: str, default: Any = None) -> Any:
        """The field of this name, or `default` if there is none."""
        return self[name] if name in self else default

    def keys(self) -> KeysView[str]:
        """Names of the fields."""
        return self._shown().keys()

    def values(self) -> ValuesView[Any]:
        """Values of the fields."""
        return self._shown().values()

    def items(self) -> ItemsView[str, Any]:
        """Names and values of the fields."""
        return self._shown().items()

    def model_dump(
        self,
        *,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        exclude_none: bool = False,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        **others: Any,
    ) -> _Fields:
        """The fields as plain dicts and lists, all the way down.

        `include` and `exclude` name fields of this object. `exclude_none` leaves out what is `None`; `exclude_unset` and
        `exclude_defaults`, which are the same here, what the reply did not say. Those other options of Pydantic's that change
        nothing are taken (`mode`, `by_alias`, `round_trip`, `warnings` ...).
        """
        if unknown := others.keys() - _MEANINGLESS:
            raise TypeError(f"model_dump has no option {min(unknown)}")
        for option, names in (("include", include), ("exclude", exclude)):
            if isinstance(names, Mapping):
                raise TypeError(f"{option} must be names of fields; what is inside them can't be chosen")
        unset = exclude_unset or exclude_defaults
        shown = self.__dict__ if unset else self._shown()
        return {
            name: _plain(value, exclude_none, unset)
            for name, value in shown.items()
            if (include is None or name in include)
            and (exclude is None or name not in exclude)
            and not (exclude_none and value is None)
        }

    def model_copy(self: _Object, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> _Object:
        """A copy with these fields changed; `deep`: of all that it holds, too."""
        # Imported by who needs it.
        from copy import deepcopy

        made = deepcopy(self) if deep else _restored(type(self), self.__dict__)
        made.__dict__.update(update or {})
        return made

    dict = model_dump
    to_dict = model_dump

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """The fields as JSON text; options as of `model_dump`."""
        separators = (",", ":") if indent is None else None
        return json.dumps(self.model_dump(**options), indent=indent, separators=separators, ensure_ascii=False)

    def json(self, **options: Any) -> _Fields:
        """As `model_dump`: with LiteLLM it is no text either. `model_dump_json` gives that."""
        return self.model_dump(**options)

    @classmethod
    def model_validate(cls: type[_Object], fields: Mapping[str, Any]) -> _Object:
        """An object with these fields, as `model_dump` gives them."""
        return cls(**fields)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # Only Pydantic calls this, so it is there: for a web framework's `response_model`.
        from pydantic_core import core_schema

        def made(value: Any) -> Any:
            if isinstance(value, cls):
                return value
            if isinstance(value, Mapping):
                return cls(**value)
            raise ValueError(f"not a {cls.__name__}")

        dump = core_schema.plain_serializer_function_ser_schema(lambda value: value.model_dump())
        return core_schema.no_info_plain_validator_function(made, serialization=dump)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        return {"title": cls.__name__, "type": "object", "additionalProperties": True}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OpenAIObject) or type(other) is not type(self):
            return NotImplemented
        return self._shown() == other._shown()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._shown().items())
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (type(self), self.__dict__))

    def _shown(self) -> _Fields:
        fields = {name: getattr(self, name) for name in self._fields}
        fields.update(self.__dict__)
        return fields


# Options of Pydantic's that change nothing of what these objects hold.
_MEANINGLESS = frozenset({"mode", "by_alias", "round_trip", "warnings", "context", "serialize_as_any", "fallback"})


def _restored(cls: type[_Object], fields: dict[str, Any]) -> _Object:
    made = cls.__new__(cls)
    made.__dict__.update(fields)
    return made


def _plain(value: Any, exclude_none: bool, exclude_unset: bool) -> Any:
    if isinstance(value, OpenAIObject):
        return value.model_dump(exclude_none=exclude_none, exclude_unset=exclude_unset)
    if isinstance(value, list):
        return [_plain(item, exclude_none, exclude_unset) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item, exclude_none, exclude_unset) for name, item in value.items()}
    return value


def _made(cls: type[_Object], value: Any) -> Any:
    """A plain dict as an object of `cls`; anything else as it is."""
    return cls(**value) if isinstance(value, Mapping) else value


def _all_made(cls: type[_Object], values: Any) -> Any:
    return [_made(cls, value) for value in values] if isinstance(values, (list, tuple)) else values


class Function(OpenAIObject):
    """What a tool call calls. `arguments` is JSON as the model wrote it; in a stream, a piece of it."""

    _fields = ("arguments", "name")
    arguments: str = ""
    name: str | None = None


class Custom(OpenAIObject):
    """What a custom tool is called with: free text; in a stream, a piece of it."""

    _fields = ("input", "name")
    input: str = ""
    name: str | None = None


class ChatCompletionMessageToolCall(OpenAIObject):
    """A call of a tool by the model."""

    _fields = ("function", "id", "type")
    function: Function
    id: str = ""
    type: str = "function"

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        _make(self, Function, "function")
        _make(self, Custom, "custom")

    def _shown(self) -> _Fields:
        return _without_function(self, super()._shown)


class ChatCompletionDeltaToolCall(OpenAIObject):
    """A piece of a tool call: the first has id and name."""

    _fields = ("id", "function", "type", "index")
    id: str | None = None
    function: Function
    type: str | None = "function"
    index: int = 0

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        _make(self, Function, "function")
        _make(self, Custom, "custom")

    def _shown(self) -> _Fields:
        return _without_function(self, super()._shown)


class ChoiceLogprobs(OpenAIObject):
    """Log-probabilities: lists of dicts, as the backend gave them."""

    _fields = ("content", "refusal")
    content: list[dict[str, Any]] | None = None
    refusal: list[dict[str, Any]] | None = None


class Message(OpenAIObject):
    """What the model said. It can be given back among the `messages` of the next call as it is."""

    _fields = ("content", "role", "tool_calls", "function_call")
    content: str | None = None
    role: str = "assistant"
    tool_calls: list[ChatCompletionMessageToolCall] | None = None
    function_call: Any = None
    refusal: str | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    annotations: list[dict[str, Any]] | None = None
    audio: Any = None

    def __init__(self, content: str | None = None, role: str = "assistant", **fields: Any) -> None:
        super().__init__(content=content, role=role, **fields)
        _make(self, ChatCompletionMessageToolCall, "tool_calls")


class Delta(OpenAIObject):
    """A piece of what the model says."""

    _fields = ("content", "role", "function_call", "tool_calls", "audio")
    content: str | None = None
    role: str | None = None
    function_call: Any = None
    tool_calls: list[ChatCompletionDeltaToolCall] | None = None
    audio: Any = None
    refusal: str | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    annotations: list[dict[str, Any]] | None = None

    def __init__(self, content: str | None = None, role: str | None = None, **fields: Any) -> None:
        super().__init__(content=content, role=role, **fields)
        _make(self, ChatCompletionDeltaToolCall, "tool_calls")


class Choices(OpenAIObject):
    """One answer. Made by hand, it is one that has ended well, as LiteLLM's is."""

    _fields = ("finish_reason", "index", "message")
    finish_reason: str | None = None
    index: int = 0
    message: Message
    logprobs: ChoiceLogprobs | None = None

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.__dict__.setdefault("finish_reason", "stop")
        self.__dict__.setdefault("message", Message())
        _make(self, Message, "message")
        _make(self, ChoiceLogprobs, "logprobs")


class StreamingChoices(OpenAIObject):
    """A piece of one answer; the last one has `finish_reason`."""

    _fields = ("finish_reason", "index", "delta", "logprobs")
    finish_reason: str | None = None
    index: int = 0
    delta: Delta
    logprobs: ChoiceLogprobs | None = None

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.__dict__.setdefault("delta", Delta())
        _make(self, Delta, "delta")
        _make(self, ChoiceLogprobs, "logprobs")


class UsageDetails(OpenAIObject):
    """What tokens were: `cached_tokens`, `reasoning_tokens`, and whatever else the backend counts. `None`: it did not say."""

    accepted_prediction_tokens: int | None = None
    audio_tokens: int | None = None
    cache_write_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None


class Usage(OpenAIObject):
    """Tokens of a call, as its backend counted them."""

    _fields = (
        "completion_tokens",
        "prompt_tokens",
        "total_tokens",
        "completion_tokens_details",
        "prompt_tokens_details",
    )
    completion_tokens: int = 0
    prompt_tokens: int = 0
    total_tokens: int = 0
    completion_tokens_details: UsageDetails | None = None
    prompt_tokens_details: UsageDetails | None = None

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        _make(self, UsageDetails, "completion_tokens_details")
        _make(self, UsageDetails, "prompt_tokens_details")


class ModelResponse(OpenAIObject):
    """A complete reply. Made by hand, it has an id and an empty answer, as LiteLLM's has."""

    _fields = ("id", "created", "model", "object", "system_fingerprint", "choices", "usage")
    id: str = ""
    created: int = 0
    model: str | None = None
    object: str = "chat.completion"
    system_fingerprint: str | None = None
    choices: list[Choices]
    usage: Usage | None = None

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        if "id" not in self.__dict__:
            # Imported by who needs it.
            from uuid import uuid4

            self.__dict__["id"] = f"chatcmpl-{uuid4()}"
        self.__dict__.setdefault("created", int(time.time()))
        self.__dict__.setdefault("choices", [Choices()])
        _make(self, Choices, "choices")
        _make(self, Usage, "usage")


class ModelResponseStream(OpenAIObject):
    """A piece of a reply. The one with the usage has it as a field; others have none."""

    _fields = ("id", "created", "model", "object", "system_fingerprint", "choices")
    id: str = ""
    created: int = 0
    model: str | None = None
    object: str = "chat.completion.chunk"
    system_fingerprint: str | None = None
    choices: list[StreamingChoices]
    usage: Usage | None = None

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.__dict__.setdefault("choices", [])
        _make(self, StreamingChoices, "choices")
        _make(self, Usage, "usage")


def _make(owner: OpenAIObject, cls: type[OpenAIObject], name: str) -> None:
    """Plain dicts that users write, as what replies have."""
    value = owner.__dict__.get(name)
    if value is not None:
        owner.__dict__[name] = _all_made(cls, value) if isinstance(value, (list, tuple)) else _made(cls, value)


def _without_function(call: OpenAIObject, shown: Any) -> _Fields:
    """A custom call has no function."""
    if "custom" not in call.__dict__:
        call.__dict__.setdefault("function", Function())
        fields: _Fields = shown()
        return fields
    fields = {name: getattr(call, name) for name in call._fields if name != "function"}
    fields.update(call.__dict__)
    return fields
