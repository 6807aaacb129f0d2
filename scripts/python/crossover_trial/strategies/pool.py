"""What the strategies with an executor of concurrent.futures have in common: submit everything, collect in order."""
import concurrent.futures
import time

from .. import kinds
from ..digests import fold
from ..errors import PlannedCrash, TaskFailed, reason_of
from . import Mark, Served

# Between asking for an open load and its first task.
LEAD_NS = 1_000_000


def now():
    """The clock of all marks: the same in every process of a machine."""
    return time.monotonic_ns()


def due_times(first, tasks, rate):
    """When each task of an open load is due."""
    return [first + round(task * 1e9 / rate) for task in range(tasks)]


def sleep_until(at):
    """Blocks until the clock shows `at`; returns how late it is then."""
    while (wait := at - now()) > 0:
        time.sleep(wait / 1e9)
    return -wait


def collect(futures, settle=None):
    """The results in order. After a failure nothing is left running, and the error names the first task that failed.

    `settle(task, crash)` makes a result of a planned crash.
    """
    try:
        if settle is None:
            return [future.result() for future in futures]
        return [_settled(task, future, settle) for task, future in enumerate(futures)]
    except Exception as first:
        for future in futures:
            future.cancel()
        concurrent.futures.wait(futures)
        for task, future in enumerate(futures):
            if not future.cancelled() and (error := future.exception()) is not None:
                if isinstance(error, TaskFailed):
                    raise error from None
                raise TaskFailed(task, reason_of(error)) from error
        raise first


def _settled(task, future, settle):
    try:
        return future.result()
    except PlannedCrash as crash:
        return settle(task, crash)


class Pool:
    """A strategy that has `digests(spec)`, one run, and `submit_marked(spec, task)`, a future of (result, start, end, worker)."""

    def run(self, spec, batch):
        checksums = [fold(self.digests(spec))]
        for _ in range(1, batch):
            self.give_back(spec)
            checksums.append(fold(self.digests(spec)))
        return checksums

    def give_back(self, spec):
        kinds.give_back(spec)

    def marked(self, spec, watch=False):
        handed, futures = [], []
        for task in range(spec.tasks):
            handed.append(now())
            futures.append(self.submit_marked(spec, task))
        return [
            Mark(self.digest(spec, task, result), at, start, end, worker)
            for task, (at, (result, start, end, worker)) in enumerate(zip(handed, self.collect(futures)))
        ]

    def serve(self, spec, rate, watch=False):
        """This thread hands every task over when it is due; it sleeps meanwhile and takes no part in the work."""
        first = now() + LEAD_NS
        ends = [0] * spec.tasks
        futures, lags, handed = [], [], []
        for task, at in enumerate(due_times(first, spec.tasks, rate)):
            lags.append(sleep_until(at))
            handed.append(now())
            future = self.submit_marked(spec, task)
            future.add_done_callback(lambda _, task=task: ends.__setitem__(task, now()))
            futures.append(future)
        results = self.collect(futures)
        # A result may be here an instant before its callback has run.
        marks = [
            Mark(self.digest(spec, task, result), at, start, max(ends[task], end), worker)
            for task, (at, (result, start, end, worker)) in enumerate(zip(handed, results))
        ]
        return Served(first, marks, lags)

    def collect(self, futures):
        """The results in order; see the function."""
        return collect(futures)

    def digest(self, spec, task, result):
        """The digest that a marked task's result stands for."""
        return result

    def helpers(self):
        return []
