#!/usr/bin/env bash
# A short real run of the suite, checked: a few cells, kill -9 in the middle, resume, report again.
# Usage: scripts/smoke.sh            (builds the release program first)
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked --bin crossover
crossover=${CARGO_TARGET_DIR:-target}/release/crossover
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { printf 'smoke: %s\n' "$1" >&2; exit 1; }

# A run judges parallelism only on a quiet machine; here the machinery is checked, so the limit is lifted.
settings=(--set measure.processes=2 --set measure.rounds=2 --set measure.max_foreign_cores=64 --seed 7)

echo "-- each experiment of the tour, quick"
for experiment in io-bound cpu-bound mixed; do
  "$crossover" run "$experiment" --quick "${settings[@]}" --out "$work/$experiment"
  python3 scripts/check_run.py "$work/$experiment"
done

echo "-- kill -9 in the middle, then resume"
setsid "$crossover" run mixed --quick "${settings[@]}" --out "$work/killed" >"$work/killed.log" 2>&1 &
victim=$!
for _ in $(seq 600); do
  [ -s "$work/killed/samples.jsonl" ] && break
  kill -0 "$victim" 2>/dev/null || fail "the run ended before it could be killed: $(tail -3 "$work/killed.log")"
  sleep 0.05
done
kill -9 "$victim"
wait "$victim" 2>/dev/null || true
"$crossover" resume "$work/killed"
python3 scripts/check_run.py "$work/killed"

echo "-- the report is a pure function of the folder"
sha256sum "$work/killed/report.html" "$work/killed/verdicts.json" "$work/killed/crossovers.json" >"$work/before"
"$crossover" report "$work/killed" >/dev/null
sha256sum --quiet --check "$work/before"

echo "-- bad input is refused with exit 2"
sed 's/^kind = "mixed"/kind = "mixd"/' workloads/experiments/mixed.toml >"$work/bad.toml"
status=0
"$crossover" run "$work/bad.toml" 2>"$work/bad.log" || status=$?
[ "$status" = 2 ] || fail "a bad file ended with $status, not 2"
grep -q 'did you mean' "$work/bad.log" || fail "no suggestion for a typo: $(cat "$work/bad.log")"
echo "smoke: ok"
