#!/usr/bin/env bash
# Opens reports in a headless Chromium and looks at them as readers do: phone and wide screen, light and dark, printed, with large
# letters, without scripts, by keyboard. The reports are those of a short real tour and of runs made up to be nasty
# (scripts/browser/nasty.py); what is checked stands in scripts/browser/visit.py. Nothing leaves this machine.
# Usage: scripts/browser.sh [--screenshots DIR]            (builds the release program first; installs nothing)
set -euo pipefail
shots=()
if [ $# = 2 ] && [ "$1" = --screenshots ]; then
  mkdir -p "$2"
  shots=(--screenshots "$(realpath "$2")")
elif [ $# != 0 ]; then
  sed -n 's/^# Usage: /usage: /p' "$0" >&2
  exit 2
fi
cd "$(dirname "$0")/.."

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
command -v python3 >/dev/null || missing+=(python3)
if [ ${#missing[@]} -gt 0 ]; then
  printf 'browser: Debian packages that are missing: %s\n' "${missing[*]}" >&2
  exit 2
fi

cargo build --release --locked --bin crossover
crossover=${CARGO_TARGET_DIR:-target}/release/crossover
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A signal ends whatever is running, then the trap above does its work; the checker ends its browsers itself.
child=
trap '[ -z "$child" ] || { kill -TERM "$child" 2>/dev/null; wait "$child" 2>/dev/null; }; exit 130' INT TERM HUP
guarded() { "$@" & child=$!; local status=0; wait "$child" || status=$?; child=; return "$status"; }

# report FOLDER STATUS: the report must end with that exit code
report() {
  local status=0
  guarded "$crossover" report "$1" >"$work/log" 2>&1 || status=$?
  [ "$status" = "$2" ] || { printf 'browser: report of %s ended with %s, not %s\n' "$1" "$status" "$2" >&2; cat "$work/log" >&2; exit 1; }
}

echo "-- a short tour"
guarded "$crossover" run --quick --set measure.processes=1 --set measure.rounds=2 --set measure.max_foreign_cores=64 --seed 7 --out "$work/tour" \
  >"$work/log" 2>&1 </dev/null || { cat "$work/log" >&2; exit 1; }

echo "-- reports of nasty runs"
python3 -B scripts/browser/nasty.py "$work/nasty"
for folder in "$work"/nasty/*; do
  case $(basename "$folder") in
    contaminated) report "$folder" 4 ;;
    mismatched | suite) report "$folder" 3 ;;
    *) report "$folder" 0 ;;
  esac
done

echo "-- in the browser"
guarded python3 -B scripts/browser/check.py "${shots[@]}" --switch full "$work"/tour/report.html "$work"/nasty/*/report.html </dev/null
