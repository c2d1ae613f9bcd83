"""The examples run, on simulated backends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import KEY
from processes import environment, until

EXAMPLES = Path(__file__).parents[1] / "examples"
SAYS = {
    "streaming.py": "A tide gate is one door",
    "blocking.py": "A tide gate is one door",
    "tools.py": "A tide gate",
    "structured.py": "not in that form:  A tide gate",
    "cancelling.py": "enough was enough",
}


def variables(simulator) -> dict[str, str]:
    """What the examples' own instructions set."""
    return environment(OPENAI_BASE_URL=f"{simulator.url}/v1", OPENAI_API_KEY=KEY, PYTHONPATH=os.pathsep.join(sys.path))


@pytest.mark.parametrize("example", SAYS)
def test_an_example(simulator, example):
    finished = subprocess.run(
        [sys.executable, EXAMPLES / example], env=variables(simulator), capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    assert SAYS[example] in finished.stdout


def test_the_web_example(simulator, tmp_path):
    command = [sys.executable, "-m", "uvicorn", "web:app", "--app-dir", EXAMPLES, "--port", "0"]
    with open(tmp_path / "log", "w+") as log:
        server = subprocess.Popen(command, env=variables(simulator), stderr=log, stdout=log)
        try:
            said = (tmp_path / "log").read_text
            until(lambda: "running on" in said())
            address = next(word for word in said().split() if word.startswith("http://"))
            question = "tide+%5Bsim+tokens%3D500+interval%3D20ms+tag%3Dweb%5D"
            curl = subprocess.Popen(["curl", "-sN", f"{address}/ask?question={question}"], stdout=subprocess.PIPE)
            assert curl.stdout.read(7) == b" A tide"
            curl.send_signal(signal.SIGINT)
            curl.communicate()
            left = time.monotonic()
            until(lambda: "cleaned up" in said())
            assert time.monotonic() - left < 2 and "the reader has gone" in said()
        finally:
            server.kill()
            server.wait()


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SAYS, "web.py"}
