"""SIGTERM: no new calls, running ones finish within the drain, the rest is cut and settled, and the exit status is 0."""

import http.client
import json
import socket
import threading
import time

import httpx2
import openai
import pytest

import outcome
from conftest import client_of
from processes import PATIENCE_S, Gateway, until


# A wait for anything but the refusal itself would be as long as the drain.
AT_ONCE_S = 2.0


def start(simulator, folder, drain: str) -> Gateway:
    return Gateway(folder, simulator.url, f"drain: {drain}\n")


class Call(threading.Thread):
    """A streaming call in a thread; `began` is set by its first chunk."""

    def __init__(self, gateway: Gateway, host: str, scenario: str):
        super().__init__()
        self.gateway, self.host, self.scenario = gateway, host, scenario
        self.began = threading.Event()
        self.chunks: list[dict] = []
        self.error: Exception | None = None
        self.call_id = ""
        self.start()

    def run(self):
        request = {
            "model": f"{self.host}/gpt-4o-mini",
            "messages": [{"role": "user", "content": f"[sim {self.scenario}]"}],
            "stream_options": {"include_usage": True},
        }
        try:
            with client_of(self.gateway) as client:
                stream = client.chat.completions.create(**request, stream=True)
                self.call_id = stream.response.headers["x-tidegate-call-id"]
                for chunk in stream:
                    self.chunks.append(chunk.to_dict())
                    self.began.set()
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            self.error = error


@pytest.mark.parametrize("host", ["openai", "azure", "bedrock", "gemini"])
def test_a_running_stream_finishes_and_then_the_process_ends(simulator, tmp_path, host):
    with start(simulator, tmp_path, drain="10s") as gateway:
        call = Call(gateway, host, "tokens=40,interval=25ms")
        assert call.began.wait(PATIENCE_S)
        gateway.terminate()
        until(lambda: refuses(gateway))
        assert gateway.process.poll() is None, "the call is still running"
        call.join()
        assert call.error is None
        result = outcome.of_chunks(call.chunks)
        assert result.answers[0].finish_reason == "stop" and result.usage["completion_tokens"] == 40
        ended = time.monotonic()
        assert gateway.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - ended < 5, "it waited for the deadline though nothing was left to wait for"
        line = gateway.settled(id=call.call_id)
        assert (line["outcome"], line["usage"]) == ("complete", "reported")


def refuses(gateway: Gateway) -> bool:
    """Whether a new caller is refused at once; one that is left waiting fails the test."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=AT_ONCE_S)
    try:
        connection.request("GET", "/readyz")
        # The first reply after the signal may come from a connection that was accepted before it.
        assert connection.getresponse().read() in (b"ready\n", b"draining\n")
        return False
    except (ConnectionError, http.client.RemoteDisconnected):
        return True
    finally:
        connection.close()


@pytest.mark.parametrize("host", ["openai", "azure", "bedrock", "gemini"])
def test_a_stalled_stream_is_cut_at_the_deadline_and_logged_interrupted(simulator, tmp_path, host):
    with start(simulator, tmp_path, drain="1s") as gateway:
        tag = f"drained-{host}"
        call = Call(gateway, host, f"tokens=9,stall=3,tag={tag}")
        assert call.began.wait(PATIENCE_S)
        until(lambda: simulator.seen(tag)[0]["phase_at_close"] == "stalled")
        terminated = time.monotonic()
        gateway.terminate()
        assert gateway.process.wait(PATIENCE_S) == 0
        took = time.monotonic() - terminated
        assert 1.0 <= took < 5.0, f"ended after {took:.2f} s"
        call.join()
        assert call.error is not None, "a stream that is cut must not look complete"
        assert outcome.of_chunks(call.chunks).answers[0].finish_reason is None
        seen = until(lambda: [seen for seen in simulator.seen(tag) if seen["closed_ns"]])
        assert seen[0]["completed_ns"] is None
        line = gateway.settled(id=call.call_id)
        known = "partial" if host == "gemini" else "estimated"
        assert (line["outcome"], line["usage"]) == ("interrupted", known)


def test_new_callers_are_refused_at_once_and_a_second_signal_cuts_the_drain_short(simulator, tmp_path):
    with start(simulator, tmp_path, drain="60s") as gateway:
        call = Call(gateway, "openai", "tokens=9,stall=3")
        assert call.began.wait(PATIENCE_S)
        gateway.terminate()
        until(lambda: refuses(gateway))
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", gateway.port), AT_ONCE_S)
        assert gateway.process.poll() is None and call.is_alive()
        gateway.terminate()
        assert gateway.process.wait(PATIENCE_S) == 0
        call.join()
        assert gateway.settled(id=call.call_id)["outcome"] == "interrupted"


def test_an_idle_gateway_ends_at_once_even_with_an_idle_connection_open(simulator, tmp_path):
    with start(simulator, tmp_path, drain="60s") as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
        connection.request("GET", "/v1/models")
        assert json.load(connection.getresponse())["object"] == "list"
        gateway.terminate()
        assert gateway.process.wait(PATIENCE_S) == 0
        connection.close()
