"""A server of our own for the claims, in a child process: delays, pages, lines, WebSocket echo. Ends with its stdin.

    GET /delay?us=N&n=TASK&seed=S   after N µs: 16 hexadecimal digits
    GET /page?us=N                  after N µs: a page of HTML with 50 links
    GET /lines?us=N                 five lines, each N µs after the one before, in chunks
    GET /ws                         WebSocket: every text comes back after as many milliseconds as it says
"""
import asyncio
import base64
import hashlib
import sys
from urllib.parse import parse_qs, urlsplit

from crossover_trial.digests import word

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PAGE = (
    "<!doctype html><title>a page</title><ul>"
    + "".join(f'<li><a href="/page?us=1000&amp;n={i}">page {i}</a> &mdash; some words about it' for i in range(50))
    + "</ul>"
).encode()


def main(_arguments):
    """Tells its address on the first line of stdout."""
    asyncio.run(_serve())


async def _serve():
    server = await asyncio.start_server(_connection, "127.0.0.1", 0, backlog=4096)
    print("127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    await stdin.read()


async def _connection(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            target = urlsplit(head.split(" ", 2)[1])
            query = {name: values[0] for name, values in parse_qs(target.query).items()}
            if target.path == "/ws":
                await _web_socket(head, reader, writer)
                return
            if target.path == "/lines":
                await _lines(writer, int(query["us"]) / 1e6)
                continue
            await asyncio.sleep(int(query["us"]) / 1e6)
            body = PAGE
            if target.path == "/delay":
                body = b"%016x" % word(int(query["seed"]), int(query["n"]))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    except (OSError, EOFError):
        pass  # the client went away
    finally:
        writer.close()


async def _lines(writer, gap_s):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(1, 6):
        await asyncio.sleep(gap_s)
        line = b"line %d\n" % number
        writer.write(b"%x\r\n%s\r\n" % (len(line), line))
    writer.write(b"0\r\n\r\n")


def accept_key(key):
    """What a server answers to a WebSocket client's key."""
    return base64.b64encode(hashlib.sha1(key + _MAGIC).digest())


async def _web_socket(head, reader, writer):
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    key = next(line.split(": ", 1)[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    assert headers["upgrade"] == "websocket"
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key.encode()) + b"\r\n\r\n"
    )
    while True:
        opcode, text = await read_frame(reader)
        if opcode == 8:
            return
        await asyncio.sleep(int(text) / 1000)
        writer.write(frame(text))


async def read_frame(reader):
    """Opcode and payload of a short frame (at most 125 bytes), as all of these are."""
    first, second = await reader.readexactly(2)
    mask = await reader.readexactly(4) if second & 0x80 else bytes(4)
    data = await reader.readexactly(second & 0x7F)
    return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def frame(text, mask=None):
    """A text frame; a client must mask it."""
    if mask is None:
        return bytes((0x81, len(text))) + text
    return bytes((0x81, 0x80 | len(text))) + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
