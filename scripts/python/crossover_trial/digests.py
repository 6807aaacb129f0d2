"""The arithmetic of workloads/DIGESTS.md: SplitMix64, inputs, checksums.

A loop in Python takes about 0.4 µs per word, which would be most of a sample of small tasks and seconds for
large inputs. So many words are worked out at once in one long integer, a *row*: word i sits in the low 64 bits of the i-th
lane of 128 bits. A lane holds the sum or the product of two words, so nothing ever runs over into the next lane, and masking
the upper halves off is the wrapping. A shift to the right moves the bits of a lane into the upper half of the lane below,
where the mask removes them as well.
"""
import array
import functools
import itertools
import operator
import sys
import zlib

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
FACTOR_1 = 0xBF58476D1CE4E5B9
FACTOR_2 = 0x94D049BB133111EB

# Below this many words a plain loop is faster than a row.
_ROW_MIN = 4
# Longest row, in words: half a megabyte, which stays in the cache.
_ROW_MAX = 1 << 15

# A number whose digits are lanes leaves the sum of its digits when it is divided by this.
_LANES_SUM = 2**128 - 1


def mix64(x):
    """The finishing permutation of SplitMix64."""
    x = ((x ^ (x >> 30)) * FACTOR_1) & MASK
    x = ((x ^ (x >> 27)) * FACTOR_2) & MASK
    return x ^ (x >> 31)


def word(seed, i):
    """The i-th output, from 0, of SplitMix64 seeded with `seed`."""
    return mix64((seed + (i + 1) * GOLDEN) & MASK)


@functools.lru_cache(maxsize=8)
def _constants(n):
    """For rows of n words: 1 in every lane, the mask of the lower halves, and (i + 1) × GOLDEN in lane i."""
    ones = int.from_bytes((b"\1" + bytes(15)) * n, "little")
    mask = ones * MASK
    count = _row(range(1, n + 1), n)
    return ones, mask, (count * GOLDEN) & mask


def _row(words, n):
    """A row of n words."""
    lanes = array.array("Q", bytes(16 * n))
    lanes[::2] = array.array("Q", words)
    if sys.byteorder == "big":
        lanes.byteswap()
    return int.from_bytes(lanes.tobytes(), "little")


def _mix_row(x, mask):
    """mix64 of every lane, whose upper halves may hold anything."""
    x &= mask
    x = ((x ^ ((x >> 30) & mask)) * FACTOR_1) & mask
    x = ((x ^ ((x >> 27) & mask)) * FACTOR_2) & mask
    return x ^ ((x >> 31) & mask)


def words(seed, n):
    """The first n outputs of SplitMix64 seeded with `seed`, as an array of native 64-bit words."""
    out = array.array("Q")
    for first in range(0, n, _ROW_MAX):
        count = min(_ROW_MAX, n - first)
        ones, mask, steps = _constants(count)
        row = _mix_row(steps + ones * ((seed + first * GOLDEN) & MASK), mask)
        lanes = array.array("Q", row.to_bytes(16 * count, "little"))
        if sys.byteorder == "big":
            lanes.byteswap()
        out += lanes[::2]
    return out


def random_bytes(seed, n):
    """n bytes: the words of `seed` in little-endian order."""
    out = words(seed, (n + 7) // 8)
    if sys.byteorder == "big":
        out.byteswap()
    return out.tobytes()[:n]


def fold(digests):
    """The checksum, as a number, of the digests of tasks 0, 1, 2, …"""
    n = len(digests)
    if n < _ROW_MIN:
        return sum(mix64((digest + (task + 1) * GOLDEN) & MASK) for task, digest in enumerate(digests)) & MASK
    if n > _ROW_MAX:
        return sum(_fold_row(digests[at : at + _ROW_MAX], at) for at in range(0, n, _ROW_MAX)) & MASK
    return _fold_row(digests, 0) & MASK


def _fold_row(digests, first):
    """What tasks first, first + 1, … contribute."""
    n = len(digests)
    ones, mask, steps = _constants(n)
    offset = ones * ((first * GOLDEN) & MASK) if first else 0
    return _mix_row(_row(digests, n) + steps + offset, mask) % _LANES_SUM


def shown(checksum):
    """A checksum as an answer tells it."""
    return f"{checksum & MASK:016x}"


def chained(values):
    """The digest of several values in their order."""
    digest = 0
    for value in values:
        digest = mix64(digest ^ value)
    return digest


def weighed(values):
    """The sum of value i, from 0, × (2i + 1)."""
    return sum(map(operator.mul, values, itertools.count(1, 2))) & MASK


def seal(total, seed, task):
    """A total as the digest of a task."""
    return mix64((total & MASK) ^ word(seed, task))


def seal_bytes(data, seed, task):
    """Bytes as the digest of a task: their length and their CRC-32."""
    return seal(len(data) << 32 | zlib.crc32(data), seed, task)


class Stamped:
    """Buffers of n bytes that differ in their first eight only, the stamp: `word(seed, number)`."""

    def __init__(self, seed, n):
        self._seed, self._rest = seed, random_bytes(seed, n)[8:]
        self.input_bytes = n

    def copy(self, number):
        return word(self._seed, number).to_bytes(8, "little") + self._rest

    def check(self, data, number):
        """The stamp of what came back; refuses anything but the buffer `number`."""
        stamp = int.from_bytes(data[:8], "little")
        if stamp != word(self._seed, number) or data[8:] != self._rest:
            raise ValueError(f"buffer {number} did not come back as it was sent ({len(data)} bytes)")
        return stamp
