"""Kind `cpu`: kernels of C libraries behind Python calls.

`sha256` is hashlib, that is OpenSSL: it lets go of the global lock while it hashes more than 2047 bytes, so threads
run in parallel above that size and in turn below it.

`resize` is Pillow's box filter, which gives the bytes that DIGESTS.md asks for, and lets go of the lock. Its digest is a
weighted sum over all output pixels; NumPy works it out where it can be imported, else long integers do (see `_weighted`), with
the lock held: then a good part of a sample is the digest. Without Pillow the kernel is refused.
"""
import functools
import hashlib

from ..digests import MASK, mix64, random_bytes, word
from ..errors import Unfit
from . import Params


class Sha256:
    """The first eight bytes of SHA-256 over seed, task and buffer."""


    def __init__(self, seed, input_bytes):
        self._head = seed.to_bytes(8, "little")
        self._buffer = random_bytes(seed, input_bytes)
        self.input_bytes = input_bytes

    def run_blocking(self, task):
        # In two steps: putting head and buffer together would copy the buffer, with the lock held.
        digest = hashlib.sha256(self._head + task.to_bytes(4, "little"))
        digest.update(self._buffer)
        return int.from_bytes(digest.digest()[:8], "little")

    async def run_async(self, task):
        return self.run_blocking(task)


class Resize:
    """An RGBA image reduced to half its width and height."""


    def __init__(self, seed, input_bytes):
        self._image = _pillow()
        self._seed = seed
        pixels = max(input_bytes // 4, 4)
        self._height = 1 << (pixels.bit_length() - 1) // 2
        self._width = pixels // self._height // 2 * 2
        count = self._width * self._height + 64
        buffer = bytearray(random_bytes(seed, count * 4))
        buffer[3::4] = b"\xff" * count
        self._buffer = bytes(buffer)
        self.input_bytes = len(buffer)

    def run_blocking(self, task):
        image, width, height = self._image, self._width, self._height
        start = task % 64 * 4
        # A view: the pixels are copied once, by Pillow.
        pixels = memoryview(self._buffer)[start : start + width * height * 4]
        # Every pixel is opaque, and Pillow would only premultiply by that: RGBX takes the four bytes as they are.
        whole = image.frombuffer("RGBX", (width, height), pixels, "raw", "RGBX", 0, 1)
        half = whole.resize((width, height // 2), image.BOX).resize((width // 2, height // 2), image.BOX)
        return mix64((_weighted(half.tobytes()) & MASK) ^ word(self._seed, task))

    async def run_async(self, task):
        return self.run_blocking(task)


def _pillow():
    try:
        from PIL import Image
    except ImportError:
        raise Unfit("the kernel resize needs Pillow, which this Python cannot import") from None
    return Image


@functools.lru_cache(maxsize=None)
def _numpy():
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def _weighted(data):
    """The sum of pixel[i] × (2i + 1) over the little-endian 32-bit pixels of `data`."""
    n = len(data) // 4
    numpy = _numpy()
    if numpy is not None:
        pixels = numpy.frombuffer(data, dtype="<u4").astype(numpy.uint64)
        return int(numpy.dot(pixels, numpy.arange(1, 2 * n, 2, dtype=numpy.uint64)))
    # One long integer of 32-bit lanes, taken apart into pixels 0, 2, 4, … and 1, 3, 5, … in lanes of 64 bits.
    lanes = (n + 1) // 2
    everything, mask = int.from_bytes(data, "little"), _low_halves(lanes)
    even, odd = everything & mask, (everything >> 32) & mask
    # (2·2j + 1)·even[j] + (2(2j + 1) + 1)·odd[j]
    index_sum, _ = _sums(even + odd, lanes)
    return 4 * index_sum + _total(even, lanes) + 3 * _total(odd, lanes)


@functools.lru_cache(maxsize=8)
def _low_halves(lanes):
    return int.from_bytes(b"\xff\xff\xff\xff\0\0\0\0" * lanes, "little")


def _sums(x, lanes):
    """The sums of j × lane[j] and of lane[j], for lanes of 64 bits whose sum fits one of them.

    The upper half is added onto the lower one: its lanes count as if they stood `half` places further down, which is put right
    by `half` × their sum. Halving ends after as many steps as `lanes` has bits, and costs twice the first.
    """
    index_sum = 0
    while lanes > 1:
        half = (lanes + 1) // 2
        upper = x >> (64 * half)
        index_sum += half * _total(upper, lanes - half)
        x = (x & ((1 << (64 * half)) - 1)) + upper
        lanes = half
    return index_sum, x


def _total(x, lanes):
    """The sum of the lanes of 64 bits, which fits one of them."""
    while lanes > 1:
        half = (lanes + 1) // 2
        x = (x & ((1 << (64 * half)) - 1)) + (x >> (64 * half))
        lanes = half
    return x


KERNELS = {"sha256": Sha256, "resize": Resize}


def prepare(spec):
    params = Params(spec)
    kernel, input_bytes = params.text("kernel"), params.whole("input_bytes")
    params.end()
    if kernel not in KERNELS:
        raise Unfit(f"the kernel `{kernel}` is not built here; there are {', '.join(KERNELS)}")
    return KERNELS[kernel](spec.seed, input_bytes)
