"""Starts and ends the programs under test: simulated backends and the gateway.

Every port is the system's choice, read from what the program says of itself. A process is ended by its own id and by
nothing else. Called by the fixtures in `conftest.py` and by tests that need a gateway of their own.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

# A debug build on a busy machine; what takes longer has failed.
PATIENCE_S = 20.0
# A key of the right form; the simulator refuses none that does not begin with "bad".
KEY = "sk-end-to-end-0123456789"


def binary() -> str:
    """The gateway's executable, which `cargo xtask test` names."""
    return os.environ["TIDEGATE_BIN"]


def environment(**variables: str) -> dict[str, str]:
    """What a child sees: the path and `variables`, so that no key or proxy of this machine gets in."""
    return {"PATH": os.environ["PATH"], **variables}


def until(condition, patience_s: float = PATIENCE_S, every_s: float = 0.005):
    """The first true value of `condition()`; fails after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"did not come within {patience_s} s"
        time.sleep(every_s)
    return value


def refusing_port() -> int:
    """A port that nobody listens on: bound for a moment, so that it is free, and given back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Simulator:
    """`tidegate sim`: simulated backends, or recorded exchanges where a folder is given."""

    def __init__(self, recordings: Path | None = None):
        command = [binary(), "sim", "--listen", "127.0.0.1:0"]
        if recordings:
            command += ["--replay", str(recordings)]
        self.process = subprocess.Popen(
            command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        # "simulated backends on http://127.0.0.1:PORT"
        self.url = self.process.stdout.readline().split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def seen(self, tag: str) -> list[dict]:
        """What the simulator saw of the calls with this tag, oldest first."""
        return self._ask(f"/_sim/calls?tag={tag}")

    def running(self) -> int:
        """Calls under way."""
        return self._ask("/_sim/running")["running"]

    def _ask(self, path: str):
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as reply:
            return json.load(reply)


class Gateway:
    """`tidegate serve` with a configuration of its own and a call log in JSON lines.

    `settings` is YAML that follows `listen`, `hosts` and `log`; `listen` is that of the one listener.
    """

    def __init__(self, folder: Path, backends: str, settings: str = "", listen: str = "127.0.0.1:0"):
        self.log = folder / "tidegate.log"
        config = folder / "tidegate.yaml"
        config.write_text(hosts_on(backends, listen) + settings)
        self.process = subprocess.Popen(
            [binary(), "serve", "--config", str(config)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.url = until(self._listening)
        self.port = int(self.url.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def terminate(self):
        """Sends SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def lines(self) -> list[dict]:
        """Every complete line of the log."""
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def calls(self, **fields) -> list[dict]:
        """The log's lines about calls, of which each has these fields."""
        calls = (line for line in self.lines() if line["target"] == "tidegate::call")
        return [call for call in calls if all(call.get(name) == value for name, value in fields.items())]

    def settled(self, **fields) -> dict:
        """The one line of a call, once it is written."""
        calls = until(lambda: self.calls(**fields))
        assert len(calls) == 1, f"{len(calls)} lines for one call: {calls}"
        return calls[0]

    def backend_connections(self, backends: str) -> int:
        """Established connections of the gateway's to `backends`, as the kernel lists them."""
        port = int(backends.rsplit(":", 1)[1])
        rows = Path(f"/proc/{self.process.pid}/net/tcp").read_text().splitlines()[1:]
        inodes = {
            fields[9]
            for fields in map(str.split, rows)
            if fields[2].endswith(f":{port:04X}") and fields[3] == ESTABLISHED
        }
        return len(inodes & self._sockets())

    def _sockets(self) -> set[str]:
        sockets = set()
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                target = os.readlink(entry)
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                sockets.add(target.removeprefix("socket:[").removesuffix("]"))
        return sockets

    def _listening(self) -> str | None:
        if self.process.poll() is not None:
            raise AssertionError(f"tidegate ended at once: {self.process.stdout.read()}")
        messages = (line.get("message", "") for line in self.lines())
        said = next((message for message in messages if message.startswith("listening on ")), None)
        return said and said.removeprefix("listening on ").split(",")[0]


# TCP_ESTABLISHED in /proc/net/tcp.
ESTABLISHED = "01"


def documented(page: str) -> list[str]:
    """The pieces of Python in a page of the documentation."""
    text = (Path(__file__).resolve().parents[2] / "docs" / page).read_text()
    return [block.split("```")[0] for block in text.split("```python\n")[1:]]


def hosts_on(backends: str, listen: str = "127.0.0.1:0") -> str:
    """A configuration whose every host is the simulator at `backends`, and a few that fail in ways of their own."""
    return f"""\
listen: {listen}
log: {{ format: json, file: tidegate.log }}
hosts:
  openai: {{ base_url: "{backends}/v1", api_key: {KEY} }}
  azure: {{ base_url: "{backends}", api_version: 2024-10-21, api_key: {KEY} }}
  azure-v1: {{ kind: azure, base_url: "{backends}", api_key: {KEY} }}
  bedrock:
    base_url: "{backends}"
    region: us-east-1
    access_key_id: AKIAENDTOEND
    secret_access_key: {KEY}
  anthropic: {{ base_url: "{backends}", api_key: {KEY} }}
  gemini: {{ base_url: "{backends}/v1beta", api_key: {KEY} }}
  cohere: {{ base_url: "{backends}", api_key: {KEY} }}
  ollama: {{ base_url: "{backends}" }}
  vertex_ai:
    base_url: "{backends}/v1beta1/projects/p/locations/global/publishers/google"
    token: {KEY}
  cohere-open: {{ kind: cohere, base_url: "{backends}", api_key: {KEY}, pass_through: true }}
  open: {{ kind: openai, base_url: "{backends}/v1", api_key: {KEY}, pass_through: true }}
  wrong-key: {{ kind: openai, base_url: "{backends}/v1", api_key: bad-{KEY} }}
  nobody: {{ kind: openai, base_url: "http://127.0.0.1:{refusing_port()}/v1", api_key: {KEY} }}
"""
