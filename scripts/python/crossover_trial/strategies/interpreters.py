"""`interpreters`: sub-interpreters with a global lock each, one per worker thread, in one process.

Such interpreters exist from CPython 3.12 on; 3.11 and earlier have sub-interpreters that share one lock, which would measure
nothing, so the strategy is refused there. The pool is of our own making, the same in 3.12 and later: the executor of the
standard library (InterpreterPoolExecutor) came with 3.14.

Objects cannot cross between interpreters, so tasks go through a pipe that all workers read from, and digests come back through
another; both hold records of a fixed size, which the kernel keeps whole. At most `_UNDER_WAY` tasks are in the pipes, so that
neither can fill up. This thread alone writes tasks and reads answers.

A worker runs `serve` (below) in its own interpreter. C modules that do not support such interpreters cannot be imported there:
a kind that needs one fails with that reason.
"""
import collections
import json
import os
import struct
import sys
import threading

from .. import kinds
from ..digests import fold
from ..errors import TaskFailed, Unfit, reason_of
from ..spec import Spec
from . import Mark, Served
from .pool import LEAD_NS, due_times, now, sleep_until

# What to do, and with which task.
_ORDER = struct.Struct("<II")
_RUN, _PREPARE = 1, 2
# Whether it went well, the worker, the task, digest, start, end; in a failure the reason.
_ANSWER = struct.Struct("<BxHIQQQ224s")
_UNDER_WAY = 128  # 32 KiB of answers; a pipe holds 64 KiB

_Pipes = collections.namedtuple("_Pipes", "orders_in orders_out answers_in answers_out specs_in specs_out go_in go_out")

# Runs in the new interpreter. It imports this very package, by the same path.
_SCRIPT = """
import sys
sys.dont_write_bytecode = True
sys.path[:] = {path!r}
from crossover_trial.strategies import interpreters
interpreters.serve({worker}, {pipes!r})
"""


def _api():
    """create() and run(interpreter, script) of this Python."""
    if sys.version_info < (3, 12):
        raise Unfit(
            "sub-interpreters of Python %d.%d share one global lock; those of 3.12 and later have one each"
            % sys.version_info[:2]
        )
    try:
        import _interpreters  # 3.13 and later

        def run(interpreter, script):
            failure = _interpreters.exec(interpreter, script)
            if failure is not None:
                raise RuntimeError(getattr(failure, "formatted", failure))

        return _interpreters.create, run
    except ImportError:
        import _xxsubinterpreters  # 3.12

        return _xxsubinterpreters.create, _xxsubinterpreters.run_string


def serve(worker, pipes):
    """A worker's life, in its own interpreter: one order after another until the pipe ends."""
    pipes, work = _Pipes(*pipes), None
    _answer(pipes, worker)
    while len(order := os.read(pipes.orders_in, _ORDER.size)) == _ORDER.size:
        what, number = _ORDER.unpack(order)
        try:
            if what == _PREPARE:
                # The length of the spec is the order's number; a copy for each worker is in the pipe.
                work = kinds.prepare(Spec(*json.loads(os.read(pipes.specs_in, number))))
                _answer(pipes, worker)
            else:
                start = now()
                digest = kinds.run_settled(work, number)
                _answer(pipes, worker, number, digest, start, now())
        except Exception as error:
            _answer(pipes, worker, number, reason=("unfit: " if isinstance(error, Unfit) else "") + reason_of(error))
        if what == _PREPARE:
            os.read(pipes.go_in, 1)  # nobody takes a second one of these


def _answer(pipes, worker, task=0, digest=0, start=0, end=0, reason=""):
    text = reason.encode()[:224]
    os.write(pipes.answers_out, _ANSWER.pack(not reason, worker, task, digest, start, end, text))


def _first(*failures):
    """The one of the task with the lowest number, if there is any."""
    return min((failure for failure in failures if failure is not None), key=lambda it: it.task, default=None)


class Strategy:
    """See the module."""

    def __init__(self, options):
        self._create, self._run = None, None
        self._pipes, self._workers, self._prepared = None, 0, None

    def start(self, workers):
        if workers == self._workers:
            return
        self._create, self._run = _api()
        self.close()
        self._pipes = _Pipes(*(end for _ in range(4) for end in os.pipe()))
        for worker in range(workers):
            thread = threading.Thread(target=self._live, args=(worker, self._pipes), daemon=True)
            thread.start()
        self._workers = workers
        try:
            self._everyone()
        except Exception:
            self.close()
            raise

    def _live(self, worker, pipes):
        """The thread of a worker."""
        try:
            script = _SCRIPT.format(path=sys.path, worker=worker, pipes=tuple(pipes))
            self._run(self._create(), script)
        except Exception as error:
            # Its own interpreter has ended: this one says so in its place.
            _answer(pipes, worker, reason=f"the interpreter ended: {reason_of(error)}")

    def prepare(self, spec):
        if spec == self._prepared:
            return
        if spec.kind in kinds.LEAKING:
            raise Unfit(f"{spec.kind} needs every worker to hear that a run is over, and the interpreters hear of tasks alone")
        if spec.kind in kinds.SHIPPING:
            raise Unfit(f"{spec.kind} sends a task more than its number, which is all that the pipes of the interpreters hold")
        self._prepared = None
        text = json.dumps(spec).encode()
        if len(text) > 4096:
            raise Unfit("the parameters are too long for the pipe")
        for _ in range(self._workers):
            os.write(self._pipes.specs_out, text)
        os.write(self._pipes.orders_out, _ORDER.pack(_PREPARE, len(text)) * self._workers)
        try:
            self._everyone()
        finally:
            os.write(self._pipes.go_out, b"." * self._workers)
        self._prepared = spec

    def run(self, spec, batch):
        return [fold([mark.digest for mark in self.marked(spec)]) for _ in range(batch)]

    def marked(self, spec, watch=False):
        handed, marks = [0] * spec.tasks, [None] * spec.tasks
        sent = done = 0
        failure = None
        while done < spec.tasks:
            while sent < spec.tasks and sent - done < _UNDER_WAY and failure is None:
                handed[sent] = now()
                os.write(self._pipes.orders_out, _ORDER.pack(_RUN, sent))
                sent += 1
            if done == sent:
                break
            failure = _first(failure, self._take(handed, marks))
            done += 1
        if failure is not None:
            raise failure
        return marks

    def serve(self, spec, rate, watch=False):
        """This thread hands every task over when it is due; another one takes the answers."""
        handed, marks, lags, failures = [0] * spec.tasks, [None] * spec.tasks, [], []
        room = threading.Semaphore(_UNDER_WAY)
        first = now() + LEAD_NS

        def take_all():
            for _ in range(spec.tasks):
                failure = self._take(handed, marks, now)
                room.release()
                if failure is not None:
                    failures.append(failure)

        taker = threading.Thread(target=take_all, name="taker", daemon=True)
        taker.start()
        for task, at in enumerate(due_times(first, spec.tasks, rate)):
            lags.append(sleep_until(at))
            room.acquire()
            handed[task] = now()
            os.write(self._pipes.orders_out, _ORDER.pack(_RUN, task))
        taker.join()
        if failures:
            raise _first(*failures)
        return Served(first, marks, lags)

    def _read(self):
        """The next answer: (worker, task, digest, start, end), or the reason why there is none, and the task."""
        ok, worker, task, digest, start, end, text = _ANSWER.unpack(os.read(self._pipes.answers_in, _ANSWER.size))
        return ok, worker, task, digest, start, end, text.rstrip(b"\0").decode(errors="replace")

    def _take(self, handed, marks, clock=None):
        """Puts the next answer into `marks`; an error where it is a failure. `clock` tells when it was here, if that counts."""
        ok, worker, task, digest, start, end, reason = self._read()
        if not ok:
            return TaskFailed(task, reason)
        marks[task] = Mark(digest, handed[task], start, clock() if clock else end, f"interpreter {worker}")
        return None

    def _everyone(self):
        """Waits for an answer of every worker."""
        refusals = [reason for ok, *_, reason in (self._read() for _ in range(self._workers)) if not ok]
        for reason in refusals:
            if reason.startswith("unfit: "):
                raise Unfit(reason[len("unfit: ") :])
            raise RuntimeError(reason)

    def give_back(self, spec):
        """Nothing is left behind: such work is refused."""

    def helpers(self):
        return []

    def ahead(self, spec):
        _api()
        raise Unfit("the end of a sub-interpreter is not waited for, so its start and end cannot be timed")

    def end(self):
        self.close()

    def close(self):
        """The workers end with their pipe; a thread may still sit in one of them, so its ends stay open."""
        if self._pipes is not None:
            os.close(self._pipes.orders_out)
        self._pipes, self._workers, self._prepared = None, 0, None
