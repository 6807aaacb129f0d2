"""Kind `payload`: a task is sent bytes and answers with bytes.

In one process both are copied; to a worker process they are pickled and go through a pipe, as the arguments and the result of a
call do. `message`, `reply` and `digest` are the three steps; who runs the second one is for the strategy to say.
"""
import zlib

from ..digests import MASK, random_bytes, seal
from . import Params


class Payload:
    """See the module."""

    def __init__(self, seed, in_bytes, out_bytes):
        self._seed, self._in_bytes, self._out_bytes = seed, in_bytes, out_bytes
        self._messages, self._answers = random_bytes(seed, in_bytes + 64), random_bytes(seed ^ MASK, out_bytes + 64)
        self.input_bytes = len(self._messages) + len(self._answers)

    def message(self, task):
        """What the task is sent: a copy of its own."""
        return self._messages[task % 64 : task % 64 + self._in_bytes]

    def reply(self, message):
        """What it answers."""
        received = zlib.crc32(message)
        return received, self._answers[received % 64 : received % 64 + self._out_bytes]

    def digest(self, task, replied):
        """What whoever asked makes of the answer."""
        received, answer = replied
        return seal(received << 32 | zlib.crc32(answer), self._seed, task)

    def run_blocking(self, task):
        return self.digest(task, self.reply(self.message(task)))

    async def run_async(self, task):
        return self.run_blocking(task)


def prepare(spec):
    params = Params(spec)
    in_bytes, out_bytes = params.whole("in_bytes"), params.whole("out_bytes")
    params.end()
    return Payload(spec.seed, in_bytes, out_bytes)
