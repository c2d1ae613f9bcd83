"""A streamed reply, as an iterator of both kinds.

It owns the call, and the call owns the backend: closing it, dropping it, or leaving the `await` inside it by an exception
closes the backend's socket before the next statement. One more thing ends it. A generator that is abandoned at `yield`
keeps this object alive and is told nothing, until the garbage collector comes by; but the task that iterated has ended by
then. A task that is cancelled or fails therefore closes what it iterated last. One that ends well does not: it may have
taken a chunk for another task, as `asyncio.wait_for` and heartbeats do. While no task reads, the one that opened the stream
stands for its reader. Trio tells nobody that a task has ended: there an abandoned generator waits for the collector.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from asyncio import current_task
from time import monotonic
from types import TracebackType
from typing import Any, NoReturn

from ._native import Bell, Call
from ._wait import checkpoint, in_trio, wait, wait_blocking
from .types.utils import ModelResponseStream

_Task = asyncio.Task[Any]
# Chunks that are ready are given out without a look at the event loop for this long: whoever is cancelled by another task,
# and whoever has gone, is to be heard of soon, also where a slow consumer takes what a fast backend has sent.
TURN_S = 0.0002


class CustomStreamWrapper:
    """The chunks of a reply as they come: `async for` in a task, `for` in a thread.

    `aclose()` and `close()` stop the backend, as do `async with` and `with` at their end. `model` and
    `custom_llm_provider` say who answers, `response_headers` what header fields the backend sent.
    """

    __slots__ = (
        "__weakref__",
        "_at",
        "_bell",
        "_busy",
        "_call",
        "_callback",
        "_made",
        "_opener",
        "_over",
        "_task",
        "_turn",
        "_why",
        "custom_llm_provider",
        "model",
        "response_headers",
    )

    def __init__(self, call: Call) -> None:
        self._call = call
        self._bell: Bell | None = None
        self._made: list[ModelResponseStream] = []
        # 0 <= _at <= len(_made): how many have been given out.
        self._at = 0
        self._over = False
        self._busy = False
        # When the event loop last had its turn, in seconds of the monotonic clock.
        self._turn = 0.0
        # Why it ended early, if nobody asked for that.
        self._why: str | None = None
        # The task that opened it, the one that iterated last, and what they call at their end. Weak: a task that lives long
        # must not keep what it has dropped.
        self._opener: _Task | None = None
        self._task: _Task | None = None
        self._callback = functools.partial(_task_ended, weakref.ref(self))
        self.custom_llm_provider, self.model = call.origin()
        self.response_headers = call.headers()

    @property
    def chunks(self) -> list[ModelResponseStream]:
        """The chunks that have been given out so far."""
        return self._made[: self._at]

    def __aiter__(self) -> CustomStreamWrapper:
        return self

    async def __anext__(self) -> ModelResponseStream:
        if self._busy:
            _refuse()
        if not in_trio():
            task = current_task()
            if task is not self._task:
                self._follow(task)
        at = self._at
        if at == len(self._made):
            await self._more()
            self._turn = monotonic()
        elif monotonic() - self._turn > TURN_S:
            await self._let_others()
            self._turn = monotonic()
        self._at = at + 1
        return self._made[at]

    def __iter__(self) -> CustomStreamWrapper:
        return self

    def __next__(self) -> ModelResponseStream:
        at = self._at
        if at == len(self._made):
            self._more_blocking()
        self._at = at + 1
        return self._made[at]

    async def _more(self) -> None:
        if self._over:
            self._say_why()
            raise StopAsyncIteration
        self._begin()
        try:
            found = await wait(self._call)
        except BaseException as error:
            self._end(_why(error))
            raise
        finally:
            self._busy = False
        if not found:
            self._end(None)
            raise StopAsyncIteration
        self._made += found

    async def _let_others(self) -> None:
        self._begin()
        try:
            await checkpoint()
        except BaseException as error:
            self._end(_why(error))
            raise
        finally:
            self._busy = False
        if self._over:
            self._say_why()
            raise StopAsyncIteration

    def _more_blocking(self) -> None:
        if self._over:
            self._say_why()
            raise StopIteration
        self._begin()
        try:
            if self._bell is None:
                self._bell = Bell()
            found = wait_blocking(self._call, self._bell)
        except BaseException as error:
            self._end(_why(error))
            raise
        finally:
            self._busy = False
        if not found:
            self._end(None)
            raise StopIteration
        self._made += found

    def _begin(self) -> None:
        if self._busy:
            _refuse()
        self._busy = True

    def _end(self, why: str | None) -> None:
        self._call.close()
        # Chunks that were ready when it was closed are not given out any more.
        del self._made[self._at :]
        self._bell = None
        if not self._over:
            self._over = True
            self._why = why
        self._forget_tasks()

    def _forget_tasks(self) -> None:
        self._unfollow()
        if self._opener is not None:
            self._opener.remove_done_callback(self._callback)
            self._opener = None

    def _say_why(self) -> None:
        if self._why is not None:
            raise RuntimeError(f"this stream was closed before its end: {self._why}")

    def opened_by(self, task: _Task | None) -> None:
        """Closes it if this task is cancelled or fails while no other one reads."""
        if task is not None:
            self._opener = task
            task.add_done_callback(self._callback)

    def _follow(self, task: _Task | None) -> None:
        if task is None or self._over or _takes_one_chunk(task):
            return
        self._unfollow()
        self._task = task
        if task is not self._opener:
            task.add_done_callback(self._callback)

    def _unfollow(self) -> None:
        task, self._task = self._task, None
        if task is not None and task is not self._opener:
            task.remove_done_callback(self._callback)

    def close(self) -> None:
        """Stops the backend. What has not been given out is gone."""
        self._end(None)

    async def aclose(self) -> None:
        """The same for `async` code; suspends nowhere."""
        self._end(None)

    def __enter__(self) -> CustomStreamWrapper:
        return self

    def __exit__(self, *_: TracebackType | BaseException | type[BaseException] | None) -> None:
        self._end(None)

    async def __aenter__(self) -> CustomStreamWrapper:
        return self

    async def __aexit__(self, *_: TracebackType | BaseException | type[BaseException] | None) -> None:
        self._end(None)

    def __del__(self) -> None:
        # Its maker may have failed.
        if hasattr(self, "response_headers"):
            self._call.close()
            self._forget_tasks()

    def __copy__(self) -> CustomStreamWrapper:
        raise TypeError("a stream has one backend and can't be copied; `chunks` has what it has given")

    def __repr__(self) -> str:
        state = "over" if self._over else "open"
        return f"<CustomStreamWrapper of {self.custom_llm_provider}/{self.model}: {state}, {self._at} chunks given>"


def _takes_one_chunk(task: _Task) -> bool:
    """Whether it was made for `__anext__` alone: it takes a chunk for another task, which is the reader."""
    return getattr(task.get_coro(), "cr_code", None) is CustomStreamWrapper.__anext__.__code__


def _refuse() -> NoReturn:
    raise RuntimeError("somebody else is waiting for the next chunk of this stream already")


def _task_ended(stream: weakref.ref[CustomStreamWrapper], task: _Task) -> None:
    owner = stream()
    if owner is None or (owner._task or owner._opener) is not task:
        return
    # `Task.exception()` would count as somebody's having looked at it, and asyncio would not report it any more.
    failed = not task.cancelled() and getattr(task, "_exception", None) is not None
    if task.cancelled() or failed:
        owner._end(f"the task that iterated it {'failed' if failed else 'was cancelled'}")
    else:
        owner._unfollow()


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
