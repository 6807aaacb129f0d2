"""Kind `mixed`: wait, then compute a serial chain of integer steps.

The chain is the same steps as everywhere, one after another in pure Python: some seventy times slower than compiled
code, which is what a loop over integers costs here and the point of measuring it. It never lets go of the global lock.

asyncio rounds the time of a timer up to whole milliseconds (that is how its selector calls epoll), so a wait of 100 µs takes
1 ms or more in the loop and about 160 µs in a thread that sleeps.
"""
import asyncio
import time

from ..digests import FACTOR_1, GOLDEN, MASK, word
from . import Params, half_up, spin_of


def chain(x, steps):
    """`steps` steps from x."""
    for _ in range(steps):
        x = ((x ^ (x >> 29)) * FACTOR_1 + GOLDEN) & MASK
    return x


class Mixed:
    """See the module."""

    input_bytes = 0

    def __init__(self, seed, steps, wait_s):
        self._seed, self._steps, self._wait_s = seed, steps, wait_s

    def run_blocking(self, task):
        if self._wait_s > 0:
            time.sleep(self._wait_s)
        return chain(word(self._seed, task), self._steps)

    async def run_async(self, task):
        if self._wait_s > 0:
            await asyncio.sleep(self._wait_s)
        return chain(word(self._seed, task), self._steps)


def prepare(spec):
    params = Params(spec)
    cpu_us, wait_us = params.number("cpu_us"), params.number("wait_us")
    params.number("lock_fraction", 0)
    params.end()
    return Mixed(spec.seed, half_up(cpu_us * spin_of(spec)), wait_us / 1e6)
