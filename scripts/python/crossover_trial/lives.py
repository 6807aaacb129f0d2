"""Samples that include start-up: every run of the work is the whole life of a strategy.

Timed are its start, one run, the closing of the connections that the run has opened, and its end, which is waited for; not
timed are the start of this interpreter and inputs that can be there before. Workers that are processes build theirs within.
What such workers have used is known once they were waited for. Their memory can only be read while they live: in the last
life, between its work and its end, with the clock stopped.
"""
import os
import time

from . import kinds, usage
from .errors import Unfit
from .measure import LATENCIES_MAX, folded, only, told, until_steady
from .digests import shown

_MARK = {"startup": "included"}


class Lives:
    """Of one strategy, with one work."""

    def __init__(self, strategy, workers, spec):
        if spec.kind == "postgres":
            raise Unfit("connections to a database are not opened anew here, so start-up cannot be included")
        self._strategy, self._workers, self._spec = strategy, workers, spec
        # One that is up for a trace.
        kinds.close_connections()
        strategy.end()
        strategy.ahead(spec)

    def warm_up(self, batch):
        """As for a strategy that is up; whether times are steady says nothing here."""
        answer = until_steady(batch, self._timed)
        answer.pop("steady", None)
        return {**answer, **_MARK}

    def sample(self, batch):
        """One sample."""
        before = usage.of(()).plus(usage.ended())
        wall_ns, runs, peak_kib, reading = self._live(batch, marked=kinds.waits_for_answers(self._spec))
        used = usage.of(()).plus(usage.ended()).since(before).since(reading)
        answer = {
            "wall_ns": max(wall_ns // batch, 1),
            "rss_peak_kib": usage.peak_kib(os.getpid()) + peak_kib,
            **told(used, batch),
            **_MARK,
        }
        if kinds.waits_for_answers(self._spec):
            took = [mark.end - mark.start for run in runs for mark in run]
            answer["latencies_ns"] = [max(ns, 1) for ns in took[:LATENCIES_MAX]]
            runs = [folded(run) for run in runs]
        return {**answer, "checksum": only(runs)}

    def _timed(self, batch):
        wall_ns, checksums, *_ = self._live(batch, marked=False)
        return wall_ns, [shown(checksum) for checksum in checksums]

    def _live(self, batch, marked):
        """Lives `batch` times: the time, what each run gave, the peak memory of the last one's workers, what reading it took."""
        strategy, spec, clock = self._strategy, self._spec, time.monotonic_ns
        wall_ns, runs, peak_kib, reading = 0, [], 0, usage.Usage()
        for life in range(batch):
            begun = clock()
            try:
                strategy.start(self._workers)
                strategy.prepare(spec)
                runs.append(strategy.marked(spec) if marked else strategy.run(spec, 1)[0])
            except BaseException:
                strategy.close()
                raise
            wall_ns += clock() - begun
            if life == batch - 1:
                before = usage.of(())
                peak_kib = sum(map(usage.peak_kib, strategy.helpers()))
                reading = usage.of(()).since(before)
            ending = clock()
            kinds.close_connections()
            strategy.end()
            wall_ns += clock() - ending
            kinds.give_back(spec)  # what worker processes have leaked went with them
        return max(wall_ns, 1), runs, peak_kib, reading
