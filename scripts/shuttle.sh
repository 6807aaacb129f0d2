#!/usr/bin/env bash
# Runs the whole scheduler under schedules drawn at random (shuttle).
#
#   scripts/shuttle.sh [runs] [seed] [name of a scenario]      2000 runs of each scenario and a fresh seed unless said
#
# The seed is printed, and repeats the run. A failure prints its schedule, which
# `SCHEDULES_REPLAY=<schedule> scripts/shuttle.sh 1 1 <scenario>` runs alone.
set -euo pipefail
cd "$(dirname "$0")/.."
export SCHEDULES_RUNS=${1:-2000}
[ -z "${2-}" ] || export SCHEDULES_SEED=$2
# Its own target folder: the flag changes every crate, and would make each next build start anew.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/shuttle
RUSTFLAGS="--cfg runtime_shuttle" cargo test --release --locked -p crossover-runtime --lib "schedules::${3-}" -- --nocapture
