"""Calls with `curl`, and the reading of what it got by hand: status, headers, and events that are framed as they should.

The reader of server-sent events is stricter than any client: it takes exactly what the gateway means to send, `data`
lines and comments, each followed by one blank line. Called by the tests.
"""

import json
import subprocess
from dataclasses import dataclass

import outcome
from processes import KEY, Gateway, environment
from recordings import Result


@dataclass
class Reply:
    """What curl got. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        assert self.headers["content-type"] == "application/json"
        assert int(self.headers["content-length"]) == len(self.body)
        return json.loads(self.body)

    def events(self) -> list[str]:
        """The data of every event, `[DONE]` included, in the order of arrival."""
        assert self.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert self.headers["cache-control"] == "no-cache" and self.headers["x-accel-buffering"] == "no"
        text = self.body.decode()
        assert text.endswith("\n\n") and "\r" not in text and "\n\n\n" not in text
        return [event.removeprefix("data: ") for event in text.split("\n\n")[:-1] if _is_data(event)]

    def result(self) -> Result:
        """What a caller ends up with."""
        if self.status != 200:
            return outcome.of_error_body(self.status, self.json())
        if self.headers["content-type"] == "application/json":
            return outcome.of_completion(self.json())
        *chunks, last = self.events()
        if last == "[DONE]":
            return outcome.of_chunks([json.loads(chunk) for chunk in chunks])
        assert "[DONE]" not in chunks, "[DONE] and an error"
        return outcome.of_error_body(None, json.loads(last))


def _is_data(event: str) -> bool:
    assert "\n" not in event and event.startswith(("data: ", ":")), f"not one line of data or comment: {event!r}"
    return event.startswith("data: ")


def get(gateway: Gateway, path: str, *options: str, key: str | None = KEY) -> Reply:
    """One call with any options of curl's."""
    authorization = [] if key is None else ["-H", f"authorization: Bearer {key}"]
    command = ["curl", "--silent", "--show-error", "--no-buffer", "--include", "--max-time", "20", "-H", "expect:"]
    finished = subprocess.run(
        [*command, *authorization, *options, gateway.url + path],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    assert finished.returncode == 0, finished.stderr.decode()
    head, _, body = finished.stdout.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    pairs = (field.split(": ", 1) for field in fields)
    return Reply(status=int(first.split()[1]), headers={name.lower(): value for name, value in pairs}, body=body)


def post(gateway: Gateway, body: dict | str, *options: str, **more) -> Reply:
    """One chat request; `body` as JSON, or as text that need not be any."""
    text = body if isinstance(body, str) else json.dumps(body)
    content = ("-H", "content-type: application/json", "--data-binary", text)
    return get(gateway, "/v1/chat/completions", *content, *options, **more)
