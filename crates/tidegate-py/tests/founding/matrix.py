"""The founding program's matrix: who closes, when, through what; and how long after the close its backend is closed.

    TIDEGATE_BIN=target/release/tidegate python crates/tidegate-py/tests/founding/matrix.py --repeat 100

prints a line for each cell: milliseconds from the caller's close until the backend was closed, until `CancelledError` in the
generator and until its `finally`, as 50th and 99th percentile and maximum. Times are CLOCK_MONOTONIC of one machine. They begin
just before the caller's socket is closed, so the operating system and the server are in them.
"""

import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[4] / "tests/e2e"))

from processes import PATIENCE_S, Simulator, environment, until  # noqa: E402

KEY = "sk-founding-program-0123456789"
HOSTS = ("azure", "bedrock")
HANG_UPS = ("FIN", "RST")
# What the backend does, what the simulator says it does when the caller is to leave, and whether the generator certainly waits
# for the backend then (it may as well be at `yield` where the server is told to send).
FASTEST = "as fast as it can"
PHASES = {
    "before headers": ("tokens=9 headers_delay=60s", "before_headers", True),
    "before first token": ("tokens=9 first_token_delay=60s", "before_first_token", True),
    "tokens every 50 ms": ("tokens=2000 interval=50ms", None, False),
    "tokens every 5 ms": ("tokens=20000 interval=5ms", None, False),
    "tokens every 1 ms": ("tokens=100000 interval=1ms", None, False),
    "bursts": ("tokens=1000000 burst=50 gap=20ms", None, False),
    FASTEST: ("tokens=10000000", None, False),
    "stalled": ("tokens=50 stall=5", "stalled", True),
}
# The reply's head, and a few of its chunks: two lines each.
LINES_BEFORE_LEAVING = 16
_tags = count(1)


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Server:
    """The program under uvicorn."""

    def __init__(self, simulator: Simulator, response: str, middleware: bool, loop: str = "asyncio"):
        self.folder = tempfile.TemporaryDirectory()
        self.log = Path(self.folder.name, "log")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        arguments = {
            "openai": {"model": "openai/gpt-4o", "api_base": f"{simulator.url}/v1", "api_key": KEY},
            "azure": {
                "model": "azure/gpt-4o",
                "api_base": simulator.url,
                "api_key": KEY,
                "api_version": "2024-10-21",
            },
            "bedrock": {
                "model": "bedrock/anthropic.claude-3-haiku-20240307-v1:0",
                "api_base": simulator.url,
                "aws_region_name": "us-east-1",
                "aws_access_key_id": "AKIAFOUNDING",
                "aws_secret_access_key": KEY,
            },
        }
        command = [sys.executable, "-m", "uvicorn", "program:app", "--port", str(self.port), "--loop", loop]
        self.process = subprocess.Popen(
            [*command, "--log-level", "warning"],
            cwd=Path(__file__).parent,
            env=environment(
                RESPONSE=response,
                MIDDLEWARE=str(int(middleware)),
                LOG=str(self.log),
                ARGUMENTS=json.dumps(arguments),
                PYTHONPATH=os.pathsep.join(sys.path),
            ),
        )
        until(self._listens)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def _listens(self) -> bool:
        assert self.process.poll() is None, "the server ended at once"
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def get(self, path: str) -> socket.socket:
        """A connection on which this path has been asked for."""
        caller = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        caller.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return caller

    def events(self, tag: str) -> dict[str, int]:
        """What the generator of this call noted, and when."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines())
        return {line["event"]: line["ns"] for line in lines if line["tag"] == tag}

    def sockets(self) -> int:
        """Open sockets of the server's, its listener and wake-up descriptors included."""
        found = 0
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                found += os.readlink(entry).startswith("socket:")
            except FileNotFoundError:
                # Closed since.
                continue
        return found


@dataclass
class Cell:
    """What was measured in one cell, in ms."""

    backend: list[float] = field(default_factory=list)
    cancelled: list[float] = field(default_factory=list)
    finally_: list[float] = field(default_factory=list)
    # Of generators that noted nothing.
    silent: int = 0

    def line(self) -> str:
        return " | ".join(f"{summary(times):>22}" for times in (self.backend, self.cancelled, self.finally_))


def summary(times: list[float]) -> str:
    if not times:
        return "never"
    ordered = sorted(times)
    at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
    return f"{at(0.5):6.2f} {at(0.99):6.2f} {ordered[-1]:6.2f}"


def hang_up(
    simulator: Simulator,
    server: Server,
    host: str,
    phase: str,
    how: str,
    cell: Cell,
    last: str | None,
    path: str = "/stream",
) -> None:
    """One call whose caller leaves. `last` is what its generator must note, `None` if it may never hear of it."""
    scenario, there, _ = PHASES[phase]
    tag = f"f{os.getpid()}-{next(_tags)}"
    query = scenario.replace("=", "%3D").replace(" ", "%20")
    caller = server.get(f"{path}?host={host}&tag={tag}&scenario={query}")
    if there:
        until(lambda: any(call["phase_at_close"] == there for call in simulator.seen(tag)))
        # What was written is to have been read: then the generator waits.
        time.sleep(0.01)
    else:
        said = b""
        while said.count(b"\r\n") < LINES_BEFORE_LEAVING:
            said += caller.recv(4096)
    if how == "RST":
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left = now_ns()
    caller.close()
    (call,) = until(lambda: [call for call in simulator.seen(tag) if call["closed_ns"]])
    assert call["completed_ns"] is None and call["bytes_after_close"] == 0, call
    cell.backend.append((call["closed_ns"] - left) / 1e6)
    if last:
        noted = until(lambda: (events := server.events(tag)).get(last) and events)
        assert noted["cancelled"] <= noted["finally"]
    else:
        time.sleep(0.005)
        noted = server.events(tag)
    if "cancelled" in noted:
        cell.cancelled.append((noted["cancelled"] - left) / 1e6)
    if "finally" in noted:
        cell.finally_.append((noted["finally"] - left) / 1e6)
    else:
        cell.silent += 1


def last_note(response: str, waits: bool) -> str | None:
    """What a generator gets to. Starlette's own response cancels what its clean-up awaits, too."""
    if response != "starlette":
        return "cleaned up"
    return "finally" if waits else None


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--repeat", type=int, default=10)
    options.add_argument("--response", choices=("starlette", "tidegate", "installed"), nargs="*", default=("starlette", "tidegate", "installed"))
    options.add_argument("--loop", default="asyncio")
    options.add_argument("--path", default="/stream", choices=("/stream", "/blocking"))
    chosen = options.parse_args()
    everything = Cell()
    print(f"{'ms: p50 p99 max':<62} | {'backend closed':>22} | {'CancelledError':>22} | {'finally':>22} | silent")
    with Simulator() as simulator:
        for response in chosen.response:
            for middleware in (False, True):
                with Server(simulator, response, middleware, chosen.loop) as server:
                    for host in HOSTS:
                        for how in HANG_UPS:
                            for phase, (_, _, waits) in PHASES.items():
                                cell = Cell()
                                last = last_note(response, waits)
                                for _ in range(chosen.repeat):
                                    hang_up(simulator, server, host, phase, how, cell, last, chosen.path)
                                name = f"{response:<10} {'middleware' if middleware else '':<11} {host:<8} {how} {phase}"
                                print(f"{name:<62} | {cell.line()} | {cell.silent}", flush=True)
                                if phase != FASTEST:
                                    everything.backend += cell.backend
                                    everything.cancelled += cell.cancelled
                                    everything.finally_ += cell.finally_
    # Of a backend that takes all of a processor the times say how the machine shares its processors.
    print(f"{f'all but {FASTEST}, {len(everything.backend)} calls':<62} | {everything.line()} |")


if __name__ == "__main__":
    main()
