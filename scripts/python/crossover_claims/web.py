"""Rows about HTTP and its relatives: shared clients, caps, scrapers, gateways, lines, WebSocket.

The asynchronous client is ours over asyncio's streams (see crossover_trial.clients), the blocking one is http.client. Connections are
open before the clock starts only where a row says so.
"""
import asyncio
import json
import math
import sys
import tempfile

from crossover_trial import kinds
from crossover_trial.clients import Blocking, Streams, split_address
from crossover_trial.kinds.scraper import digest
from crossover_trial.spec import Spec

from . import databases
from .registry import Clock, needs, row, run


def _delay(seconds, number=0):
    return f"/delay?us={round(seconds * 1e6)}&n={number}&seed=1"


async def _gathered(client, seconds, n, cap=None):
    """n requests that are answered after `seconds`, at most `cap` of them at a time; how long it took."""
    allowed = asyncio.Semaphore(cap or n)

    async def one(number):
        async with allowed:
            status, _ = await client.get(_delay(seconds, number))
            assert status == 200, status

    with Clock() as clock:
        await asyncio.gather(*[one(number) for number in range(n)])
    return clock.s


def _gather(context, seconds, n, cap=None):
    async def main():
        client = Streams(context.server)
        try:
            return await _gathered(client, seconds, n, cap)
        finally:
            client.close()

    return run(main())


def _in_line(context, seconds, n):
    """The same, one after another in blocking code."""
    client = Blocking(context.server)
    with Clock() as clock:
        for number in range(n):
            assert client.get(_delay(seconds, number))[0] == 200
    client.close()
    return clock.s


def _with_aiohttp(context, seconds, n, **limit):
    """The same with aiohttp."""
    aiohttp = needs("aiohttp")

    async def main():
        connector = aiohttp.TCPConnector(**limit)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def one(number):
                async with session.get(f"http://{context.server}{_delay(seconds, number)}") as answer:
                    await answer.read()

            with Clock() as clock:
                await asyncio.gather(*[one(number) for number in range(n)])
            return clock.s

    return run(main())


def _optional_aiohttp(figures, context, seconds, n):
    """Adds what aiohttp takes for the same, where it can be imported."""
    try:
        figures["aiohttp"] = _with_aiohttp(context, seconds, n, limit=0)
    except Exception as error:
        print(f"aiohttp: {error}", file=sys.stderr)
    return figures


@row("11", "wall", "s", "100 requests × 300 ms, one client over asyncio's streams (aiohttp: the same)", 0.6)
def hundred(context):
    return _optional_aiohttp({"wall": _gather(context, 0.3, 100)}, context, 0.3, 100)


@row("51", "wall", "s", "100 requests × 300 ms gathered (sequential, with --full: one after another)", 0.6)
def thirty_seconds(context):
    figures = {"wall": _gather(context, 0.3, 100)}
    if context.full:
        figures["sequential"] = _in_line(context, 0.3, 100)
    return figures


@row("12", "pool", "s", "10 queries of 100 ms over a pool of 10 connections (sequential: one after another on one)", 1.3)
def queries(context):
    database = databases.find(context)

    async def main():
        query, close = await database.connect()
        with Clock() as in_line:
            for _ in range(10):
                await query()
        close()
        pool = await asyncio.gather(*[database.connect() for _ in range(10)])
        with Clock() as pooled:
            await asyncio.gather(*[query() for query, _ in pool])
        for _, close in pool:
            close()
        return {"pool": pooled.s, "sequential": in_line.s}

    return run(main())


@row("46", "speedup", "×", "a GET, a query and a message of 100 ms, and a file of 64 KiB: one after another / at once", 0.6)
def four_waits(context):
    database = databases.find(context)

    async def main(path):
        client = Streams(context.server)
        await client.get(_delay(0))  # connections are open
        query, close = await database.connect()

        def read():
            with open(path, "rb") as file:
                return file.read()

        async def message():
            queue = asyncio.Queue()
            asyncio.get_running_loop().call_later(0.1, queue.put_nowait, True)
            await queue.get()

        def waits():
            disk = asyncio.get_running_loop().run_in_executor
            return [lambda: client.get(_delay(0.1)), query, lambda: disk(None, read), message]

        with Clock() as in_line:
            for wait in waits():
                await wait()
        with Clock() as together:
            await asyncio.gather(*[wait() for wait in waits()])
        close()
        client.close()
        return {"speedup": in_line.s / together.s, "together": together.s, "sequential": in_line.s}

    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(64 << 10))
        file.flush()
        return run(main(file.name))


@row("15", "over_slowest", "×", "gateway: fan-out to backends of .05 .1 .15 .2 .3 s / the slowest", 0.5)
def gateway(context):
    delays = (0.05, 0.1, 0.15, 0.2, 0.3)

    async def main():
        client = Streams(context.server)
        with Clock() as clock:
            await asyncio.gather(*[client.get(_delay(s, n)) for n, s in enumerate(delays)])
        client.close()
        return {"over_slowest": clock.s / max(delays), "wall": clock.s}

    return run(main())


@row("19", "wall", "s", "10 requests × 1 s gathered (sequential, with --full: one after another)", 1.1)
def ten_calls(context):
    figures = {"wall": _gather(context, 1, 10)}
    if context.full:
        figures["sequential"] = _in_line(context, 1, 10)
    return figures


@row("22", "wall", "s", "3 × 200 ms of blocking requests inside tasks", 0.7)
def blocking_in_tasks(context):
    client = Blocking(context.server)

    async def one(number):
        client.get(_delay(0.2, number))

    async def main():
        with Clock() as clock:
            await asyncio.gather(*[one(number) for number in range(3)])
        return {"wall": clock.s}

    figures = run(main())
    client.close()
    return figures


@row("28", "ratio", "×", "one request of 200 ms: asyncio / blocking", 0.5)
def one_request(context):
    blocking, asynchronous = _in_line(context, 0.2, 1), _gather(context, 0.2, 1)
    return {"ratio": asynchronous / blocking, "sync": blocking, "async": asynchronous}


@row("29", "speedup", "×", "scraper, 100 pages × 50 ms, fetched and parsed: one after another / all at once", 5.8)
def scraper(context):
    n = context.size(25, 100)
    targets = [f"/page?us=50000&n={number}&seed=1&bytes=5000" for number in range(n)]
    client = Blocking(context.server)
    with Clock() as in_line:
        alone = [digest(client.get(target)[1].decode()) for target in targets]
    client.close()

    async def main():
        client = Streams(context.server)

        async def one(target):
            return digest((await client.get(target))[1].decode())

        with Clock() as clock:
            together = await asyncio.gather(*[one(target) for target in targets])
        client.close()
        assert together == alone
        return clock.s

    at_once = run(main())
    return {"speedup": in_line.s / at_once, "sequential": in_line.s, "async": at_once}


@row("44", "line5", "s", "5 lines × 100 ms of one answer: when each one came", 0.6)
def lines(context):
    async def main():
        reader, writer = await asyncio.open_connection(*split_address(context.server))
        with Clock() as clock:
            writer.write(b"GET /lines?us=100000&n=0&seed=1&count=5 HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            came = {}
            while (size := int(await reader.readline(), 16)) != 0:
                await reader.readexactly(size + 2)
                came[f"line{len(came) + 1}"] = clock.so_far()
        writer.close()
        return came

    return run(main())


@row("52", "over_bound", "×", "40 requests × 50 ms under caps of 5, 10, 20: wall / (ceil(n/cap)·d), the worst", 0.9)
def caps(context):
    figures = {f"cap{cap}": _gather(context, 0.05, 40, cap) / (math.ceil(40 / cap) * 0.05) for cap in (5, 10, 20)}
    return {"over_bound": max(figures.values()), **figures}


@row("67", "gap", "s", "longest gap of a 10 ms ticker while 100 requests × 100 ms run", 0.6)
def progress(context):
    async def main():
        client = Streams(context.server)
        await _gathered(client, 0, 100)  # connections are open
        gaps, last = [], asyncio.get_running_loop().time()

        async def tick():
            nonlocal last
            while True:
                await asyncio.sleep(0.01)
                now = asyncio.get_running_loop().time()
                gaps.append(now - last)
                last = now

        ticker = asyncio.create_task(tick())
        for _ in range(3):
            await _gathered(client, 0.1, 100)
        ticker.cancel()
        client.close()
        return {"gap": max(gaps)}

    return run(main())


@row("68", "wall", "s", "3 requests × 200 ms gathered (sequential: one after another)", 0.9)
def three_requests(context):
    return {"wall": _gather(context, 0.2, 3), "sequential": _in_line(context, 0.2, 3)}


@row("77", "requests_per_s", "1/s", "keep-alive requests over 20 connections to a server in another process", 1.5)
def served(context):
    n = context.size(2000, 5000)

    async def main():
        client = Streams(context.server)
        await _gathered(client, 0, 20)
        return {"requests_per_s": n / await _gathered(client, 0, n, 20)}

    return run(main())


@row("x3", "failed", "share", "two queries gathered on one connection: share that failed", 0.3)
def one_connection(context):
    database = databases.asyncpg(context)
    if database is not None:
        return run(_gathered_queries(database))
    context.note("two readers of one connection to the test server; asyncpg on a PostgreSQL server would be the real thing")

    async def main():
        reader, writer = await asyncio.open_connection(*split_address(context.server))

        async def query(number):
            writer.write(f"GET {_delay(0.05, number)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return await reader.readuntil(b"\r\n\r\n")

        results = await asyncio.gather(query(0), query(1), return_exceptions=True)
        writer.close()
        return {"failed": sum(isinstance(result, RuntimeError) for result in results) / 2}

    return run(main())


async def _gathered_queries(database):
    """asyncpg refuses the second query of a connection while the first one runs."""
    query, close = await database.connect()
    results = await asyncio.gather(query(), query(), return_exceptions=True)
    close()
    return {"failed": sum(isinstance(result, Exception) for result in results) / 2}


@row("x4", "limited", "s", "1000 requests × 300 ms, 100 at a time as aiohttp does by default (unlimited: all at once)", 5)
def hidden_limit(context):
    figures = {"limited": _gather(context, 0.3, 1000, 100), "unlimited": _gather(context, 0.3, 1000)}
    try:
        figures["aiohttp"] = _with_aiohttp(context, 0.3, 1000)
    except Exception as error:
        print(f"aiohttp: {error}", file=sys.stderr)
    return figures


@row("14", "wall", "s", "200 WebSocket clients × 5 messages, each answered after 100 ms (100 s one after another)", 1.5)
def chat(context):
    params = {"delay_ms": 100, "messages": 5, "message_bytes": 32}
    work = kinds.prepare(Spec("websocket", json.dumps(params), 200, 1, context.server, None))

    async def main():
        with Clock() as clock:
            await asyncio.gather(*[work.run_async(task) for task in range(200)])
        return {"wall": clock.s}

    return run(main())
