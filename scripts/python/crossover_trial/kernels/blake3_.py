"""`blake3`: the package of that name (the same Rust library behind a binding); not in the standard library."""
from ..digests import random_bytes, word
from . import needs


def prepare(_kernel, seed, input_bytes):
    blake3 = needs("blake3", "blake3", "blake3").blake3
    buffer = random_bytes(seed, input_bytes)

    def run(task):
        digest = blake3(buffer, key=random_bytes(word(seed, task), 32))
        return int.from_bytes(digest.digest()[:8], "little")

    return run, input_bytes
