"""AWS's official client, unmodified, on the gateway's Bedrock surface: over every backend, whole and streaming, with tools, and hanging
up half way; signed requests and bearer tokens. Recorded replies of Bedrock itself reach it byte for byte.
"""

import json
import subprocess
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from processes import KEY, PATIENCE_S, Gateway, documented, until
from recordings import corpus, recorded
from test_hang_up import WITHIN_MS, assert_line_of_a_caller_gone, backend_closed

HOSTS = ("openai", "azure", "azure-v1", "bedrock", "anthropic", "gemini", "vertex_ai")
TOOLS = {
    "tools": [
        {
            "toolSpec": {
                "name": "tide_table",
                "description": "When the tide turns.",
                "inputSchema": {"json": {"type": "object", "properties": {"harbour": {"type": "string"}}}},
            }
        }
    ]
}


def signing(gateway: Gateway, secret: str = KEY):
    """The client as its users have it, with the gateway's key as its secret."""
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=gateway.url,
        aws_access_key_id="anybody",
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE_S),
    )


def bearing(gateway: Gateway, monkeypatch, token: str, certificate):
    """With a bearer token, which its users have in the environment, and which it sends over TLS only."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", token)
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=f"https://localhost:{gateway.port}",
        verify=str(certificate),
        config=Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE_S),
    )


@pytest.fixture(scope="module")
def client(gateway):
    return signing(gateway)


def asked(host: str, scenario: str) -> dict:
    return {
        "modelId": f"{host}/gpt-4o-mini",
        "messages": [{"role": "user", "content": [{"text": f"[sim {scenario}]"}]}],
        "toolConfig": TOOLS,
        "inferenceConfig": {"maxTokens": 500},
    }


def expected(host: str) -> list[dict]:
    thinking = []
    if host not in ("openai", "azure", "azure-v1"):
        # OpenAI's chat completions only count their reasoning; Gemini signs its calls.
        shown = {"text": " A tide gate is"}
        if host in ("bedrock", "anthropic"):
            shown["signature"] = SIGNATURE
        thinking = [{"reasoningContent": {"reasoningText": shown}}]
    calls = [{"toolUse": {"name": "tide_table", "input": {"harbour": "Delfzijl"}}}] * 2
    return thinking + [{"text": " A tide gate"}] + calls


def shown(content: list[dict]) -> list[dict]:
    """Blocks without the ids of calls, and without the signatures of Gemini's calls."""
    blocks = []
    for block in content:
        block = json.loads(json.dumps(block))
        block.get("toolUse", {}).pop("toolUseId", None)
        block.get("toolUse", {}).pop("type", None)
        if block.get("reasoningContent", {}).get("reasoningText", {}).get("text") != "":
            blocks.append(block)
    return blocks


def put_together(events) -> tuple[list[dict], str, dict]:
    """Blocks, stop reason and usage of a stream."""
    blocks, stop, usage = {}, None, None
    for event in events:
        match event:
            case {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": tool}}}:
                blocks[index] = {"toolUse": {**tool, "input": ""}}
            case {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"text": text}}}:
                block = blocks.setdefault(index, {"text": ""})
                block["text"] += text
            case {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"reasoningContent": piece}}}:
                block = blocks.setdefault(index, {"reasoningContent": {"reasoningText": {"text": ""}}})
                for name, value in piece.items():
                    said = block["reasoningContent"]["reasoningText"]
                    said[name] = said.get(name, "") + value
            case {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"toolUse": piece}}}:
                blocks[index]["toolUse"]["input"] += piece["input"]
            case {"messageStop": {"stopReason": reason}}:
                stop = reason
            case {"metadata": {"usage": used}}:
                usage = used
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return [blocks[index] for index in sorted(blocks)], stop, usage


def assert_counted(usage: dict, host: str):
    # The simulated Gemini counts a call as nothing.
    generated = 9 if host in ("gemini", "vertex_ai") else 19
    assert (usage["inputTokens"], usage["cacheReadInputTokens"], usage["outputTokens"]) == (21, 9, generated)
    assert usage["totalTokens"] == 30 + generated


SCENARIO = "tokens=3,reasoning=4,tools=2,prompt=30,cached=9"
SIGNATURE = "RXhhbXBsZSBzaWduYXR1cmUgb2YgYSBzaW11bGF0ZWQgcmVhc29uaW5nIGJsb2Nr"


@pytest.mark.parametrize("host", HOSTS)
def test_a_whole_answer(client, host):
    answer = client.converse(**asked(host, SCENARIO))
    assert shown(answer["output"]["message"]["content"]) == expected(host)
    assert answer["output"]["message"]["role"] == "assistant"
    assert answer["stopReason"] == "tool_use"
    assert_counted(answer["usage"], host)


@pytest.mark.parametrize("host", HOSTS)
def test_a_stream(client, host):
    events = list(client.converse_stream(**asked(host, SCENARIO))["stream"])
    assert "messageStart" in events[0] and "metadata" in events[-1]
    blocks, stop, usage = put_together(events)
    assert shown(blocks) == expected(host)
    assert stop == "tool_use"
    assert_counted(usage, host)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("host", HOSTS)
def test_a_turn_with_tools_is_carried_on(client, host, streaming):
    """What the client has of a turn goes back in, with the results of its tools."""
    request = asked(host, SCENARIO)
    if streaming:
        content, _, _ = put_together(client.converse_stream(**request)["stream"])
    else:
        content = client.converse(**request)["output"]["message"]["content"]
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    assert len({call["toolUseId"] for call in calls}) == 2
    results = [
        {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"at": "03:12"}}], "status": "success"}}
        for call in calls
    ]
    request["messages"] += [
        {"role": "assistant", "content": content},
        {"role": "user", "content": [*results, {"text": "[sim tokens=3]"}]},
    ]
    answer = client.converse(**request, system=[{"text": "Be brief."}])
    assert shown(answer["output"]["message"]["content"])[0] == {"text": " A tide gate"}


@pytest.mark.parametrize("host", HOSTS)
def test_a_close_half_way_stops_the_backend(simulator, gateway, client, host):
    tag = f"converse-closed-{host}"
    answer = client.converse_stream(**asked(host, f"tokens=100000,interval=2ms,tag={tag}"))
    call_id = answer["ResponseMetadata"]["HTTPHeaders"]["x-tidegate-call-id"]
    assert answer["ResponseMetadata"]["RequestId"] == call_id
    events = iter(answer["stream"])
    while "contentBlockDelta" not in next(events):
        pass
    answer["stream"].close()
    gone = time.monotonic_ns()
    assert (backend_closed(simulator, tag)["closed_ns"] - gone) / 1e6 < WITHIN_MS
    assert_line_of_a_caller_gone(gateway, call_id, status=200)


@pytest.mark.parametrize("host", HOSTS)
def test_errors_are_the_clients_own(client, host):
    for status, name in (
        (400, "ValidationException"),
        (404, "ResourceNotFoundException"),
        (429, "ThrottlingException"),
        (500, "ModelErrorException"),
    ):
        if (host, status) == ("bedrock", 400):
            # What this simulator refuses there is the model's name.
            name = "ResourceNotFoundException"
        with pytest.raises(ClientError) as raised:
            client.converse(**asked(host, f"error={status}"))
        assert raised.value.response["Error"]["Code"] == name
        assert type(raised.value) is getattr(client.exceptions, name) and raised.value.response["Error"]["Message"]
    with pytest.raises(EventStreamError) as raised:
        list(client.converse_stream(**asked(host, "tokens=9,truncate=6"))["stream"])
    assert raised.value.response["Error"]["Code"] == "modelStreamErrorException"


@pytest.mark.parametrize("host", ("openai", "bedrock"))
def test_a_silent_stream_says_nothing_that_the_client_would_read(simulator, tmp_path_factory, host):
    with Gateway(tmp_path_factory.mktemp("silent"), simulator.url, "heartbeat: 20ms\n") as gateway:
        events = signing(gateway).converse_stream(**asked(host, "tokens=3,first_token_delay=300ms"))["stream"]
        names = {name for event in events for name in event}
    # The simulated Bedrock begins its message before it is silent.
    assert names == {"messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}


@pytest.fixture(scope="module")
def locked(simulator, tmp_path_factory):
    """A gateway with a key."""
    with Gateway(tmp_path_factory.mktemp("locked"), simulator.url, f"master_key: {MASTER}\n") as gateway:
        yield gateway


@pytest.mark.parametrize("streaming", [False, True])
def test_a_request_signed_with_the_gateways_key_is_answered(locked, streaming):
    client = signing(locked, MASTER)
    for model in ("openai/gpt-4o-mini", "bedrock/us.anthropic.claude-3-haiku-20240307-v1:0"):
        request = asked("openai", "tokens=3") | {"modelId": model}
        if streaming:
            blocks, _, _ = put_together(client.converse_stream(**request)["stream"])
        else:
            blocks = client.converse(**request)["output"]["message"]["content"]
        assert blocks == [{"text": " A tide gate"}]


def test_a_request_signed_with_another_key_or_at_another_time_is_refused(locked):
    with pytest.raises(ClientError) as raised:
        signing(locked, "another").converse(**asked("openai", "tokens=3"))
    assert raised.value.response["Error"]["Code"] == "AccessDeniedException"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401
    late = signing(locked, MASTER)
    late.meta.events.register("before-send", _at_another_time)
    with pytest.raises(ClientError, match="X-Amz-Date"):
        late.converse(**asked("openai", "tokens=3"))
    changed = signing(locked, MASTER)
    changed.meta.events.register("before-send", _another_body)
    with pytest.raises(ClientError, match="not signed with"):
        changed.converse(**asked("openai", "tokens=3"))
    refused = until(lambda: [call for call in locked.calls(status=401) if call["prompt_tokens"] == 0])
    assert refused and MASTER not in locked.log.read_text()


def _at_another_time(request, **_):
    request.headers["X-Amz-Date"] = "20200101T000000Z"


def _another_body(request, **_):
    request.body = request.body.replace(b"tokens=3", b"tokens=4")


def test_a_bearer_token_is_the_gateways_key(simulator, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("bearer")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    subprocess.run([*command, "-days", "2", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    listen = f"[{{ address: 127.0.0.1:0, tls: {{ certificate: {certificate}, key: {key} }} }}]"
    with Gateway(folder, simulator.url, f"master_key: {MASTER}\n", listen) as gateway:
        answer = bearing(gateway, monkeypatch, MASTER, certificate).converse(**asked("openai", "tokens=3"))
        assert answer["output"]["message"]["content"] == [{"text": " A tide gate"}]
        with pytest.raises(ClientError) as raised:
            bearing(gateway, monkeypatch, "wrong", certificate).converse(**asked("openai", "tokens=3"))
        assert raised.value.response["Error"]["Code"] == "AccessDeniedException"


def test_without_a_key_of_the_gateways_any_signature_will_do(gateway):
    assert signing(gateway, "whatever").converse(**asked("openai", "tokens=3"))["stopReason"] == "end_turn"


def test_the_lines_of_the_documentation_are_all_it_takes(gateway, capsys):
    [lines] = documented("bedrock.md")
    exec(lines.replace("http://127.0.0.1:4000", gateway.url), {})
    assert "assistant" in capsys.readouterr().out


BEDROCK = [exchange for exchange in recorded() if exchange.hosts == ("bedrock",) and not exchange.result.failure]


@pytest.mark.parametrize("exchange", BEDROCK, ids=lambda exchange: exchange.id)
def test_a_recorded_reply_is_relayed_byte_for_byte(gateway, tally, exchange):
    entry = next(entry for entry in index() if entry["id"] == exchange.id)
    operation = "converse-stream" if exchange.streaming else "converse"
    model = exchange.model.replace(":", "%3A").replace("/", "%2F")
    body = {"messages": [{"role": "user", "content": [{"text": exchange.prompt}]}]}
    request = urllib.request.Request(
        f"{gateway.url}/model/bedrock%2F{model}/{operation}", json.dumps(body).encode(), {"authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
        media = "application/vnd.amazon.eventstream" if exchange.streaming else "application/json"
        assert reply.headers["content-type"] == media
        assert reply.read() == (corpus() / "bedrock" / entry["response_file"]).read_bytes()
        call = gateway.settled(id=reply.headers["x-tidegate-call-id"])
    assert (call["outcome"], call["usage"]) == ("complete", "reported")
    assert call["prompt_tokens"] == exchange.result.usage["prompt_tokens"]
    assert call["completion_tokens"] == exchange.result.usage["completion_tokens"]
    tally.saw(exchange)


def index():
    return json.loads((corpus() / "bedrock" / "index.json").read_text())


MASTER = "sk-a-master-key-of-this-gateway-0123456789"
