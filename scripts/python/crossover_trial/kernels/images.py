"""`resize` and `thumbnail`: Pillow's box filter, which gives the bytes that DIGESTS.md asks for, and its JPEG encoder.

Both let go of the global lock. The digest is a weighted sum over all pixels of the small image: NumPy works it out where it can be
imported, else long integers do (see `weighed_pixels`), with the lock held. That is then a good part of a task: a third to a
half for `resize`, a tenth for `thumbnail`.
"""
import functools
import io

from ..digests import random_bytes, seal
from . import needs


def prepare(kernel, seed, input_bytes):
    image = needs("PIL.Image", "Pillow", kernel)
    pixels = max(input_bytes // 4, 4)
    height = 1 << (pixels.bit_length() - 1) // 2
    width = pixels // height // 2 * 2
    count = width * height + 64
    buffer = bytearray(random_bytes(seed, count * 4))
    if kernel == "thumbnail":
        _paint(buffer, width)
    buffer[3::4] = b"\xff" * count
    buffer = bytes(buffer)

    def small(task):
        # A view, which Pillow copies. Every pixel is opaque, and with RGBA Pillow would only multiply by that and divide again:
        # RGBX takes the four bytes as they are.
        pixels = memoryview(buffer)[task % 64 * 4 : (task % 64 + width * height) * 4]
        whole = image.frombuffer("RGBX", (width, height), pixels, "raw", "RGBX", 0, 1)
        return whole.resize((width, height // 2), image.BOX).resize((width // 2, height // 2), image.BOX)

    def resize(task):
        return seal(weighed_pixels(small(task).tobytes()), seed, task)

    def thumbnail(task):
        picture, file = small(task), io.BytesIO()
        picture.convert("RGB").save(file, "JPEG", quality=85, subsampling="4:2:0")
        jpeg_width, jpeg_height = stated_size(file.getvalue())
        return seal(weighed_pixels(picture.tobytes()) + (jpeg_height << 16 | jpeg_width), seed, task)

    return {"resize": resize, "thumbnail": thumbnail}[kernel], len(buffer)


def _paint(noise, width):
    """Makes a picture of smooth colours out of noise: channel c of pixel (x, y) is (x + y) // 2 + 85 c + a little noise."""
    fine = noise.translate(bytes(byte % 16 for byte in range(256)))
    for channel in range(3):
        for first in range(0, len(noise) // 4, width):
            row = slice(first * 4 + channel, min(first + width, len(noise) // 4) * 4, 4)
            base = first // width
            noise[row] = bytes(
                (x + base) // 2 + 85 * channel + grain & 255 for x, grain in enumerate(fine[row])
            )


def stated_size(jpeg):
    """Width and height in the frame header of a baseline JPEG."""
    at = 2
    while jpeg[at] == 0xFF:
        if jpeg[at + 1] == 0xC0:
            return int.from_bytes(jpeg[at + 7 : at + 9], "big"), int.from_bytes(jpeg[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    raise ValueError("the JPEG has no baseline frame")


@functools.lru_cache(maxsize=None)
def numpy():
    """NumPy, or None."""
    try:
        import numpy as found
    except ImportError:
        return None
    return found


def weighed_pixels(data):
    """The sum of pixel[i] × (2i + 1) over the little-endian 32-bit pixels of `data`."""
    n = len(data) // 4
    if (np := numpy()) is not None:
        return int(np.dot(np.frombuffer(data, dtype="<u4").astype(np.uint64), np.arange(1, 2 * n, 2, dtype=np.uint64)))
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
