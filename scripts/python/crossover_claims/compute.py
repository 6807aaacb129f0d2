"""Rows about kernels, threads and processes: what the global lock lets through, and what a process pool costs.

Six kernels, eight jobs each, as CLAIMS has them: pure Python, hashing of large and of small buffers, image resize + JPEG (Pillow),
JSON, a small MLP (NumPy). A speed-up is the time of the plain loop over that of the pool, both warm.
"""
import asyncio
import concurrent.futures
import functools
import hashlib
import json
import math
import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool

from crossover_trial.kernels.mlp import one_thread

from .registry import Clock, Skipped, cores, needs, process_pool, row, run, thread_pool
from .stalls import spin, steps_for

_JOBS = 8


def primes(limit):
    """How many primes there are below `limit`, by trial division."""
    found = 0
    for n in range(2, limit):
        for divisor in range(2, math.isqrt(n) + 1):
            if n % divisor == 0:
                break
        else:
            found += 1
    return found


@functools.lru_cache(maxsize=None)
def _buffer(size):
    return bytes(size)


def sha256_large(size):
    return hashlib.sha256(_buffer(size)).digest()


def sha256_small(times):
    buffer = _buffer(512)
    for _ in range(times):
        digest = hashlib.sha256(buffer).digest()
    return digest


@functools.lru_cache(maxsize=None)
def _picture(side):
    from PIL import Image

    return Image.effect_noise((side, side), 60).convert("RGB")


def image(side):
    import io

    out = io.BytesIO()
    _picture(side).resize((side // 2, side // 2), 3).save(out, "JPEG", quality=85)
    return len(out.getvalue())


@functools.lru_cache(maxsize=None)
def _document(records):
    return json.dumps([{"id": i, "name": f"record {i}", "values": [i, i / 2, None], "ok": True} for i in range(records)])


def json_transform(records):
    rows = json.loads(_document(records))
    return len(json.dumps([{"id": one["id"], "sum": one["values"][0]} for one in rows if one["ok"]]))


@functools.lru_cache(maxsize=None)
def _layers(width):
    import numpy

    numbers = numpy.random.default_rng(1)
    weights = [numbers.standard_normal((width, width), dtype="float32") / width**0.5 for _ in range(3)]
    return numbers.standard_normal((64, width), dtype="float32"), weights


def mlp(width):
    import numpy

    x, weights = _layers(width)
    for _ in range(4):
        for weight in weights:
            x = numpy.maximum(x @ weight, 0)
    return float(x.sum())


# By name: the function, the argument of a job (20 to 60 ms; with --quick half of that), the module that it needs.
KERNELS = {
    "primes": (primes, 45_000, None),
    "sha256_32m": (sha256_large, 32 << 20, None),
    "sha256_512": (sha256_small, 100_000, None),
    "image": (image, 2048, "PIL.Image"),
    "json": (json_transform, 20_000, None),
    "mlp": (mlp, 1024, "numpy"),
}
_QUICK = {"primes": 20_000, "sha256_32m": 32 << 20, "sha256_512": 40_000, "image": 1024, "json": 8_000, "mlp": 512}


def _kernel(context, name):
    function, argument, module = KERNELS[name]
    if module is not None:
        one_thread()  # of BLAS, so that the plain loop is one
        needs(module)
    return function, _QUICK[name] if context.quick else argument


def _loop(function, argument):
    function(argument)
    with Clock() as clock:
        for _ in range(_JOBS):
            function(argument)
    return clock.s


def _pooled(pool, workers, function, argument):
    list(pool.map(function, [argument] * workers))
    with Clock() as clock:
        concurrent.futures.wait([pool.submit(function, argument) for _ in range(_JOBS)])
    return clock.s


def _speedups(context, names, threads=True, processes=True):
    """Two threads and two processes against the plain loop, for each kernel that can run here."""
    figures = {}
    for name in names:
        try:
            function, argument = _kernel(context, name)
        except Skipped:
            if len(names) == 1:
                raise
            continue
        plain = _loop(function, argument)
        if threads:
            with thread_pool(2) as pool:
                figures[f"{name}_threads"] = plain / _pooled(pool, 2, function, argument)
        if processes:
            with process_pool(2) as pool:
                figures[f"{name}_processes"] = plain / _pooled(pool, 2, function, argument)
    return figures


@row("kernels", "primes_threads", "×", "speed-up of 2 threads and of 2 processes for each kernel, 8 jobs", 8)
def kernels(context):
    return _speedups(context, list(KERNELS))


@row("16", "async_speedup", "×", "gather of 8 CPU jobs against the plain loop: the largest speed-up of all kernels", 6)
def async_is_no_help(context):
    async def gathered(function, argument):
        async def one():
            return function(argument)

        with Clock() as clock:
            await asyncio.gather(*[one() for _ in range(_JOBS)])
        return clock.s

    figures = {}
    for name in KERNELS:
        try:
            function, argument = _kernel(context, name)
        except Skipped:
            continue
        # In turn, and the best of each: they differ by less than what else happens on the machine.
        pairs = [(_loop(function, argument), run(gathered(function, argument))) for _ in range(context.size(2, 3))]
        figures[name] = min(plain for plain, _ in pairs) / min(gathered for _, gathered in pairs)
    return {"async_speedup": max(figures.values()), **figures}


def _one(context, kernel, which):
    """Speed-ups of one kernel, under the names of the row."""
    found = _speedups(context, [kernel], threads="threads" in which, processes="processes" in which)
    return {f"{one}_speedup": found[f"{kernel}_{one}"] for one in which}


@row("17", "threads_speedup", "×", "pure Python (primes) with 2 threads", 1)
def threads_and_the_lock(context):
    return _one(context, "primes", ["threads"])


@row("18", "processes_speedup", "×", "pure Python (primes) with 2 processes", 1)
def processes_for_compute(context):
    return _one(context, "primes", ["processes"])


@row("36", "threads_speedup", "×", "pure Python (primes) with 2 threads (processes_speedup: with 2 processes)", 1.5)
def both_for_compute(context):
    return _one(context, "primes", ["threads", "processes"])


@row("60", "threads_speedup", "×", "SHA-256 of 32 MiB with 2 threads", 1)
def native_extension(context):
    return _one(context, "sha256_32m", ["threads"])


@row("64", "threads_speedup", "×", "Pillow: resize + JPEG with 2 threads (processes_speedup: with 2 processes)", 1)
def pictures(context):
    return _one(context, "image", ["threads", "processes"])


@row("78", "threads_speedup", "×", "NumPy: a small MLP with 2 threads (processes_speedup: with 2 processes)", 1)
def inference(context):
    return _one(context, "mlp", ["threads", "processes"])


@row("gil-free", "threads_speedup", "×", "pure Python with 10 threads, in this Python", 1)
def ten_threads(context):
    function, argument = _kernel(context, "primes")
    plain = _loop(function, argument)
    with thread_pool(10) as pool:
        speedup = plain / _pooled(pool, 10, function, argument)
    return {"threads_speedup": speedup, "cores": cores()}


def _crossing(points):
    """Where the ratios of (x, ratio) points cross 1 from above, on logarithmic axes; the edge where they do not."""
    for (x0, r0), (x1, r1) in zip(points, points[1:]):
        if r0 > 1 >= r1:
            share = math.log(r0) / (math.log(r0) - math.log(r1))
            return math.exp(math.log(x0) + share * (math.log(x1) - math.log(x0)))
    return points[0][0] if points[0][1] <= 1 else points[-1][0]


@row("break-even", "unbatched_us", "µs", "work per job from which 2 processes beat a loop, 64 jobs (chunked_us: chunks of 16)", 3)
def break_even(_context):
    per_us = steps_for(0.01) / 10_000
    points = {"unbatched_us": [], "chunked_us": []}
    with process_pool(2) as pool:
        for us in (3, 10, 30, 100, 300, 1000, 3000):
            steps = [max(int(us * per_us), 1)] * 64
            best = {"plain": math.inf, "unbatched_us": math.inf, "chunked_us": math.inf}
            for _ in range(5 if us < 1000 else 2):
                with Clock() as clock:
                    for n in steps:
                        spin(n)
                best["plain"] = min(best["plain"], clock.s)
                for name, chunk in (("unbatched_us", 1), ("chunked_us", 16)):
                    with Clock() as clock:
                        list(pool.map(spin, steps, chunksize=chunk))
                    best[name] = min(best[name], clock.s)
            for name in points:
                # What a job really took: the calibration is from another moment.
                points[name].append((best["plain"] / 64 * 1e6, best[name] / best["plain"]))
    return {name: _crossing(found) for name, found in points.items()}


@row("loky-short", "ratio", "×", "many calls of sqrt: process pool without chunks / plain loop", 2.5)
def short_jobs(context):
    # A million of them take minutes, and the ratio is one of a call to a square root: it does not depend on their number.
    n = context.size(5_000, 20_000, 100_000)
    with Clock() as plain:
        for i in range(n):
            math.sqrt(i)
    with process_pool(cores()) as pool:
        with Clock() as pooled:
            for _ in pool.map(math.sqrt, range(n)):
                pass
    return {"ratio": pooled.s / plain.s, "loop": plain.s, "pool": pooled.s, "jobs": n}


def _job(number):
    time.sleep(0.02 if number == 0 else 0.05)
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@row("x5", "others_failed", "share", "one worker of two is killed: share of the 9 other jobs that fail (later_failed: of 3 submitted later)", 0.4)
def dead_worker(_context):
    pool = concurrent.futures.ProcessPoolExecutor(2)
    futures = [pool.submit(_job, number) for number in range(10)]
    concurrent.futures.wait(futures)
    others = sum(future.exception() is not None for future in futures[1:])
    later = 0
    for number in range(1, 4):
        try:
            pool.submit(_job, number).result()
        except BrokenProcessPool:
            later += 1
    pool.shutdown()
    return {"others_failed": others / 9, "later_failed": later / 3}
