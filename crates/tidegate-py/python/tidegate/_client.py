"""Calls with arguments that are said once, or with the hosts and names of a gateway's configuration file."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Literal, overload

from ._arguments import Arguments, Messages
from ._calls import ask, ask_blocking
from ._native import Call, Configuration
from ._request import in_order, prepare
from ._stream import CustomStreamWrapper
from .types.utils import ModelResponse

if TYPE_CHECKING:
    from typing_extensions import Unpack


class _Client:
    def __init__(
        self,
        model: str | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        **arguments: Unpack[Arguments],
    ) -> None:
        self._model = model
        self._arguments = in_order(arguments)
        self._configuration = None if config is None else Configuration(os.fspath(config))
        for warning in () if self._configuration is None else self._configuration.warnings:
            warnings.warn(warning, stacklevel=2)

    @property
    def models(self) -> list[str]:
        """The names that the configuration file has for models; beside them, `host/name` with each of its hosts."""
        return [] if self._configuration is None else self._configuration.models

    def _prepared(self, messages: Messages, model: str | None, arguments: dict[str, Any]) -> Call:
        """What is given for one call takes the place of what was said before; `None` means not given, here too."""
        model = model or self._model
        if model is None:
            raise TypeError("model is missing: neither this call nor the client says one")
        return prepare(model, messages, {**self._arguments, **in_order(arguments)}, self._configuration)

    def __repr__(self) -> str:
        # Some of the values are keys.
        said = [self._model, *sorted(self._arguments)]
        return f"{type(self).__name__}({', '.join(name for name in said if name)})"


class Client(_Client):
    """`completion` with arguments of its own: `Client("azure/gpt-4o", api_base=..., timeout=30)`.

    `Client(config="tidegate.yaml")` takes hosts, keys, deadlines and names for models from a gateway's configuration file, and
    nothing from the environment but what the file refers to. Raises `ValueError` with all that is wrong in it.
    """

    @overload
    def completion(
        self, messages: Messages, model: str | None = None, *, stream: Literal[True], **arguments: Unpack[Arguments]
    ) -> CustomStreamWrapper: ...

    @overload
    def completion(
        self,
        messages: Messages,
        model: str | None = None,
        *,
        stream: Literal[False] | None = None,
        **arguments: Unpack[Arguments],
    ) -> ModelResponse: ...

    @overload
    def completion(
        self, messages: Messages, model: str | None = None, *, stream: bool | None, **arguments: Unpack[Arguments]
    ) -> ModelResponse | CustomStreamWrapper: ...

    def completion(
        self, messages: Messages, model: str | None = None, *, stream: bool | None = None, **arguments: Any
    ) -> ModelResponse | CustomStreamWrapper:
        """As `tidegate.completion`."""
        return ask_blocking(self._prepared(messages, model, {"stream": stream, **arguments}))


class AsyncClient(_Client):
    """`acompletion` with arguments of its own: `AsyncClient("azure/gpt-4o", api_base=..., timeout=30)`; `config` as of
    `Client`.
    """

    @overload
    async def completion(
        self, messages: Messages, model: str | None = None, *, stream: Literal[True], **arguments: Unpack[Arguments]
    ) -> CustomStreamWrapper: ...

    @overload
    async def completion(
        self,
        messages: Messages,
        model: str | None = None,
        *,
        stream: Literal[False] | None = None,
        **arguments: Unpack[Arguments],
    ) -> ModelResponse: ...

    @overload
    async def completion(
        self, messages: Messages, model: str | None = None, *, stream: bool | None, **arguments: Unpack[Arguments]
    ) -> ModelResponse | CustomStreamWrapper: ...

    async def completion(
        self, messages: Messages, model: str | None = None, *, stream: bool | None = None, **arguments: Any
    ) -> ModelResponse | CustomStreamWrapper:
        """As `tidegate.acompletion`."""
        return await ask(self._prepared(messages, model, {"stream": stream, **arguments}))

    acompletion = completion
