"""Waiting for a call: in asyncio and uvloop, in trio, and without an event loop.

Never decides what becomes of a call whose waiting was broken off: whoever waits closes it. Used by `_calls.py` and
`_stream.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import weakref
from typing import Any

from ._native import Bell, Call


class _Loop:
    """One event loop's bell, and who waits for it to ring."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.bell = Bell()
        self.waiting: dict[int, tuple[Call, asyncio.Future[Any]]] = {}
        # The loop keeps this object by its callback, until the loop is closed.
        loop.add_reader(self.bell.fileno(), self._rung)

    def _rung(self) -> None:
        for number in self.bell.take():
            if entry := self.waiting.get(number):
                self._look(*entry)

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


_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = weakref.WeakKeyDictionary()


async def wait(call: Call) -> Any:
    """What the call comes to next, as `Call.poll` says it. Suspends at least once, so that other tasks run and a cancel
    arrives even where there is always more.
    """
    if in_trio():
        return await _wait_in_trio(call)
    loop = asyncio.get_running_loop()
    ours = _loops.get(loop)
    if ours is None:
        ours = _loops[loop] = _Loop(loop)
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


class Work:
    """What a thread does for a task, step by step. The task may give a step up while the thread waits for a call."""

    def __init__(self) -> None:
        self._given_up = False
        self._bell: Bell | None = None
        # What was waited for last.
        self._call: Call | None = None

    def begin_step(self) -> None:
        """A step that was given up does not give up those after it: they clean up."""
        self._given_up = False

    def give_up(self) -> None:
        """Ends the wait of the thread, if it waits for a call now, and every later one of this step."""
        self._given_up = True
        if bell := self._bell:
            bell.ring()

    def end(self) -> None:
        """The work is over, and with it what it waited for last: a traceback may keep the stream from being freed."""
        if call := self._call:
            call.close()
        self._call = None

    def check(self) -> None:
        """Raises `CancelledError` if the step has been given up."""
        if self._given_up:
            raise asyncio.CancelledError("nobody waits for this any more")

    def waiting_for(self, call: Call, bell: Bell) -> Work:
        self._call = call
        self._bell = bell
        return self

    def __enter__(self) -> None:
        # After the bell is known: who gives up from now on rings it.
        self.check()

    def __exit__(self, *_: object) -> None:
        self._bell = None


WORK: contextvars.ContextVar[Work] = contextvars.ContextVar("tidegate_work")
