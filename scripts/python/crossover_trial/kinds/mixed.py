"""Kind `mixed`: wait, then compute a serial chain of integer steps.

The chain is the same steps as everywhere, one after another in pure Python: some seventy times slower than compiled
code, which is what a loop over integers costs here and the point of measuring it. It never lets go of the global lock.

asyncio rounds the time of a timer up to whole milliseconds (that is how its selector calls epoll), so a wait of 100 µs takes
1 ms or more in the loop and about 160 µs in a thread that sleeps.
"""
import asyncio
import time

from ..digests import FACTOR_1, GOLDEN, MASK, word
from ..errors import BadRequest
from . import Params, half_up


class Mixed:
    """See the module."""

    input_bytes = 0

    def __init__(self, seed, steps, wait_s):
        self._seed, self._steps, self._wait_s = seed, steps, wait_s

    def run_blocking(self, task):
        if self._wait_s > 0:
            time.sleep(self._wait_s)
        return self._compute(task)

    async def run_async(self, task):
        if self._wait_s > 0:
            await asyncio.sleep(self._wait_s)
        return self._compute(task)

    def _compute(self, task):
        x = word(self._seed, task)
        for _ in range(self._steps):
            x = ((x ^ (x >> 29)) * FACTOR_1 + GOLDEN) & MASK
        return x


def prepare(spec):
    params = Params(spec)
    cpu_us, wait_us = params.number("cpu_us"), params.number("wait_us")
    params.end()
    spin = spec.spin_per_us
    if spin is None or not 0 < spin <= 1e6:
        raise BadRequest(f"mixed needs spin_per_us, the speed of a core; found {spin!r}")
    return Mixed(spec.seed, half_up(cpu_us * spin), wait_us / 1e6)
