"""Rows about what blocks the event loop, for how long, and where the work should go instead.

A ticker sleeps for 5 or 10 ms again and again; its *lag* is how late it wakes, its *gap* the time between two ticks.
"""
import asyncio
import concurrent.futures
import sqlite3
import statistics
import threading
import time

from .registry import Clock, process_pool, row, run


async def _ticked(period, work):
    """Lags and longest gap of a ticker while `work` (a coroutine function) runs."""
    loop = asyncio.get_running_loop()
    lags, gap, last = [], 0.0, loop.time()

    async def tick():
        nonlocal gap, last
        while True:
            due = loop.time() + period
            await asyncio.sleep(period)
            now = loop.time()
            lags.append(now - due)
            gap, last = max(gap, now - last), now

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(2 * period)
    await work()
    await asyncio.sleep(2 * period)
    ticker.cancel()
    return lags, gap


def spin(steps):
    """A loop in pure Python: about 30 ns a step, with the global lock held."""
    x = 1
    for i in range(steps):
        x = (x * 31 + i) & 0xFFFF
    return x


def steps_for(seconds):
    """Steps of `spin` that take about so long on this machine."""
    best = min(_time_of(100_000) for _ in range(5))
    return max(int(seconds * 100_000 / best), 1)


def _time_of(steps):
    with Clock() as clock:
        spin(steps)
    return clock.s


@row("21", "blocked_gap", "s", "longest gap of a 10 ms ticker: time.sleep(1) in a task (async_gap, executor_gap: asyncio.sleep, an executor)", 3.4)
def blocked(_context):
    async def blocks():
        time.sleep(1)

    async def waits():
        await asyncio.sleep(1)

    async def offloads():
        await asyncio.get_running_loop().run_in_executor(None, time.sleep, 1)

    works = {"blocked_gap": blocks, "async_gap": waits, "executor_gap": offloads}
    return {name: run(_ticked(0.01, work))[1] for name, work in works.items()}


@row("23", "executor", "s", "3 × time.sleep(.3) through run_in_executor (inline: in the loop)", 1.3)
def run_in_executor(_context):
    async def offloaded():
        loop = asyncio.get_running_loop()
        with Clock() as clock:
            await asyncio.gather(*[loop.run_in_executor(None, time.sleep, 0.3) for _ in range(3)])
        return clock.s

    async def inline():
        async def one():
            time.sleep(0.3)

        with Clock() as clock:
            await asyncio.gather(*[one() for _ in range(3)])
        return clock.s

    return {"executor": run(offloaded()), "inline": run(inline())}


@row("24", "wall", "s", "60 × time.sleep(.1) through the default executor", 1.1)
def default_executor(_context):
    def job():
        time.sleep(0.1)
        return threading.get_ident()

    async def main():
        loop = asyncio.get_running_loop()
        with Clock() as clock:
            threads = await asyncio.gather(*[loop.run_in_executor(None, job) for _ in range(60)])
        return {"wall": clock.s, "workers": len(set(threads))}

    return run(main())


@row("37", "cores_used", "cores", "CPU time / wall time of four CPU tasks in one loop", 0.5)
def one_core(_context):
    steps = steps_for(0.1)

    async def main():
        async def one():
            spin(steps)

        cpu = time.process_time()
        with Clock() as clock:
            await asyncio.gather(*[one() for _ in range(4)])
        return {"cores_used": (time.process_time() - cpu) / clock.s}

    return run(main())


@row("50", "tick_lag_p50", "s", "median lag of a 5 ms ticker in an idle loop", 0.6)
def wake_latency(_context):
    lags, _ = run(_ticked(0.005, lambda: asyncio.sleep(0.5)))
    return {"tick_lag_p50": statistics.median(lags), "tick_lag_max": max(lags)}


def _lag(period, work):
    return max(run(_ticked(period, work))[0])


@row("loop-lag", "loop", "s", "largest lag of a 5 ms ticker by where a CPU job of .22 s runs", 3)
def loop_lag(_context):
    steps = steps_for(0.22)

    async def inline():
        spin(steps)

    def elsewhere(executor, jobs):
        async def work():
            loop = asyncio.get_running_loop()
            await asyncio.gather(*[loop.run_in_executor(executor, spin, steps) for _ in range(jobs)])

        return work

    with concurrent.futures.ThreadPoolExecutor(2) as threads, process_pool(1) as processes:
        return {
            "idle": _lag(0.005, lambda: asyncio.sleep(0.22)),
            "loop": _lag(0.005, inline),
            "one_thread": _lag(0.005, elsewhere(threads, 1)),
            "two_threads": _lag(0.005, elsewhere(threads, 2)),
            "process": _lag(0.005, elsewhere(processes, 1)),
        }


@row("42", "offloaded_lag", "s", "largest lag of a 5 ms ticker while a process pool computes (idle_lag: while nothing does)", 1)
def offloaded(_context):
    steps = steps_for(0.22)

    async def work():
        await asyncio.get_running_loop().run_in_executor(pool, spin, steps)

    with process_pool(1) as pool:
        return {
            "offloaded_lag": _lag(0.005, work),
            "idle_lag": _lag(0.005, lambda: asyncio.sleep(0.22)),
        }


_QUERY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT sum(i * i % 7) FROM n"


@row("79", "ticker_gap", "s", "longest gap of a 10 ms ticker: an SQLite query in an executor (blocked_gap: in the loop)", 1.5)
def sqlite_offloaded(_context):
    def query(rows):
        # A connection of its own: SQLite's belong to the thread that opened them.
        connection = sqlite3.connect(":memory:")
        try:
            return connection.execute(_QUERY, (rows,)).fetchone()
        finally:
            connection.close()

    with Clock() as clock:
        query(200_000)
    rows = int(200_000 * 0.3 / clock.s)

    async def inline():
        query(rows)

    async def work():
        await asyncio.get_running_loop().run_in_executor(None, query, rows)

    return {"ticker_gap": run(_ticked(0.01, work))[1], "blocked_gap": run(_ticked(0.01, inline))[1]}


@row("x2", "ran", "s", "how long a job of .3 s in an executor ran on after its time-out of .1 s", 0.5)
def abandoned(_context):
    ended = []

    def job():
        time.sleep(0.3)
        ended.append(time.perf_counter())

    async def main():
        work = asyncio.get_running_loop().run_in_executor(None, job)
        try:
            await asyncio.wait_for(work, 0.1)
        except asyncio.TimeoutError:
            return time.perf_counter()
        raise AssertionError("it did not time out")

    timed_out = run(main())  # its end waits for the executor's threads
    return {"ran": ended[0] - timed_out}
