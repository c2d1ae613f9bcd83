"""What the package says of its types is so, and is enough for programs that are checked strictly."""

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]

PROGRAM = """
from tidegate import ModelResponse, CustomStreamWrapper, acompletion, completion

async def main() -> None:
    reply: ModelResponse = await acompletion("openai/x", [{"role": "user", "content": "?"}], temperature=0.5)
    text: str | None = reply.choices[0].message.content
    stream: CustomStreamWrapper = await acompletion("openai/x", [], stream=True)
    async for chunk in stream:
        text = chunk.choices[0].delta.content
    for chunk in completion("openai/x", [], stream=True):
        text = chunk.choices[0].delta.content
"""


def check(*arguments: str):
    finished = subprocess.run([sys.executable, "-m", *arguments], cwd=PACKAGE, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_the_package_and_its_users(tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    check("mypy", "python/tidegate", str(program), "--config-file=pyproject.toml", f"--cache-dir={tmp_path}")


def test_the_stub_is_the_module():
    pytest.importorskip("mypy")
    check("mypy.stubtest", "tidegate", "--mypy-config-file=pyproject.toml")
