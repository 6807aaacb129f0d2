"""Kind `empty`: nothing but handing over."""
from ..digests import word


class Empty:
    """See the module."""

    input_bytes = 0

    def __init__(self, seed):
        self._seed = seed

    def run_blocking(self, task):
        return word(self._seed, task)

    async def run_async(self, task):
        return word(self._seed, task)


def prepare(spec):
    return Empty(spec.seed)
