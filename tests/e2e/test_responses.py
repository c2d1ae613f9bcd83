"""The official OpenAI client's `responses`, unmodified, on the gateway: over every backend, streaming, with tools, reasoning and
structured output, hanging up half way, and with what backends keep. Recorded replies reach it byte for byte; recorded replies of
the Responses API reach callers of chat completions, who do not know of it.
"""

import json
import time
import urllib.request

import openai
import pytest

from conftest import client_of
from processes import KEY, PATIENCE_S, Gateway, until
from recordings import corpus
from test_hang_up import WITHIN_MS, assert_line_of_a_caller_gone, backend_closed

# Hosts that have the API themselves, and hosts that don't.
RELAYED = ("openai", "azure", "azure-v1")
TRANSLATED = ("bedrock", "anthropic", "gemini", "plain")
HOSTS = RELAYED + TRANSLATED
TOOL = {
    "type": "function",
    "name": "tide_table",
    "description": "When the tide turns.",
    "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}}},
    "strict": False,
}
SCENARIO = "tokens=3,reasoning=4,tools=2,prompt=30,cached=9"


@pytest.fixture(scope="module")
def gateway(simulator, tmp_path_factory):
    """One with a host whose Responses API is not used, and one that is called by it only."""
    more = f"""\
  plain: {{ kind: openai, base_url: "{simulator.url}/v1", api_key: {KEY}, responses: never }}
  bridged: {{ kind: openai, base_url: "{simulator.url}/v1", api_key: {KEY}, responses: always }}
"""
    with Gateway(tmp_path_factory.mktemp("responses"), simulator.url, more) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def client(gateway):
    with client_of(gateway) as client:
        yield client


def request(host: str, scenario: str) -> dict:
    return {"model": f"{host}/gpt-4o-mini", "input": [{"role": "user", "content": f"[sim {scenario}]"}], "tools": [TOOL]}


def shown(response) -> list[tuple]:
    """The items of a response, in short. Gemini's signature of a call is a reasoning without text."""
    short = []
    for item in response.output:
        if item.type == "reasoning":
            text = "".join(part.text for part in item.summary)
            assert text or item.encrypted_content
            short += [("reasoning", text)] if text else []
        elif item.type == "message":
            short.append(("message", "".join(part.text for part in item.content)))
        else:
            short.append((item.type, item.name, json.loads(item.arguments)))
    return short


def expected(host: str) -> list[tuple]:
    # Chat completions only count their reasoning.
    reasoning = [] if host == "plain" else [("reasoning", " A tide gate is")]
    return reasoning + [("message", " A tide gate")] + [("function_call", "tide_table", {"harbour": "Delfzijl"})] * 2


def assert_usage(host: str, usage):
    # A call of Gemini's comes in one piece.
    generated = 9 if host == "gemini" else 19
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens) == (30, 9)
    assert (usage.output_tokens, usage.total_tokens) == (generated, 30 + generated)


@pytest.mark.parametrize("host", HOSTS)
def test_a_whole_response(client, host):
    response = client.responses.create(**request(host, SCENARIO))
    assert (response.status, response.output_text) == ("completed", " A tide gate")
    assert shown(response) == expected(host)
    assert_usage(host, response.usage)


@pytest.mark.parametrize("host", HOSTS)
def test_a_stream_is_put_together_by_the_clients_own_helper(client, host):
    with client.responses.stream(**request(host, SCENARIO)) as stream:
        events = list(stream)
        response = stream.get_final_response()
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == " A tide gate"
    assert shown(response) == expected(host)
    assert_usage(host, response.usage)


@pytest.mark.parametrize("host", HOSTS)
def test_events_are_numbered_without_a_gap(client, host):
    events = list(client.responses.create(**request(host, SCENARIO), stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    kinds = [event.type for event in events]
    for kind in ("output_item", "content_part"):
        assert kinds.count(f"response.{kind}.added") == kinds.count(f"response.{kind}.done") > 0


@pytest.mark.parametrize("host", HOSTS)
def test_a_turn_with_tools_is_carried_on(client, host):
    """What the client has of a turn goes back in, its reasoning too, with the results of its tools."""
    asked = request(host, SCENARIO) | {"store": False, "include": ["reasoning.encrypted_content"]}
    response = client.responses.create(**asked)
    calls = [item for item in response.output if item.type == "function_call"]
    assert len({call.call_id for call in calls}) == 2
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "03:12"} for call in calls]
    question = {"role": "user", "content": [{"type": "input_text", "text": "[sim tokens=3]"}]}
    turns = [*asked["input"], *(item.to_dict() for item in response.output), *results, question]
    asked |= {"input": turns, "instructions": "Be brief."}
    answer = client.responses.create(**asked)
    assert answer.status == "completed" and answer.output_text == " A tide gate"


@pytest.mark.parametrize("host", ("openai", "azure-v1", "anthropic", "gemini", "plain"))
def test_structured_output_is_parsed_by_the_client(client, host):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
    form = {"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}}
    asked = request(host, "tokens=2") | {"text": form}
    asked.pop("tools")
    response = client.responses.create(**asked)
    assert response.status == "completed"
    # A translated response repeats what it was asked for.
    assert host in RELAYED or response.text.format.type == "json_schema"


@pytest.mark.parametrize("host", HOSTS)
def test_a_close_half_way_stops_the_backend(simulator, gateway, client, host):
    tag = f"responses-closed-{host}"
    with client.responses.create(**request(host, f"tokens=100000,interval=2ms,tag={tag}"), stream=True) as stream:
        call_id = stream.response.headers["x-tidegate-call-id"]
        events = iter(stream)
        while next(events).type != "response.output_text.delta":
            pass
    gone = time.monotonic_ns()
    assert (backend_closed(simulator, tag)["closed_ns"] - gone) / 1e6 < WITHIN_MS
    assert_line_of_a_caller_gone(gateway, call_id, status=200)


@pytest.mark.parametrize("host", HOSTS)
def test_errors_are_the_clients_own(client, host):
    for status, error in ((404, openai.NotFoundError), (429, openai.RateLimitError), (500, openai.InternalServerError)):
        with pytest.raises(error):
            client.responses.create(**request(host, f"error={status}"))
    with pytest.raises(openai.APIError):
        for _ in client.responses.create(**request(host, "tokens=9,truncate=6"), stream=True):
            pass


@pytest.mark.parametrize("host", RELAYED)
def test_what_a_host_keeps_is_reached_by_its_id_alone(client, host):
    made = client.responses.create(**request(host, "finish=queued"), background=True)
    assert (made.status, made.id.rsplit(".", 1)[1]) == ("queued", host)
    assert client.responses.retrieve(made.id).id == made.id
    assert client.responses.cancel(made.id).status == "cancelled"
    assert [item.id for item in client.responses.input_items.list(made.id)] == ["msg_1"]
    with client.responses.retrieve(made.id, stream=True, starting_after=0) as stream:
        last = list(stream)[-1]
    assert (last.type, last.response.id) == ("response.completed", made.id)
    client.responses.delete(made.id)
    continued = client.responses.create(**request(host, "tokens=1"), previous_response_id=made.id)
    assert continued.status == "completed"


@pytest.mark.parametrize("host", TRANSLATED)
def test_what_nobody_keeps_is_refused_by_name(client, host):
    for fields in ({"previous_response_id": "resp_1"}, {"background": True}, {"store": True}):
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(**request(host, "tokens=1"), **fields)
        assert raised.value.param == next(iter(fields))
        assert "does not have the Responses API" in raised.value.message


@pytest.mark.parametrize("streaming", (True, False))
def test_a_chat_caller_does_not_know_that_a_model_is_reached_by_it(client, streaming):
    tool = {"type": "function", "function": {"name": "tide_table", "parameters": TOOL["parameters"]}}
    asked = {
        "model": "openai/gpt-6",
        "messages": [{"role": "user", "content": f"[sim {SCENARIO}]"}],
        "tools": [tool],
    }
    if streaming:
        with client.chat.completions.stream(**asked) as stream:
            reply = stream.get_final_completion()
    else:
        reply = client.chat.completions.create(**asked)
    message = reply.choices[0].message
    assert (message.content, reply.choices[0].finish_reason) == (" A tide gate", "tool_calls")
    assert [call.function.arguments for call in message.tool_calls] == ['{"harbour":"Delfzijl"}'] * 2
    # Only the Responses API shows it.
    assert message.reasoning_content == " A tide gate is"


def recorded() -> list[dict]:
    """Recorded exchanges of OpenAI and Azure that went well; two recordings are of several replies."""
    found = []
    for provider in ("openai", "azure") if corpus() else ():
        digests = json.loads((corpus() / provider / "expect.json").read_text())
        for entry in json.loads((corpus() / provider / "index.json").read_text()):
            digest = digests.get(entry["id"])
            if entry["api"] == "responses" and entry["status"] == 200 and "reasoning-encrypted-content" not in entry["id"]:
                final = (digest.get("final") if entry["streaming"] else digest) or {}
                if final.get("status") == "completed":
                    found.append(entry | {"provider": provider, "digest": digest, "final": final})
    return found


@pytest.mark.parametrize("entry", recorded(), ids=lambda entry: entry["id"])
def test_a_recorded_response_is_relayed_byte_for_byte(gateway, entry):
    body = (corpus() / entry["provider"] / entry["response_file"]).read_bytes()
    asked = {"model": f"{entry['provider']}/{entry['id']}", "input": "?", "store": False, "stream": entry["streaming"]}
    asked = urllib.request.Request(f"{gateway.url}/v1/responses", json.dumps(asked).encode())
    asked.add_header("authorization", f"Bearer {KEY}")
    asked.add_header("content-type", "application/json")
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as reply:
        got = reply.read()
        call_id = reply.headers["x-tidegate-call-id"]
    if entry["response_file"].endswith(".jsonl"):
        lines = [line[6:] for line in got.decode().splitlines() if line.startswith("data: ")]
        assert lines == [line for line in body.decode().split("\n") if line]
    else:
        assert got == body
    call = until(lambda: gateway.settled(id=call_id))
    usage = entry["final"]["usage"]
    counted = (call["prompt_tokens"], call["completion_tokens"])
    assert call["outcome"] == "complete"
    assert not usage or counted == (usage["input_tokens"], usage["output_tokens"])


OPENAI = [entry for entry in recorded() if entry["provider"] == "openai"]


@pytest.mark.parametrize("entry", OPENAI, ids=lambda entry: entry["id"])
def test_a_recorded_response_reaches_a_chat_caller(client, entry):
    asked = {"model": f"bridged/{entry['id']}", "messages": [{"role": "user", "content": "?"}]}
    text = entry["digest"]["delta_text"] if entry["streaming"] else entry["final"]["text"]
    if entry["streaming"]:
        chunks = [chunk for chunk in client.chat.completions.create(**asked, stream=True) if chunk.choices]
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        finish = chunks[-1].choices[0].finish_reason
    else:
        choice = client.chat.completions.create(**asked).choices[0]
        said, finish = choice.message.content or "", choice.finish_reason
    assert (said, finish) == (text, "tool_calls" if entry["final"]["tool_calls"] else "stop")
