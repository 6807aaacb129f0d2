#!/usr/bin/env bash
# Tests the trials and the claims' rows in CPython. Without a python3 there is nothing to test: a line says so.
#   scripts/python/test.sh [PYTHON]...       (each named Python in turn; python3 without any)
set -euo pipefail
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- python3
for python; do
  if ! command -v "$python" >/dev/null; then
    echo "scripts/python: skipped: there is no program $python in the folders of PATH"
    continue
  fi
  echo "-- $("$python" --version)"
  "$python" -I -B run_tests.py
done
