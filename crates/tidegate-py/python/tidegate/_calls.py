"""`completion` and `acompletion`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, overload

from ._native import Bell
from ._request import Prepared, prepare
from ._stream import CustomStreamWrapper
from ._wait import wait, wait_blocking
from .types.utils import ModelResponse

Messages = Sequence[Any]


@overload
async def acompletion(
    model: str,
    messages: Messages,
    *,
    stream: Literal[True],
    stream_options: Mapping[str, Any] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    max_completion_tokens: int | None = None,
    max_tokens: int | None = None,
    modalities: Sequence[str] | None = None,
    prediction: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: Mapping[str, float] | None = None,
    user: str | None = None,
    response_format: Mapping[str, Any] | type[Any] | None = None,
    seed: int | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    parallel_tool_calls: bool | None = None,
    logprobs: bool | None = None,
    top_logprobs: int | None = None,
    reasoning_effort: str | None = None,
    thinking: Mapping[str, Any] | None = None,
    store: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    api_base: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    api_version: str | None = None,
    azure_ad_token: str | None = None,
    azure_ad_token_provider: Callable[[], str] | None = None,
    aws_region_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    custom_llm_provider: str | None = None,
    timeout: float | None = None,
    stream_timeout: float | None = None,
    num_retries: int | None = None,
    fallbacks: Sequence[str | Mapping[str, Any]] | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    drop_params: bool | None = None,
    **kwargs: Any,
) -> CustomStreamWrapper: ...


@overload
async def acompletion(
    model: str,
    messages: Messages,
    *,
    stream: Literal[False] | None = None,
    stream_options: Mapping[str, Any] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    max_completion_tokens: int | None = None,
    max_tokens: int | None = None,
    modalities: Sequence[str] | None = None,
    prediction: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: Mapping[str, float] | None = None,
    user: str | None = None,
    response_format: Mapping[str, Any] | type[Any] | None = None,
    seed: int | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    parallel_tool_calls: bool | None = None,
    logprobs: bool | None = None,
    top_logprobs: int | None = None,
    reasoning_effort: str | None = None,
    thinking: Mapping[str, Any] | None = None,
    store: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    api_base: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    api_version: str | None = None,
    azure_ad_token: str | None = None,
    azure_ad_token_provider: Callable[[], str] | None = None,
    aws_region_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    custom_llm_provider: str | None = None,
    timeout: float | None = None,
    stream_timeout: float | None = None,
    num_retries: int | None = None,
    fallbacks: Sequence[str | Mapping[str, Any]] | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    drop_params: bool | None = None,
    **kwargs: Any,
) -> ModelResponse: ...


@overload
async def acompletion(
    model: str,
    messages: Messages,
    *,
    stream: bool | None,
    stream_options: Mapping[str, Any] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    max_completion_tokens: int | None = None,
    max_tokens: int | None = None,
    modalities: Sequence[str] | None = None,
    prediction: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: Mapping[str, float] | None = None,
    user: str | None = None,
    response_format: Mapping[str, Any] | type[Any] | None = None,
    seed: int | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    parallel_tool_calls: bool | None = None,
    logprobs: bool | None = None,
    top_logprobs: int | None = None,
    reasoning_effort: str | None = None,
    thinking: Mapping[str, Any] | None = None,
    store: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    api_base: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    api_version: str | None = None,
    azure_ad_token: str | None = None,
    azure_ad_token_provider: Callable[[], str] | None = None,
    aws_region_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    custom_llm_provider: str | None = None,
    timeout: float | None = None,
    stream_timeout: float | None = None,
    num_retries: int | None = None,
    fallbacks: Sequence[str | Mapping[str, Any]] | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    drop_params: bool | None = None,
    **kwargs: Any,
) -> ModelResponse | CustomStreamWrapper: ...


async def acompletion(
    model: str,
    messages: Messages,
    *,
    stream: bool | None = None,
    stream_options: Mapping[str, Any] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    max_completion_tokens: int | None = None,
    max_tokens: int | None = None,
    modalities: Sequence[str] | None = None,
    prediction: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: Mapping[str, float] | None = None,
    user: str | None = None,
    response_format: Mapping[str, Any] | type[Any] | None = None,
    seed: int | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    parallel_tool_calls: bool | None = None,
    logprobs: bool | None = None,
    top_logprobs: int | None = None,
    reasoning_effort: str | None = None,
    thinking: Mapping[str, Any] | None = None,
    store: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    api_base: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    api_version: str | None = None,
    azure_ad_token: str | None = None,
    azure_ad_token_provider: Callable[[], str] | None = None,
    aws_region_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    custom_llm_provider: str | None = None,
    timeout: float | None = None,
    stream_timeout: float | None = None,
    num_retries: int | None = None,
    fallbacks: Sequence[str | Mapping[str, Any]] | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    drop_params: bool | None = None,
    **kwargs: Any,
) -> ModelResponse | CustomStreamWrapper:
    """Asks a model for an answer, from a task.

    `model` is `host/name`: `openai/gpt-4o-mini`, `azure/DEPLOYMENT`, `bedrock/MODEL-ID`; a name without a slash is OpenAI's.
    `messages` and all that is not listed here are OpenAI's parameters; what they do not know is passed on as it is, as is
    all of `extra_body`. `None` means not given.

    Where: `api_base` (or `base_url`), `api_key`, `api_version`, `azure_ad_token`, `aws_region_name` and the other `aws_`
    ones take the place of environment variables.

    How: `timeout` in seconds is how long to wait for whatever comes next, and of a reply that is not streamed for all of it;
    `stream_timeout` is the same for streams only. `num_retries` attempts follow one that failed and may succeed later,
    `fallbacks` are models (or dicts of arguments) to ask then; once a stream has begun nothing is tried again.
    `drop_params` leaves out what the backend's dialect does not know. `metadata` is sent only with `store`.

    Returns a `ModelResponse`, with `stream=True` a `CustomStreamWrapper`. Raises one of `tidegate.exceptions`; `TypeError`
    or `ValueError` for an argument of the wrong kind.

    Cancelling the task closes the backend's connection before `CancelledError` goes on, unchanged.
    """
    given = dict(locals())
    prepared = prepare(given.pop("model"), given.pop("messages"), {**given.pop("kwargs"), **given})
    try:
        found = await wait(prepared.call)
    except BaseException:
        prepared.call.close()
        raise
    return _result(prepared, found)


@overload
def completion(
    model: str,
    messages: Messages,
    *,
    stream: Literal[True],
    stream_options: Mapping[str, Any] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    max_completion_tokens: int | None = None,
    max_tokens: int | None = None,
    modalities: Sequence[str] | None = None,
    prediction: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: Mapping[str, float] | None = None,
    user: str | None = None,
    response_format: Mapping[str, Any] | type[Any] | None = None,
    seed: int | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    parallel_tool_calls: bool | None = None,
    logprobs: bool | None = None,
    top_logprobs: int | None = None,
    reasoning_effort: str | None = None,
    thinking: Mapping[str, Any] | None = None,
    store: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    api_base: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    api_version: str | None = None,
    azure_ad_token: str | None = None,
    azure_ad_token_provider: Callable[[], str] | None = None,
    aws_region_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    custom_llm_provider: str | None = None,
    timeout: float | None = None,
    stream_timeout: float | None = None,
    num_retries: int | None = None,
    fallbacks: Sequence[str | Mapping[str, Any]] | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    drop_params: bool | None = None,
    **kwargs: Any,
) -> CustomStreamWrapper: ...


@overload
def completion(
    model: str,
    messages: Messages,
    *,
    stream: Literal[False] | None = None,
    stream_options: Mapping[str, Any] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    max_completion_tokens: int | None = None,
    max_tokens: int | None = None,
    modalities: Sequence[str] | None = None,
    prediction: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: Mapping[str, float] | None = None,
    user: str | None = None,
    response_format: Mapping[str, Any] | type[Any] | None = None,
    seed: int | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    parallel_tool_calls: bool | None = None,
    logprobs: bool | None = None,
    top_logprobs: int | None = None,
    reasoning_effort: str | None = None,
    thinking: Mapping[str, Any] | None = None,
    store: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    api_base: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    api_version: str | None = None,
    azure_ad_token: str | None = None,
    azure_ad_token_provider: Callable[[], str] | None = None,
    aws_region_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    custom_llm_provider: str | None = None,
    timeout: float | None = None,
    stream_timeout: float | None = None,
    num_retries: int | None = None,
    fallbacks: Sequence[str | Mapping[str, Any]] | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    drop_params: bool | None = None,
    **kwargs: Any,
) -> ModelResponse: ...


@overload
def completion(
    model: str,
    messages: Messages,
    *,
    stream: bool | None,
    stream_options: Mapping[str, Any] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    max_completion_tokens: int | None = None,
    max_tokens: int | None = None,
    modalities: Sequence[str] | None = None,
    prediction: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: Mapping[str, float] | None = None,
    user: str | None = None,
    response_format: Mapping[str, Any] | type[Any] | None = None,
    seed: int | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    parallel_tool_calls: bool | None = None,
    logprobs: bool | None = None,
    top_logprobs: int | None = None,
    reasoning_effort: str | None = None,
    thinking: Mapping[str, Any] | None = None,
    store: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    api_base: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    api_version: str | None = None,
    azure_ad_token: str | None = None,
    azure_ad_token_provider: Callable[[], str] | None = None,
    aws_region_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    custom_llm_provider: str | None = None,
    timeout: float | None = None,
    stream_timeout: float | None = None,
    num_retries: int | None = None,
    fallbacks: Sequence[str | Mapping[str, Any]] | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    drop_params: bool | None = None,
    **kwargs: Any,
) -> ModelResponse | CustomStreamWrapper: ...


def completion(
    model: str,
    messages: Messages,
    *,
    stream: bool | None = None,
    stream_options: Mapping[str, Any] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    max_completion_tokens: int | None = None,
    max_tokens: int | None = None,
    modalities: Sequence[str] | None = None,
    prediction: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: Mapping[str, float] | None = None,
    user: str | None = None,
    response_format: Mapping[str, Any] | type[Any] | None = None,
    seed: int | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    parallel_tool_calls: bool | None = None,
    logprobs: bool | None = None,
    top_logprobs: int | None = None,
    reasoning_effort: str | None = None,
    thinking: Mapping[str, Any] | None = None,
    store: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    api_base: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    api_version: str | None = None,
    azure_ad_token: str | None = None,
    azure_ad_token_provider: Callable[[], str] | None = None,
    aws_region_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    custom_llm_provider: str | None = None,
    timeout: float | None = None,
    stream_timeout: float | None = None,
    num_retries: int | None = None,
    fallbacks: Sequence[str | Mapping[str, Any]] | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    drop_params: bool | None = None,
    **kwargs: Any,
) -> ModelResponse | CustomStreamWrapper:
    """Asks a model for an answer, from a thread.

    `model` is `host/name`: `openai/gpt-4o-mini`, `azure/DEPLOYMENT`, `bedrock/MODEL-ID`; a name without a slash is OpenAI's.
    `messages` and all that is not listed here are OpenAI's parameters; what they do not know is passed on as it is, as is
    all of `extra_body`. `None` means not given.

    Where: `api_base` (or `base_url`), `api_key`, `api_version`, `azure_ad_token`, `aws_region_name` and the other `aws_`
    ones take the place of environment variables.

    How: `timeout` in seconds is how long to wait for whatever comes next, and of a reply that is not streamed for all of it;
    `stream_timeout` is the same for streams only. `num_retries` attempts follow one that failed and may succeed later,
    `fallbacks` are models (or dicts of arguments) to ask then; once a stream has begun nothing is tried again.
    `drop_params` leaves out what the backend's dialect does not know. `metadata` is sent only with `store`.

    Returns a `ModelResponse`, with `stream=True` a `CustomStreamWrapper`. Raises one of `tidegate.exceptions`; `TypeError`
    or `ValueError` for an argument of the wrong kind.

    Other threads run while it waits. `KeyboardInterrupt` closes the backend's connection.
    """
    given = dict(locals())
    prepared = prepare(given.pop("model"), given.pop("messages"), {**given.pop("kwargs"), **given})
    try:
        found = wait_blocking(prepared.call, Bell())
    except BaseException:
        prepared.call.close()
        raise
    return _result(prepared, found)


def _result(prepared: Prepared, found: Any) -> ModelResponse | CustomStreamWrapper:
    if found is True:
        return CustomStreamWrapper(prepared.call, prepared.model, prepared.provider)
    response: ModelResponse = found
    return response
