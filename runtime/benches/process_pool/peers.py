"""Python's process pools, for the bench beside this file.

A request is a line of JSON on stdin, its answer one on stdout; times are in nanoseconds. `orphans POOL busy|idle` on the command
line makes this process a parent that waits to be killed. Functions of jobs are at the top level: workers look them up by name.
"""

import collections
import itertools
import json
import multiprocessing
import os
import platform
import signal
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor

try:
    import loky
except ImportError:
    loky = None

clock = time.perf_counter_ns


def noop():
    pass


def echo(data):
    return data


def add_one(number):
    return number + 1


def nap():
    time.sleep(0.02)
    return os.getpid()


def compute_for_ever():
    while True:
        pass


def make(pool, workers):
    if pool == "loky":
        return loky.ProcessPoolExecutor(max_workers=workers)
    method = "spawn" if pool == "spawn" else "fork"
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(method))


def warm(pool, workers):
    """A pool whose workers have all answered, and their process ids."""
    executor = make(pool, workers)
    pids = set()
    while len(pids) < workers:
        pids.update(future.result() for future in [executor.submit(nap) for _ in range(workers)])
    return executor, pids


def times(request, operation):
    for _ in range(request["warm_up"]):
        operation()
    samples = []
    for _ in range(request["operations"]):
        start = clock()
        operation()
        samples.append(clock() - start)
    return samples


def rate(request, submit):
    start = clock()
    end = start + request["seconds"] * 1e9
    flying = collections.deque(submit() for _ in range(request["in_flight"]))
    done = 0
    while flying:
        flying.popleft().result()
        done += 1
        if clock() < end:
            flying.append(submit())
    return [done / (clock() - start) * 1e9]


def cold(request):
    memory = bytearray(request["bytes"])
    memory[::4096] = b"\1" * len(memory[::4096])
    samples = []
    for _ in range(request["operations"]):
        start = clock()
        executor = make(request["pool"], request["workers"])
        executor.submit(noop).result()
        samples.append(clock() - start)
        executor.shutdown()
    return samples


def death(request, job, *args):
    samples = []
    for _ in range(request["operations"]):
        executor, pids = warm(request["pool"], 1)
        future = executor.submit(job, *args)
        time.sleep(0.01)
        start = clock()
        os.kill(pids.pop(), signal.SIGKILL)
        assert future.exception(timeout=20) is not None
        samples.append(clock() - start)
        executor.shutdown(wait=False)
    return samples


def private_dirty(pid):
    with open(f"/proc/{pid}/smaps_rollup") as fields:
        line = next(line for line in fields if line.startswith("Private_Dirty:"))
    return int(line.split()[1]) * 1024


def mapped(request, executor):
    items = request["items"] // 5
    # As `multiprocessing.Pool.map` does by itself: four chunks for each worker. Here the default is one item.
    chunk = max(1, items // (4 * request["workers"]))
    start = clock()
    results = list(executor.map(add_one, range(items), chunksize=chunk))
    taken = clock() - start
    assert results == list(range(1, items + 1))
    return [items / taken * 1e9]


class Pools:
    """The warm pools: one of a kind, made when it is first asked for."""

    def __init__(self):
        self.kept = {}

    def get(self, request):
        pool = request["pool"]
        if pool not in self.kept:
            self.kept[pool] = warm(pool, request["workers"])
        return self.kept[pool]


def turn(pools, request):
    work = request["work"]
    if work == "cold":
        return cold(request)
    if work == "death":
        return death(request, time.sleep, 1000)
    if work == "death_busy":
        return death(request, compute_for_ever)
    executor, pids = pools.get(request)
    if work == "noop":
        return times(request, lambda: executor.submit(noop).result())
    if work == "noop_rate":
        return rate(request, lambda: executor.submit(noop))
    if work == "map":
        return mapped(request, executor)
    if work == "dirty":
        return [private_dirty(pid) for pid in pids]
    data = bytes(itertools.islice(itertools.cycle(range(251)), request["bytes"]))
    if work == "echo_rate":
        return rate(request, lambda: executor.submit(echo, data))
    if work == "echo":
        return times(request, lambda: executor.submit(echo, data).result())
    if work == "sum":
        # The nearest to a sum of bytes that Python computes as fast.
        return times(request, lambda: executor.submit(zlib.adler32, data).result())
    raise ValueError(f"no work is called {work}")


def serve():
    pools = Pools()
    for line in sys.stdin:
        request = json.loads(line)
        if request["work"] == "hello":
            answer = {"python": platform.python_version(), "loky": loky and loky.__version__}
        else:
            try:
                answer = {"samples": turn(pools, request)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    for executor, _ in pools.kept.values():
        executor.shutdown()


def orphans(pool, state):
    executor, pids = warm(pool, 2)
    if state == "busy":
        for _ in range(2):
            executor.submit(compute_for_ever)
        time.sleep(0.1)
    print(*pids, flush=True)
    time.sleep(1000)


if __name__ == "__main__":
    if sys.argv[1:2] == ["orphans"]:
        orphans(*sys.argv[2:4])
    else:
        serve()
