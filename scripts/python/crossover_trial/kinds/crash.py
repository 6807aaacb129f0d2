"""Kind `crash`: the chain of `mixed` without a wait, and one of each so many tasks crashes when it is half-way.

Within a process a crash is an exception that nothing in the task catches; the strategy meets it where it takes results, and asks
`crashed` whether it was planned. In a worker process (`run_in_worker`) it is that process's death.
"""
import os
import resource

from ..digests import word
from ..errors import PlannedCrash
from . import Params, half_up, spin_of
from .mixed import chain

# "crash": turns the seed into that of the digests of tasks that crashed.
_CRASHED = 0x6372617368


class Crash:
    """See the module."""

    input_bytes = 0

    def __init__(self, seed, every, steps):
        self._seed, self._every, self._steps = seed, every, steps
        self.may_crash = every > 0

    def _crashes(self, task):
        return self._every > 0 and task % self._every == self._every - 1

    def _half(self, task):
        return chain(word(self._seed, task), self._steps // 2)

    def _whole(self, half):
        return chain(half, self._steps - self._steps // 2)

    def run_blocking(self, task):
        half = self._half(task)
        if self._crashes(task):
            raise PlannedCrash(task)
        return self._whole(half)

    async def run_async(self, task):
        return self.run_blocking(task)

    def run_in_worker(self, task):
        half = self._half(task)
        if self._crashes(task):
            _die()
        return self._whole(half)

    def crashed(self, task, crash):
        """The digest of a task that ended by `crash`, if that was planned."""
        if not self._crashes(task) or crash.task != task:
            raise crash
        return word(self._seed ^ _CRASHED, task)


def _die():
    """Ends this process by SIGABRT, without a core file, nor a program that wants one: Linux knows one byte as a limit for that."""
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except (OSError, ValueError):
        pass  # the hard limit is lower
    os.abort()


def prepare(spec):
    params = Params(spec)
    cpu_us, every = params.number("cpu_us"), params.whole("every")
    params.end()
    return Crash(spec.seed, every, half_up(cpu_us * spin_of(spec)))
