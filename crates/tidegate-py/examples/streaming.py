"""Prints an answer as it is made."""

import asyncio
import os
import sys

from tidegate import acompletion

MODEL = os.environ.get("MODEL", "openai/gpt-4o-mini")


async def main(question: str):
    stream = await acompletion(MODEL, [{"role": "user", "content": question}], stream=True)
    async for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


asyncio.run(main(" ".join(sys.argv[1:]) or "What is a tide gate?"))
