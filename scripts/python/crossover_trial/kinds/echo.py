"""Kind `echo`: messages over TCP that come back as they are. Sockets in blocking code, streams in asyncio."""
import functools

from ..clients import Sockets, StreamSockets
from ..digests import Stamped, chained
from . import Params
from .http import server_of


def _hello(n):
    return b"\0" + n.to_bytes(4, "little")


@functools.lru_cache(maxsize=None)
def _sockets(server, n):
    return Sockets(server, lambda connection, _: connection.sendall(_hello(n)))


@functools.lru_cache(maxsize=None)
def _streams(server, n):
    async def greet(_, writer):
        writer.write(_hello(n))

    return StreamSockets(server, greet)


class Echo:
    """See the module."""

    def __init__(self, spec, n, round_trips):
        self._server, self._n, self._round_trips = server_of(spec), n, round_trips
        self._stamped = Stamped(spec.seed, n)
        self.input_bytes = n

    def _numbers(self, task):
        return range(task * self._round_trips, (task + 1) * self._round_trips)

    def run_blocking(self, task):
        def talk(connection, file):
            for number in self._numbers(task):
                connection.sendall(self._stamped.copy(number))
                yield self._stamped.check(file.read(self._n), number)

        return _sockets(self._server, self._n).use(lambda *both: chained(talk(*both)))

    async def run_async(self, task):
        async def talk(reader, writer):
            stamps = []
            for number in self._numbers(task):
                writer.write(self._stamped.copy(number))
                await writer.drain()
                stamps.append(self._stamped.check(await reader.readexactly(self._n), number))
            return chained(stamps)

        return await _streams(self._server, self._n).use(talk)


def prepare(spec):
    params = Params(spec)
    n, round_trips = params.whole("message_bytes", least=8), params.whole("round_trips", least=1)
    params.end()
    return Echo(spec, n, round_trips)
