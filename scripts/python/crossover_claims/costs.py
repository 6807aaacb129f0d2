"""Rows about what things cost: memory of idle units, switches, spawning, files, start-up.

Memory is measured in processes of their own: what this one has grown by earlier is no part of it.
"""
import asyncio
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time

from .registry import Clock, row, run

# What an inner process runs. `-I` would look for the package in vain: the path is told.
_SYNC_SCRIPT = """
import http.client
c = http.client.HTTPConnection({host!r}, {port})
c.request("GET", "/delay?us=10000&n=0&seed=1")
assert c.getresponse().read()
"""
_ASYNC_SCRIPT = """
import asyncio, sys
sys.path.insert(0, {path!r})
from crossover_trial.clients import Streams
async def main():
    assert (await Streams("{host}:{port}").get("/delay?us=10000&n=0&seed=1"))[1]
asyncio.run(main())
"""


def _resident(pid="self"):
    """Resident memory, in bytes."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _private(pid):
    """Memory that only this process has, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file if line.startswith("Private"))
    return sum(int(text.split()[0]) * 1024 for text in fields.values())


def _tasks_memory(arguments):
    """Inner: bytes per task of so many tasks that sleep."""
    n = int(arguments[0])

    async def main():
        await asyncio.sleep(0)
        before = _resident()
        tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(n)]
        await asyncio.sleep(0)  # all of them have begun to sleep
        print((_resident() - before) / n, flush=True)
        os._exit(0)
        return tasks

    run(main())


def _events_memory(arguments):
    """Inner: bytes per task of so many tasks that wait for one event: no timer of their own."""
    n = int(arguments[0])

    async def main():
        event = asyncio.Event()
        await asyncio.sleep(0)
        before = _resident()
        tasks = [asyncio.create_task(event.wait()) for _ in range(n)]
        await asyncio.sleep(0)
        print((_resident() - before) / n, flush=True)
        os._exit(0)
        return tasks

    run(main())


def _threads_memory(arguments):
    """Inner: bytes per thread of so many threads that wait."""
    n, go = int(arguments[0]), threading.Event()
    before = _resident()
    threads = [threading.Thread(target=go.wait) for _ in range(n)]
    for thread in threads:
        thread.start()
    print((_resident() - before) / n, flush=True)
    os._exit(0)


def _processes_memory(arguments):
    """Inner: resident and private bytes per spawned process that waits."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=time.sleep, args=(60,), daemon=True) for _ in range(int(arguments[0]))]
    for process in processes:
        process.start()
    deadline = time.monotonic() + 20
    # It sleeps once it is up: until then it uses the processor.
    while time.monotonic() < deadline and not all(_is_up(process.pid) for process in processes):
        time.sleep(0.02)
    resident = sum(_resident(process.pid) for process in processes) / len(processes)
    private = sum(_private(process.pid) for process in processes) / len(processes)
    print(resident, private, flush=True)
    for process in processes:
        process.kill()
        process.join()


def _is_up(pid):
    """Whether a process waits in a sleep."""
    try:
        with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
            return "nanosleep" in file.read()
    except OSError:
        return False


INNER = {
    "tasks-memory": _tasks_memory,
    "events-memory": _events_memory,
    "threads-memory": _threads_memory,
    "processes-memory": _processes_memory,
}


@row("47", "bytes_per_task", "bytes", "memory per idle task, thread and spawned process", 3)
def idle_memory(context):
    (task,) = context.ask_child("events-memory", str(context.size(20_000, 100_000)))
    (thread,) = context.ask_child("threads-memory", str(context.size(500, 2000)))
    resident, private = context.ask_child("processes-memory", "2")
    return {
        "bytes_per_task": task,
        "bytes_per_thread": thread,
        "bytes_per_process": resident,
        "private_bytes_per_process": private,
    }


@row("1m-tasks", "bytes_per_task", "bytes", "memory per task that sleeps (100 000; with --full a million)", 2)
def million_tasks(context):
    n = context.size(50_000, 100_000, 1_000_000)
    (task,) = context.ask_child("tasks-memory", str(n))
    return {"bytes_per_task": task, "tasks": n, "total_mib": task * n / (1 << 20)}


def _switches():
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


@row("48", "ratio", "×", "voluntary context switches per wait, 500 × sleep(.1): threads / tasks", 0.6)
def coordination(_context):
    n = 500

    async def main():
        await asyncio.gather(*[asyncio.sleep(0.1) for _ in range(n)])

    before = _switches()
    run(main())
    tasks = max(_switches() - before, 1)
    threads = [threading.Thread(target=time.sleep, args=(0.1,)) for _ in range(n)]
    before = _switches()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    per_thread = _switches() - before
    return {"ratio": per_thread / tasks, "tasks": tasks / n, "threads": per_thread / n}


@row("spawn-cost", "task_us", "µs", "a task and a thread that do nothing, spawned and awaited", 1)
def spawn_cost(context):
    n = context.size(1000, 2000)

    async def main():
        async def nothing():
            pass

        with Clock() as clock:
            for _ in range(n):
                await asyncio.create_task(nothing())
        return clock.s

    tasks = run(main())
    with Clock() as clock:
        for _ in range(n):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
    return {"task_us": tasks / n * 1e6, "thread_us": clock.s / n * 1e6, "thread_over_task": clock.s / tasks}


@row("ctx-switch", "async_us", "µs", "a byte through 500 pipes: per hop, by callbacks of one loop (thread_us: by threads; pinned: on one core)", 2.5)
def brigade(context):
    """The shape of jimblandy/context-switch: each link reads a byte and writes it on."""
    links, rounds = 500, context.size(5, 20)

    def pipes():
        return [os.pipe() for _ in range(links + 1)]

    async def by_loop():
        ends, loop = pipes(), asyncio.get_running_loop()
        there = asyncio.Event()

        def forward(source, target):
            os.write(target, os.read(source, 1))

        for (source, _), (_, target) in zip(ends, ends[1:]):
            loop.add_reader(source, forward, source, target)
        loop.add_reader(ends[-1][0], lambda: (os.read(ends[-1][0], 1), there.set()))
        with Clock() as clock:
            for _ in range(rounds):
                there.clear()
                os.write(ends[0][1], b".")
                await there.wait()
        for source, target in ends:
            loop.remove_reader(source)
            os.close(source)
            os.close(target)
        return clock.s

    def by_threads():
        ends = pipes()

        def forward(source, target):
            while data := os.read(source, 1):
                os.write(target, data)
            os.close(target)

        threads = [
            threading.Thread(target=forward, args=(source, target)) for (source, _), (_, target) in zip(ends, ends[1:])
        ]
        for thread in threads:
            thread.start()
        with Clock() as clock:
            for _ in range(rounds):
                os.write(ends[0][1], b".")
                os.read(ends[-1][0], 1)
        os.close(ends[0][1])  # the end runs down the line
        for thread in threads:
            thread.join()
        for source, _ in ends:
            os.close(source)
        return clock.s

    def both():
        hops = links * rounds
        return run(by_loop()) / hops * 1e6, by_threads() / hops * 1e6

    task, thread = both()
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        pinned_task, pinned_thread = both()
    finally:
        os.sched_setaffinity(0, allowed)
    return {
        "async_us": task,
        "thread_us": thread,
        "thread_over_task": thread / task,
        "pinned_async_us": pinned_task,
        "pinned_thread_us": pinned_thread,
        "pinned_thread_over_task": pinned_thread / pinned_task,
    }


def _read(path):
    with open(path, "rb") as file:
        return file.read()


@row("13", "slowdown", "×", "1000 files of 4 KiB, cached: gather of open, read, close in the executor, as aiofiles does / plain", 0.6)
def files(_context):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, str(n)) for n in range(1000)]
        for path in paths:
            with open(path, "wb") as file:
                file.write(bytes(4096))

        async def three_hops(path):
            loop = asyncio.get_running_loop()
            file = await loop.run_in_executor(None, open, path, "rb")
            try:
                return await loop.run_in_executor(None, file.read)
            finally:
                await loop.run_in_executor(None, file.close)

        async def gathered(read):
            with Clock() as clock:
                await asyncio.gather(*[read(path) for path in paths])
            return clock.s

        async def one_hop(path):
            return await asyncio.get_running_loop().run_in_executor(None, _read, path)

        for path in paths:
            _read(path)
        with Clock() as plain:
            for path in paths:
                _read(path)
        three, one = run(gathered(three_hops)), run(gathered(one_hop))
        return {"slowdown": three / plain.s, "sync": plain.s, "async": three, "one_hop": one}


@row("tokio-fs", "slowdown", "×", "walk of a tree of 2000 files: every call in the executor / plain", 0.8)
def walk(_context):
    with tempfile.TemporaryDirectory() as root:
        for folder in range(40):
            os.mkdir(os.path.join(root, str(folder)))
            for file in range(50):
                open(os.path.join(root, str(folder), str(file)), "wb").close()

        def plain(folder):
            size = 0
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                status = os.stat(path)
                size += 1 + (plain(path) if status.st_mode & 0o040000 else 0)
            return size

        async def walked(folder):
            loop, size = asyncio.get_running_loop(), 0
            for name in await loop.run_in_executor(None, os.listdir, folder):
                path = os.path.join(folder, name)
                status = await loop.run_in_executor(None, os.stat, path)
                size += 1 + (await walked(path) if status.st_mode & 0o040000 else 0)
            return size

        async def timed():
            with Clock() as clock:
                assert await walked(root) == 2040
            return clock.s

        assert plain(root) == 2040
        with Clock() as sync:
            plain(root)
        slow = run(timed())
        return {"slowdown": slow / sync.s, "sync": sync.s, "async": slow}


@row("63", "ratio", "×", "a script with one request of 10 ms, its start-up included: asyncio / blocking", 1.5)
def short_script(context):
    host, _, port = context.server.rpartition(":")
    path = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

    def best(script):
        text = script.format(host=host, port=int(port), path=path)
        times = []
        for _ in range(3):
            with Clock() as clock:
                subprocess.run([sys.executable, "-I", "-B", "-c", text], check=True)
            times.append(clock.s)
        return min(times)

    sync, asynchronous = best(_SYNC_SCRIPT), best(_ASYNC_SCRIPT)
    return {"ratio": asynchronous / sync, "sync": sync, "async": asynchronous}


