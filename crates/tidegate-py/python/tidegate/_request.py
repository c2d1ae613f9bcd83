"""Arguments of a call, put in order: what goes into the request, and what says where and how it is sent.

`None` means not given, everywhere. What OpenAI's API does not know is passed on in the request, as LiteLLM does, unless it
looks like a slip of the pen. Used by `_calls.py`; what is sent is made by the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._arguments import CALL, HOST, IGNORED, KNOWN, OTHER_NAMES, SORTED, UNSUPPORTED
from ._native import Call, Configuration, split_model


class Prepared:
    """A call, and who is asked first."""

    __slots__ = ("call", "model", "provider")

    def __init__(self, call: Call, model: str, provider: str) -> None:
        self.call = call
        self.model = model
        self.provider = provider


def prepare(
    model: str, messages: Any, arguments: Mapping[str, Any], configuration: Configuration | None = None
) -> Prepared:
    """The call that these arguments ask for, of the configuration's hosts if there is one; nothing is sent."""
    if not isinstance(model, str) or not model:
        raise TypeError(f"model must be a str such as 'openai/gpt-4o', not {model!r}")
    given = _in_order({"model": model, "messages": messages, **arguments})
    retries = given.pop("num_retries", 0)
    if not isinstance(retries, int) or isinstance(retries, bool) or not 0 <= retries <= 100:
        raise ValueError(f"num_retries must be a whole number from 0 to 100, not {retries!r}")
    fallbacks = given.pop("fallbacks", ())
    if isinstance(fallbacks, (str, Mapping)) or not isinstance(fallbacks, Sequence):
        raise TypeError(f"fallbacks must be a list of models or of dicts, not {type(fallbacks).__name__}")
    first = _candidate(given, configuration)
    others = (_instead(given, fallback, configuration) for fallback in fallbacks)
    candidates = [first, *(_candidate(other, configuration) for other in others)]
    return Prepared(Call(candidates, retries, configuration), first[1]["name"], first[1]["host"])


def _in_order(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, each under one name."""
    given: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None or name in IGNORED:
            continue
        if name in UNSUPPORTED:
            from .exceptions import UnsupportedParamsError

            raise UnsupportedParamsError(f"{name}: tidegate has no such argument", param=name)
        if name not in KNOWN:
            _check_spelling(name)
        known = OTHER_NAMES.get(name, name)
        if known == "extra_headers" and known in given:
            value = {**given[known], **value}
        elif known in given and known != name:
            raise TypeError(f"{name} and {known} say the same; give one of them")
        given[known] = value
    return given


def _check_spelling(name: str) -> None:
    import difflib

    close = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.85)
    if close:
        raise TypeError(
            f"no argument {name!r}; did you mean {close[0]!r}? What is only this backend's goes into extra_body"
        )


def _split(given: Mapping[str, Any], configuration: Configuration | None) -> tuple[str, str]:
    """The host, and its own name for the model."""
    provider: str | None = given.get("custom_llm_provider")
    if configuration is None:
        return split_model(given["model"], provider)
    if provider is not None:
        raise TypeError("custom_llm_provider: the client's configuration says who serves a model")
    return configuration.split_model(given["model"])


def _candidate(
    given: Mapping[str, Any], configuration: Configuration | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the request, and settings."""
    host, name = _split(given, configuration)
    settings: dict[str, Any] = {"host": host, "name": name}
    body: dict[str, Any] = {}
    for argument, value in given.items():
        if argument in HOST or argument in CALL:
            settings[argument] = value
        elif argument not in SORTED:
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


def _instead(given: Mapping[str, Any], fallback: Any, configuration: Configuration | None) -> dict[str, Any]:
    """The same request for another backend. Credentials go to the host that they were given for, and to no other."""
    changed = _in_order({"model": fallback} if isinstance(fallback, str) else dict(fallback))
    if not isinstance(changed.get("model", ""), str):
        raise TypeError(f"fallbacks: model must be a str, not {changed['model']!r}")
    after = {**given, **changed}
    if "model" in changed and "custom_llm_provider" not in changed:
        after.pop("custom_llm_provider", None)
    if _split(after, configuration)[0] != _split(given, configuration)[0]:
        for name in (HOST | {"azure_ad_token_provider", "extra_headers"}) - set(changed):
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
