"""Anthropic's official client, unmodified, on the gateway's Messages surface: over every backend, streaming, with tools, and
hanging up half way. Recorded replies of Anthropic itself reach it byte for byte.
"""

import json
import time
import urllib.request

import anthropic
import pytest

from processes import KEY, PATIENCE_S, until
from recordings import corpus, recorded
from test_hang_up import WITHIN_MS, assert_line_of_a_caller_gone, backend_closed

HOSTS = ("openai", "azure", "azure-v1", "bedrock", "anthropic", "cohere")
TOOL = {
    "name": "tide_table",
    "description": "When the tide turns.",
    "input_schema": {"type": "object", "properties": {"harbour": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def client(gateway):
    """Without its retries: what is tested is one call."""
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0, timeout=PATIENCE_S) as client:
        yield client


def request(host: str, scenario: str) -> dict:
    messages = [{"role": "user", "content": f"[sim {scenario}]"}]
    return {"model": f"{host}/gpt-4o-mini", "max_tokens": 500, "messages": messages, "tools": [TOOL]}


def shown(message) -> list[tuple]:
    """The blocks of a message, in short."""
    fields = {"text": ("text",), "thinking": ("thinking", "signature"), "tool_use": ("name", "input")}
    return [(block.type, *(getattr(block, field) for field in fields[block.type])) for block in message.content]


def expected(host: str) -> list[tuple]:
    # OpenAI's chat completions only count their reasoning.
    signature = SIGNATURES.get(host)
    thinking = [] if signature is None else [("thinking", " A tide gate is", signature)]
    return thinking + [("text", " A tide gate")] + [("tool_use", "tide_table", {"harbour": "Delfzijl"})] * 2


SCENARIO = "tokens=3,reasoning=4,tools=2,prompt=30,cached=9"
SIGNATURE = "RXhhbXBsZSBzaWduYXR1cmUgb2YgYSBzaW11bGF0ZWQgcmVhc29uaW5nIGJsb2Nr"
# Cohere signs nothing.
SIGNATURES = {"bedrock": SIGNATURE, "anthropic": SIGNATURE, "cohere": ""}


@pytest.mark.parametrize("host", HOSTS)
def test_a_whole_message(client, host):
    message = client.messages.create(**request(host, SCENARIO))
    assert shown(message) == expected(host)
    assert message.stop_reason == "tool_use"
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (21, 9, 19)


@pytest.mark.parametrize("host", HOSTS)
def test_a_stream_is_put_together_by_the_clients_own_helper(client, host):
    with client.messages.stream(**request(host, SCENARIO)) as stream:
        text = "".join(event.text for event in stream if event.type == "text")
        message = stream.get_final_message()
    assert text == " A tide gate"
    assert shown(message) == expected(host)
    assert message.stop_reason == "tool_use"
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (21, 9, 19)


@pytest.mark.parametrize("host", HOSTS)
def test_a_turn_with_tools_is_carried_on(client, host):
    """What the client has of a turn goes back in, with the results of its tools."""
    asked = request(host, SCENARIO)
    message = client.messages.create(**asked)
    calls = [block for block in message.content if block.type == "tool_use"]
    assert len({call.id for call in calls}) == 2
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "03:12"} for call in calls]
    turns = [
        *asked["messages"],
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [*results, {"type": "text", "text": "[sim tokens=3]"}]},
    ]
    choice = {"type": "auto", "disable_parallel_tool_use": True} if host != "bedrock" else {"type": "auto"}
    asked |= {"messages": turns, "tool_choice": choice, "system": "Be brief."}
    answer = client.messages.create(**asked)
    assert answer.stop_reason in ("end_turn", "tool_use") and answer.content


@pytest.mark.parametrize("host", HOSTS)
def test_a_close_half_way_stops_the_backend(simulator, gateway, client, host):
    tag = f"messages-closed-{host}"
    with client.messages.create(**request(host, f"tokens=100000,interval=2ms,tag={tag}"), stream=True) as stream:
        call_id = stream.response.headers["x-tidegate-call-id"]
        assert stream.response.headers["request-id"] == call_id
        events = iter(stream)
        while next(events).type != "content_block_delta":
            pass
    gone = time.monotonic_ns()
    assert (backend_closed(simulator, tag)["closed_ns"] - gone) / 1e6 < WITHIN_MS
    assert_line_of_a_caller_gone(gateway, call_id, status=200)


@pytest.mark.parametrize("host", HOSTS)
def test_errors_are_the_clients_own(client, host):
    for status, error in (
        (400, anthropic.BadRequestError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
    ):
        if (host, status) == ("bedrock", 400):
            # What this simulator refuses there is the model's name.
            error = anthropic.NotFoundError
        with pytest.raises(error) as raised:
            client.messages.create(**request(host, f"error={status}"))
        assert raised.value.body["type"] == "error" and raised.value.body["error"]["message"]
    with pytest.raises(anthropic.APIStatusError) as raised:
        for _ in client.messages.create(**request(host, "tokens=9,truncate=6"), stream=True):
            pass
    assert raised.value.body["error"]["type"] == "api_error"


def test_a_wrong_key_is_the_clients_own_error(gateway):
    """The key of the gateway's backends is none of its callers'; without a master key nobody needs one."""
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError) as raised:
            client.messages.create(**request("wrong-key", "tokens=1"))
    assert raised.value.status_code == 502


def test_tokens_are_counted_by_anthropic_alone(client):
    asked = request("anthropic", "prompt=77")
    asked.pop("max_tokens")
    assert client.messages.count_tokens(**asked).input_tokens == 77
    with pytest.raises(anthropic.BadRequestError, match="can't be counted"):
        client.messages.count_tokens(**(asked | {"model": "openai/gpt-4o-mini"}))


ANTHROPIC = [exchange for exchange in recorded() if exchange.hosts == ("anthropic",) and not exchange.result.failure]


@pytest.mark.parametrize("exchange", ANTHROPIC, ids=lambda exchange: exchange.id)
def test_a_recorded_message_is_relayed_byte_for_byte(gateway, tally, exchange):
    entry = next(entry for entry in index() if entry["id"] == exchange.id)
    recorded_body = (corpus() / "anthropic" / entry["response_file"]).read_bytes()
    body = exchange.request("anthropic", include_usage=False) | {"stream": exchange.streaming, "max_tokens": 9}
    asked = urllib.request.Request(f"{gateway.url}/v1/messages", json.dumps(body).encode())
    asked.add_header("x-api-key", KEY)
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as reply:
        got = reply.read()
        call_id = reply.headers["x-tidegate-call-id"]
    if entry["response_fidelity"].startswith("payload") and exchange.streaming:
        lines = [line[6:] for line in got.decode().splitlines() if line.startswith("data: ")]
        assert lines == recorded_body.decode().split("\n")[: len(lines)] and len(lines) > 5
    else:
        assert got == recorded_body
    call = until(lambda: gateway.settled(id=call_id))
    assert (call["outcome"], call["usage"]) == ("complete", "reported")
    assert call["prompt_tokens"] == exchange.result.usage["prompt_tokens"]
    assert call["completion_tokens"] == exchange.result.usage["completion_tokens"]
    tally.saw(exchange)


def index():
    return json.loads((corpus() / "anthropic" / "index.json").read_text())


CLOUDS = {"bedrock": "bedrock/anthropic.claude-sim", "vertex_ai": "vertex_ai/claude-sim@20261122"}


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
def test_claude_in_another_cloud_is_called_by_its_own_api(client, cloud, streaming):
    asked = request("anthropic", SCENARIO) | {"model": CLOUDS[cloud]}
    if streaming:
        with client.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**asked)
    assert shown(message) == expected("anthropic")
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (21, 9, 19)


def test_bedrock_counts_tokens_of_claude(client):
    asked = request("bedrock", "prompt=77") | {"model": "bedrock/us.anthropic.claude-sim"}
    asked.pop("max_tokens")
    assert client.messages.count_tokens(**asked).input_tokens == 77


def invoked():
    """Recorded replies of InvokeModel that are Anthropic's: name, whether streamed, digest."""
    if not corpus():
        return []
    entries = json.loads((corpus() / "bedrock" / "index.json").read_text())
    digests = json.loads((corpus() / "bedrock" / "expect.json").read_text())
    # A guardrail's answer has a `message_delta` without usage, on which the client's own helper fails.
    ours = [
        entry
        for entry in entries
        if entry["api"].startswith("invoke")
        and "blocks" in (digests.get(entry["id"]) or {})
        and "guardrail" not in entry["features"]
    ]
    return [(entry["id"].split("/", 1)[1], entry["streaming"], digests[entry["id"]]) for entry in ours]


@pytest.mark.parametrize(
    ("name", "streaming", "digest"), invoked(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_recorded_reply_of_invoke_model_reaches_the_official_client(client, gateway, name, streaming, digest):
    asked = {"model": f"bedrock/claude-replay:{name}", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    if streaming:
        with client.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**asked)
    assert "".join(block.text for block in message.content) == digest["text"]
    assert message.stop_reason == digest["stop_reason"]
    assert message.usage.output_tokens == digest["usage"]["output_tokens"]
