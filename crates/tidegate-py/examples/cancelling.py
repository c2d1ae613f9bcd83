"""Ways to stop waiting. Each stops the backend too, before the next line runs."""

import asyncio
import os

from tidegate import acompletion

MODEL = os.environ.get("MODEL", "openai/gpt-4o-mini")
MESSAGES = [{"role": "user", "content": "Write a long poem about tide gates. [sim tokens=1000 interval=20ms]"}]


async def read():
    try:
        async for chunk in await acompletion(MODEL, MESSAGES, stream=True):
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    except asyncio.CancelledError:
        # The backend's connection is closed already.
        print(" [cancelled]")
        raise


async def main():
    try:
        await asyncio.wait_for(read(), 0.5)
    except asyncio.TimeoutError:
        print("a deadline passed")

    task = asyncio.create_task(read())
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait({task})
    print("a task was cancelled")

    stream = await acompletion(MODEL, MESSAGES, stream=True)
    async for _ in stream:
        break
    await stream.aclose()
    print("enough was enough")


asyncio.run(main())
