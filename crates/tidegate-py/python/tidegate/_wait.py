"""Waiting for a call: in asyncio and uvloop, in trio, and without an event loop.

Never decides what becomes of a call whose waiting was broken off: whoever waits closes it. Used by `_calls.py` and
`_stream.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import os
import sys
import weakref
from collections.abc import Iterator
from typing import Any

from ._native import Bell, Call, after_fork, before_fork


class _Loop:
    """One event loop's bell, and who waits for it to ring."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.bell = Bell()
        self.waiting: dict[int, tuple[Call, asyncio.Future[Any]]] = {}
        # The loop keeps this object by its callback, until the loop is closed.
        loop.add_reader(self.bell.fileno(), self._rung)

    def _rung(self) -> None:
        rung = self.bell.take()
        try:
            while rung:
                if entry := self.waiting.get(rung.pop()):
                    self._look(*entry)
        finally:
            # Broken off by a signal's handler: the others are still to be woken.
            for number in rung:
                if entry := self.waiting.get(number):
                    entry[1].get_loop().call_soon(self._look, *entry)

    def _look(self, call: Call, future: asyncio.Future[Any]) -> None:
        if future.done():
            return
        try:
            found = call.poll(self.bell)
        except BaseException as error:
            # Whatever it is, it is for who waits; the others are still to be woken.
            future.set_exception(error)
        else:
            if found is not None:
                future.set_result(found)


# Weak on both sides: who waits is reached from here, and by that the loop itself.
_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Loop]] = weakref.WeakKeyDictionary()


async def wait(call: Call) -> Any:
    """What the call comes to next, as `Call.poll` says it. Suspends at least once, so that other tasks run and a cancel
    arrives even where there is always more.
    """
    if in_trio():
        return await _wait_in_trio(call)
    loop = asyncio.get_running_loop()
    ours = known() if (known := _loops.get(loop)) else None
    if ours is None:
        ours = _Loop(loop)
        _loops[loop] = weakref.ref(ours)
    found = call.poll(ours.bell)
    if found is not None:
        await asyncio.sleep(0)
        return found
    future = loop.create_future()
    ours.waiting[call.number] = (call, future)
    try:
        return await future
    finally:
        del ours.waiting[call.number]


async def checkpoint() -> None:
    """Lets other tasks run, and a cancel arrive."""
    if in_trio():
        import trio

        await trio.lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)


def wait_blocking(call: Call, bell: Bell) -> Any:
    """The same for a thread; other threads run meanwhile.

    Raises what a signal's handler raises, and `CancelledError` if the work that this thread does has been given up.
    """
    work = WORK.get(None)
    if work is None:
        while (found := call.poll(bell)) is None:
            bell.wait()
        return found
    with work.waiting_for(call, bell):
        while (found := call.poll(bell)) is None:
            bell.wait()
            work.check()
        return found


def in_trio() -> bool:
    """Whether trio runs the caller."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except (RuntimeError, AttributeError):
        return False
    return True


async def _wait_in_trio(call: Call) -> Any:
    import trio

    bell = Bell()
    found = call.poll(bell)
    if found is not None:
        await trio.lowlevel.checkpoint()
        return found
    while found is None:
        await trio.lowlevel.wait_readable(bell.fileno())
        bell.take()
        found = call.poll(bell)
    return found


os.register_at_fork(
    before=before_fork,
    after_in_parent=functools.partial(after_fork, False),
    after_in_child=functools.partial(after_fork, True),
)


class Work:
    """What a thread does for a task, step by step. The task may give a step up while the thread waits for a call."""

    def __init__(self) -> None:
        self._given_up = False
        # Of those threads of this work that wait now: it may have started some of its own.
        self._bells: list[Bell] = []
        # What was waited for last.
        self._call: Call | None = None

    def begin_step(self) -> None:
        """A step that was given up does not give up those after it: they clean up."""
        self._given_up = False

    def give_up(self) -> None:
        """Ends the wait of the thread, if it waits for a call now, and every later one of this step."""
        self._given_up = True
        for bell in list(self._bells):
            bell.ring()

    def end(self, well: bool) -> None:
        """The work is over. If it ended badly, so has what it waited for last: a traceback may keep the stream from being
        freed.
        """
        if not well and (call := self._call):
            call.close()
        self._call = None

    def check(self) -> None:
        """Raises `CancelledError` if the step has been given up."""
        if self._given_up:
            raise asyncio.CancelledError("nobody waits for this any more")

    @contextlib.contextmanager
    def waiting_for(self, call: Call, bell: Bell) -> Iterator[None]:
        self._call = call
        self._bells.append(bell)
        try:
            # After the bell is known: who gives up from now on rings it.
            self.check()
            yield
        finally:
            self._bells.remove(bell)


WORK: contextvars.ContextVar[Work] = contextvars.ContextVar("tidegate_work")
