#!/usr/bin/env python3
"""Checks a run's folder: every planned sample measured once, files complete, checksums equal.

    check_run.py DIR
"""
import collections
import json
import pathlib
import sys

FILES = [
    "config.toml", "config.resolved.toml", "env.json", "plan.jsonl", "samples.jsonl",
    "verdicts.json", "crossovers.json", "report.html", "summary.md",
]


def lines(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def key(row: dict) -> tuple:
    return row["cell"], row["strategy"], row["process"], row["round"]


def problems(folder: pathlib.Path) -> list[str]:
    found = [f"{name} is missing" for name in FILES if not (folder / name).is_file()]
    if found:
        return found
    plan, samples = lines(folder / "plan.jsonl"), lines(folder / "samples.jsonl")
    counted = collections.Counter(key(s) for s in samples if s["quarantined"] is None)
    attempted = {key(s) for s in samples}
    planned = collections.Counter(key(p) for p in plan)
    found += [f"planned {n} times: {k}" for k, n in planned.items() if n != 1]
    found += [f"measured {counted[k]} times: {k}" for k in planned if counted[k] > 1]
    found += [f"never measured: {k}" for k in planned if k not in attempted]
    found += [f"measured but not planned: {k}" for k in attempted if k not in planned]
    orders = collections.Counter(s["order"] for s in samples)
    found += [f"order {o} stands {n} times" for o, n in orders.items() if n != 1]
    if len({s["run"] for s in samples}) != 1:
        found.append("more than one run id")
    found += [f"failed: {key(s)}: {s.get('error')}" for s in samples if not s["ok"] and not s.get("unfit")]
    for cell in {s["cell"] for s in samples}:
        sums = {s["checksum"] for s in samples if s["cell"] == cell and not s.get("unfit")}
        if len(sums) != 1:
            found.append(f"checksums differ in {cell}: {sorted(sums)}")
    cells = {s["cell"] for s in samples}
    verdicts = json.loads((folder / "verdicts.json").read_text())
    if {v["cell"] for v in verdicts} != cells:
        found.append(f"{len(verdicts)} verdicts for {len(cells)} cells")
    pictures = {p.suffix for p in (folder / "plots").iterdir()}
    if not {".svg", ".png"} <= pictures:
        found.append(f"pictures: {sorted(pictures)}")
    return found


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = pathlib.Path(sys.argv[1])
    found = problems(folder)
    for problem in found[:20]:
        print(f"{folder.name}: {problem}", file=sys.stderr)
    if not found:
        print(f"{folder.name}: {len(lines(folder / 'samples.jsonl'))} samples, as planned")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
