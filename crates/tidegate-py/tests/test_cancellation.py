"""The hang-up contract in Python: whoever stops waiting has stopped the backend, and `CancelledError` arrives as it was sent.

Ids in docstrings are of the catalogue of how this has gone wrong elsewhere.
"""

import asyncio
import copy
import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

import tidegate
from conftest import HOSTS, now_ns
from processes import until
from tidegate import acompletion, completion

# A busy machine's slack.
WITHIN_MS = 100
STALL = "tokens=50 stall=5"
PHASES = {
    "before_headers": "headers_delay=60s",
    "before_first_token": "first_token_delay=60s",
    "stalled": STALL,
}


async def in_phase(backend, tag: str, phase: str):
    """Waits for the call without keeping the loop from it."""
    await asyncio.to_thread(backend.comes_to, tag, phase)
    await asyncio.sleep(0.005)


async def consume(arguments, notes):
    """A program: it iterates, notes what it is told, and lets it go on."""
    try:
        async for _ in await acompletion(**arguments, stream=True):
            pass
    except BaseException as error:
        notes.append(error)
        raise
    finally:
        notes.append("finally")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("phase", PHASES)
def test_a_cancelled_task_closes_its_backend_before_it_hears_of_it(backend, host, phase):
    """P1, P7."""
    tag, arguments = backend.tagged(host, PHASES[phase])

    async def program():
        notes = []
        task = asyncio.create_task(consume(arguments, notes))
        await in_phase(backend, tag, phase)
        cancelled = now_ns()
        task.cancel("with this message")
        await asyncio.wait({task})
        assert task.cancelled() and type(notes[0]) is asyncio.CancelledError
        assert notes[0].args == ("with this message",) and notes[1:] == ["finally"]
        return cancelled

    assert backend.closed(tag, asyncio.run(program())) < WITHIN_MS


@pytest.mark.parametrize("host", HOSTS)
def test_a_cancelled_call_for_a_whole_reply(backend, host):
    """D2, A2."""
    tag, arguments = backend.tagged(host, "tokens=5 first_token_delay=60s")

    async def program():
        task = asyncio.create_task(acompletion(**arguments))
        await asyncio.to_thread(until, lambda: any(call["body_ns"] for call in backend.seen(tag)))
        cancelled = now_ns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return cancelled

    assert backend.closed(tag, asyncio.run(program())) < WITHIN_MS


# What a call goes through: refused and tried again, refused and taken elsewhere, slow to begin, streaming, bursts.
COURSES = (
    "error=503",
    "error=400",
    "tokens=9 headers_delay=8ms first_token_delay=8ms",
    "tokens=30 interval=1ms",
    "tokens=4000 burst=400 gap=1ms",
)


def with_everything(backend, course: str) -> tuple[str, dict]:
    """A call with retries and a fallback."""
    tag, arguments = backend.tagged("openai", course)
    spare = backend.arguments("azure", f"tokens=5 interval=1ms tag={tag}")
    return tag, arguments | {"num_retries": 2, "fallbacks": [spare]}


class CancelledAt:
    """Awaits a coroutine and cancels the task at one of the coroutine's suspensions, counted from 1."""

    def __init__(self, coroutine, at: int):
        self.coroutine = coroutine
        self.at = at
        self.suspensions = 0

    def __await__(self):
        step, value = self.coroutine.send, None
        while True:
            try:
                awaited = step(value)
            except StopIteration as stop:
                return stop.value
            self.suspensions += 1
            if self.suspensions == self.at:
                asyncio.current_task().cancel(self.at)
            try:
                step, value = self.coroutine.send, (yield awaited)
            except BaseException as error:
                step, value = self.coroutine.throw, error


@pytest.mark.parametrize("course", COURSES)
def test_cancelled_at_every_await(backend, course):
    """P1, P2, P4: whichever await the cancel lands on, it arrives as it is, and nothing of the call is left."""

    async def cancelled_at(step: int) -> bool:
        _, arguments = with_everything(backend, course)
        notes = []
        awaiting = CancelledAt(consume(arguments, notes), step)
        task = asyncio.ensure_future(_awaited(awaiting))
        await asyncio.wait({task})
        if awaiting.suspensions < step:
            return False
        assert task.cancelled() and notes[0].args == (step,) and notes[1:] == ["finally"]
        await asyncio.to_thread(until, lambda: backend.simulator.running() == 0)
        return True

    async def all_of_them():
        step = 1
        while await cancelled_at(step):
            # The first ones each; of many that are alike, some.
            step += 1 if step < 8 else step // 2
        return step

    assert asyncio.run(all_of_them()) > 1


async def _awaited(awaitable):
    return await awaitable


@pytest.mark.parametrize("course", COURSES)
def test_cancelled_at_every_moment(backend, course):
    """P2, P3: no attempt begins after the cancel, whatever the call was at."""
    tags = []

    async def cancelled_after(delay_s: float):
        tag, arguments = with_everything(backend, course)
        tags.append(tag)
        notes = []
        task = asyncio.create_task(consume(arguments, notes))
        await asyncio.sleep(delay_s)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled() and isinstance(notes[0], asyncio.CancelledError)

    async def moments():
        for delay in range(30):
            await cancelled_after(delay * 0.0012)
        await asyncio.to_thread(until, lambda: backend.simulator.running() == 0)
        attempts = [len(backend.seen(tag)) for tag in tags]
        # Longer than the pause before another attempt.
        await asyncio.sleep(0.8)
        assert [len(backend.seen(tag)) for tag in tags] == attempts

    asyncio.run(moments())


def test_cancelled_in_the_pause_before_a_retry(backend):
    """P3: nothing is asked again once nobody waits."""
    tag, arguments = backend.tagged("openai", "error=503")

    async def program():
        task = asyncio.create_task(acompletion(**arguments, num_retries=3))
        await asyncio.to_thread(until, lambda: backend.seen(tag))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.7)

    asyncio.run(program())
    assert len(backend.seen(tag)) == 1


async def with_timeout(arguments):
    if sys.version_info < (3, 11):
        pytest.skip("asyncio.timeout is of Python 3.11")
    async with asyncio.timeout(0.1):
        async for _ in await acompletion(**arguments, stream=True):
            pass


async def with_wait_for(arguments):
    await asyncio.wait_for(consume(arguments, []), 0.1)


async def with_wait_for_one_chunk(arguments):
    stream = await acompletion(**arguments, stream=True)
    while True:
        await asyncio.wait_for(stream.__anext__(), 0.1)


async def with_task_group(arguments):
    if sys.version_info < (3, 11):
        pytest.skip("asyncio.TaskGroup is of Python 3.11")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(consume(arguments, []))
            await asyncio.sleep(0.1)
            raise TimeoutError
    except BaseExceptionGroup as failures:  # noqa: F821
        raise failures.exceptions[0] from None


async def with_anyio(arguments):
    import anyio

    with anyio.fail_after(0.1):
        try:
            await consume(arguments, [])
        finally:
            with anyio.CancelScope(shield=True):
                # Clean-up may itself call: it is shielded.
                healthy = {**arguments, "messages": [{"role": "user", "content": "[sim tokens=2]"}]}
                assert (await acompletion(**healthy)).choices[0].message.content == " A tide"


@pytest.mark.parametrize("program", [with_timeout, with_wait_for, with_wait_for_one_chunk, with_task_group, with_anyio])
def test_timeouts_and_groups(backend, program):
    tag, arguments = backend.tagged("azure", STALL)

    async def timed():
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            await program(arguments)
        return now_ns()

    # Closed before the program hears of it.
    assert backend.closed(tag, asyncio.run(timed())) < WITHIN_MS


def test_in_trio(backend):
    trio = pytest.importorskip("trio")
    tag, arguments = backend.tagged("azure", STALL)

    async def program():
        with trio.move_on_after(0.2) as scope:
            async for _ in await acompletion(**arguments, stream=True):
                pass
        assert scope.cancelled_caught
        left = now_ns()
        reply = await acompletion(**backend.arguments("bedrock", "tokens=2"))
        assert reply.choices[0].message.content == " A tide"
        return left

    assert backend.closed(tag, trio.run(program)) < WITHIN_MS


def test_leaving_the_loop(backend):
    """`break`, an exception in the loop's body, `aclose`, `async with`, dropping the iterator."""

    async def broken(arguments):
        async for _ in await acompletion(**arguments, stream=True):
            break

    async def failed(arguments):
        with pytest.raises(ZeroDivisionError):
            async for _ in await acompletion(**arguments, stream=True):
                raise ZeroDivisionError

    async def closed(arguments):
        stream = await acompletion(**arguments, stream=True)
        await stream.__anext__()
        await stream.aclose()
        assert [chunk async for chunk in stream] == []

    async def managed(arguments):
        async with await acompletion(**arguments, stream=True) as stream:
            await stream.__anext__()

    async def dropped(arguments):
        stream = await acompletion(**arguments, stream=True)
        await stream.__anext__()
        del stream

    for leave in (broken, failed, closed, managed, dropped):
        tag, arguments = backend.tagged("bedrock", STALL)

        async def program(leave=leave, tag=tag, arguments=arguments):
            gc.disable()
            try:
                await leave(arguments)
                # The task goes on; the collector has not run.
                return await asyncio.to_thread(backend.closed, tag, now_ns())
            finally:
                gc.enable()

        assert asyncio.run(program()) < WITHIN_MS, leave.__name__


def test_a_blocking_iterator(backend):
    for leave in ("break", "close", "with", "drop"):
        tag, arguments = backend.tagged("azure", STALL)
        stream = completion(**arguments, stream=True)
        next(stream)
        if leave == "break":
            for _ in stream:
                break
        if leave == "with":
            with stream:
                pass
        elif leave == "close":
            stream.close()
        left = now_ns()
        del stream
        assert backend.closed(tag, left) < WITHIN_MS, leave


def test_a_generator_abandoned_at_yield_is_closed_when_its_task_has_ended(backend):
    """D4, P5: nobody closes the generator, and a cycle keeps it from being freed."""
    tag, arguments = backend.tagged("azure", "tokens=1000 interval=5ms")
    kept = []

    async def generator():
        async for chunk in await acompletion(**arguments, stream=True):
            yield chunk

    async def consumer(chunks):
        async for _ in chunks:
            # As a server's `send` that waits for the network.
            await asyncio.sleep(3600)

    async def program():
        chunks = generator()
        kept.append(chunks)
        task = asyncio.create_task(consumer(chunks))
        await asyncio.to_thread(until, lambda: any(call["tokens_written"] > 3 for call in backend.seen(tag)))
        cancelled = now_ns()
        task.cancel()
        await asyncio.wait({task})
        late = await asyncio.to_thread(backend.closed, tag, cancelled)
        with pytest.raises(RuntimeError, match="the task that iterated it was cancelled"):
            await chunks.__anext__()
        return late

    assert asyncio.run(program()) < WITHIN_MS


async def before_the_first_chunk(stream):
    yield "an opening line"
    async for chunk in stream:
        yield chunk


async def by_wait_for(stream):
    while True:
        yield await asyncio.wait_for(stream.__anext__(), 15)


async def by_heartbeats(stream):
    while True:
        reading = asyncio.ensure_future(stream.__anext__())
        while not reading.done():
            await asyncio.wait({reading}, timeout=0.001)
        yield reading.result()


@pytest.mark.parametrize("way", [before_the_first_chunk, by_wait_for, by_heartbeats])
def test_a_generator_whose_own_task_read_nothing_itself(backend, way):
    """P5: the task that opened the stream stands for its reader."""
    tag, arguments = backend.tagged("azure", "tokens=2000 interval=1ms")
    kept = []

    async def consumer():
        kept.append(way(await acompletion(**arguments, stream=True)))
        await kept[0].__anext__()
        # Suspended in something else, as in `send`.
        await asyncio.sleep(3600)

    async def program():
        task = asyncio.create_task(consumer())
        await asyncio.to_thread(until, lambda: any(call["tokens_written"] > 3 for call in backend.seen(tag)))
        cancelled = now_ns()
        task.cancel()
        await asyncio.wait({task})
        return await asyncio.to_thread(backend.closed, tag, cancelled)

    gc.disable()
    try:
        assert asyncio.run(program()) < WITHIN_MS
    finally:
        gc.enable()


def test_who_opened_a_stream_may_go_while_another_task_reads(backend):
    async def program():
        streams = asyncio.Queue()

        async def opener():
            await streams.put(await acompletion(**backend.arguments("openai", "tokens=50 interval=1ms"), stream=True))
            await asyncio.sleep(3600)

        async def reader():
            return [chunk async for chunk in await streams.get()]

        opening, reading = asyncio.create_task(opener()), asyncio.create_task(reader())
        await asyncio.sleep(0.03)
        opening.cancel()
        return await reading

    assert len(asyncio.run(program())) == 52


def test_a_task_that_takes_a_chunk_for_another_does_not_close(backend):
    """Heartbeats, prefetching and `wait_for` read in tasks of their own, which end well."""

    async def program():
        stream = await acompletion(**backend.arguments("openai", "tokens=5 interval=5ms"), stream=True)
        chunks = []
        while True:
            reading = asyncio.ensure_future(stream.__anext__())
            while not reading.done():
                await asyncio.wait({reading}, timeout=0.001)
            try:
                chunks.append(reading.result())
            except StopAsyncIteration:
                return chunks

    assert len(asyncio.run(program())) == 7


def test_a_failed_task_is_still_reported(backend, caplog):
    """To look why a task ended is not to have dealt with it."""

    async def program():
        async def failing():
            async for _ in await acompletion(**backend.arguments("openai", "tokens=50 interval=1ms"), stream=True):
                raise ZeroDivisionError("of the program's own")

        task = asyncio.create_task(failing())
        await asyncio.wait({task})
        del task
        gc.collect()

    asyncio.run(program())
    assert "of the program's own" in caplog.text


def test_two_readers_of_one_stream_are_told(backend):
    async def program():
        stream = await acompletion(**backend.arguments("openai", "first_token_delay=100ms"), stream=True)
        await stream.__anext__()
        first = asyncio.create_task(stream.__anext__())
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="somebody else"):
            await stream.__anext__()
        await first

    asyncio.run(program())


def test_a_second_reader_does_the_first_one_no_harm(backend):
    async def program():
        stream = await acompletion(**backend.arguments("openai", "tokens=9 first_token_delay=50ms"), stream=True)

        async def read():
            return [chunk async for chunk in stream]

        first = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        second = asyncio.create_task(read())
        with pytest.raises(RuntimeError, match="somebody else"):
            await second
        return await first

    assert len(asyncio.run(program())) == 11


def test_a_reader_in_mid_heartbeat(backend):
    """The task that waits for the next chunk is a helper: who made it is the reader."""
    tag, arguments = backend.tagged("azure", STALL)

    async def program():
        async def consumer():
            stream = await acompletion(**arguments, stream=True)
            while True:
                reading = asyncio.ensure_future(stream.__anext__())
                while not reading.done():
                    await asyncio.wait({reading}, timeout=0.01)

        task = asyncio.create_task(consumer())
        await in_phase(backend, tag, "stalled")
        cancelled = now_ns()
        task.cancel()
        await asyncio.wait({task})
        return await asyncio.to_thread(backend.closed, tag, cancelled)

    assert asyncio.run(program()) < WITHIN_MS


def test_a_stream_can_t_be_copied(backend):
    stream = completion(**backend.arguments("openai", "tokens=3"), stream=True)
    with pytest.raises(TypeError, match="copied"):
        copy.copy(stream)
    assert list(stream)


def test_a_loop_that_is_closed_with_a_call_pending(backend):
    """It goes, with its descriptors and its backend."""
    tag, arguments = backend.tagged("openai", STALL)
    loop = asyncio.new_event_loop()
    task = loop.create_task(consume(arguments, []))
    loop.run_until_complete(in_phase(backend, tag, "stalled"))
    loop.close()
    gone, left = weakref.ref(loop), now_ns()
    # What asyncio says of a task that nobody will run again is no matter here.
    task._log_destroy_pending = False
    del loop, task
    gc.collect()
    assert gone() is None and backend.closed(tag, left) < WITHIN_MS


def test_no_descriptor_for_a_stream_s_wake_ups(backend):
    """It fails once, and goes on when there is one."""
    stream = completion(**backend.arguments("openai", "tokens=3"), stream=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError):
            next(stream)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with pytest.raises(RuntimeError, match="closed before its end"):
        next(stream)


def test_no_descriptors_for_an_engine(backend):
    program = """
import os, resource, sys
from tidegate import completion
import tidegate.exceptions
free = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1 + free,) * 2)
try:
    completion("openai/x", [{"role": "user", "content": "?"}], api_base="http://127.0.0.1:1", api_key="k")
except Exception as error:
    sys.exit(7)
"""
    for free in range(8):
        finished = subprocess.run([sys.executable, "-c", program, str(free)], capture_output=True, timeout=30)
        assert finished.returncode == 7, (free, finished.stderr)


def test_closed_by_another_thread_while_one_waits(backend):
    tag, arguments = backend.tagged("openai", STALL)
    stream = completion(**arguments, stream=True)
    failures = []

    def read():
        try:
            list(stream)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    backend.comes_to(tag, "stalled")
    closed = now_ns()
    stream.close()
    thread.join(5)
    assert not thread.is_alive() and isinstance(failures[0], RuntimeError)
    assert backend.closed(tag, closed) < WITHIN_MS


def test_other_threads_run_while_one_waits(backend):
    """The interpreter's lock is released."""
    started = time.monotonic()
    threads = [
        threading.Thread(target=completion, kwargs=backend.arguments("openai", "tokens=5 first_token_delay=300ms"))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 1.5


def test_no_thread_for_a_call(backend):
    async def program():
        await acompletion(**backend.arguments("openai", "tokens=1"))
        before = len(os.listdir("/proc/self/task"))
        calls = [asyncio.create_task(acompletion(**backend.arguments("openai", "headers_delay=200ms"))) for _ in range(50)]
        await asyncio.sleep(0.1)
        during = len(os.listdir("/proc/self/task"))
        await asyncio.gather(*calls)
        return before, during

    before, during = asyncio.run(program())
    assert during == before


PROGRAM = """
import asyncio, sys
from tidegate import acompletion, completion
arguments = {arguments!r}

async def main():
    async for _ in await acompletion(**arguments, stream=True):
        print("token", flush=True)

def blocking():
    for _ in completion(**arguments, stream=True):
        print("token", flush=True)

stream = None
def leave():
    global stream
    stream = completion(**arguments, stream=True)
    next(stream)
    print("token", flush=True)
    sys.exit(0)

{run}
"""


@pytest.mark.parametrize("run", ["asyncio.run(main())", "blocking()"])
def test_ctrl_c(backend, run):
    tag, arguments = backend.tagged("azure", STALL)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(arguments=arguments, run=run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    backend.comes_to(tag, "stalled")
    time.sleep(0.05)
    interrupted = now_ns()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert b"KeyboardInterrupt" in said and process.returncode != 0
    assert backend.closed(tag, interrupted) < 10 * WITHIN_MS


def test_the_interpreter_s_exit(backend):
    tag, arguments = backend.tagged("azure", STALL)
    program = PROGRAM.format(arguments=arguments, run="leave()")
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=10)
    assert (finished.returncode, finished.stderr) == (0, b"")
    assert backend.closed(tag, now_ns()) < WITHIN_MS


FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore")
from tidegate import completion
arguments, stalling = {arguments!r}, {stalling!r}
assert completion(**arguments).choices[0].message.content == " A tide"
stream = completion(**stalling, stream=True)
next(stream)
child = os.fork()
if child == 0:
    # An engine of its own, and the parent's stream is not its to read or to close.
    assert completion(**arguments).choices[0].message.content == " A tide"
    try:
        while True:
            next(stream)
    except RuntimeError as error:
        assert "forked" in str(error), error
    stream.close()
    del stream
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
for _ in range(3):
    next(stream)
assert completion(**arguments).choices[0].message.content == " A tide"
"""


def test_a_forked_process_makes_its_own_engine(backend):
    tag, stalling = backend.tagged("openai", "tokens=200 interval=20ms")
    program = FORKED.format(arguments=backend.arguments("openai", "tokens=2"), stalling=stalling)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_a_fork_while_another_thread_makes_the_engine(backend):
    program = f"""
import os, sys, threading, time, warnings
warnings.simplefilter("ignore")
from tidegate import completion
arguments = {backend.arguments("openai", "tokens=1")!r}
threading.Thread(target=completion, kwargs=arguments, daemon=True).start()
time.sleep(float(sys.argv[1]) / 1000)
child = os.fork()
if child == 0:
    completion(**arguments)
    os._exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    for moment in range(8):
        arguments = [sys.executable, "-c", program, str(moment / 2)]
        assert subprocess.run(arguments, timeout=20).returncode == 7, moment


def test_nothing_is_left_after_many_rounds(backend):
    """Tasks, sockets, memory; cancelled in whatever a call goes through, with retries and a fallback."""
    rounds = 10_000

    async def one(number: int):
        _, arguments = with_everything(backend, COURSES[number % len(COURSES)])
        task = asyncio.create_task(consume(arguments, []))
        await asyncio.sleep(number % 7 * 0.002)
        task.cancel()
        await asyncio.wait({task})

    async def program(count):
        for first in range(0, count, 20):
            await asyncio.gather(*(one(first + n) for n in range(20)))
        assert len(asyncio.all_tasks()) == 1
        return len(os.listdir("/proc/self/fd"))

    async def measured():
        # Until the allocator has what it needs.
        descriptors = await program(2000)
        gc.collect()
        memory = resident_kb()
        # Idle connections come and go.
        assert await program(rounds) <= descriptors + 40
        gc.collect()
        return resident_kb() - memory

    grown = asyncio.run(measured())
    until(lambda: backend.simulator.running() == 0)
    assert grown < 4096, f"{grown} KB more after {rounds} rounds"


def resident_kb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def test_a_long_lived_task_keeps_nothing_of_its_streams(backend):
    """A task's callbacks must not pile up, nor keep what it has dropped."""

    async def program():
        streams = []
        for _ in range(20):
            stream = await acompletion(**backend.arguments("openai", "tokens=2"), stream=True)
            async for _ in stream:
                pass
            streams.append(weakref.ref(stream))
        del stream
        assert not [stream for stream in streams if stream()]
        assert not asyncio.current_task()._callbacks or len(asyncio.current_task()._callbacks) == 1

    asyncio.run(program())


def test_cancel_is_no_exception_of_ours():
    assert not issubclass(asyncio.CancelledError, tidegate.OpenAIError)
    assert not issubclass(tidegate.OpenAIError, asyncio.CancelledError)
