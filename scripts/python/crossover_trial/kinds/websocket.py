"""Kind `websocket`: text messages to a chat room, each sent when the one before has come back.

The standard library has no WebSocket; the client here is of our own making (see `websocket` above), over sockets and streams.
"""
import functools
import os

from ..clients import Sockets, StreamSockets
from ..digests import chained, random_bytes, word
from ..websocket import TEXT, WebSocketError, check_hello, frame, hello, length_of, masked
from . import Params, half_up
from .http import server_of


@functools.lru_cache(maxsize=None)
def _sockets(server, target):
    def greet(connection, file):
        request, proof = hello(target, server)
        connection.sendall(request)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = file.readline(8192)
            if not line:
                raise WebSocketError("the connection ended in the handshake")
            head += line
        check_hello(head, proof)

    return Sockets(server, greet)


@functools.lru_cache(maxsize=None)
def _streams(server, target):
    async def greet(reader, writer):
        request, proof = hello(target, server)
        writer.write(request)
        check_hello(await reader.readuntil(b"\r\n\r\n"), proof)

    return StreamSockets(server, greet)


class WebSocket:
    """See the module."""

    def __init__(self, spec, delay_us, messages, n):
        self._server, self._target = server_of(spec), f"/chat?us={delay_us}"
        self._seed, self._messages = spec.seed, messages
        self._rest = random_bytes(spec.seed, (n + 1) // 2).hex()[16:n].encode()
        self.input_bytes = n

    def _texts(self, task):
        for number in range(task * self._messages, (task + 1) * self._messages):
            yield b"%016x" % word(self._seed, number) + self._rest

    def _number(self, sent, opcode, data):
        """What came back says, if it is what was sent."""
        if opcode != TEXT or data != sent:
            raise WebSocketError(f"something else came back than was sent: {data[:40]!r}")
        return int(data[:16], 16)

    def run_blocking(self, task):
        def talk(connection, file):
            for text in self._texts(task):
                connection.sendall(frame(text, TEXT, os.urandom(4)))
                yield self._number(text, *_read(file))

        return _sockets(self._server, self._target).use(lambda *both: chained(talk(*both)))

    async def run_async(self, task):
        async def talk(reader, writer):
            numbers = []
            for text in self._texts(task):
                writer.write(frame(text, TEXT, os.urandom(4)))
                await writer.drain()
                numbers.append(self._number(text, *await _read_stream(reader)))
            return chained(numbers)

        return await _streams(self._server, self._target).use(talk)


def _read(file):
    """Opcode and data of the next frame."""

    def exactly(n):
        data = file.read(n)
        if len(data) != n:
            raise WebSocketError("the connection ended in a frame")
        return data

    first, second = exactly(2)
    n, more, has_mask = length_of(second)
    if more:
        n = int.from_bytes(exactly(more), "big")
    mask = exactly(4) if has_mask else None
    data = exactly(n)
    return first & 0x0F, masked(data, mask) if mask else data


async def _read_stream(reader):
    first, second = await reader.readexactly(2)
    n, more, has_mask = length_of(second)
    if more:
        n = int.from_bytes(await reader.readexactly(more), "big")
    mask = await reader.readexactly(4) if has_mask else None
    data = await reader.readexactly(n)
    return first & 0x0F, masked(data, mask) if mask else data


def prepare(spec):
    params = Params(spec)
    delay_us = half_up(params.number("delay_ms") * 1000)
    messages, n = params.whole("messages", least=1), params.whole("message_bytes", least=16)
    params.end()
    return WebSocket(spec, delay_us, messages, n)
