"""Kind `gateway`: a task asks several backends at once and folds their answers.

Blocking code has a thread for each backend, started for this task and joined, as such programs do.
"""
import asyncio
import threading

from ..clients import PATIENCE_S
from ..digests import chained, word
from . import Params, half_up
from .http import blocking, checked, server_of, streams


class Gateway:
    """See the module."""

    input_bytes = 0

    def __init__(self, spec, delay_ms, backends):
        self._server, self._seed = server_of(spec), spec.seed
        self._delays = [half_up(delay_ms * 1000 * (i + 1) / backends) for i in range(backends)]

    def _requests(self, task):
        """Target, patience and the right answer of every backend."""
        first = task * len(self._delays)
        return [
            (f"/delay?us={us}&n={n}&seed={self._seed}", PATIENCE_S + us / 1e6, word(self._seed, n))
            for n, us in enumerate(self._delays, first)
        ]

    def run_blocking(self, task):
        requests = self._requests(task)
        answers = [None] * len(requests)

        def ask(i, target, limit_s, expected):
            try:
                answers[i] = checked(*blocking(self._server).get(target, limit_s), expected)
            except Exception as error:
                answers[i] = error

        threads = [threading.Thread(target=ask, args=(i, *request)) for i, request in enumerate(requests)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return chained(answers)

    async def run_async(self, task):
        async def ask(target, limit_s, expected):
            return checked(*await streams(self._server).get(target, limit_s), expected)

        return chained(await asyncio.gather(*[ask(*request) for request in self._requests(task)]))


def prepare(spec):
    params = Params(spec)
    delay_ms, backends = params.number("delay_ms"), params.whole("backends", least=1)
    params.end()
    return Gateway(spec, delay_ms, backends)
