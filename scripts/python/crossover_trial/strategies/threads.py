"""`threads`: concurrent.futures.ThreadPoolExecutor, one submit per task.

In a Python with a global lock the threads compute in turn, except where a C library lets go of it. In a free-threaded one
(3.13t and later) they do not; nothing here differs.
"""
import concurrent.futures
import threading

from .. import kinds
from ..errors import Unfit
from .pool import Pool, collect, now


def _marked(work, task):
    start = now()
    digest = kinds.run_settled(work, task)
    return digest, start, now(), threading.current_thread().name


class Strategy(Pool):
    """See the module."""

    def __init__(self, options):
        self._executor, self._workers = None, 0

    def start(self, workers):
        if workers == self._workers:
            return
        self.close()
        self._executor = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="thread")
        self._workers = workers
        # The executor starts a thread when a task finds no idle one, so all of them wait until the last one is there. They leave
        # one after another: thousands that wake at once would fight for the global lock.
        gate = threading.Lock()

        def wait():
            with gate:
                pass

        try:
            with gate:
                waits = [self._executor.submit(wait) for _ in range(workers)]
        except RuntimeError as error:
            self.end()
            raise Unfit(f"{workers} threads cannot be started here: {error}") from error
        concurrent.futures.wait(waits)

    def prepare(self, spec):
        kinds.prepare(spec)

    def digests(self, spec):
        work, submit = kinds.prepare(spec), self._executor.submit
        run = work.run_blocking
        return collect([submit(run, task) for task in range(spec.tasks)], kinds.settle_of(work))

    def submit_marked(self, spec, task):
        return self._executor.submit(_marked, kinds.prepare(spec), task)

    def close(self):
        self._close(wait=False)

    def ahead(self, spec):
        kinds.prepare(spec)

    def end(self):
        self._close(wait=True)

    def _close(self, wait):
        if self._executor is not None:
            self._executor.shutdown(wait=wait)
            self._executor, self._workers = None, 0
