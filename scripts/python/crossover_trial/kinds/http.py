"""Kind `http`: one GET to the test server, which answers after a delay. See `clients` for who sends it.

Connections outlive a cell: they belong to the process, not to the prepared work.
"""
import functools
import math

from ..clients import PATIENCE_S, Blocking, HttpError, Streams, split_address
from ..digests import word
from ..errors import BadRequest, Unfit
from . import Params, half_up

# Enters the seed of the delays.
_DELAYS = 0x64656C6179
_DELAY_MAX_US = 60_000_000


@functools.lru_cache(maxsize=None)
def blocking(server):
    """The blocking client of a server, for all threads of the process."""
    return Blocking(server)


@functools.lru_cache(maxsize=None)
def streams(server):
    """The asynchronous client of a server, for the process's only loop."""
    return Streams(server)


def server_of(spec):
    """The address of the test server."""
    try:
        split_address(spec.server)
    except ValueError as error:
        raise BadRequest(f"{spec.kind} needs a server: {error}") from None
    return spec.server


def checked(status, body, expected):
    """The number that a body says, if the answer is a good one and this number is `expected`."""
    if status != 200:
        raise HttpError(f"answered with status {status}")
    try:
        number = int(body, 16) if len(body) == 16 else None
    except ValueError:
        number = None
    if number != expected:
        raise HttpError(f"answered {body[:40]!r}, expected {expected:016x}")
    return number


def delay_us(seed, task, delay_ms, distribution):
    """How long the server is asked to wait, in µs."""
    mean = delay_ms * 1000
    if distribution == "constant":
        return half_up(mean)
    u = ((word(seed ^ _DELAYS, task) >> 11) + 0.5) / 2**53
    if distribution == "uniform":
        us = 2 * mean * u
    elif distribution == "exponential":
        us = -mean * math.log(u)
    elif distribution == "pareto":
        us = mean / 3 * u ** (-2 / 3)
    else:
        raise Unfit(f"the distribution `{distribution}` is not built here")
    return min(math.floor(min(us, 100 * mean) + 0.5), _DELAY_MAX_US)


class Http:
    """See the module."""

    input_bytes = 0

    def __init__(self, spec, delays, capacity, every):
        self._server, self._seed, self._delays = server_of(spec), spec.seed, delays
        self._more = f"&capacity={capacity}" if capacity else ""
        self._every = every

    def _request(self, task, attempt):
        """The target, and how long to wait for its answer."""
        us = self._delays(task)
        more = f"{self._more}&every={self._every}&try={attempt}" if self._every else self._more
        # Where the server keeps a limit, a request waits for its turn as well.
        return f"/delay?us={us}&n={task}&seed={self._seed}{more}", PATIENCE_S + us / 1e6

    def _again(self, status, attempt):
        """Whether a refusal was asked for, and is to be answered by asking again."""
        return status == 503 and self._every != 0 and attempt == 0

    def run_blocking(self, task):
        status, body = blocking(self._server).get(*self._request(task, 0))
        if self._again(status, 0):
            status, body = blocking(self._server).get(*self._request(task, 1))
        return checked(status, body, word(self._seed, task))

    async def run_async(self, task):
        status, body = await streams(self._server).get(*self._request(task, 0))
        if self._again(status, 0):
            status, body = await streams(self._server).get(*self._request(task, 1))
        return checked(status, body, word(self._seed, task))


def prepare(spec):
    params = Params(spec)
    delay_ms = params.number("delay_ms")
    distribution = params.text("delay_distribution", "constant")
    capacity, every = params.whole("capacity", 0), params.whole("error_every", 0)
    params.end()
    delay_us(spec.seed, 0, delay_ms, distribution)  # refuses what it does not know
    delays = functools.lru_cache(maxsize=None)(lambda task: delay_us(spec.seed, task, delay_ms, distribution))
    return Http(spec, delays, capacity, every)
