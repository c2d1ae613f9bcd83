"""A caller that vanishes, as a real process does: the backend is closed, one line is written, nothing is left behind.

A killed `curl` is a caller whose sockets the operating system closes. Times compare the simulator's clock with ours: both
are CLOCK_MONOTONIC. The Rust tests and `tidegate probe` measure the microseconds; here is a whole machine's slack.
"""

import json
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import client_of
from processes import KEY, Gateway, environment, until

HOSTS = ("openai", "azure", "azure-v1", "bedrock", "anthropic", "gemini", "vertex_ai", "cohere", "ollama")
KILLS = 100
WITHIN_MS = 50


@pytest.fixture(scope="module")
def gateway(simulator, tmp_path_factory):
    """One that nobody else calls, so that its connections can be counted."""
    with Gateway(tmp_path_factory.mktemp("hang-up"), simulator.url) as gateway:
        yield gateway


def request(host: str, scenario: str, streaming: bool = True) -> dict:
    messages = [{"role": "user", "content": f"[sim {scenario}]"}]
    return {"model": f"{host}/gpt-4o-mini", "messages": messages, "stream": streaming}


class Curl:
    """A curl that has asked and listens."""

    def __init__(self, gateway: Gateway, body: dict):
        address = f"{gateway.url}/v1/chat/completions"
        headers = ("-H", "content-type: application/json", "-H", f"authorization: Bearer {KEY}")
        self.process = subprocess.Popen(
            ["curl", "--silent", "--no-buffer", "--include", *headers, "--data-binary", json.dumps(body), address],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )

    def call_id(self) -> str:
        """Reads the reply's head."""
        for line in iter(self.process.stdout.readline, b"\r\n"):
            name, _, value = line.decode().partition(": ")
            if name == "x-tidegate-call-id":
                call_id = value.strip()
        return call_id

    def events(self, count: int):
        """Reads so many events."""
        while count:
            count -= self.process.stdout.readline().startswith(b"data: ")

    def kill(self) -> int:
        """Kills it by its id. Returns the time, in ns, at which its sockets were certainly closed."""
        self.process.kill()
        self.process.wait()
        gone = time.monotonic_ns()
        self.process.stdout.close()
        return gone


def kill_mid_stream(gateway: Gateway, index: int) -> tuple[str, str, int]:
    """Kills a curl after some events. Returns the call's tag, its id, and when curl was gone."""
    tag = f"killed-{index}"
    scenario = f"tokens=100000,interval=2ms,tag={tag}"
    curl = Curl(gateway, request(HOSTS[index % len(HOSTS)], scenario))
    call_id = curl.call_id()
    curl.events(3 + index % 5)
    return tag, call_id, curl.kill()


def backend_closed(simulator, tag: str) -> dict:
    """What the simulator saw of a call once its peer has closed."""
    seen = until(lambda: [call for call in simulator.seen(tag) if call["closed_ns"]])
    assert len(seen) == 1, f"{len(seen)} backend calls for one"
    assert seen[0]["completed_ns"] is None and seen[0]["bytes_after_close"] == 0
    return seen[0]


def test_d1_a_killed_curl_stops_its_backend_within_50_ms_a_hundred_times(simulator, gateway, tally):
    with ThreadPoolExecutor(4) as pool:
        killed = list(pool.map(lambda index: kill_mid_stream(gateway, index), range(KILLS)))
    for tag, call_id, gone in killed:
        seen = backend_closed(simulator, tag)
        late_ms = (seen["closed_ns"] - gone) / 1e6
        assert late_ms < WITHIN_MS, f"{tag}: the backend was closed {late_ms:.1f} ms after curl was gone"
        assert_line_of_a_caller_gone(gateway, call_id, status=200)
    tally.killed += KILLS
    assert len(gateway.calls()) == KILLS, "one line for each call and none besides"
    until(lambda: simulator.running() == 0)
    until(lambda: gateway.backend_connections(simulator.url) == 0)
    with client_of(gateway) as client:
        for host in HOSTS:
            reply = client.chat.completions.create(**request(host, "tokens=3", streaming=False))
            assert reply.choices[0].message.content == " A tide gate"


def assert_line_of_a_caller_gone(gateway: Gateway, call_id: str, status: int) -> dict:
    call = gateway.settled(id=call_id)
    # Anthropic counts the prompt at the start of its reply, Google's chunks say what there is so far; the others say it at the end.
    counted = call["host"] in ("anthropic", "gemini", "vertex_ai") and status == 200
    usage = "partial" if counted else "estimated"
    assert (call["outcome"], call["status"], call["usage"]) == ("client_gone", status, usage)
    assert call["prompt_tokens"] > 0 and call["hang_up_to_closed_us"] < WITHIN_MS * 1000
    assert call["error"] is None, "a hang-up is nobody's failure"
    if status == 200:
        assert call["completion_tokens"] > 0 and call["delivered_bytes"] > 0
    return call


# Phase, scenario, streamed or not; by what the simulator sees the phase begin.
PHASES = (
    ("before_headers", "headers_delay=30s", True),
    ("before_headers", "headers_delay=30s", False),
    ("before_first_token", "first_token_delay=30s", True),
    ("stalled", "tokens=50,stall=4", True),
    ("inside_frame", "split_stall=4", True),
    ("before_headers", "first_token_delay=30s", False),
)


@pytest.mark.parametrize(("phase", "scenario", "streaming"), PHASES)
@pytest.mark.parametrize("host", HOSTS)
def test_d1_d2_a_killed_curl_stops_its_backend_in_every_phase(simulator, gateway, host, phase, scenario, streaming):
    tag = f"{host}-{phase}-{scenario}-{streaming}".replace("=", "-").replace(",", "-")
    curl = Curl(gateway, request(host, f"{scenario},tag={tag}", streaming))
    until(lambda: [call for call in simulator.seen(tag) if call["phase_at_close"] == phase])
    gone = curl.kill()
    seen = backend_closed(simulator, tag)
    assert seen["phase_at_close"] == phase
    assert (seen["closed_ns"] - gone) / 1e6 < WITHIN_MS


@pytest.mark.parametrize("host", HOSTS)
def test_the_official_clients_close_stops_the_backend(simulator, gateway, host):
    tag = f"closed-{host}"
    with client_of(gateway) as client:
        body = request(host, f"tokens=100000,interval=2ms,tag={tag}")
        stream = client.chat.completions.create(**body)
        call_id = stream.response.headers["x-tidegate-call-id"]
        for _ in range(4):
            next(stream)
        stream.close()
        gone = time.monotonic_ns()
        assert (backend_closed(simulator, tag)["closed_ns"] - gone) / 1e6 < WITHIN_MS
    assert_line_of_a_caller_gone(gateway, call_id, status=200)


@pytest.mark.parametrize("host", HOSTS)
def test_a_caller_that_keeps_its_connection_keeps_its_backend(simulator, gateway, host):
    """The counterpart of all the others: a slow backend is not taken for a caller that left."""
    with client_of(gateway) as client:
        body = request(host, f"tokens=3,interval=100ms,headers_delay=100ms,tag=kept-{host}")
        text = "".join(chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**body))
    assert text == " A tide gate"
    [seen] = simulator.seen(f"kept-{host}")
    assert seen["completed_ns"] and not seen["bytes_after_close"]


def test_hang_ups_disturb_nobody_else(simulator, gateway):
    """P6, O1: others' calls go on while callers leave."""
    texts = []

    def steady():
        with client_of(gateway) as client:
            chunks = client.chat.completions.create(**request("azure", "tokens=30,interval=20ms"))
            texts.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks))

    steadies = [threading.Thread(target=steady) for _ in range(4)]
    for thread in steadies:
        thread.start()
    for index in range(KILLS, KILLS + 8):
        kill_mid_stream(gateway, index)
    for thread in steadies:
        thread.join()
    assert texts == [THIRTY_TOKENS] * len(steadies)


THIRTY_TOKENS = (
    " A tide gate is one door in the sea wall that turning water itself pushes shut; nobody has to remember closing it,"
    " and behind its boards every field"
)
