#!/usr/bin/env bash
# Model-checks the runtime's protocols with loom: tasks and handles, live list, idle protocol, parker, blocking pool, readiness, the descriptors' homes, timers and their clock, the stall detector, the process pool's lanes.
set -euo pipefail
cd "$(dirname "$0")/.."
# Its own target folder: the flag changes every crate, and would make each next build start anew.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/loom
RUSTFLAGS="--cfg runtime_loom" cargo test --release --locked -p crossover-runtime --lib models "$@"
