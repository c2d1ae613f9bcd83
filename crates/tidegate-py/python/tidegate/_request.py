"""Arguments of a call, put in order: what goes into the request, and what says where and how it is sent.

`None` means not given, everywhere. What OpenAI's API does not know is passed on in the request, as LiteLLM does, unless it
looks like a slip of the pen. Used by `_calls.py`; what is sent is made by the engine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from . import _schema
from ._arguments import CALL, HOST, IGNORED, IGNORED_PREFIX, KNOWN, OTHER_NAMES, SORTED, UNSUPPORTED, looks_secret
from ._native import Call, Configuration, split_model


def prepare(
    model: str, messages: Any, arguments: Mapping[str, Any], configuration: Configuration | None = None
) -> Call:
    """The call that these arguments ask for, of the configuration's hosts if there is one; nothing is sent."""
    if not isinstance(model, str) or not model:
        raise TypeError(f"model must be a str such as 'openai/gpt-4o', not {model!r}")
    if not model.isprintable():
        raise ValueError(f"model: {model!r} has characters that no name has")
    given = in_order({"model": model, "messages": messages, **arguments})
    retries = given.pop("num_retries", 0)
    if not isinstance(retries, int) or isinstance(retries, bool) or not 0 <= retries <= 100:
        raise ValueError(f"num_retries must be a whole number from 0 to 100, not {retries!r}")
    fallbacks = given.pop("fallbacks", ())
    if isinstance(fallbacks, (str, Mapping)) or not isinstance(fallbacks, Sequence):
        raise TypeError(f"fallbacks must be a list of models or of dicts, not {type(fallbacks).__name__}")
    others = [_instead(given, fallback, configuration) for fallback in fallbacks]
    return Call([_candidate(each, configuration) for each in (given, *others)], retries, configuration)


def in_order(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, each under one name."""
    given: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None or name in IGNORED or name.startswith(IGNORED_PREFIX):
            continue
        if name in UNSUPPORTED:
            if not value:
                # It asks for nothing.
                continue
            from .exceptions import UnsupportedParamsError

            raise UnsupportedParamsError(f"{name}: tidegate has no such argument", param=name)
        if name not in KNOWN:
            _check_unknown(name)
        known = OTHER_NAMES.get(name, name)
        if known == "extra_headers":
            value = {**given.get(known, {}), **_mapping(name, value)}
        elif known in given and given[known] != value:
            raise TypeError(f"{name} and {known} say the same; give one of them")
        given[known] = value
    return given


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, not {type(value).__name__}")
    return value


def _check_unknown(name: str) -> None:
    """What nobody knows is the backend's own, unless it is a slip of the pen, or not meant to be sent."""
    import difflib

    if looks_secret(name):
        raise TypeError(f"no argument {name!r}, and it looks like a credential; what is to be sent goes into extra_body")
    close = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.85)
    if close:
        raise TypeError(
            f"no argument {name!r}; did you mean {close[0]!r}? What is only this backend's goes into extra_body"
        )


def _split(given: Mapping[str, Any], configuration: Configuration | None) -> tuple[str, str]:
    """The host, and its own name for the model."""
    provider: Any = given.get("custom_llm_provider")
    if not isinstance(provider, (str, type(None))):
        raise TypeError(f"custom_llm_provider must be a str, not {type(provider).__name__}")
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
    kind = host if configuration is None else configuration.kind(host)
    if kind == "openai" and (organization := given.get("organization")):
        settings["extra_headers"] = {"OpenAI-Organization": organization, **settings.get("extra_headers", {})}
    provider = given.get("azure_ad_token_provider")
    if provider is not None and not callable(provider):
        raise TypeError(f"azure_ad_token_provider must be a function, not {type(provider).__name__}")
    # Asked only if nothing else says by what right, and for nobody else's host.
    if provider and kind == "azure" and not settings.keys() & {"api_key", "azure_ad_token", "client_secret"}:
        settings["azure_ad_token"] = provider()
    for clock in ("timeout", "stream_timeout"):
        if clock in settings and (seconds := _seconds(settings.pop(clock))) is not None:
            settings[clock] = seconds
    # For LiteLLM it is a note to oneself; OpenAI has a use for it, and only with `store`.
    if not given.get("store"):
        body.pop("metadata", None)
    if "response_format" in body:
        body["response_format"] = _format(body["response_format"])
    if extra := given.get("extra_body"):
        body.update(_mapping("extra_body", extra))
        # As the backend is to be told.
        settings["name"] = body.pop("model", name)
    return body, settings


def _instead(given: Mapping[str, Any], fallback: Any, configuration: Configuration | None) -> dict[str, Any]:
    """The same request for another backend. Credentials go to the host that they were given for, and to no other."""
    changed = in_order({"model": fallback} if isinstance(fallback, str) else _mapping("fallbacks: each", fallback))
    if not changed or any("/" in name or isinstance(value, list) for name, value in changed.items() if name not in KNOWN):
        raise TypeError("fallbacks: a dict has arguments of a call, such as {'model': 'azure/gpt-4o', 'timeout': 5}")
    if not isinstance(changed.get("model", ""), str):
        raise TypeError(f"fallbacks: model must be a str, not {changed['model']!r}")
    after = {**given, **changed}
    if "model" in changed and "custom_llm_provider" not in changed:
        after.pop("custom_llm_provider", None)
    if "model" in changed and "extra_body" not in changed and "model" in (after.get("extra_body") or ()):
        # It was another name for the first model.
        after["extra_body"] = {name: value for name, value in after["extra_body"].items() if name != "model"}
    if _split(after, configuration)[0] != _split(given, configuration)[0]:
        for name in (HOST | {"azure_ad_token_provider", "extra_headers"}) - set(changed):
            after.pop(name, None)
    return after


def _seconds(timeout: Any) -> Any:
    """Of an `httpx.Timeout` what it allows for reading; of a text the number that it says. `None`: no limit of the call's."""
    if hasattr(timeout, "read") and hasattr(timeout, "connect"):
        return timeout.read
    with contextlib.suppress(ValueError):
        return float(timeout) if isinstance(timeout, str) else timeout
    return timeout


def _format(wanted: Any) -> Any:
    """A Pydantic model as the JSON schema of its fields."""
    if not isinstance(wanted, type):
        return wanted
    schema = getattr(wanted, "model_json_schema", None)
    if schema is None:
        raise TypeError(f"response_format must be a dict or a Pydantic model, not {wanted.__name__}")
    made = {"name": wanted.__name__, "schema": _schema.strict(schema()), "strict": True}
    return {"type": "json_schema", "json_schema": made}
