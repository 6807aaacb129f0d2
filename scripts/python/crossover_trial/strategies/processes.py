"""`processes`: concurrent.futures.ProcessPoolExecutor, started as this Python starts processes by default, or as `--start` says.

A task crosses as its number and comes back as its digest: inputs are built in every worker beforehand. Kinds `payload` and
`idle` send what a task needs. `--chunk N` sends N tasks at a time, as `Executor.map(chunksize=N)` does (not with these).

A worker that dies takes the whole pool with it (BrokenProcessPool): that request fails, the next one starts a new pool. Work whose
tasks are planned to die (kind `crash`) is begun all the same, and then said not to fit, with what was seen.
"""
import concurrent.futures
import multiprocessing
import os
from concurrent.futures.process import BrokenProcessPool

from .. import kinds, life
from ..errors import TaskFailed, Unfit, reason_of
from .pool import Pool, collect, now

# How long workers wait for each other while one of them builds something large, in seconds.
_PATIENCE_S = 60

# In a worker: where all of them meet, and the work at hand.
_together = None
_work = None
_run = None


def _begin(together, alive, others_end):
    """Runs first in every worker."""
    global _together
    _together = together
    life.worker(alive, others_end)


def _meet():
    """Returns when every worker is here: each of them has then taken one of these calls."""
    _together.wait(_PATIENCE_S)
    return os.getpid()


def _prepare(spec):
    """Prepares the work, in every worker; the reason where it does not fit."""
    global _work, _run
    _meet()
    try:
        _work = kinds.prepare(spec)
        _run = getattr(_work, "run_in_worker", _work.run_blocking)
    except Unfit as error:
        return str(error)
    return None


def _give_back(spec):
    _meet()
    kinds.give_back(spec)


def _call(task):
    try:
        return _run(task)
    except Exception as error:
        raise TaskFailed(task, reason_of(error)) from None


def _call_shipped(task, message):
    try:
        return _work.reply(message)
    except Exception as error:
        raise TaskFailed(task, reason_of(error)) from None


def _call_shipped_marked(task, message):
    start = now()
    replied = _call_shipped(task, message)
    return replied, start, now(), f"process {os.getpid()}"


def _call_many(first, end):
    return [_call(task) for task in range(first, end)]


def _call_marked(task):
    start = now()
    digest = _call(task)
    return digest, start, now(), f"process {os.getpid()}"


class Strategy(Pool):
    """See the module."""

    def __init__(self, options):
        self._chunk, self._start_method = options.chunk, options.start
        self._executor, self._workers, self._pids = None, 0, []
        # While it is open the workers live.
        self._end = None
        # What the workers have at hand, and the same here where a task is sent what it needs; whether tasks are to die.
        self._prepared, self._ships, self._may_crash = None, None, False

    def start(self, workers):
        if workers == self._workers:
            return
        self.close()
        context = multiprocessing.get_context(self._start_method)
        alive, self._end = context.Pipe(duplex=False)
        inherited = self._end if context.get_start_method() == "fork" else None
        initial = (context.Barrier(workers), alive, inherited)
        self._executor = concurrent.futures.ProcessPoolExecutor(workers, context, _begin, initial)
        self._workers = workers
        self._pids = self._everywhere(_meet)

    def prepare(self, spec):
        if spec == self._prepared:
            return
        self._prepared = None
        for refusal in self._everywhere(_prepare, spec):
            if refusal is not None:
                raise Unfit(refusal)
        work = kinds.prepare(spec) if spec.kind in kinds.SHIPPING else None
        self._may_crash = spec.kind in kinds.CRASHING and kinds.prepare(spec).may_crash
        self._prepared, self._ships = spec, work

    def digests(self, spec):
        tasks, chunk, submit, ships = spec.tasks, self._chunk, self._submit, self._ships
        if ships is not None:
            replies = self.collect([submit(_call_shipped, task, ships.message(task)) for task in range(tasks)])
            return [ships.digest(task, replied) for task, replied in enumerate(replies)]
        if chunk == 1:
            return self.collect([submit(_call, task) for task in range(tasks)])
        parts = [submit(_call_many, at, min(at + chunk, tasks)) for at in range(0, tasks, chunk)]
        return [digest for part in self.collect(parts) for digest in part]

    def submit_marked(self, spec, task):
        if self._ships is None:
            return self._submit(_call_marked, task)
        return self._submit(_call_shipped_marked, task, self._ships.message(task))

    def digest(self, spec, task, result):
        return result if self._ships is None else self._ships.digest(task, result)

    def _submit(self, *call):
        try:
            return self._executor.submit(*call)
        except BrokenProcessPool as error:
            # An earlier task of the same run was its end.
            self._broke(error)
            raise

    def collect(self, futures):
        try:
            return collect(futures)
        except TaskFailed as error:
            if isinstance(error.__cause__, BrokenProcessPool):
                self._broke(error)
            raise

    def _broke(self, error):
        """The pool has ended by `error`; raises where that was planned."""
        self.close()
        if self._may_crash:
            raise Unfit(f"a worker's death is the end of the whole pool: {reason_of(error)}") from error

    def give_back(self, spec):
        if spec.kind in kinds.LEAKING:
            self._everywhere(_give_back, spec)

    def helpers(self):
        return self._pids

    def close(self):
        self._close(kill=True)

    def ahead(self, spec):
        """Nothing: workers build their inputs themselves, and a forked one must not find them here."""

    def end(self):
        self._close(kill=False)

    def _close(self, kill):
        if self._executor is None:
            return
        executor, self._executor = self._executor, None
        self._workers, self._pids, self._prepared = 0, [], None
        # Workers hold nothing that would have to be put away.
        for process in list((getattr(executor, "_processes", None) or {}).values()) if kill else ():
            process.kill()
        executor.shutdown(wait=True, cancel_futures=True)
        self._end.close()

    def _everywhere(self, function, *arguments):
        """Calls `function` once in every worker."""
        return self.collect([self._submit(function, *arguments) for _ in range(self._workers)])
