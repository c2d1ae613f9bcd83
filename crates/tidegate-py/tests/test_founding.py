"""The founding program under a real server: whoever leaves, in whatever way and phase, its backend is closed and its generator
hears of it. `founding/matrix.py` is the same with more repetitions, and prints the times.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "founding"))

import matrix  # noqa: E402
from processes import PATIENCE_S, environment, until  # noqa: E402

# A busy machine's slack; what is left to a garbage collector takes seconds.
WITHIN_MS = 250


@pytest.fixture(scope="module", params=["starlette", "tidegate", "installed"])
def response(request):
    return request.param


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "middleware"])
def server(simulator, response, request):
    with matrix.Server(simulator, response, request.param) as server:
        yield server


@pytest.mark.parametrize("phase", matrix.PHASES)
@pytest.mark.parametrize("how", matrix.HANG_UPS)
@pytest.mark.parametrize("host", matrix.HOSTS)
def test_a_reader_who_leaves_stops_the_backend(simulator, server, response, host, how, phase):
    """D1, D2, D3, D4, D5, P1, P5 of the catalogue."""
    cell = matrix.Cell()
    last = matrix.last_note(response, matrix.PHASES[phase][2])
    matrix.hang_up(simulator, server, host, phase, how, cell, last)
    assert max(cell.backend) < WITHIN_MS
    if last:
        assert max(cell.cancelled) < WITHIN_MS and max(cell.finally_) < WITHIN_MS


# A thread of Starlette's own can't be told.
@pytest.mark.parametrize("response", ["tidegate", "installed"], indirect=True)
@pytest.mark.parametrize("phase", ["before headers", "tokens every 5 ms", "stalled"])
@pytest.mark.parametrize("host", matrix.HOSTS)
def test_a_generator_that_runs_in_a_thread_hears_of_it_too(simulator, server, response, host, phase):
    """P8: blocking work on a thread."""
    cell = matrix.Cell()
    matrix.hang_up(simulator, server, host, phase, "FIN", cell, "cleaned up", "/blocking")
    assert max(cell.backend + cell.cancelled + cell.finally_) < WITHIN_MS


def test_on_uvloop(simulator):
    with matrix.Server(simulator, "tidegate", True, "uvloop") as server:
        for phase in matrix.PHASES:
            cell = matrix.Cell()
            matrix.hang_up(simulator, server, "azure", phase, "FIN", cell, "cleaned up")
            assert max(cell.backend) < WITHIN_MS


@pytest.mark.parametrize("host", matrix.HOSTS)
def test_a_thousand_abandoned_stalls_leave_nothing(simulator, host):
    """P6: a slot or a socket that leaks makes every later call wait."""
    with matrix.Server(simulator, "starlette", True) as server:

        async def stall(number: int):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            path = f"/stream?host={host}&tag=many-{host}-{number}&scenario=tokens%3D9%20stall%3D1"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            await reader.read(1)
            writer.transport.abort()

        async def rounds():
            for first in range(0, 1000, 50):
                await asyncio.gather(*(stall(first + n) for n in range(50)))

        idle = server.sockets()
        asyncio.run(rounds())
        until(lambda: simulator.running() == 0)
        started = time.monotonic()
        with server.get(f"/stream?host={host}&tag=after-{host}&scenario=tokens%3D5") as caller:
            said = b""
            while b"one" not in said:
                said += caller.recv(4096)
        assert time.monotonic() - started < 1
        # The engine's own few, and the connection that the last call gave back.
        until(lambda: server.sockets() <= idle + 6)


def test_a_killed_curl(simulator, server, response):
    tag = f"curl-{response}-{server.port}"
    path = f"http://127.0.0.1:{server.port}/stream?host=azure&tag={tag}&scenario=stall%3D3"
    curl = subprocess.Popen(["curl", "-sN", path], env=environment(), stdout=subprocess.PIPE)
    curl.stdout.read(1)
    until(lambda: any(call["phase_at_close"] == "stalled" for call in simulator.seen(tag)))
    killed = matrix.now_ns()
    curl.kill()
    curl.wait()
    curl.stdout.close()
    (call,) = until(lambda: [call for call in simulator.seen(tag) if call["closed_ns"]])
    assert (call["closed_ns"] - killed) / 1e6 < WITHIN_MS
    until(lambda: "finally" in server.events(tag))


class Browser:
    """A headless Chromium, told what to do over its debugging port."""

    def __init__(self, program: str, profile: Path):
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]
        self.process = subprocess.Popen(
            [program, *options, f"--user-data-dir={profile}", "about:blank"],
            env=environment(HOME=str(profile)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        port = profile / "DevToolsActivePort"
        self.port = until(lambda: port.exists() and port.read_text().split(), 60)[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Its own process group, with the processes of its pages.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def open(self, url: str) -> str:
        """A page; its id."""
        return json.loads(self._ask(f"new?{urllib.parse.quote(url, safe=str())}", "PUT"))["id"]

    def close(self, page: str):
        self._ask(f"close/{page}", "GET")

    def _ask(self, path: str, method: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/json/{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.read()


@pytest.mark.parametrize("scenario", ["tokens=20000 interval=5ms", "tokens=50 stall=5"])
def test_a_browser_s_page_that_is_closed(simulator, tmp_path, scenario):
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert program, f"none of {', '.join(BROWSERS)} is installed"
    with matrix.Server(simulator, "tidegate", True) as server, Browser(program, tmp_path) as browser:
        tag = f"browser-{len(scenario)}"
        asked = scenario.replace("=", "%3D").replace(" ", "%20")
        page = browser.open(f"http://127.0.0.1:{server.port}/stream?host=azure&tag={tag}&scenario={asked}")
        until(lambda: any(call["tokens_written"] >= 5 for call in simulator.seen(tag)), 60)
        closed = matrix.now_ns()
        browser.close(page)
        (call,) = until(lambda: [call for call in simulator.seen(tag) if call["closed_ns"]])
        # The browser takes its time to close a page: at times five seconds, which it spends before it closes the connection.
        assert call["completed_ns"] is None and 0 < (call["closed_ns"] - closed) / 1e9 < PATIENCE_S
        noted = until(lambda: (events := server.events(tag)).get("cleaned up") and events)
        assert abs(noted["cancelled"] - call["closed_ns"]) / 1e6 < WITHIN_MS


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
