#!/usr/bin/env bash
# Runs the runtime's tests under a sanitizer, on the stable toolchain.
#
#   scripts/sanitize.sh [address|thread] [arguments of the test programs]
#
# address (the default): AddressSanitizer with LeakSanitizer; any report is a failure. `--cfg runtime_asan` makes pools
# of memory give each block back at once, so that a use after its end is seen.
# thread: ThreadSanitizer, advisory only. It sees neither into std, which is not instrumented, nor fences, and so raises
# false alarms on std's locks and Arcs, on crossbeam and on our idle protocol. What it says is printed, and is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=address
case ${1-} in address|thread) kind=$1; shift ;; esac
target=x86_64-unknown-linux-gnu
# Their own target folder: the flags change every crate.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/sanitize-$kind
# The flag is a nightly one; the runtime libraries come with the stable toolchain, too.
export RUSTC_BOOTSTRAP=1 RUST_BACKTRACE=${RUST_BACKTRACE:-0}
flags="-Zsanitizer=$kind --cfg runtime_asan"
[ "$kind" = address ] || flags="$flags -Cunsafe-allow-abi-mismatch=sanitizer"
# Through the target's own variable, so that build scripts and macros are built without.
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS=$flags

# Everything is slower under it: the tests' watchdogs have to know.
export HAZARD_PATIENCE=${HAZARD_PATIENCE:-3}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:abort_on_error=0:detect_leaks=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=0:report_signal_unsafe=0:exitcode=0}

# Not the process pool's tests: they kill processes, and what is killed leaks.
run() { cargo test --locked -p crossover-runtime --target "$target" "$@"; }
tests=(--lib --test hazards --test join --test net --test runtime)
if [ "$kind" = address ]; then
  run "${tests[@]}" -- "$@"
else
  run "${tests[@]}" --no-fail-fast -- --test-threads=1 "$@" || echo "ThreadSanitizer: tests failed (advisory)"
fi
