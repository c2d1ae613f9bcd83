"""What the package's tests share: one simulator, and the arguments that lead to its backends.

`TIDEGATE_BIN` names the gateway's executable, which is the simulator too; `cargo xtask test` sets it.
"""

import os
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tests/e2e"))

from processes import Simulator, until  # noqa: E402

KEY = "sk-python-package-0123456789"
HOSTS = ("openai", "azure", "bedrock")
_tags = count(1)


def pytest_configure(config):
    if "TIDEGATE_BIN" not in os.environ:
        raise pytest.UsageError("TIDEGATE_BIN is not set: run these tests with `cargo xtask test`")
    for name in list(os.environ):
        # Keys of whoever runs this.
        if name.startswith(("OPENAI_", "AZURE_", "AWS_")):
            del os.environ[name]


@pytest.fixture(scope="session")
def simulator():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def backend(simulator):
    return Backend(simulator)


@dataclass
class Backend:
    """The simulator, as arguments of a call and as what it saw of one."""

    simulator: Simulator

    def arguments(self, host: str, scenario: str = "") -> dict:
        """All that a call to this host needs, with what the simulator is to do in the prompt."""
        url = self.simulator.url
        messages = [{"role": "user", "content": f"[sim {scenario}]"}]
        return {"messages": messages} | {
            "openai": {"model": "openai/gpt-4o-mini", "api_base": f"{url}/v1", "api_key": KEY},
            "azure": {"model": "azure/gpt-4o-prod", "api_base": url, "api_key": KEY, "api_version": "2024-10-21"},
            "bedrock": {
                "model": "bedrock/anthropic.claude-3-haiku-20240307-v1:0",
                "api_base": url,
                "aws_region_name": "us-east-1",
                "aws_access_key_id": "AKIAPYTHON",
                "aws_secret_access_key": KEY,
            },
        }[host]

    def tagged(self, host: str, scenario: str) -> tuple[str, dict]:
        """The same with a tag, by which what the simulator saw is found."""
        tag = f"py{next(_tags)}"
        return tag, self.arguments(host, f"{scenario} tag={tag}")

    def seen(self, tag: str) -> list[dict]:
        return self.simulator.seen(tag)

    def comes_to(self, tag: str, phase: str) -> dict:
        """The one call with this tag, once it is in this phase."""
        return until(lambda: next((call for call in self.seen(tag) if call["phase_at_close"] == phase), None))

    def closed(self, tag: str, since_ns: int) -> float:
        """How long after `since_ns` the one call with this tag was closed before its end, in ms."""
        (call,) = until(lambda: [call for call in self.seen(tag) if call["closed_ns"]])
        assert call["completed_ns"] is None, f"it was over: {call}"
        assert call["bytes_after_close"] == 0
        return (call["closed_ns"] - since_ns) / 1e6


def now_ns() -> int:
    """The clock that the simulator uses too."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)
