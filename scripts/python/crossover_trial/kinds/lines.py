"""Kind `lines`: an answer that comes line by line, each read when it is there."""
from ..clients import PATIENCE_S, HttpError
from ..digests import chained, word
from . import Params, half_up
from .http import blocking, checked, server_of, streams


class Lines:
    """See the module."""

    input_bytes = 0

    def __init__(self, spec, delay_us, count):
        self._server, self._seed, self._delay_us, self._count = server_of(spec), spec.seed, delay_us, count

    def _request(self, task):
        target = f"/lines?us={self._delay_us}&n={task}&seed={self._seed}&count={self._count}"
        return target, PATIENCE_S + self._delay_us * self._count / 1e6

    def _digest(self, task, status, lines):
        if status == 200 and len(lines) != self._count:
            raise HttpError(f"{len(lines)} lines came instead of {self._count}")
        key = word(self._seed, task)
        return chained(checked(status, line, word(key, i)) for i, line in enumerate(lines))

    def run_blocking(self, task):
        return self._digest(task, *blocking(self._server).lines(*self._request(task)))

    async def run_async(self, task):
        return self._digest(task, *await streams(self._server).lines(*self._request(task)))


def prepare(spec):
    params = Params(spec)
    delay_us, count = half_up(params.number("delay_ms") * 1000), params.whole("lines", least=1)
    params.end()
    return Lines(spec, delay_us, count)
