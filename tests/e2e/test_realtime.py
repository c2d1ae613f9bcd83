"""The official OpenAI client's realtime connections, unmodified: sessions with OpenAI and Azure, both clients of each, and callers
that hang up half way.
"""

import asyncio
import socket
import time

import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from processes import KEY, PATIENCE_S, Gateway, until
from test_hang_up import WITHIN_MS

HOSTS = ("openai", "azure", "azure-v1")


@pytest.fixture(scope="module")
def gateway(simulator, tmp_path_factory):
    """One that nobody else calls, so that its connections can be counted."""
    folder = tmp_path_factory.mktemp("realtime")
    with Gateway(folder, simulator.url, f"master_key: {KEY}\ndrain: 500ms\n") as gateway:
        yield gateway


def sockets_of(gateway: Gateway) -> str:
    return gateway.url.replace("http://", "ws://")


def client_of(gateway: Gateway, kind=openai.OpenAI, key: str = KEY):
    options = {"api_key": key, "max_retries": 0, "timeout": PATIENCE_S}
    if kind in (openai.AzureOpenAI, openai.AsyncAzureOpenAI):
        azure = {"azure_endpoint": gateway.url, "api_version": "2025-04-01-preview"}
        return kind(**options, **azure, websocket_base_url=f"{sockets_of(gateway)}/openai")
    return kind(**options, base_url=f"{gateway.url}/v1", websocket_base_url=f"{sockets_of(gateway)}/v1")


def message(scenario: str) -> dict:
    content = [{"type": "input_text", "text": f"[sim {scenario}]"}]
    return {"type": "message", "role": "user", "content": content}


def seen(simulator, tag: str, condition) -> dict:
    def look():
        calls = simulator.seen(tag)
        return calls and condition(calls[-1]) and calls[-1]

    return until(look)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AzureOpenAI])
def test_a_session(gateway, kind, host):
    model = f"{host}/gpt-realtime-{kind.__name__}"
    with client_of(gateway, kind) as client, client.realtime.connect(model=model) as session:
        assert session.recv().type == "session.created"
        session.session.update(session={"type": "realtime", "instructions": "Speak of the tide."})
        assert session.recv().type == "session.updated"
        for tokens in (3, 5):
            session.conversation.item.create(item=message(f"tokens={tokens},prompt=30,cached=9"))
            session.response.create()
            text = ""
            for event in session:
                if event.type == "response.output_text.delta":
                    text += event.delta
                if event.type == "response.done":
                    assert event.response.usage.output_tokens == tokens
                    break
            assert text == " A tide gate is one"[: len(text)] and len(text.split()) == tokens
    line = gateway.settled(model=model)
    assert (line["outcome"], line["status"], line["usage"]) == ("complete", 101, "reported")
    assert (line["prompt_tokens"], line["completion_tokens"], line["cached_tokens"]) == (60, 8, 18)


@pytest.mark.parametrize("kind", [openai.AsyncOpenAI, openai.AsyncAzureOpenAI])
def test_an_async_session_and_a_task_cancelled_in_it(gateway, simulator, kind):
    model, tag = f"openai/gpt-realtime-{kind.__name__}", f"cancelled-{kind.__name__}"
    words = []

    async def talk():
        async with client_of(gateway, kind) as client, client.realtime.connect(model=model) as session:
            await session.conversation.item.create(item=message(f"tokens=100000,interval=2ms,tag={tag}"))
            await session.response.create()
            async for event in session:
                if event.type == "response.output_text.delta":
                    words.append(event.delta)

    async def leave():
        talking = asyncio.create_task(talk())
        while len(words) < 5:
            await asyncio.sleep(0.005)
        talking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talking

    asyncio.run(leave())
    # The client says goodbye as it leaves.
    assert seen(simulator, tag, lambda call: call["closed_ns"])["closed_how"] == "close_1000"
    line = gateway.settled(model=model)
    assert (line["outcome"], line["usage"]) == ("client_gone", "estimated")
    assert line["completion_tokens"] > 0 and line["hang_up_to_closed_us"] < 1_000_000
    until(lambda: gateway.backend_connections(simulator.url) == 0)


def test_a_socket_that_is_lost_half_way_stops_the_backend(gateway, simulator):
    model = "azure/gpt-realtime-lost"
    with client_of(gateway) as client:
        manager = client.realtime.connect(model=model)
        session = manager.enter()
        session.conversation.item.create(item=message("tokens=100000,interval=2ms,tag=lost"))
        session.response.create()
        while session.recv().type != "response.output_text.delta":
            pass
        left_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        session._connection.socket.shutdown(socket.SHUT_RDWR)
        call = seen(simulator, "lost", lambda call: call["closed_ns"])
    assert (call["closed_ns"] - left_ns) / 1e6 < WITHIN_MS
    assert gateway.settled(model=model)["outcome"] == "client_gone"


def test_a_backend_that_ends_the_session_is_heard(gateway):
    model = "openai/gpt-realtime-ended"
    with client_of(gateway) as client, client.realtime.connect(model=model) as session:
        session.conversation.item.create(item=message("tokens=9,eof=3,close=4007"))
        session.response.create()
        events = []
        with pytest.raises(ConnectionClosed) as ended:
            while True:
                events.append(session.recv().type)
        assert events.count("response.output_text.delta") == 3
        assert ended.value.rcvd.code == 4007
    line = gateway.settled(model=model)
    assert line["outcome"] == "broken" and "4007" in line["error"]


@pytest.mark.parametrize(
    ("key", "model", "status"),
    [("sk-wrong-0123456789", "openai/m", 401), (KEY, "nobody/m", 502), (KEY, "none/m", 404), (KEY, "gemini/m", 400)],
)
def test_a_refusal_comes_as_a_status_with_an_error_body(gateway, key, model, status):
    with pytest.raises(InvalidStatus) as refused, client_of(gateway, key=key) as client:
        with client.realtime.connect(model=model):
            pass
    assert refused.value.response.status_code == status
    assert b'"error"' in refused.value.response.body


def test_a_browser_offers_its_key_as_a_subprotocol(gateway):
    offered = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
    with connect(f"{sockets_of(gateway)}/v1/realtime?model=openai/browser", subprotocols=offered) as session:
        assert session.subprotocol == "realtime"
        assert "session.created" in session.recv()
    assert gateway.settled(model="openai/browser")["outcome"] == "complete"
    assert KEY not in gateway.log.read_text()


def test_a_drain_tells_sessions_to_go(simulator, tmp_path):
    with Gateway(tmp_path, simulator.url, "drain: 300ms\n") as gateway:
        with connect(f"{sockets_of(gateway)}/v1/realtime?model=openai/drained") as session:
            session.recv()
            gateway.terminate()
            with pytest.raises(ConnectionClosed):
                session.recv(timeout=PATIENCE_S)
            assert (session.close_code, session.close_reason) == (1001, "the gateway is going down")
        until(lambda: gateway.process.poll() == 0)
        assert gateway.settled(model="openai/drained")["outcome"] == "interrupted"
