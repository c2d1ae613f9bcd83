"""Arguments of a call, put in order: what goes into the request, and what says where and how it is sent.

`None` means not given, everywhere. What OpenAI's API does not know is passed on in the request, as LiteLLM does, unless it
looks like a slip of the pen. Used by `_calls.py`; what is sent is made by the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._native import Call, split_model

# Where and how, and so never a part of the request.
_HOST = frozenset(
    {
        "api_base",
        "api_key",
        "api_version",
        "aws_access_key_id",
        "aws_region_name",
        "aws_secret_access_key",
        "aws_session_token",
        "azure_ad_token",
    }
)
_CALL = frozenset({"drop_params", "extra_headers", "stream_timeout", "timeout"})
_OTHER_NAMES = {
    "aws_bedrock_runtime_endpoint": "api_base",
    "base_url": "api_base",
    "headers": "extra_headers",
    "max_retries": "num_retries",
    "request_timeout": "timeout",
}
# Taken so that programs need not change; what they are for in LiteLLM is not done here.
_IGNORED = frozenset({"litellm_call_id", "litellm_metadata", "verbose"})
# Arguments of LiteLLM's that change what a call does, and that nothing here does.
_UNSUPPORTED = frozenset(
    {
        "aws_external_id",
        "aws_profile_name",
        "aws_role_name",
        "aws_session_name",
        "aws_sts_endpoint",
        "aws_web_identity_token",
        "azure_password",
        "azure_username",
        "cache",
        "caching",
        "client",
        "client_id",
        "client_secret",
        "context_window_fallback_dict",
        "guardrails",
        "http_client",
        "mock_response",
        "mock_tool_calls",
        "model_list",
        "ssl_verify",
        "tenant_id",
    }
)
# OpenAI's, for a look at what might have been meant.
_BODY = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    }
)
_KNOWN = _HOST | _CALL | _BODY | _IGNORED | _UNSUPPORTED | set(_OTHER_NAMES)
_KNOWN |= {"azure_ad_token_provider", "custom_llm_provider", "extra_body", "fallbacks", "model", "num_retries"}


class Prepared:
    """A call, and who is asked first."""

    __slots__ = ("call", "model", "provider")

    def __init__(self, call: Call, model: str, provider: str) -> None:
        self.call = call
        self.model = model
        self.provider = provider


def prepare(model: str, messages: Any, arguments: Mapping[str, Any]) -> Prepared:
    """The call that these arguments ask for; nothing is sent."""
    if not isinstance(model, str) or not model:
        raise TypeError(f"model must be a str such as 'openai/gpt-4o', not {model!r}")
    given = _in_order({"model": model, "messages": messages, **arguments})
    retries = given.pop("num_retries", 0)
    if not isinstance(retries, int) or isinstance(retries, bool) or not 0 <= retries <= 100:
        raise ValueError(f"num_retries must be a whole number from 0 to 100, not {retries!r}")
    fallbacks = given.pop("fallbacks", ())
    if isinstance(fallbacks, (str, Mapping)) or not isinstance(fallbacks, Sequence):
        raise TypeError(f"fallbacks must be a list of models or of dicts, not {type(fallbacks).__name__}")
    first = _candidate(given)
    candidates = [first, *(_candidate(_instead(given, fallback)) for fallback in fallbacks)]
    return Prepared(Call(candidates, retries), first[1]["name"], first[1]["kind"])


def _in_order(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, each under one name."""
    given: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None or name in _IGNORED:
            continue
        if name in _UNSUPPORTED:
            from .exceptions import UnsupportedParamsError

            raise UnsupportedParamsError(f"{name}: tidegate has no such argument", param=name)
        if name not in _KNOWN:
            _check_spelling(name)
        known = _OTHER_NAMES.get(name, name)
        if known == "extra_headers" and known in given:
            value = {**given[known], **value}
        elif known in given and known != name:
            raise TypeError(f"{name} and {known} say the same; give one of them")
        given[known] = value
    return given


def _check_spelling(name: str) -> None:
    import difflib

    close = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.85)
    if close:
        raise TypeError(
            f"no argument {name!r}; did you mean {close[0]!r}? What is only this backend's goes into extra_body"
        )


def _candidate(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the request, and settings."""
    kind, name = split_model(given["model"], given.get("custom_llm_provider"))
    settings: dict[str, Any] = {"kind": kind, "name": name}
    body: dict[str, Any] = {}
    for argument, value in given.items():
        if argument in _HOST or argument in _CALL:
            settings[argument] = value
        elif argument not in _NOT_SENT:
            body[argument] = value
    if provider := given.get("azure_ad_token_provider"):
        settings.setdefault("azure_ad_token", provider())
    for clock in ("timeout", "stream_timeout"):
        if clock in settings:
            settings[clock] = _seconds(settings[clock])
    # For LiteLLM it is a note to oneself; OpenAI has a use for it, and only with `store`.
    if not given.get("store"):
        body.pop("metadata", None)
    if "response_format" in body:
        body["response_format"] = _format(body["response_format"])
    if extra := given.get("extra_body"):
        if not isinstance(extra, Mapping):
            raise TypeError(f"extra_body must be a dict, not {type(extra).__name__}")
        body.update(extra)
    return body, settings


_NOT_SENT = frozenset({"azure_ad_token_provider", "custom_llm_provider", "extra_body", "model"})


def _instead(given: Mapping[str, Any], fallback: Any) -> dict[str, Any]:
    """The same request for another backend. Credentials go to the vendor that they were given for, and to no other."""
    changed = _in_order({"model": fallback} if isinstance(fallback, str) else dict(fallback))
    if not isinstance(changed.get("model", ""), str):
        raise TypeError(f"fallbacks: model must be a str, not {changed['model']!r}")
    after = {**given, **changed}
    if "model" in changed and "custom_llm_provider" not in changed:
        after.pop("custom_llm_provider", None)
    before = split_model(given["model"], given.get("custom_llm_provider"))[0]
    if split_model(after["model"], after.get("custom_llm_provider"))[0] != before:
        for name in (_HOST | {"azure_ad_token_provider", "extra_headers"}) - set(changed):
            after.pop(name, None)
    return after


def _seconds(timeout: Any) -> Any:
    """Of an `httpx.Timeout` what it allows for reading."""
    if hasattr(timeout, "read") and hasattr(timeout, "connect"):
        return timeout.read or timeout.connect or timeout.pool
    return timeout


def _format(wanted: Any) -> Any:
    """A Pydantic model as the JSON schema of its fields."""
    if not isinstance(wanted, type):
        return wanted
    schema = getattr(wanted, "model_json_schema", None)
    if schema is None:
        raise TypeError(f"response_format must be a dict or a Pydantic model, not {wanted.__name__}")
    strict = {"name": wanted.__name__, "schema": _strict(schema()), "strict": True}
    return {"type": "json_schema", "json_schema": strict}


def _strict(schema: Any) -> Any:
    """As strict mode wants it: every field is required, and there are no others."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _strict(value) for name, value in schema.items() if not (name == "default" and "type" in schema)}
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made["required"] = list(made["properties"])
        made["additionalProperties"] = False
    return made
