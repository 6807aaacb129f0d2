"""Kind `skewed`: the chain of `mixed` without a wait, in tasks of unequal size."""
from ..digests import MASK, word
from . import Params, half_up, spin_of
from .mixed import chain


class Skewed:
    """See the module."""

    input_bytes = 0

    def __init__(self, seed, steps):
        self._seed, self._steps = seed, steps

    def run_blocking(self, task):
        return chain(word(self._seed, task), self._steps[task])

    async def run_async(self, task):
        return self.run_blocking(task)


def sizes(seed, tasks, each, skew):
    """Steps of every task: `each` on average, shared out by rank to the power of `skew`, and shuffled."""
    shares = [2**40 // rank**skew for rank in range(1, tasks + 1)]
    total = sum(shares)
    steps = [each * tasks * share // total for share in shares]
    steps[0] += each * tasks - sum(steps)
    for last in range(tasks - 1, 0, -1):
        other = word(seed ^ MASK, last) % (last + 1)
        steps[last], steps[other] = steps[other], steps[last]
    return steps


def prepare(spec):
    params = Params(spec)
    cpu_us, skew = params.number("cpu_us"), params.whole("skew")
    params.number("lock_fraction", 0)
    params.end()
    return Skewed(spec.seed, sizes(spec.seed, spec.tasks, half_up(cpu_us * spin_of(spec)), skew))
