"""Prints an answer as it is made, without asyncio. Ctrl-C stops the backend."""

import os
import sys

import tidegate

MODEL = os.environ.get("MODEL", "openai/gpt-4o-mini")
messages = [{"role": "user", "content": " ".join(sys.argv[1:]) or "What is a tide gate?"}]

try:
    for chunk in tidegate.completion(MODEL, messages, stream=True, timeout=60, num_retries=2):
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()
except tidegate.RateLimitError as error:
    wait = error.response.headers.get("retry-after", "a while")
    sys.exit(f"{error.llm_provider} wants to be asked again in {wait} s: {error}")
