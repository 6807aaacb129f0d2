"""What a trial does with a strategy and a work that are ready: warm up, take a sample, keep to a rate, trace a run.

The rules are those of the built-in trials, see TRIAL.md. Timed is what the strategy does for a request and nothing else; what it
used is read before and after. Peak memory is left to the coordinator, which reads it from /proc.
"""
import time

from . import kinds, usage
from .digests import fold, shown

# A warm-up ends when this many samples in a row are close together (largest by smallest) and neither fall nor rise (the best of
# the last two by the best of those before).
_STEADY_SAMPLES, _STEADY_SPREAD, _STEADY_DRIFT = 5, 1.10, 1.03
_WARMUP_LIMIT_NS, _WARMUP_SAMPLES_MAX = 50_000_000, 100

# Latencies, tasks and segments that one answer tells: a line holds one mebibyte.
LATENCIES_MAX, _TASKS_MAX, _SEGMENTS_MAX = 50_000, 500, 5000


def warm_up(strategy, spec, batch):
    """Runs the work once, cold, then samples until their times are steady."""
    return until_steady(batch, lambda runs: _timed(strategy, spec, runs))


def until_steady(batch, timed):
    """Warms up with `timed(runs)`: what that took, and the checksums."""
    begun = time.monotonic_ns()
    first_ns, checksums = timed(1)
    times = [first_ns] if batch == 1 else []
    while not _is_steady(times) and (
        not times or time.monotonic_ns() - begun < _WARMUP_LIMIT_NS and len(times) < _WARMUP_SAMPLES_MAX
    ):
        took, more = timed(batch)
        times.append(took)
        checksums += more
    answer = {
        "wall_ns": max(min(times[-_STEADY_SAMPLES:]) // batch, 1),
        "checksum": only(checksums),
        "first_ns": first_ns,
        "batches": len(times),
    }
    if len(times) >= _STEADY_SAMPLES:
        answer["steady"] = _is_steady(times)
    return answer


def sample(strategy, spec, batch):
    """One sample. Where tasks wait for answers, with the time that each of them took."""
    if kinds.waits_for_answers(spec):
        return _sample_of_answers(strategy, spec, batch)
    before = usage.of(strategy.helpers())
    wall_ns, checksums = _timed(strategy, spec, batch)
    used = usage.of(strategy.helpers()).since(before)
    return {"wall_ns": max(wall_ns // batch, 1), "checksum": only(checksums), **told(used, batch)}


def _sample_of_answers(strategy, spec, batch):
    before = usage.of(strategy.helpers())
    start = time.monotonic_ns()
    runs = [strategy.marked(spec) for _ in range(batch)]
    wall_ns = time.monotonic_ns() - start
    used = usage.of(strategy.helpers()).since(before)
    took = [mark.end - mark.start for run in runs for mark in run]
    return {
        "wall_ns": max(wall_ns // batch, 1),
        "checksum": only(folded(run) for run in runs),
        "latencies_ns": [max(ns, 1) for ns in took[:LATENCIES_MAX]],
        **told(used, batch),
    }


def open_load(strategy, spec, rate):
    """One run whose tasks arrive at a rate; latency counts from when each was due."""
    before = usage.of(strategy.helpers())
    served = strategy.serve(spec, rate)
    used = usage.of(strategy.helpers()).since(before)
    strategy.give_back(spec)
    gap_ns = 1e9 / rate
    latencies = [mark.end - served.first - round(task * gap_ns) for task, mark in enumerate(served.marks)]
    # Of very many, every second or third and so on: they are spread over the whole run.
    step = -(-len(latencies) // LATENCIES_MAX)
    return {
        "wall_ns": max(max(mark.end for mark in served.marks) - served.first, 1),
        "checksum": shown(folded(served.marks)),
        "latencies_ns": [max(ns, 1) for ns in latencies[::step]],
        "generator_lag_ns": sorted(served.lags)[len(served.lags) * 99 // 100],
        **told(used, 1),
    }


def trace(strategy, spec, rate):
    """One run, and what each task did when."""
    if rate is None:
        start = time.monotonic_ns()
        marks = strategy.marked(spec, watch=True)
    else:
        served = strategy.serve(spec, rate, watch=True)
        start, marks = served.first, served.marks
    strategy.give_back(spec)
    end = max(mark.end for mark in marks)
    workers = {}
    segments = sorted(
        (begin - start, finish - start, task, workers.setdefault(mark.worker, len(workers)))
        for task, mark in enumerate(marks)
        for begin, finish in mark.segments or [(mark.start, mark.end)]
    )
    told = {
        "workers": list(workers),
        "tasks": [
            [task, *(max(at - start, 0) for at in (mark.handed, mark.start, mark.end))]
            for task, mark in enumerate(marks[:_TASKS_MAX])
        ],
        "segments": [
            [task, worker, max(begin, 0), max(finish, 0)]
            for begin, finish, task, worker in segments[:_SEGMENTS_MAX]
        ],
        "truncated": len(marks) > _TASKS_MAX or len(segments) > _SEGMENTS_MAX,
    }
    return {"wall_ns": max(end - start, 1), "checksum": shown(folded(marks)), "trace": told}


def _timed(strategy, spec, batch):
    start = time.monotonic_ns()
    checksums = strategy.run(spec, batch)
    took = max(time.monotonic_ns() - start, 1)
    strategy.give_back(spec)
    return took, [shown(checksum) for checksum in checksums]


def folded(marks):
    return fold([mark.digest for mark in marks])


def only(checksums):
    """The checksum that all runs gave."""
    found = sorted({checksum if isinstance(checksum, str) else shown(checksum) for checksum in checksums})
    if len(found) != 1:
        raise ValueError(f"the runs of one request differ: {' and '.join(found[:3])}")
    return found[0]


def _is_steady(times):
    last = times[-_STEADY_SAMPLES:]
    if len(last) < _STEADY_SAMPLES:
        return False
    early, late = min(last[:-2]), min(last[-2:])
    return max(last) <= min(last) * _STEADY_SPREAD and max(early, late) <= min(early, late) * _STEADY_DRIFT


def told(used, batch):
    """CPU time is told per run, switches per batch."""
    return {
        "user_ns": used.user_ns // batch,
        "sys_ns": used.sys_ns // batch,
        "vcsw": used.vcsw,
        "ivcsw": used.ivcsw,
    }
