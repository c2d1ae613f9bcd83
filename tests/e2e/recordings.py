"""Exchanges to put through the gateway, and what a caller has to end up with: recorded ones and simulated ones.

The recorded ones are real providers' replies from the corpus beside the project, each with a digest that was computed
independently of this project. The simulated ones need no corpus. Nothing here talks to anything; called by the tests.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path


@dataclass
class Answer:
    """One answer (OpenAI's `choice`) as a caller has it in the end."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    # Name and arguments as a JSON value; ids apart, since simulated ones are made up for each call.
    tool_calls: list[tuple[str, object]] = field(default_factory=list)
    tool_call_ids: list[str] | None = field(default_factory=list)
    finish_reason: str | None = None


@dataclass
class Failure:
    """An error as a caller has it. `status` is None for one inside a stream."""

    status: int | None
    type: str
    message: str
    code: str | None
    param: str | None


@dataclass
class Result:
    """All that a caller ends up with."""

    answers: dict[int, Answer] = field(default_factory=dict)
    # OpenAI's usage object, without what it does not say.
    usage: dict | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Exchange:
    """A request to make through each of `hosts`, and what has to come of it."""

    id: str
    hosts: tuple[str, ...]
    model: str
    prompt: str
    streaming: bool
    choices: int
    result: Result
    # The reply as recorded, where it has to arrive byte for byte.
    body: bytes | None = None
    # The provider's `retry-after`, in seconds.
    retry_after: str | None = None

    def __hash__(self):
        return hash(self.id)

    def request(self, host: str, include_usage: bool) -> dict:
        """What to send, as keyword arguments of the official client."""
        request = {
            "model": f"{host}/{self.model}",
            "messages": [{"role": "user", "content": self.prompt}],
        }
        if self.choices > 1:
            request["n"] = self.choices
        if self.streaming and include_usage:
            request["stream_options"] = {"include_usage": True}
        return request

    @property
    def kind(self) -> str:
        """Provider, form and fate: what there should be a sample of each of."""
        fate = "error" if self.result.failure else "reply"
        return f"{self.hosts[0]} {'stream' if self.streaming else 'whole'} {fate}"


@cache
def corpus() -> Path | None:
    """The corpus of recorded traffic, if it is at hand."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "vectors"
    return folder if folder.is_dir() else None


@cache
def recorded() -> tuple[Exchange, ...]:
    """Every recorded exchange of the APIs in `APIS`; none where the corpus is absent."""
    if not corpus():
        return ()
    return tuple(exchange for provider in HOSTS for exchange in _of_provider(provider))


def _of_provider(provider: str):
    folder = corpus() / provider
    digests = json.loads((folder / "expect.json").read_text())
    for entry in json.loads((folder / "index.json").read_text()):
        # Of calls whose arguments come in pieces the digest lists the pieces.
        in_pieces = provider in GOOGLE and "arguments" in entry["id"]
        if entry["api"] in APIS and entry["id"] != TWO_REPLIES and not in_pieces:
            yield _exchange(provider, entry, digests[entry["id"]], (folder / entry["response_file"]).read_bytes())


def _exchange(provider: str, entry: dict, digest: dict, body: bytes) -> Exchange:
    if entry["status"] != 200:
        result = Result(failure=_refused(provider, entry, digest["body"]))
    elif provider == "bedrock":
        result = _bedrock(entry, digest, body)
    elif provider == "anthropic":
        result = _anthropic(digest)
    elif provider in GOOGLE:
        result = _google(digest)
    elif provider == "cohere":
        result = _cohere(digest)
    elif provider == "ollama":
        result = _ollama(digest)
    else:
        result = _chat(digest)
    faithful = provider == "openai" and entry["status"] == 200 and entry["response_fidelity"] == "raw"
    return Exchange(
        id=entry["id"],
        hosts=HOSTS[provider],
        model=entry["id"].split("/", 1)[1],
        prompt="Say what you said then.",
        streaming=entry["streaming"],
        choices=max(1, len(result.answers)),
        result=result,
        body=body if faithful else None,
        retry_after=entry["response_headers"].get("retry-after") or _retry_delay(digest),
    )


def _chat(digest: dict) -> Result:
    """OpenAI's and Azure's digests are in the caller's own terms."""
    answers = {
        choice["index"]: Answer(
            text=choice["text"],
            reasoning=choice["reasoning"],
            refusal=choice["refusal"],
            tool_calls=[(call["name"], json.loads(call["arguments"])) for call in choice["tool_calls"]],
            tool_call_ids=[call["id"] for call in choice["tool_calls"]],
            finish_reason=choice["finish_reason"],
        )
        for choice in digest["choices"]
    }
    return Result(answers=answers, usage=digest["usage"])


def _bedrock(entry: dict, digest: dict, body: bytes) -> Result:
    if "exception" in digest:
        return Result(failure=_exception(digest["exception"]))
    answer = Answer(
        text=digest["text"] if entry["streaming"] else _with_citations(digest["text"], body),
        reasoning=digest["reasoning"],
        tool_calls=[(call["name"], json.loads(call["arguments"])) for call in digest["tool_calls"]],
        tool_call_ids=[call["id"] for call in digest["tool_calls"]],
        finish_reason=FINISH_REASONS[digest["stop_reason"]],
    )
    return Result(answers={0: answer}, usage=_bedrock_usage(digest["usage"]))


def _google(digest: dict) -> Result:
    """A call finishes with `STOP`; one client was recorded getting the number of it."""
    calls = [(call["name"], json.loads(call["arguments"])) for call in digest["tool_calls"]]
    ids = [call["id"] for call in digest["tool_calls"]]
    finish = {"STOP": "stop", 1: "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}[digest["finish_reason"]]
    answer = Answer(
        text=digest["text"],
        reasoning=digest["thought"],
        tool_calls=calls,
        # Where there are none, ids are made up.
        tool_call_ids=ids if all(ids) else None,
        finish_reason="tool_calls" if calls else finish,
    )
    return Result(answers={0: answer}, usage=_google_usage(digest["usage"]))


def _retry_delay(digest: dict) -> str | None:
    """Google says it in the body, as in `"48s"`, and has no header."""
    error = digest.get("body", {}).get("error", {})
    details = error.get("details", []) if isinstance(error, dict) else []
    delays = [detail["retryDelay"] for detail in details if "retryDelay" in detail]
    return delays[0].removesuffix("s") if delays else None


def _google_usage(usage: dict) -> dict:
    """The prompt includes what was cached, the candidates exclude the thoughts."""
    count = lambda name: usage.get(f"{name}TokenCount", 0)
    counts = {
        "prompt_tokens": count("prompt") + count("toolUsePrompt"),
        "completion_tokens": count("candidates") + count("thoughts"),
        "total_tokens": count("total"),
    }
    if "cachedContentTokenCount" in usage:
        counts["prompt_tokens_details"] = {"cached_tokens": count("cachedContent")}
    if "thoughtsTokenCount" in usage:
        counts["completion_tokens_details"] = {"reasoning_tokens": count("thoughts")}
    return counts


def _with_citations(text: str, body: bytes) -> str:
    """The digest's text, but for its one mistake: of a whole reply it leaves out the text inside `citationsContent`,
    which is generated like any other; the same text in a stream comes as plain deltas, and there the digest has it."""
    blocks = json.loads(body)["output"]["message"]["content"]
    assert "".join(block.get("text", "") for block in blocks) == text, "the digest has a mistake of another kind"
    cited = lambda block: "".join(part.get("text", "") for part in block["citationsContent"].get("content", []))
    return "".join(cited(block) if "citationsContent" in block else block.get("text", "") for block in blocks)


def _bedrock_usage(usage: dict) -> dict:
    """Bedrock's `inputTokens` leave out what was read from or written to the cache; OpenAI's `prompt_tokens` don't."""
    read, written = (usage.get(f"cache{what}InputTokens") for what in ("Read", "Write"))
    counts = {
        "prompt_tokens": usage["inputTokens"] + (read or 0) + (written or 0),
        "completion_tokens": usage["outputTokens"],
        "total_tokens": usage["totalTokens"],
    }
    details = {"cached_tokens": read, "cache_write_tokens": written}
    details = {name: count for name, count in details.items() if count is not None}
    return counts | ({"prompt_tokens_details": details} if details else {})


def _anthropic(digest: dict) -> Result:
    answer = Answer(
        text=digest["text"],
        reasoning=digest["thinking"],
        tool_calls=[(call["name"], json.loads(call["arguments"])) for call in digest["tool_calls"]],
        tool_call_ids=[call["id"] for call in digest["tool_calls"]],
        finish_reason=FINISH_REASONS[digest["stop_reason"]],
    )
    return Result(answers={0: answer}, usage=_anthropic_usage(digest["usage"]))


def _anthropic_usage(usage: dict) -> dict:
    """Anthropic's `input_tokens` leave out what was read from or written to the cache; OpenAI's `prompt_tokens` don't."""
    read, written = (usage.get(f"cache_{what}_input_tokens") for what in ("read", "creation"))
    prompt = usage["input_tokens"] + (read or 0) + (written or 0)
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": usage["output_tokens"],
        "total_tokens": prompt + usage["output_tokens"],
    }
    cached = {"cached_tokens": read, "cache_write_tokens": written}
    thought = {"reasoning_tokens": usage.get("output_tokens_details", {}).get("thinking_tokens")}
    for name, details in (("prompt_tokens_details", cached), ("completion_tokens_details", thought)):
        details = {name: count for name, count in details.items() if count is not None}
        counts |= {name: details} if details else {}
    return counts


def _cohere(digest: dict) -> Result:
    """The plan that goes before calls is reasoning, too; a call without arguments gets an empty object."""
    answer = Answer(
        text=digest["text"],
        reasoning=(digest["tool_plan"] or "") + digest["thinking"],
        tool_calls=[(call["name"], json.loads(call["arguments"] or "{}")) for call in digest["tool_calls"]],
        tool_call_ids=[call["id"] for call in digest["tool_calls"]],
        finish_reason=FINISH_REASONS[digest["finish_reason"]],
    )
    return Result(answers={0: answer}, usage=_cohere_usage(digest["usage"]))


def _ollama(digest: dict) -> Result:
    """No recorded chat has calls."""
    answer = Answer(text=digest["text"], reasoning=digest["thinking"], finish_reason=digest["done_reason"])
    prompt, completion = digest["usage"]["prompt_eval_count"], digest["usage"]["eval_count"]
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return Result(answers={0: answer}, usage=usage)


def _cohere_usage(usage: dict) -> dict:
    """The size of prompt and answer, not what is billed; pictures are counted beside the text."""
    tokens = usage["tokens"]
    prompt, completion = tokens["input_tokens"] + tokens.get("image_tokens", 0), tokens["output_tokens"]
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if "cached_tokens" in usage:
        counts["prompt_tokens_details"] = {"cached_tokens": usage["cached_tokens"]}
    if "reasoning_tokens" in tokens:
        counts["completion_tokens_details"] = {"reasoning_tokens": tokens["reasoning_tokens"]}
    return counts


def _refused(provider: str, entry: dict, body: dict) -> Failure:
    """An upstream's refusal as the caller is to see it: class by status, the backend's own words and code.

    401 and 403 are about the gateway's key, not the caller's: they become 502, or a caller would doubt its own key, and
    the backend's words, which may show a part of that key, are not passed on.
    """
    told = body if provider in ("bedrock", "cohere") else body["error"]
    status, kind = REFUSALS[entry["status"]]
    code = told.get("code")
    if provider == "bedrock":
        # Named in a header, or nowhere.
        named = entry["response_headers"].get("x-amzn-errortype", "").split(":")[0]
        code = named or None
    message = told["message"]
    if provider == "anthropic":
        # It has types only; the codes are those of the gateway's classes.
        overflow = message.startswith("prompt is too long")
        code = "context_length_exceeded" if overflow else "model_not_found" if status == 404 else None
    if provider == "cohere":
        code = "context_length_exceeded" if told.get("error_type") == "TOO_MANY_TOKENS" else None
    if kind == "upstream_authentication_error":
        message = f"the backend refused the gateway's credentials (HTTP {entry['status']})"
    if provider in GOOGLE:
        code = told["status"]
        if "API key not valid" in message:
            status, kind = REFUSALS[401]
            message = f"the backend refused the gateway's credentials (HTTP {entry['status']})"
    return Failure(status=status, type=kind, message=message, code=code, param=told.get("param"))


def _exception(exception) -> Failure:
    """An exception inside a stream that had begun with 200: the same classes, but no status is left to give."""
    exception = json.loads(exception) if isinstance(exception, str) else exception
    assert exception["type"] == "validationException", "the table below knows no other"
    return Failure(
        status=None,
        type="invalid_request_error",
        message=exception["message"],
        code="ValidationException",
        param=None,
    )


@cache
def simulated() -> tuple[Exchange, ...]:
    """Exchanges that the simulator makes up, for every backend."""
    return tuple(
        _simulated(host, name, scenario, streaming, answer, counts)
        for host in ("openai", "azure", "azure-v1", "bedrock", "anthropic", "cohere", "ollama")
        for name, scenario, answer, counts in SCENARIOS
        for streaming in (True, False)
    )


def _simulated(host: str, name: str, scenario: str, streaming: bool, answer: dict, counts: dict) -> Exchange:
    answer = Answer(**answer)
    if host == "ollama":
        # A call comes in one piece, and counts for one token; what was cached is not said.
        counts = counts | {"completion": counts["completion"] - 5 * len(answer.tool_calls), "cached": 0}
    if host in ("bedrock", "anthropic", "cohere", "ollama") and counts["reasoning"]:
        # These show the reasoning itself; OpenAI's chat completions only count it.
        answer.reasoning = SIMULATED_REASONING
    return Exchange(
        id=f"{host} {name} {'stream' if streaming else 'whole'}",
        hosts=(host,),
        model="gpt-4o-mini",
        prompt=f"[sim {scenario}]",
        streaming=streaming,
        choices=1,
        result=Result(answers={0: answer}, usage=_simulated_usage(host, **counts)),
    )


def _simulated_usage(host: str, prompt: int, completion: int, cached: int, reasoning: int) -> dict:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if host in ("bedrock", "anthropic"):
        details = {"prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0}}
        return usage | (details if cached or host == "anthropic" else {})
    if host == "ollama":
        return usage
    if host == "cohere":
        thought = {"completion_tokens_details": {"reasoning_tokens": reasoning}}
        return usage | {"prompt_tokens_details": {"cached_tokens": cached}} | (thought if reasoning else {})
    return usage | {
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


HOSTS = {
    "openai": ("openai",),
    "azure": ("azure", "azure-v1"),
    "bedrock": ("bedrock",),
    "anthropic": ("anthropic",),
    "gemini": ("gemini",),
    "vertex": ("vertex_ai",),
    "cohere": ("cohere",),
    "ollama": ("ollama",),
}
GOOGLE = ("gemini", "vertex")
APIS = ("chat", "converse", "converse-stream", "messages", "generateContent", "streamGenerateContent", "v2-chat", "api-chat")
# A recording of two replies, one behind the other, which no backend sends.
TWO_REPLIES = "anthropic/messages.payload.03-vercel-anthropic-tool-search-regex-1"
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "TOOL_CALL": "tool_calls",
}
# Status upstream: status and `error.type` for the caller.
REFUSALS = {
    400: (400, "invalid_request_error"),
    401: (502, "upstream_authentication_error"),
    403: (502, "upstream_authentication_error"),
    404: (404, "invalid_request_error"),
    429: (429, "rate_limit_error"),
}

SIMULATED_REASONING = " A tide gate is"
# Name, scenario, answer, tokens. Every tool call is six tokens of the simulator's: its opening and five pieces.
SCENARIOS = (
    (
        "text",
        "tokens=7,prompt=30",
        {"text": " A tide gate is one door in", "finish_reason": "stop"},
        {"prompt": 30, "completion": 7, "cached": 0, "reasoning": 0},
    ),
    (
        "reasoning, text and tools",
        "tokens=3,reasoning=4,tools=2,prompt=30,cached=9",
        {
            "text": " A tide gate",
            "finish_reason": "tool_calls",
            "tool_calls": [("tide_table", {"harbour": "Delfzijl"})] * 2,
            "tool_call_ids": None,
        },
        {"prompt": 30, "completion": 19, "cached": 9, "reasoning": 4},
    ),
    (
        "trickled in pieces of three bytes",
        "tokens=5,trickle=3,prompt=30",
        {"text": " A tide gate is one", "finish_reason": "stop"},
        {"prompt": 30, "completion": 5, "cached": 0, "reasoning": 0},
    ),
)
