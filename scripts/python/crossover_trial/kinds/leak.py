"""Kind `leak`: the chain of `mixed` without a wait; then a block of memory that is written, read, and kept.

A block is a mapping of its own: closed, it goes back to the system at once, which freed objects of Python's do not have to.
"""
import mmap
import zlib

from ..digests import mix64, word
from . import Params, half_up, spin_of
from .mixed import chain


class Leak:
    """See the module."""

    input_bytes = 0

    def __init__(self, seed, steps, leak_bytes):
        self._seed, self._steps, self._leak_bytes = seed, steps, leak_bytes
        self._kept = []

    def run_blocking(self, task):
        end = chain(word(self._seed, task), self._steps)
        size, block = self._leak_bytes, b""
        if size:
            block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            block[:] = bytes([end & 255]) * size
            self._kept.append(block)
        return mix64(end ^ (size << 32 | zlib.crc32(block)))

    async def run_async(self, task):
        return self.run_blocking(task)

    def give_back(self):
        """To be called when a run is over, in every process that took part."""
        kept, self._kept = self._kept, []
        for block in kept:
            block.close()

    close = give_back


def prepare(spec):
    params = Params(spec)
    cpu_us, leak_bytes = params.number("cpu_us"), params.whole("leak_bytes")
    params.end()
    return Leak(spec.seed, half_up(cpu_us * spin_of(spec)), leak_bytes)
