"""The protocol's loop: one JSON line asks, one JSON line answers, until stdin ends.

What goes wrong with a request is its answer, `"ok": false` with the reason; `"unfit": true` stands beside it where this strategy
or this Python cannot do such work by its nature. Only a line that is no request ends the process, with exit code 2.
Between requests the process waits in a read and uses no CPU.
"""
import argparse
import json
import multiprocessing
import os
import sys
import time

from . import kinds, life, lives, measure, scratch, strategies
from .errors import BadRequest, Unfit, reason_of
from .spec import Spec, positive

_SCHEMA = 1

# As `--workers`: as many as the request has tasks.
_TASKS = "tasks"
_LINE_BYTES_MAX = 1 << 20


def main(arguments):
    """Never returns: nothing that a thread or a worker still does keeps the process."""
    options = _options(arguments)
    answers = life.take_stdout()
    life.end_quietly_on_signals()
    life.allow_many_files()
    trial = Trial(options)
    code = 0
    try:
        # Python has no sys.stdin when it was started without one.
        while line := sys.stdin.buffer.readline(_LINE_BYTES_MAX + 1) if sys.stdin else b"":
            if not line.isspace():
                answers.write(trial.answer_line(line))
    except BadLine as error:
        print(f"crossover_trial: {error}", file=sys.stderr)
        code = 2
    except BrokenPipeError:
        pass  # nobody listens any more
    trial.close()
    sys.stderr.flush()
    os._exit(code)


def _options(arguments):
    parser = argparse.ArgumentParser(prog="crossover_trial", description=__doc__.splitlines()[0], add_help=True)
    parser.add_argument("strategy", choices=sorted(strategies.MODULES))
    parser.add_argument(
        "--workers", type=_workers, help="threads, processes or interpreters, whatever a request says; threads: or `tasks`, one each"
    )
    parser.add_argument(
        "--start", choices=multiprocessing.get_all_start_methods(), help="processes: how they are started (this Python's way)"
    )
    parser.add_argument("--chunk", type=int, default=1, help="processes: tasks that are sent at a time (1)")
    options = parser.parse_args(arguments)
    if options.chunk < 1:
        parser.error("--chunk must be at least 1")
    if options.workers == _TASKS and options.strategy != "threads":
        parser.error(f"--workers {_TASKS} is for threads")
    return options


def _workers(text):
    if text != _TASKS and int(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return text if text == _TASKS else int(text)


class BadLine(Exception):
    """A line that is no request: after it nothing that is read can be trusted."""


class Trial:
    """One strategy, started at the first request that needs it."""

    def __init__(self, options):
        self._strategy = strategies.find(options.strategy, options)
        self._workers = options.workers

    def answer_line(self, line):
        """The answer to `line`, as a line."""
        if len(line) > _LINE_BYTES_MAX:
            raise BadLine(f"a line is longer than {_LINE_BYTES_MAX} bytes")
        try:
            request = json.loads(line)
            identity = request["id"]
        except (ValueError, TypeError, KeyError):
            raise BadLine(f"this is no request: {line[:80]!r}") from None
        try:
            answer = {"id": identity, "ok": True, **self._answer(request)}
        except Exception as error:
            answer = {"id": identity, "ok": False, "error": reason_of(error)}
            if isinstance(error, Unfit):
                answer.update(unfit=True, error=f"does not fit: {answer['error']}")
        return json.dumps(answer, separators=(",", ":")).encode() + b"\n"

    def _answer(self, request):
        if request.get("schema") != _SCHEMA:
            raise BadRequest(f"schema {request.get('schema')!r} is not known, only {_SCHEMA}")
        spec, batch, workers = Spec.of(request), positive(request, "batch"), positive(request, "workers")
        if self._workers is not None:
            workers = spec.tasks if self._workers == _TASKS else self._workers
        rate = request.get("rate")
        if rate is not None and not rate > 0:
            raise BadRequest(f"rate is {rate!r}: must be above 0")
        startup = request.get("startup", "excluded")
        if startup not in ("excluded", "included"):
            raise BadRequest(f"startup is {startup!r}: must be excluded or included")
        if startup == "included" and not request.get("trace"):
            if rate is not None:
                raise BadRequest("under an open load startup cannot be included")
            life = lives.Lives(self._strategy, workers, spec)
            return life.warm_up(batch) if request.get("warmup") else life.sample(batch)
        start = time.monotonic_ns()
        self._strategy.start(workers)
        start_ns = time.monotonic_ns() - start
        self._strategy.prepare(spec)
        if request.get("trace"):
            return measure.trace(self._strategy, spec, rate)
        if request.get("warmup"):
            answer = measure.warm_up(self._strategy, spec, batch)
            # Less than this is the question whether it is started, not a start.
            return {"start_ns": start_ns, **answer} if start_ns > 50_000 else answer
        if rate is not None:
            return measure.open_load(self._strategy, spec, rate)
        return measure.sample(self._strategy, spec, batch)

    def close(self):
        """Ends what the strategy has started, and removes what stands in files."""
        self._strategy.close()
        kinds.close()
        scratch.sweep()  # those of workers, which have gone without a word
