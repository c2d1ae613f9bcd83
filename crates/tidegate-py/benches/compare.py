"""Tidegate beside LiteLLM, each in processes of its own, against one simulated backend, in one run.

    python crates/tidegate-py/benches/compare.py --simulator target/release/tidegate

The interpreter that runs this has both packages installed; `cargo xtask bench --python` sees to that. Measured are the time to
import, chunks per second through `async for`, calls per second at 64 at a time, and resident memory. Rounds alternate between
the two; the figures are medians of the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

IMPORT = "import time; began = time.perf_counter(); import {package}; print(time.perf_counter() - began)"

WORK = """
import asyncio, json, os, sys, time
import {package} as package

url, chunks, calls, at_once = sys.argv[1], *map(int, sys.argv[2:])
arguments = dict(model="openai/gpt-4o-mini", api_base=url + "/v1", api_key="sk-bench-0123456789")

def resident_kb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4

def asking(scenario):
    return dict(arguments, messages=[dict(role="user", content="[sim " + scenario + "]")])

async def stream(tokens):
    count = 0
    async for chunk in await package.acompletion(**asking("tokens=%d" % tokens), stream=True):
        count += len(chunk.choices[0].delta.content or "") > 0
    assert count >= tokens, count

async def many(count):
    left = iter(range(count))
    async def caller():
        for _ in left:
            reply = await package.acompletion(**asking("tokens=20"))
            assert reply.choices[0].message.content
    await asyncio.gather(*(caller() for _ in range(at_once)))

async def timed(work):
    began = time.perf_counter()
    await work
    return time.perf_counter() - began

async def main():
    found = dict(imported_kb=resident_kb())
    # Once for what is made at the first call.
    await stream(100)
    await many(at_once)
    found["chunks_per_s"] = chunks / await timed(stream(chunks))
    found["calls_per_s"] = calls / await timed(many(calls))
    found["after_kb"] = resident_kb()
    print("FOUND " + json.dumps(found))

asyncio.run(main())
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--simulator", required=True, help="the executable `tidegate`")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--packages", nargs="*", default=["tidegate", "litellm"])
    chosen = options.parse_args()
    simulator = subprocess.Popen(
        [chosen.simulator, "sim", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    try:
        url = simulator.stdout.readline().split()[-1]
        rounds = {package: [] for package in chosen.packages}
        for _ in range(chosen.rounds):
            for package, found in rounds.items():
                found.append(measured(package, url))
    finally:
        simulator.kill()
        simulator.wait()
    report({package: medians(found) for package, found in rounds.items()})


def measured(package: str, url: str) -> dict[str, float]:
    """One round of one package. It gets as much work as it does in a second or a few."""
    chunks, calls = ("100000", "6000") if package == "tidegate" else ("5000", "600")
    found = json.loads(run(WORK.replace("{package}", package), url, chunks, calls, "64").split("FOUND ")[1])
    return {"import_s": float(run(IMPORT.format(package=package)).split()[-1]), **found}


def run(program: str, *arguments: str) -> str:
    # What LiteLLM would fetch at its import is in the package too.
    env = {"PATH": os.environ["PATH"], "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(found[name] for found in rounds) for name in rounds[0]}


def report(found: dict[str, dict[str, float]]) -> None:
    rows = {
        "import, ms": lambda of: of["import_s"] * 1000,
        "chunks per second": lambda of: of["chunks_per_s"],
        "calls per second, 64 at a time": lambda of: of["calls_per_s"],
        "memory after import, MB": lambda of: of["imported_kb"] / 1024,
        "memory after the calls, MB": lambda of: of["after_kb"] / 1024,
    }
    print(f"{'':<32}" + "".join(f"{package:>12}" for package in found) + f"{'ratio':>10}")
    for name, value in rows.items():
        values = [value(of) for of in found.values()]
        ratio = f"{values[0] / values[1]:>10.3g}" if len(values) > 1 else ""
        print(f"{name:<32}" + "".join(f"{value:>12,.1f}" for value in values) + ratio)


if __name__ == "__main__":
    main()
