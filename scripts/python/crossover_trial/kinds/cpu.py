"""Kind `cpu`: kernels of libraries behind Python calls, and some in pure Python. See `kernels`.

Where a C library lets go of the global lock (sha256 above 2047 bytes, blake3, images, NumPy), threads run in parallel; elsewhere
(json, mandelbrot, sort) they take turns. `lock_fraction` is not looked at: this lock is one already.
"""
from .. import kernels
from . import Params


class Cpu:
    """See the module."""

    def __init__(self, run_blocking, input_bytes):
        self.run_blocking, self.input_bytes = run_blocking, input_bytes

    async def run_async(self, task):
        return self.run_blocking(task)


def prepare(spec):
    params = Params(spec)
    kernel, input_bytes = params.text("kernel"), params.whole("input_bytes")
    params.number("lock_fraction", 0)
    params.end()
    return Cpu(*kernels.prepare(kernel, spec.seed, input_bytes))
