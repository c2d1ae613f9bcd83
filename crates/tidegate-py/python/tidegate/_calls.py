"""`completion` and `acompletion`."""

from __future__ import annotations

from asyncio import current_task
from typing import TYPE_CHECKING, Any, Literal, overload

from ._arguments import Arguments, Messages
from ._native import Bell, Call
from ._request import prepare
from ._stream import CustomStreamWrapper
from ._wait import in_trio, wait, wait_blocking
from .types.utils import ModelResponse

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
async def acompletion(
    model: str, messages: Messages, *, stream: Literal[True], **arguments: Unpack[Arguments]
) -> CustomStreamWrapper: ...


@overload
async def acompletion(
    model: str, messages: Messages, *, stream: Literal[False] | None = None, **arguments: Unpack[Arguments]
) -> ModelResponse: ...


@overload
async def acompletion(
    model: str, messages: Messages, *, stream: bool | None, **arguments: Unpack[Arguments]
) -> ModelResponse | CustomStreamWrapper: ...


async def acompletion(
    model: str, messages: Messages, *, stream: bool | None = None, **arguments: Any
) -> ModelResponse | CustomStreamWrapper:
    """Asks a model for an answer, from a task.

    `model` is `host/name`: `openai/gpt-4o-mini`, `azure/DEPLOYMENT`, `bedrock/MODEL-ID`; a name without a slash is OpenAI's.
    `messages` and all that is not listed here are OpenAI's parameters; what they do not know is passed on as it is, as is
    all of `extra_body`. `None` means not given. `tidegate._arguments.Arguments` has them all with their types.

    Where: `api_base` (or `base_url`), `api_key`, `api_version`, `azure_ad_token`, `tenant_id` with `client_id` and `client_secret`, `vertex_project`,
    `vertex_location`, `vertex_credentials`,
    `aws_region_name` and the other `aws_` ones take the place of environment variables.

    How: `timeout` in seconds is how long to wait for whatever comes next, and of a reply that is not streamed for all of it;
    `stream_timeout` is the same for streams only. `num_retries` attempts follow one that failed and may succeed later,
    `fallbacks` are models (or dicts of arguments) to ask then; once a stream has begun nothing is tried again.
    `drop_params` leaves out what the backend's dialect does not know. `metadata` is sent only with `store`.

    Returns a `ModelResponse`, with `stream=True` a `CustomStreamWrapper`. Raises one of `tidegate.exceptions`; `TypeError`
    or `ValueError` for an argument of the wrong kind.

    Cancelling the task closes the backend's connection before `CancelledError` goes on, unchanged.
    """
    return await ask(prepare(model, messages, {"stream": stream, **arguments}))


@overload
def completion(
    model: str, messages: Messages, *, stream: Literal[True], **arguments: Unpack[Arguments]
) -> CustomStreamWrapper: ...


@overload
def completion(
    model: str, messages: Messages, *, stream: Literal[False] | None = None, **arguments: Unpack[Arguments]
) -> ModelResponse: ...


@overload
def completion(
    model: str, messages: Messages, *, stream: bool | None, **arguments: Unpack[Arguments]
) -> ModelResponse | CustomStreamWrapper: ...


def completion(
    model: str, messages: Messages, *, stream: bool | None = None, **arguments: Any
) -> ModelResponse | CustomStreamWrapper:
    """Asks a model for an answer, from a thread. Arguments, replies and exceptions are those of `acompletion`.

    Other threads run while it waits. `KeyboardInterrupt` closes the backend's connection.
    """
    return ask_blocking(prepare(model, messages, {"stream": stream, **arguments}))


async def ask(call: Call) -> ModelResponse | CustomStreamWrapper:
    """What the call comes to, for a task."""
    try:
        found = await wait(call)
    except BaseException:
        call.close()
        raise
    if found is not True:
        response: ModelResponse = found
        return response
    stream = CustomStreamWrapper(call)
    if not in_trio():
        stream.opened_by(current_task())
    return stream


def ask_blocking(call: Call) -> ModelResponse | CustomStreamWrapper:
    """What the call comes to, for a thread."""
    try:
        found = wait_blocking(call, Bell())
    except BaseException:
        call.close()
        raise
    if found is not True:
        response: ModelResponse = found
        return response
    return CustomStreamWrapper(call)
