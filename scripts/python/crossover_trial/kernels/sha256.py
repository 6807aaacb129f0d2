"""`sha256`: hashlib, that is OpenSSL. It lets go of the global lock while it hashes more than 2047 bytes."""
import hashlib

from ..digests import random_bytes


def prepare(_kernel, seed, input_bytes):
    head, buffer = seed.to_bytes(8, "little"), random_bytes(seed, input_bytes)

    def run(task):
        # In two steps: putting head and buffer together would copy the buffer, with the lock held.
        digest = hashlib.sha256(head + task.to_bytes(4, "little"))
        digest.update(buffer)
        return int.from_bytes(digest.digest()[:8], "little")

    return run, input_bytes
