"""Kind `blocker`: tasks that wait, and every so often one that blocks its thread, in an event loop too."""
import asyncio
import time

from ..digests import word
from . import Params


class Blocker:
    """See the module."""

    input_bytes = 0

    def __init__(self, seed, every, block_s, wait_s):
        self._seed, self._every, self._block_s, self._wait_s = seed, every, block_s, wait_s

    def _blocks(self, task):
        return task % self._every == self._every - 1

    def run_blocking(self, task):
        if wait_s := self._block_s if self._blocks(task) else self._wait_s:
            time.sleep(wait_s)
        return word(self._seed, task)

    async def run_async(self, task):
        if self._blocks(task):
            if self._block_s:
                time.sleep(self._block_s)
        elif self._wait_s:
            await asyncio.sleep(self._wait_s)
        return word(self._seed, task)


def prepare(spec):
    params = Params(spec)
    every = params.whole("every", least=1)
    block_ms, wait_ms = params.number("block_ms"), params.number("wait_ms")
    params.end()
    return Blocker(spec.seed, every, block_ms / 1000, wait_ms / 1000)
