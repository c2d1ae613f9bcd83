"""Google's official client, unmodified, on the gateway's Gemini surface: over every backend, whole and streaming, with tools, and
hanging up half way, for both of Google's hosts. Recorded replies of Gemini itself reach it byte for byte.
"""

import asyncio
import json
import time
import urllib.error
import urllib.request

import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from processes import KEY, PATIENCE_S, Gateway, documented, until
from recordings import corpus, recorded
from test_hang_up import WITHIN_MS, assert_line_of_a_caller_gone, backend_closed

HOSTS = ("openai", "azure", "azure-v1", "bedrock", "anthropic", "gemini", "vertex_ai")
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="tide_table",
            description="When the tide turns.",
            parameters={"type": "OBJECT", "properties": {"harbour": {"type": "STRING", "nullable": True}}},
        )
    ]
)


def options(gateway: Gateway) -> types.HttpOptions:
    return types.HttpOptions(base_url=gateway.url, timeout=int(PATIENCE_S * 1000))


@pytest.fixture(scope="module", params=["gemini", "vertex", "vertex-key"])
def client(request, gateway):
    """As its users point it at the Gemini API, and at Vertex AI with and without a project."""
    match request.param:
        case "gemini":
            return genai.Client(api_key=KEY, http_options=options(gateway))
        case "vertex":
            return genai.Client(
                vertexai=True,
                project="p",
                location="europe-west4",
                credentials=Credentials(KEY),
                http_options=options(gateway),
            )
        case "vertex-key":
            return genai.Client(vertexai=True, api_key=KEY, http_options=options(gateway))


def asked(host: str, scenario: str, **config) -> dict:
    return {
        "model": f"{host}/gpt-4o-mini",
        "contents": f"[sim {scenario}]",
        "config": types.GenerateContentConfig(tools=[TOOL], max_output_tokens=500, **config),
    }


def shown(parts) -> list[tuple]:
    """The parts of an answer, in short; pieces of one text as one."""
    said = []
    for part in parts:
        if part.function_call:
            said.append(("call", part.function_call.name, part.function_call.args))
            continue
        kind = "thought" if part.thought else "text"
        if said and said[-1][0] == kind:
            said[-1] = (kind, said[-1][1] + part.text)
        elif part.text:
            said.append((kind, part.text))
    return said


def expected(host: str) -> list[tuple]:
    # OpenAI's chat completions only count their reasoning.
    thought = [] if host in ("openai", "azure", "azure-v1") else [("thought", " A tide gate is")]
    return thought + [("text", " A tide gate")] + [("call", "tide_table", {"harbour": "Delfzijl"})] * 2


def assert_counted(usage, host: str):
    # The simulated Gemini counts a call as nothing.
    calls = 0 if host in ("gemini", "vertex_ai") else 10
    thoughts = 4 if host in ("openai", "azure", "azure-v1", "gemini", "vertex_ai") else 0
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (30, 9)
    assert (usage.thoughts_token_count or 0) == thoughts
    assert usage.candidates_token_count + thoughts == 9 + calls
    assert usage.total_token_count == 39 + calls


SCENARIO = "tokens=3,reasoning=4,tools=2,prompt=30,cached=9"


@pytest.mark.parametrize("host", HOSTS)
def test_a_whole_answer(client, host):
    answer = client.models.generate_content(**asked(host, SCENARIO))
    assert shown(answer.candidates[0].content.parts) == expected(host)
    assert answer.candidates[0].finish_reason == "STOP"
    assert answer.model_version and answer.response_id
    assert_counted(answer.usage_metadata, host)


@pytest.mark.parametrize("host", HOSTS)
def test_a_stream(client, host):
    chunks = list(client.models.generate_content_stream(**asked(host, SCENARIO)))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
    assert shown(parts) == expected(host)
    assert [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates[0].finish_reason] == ["STOP"]
    assert len({chunk.response_id for chunk in chunks}) == 1
    assert_counted(chunks[-1].usage_metadata, host)


@pytest.mark.parametrize("host", HOSTS)
def test_the_asynchronous_client_gets_the_same(gateway, host):
    async def both():
        client = genai.Client(api_key=KEY, http_options=options(gateway)).aio
        whole = await client.models.generate_content(**asked(host, SCENARIO))
        stream = await client.models.generate_content_stream(**asked(host, SCENARIO))
        return whole, [chunk async for chunk in stream]

    whole, chunks = asyncio.run(both())
    assert shown(whole.candidates[0].content.parts) == expected(host)
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
    assert shown(parts) == expected(host)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("host", HOSTS)
def test_a_chat_with_tools_is_carried_on(gateway, host, streaming):
    """The client's own history of a turn goes back in, thoughts included, with the responses of its functions."""
    client = genai.Client(api_key=KEY, http_options=options(gateway))
    config = types.GenerateContentConfig(
        tools=[TOOL], automatic_function_calling={"disable": True}, system_instruction="Be brief."
    )
    chat = client.chats.create(model=f"{host}/gpt-4o-mini", config=config)
    turns = [f"[sim {SCENARIO}]"]
    turns.append(
        [types.Part.from_function_response(name="tide_table", response={"result": time}) for time in ("03:12", "15:40")]
        + [types.Part(text="[sim tokens=3]")]
    )
    for turn in turns:
        if streaming:
            text = "".join(chunk.text or "" for chunk in chat.send_message_stream(turn))
        else:
            text = chat.send_message(turn).text
        assert text == " A tide gate"


@pytest.mark.parametrize("host", HOSTS)
def test_a_close_half_way_stops_the_backend(simulator, gateway, client, host):
    tag = f"gemini-closed-{host}-{client.vertexai}-{bool(client._api_client.api_key)}"
    stream = client.models.generate_content_stream(**asked(host, f"tokens=100000,interval=2ms,tag={tag}"))
    call_id = next(stream).sdk_http_response.headers["x-tidegate-call-id"]
    for _ in range(3):
        next(stream)
    stream.close()
    gone = time.monotonic_ns()
    assert (backend_closed(simulator, tag)["closed_ns"] - gone) / 1e6 < WITHIN_MS
    assert_line_of_a_caller_gone(gateway, call_id, status=200)


@pytest.mark.parametrize("host", HOSTS)
def test_an_asynchronous_task_that_is_cancelled_stops_the_backend(simulator, gateway, host):
    tag = f"gemini-cancelled-{host}"

    async def cancel():
        client = genai.Client(api_key=KEY, http_options=options(gateway)).aio
        begun = asyncio.Event()

        async def read():
            stream = await client.models.generate_content_stream(
                **asked(host, f"tokens=100000,interval=2ms,tag={tag}")
            )
            async for _ in stream:
                begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return time.monotonic_ns()

    gone = asyncio.run(cancel())
    assert (backend_closed(simulator, tag)["closed_ns"] - gone) / 1e6 < WITHIN_MS


@pytest.mark.parametrize("host", HOSTS)
def test_errors_are_the_clients_own(client, host):
    for status, name in ((400, "INVALID_ARGUMENT"), (404, "NOT_FOUND"), (429, "RESOURCE_EXHAUSTED")):
        if (host, status) == ("bedrock", 400):
            # What this simulator refuses there is the model's name.
            status, name = 404, "NOT_FOUND"
        with pytest.raises(errors.ClientError) as raised:
            client.models.generate_content(**asked(host, f"error={status}"))
        assert (raised.value.code, raised.value.status) == (status, name)
        assert raised.value.message
    with pytest.raises(errors.ServerError) as raised:
        for _ in client.models.generate_content_stream(**asked(host, "tokens=9,truncate=6")):
            pass
    assert (raised.value.code, raised.value.status) == (502, "INTERNAL")


@pytest.mark.parametrize("host", ("openai", "gemini"))
def test_a_silent_stream_says_nothing_that_the_client_would_read(simulator, tmp_path_factory, host):
    folder = tmp_path_factory.mktemp("silent")
    with Gateway(folder, simulator.url, "heartbeat: 20ms\n") as gateway:
        client = genai.Client(api_key=KEY, http_options=options(gateway))
        chunks = client.models.generate_content_stream(**asked(host, "tokens=3,first_token_delay=300ms"))
        assert "".join(chunk.text or "" for chunk in chunks) == " A tide gate"


def test_tokens_are_counted_by_gemini_alone(client):
    counted = client.models.count_tokens(model="gemini/gpt-4o-mini", contents="[sim prompt=77]")
    assert counted.total_tokens == 77
    with pytest.raises(errors.ClientError, match="can't be counted"):
        client.models.count_tokens(model="openai/gpt-4o-mini", contents="[sim prompt=77]")


@pytest.mark.parametrize("host", ("openai", "gemini"))
def test_a_stream_without_alt_sse_is_one_json_array(gateway, host):
    with post(gateway, f"{host}%2Fgpt-4o-mini:streamGenerateContent", turn(f"[sim {SCENARIO}]")) as reply:
        assert reply.headers["content-type"] == "application/json; charset=utf-8"
        chunks = json.load(reply)
    texts = [part["text"] for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"] if "text" in part]
    assert "".join(texts).endswith(" A tide gate")
    with post(gateway, f"{host}/gpt-4o-mini:streamGenerateContent", turn("[sim tokens=9,truncate=6]")) as reply:
        *_, last = json.load(reply)
    assert last["error"]["status"] == "INTERNAL"


def test_the_gateways_key_is_taken_where_google_has_it_and_not_logged(simulator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    with Gateway(folder, simulator.url, f"master_key: {MASTER}\n") as gateway:
        client = genai.Client(api_key=MASTER, http_options=options(gateway))
        assert client.models.generate_content(**asked("gemini", "tokens=3,tag=key-header")).text == " A tide gate"
        path = "gemini/gpt-4o-mini:generateContent"
        with post(gateway, f"{path}?key={MASTER}", turn("[sim tokens=3,tag=key-query]"), key=None) as reply:
            assert reply.status == 200
        for wrong in (f"{path}?key=wrong", f"{path}?kay={MASTER}", path):
            with pytest.raises(urllib.error.HTTPError) as raised:
                post(gateway, wrong, turn("[sim tokens=3]"), key=None)
            assert json.load(raised.value)["error"]["status"] == "UNAUTHENTICATED"
        stranger = genai.Client(api_key="wrong", http_options=options(gateway))
        with pytest.raises(errors.ClientError) as refused:
            stranger.models.generate_content(**asked("gemini", "tokens=3"))
        assert refused.value.code == 401
        until(lambda: len(gateway.calls()) == 6)
        assert MASTER not in gateway.log.read_text()


def test_the_lines_of_the_documentation_are_all_it_takes(gateway, capsys):
    names = {}
    for lines in documented("gemini.md"):
        exec(lines.replace("http://127.0.0.1:4000", gateway.url), names)
        answer = names["client"].models.generate_content(model="azure/gpt-4o", contents="[sim tokens=3]")
        assert answer.text == " A tide gate"
    assert capsys.readouterr().out


GEMINI = [
    exchange for exchange in recorded() if exchange.hosts[0] in ("gemini", "vertex_ai") and not exchange.result.failure
]


@pytest.mark.parametrize("exchange", GEMINI, ids=lambda exchange: exchange.id)
def test_a_recorded_reply_is_relayed_byte_for_byte(gateway, tally, exchange):
    host = exchange.hosts[0]
    folder = corpus() / {"gemini": "gemini", "vertex_ai": "vertex"}[host]
    entry = next(entry for entry in json.loads((folder / "index.json").read_text()) if entry["id"] == exchange.id)
    if entry["response_file"].endswith(".jsonl"):
        pytest.skip("its framing was not recorded")
    body = turn(exchange.prompt) | {"generationConfig": {"candidateCount": exchange.choices}}
    operation = "streamGenerateContent?alt=sse" if exchange.streaming else "generateContent"
    with post(gateway, f"{host}/{exchange.model}:{operation}", body) as reply:
        assert reply.read() == (folder / entry["response_file"]).read_bytes()
        call = gateway.settled(id=reply.headers["x-tidegate-call-id"])
    assert (call["outcome"], call["usage"]) == ("complete", "reported")
    assert call["prompt_tokens"] == exchange.result.usage["prompt_tokens"]
    assert call["completion_tokens"] == exchange.result.usage["completion_tokens"]
    tally.saw(exchange)


def turn(prompt: str) -> dict:
    return {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}


def post(gateway: Gateway, model: str, body: dict, key: str | None = KEY):
    asked = urllib.request.Request(f"{gateway.url}/v1beta/models/{model}", json.dumps(body).encode())
    if key:
        asked.add_header("x-goog-api-key", key)
    return urllib.request.urlopen(asked, timeout=PATIENCE_S)


MASTER = "sk-a-master-key-of-this-gateway-0123456789"
