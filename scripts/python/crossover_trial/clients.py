"""HTTP/1.1 clients of the standard library that keep their connections alive.

`Streams` speaks HTTP over asyncio's streams, because the standard library has no asynchronous client; `Blocking` is
http.client, whose connections any thread may use, one request at a time. Both keep every idle connection and use the one that was
used last. What the server has closed while it was idle is noticed at its next use, which then takes another one: a GET
may be sent again.
"""
import asyncio
import http.client
import socket

# How long a client waits beyond the delay that it asked for.
PATIENCE_S = 30.0
# A longer head or body is no answer of the test server.
_LIMIT = 8192


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

    def get(self, target, limit_s=PATIENCE_S):
        """Status and body of a GET; gives up when `limit_s` passes without a byte."""
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
                body = response.read(_LIMIT + 1)
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

    async def get(self, target, limit_s=PATIENCE_S):
        """Status and body of a GET; gives up after `limit_s`."""
        request = f"GET {target} HTTP/1.1\r\nHost: {self._host_header}\r\n\r\n".encode()
        while True:
            reused = bool(self._idle)
            if reused:
                reader, writer = self._idle.pop()
            else:
                try:
                    reader, writer = await asyncio.open_connection(self._host, self._port, limit=_LIMIT)
                except OSError as error:
                    raise HttpError(f"cannot connect: {error}") from None
            # A timer that ends the connection costs less than a task around the exchange (asyncio.wait_for).
            limit = asyncio.get_running_loop().call_later(limit_s, writer.transport.abort)
            whole = False
            try:
                writer.write(request)
                status, length, keep = _head(await reader.readuntil(b"\r\n\r\n"))
                body = await reader.readexactly(length)
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
    """Status, length of the body, and whether the connection is kept, of an answer's head."""
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        version, status = first.split(" ", 2)[:2]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers["content-length"])
        if not version.startswith("HTTP/1.") or not 0 <= length <= _LIMIT:
            raise ValueError
        keep = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        return int(status), length, keep
    except (KeyError, ValueError):
        raise HttpError(f"this is no answer with a content-length: {first[:80]!r}") from None
