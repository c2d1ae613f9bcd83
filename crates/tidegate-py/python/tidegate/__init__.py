"""LLM backends behind one API: OpenAI, Azure OpenAI, Amazon Bedrock, Anthropic, Gemini and others. Cancelling a task stops its
backend at once.

    from tidegate import acompletion

    async for chunk in await acompletion(model="azure/gpt-4o", messages=[...], stream=True):
        print(chunk.choices[0].delta.content or "", end="")

Names, arguments, replies and exceptions are LiteLLM's, so a program that uses these needs to change its import line only.
`tidegate.fastapi` closes responses of FastAPI and Starlette when their reader has gone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._builder import stream_chunk_builder
from ._calls import acompletion, completion
from ._client import AsyncClient, Client
from ._stream import CustomStreamWrapper
from .types.utils import (
    ChatCompletionDeltaToolCall,
    ChatCompletionMessageToolCall,
    Choices,
    Delta,
    Function,
    Message,
    ModelResponse,
    ModelResponseStream,
    StreamingChoices,
    Usage,
)

if TYPE_CHECKING:
    from .exceptions import (
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        AuthenticationError,
        BadGatewayError,
        BadRequestError,
        BudgetExceededError,
        ContentPolicyViolationError,
        ContextWindowExceededError,
        ImageFetchError,
        InternalServerError,
        InvalidRequestError,
        JSONSchemaValidationError,
        MidStreamFallbackError,
        NotFoundError,
        OpenAIError,
        PaymentRequiredError,
        PermissionDeniedError,
        RateLimitError,
        RejectedRequestError,
        ServiceUnavailableError,
        Timeout,
        UnprocessableEntityError,
        UnsupportedParamsError,
    )

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "AsyncClient",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "BudgetExceededError",
    "ChatCompletionDeltaToolCall",
    "ChatCompletionMessageToolCall",
    "Choices",
    "Client",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "CustomStreamWrapper",
    "Delta",
    "Function",
    "ImageFetchError",
    "InternalServerError",
    "InvalidRequestError",
    "JSONSchemaValidationError",
    "Message",
    "MidStreamFallbackError",
    "ModelResponse",
    "ModelResponseStream",
    "NotFoundError",
    "OpenAIError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RejectedRequestError",
    "ServiceUnavailableError",
    "StreamingChoices",
    "Timeout",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
    "Usage",
    "acompletion",
    "completion",
    "stream_chunk_builder",
]


def __getattr__(name: str) -> Any:
    # Exceptions are imported when somebody names one, or when one is raised; Starlette only by who has it.
    if name in __all__:
        return getattr(importlib.import_module(".exceptions", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name == "__version__":
        from importlib.metadata import version

        return version("tidegate")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_MODULES, "__version__"]


_MODULES = ("exceptions", "fastapi")
