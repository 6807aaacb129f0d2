#!/usr/bin/env bash
# A long mixed run of the runtime: random spawns, storms of aborts, joins, fork-join trees, timers that are moved, sockets
# whose peers vanish, bursts of jobs, nested runtimes and shutdowns, with the standing invariants checked after each runtime,
# and memory, descriptors and threads over all of them.
#
#   scripts/soak.sh [seconds] [seed]      600 seconds unless said; the seed is printed
set -euo pipefail
cd "$(dirname "$0")/.."
# Optimised, as races like it, and with the runtime's own debug assertions.
export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/soak
cargo build --release --locked -p crossover-runtime --example soak
"$CARGO_TARGET_DIR/release/examples/soak" "$@"
