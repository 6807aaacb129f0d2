"""What a task does: one module per kind of workload.

A module has a function `prepare(spec)` that builds all inputs, untimed, and returns the work:

    run_blocking(task)      one task, waits block the calling thread; returns its digest
    run_async(task)         the same as a coroutine; computing happens inline
    input_bytes             what the prepared inputs take
    close()                 only where there is something to put away

and, where tasks crash on purpose (see `crash`), `may_crash`, `crashed` and `run_in_worker`;
and, where tasks leave something behind (see `leak`), `give_back`;
and, where other processes must be sent what a task needs (see `payload`, `idle`), `message`, `reply` and `digest`.

A work may be used by many threads at once. `prepare` raises `Unfit` for what this Python cannot do.
"""
import importlib

from .. import clients
from ..errors import BadRequest, PlannedCrash, Unfit

KINDS = (
    ("empty", "cpu", "mixed", "skewed", "blocker", "crash", "leak", "idle", "payload", "queue")
    + ("http", "gateway", "lines", "scraper", "echo", "websocket", "file", "sqlite", "postgres")
)

# Prepared works that are kept, in number and in bytes of their inputs; the one in use is never dropped.
_KEPT_MAX = 64
_KEPT_BYTES = 1 << 28

# Kinds whose tasks wait for answers from elsewhere, beside which two readings of the clock are little.
_WAITING = ("http", "gateway", "lines", "scraper", "echo", "websocket", "file", "sqlite", "postgres")

# Kinds whose tasks have to be sent what they need, where they run in another process.
SHIPPING = ("payload", "idle")

# Kinds whose tasks may be planned to crash.
CRASHING = ("crash",)

# Kinds whose tasks leave something behind that has to be given back after each run.
LEAKING = ("leak",)

_kept = {}


def waits_for_answers(spec):
    """Whether samples tell the latency of every task."""
    return spec.kind in _WAITING


def prepare(spec):
    """The work of `spec`, built once per process and kept."""
    work = _kept.pop(spec, None)
    if work is None:
        if spec.kind not in KINDS:
            raise Unfit(f"the kind `{spec.kind}` is not built here; there are {', '.join(KINDS)}")
        work = importlib.import_module(f"{__name__}.{spec.kind}").prepare(spec)
        total = sum(other.input_bytes for other in _kept.values()) + work.input_bytes
        while _kept and (total > _KEPT_BYTES or len(_kept) >= _KEPT_MAX):
            oldest = _kept.pop(next(iter(_kept)))
            total -= oldest.input_bytes
            _close(oldest)
    _kept[spec] = work  # the youngest stands last
    return work


def close_connections():
    """Closes what works keep open to other processes; it is opened again as it is needed."""
    clients.close_all()


def give_back(spec):
    """Gives back what tasks have leaked in this process; nothing happens for other kinds."""
    if spec.kind in LEAKING:
        prepare(spec).give_back()


def close():
    """Lets go of everything that is kept; what is in files is removed."""
    while _kept:
        _close(_kept.popitem()[1])


def _close(work):
    if hasattr(work, "close"):
        work.close()


def settle_of(work):
    """What makes a digest of a planned crash; None where the work plans none, and no boundary is needed."""
    return work.crashed if getattr(work, "may_crash", False) else None


def run_settled(work, task):
    """One task in blocking style, with the boundary for planned crashes right around it."""
    try:
        return work.run_blocking(task)
    except PlannedCrash as crash:
        return work.crashed(task, crash)


async def run_async_settled(work, task):
    """The same as a coroutine."""
    try:
        return await work.run_async(task)
    except PlannedCrash as crash:
        return work.crashed(task, crash)


class Params:
    """The parameters of a kind, read one by one; whatever was not read is refused.

    A parameter that changes the work and that is not known here would give another work under the same name.
    """

    def __init__(self, spec):
        self._kind, self._left = spec.kind, spec.params
        self._left.pop("tasks", None)

    def number(self, name, default=None, least=0.0):
        value = self._left.pop(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < 2.0**53:
            raise BadRequest(f"{self._kind} needs a number {name} of at least {least:g}, found {value!r}")
        return value

    def whole(self, name, default=None, least=0):
        value = self.number(name, default, least)
        if value != int(value):
            raise BadRequest(f"{self._kind} needs a whole number {name}, found {value!r}")
        return int(value)

    def text(self, name, default=None):
        value = self._left.pop(name, default)
        if not isinstance(value, str):
            raise BadRequest(f"{self._kind} needs a name as {name}, found {value!r}")
        return value

    def choice(self, name, known, default):
        value = self.text(name, default)
        if value not in known:
            raise Unfit(f"{self._kind} has no {name} `{value}` here; there are {', '.join(known)}")
        return value

    def end(self):
        """Refuses what is left, except what says that nothing is changed: 0, false, null."""
        for name, value in self._left.items():
            if value:
                raise Unfit(f"{self._kind} has no parameter {name} here (it is {value!r})")


def half_up(x):
    """x rounded to a whole number, halves up."""
    return int(x + 0.5)


def spin_of(spec):
    """Steps of the chain that take a microsecond elsewhere, as the request tells."""
    spin = spec.spin_per_us
    if spin is None or not 0 < spin <= 1e6:
        raise BadRequest(f"{spec.kind} needs spin_per_us, the speed of a core; found {spin!r}")
    return spin
