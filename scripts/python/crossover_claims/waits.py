"""Rows about waiting together: sleeps, semaphores, queues, time-outs, failures of siblings."""
import asyncio
import time

from .registry import Clock, needs, row, run


@row("2", "wall", "s", "3 × sleep(1) gathered", 1.1)
def three_sleeps(_context):
    async def main():
        with Clock() as clock:
            await asyncio.gather(*[asyncio.sleep(1) for _ in range(3)])
        return {"wall": clock.s}

    return run(main())


@row("6", "wall", "s", "as_completed of .3, .1, .2 s", 0.4)
def as_completed(_context):
    async def wait(name, delay):
        await asyncio.sleep(delay)
        return name

    async def main():
        with Clock() as clock:
            waits = [wait("slow", 0.3), wait("fast", 0.1), wait("mid", 0.2)]
            order = [await done for done in asyncio.as_completed(waits)]
        assert order == ["fast", "mid", "slow"], order
        return {"wall": clock.s}

    return run(main())


@row("9", "returned", "s", "wait_for(sleep(1), .1) raises TimeoutError", 0.2)
def wait_for(_context):
    async def main():
        with Clock() as clock:
            try:
                await asyncio.wait_for(asyncio.sleep(1), 0.1)
            except asyncio.TimeoutError:
                return {"returned": clock.so_far()}
        raise AssertionError("it did not time out")

    return run(main())


@row("33", "ratio", "×", "1000 × sleep(.1): two loops in two threads / one loop", 0.4)
def one_loop_or_two(_context):
    import threading

    async def many(n):
        await asyncio.gather(*[asyncio.sleep(0.1) for _ in range(n)])

    with Clock() as one:
        run(many(1000))
    threads = [threading.Thread(target=lambda: run(many(500))) for _ in range(2)]
    with Clock() as two:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {"ratio": two.s / one.s, "one": one.s, "two": two.s}


@row("49", "completed", "tasks", "100 000 tasks that yield once, spawned at a time", 1.5)
def spawn_storm(_context):
    n, completed = 100_000, 0

    async def one():
        nonlocal completed
        await asyncio.sleep(0)
        completed += 1

    async def main():
        with Clock() as clock:
            await asyncio.gather(*[one() for _ in range(n)])
        return {"completed": completed, "wall": clock.s}

    return run(main())


@row("55", "wall", "s", "100 × 50 ms under Semaphore(20)", 0.3)
def semaphore(_context):
    async def main():
        allowed, now, peak = asyncio.Semaphore(20), 0, 0

        async def one():
            nonlocal now, peak
            async with allowed:
                now += 1
                peak = max(peak, now)
                await asyncio.sleep(0.05)
                now -= 1

        with Clock() as clock:
            await asyncio.gather(*[one() for _ in range(100)])
        return {"wall": clock.s, "peak": peak}

    return run(main())


@row("62", "k10", "s", "200 messages × 20 ms from a queue with 10 consumers (k1: one, k50: fifty)", 4.7)
def consumers(_context):
    async def drain(k):
        queue = asyncio.Queue()
        for message in range(200):
            queue.put_nowait(message)

        async def consume():
            while True:
                await queue.get()
                await asyncio.sleep(0.02)
                queue.task_done()

        with Clock() as clock:
            tasks = [asyncio.create_task(consume()) for _ in range(k)]
            await queue.join()
        for task in tasks:
            task.cancel()
        return clock.s

    return {f"k{k}": run(drain(k)) for k in (1, 10, 50)}


@row("71", "wall", "s", "two awaits of sleep(1), one after another", 2.1)
def sequential_awaits(_context):
    async def main():
        with Clock() as clock:
            await asyncio.sleep(1)
            await asyncio.sleep(1)
        return {"wall": clock.s}

    return run(main())


@row("72", "wall", "s", "gather of sleep(1), sleep(2), sleep(3)", 3.1)
def one_two_three(_context):
    async def main():
        with Clock() as clock:
            await asyncio.gather(*[asyncio.sleep(s) for s in (1, 2, 3)])
        return {"wall": clock.s}

    return run(main())


@row("73", "item5", "s", "async generator, 5 items × .1 s: when each one came", 0.6)
def generator(_context):
    async def items():
        for number in range(1, 6):
            await asyncio.sleep(0.1)
            yield number

    async def main():
        with Clock() as clock:
            return {f"item{number}": clock.so_far() async for number in items()}

    return run(main())


@row("76", "cancelled", "share", "siblings cancelled when one of 5 fails at .05 s: gather (group_cancelled: TaskGroup)", 0.5)
def siblings(_context):
    def five():
        cancelled = []

        async def works():
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        async def fails():
            await asyncio.sleep(0.05)
            raise ValueError

        return cancelled, works, fails

    async def gathered():
        cancelled, works, fails = five()
        tasks = [asyncio.create_task(works()) for _ in range(4)]
        try:
            await asyncio.gather(fails(), *tasks)
        except ValueError:
            pass
        await asyncio.wait(tasks)
        return len(cancelled) / 4

    async def grouped():
        cancelled, works, fails = five()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(works())
                group.create_task(fails())
        except Exception:
            return len(cancelled) / 4
        raise AssertionError("the failure was lost")

    figures = {"cancelled": run(gathered())}
    if hasattr(asyncio, "TaskGroup"):
        figures["group_cancelled"] = run(grouped())
    return figures


@row("x1", "timed_out", "share", "wait_for(…, .1) over .3 s of synchronous code: share that timed out", 0.4)
def wait_for_blocking(_context):
    async def blocks():
        time.sleep(0.3)

    async def main():
        with Clock() as clock:
            try:
                await asyncio.wait_for(blocks(), 0.1)
                timed_out = 0
            except asyncio.TimeoutError:
                timed_out = 1
        return {"timed_out": timed_out, "returned": clock.s}

    return run(main())


@row("74", "caught", "share", "time-outs of aiohttp that `except ClientError` catches", 0.5)
def error_taxonomy(context):
    aiohttp = needs("aiohttp")

    async def main():
        caught = 0
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.05)) as session:
            for _ in range(4):
                try:
                    async with session.get(f"http://{context.server}/delay?us=300000&n=0&seed=0") as answer:
                        await answer.read()
                except aiohttp.ClientError:
                    caught += 1
                except asyncio.TimeoutError:
                    pass
        return {"caught": caught / 4}

    return run(main())
