"""Calls with arguments that are said once."""

from __future__ import annotations

from typing import Any

from ._calls import Messages, acompletion, completion
from ._stream import CustomStreamWrapper
from .types.utils import ModelResponse


class _Defaults:
    def __init__(self, model: str | None = None, **defaults: Any) -> None:
        self._defaults = {**defaults, **({} if model is None else {"model": model})}

    def _with(self, model: str | None, arguments: dict[str, Any]) -> dict[str, Any]:
        """What is given for one call takes the place of what was said before; `None` means not given, here too."""
        given = {name: value for name, value in arguments.items() if value is not None}
        if model is not None:
            given["model"] = model
        merged = {**self._defaults, **given}
        if "model" not in merged:
            raise TypeError("model is missing: neither this call nor the client says one")
        return merged

    def __repr__(self) -> str:
        # Some of the values are keys.
        return f"{type(self).__name__}({', '.join(sorted(self._defaults))})"


class Client(_Defaults):
    """`completion` with arguments of its own: `Client("azure/gpt-4o", api_base=..., timeout=30)`."""

    def completion(
        self, messages: Messages, model: str | None = None, **arguments: Any
    ) -> ModelResponse | CustomStreamWrapper:
        """As `tidegate.completion`."""
        reply: ModelResponse | CustomStreamWrapper = completion(messages=messages, **self._with(model, arguments))
        return reply


class AsyncClient(_Defaults):
    """`acompletion` with arguments of its own: `AsyncClient("azure/gpt-4o", api_base=..., timeout=30)`."""

    async def completion(
        self, messages: Messages, model: str | None = None, **arguments: Any
    ) -> ModelResponse | CustomStreamWrapper:
        """As `tidegate.acompletion`."""
        reply: ModelResponse | CustomStreamWrapper = await acompletion(
            messages=messages, **self._with(model, arguments)
        )
        return reply

    acompletion = completion
