#!/usr/bin/env bash
# The process pool under fire: a random run (runtime/examples/chaos), then the pool's scenarios with their full counts.
#
#   scripts/chaos.sh                           a short random run only, about 20 s
#   scripts/chaos.sh JOBS [OPTIONS OF CHAOS]   so many jobs, such as 1000000; the seed is printed, and may be given: --seed 7
#   scripts/chaos.sh --full [PART OF A NAME]   the scenarios p01 to p28 with full counts: 10^4 spawns, 10^5 cancels, 10^6 submits
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1-}" = --full ]; then
  shift
  export CROSSOVER_POOL_TESTS=full
  for test in process_pool process_pool_bad_main; do
    cargo test --locked -p crossover-runtime --test "$test" -- --nocapture "$@" 2>/dev/null
  done
  exit
fi
# Optimised, as races like it, and with debug assertions.
export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/chaos
# A worker that panics would look up a backtrace each time, which takes longer than all else.
export RUST_BACKTRACE=0
cargo build --release --locked -p crossover-runtime --example chaos
# The jobs print, panic and abort: what they say is noise unless the run fails.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
"$CARGO_TARGET_DIR/release/examples/chaos" ${1:+--jobs "$@"} >"$log" 2>&1 || code=$?
grep -a -A200 -E 'chaos: (HANG|WRONG)|panicked at runtime/(src|examples/chaos/(main|books|client|havoc))' "$log" | head -400 || true
grep -a -A30 -E '^\.*chaos: --jobs' "$log" | tr -d '.' | head -5
tail -n 40 "$log"
exit "$code"
