"""Kind `idle`: all tasks of a run wait for the same moment, and do nothing else: what a unit that only waits takes of memory.

The moment lies `wait_ms` after the first task of the run has begun. A run begins `tasks` tasks, and whoever begins after so many is the
first of the next run. Worker processes cannot count that: they are sent the moment, which is one for all processes of a machine.
"""
import asyncio
import threading
import time

from ..digests import word
from . import Params, half_up


class Idle:
    """See the module."""

    input_bytes = 0

    def __init__(self, seed, tasks, wait_ns):
        self._seed, self._tasks, self._wait_ns = seed, tasks, wait_ns
        self._lock, self._left, self._until = threading.Lock(), 0, 0

    def message(self, _task):
        """The moment for which a task waits that begins now."""
        with self._lock:
            if self._left == 0:
                self._left, self._until = self._tasks, time.monotonic_ns() + self._wait_ns
            self._left -= 1
            return self._until

    def reply(self, until):
        """Waits for it."""
        while (left := until - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)

    def digest(self, task, _replied):
        """Nothing comes back but that it is over."""
        return word(self._seed, task)

    def run_blocking(self, task):
        return self.digest(task, self.reply(self.message(task)))

    async def run_async(self, task):
        left = self.message(task) - time.monotonic_ns()
        if left > 0:
            await asyncio.sleep(left / 1e9)
        return self.digest(task, None)


def prepare(spec):
    params = Params(spec)
    wait_ms = params.number("wait_ms", 200)
    params.end()
    return Idle(spec.seed, spec.tasks, half_up(wait_ms * 1e6))
