"""The program that the project began with: an endpoint that streams a model's answer to a browser.

But for its import line and the addresses it is as it was reported. What it prints is what the report was about; here it goes
to a file, with the time. Around it: a middleware that does nothing, and the choice of the response's class, by variables.
"""

import asyncio
import json
import os
import time

from fastapi import FastAPI, Request

from tidegate import acompletion, completion

if os.environ["RESPONSE"] == "tidegate":
    from tidegate.fastapi import StreamingResponse
else:
    from fastapi.responses import StreamingResponse
if os.environ["RESPONSE"] == "installed":
    import tidegate.fastapi

    tidegate.fastapi.install()

app = FastAPI()
log = open(os.environ["LOG"], "a", buffering=1)
arguments = json.loads(os.environ["ARGUMENTS"])


def note(tag: str, event: str):
    log.write(json.dumps({"tag": tag, "event": event, "ns": time.clock_gettime_ns(time.CLOCK_MONOTONIC)}) + "\n")


if os.environ["MIDDLEWARE"] == "1":

    @app.middleware("http")
    async def nothing(request: Request, call_next):
        return await call_next(request)


@app.get("/stream")
async def stream(host: str, scenario: str, tag: str):
    async def generator():
        try:
            response = await acompletion(
                **arguments[host],
                messages=[{"role": "user", "content": f"[sim {scenario} tag={tag}]"}],
                stream=True,
            )
            async for chunk in response:
                yield chunk.choices[0].delta.content or ""
        except asyncio.CancelledError:
            note(tag, "cancelled")
            raise
        finally:
            note(tag, "finally")
            # Clean-up may take time.
            await asyncio.sleep(0.001)
            note(tag, "cleaned up")

    return StreamingResponse(generator(), media_type="text/plain")


@app.get("/blocking")
async def blocking(host: str, scenario: str, tag: str):
    def generator():
        try:
            response = completion(
                **arguments[host],
                messages=[{"role": "user", "content": f"[sim {scenario} tag={tag}]"}],
                stream=True,
            )
            for chunk in response:
                yield chunk.choices[0].delta.content or ""
        except asyncio.CancelledError:
            note(tag, "cancelled")
            raise
        finally:
            note(tag, "finally")
            time.sleep(0.001)
            note(tag, "cleaned up")

    return StreamingResponse(generator(), media_type="text/plain")


@app.get("/plain")
async def plain():
    return {"ok": True}
