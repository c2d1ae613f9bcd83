"""What calls raise. The names and status codes are LiteLLM's, so `except` clauses written for it hold.

Where the program has imported the `openai` package, each class is also a subclass of that package's class of the same
meaning: `except openai.RateLimitError` catches a `RateLimitError` from here. Importing `openai` takes longer than
importing all of Tidegate, so it is not done on a program's behalf; that it is there is looked for whenever something is
raised. Cancelling is no failure: `asyncio.CancelledError` is never turned into one of these.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "BudgetExceededError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "ImageFetchError",
    "InternalServerError",
    "InvalidRequestError",
    "JSONSchemaValidationError",
    "MidStreamFallbackError",
    "NotFoundError",
    "OpenAIError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RejectedRequestError",
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
    """Every failure of a call, with what is known of it.

    `status_code` is the HTTP status that stands for it, `message` what went wrong, `llm_provider` and `model` who was asked,
    `code` the backend's own code, `param` the argument at fault, `response` the backend's refusal if it sent one, `request_id`
    the backend's id of the request, `call_id` the call's own. What is not known is `None`.
    """

    status_code: int = 500
    # What LiteLLM's constructors take by position; they differ.
    _order: ClassVar[tuple[str, ...]] = ("message", "llm_provider", "model", "response")

    def __init__(self, *facts: Any, **named: Any) -> None:
        adopt_openai()
        if len(facts) > len(self._order):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self._order)}; {len(facts)} were given")
        given = dict(zip(self._order, facts, strict=False))
        if twice := given.keys() & named.keys():
            raise TypeError(f"{type(self).__name__}: {min(twice)} is given twice")
        given.update(named)
        if unknown := given.keys() - _FACTS:
            raise TypeError(f"{type(self).__name__} has no {min(unknown)}")
        self.message: str = given.get("message") or ""
        Exception.__init__(self, self.message)
        self.llm_provider: str | None = given.get("llm_provider")
        self.model: str | None = given.get("model")
        if given.get("status_code") is not None:
            self.status_code = given["status_code"]
        response = given.get("response")
        self.response: Any = Response(self.status_code) if response is None else response
        self.code: str | None = given.get("code")
        self.param: str | None = given.get("param")
        self.body: Any = given.get("body")
        self.call_id: str | None = given.get("call_id")
        self.request_id: str | None = given.get("request_id")
        # What the `openai` package's classes have besides.
        self.request: Any = given.get("request")
        self.type: str | None = None

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        asked = f", llm_provider={self.llm_provider!r}, model={self.model!r}" if self.llm_provider else ""
        return f"{type(self).__name__}({self.message!r}, status_code={self.status_code}{asked})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (type(self), self.args, self.__dict__))


# The last three are LiteLLM's own notes.
_FACTS = frozenset(
    {
        "body",
        "call_id",
        "code",
        "llm_provider",
        "message",
        "model",
        "param",
        "request",
        "request_id",
        "response",
        "status_code",
        "litellm_debug_info",
        "max_retries",
        "num_retries",
    }
)


def _restored(cls: type[OpenAIError], args: tuple[Any, ...], state: dict[str, Any]) -> OpenAIError:
    made = cls.__new__(cls, *args)
    made.args = args
    made.__dict__.update(state)
    return made


class APIError(OpenAIError):
    """A failure that is none of the others. They are its siblings, as LiteLLM's are."""

    _order = ("status_code", "message", "llm_provider", "model", "request")


class APIStatusError(OpenAIError):
    """The backend answered with a status that is no success, or would have."""


class APIConnectionError(OpenAIError):
    """No connection to the backend, or it broke off in the middle of the reply."""


class Timeout(OpenAIError):
    """A deadline passed."""

    status_code = 408
    _order = ("message", "model", "llm_provider")


class BadRequestError(APIStatusError):
    """The request is wrong, or something in it can't be used."""

    status_code = 400
    _order: ClassVar[tuple[str, ...]] = ("message", "model", "llm_provider", "response")


class ContextWindowExceededError(BadRequestError):
    """The prompt does not fit the model."""


class ContentPolicyViolationError(BadRequestError):
    """A content filter refused the prompt."""


class UnsupportedParamsError(BadRequestError):
    """A parameter that can't be honoured."""

    _order = ("message", "llm_provider", "model", "status_code", "response")


class AuthenticationError(APIStatusError):
    """No credentials, or the backend refused them."""

    status_code = 401


class PermissionDeniedError(APIStatusError):
    """The backend knows who asks, and refuses."""

    status_code = 403


class NotFoundError(APIStatusError):
    """No such model, deployment or path."""

    status_code = 404
    _order = ("message", "model", "llm_provider", "response")


class UnprocessableEntityError(APIStatusError):
    """The backend understood the request and can't follow it."""

    status_code = 422
    _order = ("message", "model", "llm_provider", "response")


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


# What LiteLLM raises for things that nothing here does. They are here so that `except` clauses that name them can be
# evaluated while something else is raised.


class APIResponseValidationError(OpenAIError):
    """Never raised here: a reply that does not follow its format is an `APIConnectionError`."""


class BudgetExceededError(OpenAIError):
    """Never raised here: there are no budgets."""


class ImageFetchError(BadRequestError):
    """Never raised here: nothing is fetched."""


class InvalidRequestError(BadRequestError):
    """Never raised here: `BadRequestError` is."""


class JSONSchemaValidationError(OpenAIError):
    """Never raised here: replies are not validated."""


class MidStreamFallbackError(OpenAIError):
    """Never raised here: once a stream has begun nothing is tried again."""


class PaymentRequiredError(APIStatusError):
    """Never raised here: a quota that is used up is a `RateLimitError`."""

    status_code = 402


class RejectedRequestError(BadRequestError):
    """Never raised here: there are no guardrails."""


class Facts:
    """What the engine says of a failure; for the engine alone."""

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def exception(self, name: str) -> OpenAIError:
        """The exception of this class."""
        facts = self._facts
        cls: type[OpenAIError] = globals()[name]
        retry_after: float | None = facts.pop("retry_after")
        upstream_status: int | None = facts.pop("upstream_status")
        headers: dict[str, str] = dict(facts.pop("headers"))
        if retry_after is not None:
            # In whatever form it came, this is what it means.
            headers["retry-after"] = f"{retry_after:g}"
        response = Response(upstream_status or cls.status_code, headers)
        request_id = next(filter(None, map(response.headers.get, _REQUEST_IDS)), None)
        return cls(response=response, request_id=request_id, **facts)


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
_lock = threading.Lock()
_adopted = False


def adopt_openai() -> None:
    """Makes the classes here subclasses of the `openai` package's, if the program has imported that. Costs nothing otherwise."""
    global _adopted
    openai = sys.modules.get("openai")
    # A package that is still being imported has not all of its classes yet.
    if _adopted or openai is None or not hasattr(openai, "InternalServerError"):
        return
    with _lock:
        for ours, theirs in () if _adopted else _SAME.items():
            cls, same = globals()[ours], getattr(openai, theirs, None)
            # What stands in for the package in a test may have anything under these names.
            if not (isinstance(same, type) and issubclass(same, BaseException)):
                continue
            try:
                cls.__bases__ = (*cls.__bases__, same)
            except TypeError:
                # A class of the program's own has both as bases already, in an order that this one can't follow.
                continue
        _adopted = True


adopt_openai()
