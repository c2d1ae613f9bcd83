"""JSON schemas of Pydantic models, as OpenAI's strict mode takes them: every field of an object is required, there are no
others, nothing has a default, and a reference stands alone. Used by `_request.py` for `response_format`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_Schema = dict[str, Any]


def strict(schema: _Schema) -> _Schema:
    """The same schema for strict mode. What it was made of is left as it is."""
    made: _Schema = _strict(schema, schema)
    return made


def _strict(schema: Any, root: _Schema) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema and len(schema) > 1:
        # What stands beside the reference says more of this place than what it leads to.
        return _strict({**_resolved(schema["$ref"], root), **{k: v for k, v in schema.items() if k != "$ref"}}, root)
    made = {word: _at(word, value, root) for word, value in schema.items() if word != "default"}
    if made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    if isinstance(made.get("properties"), Mapping):
        made["required"] = list(made["properties"])
    if isinstance(made.get("allOf"), list) and len(made["allOf"]) == 1:
        (only,) = made.pop("allOf")
        made = {**made, **only}
    return made


def _at(word: str, value: Any, root: _Schema) -> Any:
    """What stands at this keyword: a schema, several by name or in order, or none."""
    if word in ("$defs", "definitions", "properties") and isinstance(value, Mapping):
        return {name: _strict(schema, root) for name, schema in value.items()}
    if word in ("anyOf", "allOf", "oneOf", "prefixItems") and isinstance(value, list):
        return [_strict(schema, root) for schema in value]
    return _strict(value, root) if word == "items" else value


def _resolved(reference: str, root: _Schema) -> Any:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found
