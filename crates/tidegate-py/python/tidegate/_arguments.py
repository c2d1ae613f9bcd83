"""The arguments of a call: their types, and what each is for. `messages`, `model` and `stream` are in the functions' own
signatures. Used by `_calls.py` and `_client.py` for their signatures, by `_request.py` to sort what is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

Messages = Sequence[Any]


class _Request(TypedDict, total=False):
    """OpenAI's parameters, and those of others that the field spells alike."""

    audio: Mapping[str, Any] | None
    frequency_penalty: float | None
    function_call: str | Mapping[str, Any] | None
    functions: Sequence[Mapping[str, Any]] | None
    logit_bias: Mapping[str, float] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    max_tokens: int | None
    metadata: Mapping[str, Any] | None
    modalities: Sequence[str] | None
    n: int | None
    parallel_tool_calls: bool | None
    prediction: Mapping[str, Any] | None
    presence_penalty: float | None
    prompt_cache_key: str | None
    reasoning_effort: str | None
    response_format: Mapping[str, Any] | type[Any] | None
    safety_identifier: str | None
    seed: int | None
    service_tier: str | None
    stop: str | Sequence[str] | None
    store: bool | None
    stream_options: Mapping[str, Any] | None
    temperature: float | None
    thinking: Mapping[str, Any] | None
    tool_choice: str | Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]] | None
    top_k: int | None
    top_logprobs: int | None
    top_p: float | None
    user: str | None
    verbosity: str | None
    web_search_options: Mapping[str, Any] | None


class _Host(TypedDict, total=False):
    """Where, and by what right. Never a part of the request."""

    api_base: str | None
    api_key: str | None
    api_version: str | None
    aws_access_key_id: str | None
    aws_external_id: str | None
    aws_profile_name: str | None
    aws_region_name: str | None
    # An ARN.
    aws_role_name: str | None
    aws_secret_access_key: str | None
    aws_session_name: str | None
    aws_session_token: str | None
    azure_ad_token: str | None
    azure_scope: str | None
    # An application of Entra ID: the three together.
    client_id: str | None
    client_secret: str | None
    tenant_id: str | None
    # A file.
    vertex_credentials: str | None
    vertex_location: str | None
    vertex_project: str | None


class _Call(TypedDict, total=False):
    """How. Never a part of the request."""

    drop_params: bool | None
    extra_headers: Mapping[str, str] | None
    stream_timeout: float | None
    # Seconds, or an `httpx.Timeout`.
    timeout: Any


class _Sorted(TypedDict, total=False):
    """What `_request.py` deals with itself."""

    azure_ad_token_provider: Callable[[], str] | None
    custom_llm_provider: str | None
    extra_body: Mapping[str, Any] | None
    fallbacks: Sequence[str | Mapping[str, Any]] | None
    num_retries: int | None
    organization: str | None


class _OtherNames(TypedDict, total=False):
    """Second names."""

    aws_bedrock_runtime_endpoint: str | None
    base_url: str | None
    headers: Mapping[str, str] | None
    max_retries: int | None
    request_timeout: Any


class Arguments(_Request, _Host, _Call, _Sorted, _OtherNames, total=False):
    """All of them, beside the model, the messages and `stream`."""


REQUEST = frozenset(_Request.__annotations__) | {"messages", "stream"}
HOST = frozenset(_Host.__annotations__)
CALL = frozenset(_Call.__annotations__)
SORTED = frozenset(_Sorted.__annotations__) | {"model"}
OTHER_NAMES = {
    "aws_bedrock_runtime_endpoint": "api_base",
    "base_url": "api_base",
    "headers": "extra_headers",
    "max_retries": "num_retries",
    "request_timeout": "timeout",
}
# Taken so that programs need not change: notes for logs, prices and tables that LiteLLM keeps, and that nothing here does.
IGNORED = frozenset(
    {
        "cooldown_time",
        "id",
        "input_cost_per_second",
        "input_cost_per_token",
        "logger_fn",
        "model_info",
        "no-log",
        "output_cost_per_second",
        "output_cost_per_token",
        "proxy_server_request",
        "shared_session",
        "tags",
        "verbose",
    }
)
IGNORED_PREFIX = "litellm_"
# Arguments of LiteLLM's that change what a call does, and that nothing here does. One that is false asks for nothing.
UNSUPPORTED = frozenset(
    {
        "additional_drop_params",
        "allowed_openai_params",
        "api_type",
        "aws_bearer_token_bedrock",
        "aws_sts_endpoint",
        "aws_web_identity_token",
        "azure_client_secret",
        "azure_password",
        "azure_username",
        "cache",
        "caching",
        "client",
        "context_window_fallback_dict",
        "deployment_id",
        "enable_json_schema_validation",
        "guardrails",
        "http_client",
        "max_budget",
        "max_fallbacks",
        "mock_delay",
        "mock_response",
        "mock_timeout",
        "mock_tool_calls",
        "model_list",
        "prompt_id",
        "retry_policy",
        "retry_strategy",
        "rpm",
        "ssl_verify",
        "tpm",
        "use_in_pass_through",
    }
)
KNOWN = REQUEST | HOST | CALL | SORTED | frozenset(OTHER_NAMES) | IGNORED | UNSUPPORTED


def looks_secret(name: str) -> bool:
    """Whether an argument of this name is likely to be a credential, of another vendor or of a logging service."""
    return name.lower().endswith(("_key", "_secret", "_token", "_credentials", "_password", "password", "secret"))
