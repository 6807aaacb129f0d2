"""Kind `http`: one GET to the test server, which answers after a delay. See `clients` for who sends it.

Connections outlive a cell: they belong to the process, not to the prepared work.
"""
from ..clients import PATIENCE_S, Blocking, HttpError, Streams, split_address
from ..digests import word
from ..errors import BadRequest
from . import Params, half_up

_blocking, _streams = {}, {}


class Http:
    """See the module."""

    input_bytes = 0

    def __init__(self, server, delay_us, seed):
        self._server, self._delay_us, self._seed = server, delay_us, seed
        self._limit_s = PATIENCE_S + delay_us / 1e6

    def run_blocking(self, task):
        client = _blocking.get(self._server) or _blocking.setdefault(self._server, Blocking(self._server))
        return self._digest(task, *client.get(self._target(task), self._limit_s))

    async def run_async(self, task):
        client = _streams.get(self._server) or _streams.setdefault(self._server, Streams(self._server))
        return self._digest(task, *await client.get(self._target(task), self._limit_s))

    def _target(self, task):
        return f"/delay?us={self._delay_us}&n={task}&seed={self._seed}"

    def _digest(self, task, status, body):
        """What the body says, if it is this task's."""
        if status != 200:
            raise HttpError(f"{self._server} answered with status {status}")
        expected = word(self._seed, task)
        try:
            digest = int(body, 16) if len(body) == 16 else None
        except ValueError:
            digest = None
        if digest != expected:
            raise HttpError(f"{self._server} answered {body[:40]!r}, expected {expected:016x}")
        return digest


def prepare(spec):
    params = Params(spec)
    delay_us = half_up(params.number("delay_ms") * 1000)
    params.end()
    try:
        split_address(spec.server)
    except ValueError as error:
        raise BadRequest(f"http needs a server: {error}") from None
    return Http(spec.server, delay_us, spec.seed)
