"""Small calls: how long they take, how they arrive, and what the log says of them.

A guard against the 40 ms that Nagle's algorithm and delayed acknowledgements cost together: a peer of this gateway wrote
head and small body apart, without TCP_NODELAY, and every caller paid.
"""

import json
import socket
import statistics
import time

import pytest

import curl
from processes import KEY, PATIENCE_S

CALLS = 20
# A delayed acknowledgement takes 40 ms; a debug build takes a few, on a busy machine some more.
MEDIAN_MS = 20


@pytest.mark.parametrize("host", ["openai", "azure", "bedrock", "gemini"])
def test_small_calls_on_one_connection_take_no_delayed_acknowledgement(gateway, host):
    body = json.dumps(
        {"model": f"{host}/gpt-4o-mini", "messages": [{"role": "user", "content": "[sim tokens=3]"}]}
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    took = []
    with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S) as caller:
        for _ in range(CALLS):
            segments = data_segments_in(caller)
            began = time.monotonic()
            caller.sendall(head.encode() + body)
            reply = caller.recv(65536)
            took.append((time.monotonic() - began) * 1000)
            assert_whole(reply)
            assert data_segments_in(caller) - segments == 1, "head and body came in more than one segment"
    assert statistics.median(took) < MEDIAN_MS, sorted(took)


def assert_whole(reply: bytes):
    head, found, body = reply.partition(b"\r\n\r\n")
    assert found and head.startswith(b"HTTP/1.1 200")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
    assert int(lengths[0].split()[1]) == len(body), "the body did not come with the head"
    assert json.loads(body)["choices"][0]["finish_reason"] == "stop"


def data_segments_in(caller: socket.socket) -> int:
    """`tcpi_data_segs_in` of Linux's `struct tcp_info`: segments with data that have arrived, from 4.6 on."""
    info = caller.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int.from_bytes(info[152:156], "little")


@pytest.mark.parametrize("host", ["openai", "azure", "bedrock", "gemini"])
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
def test_o2_a_call_on_a_connection_that_is_not_kept_is_complete(gateway, host, streaming):
    """hyper is done with such a connection when it has written the reply; that is no hang-up."""
    body = {"model": f"{host}/m", "messages": [{"role": "user", "content": "[sim tokens=3]"}], "stream": streaming}
    reply = curl.post(gateway, body, "-H", "connection: close")
    assert gateway.settled(id=reply.headers["x-tidegate-call-id"])["outcome"] == "complete"
