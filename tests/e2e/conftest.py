"""What the end-to-end tests share: one simulator and one gateway for those that need none of their own."""

import importlib.util
import os
from dataclasses import dataclass, field

import openai
import pytest

import recordings
from processes import KEY, PATIENCE_S, Gateway, Simulator


# Runs in an environment of its own.
collect_ignore = [] if importlib.util.find_spec("litellm") else ["test_litellm.py"]


@dataclass
class Tally:
    """What a number of tests does not say: how much went through."""

    # By provider, ids.
    recorded: dict[str, set[str]] = field(default_factory=dict)
    recorded_calls: int = 0
    simulated_calls: int = 0
    killed: int = 0

    def saw(self, exchange: recordings.Exchange):
        """An exchange that came out as it should."""
        if exchange in recordings.recorded():
            self.recorded.setdefault(exchange.hosts[0], set()).add(exchange.id)
            self.recorded_calls += 1
        else:
            self.simulated_calls += 1

    def lines(self):
        if self.recorded_calls:
            exchanges = ", ".join(f"{len(ids)} {provider}" for provider, ids in self.recorded.items())
            yield f"recorded exchanges checked: {exchanges}; in {self.recorded_calls} calls"
        elif not recordings.corpus():
            yield "corpus absent: no recorded exchange checked, simulated ones only"
        if self.simulated_calls:
            yield f"simulated exchanges checked: in {self.simulated_calls} calls"
        if self.killed:
            yield f"callers killed, each of whose backends stopped: {self.killed}"


TALLY = pytest.StashKey[Tally]()


def pytest_configure(config):
    if "TIDEGATE_BIN" not in os.environ:
        raise pytest.UsageError("TIDEGATE_BIN is not set: run these tests with `cargo xtask test`")
    config.stash[TALLY] = Tally()


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash[TALLY].lines():
        terminalreporter.write_line(f"e2e: {line}")


@pytest.fixture
def tally(request) -> Tally:
    return request.config.stash[TALLY]


@pytest.fixture(scope="session")
def simulator():
    with Simulator(recordings.corpus()) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def gateway(simulator, tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("gateway"), simulator.url) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def client(gateway):
    with client_of(gateway) as client:
        yield client


def client_of(gateway: Gateway, key: str = KEY) -> openai.OpenAI:
    """The official client, without its retries: what is tested is one call."""
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0, timeout=PATIENCE_S)
