"""Who runs the tasks: one module per strategy, each with a class `Strategy`.

    start(workers)           threads, processes or loops; untimed. Called again with the same number, it does nothing
    prepare(spec)            inputs wherever tasks run; untimed
    run(spec, batch)         `batch` runs one after another; the checksum of each, as numbers
    marked(spec, watch)      one run with the times of every task: a list of `Mark` by task. With `watch` they have segments, where
                             that costs more
    serve(spec, rate, watch) one run whose tasks arrive at a rate: `Served`
    give_back(spec)          what tasks of a run have leaked, wherever they ran; called after each run, and by `run` between two
    helpers()                process ids beside this one
    close()                  lets go of everything, at once
    ahead(spec)              inputs that can be there before it is started; untimed, where its start is timed
    end()                    ends it as a program would that goes on without it: returns when all of it is gone

`run` is what is timed, and does nothing that a program would not do. A strategy that cannot exist in this Python raises
`Unfit` from `start`.
"""
import importlib
import typing

MODULES = {
    "asyncio": "asyncio_",
    "threads": "threads",
    "processes": "processes",
    "interpreters": "interpreters",
}


class Mark(typing.NamedTuple):
    """One task of one run; times are of the monotonic clock, in ns."""

    digest: int
    handed: int
    start: int
    end: int
    worker: str
    # Stretches (from, to) that the task was on the worker, where they are not the whole of it.
    segments: typing.Optional[list] = None


class Served(typing.NamedTuple):
    """A run under an open load. A mark's `end` is when the answer was there."""

    first: int
    marks: list
    lags: list


def find(name, options):
    """The strategy of this name, not started."""
    return importlib.import_module(f"{__name__}.{MODULES[name]}").Strategy(options)
