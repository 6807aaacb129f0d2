"""A test server of our own, in a child process, for whoever runs without `crossover serve`. Ends with its stdin.

It speaks what that server speaks, as far as rows and tests need it; see workloads/DIGESTS.md for what stands in the answers:

    GET /delay?us=U&n=TASK&seed=S[&every=E&try=K]   after U µs: 16 hexadecimal digits, or 503
    GET /page?us=U&n=TASK&seed=S&bytes=B            after U µs: a page
    GET /lines?us=U&n=TASK&seed=S&count=C           C lines, each U µs after the one before, in chunks
    GET /chat?us=U                                  WebSocket: every text comes back after U µs
    a zero byte, a length, messages of that length  each comes back
"""
import asyncio
import os
import sys
from urllib.parse import parse_qs, urlsplit

from crossover_trial import websocket
from crossover_trial.digests import word

_SYLLABLES = "ka re mi to su na lo vi pe du ha ri mo te sa ni".split()


def page(seed, task, page_bytes):
    """A page of links and words."""
    key, i = word(seed, task), 0
    text = f"<!doctype html>\n<html><head><title>page {task}</title></head><body>\n"
    while len(text) < page_bytes:
        words = []
        for _ in range(24):
            draw, i = word(key, i), i + 1
            one = _SYLLABLES[draw & 15] + _SYLLABLES[draw >> 4 & 15]
            words.append(f'<a href="/page/{draw >> 32:08x}">{one}</a>' if draw >> 8 & 15 == 0 else one)
        text += "<p>" + " ".join(words) + "</p>\n"
    return (text + "</body></html>\n").encode()


def main(_arguments):
    """Tells its address on the first line of stdout."""
    asyncio.run(_serve())


async def _serve():
    server = await asyncio.start_server(_connection, "127.0.0.1", 0, backlog=4096)
    print("127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    await stdin.read()
    os._exit(0)  # whoever still waits for an answer has gone


async def _connection(reader, writer):
    try:
        first = await reader.readexactly(1)
        if first == b"\0":
            await _echo(reader, writer)
            return
        while True:
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first = b""
            target = urlsplit(head.split(" ", 2)[1])
            query = {name: values[0] for name, values in parse_qs(target.query).items()}
            numbers = {name: int(text) for name, text in query.items()}
            if target.path == "/chat":
                await _chat(head, reader, writer, numbers["us"] / 1e6)
                return
            if target.path == "/lines":
                await _lines(writer, numbers)
                continue
            status, body = await _answer(target.path, numbers)
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
    except (OSError, EOFError):
        pass  # the client went away
    finally:
        writer.close()


async def _answer(path, numbers):
    if numbers["us"]:
        await asyncio.sleep(numbers["us"] / 1e6)
    if path == "/page":
        return b"200 OK", page(numbers["seed"], numbers["n"], numbers["bytes"])
    if path != "/delay":
        return b"404 Not Found", b""
    if numbers.get("every") and numbers["try"] == 0 and (numbers["n"] + 1) % numbers["every"] == 0:
        return b"503 Service Unavailable", b""
    return b"200 OK", b"%016x" % word(numbers["seed"], numbers["n"])


async def _lines(writer, numbers):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    key = word(numbers["seed"], numbers["n"])
    for i in range(numbers["count"]):
        if numbers["us"]:
            await asyncio.sleep(numbers["us"] / 1e6)
        writer.write(b"11\r\n%016x\n\r\n" % word(key, i))
    writer.write(b"0\r\n\r\n")


async def _echo(reader, writer):
    n = int.from_bytes(await reader.readexactly(4), "little")
    while True:
        writer.write(await reader.readexactly(n))
        await writer.drain()


async def _chat(head, reader, writer, delay_s):
    key = next(line.split(":", 1)[1].strip() for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key:"))
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + websocket.accept_key(key.encode()) + b"\r\n\r\n"
    )
    while True:
        first, second = await reader.readexactly(2)
        n, more, has_mask = websocket.length_of(second)
        if more:
            n = int.from_bytes(await reader.readexactly(more), "big")
        mask = await reader.readexactly(4) if has_mask else bytes(4)
        data = websocket.masked(await reader.readexactly(n), mask)
        if first & 0x0F == websocket.CLOSE:
            return
        if delay_s:
            await asyncio.sleep(delay_s)
        writer.write(websocket.frame(data))
