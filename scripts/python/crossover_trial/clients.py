"""Clients of the standard library that keep their connections: HTTP/1.1, and whatever else speaks over TCP.

`Streams` speaks HTTP over asyncio's streams, because the standard library has no asynchronous client; `Blocking` is
http.client, whose connections any thread may use, one request at a time. Both keep every idle connection and use the one that was
used last. What the server has closed while it was idle is noticed at its next use, which then takes another one: a GET
may be sent again.
"""
import asyncio
import http.client
import socket
import weakref

# How long a client waits beyond the delay that it asked for.
PATIENCE_S = 30.0
# No answer of the test server has a longer body.
_BODY_MAX = 1 << 26
# What a stream reads ahead.
_READ_AHEAD = 1 << 16


# Every client of this process.
_clients = weakref.WeakSet()


def close_all():
    """Closes every idle connection. Those of a loop go when it runs the next time."""
    for client in list(_clients):
        client.close()


class HttpError(Exception):
    """No usable answer came: the message says why."""


def split_address(address):
    """Host and port of "host:port"; the host may stand in brackets."""
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{address!r} is no address:port of a server")
    return host.strip("[]"), int(port)


class Blocking:
    """http.client with a stack of idle connections. Taking from and adding to a list are atomic."""

    def __init__(self, address):
        self._host, self._port = split_address(address)
        self._idle = []
        _clients.add(self)

    def get(self, target, limit_s=PATIENCE_S):
        """Status and body of a GET; gives up when `limit_s` passes without a byte."""
        return self._exchange(target, limit_s, lambda response: response.read(_BODY_MAX))

    def lines(self, target, limit_s=PATIENCE_S):
        """Status and lines of a GET, each read when it is there."""
        return self._exchange(target, limit_s, lambda response: [line.rstrip(b"\n") for line in response])

    def _exchange(self, target, limit_s, read):
        while True:
            try:
                connection, reused = self._idle.pop(), True
                connection.sock.settimeout(limit_s)
            except IndexError:
                connection, reused = http.client.HTTPConnection(self._host, self._port, timeout=limit_s), False
            try:
                connection.putrequest("GET", target, skip_accept_encoding=True)
                connection.endheaders()
                response = connection.getresponse()
                body = read(response)
            except (TimeoutError, socket.timeout):  # two classes before Python 3.10
                connection.close()
                raise HttpError(f"no answer within {limit_s:g} s") from None
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if not reused:
                    raise HttpError(f"{type(error).__name__}: {error}") from None
                continue
            if response.isclosed() and connection.sock is not None:
                self._idle.append(connection)
            else:
                connection.close()
            return response.status, body

    def close(self):
        while self._idle:
            self._idle.pop().close()


class Streams:
    """HTTP over asyncio's streams, with a stack of idle connections of one event loop."""

    def __init__(self, address):
        self._host, self._port = split_address(address)
        self._host_header = address
        self._idle = []
        _clients.add(self)

    async def get(self, target, limit_s=PATIENCE_S):
        """Status and body of a GET; gives up after `limit_s`."""
        return await self._exchange(target, limit_s, _body)

    async def lines(self, target, limit_s=PATIENCE_S):
        """Status and lines of a GET, each read when it is there."""
        return await self._exchange(target, limit_s, _lines)

    async def _exchange(self, target, limit_s, read):
        request = f"GET {target} HTTP/1.1\r\nHost: {self._host_header}\r\n\r\n".encode()
        while True:
            reused = bool(self._idle)
            if reused:
                reader, writer = self._idle.pop()
            else:
                try:
                    reader, writer = await asyncio.open_connection(self._host, self._port, limit=_READ_AHEAD)
                except OSError as error:
                    raise HttpError(f"cannot connect: {error}") from None
            # A timer that ends the connection costs less than a task around the exchange (asyncio.wait_for).
            limit = asyncio.get_running_loop().call_later(limit_s, writer.transport.abort)
            whole = False
            try:
                writer.write(request)
                status, headers, keep = _head(await reader.readuntil(b"\r\n\r\n"))
                body = await read(reader, headers)
                whole = True
            except (OSError, EOFError, asyncio.LimitOverrunError) as error:
                if limit.when() <= asyncio.get_running_loop().time():
                    raise HttpError(f"no answer within {limit_s:g} s") from None
                if not reused:
                    raise HttpError(f"{type(error).__name__}: {error}") from None
                continue
            finally:
                limit.cancel()
                if not whole:
                    writer.transport.abort()
            if keep:
                self._idle.append((reader, writer))
            else:
                writer.close()
            return status, body

    def close(self):
        while self._idle:
            self._idle.pop()[1].transport.abort()


def _head(head):
    """Status, headers, and whether the connection is kept, of an answer's head."""
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        version, status = first.split(" ", 2)[:2]
        if not version.startswith("HTTP/1."):
            raise ValueError
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        keep = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        return int(status), headers, keep
    except ValueError:
        raise HttpError(f"this is no answer: {first[:80]!r}") from None


async def _body(reader, headers):
    """A body whose length the head tells."""
    length = headers.get("content-length", "")
    if not length.isdigit() or int(length) > _BODY_MAX:
        raise HttpError(f"the answer has no content-length that can be: {length!r}")
    return await reader.readexactly(int(length))


async def _lines(reader, headers):
    """The lines of a body, chunk by chunk where it comes in chunks."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return (await _body(reader, headers)).splitlines()
    parts = []
    while True:
        try:
            size = int(await reader.readline(), 16)
        except ValueError:
            raise HttpError("a chunk without a length") from None
        part = await reader.readexactly(size + 2)
        if size == 0:
            return b"".join(parts).splitlines()
        parts.append(part[:-2])


class Sockets:
    """Blocking connections that are kept, each opened by `greet(socket, file)`, which says hello."""

    def __init__(self, address, greet):
        self._address, self._greet = split_address(address), greet
        self._idle = []
        _clients.add(self)

    def use(self, talk):
        """What `talk(socket, file)` returns, over a connection of its own for so long. After a failure it is closed."""
        if self._idle:
            connection, file = self._idle.pop()
        else:
            connection = socket.create_connection(self._address, timeout=PATIENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            file = connection.makefile("rb")
            self._greet(connection, file)
        try:
            result = talk(connection, file)
        except BaseException:
            connection.close()
            file.close()
            raise
        self._idle.append((connection, file))
        return result

    def close(self):
        while self._idle:
            connection, file = self._idle.pop()
            file.close()
            connection.close()


class StreamSockets:
    """The same over asyncio's streams: `greet` and `talk` are coroutine functions of (reader, writer)."""

    def __init__(self, address, greet):
        self._address, self._greet = split_address(address), greet
        self._idle = []
        _clients.add(self)

    async def use(self, talk):
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection(*self._address, limit=_READ_AHEAD)
            await self._greet(reader, writer)
        try:
            result = await talk(reader, writer)
        except BaseException:
            writer.transport.abort()
            raise
        self._idle.append((reader, writer))
        return result

    def close(self):
        while self._idle:
            self._idle.pop()[1].transport.abort()
