"""Responses under either version of ASGI's disconnect, under asyncio and trio, with either kind of generator.

What servers do is done here by hand: `founding/` has a real one, which speaks version 2.3 only.
"""

import asyncio
import subprocess
import sys
import threading

import anyio
import pytest

pytest.importorskip("starlette")

from starlette.applications import Starlette  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: E402
from starlette.requests import ClientDisconnect  # noqa: E402
from starlette.routing import Route  # noqa: E402

from tidegate import completion  # noqa: E402
from tidegate.fastapi import StreamingResponse  # noqa: E402


class Reader:
    """A server's side of one request, whose reader leaves after the second chunk."""

    def __init__(self, version: str, slow: bool):
        self.version = version
        # Whether sending takes time: then the generator is at `yield` when its reader leaves.
        self.slow = slow
        self.gone = anyio.Event()
        self.bodies = 0
        self.asked = False

    def scope(self) -> dict:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": self.version},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": "",
            "headers": [],
        }

    async def receive(self) -> dict:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict) -> None:
        if message["type"] != "http.response.body" or not message.get("body"):
            return
        self.bodies += 1
        if self.bodies < 2:
            return
        self.gone.set()
        if self.slow:
            await anyio.sleep(0.05)
        if self.version == "2.4":
            raise OSError("the reader has gone")


def application(generator, middleware: bool) -> Starlette:
    async def endpoint(request):
        return StreamingResponse(generator())

    async def nothing(request, call_next):
        return await call_next(request)

    around = [Middleware(BaseHTTPMiddleware, dispatch=nothing)] if middleware else []
    return Starlette(routes=[Route("/", endpoint)], middleware=around)


async def respond(generator, reader: Reader, middleware: bool) -> None:
    with anyio.fail_after(5):
        try:
            await application(generator, middleware)(reader.scope(), reader.receive, reader.send)
        except ClientDisconnect:
            assert reader.version == "2.4"
        except OSError:
            # A middleware of Starlette's sends by itself, and lets it through.
            assert reader.version == "2.4" and middleware


@pytest.mark.parametrize("version", ["2.3", "2.4"])
@pytest.mark.parametrize("middleware", [False, True], ids=["plain", "middleware"])
@pytest.mark.parametrize("slow", [False, True], ids=["waiting", "sending"])
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_generator_ends_before_its_response(version, middleware, slow, loop):
    if loop == "trio":
        pytest.importorskip("trio")
    notes = []

    async def generator():
        try:
            yield "one"
            yield "two"
            await anyio.sleep_forever()
        except BaseException as error:
            notes.append(type(error))
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            notes.append("cleaned up")

    async def program():
        await respond(generator, Reader(version, slow), middleware)
        return list(notes)

    # As they were when the response was over, and not later.
    left = anyio.run(program, backend=loop)
    if loop == "asyncio":
        assert left == [asyncio.CancelledError, "cleaned up"]
    else:
        # Trio has no exception that one could throw: at `yield` a generator is closed.
        assert left[0].__name__ in ("Cancelled", "GeneratorExit") and left[1:] == ["cleaned up"]


@pytest.mark.parametrize("version", ["2.3", "2.4"])
@pytest.mark.parametrize("middleware", [False, True], ids=["plain", "middleware"])
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_generator_in_a_thread_ends_before_its_response(version, middleware, loop):
    if loop == "trio":
        pytest.importorskip("trio")
    notes = []

    def generator():
        try:
            while True:
                yield "more"
        except BaseException as error:
            notes.append(type(error))
            raise
        finally:
            notes.append(threading.current_thread() is not threading.main_thread())

    async def program():
        await respond(generator, Reader(version, slow=True), middleware)
        return list(notes)

    left = anyio.run(program, backend=loop)
    assert left[0] in (asyncio.CancelledError, GeneratorExit) and left[1:] == [True]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("error", [TimeoutError("of a database"), FileNotFoundError("no file")])
def test_a_generator_s_own_failure_stays_what_it_is(error, loop):
    """`OSError` is what a server of ASGI 2.4 says, and what much else is."""

    async def generator():
        yield "one"
        raise error

    async def program():
        reader = Reader("2.4", slow=False)
        await StreamingResponse(generator())(reader.scope(), reader.receive, reader.send)

    with pytest.raises(type(error), match=str(error)):
        anyio.run(program, backend=loop)


def test_what_a_generator_has_shielded_ends_first():
    notes = []

    async def generator():
        try:
            yield "one"
            yield "two"
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.1)
                notes.append("committed")
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            notes.append("told")
            raise

    asyncio.run(respond(generator, Reader("2.3", slow=False), middleware=False))
    assert notes == ["committed", "told"]


def test_an_iterator_of_the_program_s_own_is_closed():
    class Chunks:
        closed = False

        def __aiter__(self):
            return self

        async def __anext__(self):
            return "more"

        async def aclose(self):
            self.closed = True

    chunks = Chunks()
    asyncio.run(respond(lambda: chunks, Reader("2.3", slow=True), middleware=False))
    assert chunks.closed


def test_an_object_whose_iterator_is_a_generator():
    notes = []

    class Chunks:
        async def __aiter__(self):
            try:
                while True:
                    yield "more"
            except asyncio.CancelledError:
                notes.append("told")
                raise
            finally:
                await asyncio.sleep(0.01)
                notes.append("cleaned up")

    asyncio.run(respond(Chunks, Reader("2.3", slow=True), middleware=False))
    assert notes == ["told", "cleaned up"]


def test_a_generator_in_a_thread_may_leave_its_stream_to_others(backend):
    """A response that is over is no reason to close what somebody goes on with."""
    from starlette.background import BackgroundTask

    rest = []

    async def program():
        stream = completion(**backend.arguments("openai", "tokens=20"), stream=True)

        def generator():
            for _ in range(3):
                yield next(stream).choices[0].delta.content or "-"

        reader = Reader("2.3", slow=False)
        reader.bodies = -100
        response = StreamingResponse(generator(), background=BackgroundTask(lambda: rest.extend(stream)))
        await response(reader.scope(), reader.receive, reader.send)

    asyncio.run(program())
    assert len(rest) == 22 - 3


INSTALLED = """
import asyncio, sys
sys.path.insert(0, {tests!r})
import tidegate.fastapi
from starlette.responses import StreamingResponse
tidegate.fastapi.install()
tidegate.fastapi.install()
import test_responses
test_responses.StreamingResponse = StreamingResponse
for version in ("2.3", "2.4"):
    for middleware in (False, True):
        test_responses.test_a_generator_ends_before_its_response(version, middleware, True, "asyncio")
"""


def test_installed_it_is_every_response_of_the_process():
    tests = __file__.rpartition("/")[0]
    subprocess.run([sys.executable, "-c", INSTALLED.format(tests=tests)], check=True, timeout=60)
