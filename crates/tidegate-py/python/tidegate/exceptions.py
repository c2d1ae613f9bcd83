"""What calls raise. The names and status codes are LiteLLM's, so `except` clauses written for it hold.

Where the program has imported the `openai` package, each class is also a subclass of that package's class of the same
meaning: `except openai.RateLimitError` catches a `RateLimitError` from here. Importing `openai` takes longer than
importing all of Tidegate, so it is not done on a program's behalf; that it is there is looked for whenever something is
raised. Cancelling is no failure: `asyncio.CancelledError` is never turned into one of these.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "InternalServerError",
    "NotFoundError",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "Response",
    "ServiceUnavailableError",
    "Timeout",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
]


class Headers(Mapping[str, str]):
    """Header fields; their names are the same in capital and in small letters."""

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        self._fields = {name.lower(): value for name, value in (fields or {}).items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


class Response:
    """What is known of a backend's refusal: its status and its header fields. `retry-after` is in seconds, whatever it came as."""

    def __init__(self, status_code: int, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status_code
        self.headers = Headers(headers)

    def __repr__(self) -> str:
        return f"Response(status_code={self.status_code}, headers={dict(self.headers)!r})"


class _Failure(Exception):
    # A class gets further bases only beside one that was made by a `class` statement: `Exception` itself won't do.
    pass


class OpenAIError(_Failure):
    """Every failure of a call."""


class APIError(OpenAIError):
    """A failure with what is known of it.

    `status_code` is the HTTP status that stands for it, `message` what went wrong, `llm_provider` and `model` who was asked,
    `code` the backend's own code, `param` the argument at fault, `response` the backend's refusal if it sent one,
    `call_id` the call's id. What is not known is `None`.
    """

    status_code: int = 500

    def __init__(
        self,
        message: str = "",
        llm_provider: str | None = None,
        model: str | None = None,
        response: Any = None,
        *,
        status_code: int | None = None,
        code: str | None = None,
        param: str | None = None,
        body: Any = None,
        call_id: str | None = None,
        **_: Any,
    ) -> None:
        Exception.__init__(self, message)
        self.message = message
        self.llm_provider = llm_provider
        self.model = model
        if status_code is not None:
            self.status_code = status_code
        self.response = response if response is not None else Response(self.status_code)
        self.code = code
        self.param = param
        self.body = body
        self.call_id = call_id
        # What the `openai` package's classes have besides.
        self.request = None
        self.request_id: str | None = None
        self.type = None

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        asked = f", llm_provider={self.llm_provider!r}, model={self.model!r}" if self.llm_provider else ""
        return f"{type(self).__name__}({self.message!r}, status_code={self.status_code}{asked})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (type(self), self.args, self.__dict__))


def _restored(cls: type[APIError], args: tuple[Any, ...], state: dict[str, Any]) -> APIError:
    made = cls.__new__(cls, *args)
    made.args = args
    made.__dict__.update(state)
    return made


class APIStatusError(APIError):
    """The backend answered with a status that is no success, or would have."""


class APIConnectionError(APIError):
    """No connection to the backend, or it broke off in the middle of the reply."""


class Timeout(APIConnectionError):
    """A deadline passed."""

    status_code = 408


class BadRequestError(APIStatusError):
    """The request is wrong, or something in it can't be used."""

    status_code = 400


class ContextWindowExceededError(BadRequestError):
    """The prompt does not fit the model."""


class ContentPolicyViolationError(BadRequestError):
    """A content filter refused the prompt."""


class UnsupportedParamsError(BadRequestError):
    """A parameter that can't be honoured."""


class AuthenticationError(APIStatusError):
    """No credentials, or the backend refused them."""

    status_code = 401


class PermissionDeniedError(APIStatusError):
    """The backend knows who asks, and refuses."""

    status_code = 403


class NotFoundError(APIStatusError):
    """No such model, deployment or path."""

    status_code = 404


class UnprocessableEntityError(APIStatusError):
    """The backend understood the request and can't follow it."""

    status_code = 422


class RateLimitError(APIStatusError):
    """Too many requests or tokens, or the quota is used up."""

    status_code = 429


class InternalServerError(APIStatusError):
    """The backend failed."""

    status_code = 500


class BadGatewayError(APIStatusError):
    """Something between here and the backend failed."""

    status_code = 502


class ServiceUnavailableError(APIStatusError):
    """The backend is overloaded."""

    status_code = 503


class Facts:
    """What the engine says of a failure; for the engine alone."""

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def exception(self, name: str) -> APIError:
        """The exception of this class."""
        adopt_openai()
        facts = self._facts
        cls: type[APIError] = globals()[name]
        retry_after: float | None = facts.pop("retry_after")
        upstream_status: int | None = facts.pop("upstream_status")
        headers: dict[str, str] = dict(facts.pop("headers"))
        if retry_after is not None:
            # In whatever form it came, this is what it means.
            headers["retry-after"] = f"{retry_after:g}"
        response = Response(upstream_status or cls.status_code, headers)
        made = cls(response=response, **facts)
        made.request_id = next(filter(None, map(response.headers.get, _REQUEST_IDS)), None)
        return made


# Where backends say their id of the request.
_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid")
# Ours, and the class of the `openai` package that means the same.
_SAME = {
    "OpenAIError": "OpenAIError",
    "APIError": "APIError",
    "APIStatusError": "APIStatusError",
    "APIConnectionError": "APIConnectionError",
    "Timeout": "APITimeoutError",
    "BadRequestError": "BadRequestError",
    "AuthenticationError": "AuthenticationError",
    "PermissionDeniedError": "PermissionDeniedError",
    "NotFoundError": "NotFoundError",
    "UnprocessableEntityError": "UnprocessableEntityError",
    "RateLimitError": "RateLimitError",
    "InternalServerError": "InternalServerError",
}
_adopted = False


def adopt_openai() -> None:
    """Makes the classes here subclasses of the `openai` package's, if the program has imported that. Costs nothing otherwise."""
    global _adopted
    openai = sys.modules.get("openai")
    # A package that is still being imported has not all of its classes yet.
    if _adopted or openai is None or not hasattr(openai, "InternalServerError"):
        return
    _adopted = True
    for ours, theirs in _SAME.items():
        cls = globals()[ours]
        cls.__bases__ = (*cls.__bases__, getattr(openai, theirs))


adopt_openai()
