"""`asyncio`: one event loop in one thread, all tasks of a run gathered.

A task that computes does so in the loop, as a program does that offloads nothing. asyncio does not tell who waits where, so
a traced run steps its coroutines itself, see `_Watched`.
"""
import asyncio
import threading

from .. import kinds
from ..digests import fold
from ..errors import PlannedCrash, TaskFailed, reason_of
from . import Mark, Served
from .pool import LEAD_NS, due_times, now, sleep_until

_WORKER = "event loop"


class Strategy:
    """See the module."""

    def __init__(self, options):
        self._loop = None

    def start(self, workers):
        if self._loop is None:
            self._loop = asyncio.new_event_loop()

    def prepare(self, spec):
        kinds.prepare(spec)

    def run(self, spec, batch):
        return self._loop.run_until_complete(self._run(spec, batch))

    async def _run(self, spec, batch):
        work, checksums = kinds.prepare(spec), []
        run_async, settle = work.run_async, kinds.settle_of(work)
        for run in range(batch):
            if run:
                self.give_back(spec)
            checksums.append(fold(await _gather([run_async(task) for task in range(spec.tasks)], settle)))
        return checksums

    def marked(self, spec, watch=False):
        return self._loop.run_until_complete(self._marked(spec, _watch if watch else _mark))

    async def _marked(self, spec, mark):
        work = kinds.prepare(spec)
        return await _gather([mark(work, task, now()) for task in range(spec.tasks)])

    def serve(self, spec, rate, watch=False):
        return self._loop.run_until_complete(self._serve(spec, rate, _watch if watch else _mark))

    async def _serve(self, spec, rate, mark):
        """Arrivals come from a thread that sleeps, and wake the loop as a socket would."""
        loop, work = asyncio.get_running_loop(), kinds.prepare(spec)
        tasks, lags, everything_came = [], [], loop.create_future()
        first = now() + LEAD_NS

        def arrived(task):
            tasks.append(loop.create_task(mark(work, task, now())))
            if len(tasks) == spec.tasks:
                everything_came.set_result(None)

        def generate():
            for task, at in enumerate(due_times(first, spec.tasks, rate)):
                lags.append(sleep_until(at))
                loop.call_soon_threadsafe(arrived, task)

        generator = threading.Thread(target=generate, name="generator", daemon=True)
        generator.start()
        await everything_came
        generator.join()
        return Served(first, await _gather(tasks), lags)

    def give_back(self, spec):
        kinds.give_back(spec)

    def helpers(self):
        return []

    def close(self):
        self._loop = None

    def ahead(self, spec):
        kinds.prepare(spec)

    def end(self):
        """As asyncio.run does."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        try:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()


async def _gather(coroutines, settle=None):
    """All results in order. After a failure nothing is left running, and the error names the first task that failed.

    `settle(task, crash)` makes a result of a planned crash.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        if settle is None:
            return await asyncio.gather(*tasks)
        return [await _settled(number, task, settle) for number, task in enumerate(tasks)]
    except Exception as first:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(results):
            if isinstance(result, Exception):
                raise TaskFailed(number, reason_of(result)) from result
        raise first


async def _settled(number, task, settle):
    try:
        return await task
    except PlannedCrash as crash:
        return settle(number, crash)


async def _mark(work, task, handed):
    start = now()
    return Mark(await kinds.run_async_settled(work, task), handed, start, now(), _WORKER)


async def _watch(work, task, handed):
    """The same with every stretch that the task was on the loop."""
    watched = _Watched(kinds.run_async_settled(work, task))
    digest = await watched
    segments = watched.segments
    return Mark(digest, handed, segments[0][0], segments[-1][1], _WORKER, segments)


class _Watched:
    """Runs a coroutine and notes each stretch from where the loop steps it to where it waits again."""

    def __init__(self, coroutine):
        self._coroutine = coroutine
        self.segments = []

    def __await__(self):
        step, value = self._coroutine.send, None
        while True:
            start = now()
            try:
                waits_for = step(value)
            except StopIteration as end:
                return end.value
            finally:
                self.segments.append((start, now()))
            try:
                step, value = self._coroutine.send, (yield waits_for)
            except BaseException as error:
                step, value = self._coroutine.throw, error
