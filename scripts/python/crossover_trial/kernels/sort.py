"""`sort`: the built-in sort of a list of integers, which holds the global lock."""
from ..digests import seal, weighed, word, words


def prepare(_kernel, seed, input_bytes):
    keys = words(seed, input_bytes // 8).tolist()

    def run(task):
        flipped = word(seed, task)
        return seal(weighed(sorted([key ^ flipped for key in keys])), seed, task)

    # An integer of 64 bits takes 36 bytes, its place in the list 8.
    return run, len(keys) * 44
