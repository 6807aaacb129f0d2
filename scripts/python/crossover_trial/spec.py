"""What one run of the work is, as a request tells it: everything that inputs and digests depend on."""
import json
import typing

from .errors import BadRequest


class Spec(typing.NamedTuple):
    """A request without its id, batch and workers. Hashable, and small enough to be sent with every task."""

    kind: str
    params_json: str
    tasks: int
    seed: int
    server: typing.Optional[str]
    spin_per_us: typing.Optional[float]

    @classmethod
    def of(cls, request):
        """Reads a request; refuses what is missing or has the wrong type."""
        params = _get(request, "params", dict)
        seed = _get(request, "seed", int)
        if not 0 <= seed < 2**64:
            raise BadRequest(f"seed {seed} is no unsigned 64-bit number")
        spin = request.get("spin_per_us")
        return cls(
            _get(request, "workload", str),
            json.dumps(params, sort_keys=True),
            positive(request, "tasks"),
            seed,
            request.get("server"),
            None if spin is None else float(spin),
        )

    @property
    def params(self):
        """The parameters by name."""
        return json.loads(self.params_json)


def positive(request, key):
    """A whole number of at least 1."""
    value = _get(request, key, int)
    if value < 1:
        raise BadRequest(f"{key} is {value}: must be at least 1")
    return value


def _get(request, key, kind):
    value = request.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadRequest(f"{key} is missing or is no {kind.__name__}")
    return value
