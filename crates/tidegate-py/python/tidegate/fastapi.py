"""Responses of FastAPI, and of whatever else is made with Starlette, that end their generator when the reader has gone.

Starlette stops reading a generator whose reader has gone, and leaves it where it is. If that is an `await` of the
generator's own, it gets `CancelledError`; if it is a `yield`, it gets nothing, and its `finally` waits for the garbage
collector. Here it gets `CancelledError` once, wherever it is suspended, and its `finally` has finished, with all that it
awaits, before the response is over. What it has shielded with `anyio.CancelScope` ends first. An asynchronous iterator that is
no generator has its `aclose()` called, if it has one. The reader is watched from the beginning of the response: a generator that
reads the request's body itself has to have read it before (Starlette asks for the same of servers of ASGI 2.3). That holds under any middleware, with either version of ASGI's disconnect (2.3 and 2.4),
and for generators that are no coroutines: those run in a thread, as ever, and a call of Tidegate's that they wait for is
given up.

    from tidegate.fastapi import StreamingResponse

or, for all responses of the process, whoever makes them:

    import tidegate.fastapi

    tidegate.fastapi.install()
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterable, Callable, Generator
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse as _Response

from ._wait import WORK, Work, in_trio

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["StreamingResponse", "install"]

_init = _Response.__init__


class StreamingResponse(_Response):
    """Starlette's, but that its generator is told when the reader has gone."""

    def __init__(self, content: Any, *arguments: Any, **options: Any) -> None:
        _init(self, content, *arguments, **options)
        _in_threads(self, content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _respond(self, scope, receive, send)


def install() -> None:
    """Makes every `StreamingResponse` of Starlette's behave as the one here, for good. More than once is as good as once."""
    if getattr(_Response, "_tidegate", False):
        return

    @functools.wraps(_init)
    def init(self: _Response, content: Any, *arguments: Any, **options: Any) -> None:
        _init(self, content, *arguments, **options)
        _in_threads(self, content)

    async def call(self: _Response, scope: Scope, receive: Receive, send: Send) -> None:
        await _respond(self, scope, receive, send)

    _Response._tidegate = True  # type: ignore[attr-defined]
    _Response.__init__ = init  # type: ignore[method-assign]
    _Response.__call__ = call  # type: ignore[method-assign]


def _in_threads(response: _Response, content: Any) -> None:
    # What it is to be told by: the generator itself, where the content makes one.
    response.body_iterator = content.__aiter__() if isinstance(content, AsyncIterable) else _InThreads(content)


async def _respond(response: _Response, scope: Scope, receive: Receive, send: Send) -> None:
    async def sending(message: Any) -> None:
        try:
            await send(message)
        except OSError:
            # How a server of ASGI 2.4 says it.
            raise ClientDisconnect from None

    await (_respond_in_trio if in_trio() else _respond_in_asyncio)(response, receive, sending)
    if response.background is not None:
        await response.background()


async def _respond_in_asyncio(response: _Response, receive: Receive, send: Send) -> None:
    # The generator is cancelled by a scope of anyio's, so that what it has shielded goes on, and once only: what its clean-up
    # awaits is left alone, even where whoever cancels this task does so again and again, as anyio does.
    gone, told, clean_up = anyio.CancelScope(), anyio.CancelScope(), anyio.CancelScope(shield=True)
    given_up = False
    # Whether the generator has been told, or has ended: what it awaits from then on is its clean-up.
    leaving = False

    async def send_while_there(message: Any) -> None:
        # A generator that goes on after `CancelledError` has nobody to go on for.
        if given_up:
            raise asyncio.CancelledError
        await send(message)

    async def stream() -> None:
        nonlocal leaving
        with gone, told:
            try:
                await _Once(response.stream_response(send_while_there), told)
            finally:
                told.shield = leaving = True
                await _cancelled(response.body_iterator)

    streaming = asyncio.ensure_future(stream())
    watching = asyncio.ensure_future(_reader_gone(receive))
    interrupted: BaseException | None = None
    try:
        await asyncio.wait({streaming, watching}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError as cancelled:
        interrupted = cancelled
    given_up = not streaming.done()
    if not leaving:
        gone.cancel()
    watching.cancel()
    with clean_up:
        while not (streaming.done() and watching.done()):
            try:
                await asyncio.wait({streaming, watching})
            except asyncio.CancelledError as cancelled:
                interrupted = cancelled
    try:
        if interrupted is not None:
            # That what was streamed has failed too is heard of by asyncio's own means.
            raise interrupted
        if not (given_up and streaming.cancelled()):
            streaming.result()
        if not watching.cancelled():
            watching.result()
    finally:
        # Its traceback leads back here.
        interrupted = None


async def _respond_in_trio(response: _Response, receive: Receive, send: Send) -> None:
    failed: BaseException | None = None
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            await _reader_gone(receive)
            group.cancel_scope.cancel()

        group.start_soon(watch)
        try:
            await response.stream_response(send)
        except Exception as error:
            # Out of the group as it is.
            failed = error
        finally:
            with anyio.CancelScope(shield=True):
                await _closed(response.body_iterator)
        group.cancel_scope.cancel()
    try:
        if failed is not None:
            raise failed
    finally:
        # Its traceback leads back here.
        failed = None


async def _reader_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancelled(body: Any) -> None:
    """Throws `CancelledError` into a generator that has not ended."""
    throw: Callable[[BaseException], Any] | None = getattr(body, "athrow", None)
    if throw is None:
        # An iterator of the program's own: to close it is all that one can do.
        await _closed(body)
        return
    if getattr(body, "ag_frame", body) is None:
        return
    try:
        await throw(asyncio.CancelledError("the reader of this response has gone"))
    except (asyncio.CancelledError, StopAsyncIteration):
        return
    # It took that for a wish and yielded again.
    await body.aclose()


async def _closed(body: Any) -> None:
    if close := getattr(body, "aclose", None):
        await close()


class _Once:
    """Awaits a coroutine that is to hear of a cancel once: after that the scope around it is shielded."""

    def __init__(self, coroutine: Any, around: anyio.CancelScope) -> None:
        self._coroutine = coroutine
        self._around = around

    def __await__(self) -> Generator[Any, Any, Any]:
        step, value = self._coroutine.send, None
        while True:
            try:
                awaited = step(value)
            except StopIteration as stop:
                return stop.value
            try:
                step, value = self._coroutine.send, (yield awaited)
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError):
                    self._around.shield = True
                step, value = self._coroutine.throw, error


class _InThreads:
    """An iterator that blocks, each step in a thread, as an asynchronous generator."""

    def __init__(self, iterable: Any) -> None:
        self._iterator = iter(iterable)
        self._work = Work()
        # As of a generator: `None` at the end.
        self.ag_frame: Any = self

    def __aiter__(self) -> _InThreads:
        return self

    async def __anext__(self) -> Any:
        return await self._step(lambda: next(self._iterator))

    async def athrow(self, error: BaseException) -> Any:
        throw = getattr(self._iterator, "throw", None)
        if throw is None:
            self._end(well=False)
            raise error
        return await self._step(lambda: throw(error))

    async def aclose(self) -> None:
        if close := getattr(self._iterator, "close", None):
            await anyio.to_thread.run_sync(close)
        self._end(well=False)

    def _end(self, well: bool) -> None:
        self.ag_frame = None
        self._work.end(well)

    async def _step(self, step: Callable[[], Any]) -> Any:
        if in_trio():
            ended, value = await anyio.to_thread.run_sync(self._outcome, step)
        else:
            ended, value = await self._outcome_in_asyncio(step)
        if not ended:
            return value
        self._end(isinstance(value, StopIteration))
        try:
            raise StopAsyncIteration if isinstance(value, StopIteration) else value
        finally:
            # The traceback leads back here.
            del value

    async def _outcome_in_asyncio(self, step: Callable[[], Any]) -> tuple[bool, Any]:
        self._work.begin_step()
        thread = asyncio.ensure_future(anyio.to_thread.run_sync(self._outcome, step))
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            # The thread can't be stopped from outside; a call of Tidegate's that it waits for can.
            self._work.give_up()
            ended, value = await thread
            if ended:
                self._end(well=False)
            failed = ended and not isinstance(value, (StopIteration, asyncio.CancelledError))
            try:
                if failed:
                    raise value from None
            finally:
                del value
            raise

    def _outcome(self, step: Callable[[], Any]) -> tuple[bool, Any]:
        """Whether the iterator has ended, and by which exception; else its next value."""
        token = WORK.set(self._work)
        try:
            return False, step()
        except BaseException as error:
            return True, error
        finally:
            WORK.reset(token)
