"""Run folders made up for the browser checks: every shape of data that a report must survive.

Each folder holds what a run leaves behind (`samples.jsonl`, `config.toml`, and for some `env.json`, `warmups.jsonl`,
`timelines.jsonl`), so that the real `crossover report` makes the page. Costs have the form fixed + share × work with
1 % of noise from a fixed seed: the same folders every time.

Usage: nasty.py DIR, which must not exist. One folder per shape, and a suite over some of them.
"""
import base64
import json
import math
import random
import struct
import sys
import zlib
from pathlib import Path

SUITE = ["sequential", "event-loop", "work-stealing", "threads", "thread-per-task", "blocking-pool", "processes"]
LONG = [
    "a-strategy-of-thirty-chars-abc", "another-one-of-thirty-char-xyz", "sequential", "threads", "event-loop",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWW", "<script>alert('x')</script>&amp", "my-go", "processes",
]
TASKS = 24
LOOKS = """{"schema":1,"look":1,"process":1,"processes":1,"undecided":["cpu_us=256,wait_us=0"],"refined":[]}
{"schema":1,"stopped":"the budget is used up"}
"""
EVIL = "<img src=x onerror=alert(1)>\"'&amp;</title><b>"


def log_values(low, high, count):
    """`count` whole or two-decimal values from `low` to `high` in equal ratios."""
    step = (high / low) ** (1 / (max(count, 2) - 1))
    return [round(low * step**i, 2) for i in range(count)]


def mixed_ns(strategy, params):
    """Nanoseconds of wall and of CPU time for tasks that compute `cpu_us` and wait `wait_us`, on two cores."""
    cpu, wait = params.get("cpu_us", 20), params.get("wait_us", 0)
    fixed, workers, in_flight = {
        "sequential": (0.2, 1, 1), "event-loop": (3, 1, 1000), "work-stealing": (14, 2, 1000),
        "threads": (22, 2, 8), "thread-per-task": (190, 2, 1000), "blocking-pool": (60, 2, 512),
        "processes": (110, 2, 2),
    }.get(strategy, (40 + 3 * len(strategy), 2, 24))
    waves = math.ceil(TASKS / min(in_flight, TASKS))
    wall = max(fixed + TASKS * cpu / workers + waves * wait, 0.05)
    return 1000 * wall, 1000 * max(fixed * workers + TASKS * cpu, 0.05)


def toml_value(value):
    return json.dumps(value, ensure_ascii=False)


class Run:
    """A run's folder in the making."""

    def __init__(self, name, axes, strategies, cost=mixed_ns, question="When does it pay?", prose="", kind="mixed", processes=2, rounds=4):
        self.name, self.axes, self.strategies, self.cost = name, axes, strategies, cost
        self.question, self.prose, self.kind = question, prose, kind
        self.processes, self.rounds = processes, rounds
        self.random = random.Random(name)
        self.foreign = 0.02
        self.extra = {}
        self.load = None

    def cells(self):
        """All combinations of the axes' values."""
        cells = [{}]
        for param, values in self.axes.items():
            cells = [{**cell, param: value} for cell in cells for value in values]
        return cells

    def sample(self, cell, strategy, process, round_, order):
        """One sample; `change`, where set, may spoil it or drop it."""
        times = self.cost(strategy, cell)
        if times is None:
            return None
        wall, cpu = (t * math.exp(self.random.gauss(0, 0.01)) for t in times)
        sample = {
            "schema": 1, "run": "r-0000", "cell": ",".join(f"{k}={cell[k]}" for k in sorted(cell)), "params": cell,
            "strategy": strategy, "process": process, "round": round_, "order": order, "seed": 7, "batch": 1,
            "tasks": cell.get("tasks", TASKS), "wall_ns": max(1, round(wall)), "user_ns": round(cpu * 0.9), "sys_ns": round(cpu * 0.1),
            "rss_peak_kib": 2000 + 700 * len(strategy) + self.random.randrange(40), "vcsw": 5, "ivcsw": 1,
            "steal_ticks": 0, "foreign_cores": round(self.foreign * self.random.uniform(0.8, 1.2), 4), "psi_cpu": 0.4,
            "checksum": "9c1f", "ok": True, "quarantined": None, "latency": None, "overhead_ns": 90000,
        }
        return self.change(sample) if self.change else sample

    change = None

    def write(self, folder):
        """Writes the folder, which must not exist."""
        folder.mkdir(parents=True)
        lines, order = [], 0
        cells = self.cells()
        for process in range(self.processes):
            for round_ in range(self.rounds):
                for cell in cells:
                    for strategy in self.strategies:
                        sample = self.sample(cell, strategy, process, round_, order)
                        if sample is not None:
                            lines.append(json.dumps(sample))
                            order += 1
        (folder / "samples.jsonl").write_text("\n".join(lines) + "\n" if lines else "")
        (folder / "config.toml").write_text(self.config())
        for name, content in self.extra.items():
            (folder / name).write_text(content)

    def config(self):
        """The experiment's file."""
        workload = [f"kind = {toml_value(self.kind)}"] + [f"tasks = {TASKS}"] * ("tasks" not in self.axes)
        workload += [f"{toml_value(param)} = {toml_value(values)}" for param, values in self.axes.items()]
        load = f"load = {self.load}\n" if self.load else ""
        return (
            "schema = 1\n[experiment]\n"
            f"name = {toml_value(self.name)}\nquestion = {toml_value(self.question)}\nanalysis = {toml_value(self.prose)}\n"
            "[workload]\n" + "\n".join(workload) + "\n"
            f"[strategies]\ninclude = {toml_value(self.strategies)}\nworkers = 2\n"
            f"[measure]\nprocesses = {self.processes}\nrounds = {self.rounds}\n{load}"
            f"[analysis]\nbaseline = {toml_value(self.strategies[0])}\n"
        )


def failing(sample):
    """`processes` fails everywhere, `threads` above 100 µs, both with an error that looks like HTML."""
    threads = sample["strategy"] == "threads" and sample["params"].get("cpu_us", 0) > 100
    if sample["strategy"] == "processes" or threads:
        sample.update(ok=False, checksum="", error=f"exited with status 1: {EVIL} " + "/a/long/path" * 12)
    return sample


def mismatched(sample):
    """`threads` returns another result in one cell."""
    if sample["strategy"] == "threads" and sample["params"].get("cpu_us", 0) > 1000:
        sample.update(ok=False, checksum="0bad", error="wrong checksum")
    return sample


def growing(sample):
    """Memory that grows with the tasks: by a stack each for threads, by next to nothing for others."""
    per_task = {"thread-per-task": 9.2, "threads": 0.02, "event-loop": 0.6}.get(sample["strategy"], 0.3)
    sample["rss_peak_kib"] += round(per_task * sample["tasks"])
    return sample


def environment(strategies, calibrated):
    """`env.json`, with or without a calibration of this machine."""
    machine = {"cpu": "Imaginary(R) Processor X-9000 @ 2.60 GHz " + "x" * 40, "cores": 2, "cores_online": 2, "kernel": "6.1.0", "governor": None,
               "load_average": [0.1, 0.2, 0.3]}
    rows = [{"id": i, "name": f"row {i}", "detail": d, "passed": p, "count": c, "of": n, "wins": 0} for i, d, p, c, n in [
        ("aa", "197 of 200 ties, 0 wins", True, 197, 200), ("slower", "20 of 20 detected", True, 20, 20),
        ("hog", "not flagged", False, 0, 1)]]
    calibration = {"schema": 1, "measured": "2026-11-21T10:00:00Z", "machine": machine, "version": "0.1.0", "quick": False,
                   "between_runs_sd": 0.008, "rows": rows}
    return json.dumps({
        "schema": 1, "seed": 42, "machine": machine, "toolchain": "rustc 1.90",
        "strategies": [{"name": name, "about": f"what {name} is", "workers": 2, "concurrency_cap": None} for name in strategies],
        "harness": {"timer_resolution_ns": 21, "empty_task_ns": {name: 812.5 for name in strategies}, "request_ns": 85000},
        "calibration": calibration if calibrated else None,
    })


def warmups(cells, strategies):
    """`warmups.jsonl`; one strategy never becomes steady."""
    rows = []
    for process in range(2):
        for cell in cells:
            for i, strategy in enumerate(strategies):
                wall = round(mixed_ns(strategy, cell)[0])
                rows.append(json.dumps({
                    "schema": 1, "run": "r-0000", "process": process, "cell": ",".join(f"{k}={cell[k]}" for k in sorted(cell)),
                    "strategy": strategy, "start_ns": 1000 * 4**i, "first_ns": 3 * wall, "wall_ns": wall, "batches": 8,
                    "steady": strategy != "blocking-pool"}))
    return "\n".join(rows) + "\n"


def timelines(cells, strategies, workers):
    """`timelines.jsonl`: tasks go round the workers, one after the other."""
    rows = []
    for cell in cells:
        for strategy in strategies:
            wall = round(mixed_ns(strategy, cell)[0])
            slot = wall * workers // TASKS
            starts = [(task // workers) * slot for task in range(TASKS)]
            rows.append(json.dumps({
                "schema": 1, "run": "r-0000", "cell": ",".join(f"{k}={cell[k]}" for k in sorted(cell)), "strategy": strategy, "wall_ns": wall,
                "workers": [f"{strategy} worker {i}" for i in range(workers)],
                "tasks": [[t, 0, s, s + slot] for t, s in enumerate(starts)],
                "segments": [[t, t % workers, s, s + max(1, slot * 9 // 10)] for t, s in enumerate(starts)],
                "truncated": False}))
    return "\n".join(rows) + "\n"


def histogram(values_ns):
    """An HdrHistogram, V2 with compression, three digits, in base64: what `latency` holds."""
    digits, highest = 3, 1 << 40
    half = 1 << 10  # Sub-buckets of 2048, half of them.
    counts = {}
    for value in values_ns:
        bucket = max(0, int(value).bit_length() - 11)
        index = (bucket + 1) * half + ((int(value) >> bucket) - half)
        counts[index] = counts.get(index, 0) + 1
    payload, position = bytearray(), 0

    def put(number):  # ZigZag, then seven bits a byte, eight in a ninth.
        number = (number << 1) ^ (number >> 63)
        for _ in range(8):
            if number < 0x80:
                payload.append(number)
                return
            payload.append((number & 0x7F) | 0x80)
            number >>= 7
        payload.append(number)

    for index in sorted(counts):
        if index > position:
            put(-(index - position))
        put(counts[index])
        position = index + 1
    body = struct.pack(">IIIIQQd", 0x1C849313, len(payload), 0, digits, 1, highest, 1.0) + bytes(payload)
    packed = zlib.compress(body)
    return base64.b64encode(struct.pack(">II", 0x1C849314, len(packed)) + packed).decode()


def open_load(run):
    """Makes a run one under an open load, with a tail; `threads` cannot keep up."""
    def change(sample):
        rate = 500 if sample["strategy"] != "threads" else 310.5
        scale = 1 + len(sample["strategy"]) / 10
        tail = [run.random.expovariate(1 / (scale * 4e5)) + 1e6 for _ in range(300)] + [2e8 * scale * run.random.random() + 1e6 for _ in range(6)]
        sample.update(latency=histogram(tail), rate=500.0, achieved_rate=rate, generator_lag_ns=42000, generator_cpu_ns=9_000_000)
        return sample
    run.change, run.load = change, '{ mode = "open", rate = 500 }'
    return run


def shapes():
    """Every shape, by the name of its folder."""
    cpu = lambda count, low=0.5, high=5000: {"cpu_us": log_values(low, high, count)}
    grid = {"cpu_us": [1, 4, 16, 64, 256, 1024], "wait_us": [0, 100, 500, 2000, 5000]}
    nine = lambda strategy, cell: (cell["n_ns"] * (1 + len(strategy) / 9), cell["n_ns"] + 1)
    equal = lambda strategy, cell: (1e6, 1e4)
    wave = lambda strategy, cell: (1e6 * (1 + (0.5 * math.sin(1.6 * math.log(cell["cpu_us"])) if strategy == "threads" else 0)), 1e5)
    kernels = ["sha256", "resize", "a-kernel-with-a-long-name-of-3", "k" * 30]
    paragraphs = "First paragraph of prose, long enough to be broken into lines on every screen. " * 3 + "\n\nSecond " + "long" * 30

    found = {
        "one-point": Run("one-point", cpu(1), SUITE),
        "one-cell": Run("one-cell", {}, SUITE),
        "forty-points": Run("forty-points", cpu(40), LONG, rounds=3),
        "nine-decades": Run("nine-decades", {"n_ns": log_values(1, 1e9, 19)}, LONG, cost=nine),
        "several-crossings": Run("several-crossings", cpu(30), ["sequential", "threads"], cost=wave, processes=3),
        "no-crossing": Run("no-crossing", cpu(7), SUITE[:2], cost=lambda s, c: (1e5 * c["cpu_us"] * (3 if s == "event-loop" else 1), 1e5)),
        "ties": Run("ties", grid, SUITE, cost=equal, rounds=6),
        "names": Run("names", {"kernel": kernels, "input_bytes": [256, 4096, 1000000]}, LONG),
        "wide": Run("wide", {"cpu_us": log_values(0.5, 5000, 14), "wait_us": log_values(1, 9e4, 10)}, LONG, rounds=2),
        "three-axes": Run("three-axes", {"cpu_us": [1, 30, 900], "wait_us": [0, 300], "kernel": ["a", "b"]}, SUITE),
        "hostile": Run(EVIL, {EVIL: [1, 2, 3], "cpu_us": [1, 1000]}, [*LONG[:-2], "мой-戦略-שלום-🦀", "processes"], question=EVIL, prose=EVIL + "\n\n" + paragraphs),
    }
    full = found["full"] = Run("full", grid, SUITE, prose=paragraphs, processes=2, rounds=5)
    picked = full.cells()[::12]
    full.extra = {"looks.jsonl": LOOKS, "env.json": environment(SUITE, True), "warmups.jsonl": warmups(picked, SUITE), "timelines.jsonl": timelines(picked, SUITE, 2)}
    latency = found["latency"] = open_load(Run("latency", {"wait_us": [100, 1000, 10000]}, SUITE[1:5], kind="http"))
    latency.extra = {"env.json": environment(SUITE, False), "timelines.jsonl": timelines(latency.cells(), SUITE[1:5], 16)}
    found["failing"] = Run("failing", cpu(6), SUITE)
    found["failing"].change = failing
    found["mismatched"] = Run("mismatched", cpu(6), SUITE)
    found["mismatched"].change = mismatched
    found["many-tasks"] = Run("many-tasks", {"tasks": [10, 100, 1000, 10000, 100000]}, SUITE, cost=lambda s, c: (c["tasks"] * 500 * len(s), c["tasks"] * 900))
    found["many-tasks"].change = growing
    found["single"] = Run("single", cpu(5), ["threads"])
    found["nothing"] = Run("nothing", cpu(3), SUITE, cost=lambda strategy, cell: None)
    found["contaminated"] = Run("contaminated", grid, SUITE)
    found["contaminated"].foreign = 1.4
    return found


def main():
    """Writes all folders below the first argument."""
    target = Path(sys.argv[1])
    for name, run in shapes().items():
        run.write(target / name)
    members = ["one-point", "mismatched"]
    everything = shapes()
    for name in members:
        everything[name].write(target / "suite" / name)
    (target / "suite" / "suite.json").write_text(json.dumps({"schema": 1, "run": "r-0000", "experiments": members}))


if __name__ == "__main__":
    main()
