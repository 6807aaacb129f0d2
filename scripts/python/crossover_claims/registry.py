"""Rows, and how they are repeated.

A row is a function of a `Context` that measures once and returns its figures by name. The one called like the row's `main` becomes
the `value`.
"""
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
import typing

ROWS = {}


class Skipped(Exception):
    """The row cannot run on this Python; the message says why."""


class Row(typing.NamedTuple):
    """One row: see `row`."""

    identity: str
    main: str
    unit: str
    title: str
    seconds: float
    measure: typing.Callable


def row(identity, main, unit, title, seconds):
    """Registers a function as the row `identity`, which takes about `seconds`."""

    def register(function):
        assert identity not in ROWS, identity
        ROWS[identity] = Row(identity, main, unit, title, seconds, function)
        return function

    return register


class Context:
    """What rows may ask for."""

    def __init__(self, script, quick, full, server):
        self.script, self.quick, self.full = script, quick, full
        self._given, self._own = server, None
        self.notes = []

    def note(self, text):
        """Says something about the row that is measured, once."""
        if text not in self.notes:
            self.notes.append(text)

    def size(self, quick, usual, full=None):
        """A number by the size that was asked for."""
        if self.quick:
            return quick
        return full if self.full and full is not None else usual

    @property
    def server(self):
        """Address of the test server: the one that was named, or our own, which is started at the first call."""
        if self._given is not None:
            return self._given
        if self._own is None:
            self._own = self.child("serve", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._given = self._own.stdout.readline().decode().strip() or None
            if self._given is None:
                raise RuntimeError("the test server did not start")
        return self._given

    def child(self, *arguments, **options):
        """This script again, as a process that does one inner thing."""
        return subprocess.Popen([sys.executable, "-I", "-B", self.script, "--inner", *arguments], **options)

    def ask_child(self, *arguments):
        """What such a process prints: numbers, parted by spaces."""
        process = self.child(*arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        text, _ = process.communicate(timeout=120)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
        return [float(number) for number in text.split()]

    def close(self):
        if self._own is not None:
            self._own.stdin.close()  # it ends with its stdin
            self._own.stdout.close()
            self._own.wait()
            self._own = None


def measure(one, context, repeats):
    """The line about a row."""
    samples = {}
    context.notes = []
    try:
        for _ in range(repeats):
            for name, number in one.measure(context).items():
                samples.setdefault("value" if name == one.main else name, []).append(number)
    except Skipped as reason:
        return {"id": one.identity, "skipped": str(reason)}
    except Exception as error:  # whatever it is, the other rows go on
        return {"id": one.identity, "error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    value = samples["value"]
    others = {name: _rounded(statistics.median(numbers)) for name, numbers in samples.items() if name != "value"}
    return {
        "id": one.identity,
        "value": _rounded(statistics.median(value)),
        "unit": one.unit,
        "low": _rounded(min(value)),
        "high": _rounded(max(value)),
        "n": repeats,
        **({"values": others} if others else {}),
        "samples": {name: [_rounded(number) for number in numbers] for name, numbers in samples.items()},
        "detail": "; ".join([one.title, *context.notes]),
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def _rounded(number):
    """Six digits say more than was measured."""
    return number if isinstance(number, int) else float(f"{number:.6g}")


def run(coroutine):
    """asyncio.run: a loop of its own for each measurement."""
    return asyncio.run(coroutine)


class Clock:
    """`with Clock() as clock:` … `clock.s` is how long it took."""

    def __enter__(self):
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.s = time.perf_counter() - self._start

    def so_far(self):
        return time.perf_counter() - self._start


def needs(name):
    """A module that may not be there."""
    try:
        return __import__(name, fromlist=["_"])
    except ImportError:
        raise Skipped(f"needs {name}, which this Python cannot import") from None


@contextlib.contextmanager
def process_pool(workers):
    """A ProcessPoolExecutor whose workers are up."""
    import concurrent.futures

    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        list(pool.map(time.sleep, [0.05] * workers))
        yield pool


@contextlib.contextmanager
def thread_pool(workers):
    """A ThreadPoolExecutor whose threads are up."""
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(time.sleep, [0.01] * workers))
        yield pool


def cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
