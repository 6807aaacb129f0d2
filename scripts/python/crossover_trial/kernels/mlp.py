"""`mlp`: NumPy, float32, whose BLAS is kept to one thread: a strategy is what makes it parallel.

All values are small whole numbers, which single precision holds exactly. BLAS lets go of the global lock.
"""
import os

from ..digests import random_bytes, seal
from . import needs

_SIZES = ((64, 128), (128, 128), (128, 16))

# Read by the BLAS libraries when they are loaded.
_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS")


def one_thread():
    """Keeps BLAS to one thread, in this process and those that it starts; to be called before NumPy is imported."""
    for name in _THREADS:
        os.environ[name] = "1"


def prepare(kernel, seed, input_bytes):
    one_thread()
    numpy = needs("numpy", "NumPy", kernel)
    rows = max(input_bytes // 256, 1)
    count = sum((i + 1) * o for i, o in _SIZES)
    source = numpy.frombuffer(random_bytes(seed, count + (rows + 64) * 64), dtype=numpy.uint8) & 15
    layers, at = [], 0
    for inputs, outputs in _SIZES:
        weights = source[at : at + inputs * outputs].reshape(inputs, outputs)
        at += inputs * outputs
        biases = source[at : at + outputs]
        at += outputs
        layers.append((2 * weights.astype(numpy.float32) - 15, 512 * (2 * biases.astype(numpy.float32) - 15)))
    samples = source[at:].reshape(rows + 64, 64).astype(numpy.float32)
    odd = numpy.arange(1, 2 * rows * 16, 2, dtype=numpy.uint64)

    def run(task):
        x = samples[task % 64 : task % 64 + rows]
        for number, (weights, biases) in enumerate(layers):
            if number > 0:
                x = numpy.minimum(numpy.floor(numpy.maximum(x, 0) * numpy.float32(1 / 64)), 15)
            x = x @ weights + biases
        outputs = x.astype(numpy.int32).view(numpy.uint32).astype(numpy.uint64).ravel()
        return seal(int(numpy.dot(outputs, odd)), seed, task)

    return run, samples.nbytes
