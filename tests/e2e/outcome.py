"""What a caller ended up with, gathered from the official client's objects or from the bytes of a reply.

The gathering of a stream follows the rules that clients go by: text is appended, tool calls go by their index. It
accepts nothing that is not in OpenAI's shape. Called by the tests.
"""

import json

import openai

from recordings import Answer, Failure, Result


def of_completion(completion: dict) -> Result:
    """A reply that was not streamed."""
    assert completion["object"] == "chat.completion"
    answers = {choice["index"]: _answer(choice["message"], choice["finish_reason"]) for choice in completion["choices"]}
    return Result(answers=answers, usage=completion.get("usage"))


def of_chunks(chunks: list[dict]) -> Result:
    """A stream's chunks, put together."""
    messages, finishes, usage = {}, {}, None
    for chunk in chunks:
        assert chunk["object"] == "chat.completion.chunk" and chunk["id"] and chunk["model"], chunk
        assert usage is None or not chunk["choices"], f"an answer went on after the usage: {chunk}"
        for choice in chunk["choices"]:
            message = messages.setdefault(choice["index"], {"tool_calls": {}})
            # Azure's verdicts on what was said come after the finish, without a word of their own.
            said = {name: value for name, value in choice["delta"].items() if value}
            assert choice["index"] not in finishes or not said, f"an answer went on after its finish: {chunk}"
            _append(message, choice["delta"])
            if choice.get("finish_reason"):
                finishes[choice["index"]] = choice["finish_reason"]
        usage = chunk.get("usage") or usage
    for message in messages.values():
        message["tool_calls"] = [message["tool_calls"][index] for index in sorted(message["tool_calls"])]
    answers = {index: _answer(message, finishes.get(index)) for index, message in messages.items()}
    return Result(answers=answers, usage=usage)


def _append(message: dict, delta: dict):
    for name in TEXTS:
        if delta.get(name):
            message[name] = message.get(name, "") + delta[name]
    for piece in delta.get("tool_calls") or []:
        call = message["tool_calls"].setdefault(piece["index"], {"function": {"arguments": ""}})
        function = piece.get("function") or {}
        call["id"] = piece.get("id") or call["id"]
        call["function"]["name"] = function.get("name") or call["function"]["name"]
        call["function"]["arguments"] += function.get("arguments") or ""


def _answer(message: dict, finish_reason: str | None) -> Answer:
    calls = message.get("tool_calls") or []
    return Answer(
        text=message.get("content") or "",
        # Two names are in use for the same text, sometimes both at once.
        reasoning=message.get("reasoning_content") or message.get("reasoning") or "",
        refusal=message.get("refusal") or "",
        tool_calls=[(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls],
        tool_call_ids=[call["id"] for call in calls],
        finish_reason=finish_reason,
    )


def of_error_body(status: int | None, body: dict) -> Result:
    """An error in OpenAI's JSON shape, as the body of a reply or as an event of a stream."""
    error = body["error"]
    shape = {"message", "type", "param", "code"}
    # Azure says more of a prompt that its filters refused.
    more = {"innererror"} if error.get("code") == "content_filter" else set()
    assert shape <= set(error) <= shape | more, error
    return Result(failure=Failure(status=status, **{name: error[name] for name in shape}))


def of_exception(error: openai.APIError) -> Result:
    """An error as the official client raises it."""
    status = getattr(error, "status_code", None)
    if status is not None:
        assert type(error) is CLASSES[status], f"{status} became {type(error).__name__}"
    else:
        assert type(error) is openai.APIError, f"an error inside a stream became {type(error).__name__}"
    return of_error_body(status, {"error": error.body})


def assert_same(got: Result, expected: Result, usage_asked: bool = True):
    """Whether a caller ended up with what it should have; usage is not told to one who did not ask."""
    assert got.failure == expected.failure
    assert got.usage == (expected.usage if usage_asked else None)
    assert got.answers.keys() == expected.answers.keys()
    for index, answer in expected.answers.items():
        given = got.answers[index]
        ids = given.tool_call_ids
        assert all(ids) and len(set(ids)) == len(ids) == len(given.tool_calls)
        if answer.tool_call_ids is None:
            given.tool_call_ids = None
        assert given == answer


TEXTS = ("content", "reasoning", "reasoning_content", "refusal")
# The official client's class for each status of the gateway's.
CLASSES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    404: openai.NotFoundError,
    405: openai.APIStatusError,
    413: openai.APIStatusError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
    504: openai.InternalServerError,
}
