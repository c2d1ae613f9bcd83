"""A web page's backend: when its reader has gone, the model stops.

    uvicorn web:app --app-dir crates/tidegate-py/examples
    curl -N 'http://127.0.0.1:8000/ask?question=What+is+a+tide+gate%3F'

Press Ctrl-C in curl: the log says so at once, wherever the answer was.
"""

import asyncio
import logging
import os

from fastapi import FastAPI

from tidegate import acompletion
from tidegate.fastapi import StreamingResponse

MODEL = os.environ.get("MODEL", "openai/gpt-4o-mini")
app = FastAPI()
log = logging.getLogger("uvicorn.error")


@app.get("/ask")
async def ask(question: str):
    async def answer():
        try:
            stream = await acompletion(MODEL, [{"role": "user", "content": question}], stream=True)
            async for chunk in stream:
                yield chunk.choices[0].delta.content or ""
        except asyncio.CancelledError:
            log.info("the reader has gone, and so has the backend")
            raise
        finally:
            # What is awaited here is not cancelled again.
            await asyncio.sleep(0)
            log.info("cleaned up")

    return StreamingResponse(answer(), media_type="text/plain")
