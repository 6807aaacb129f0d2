#!/usr/bin/env bash
# scripts/examples.sh [CARGO BUILD OPTIONS]: builds the runtime's examples, lets each check itself, and gives each what it must
# refuse: a bad argument (exit code 2) and, for servers, a port that is taken (1, with a message that names it).
# The options choose what is built; unless given, only the packages with the examples.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- -p crossover-runtime -p crossover-interop
cargo build --quiet --locked --examples "$@"
directory=$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
case " $* " in *" --release "*) profile=release ;; *) profile=debug ;; esac
directory=$directory/$profile/examples

fail() { echo "$1" >&2; exit 1; }
expect() { # expect CODE WORDS COMMAND...: the exit code, and words that stderr must hold
  local code=0 wanted=$1 words=$2 text
  shift 2
  text=$(timeout 20 "$@" 2>&1 >/dev/null </dev/null) || code=$?
  [ "$code" = "$wanted" ] || fail "${*##*/}: exit code $code, not $wanted: $text"
  grep -qF -- "$words" <<<"$text" || fail "${*##*/}: no \"$words\" in: $text"
}

for example in blocking_library chat echo graceful_shutdown http process_pool trace; do
  output=$(timeout 60 "$directory/$example" --check 2>&1) || fail "$example --check: exit code $?: $output"
  printf '%s: %s\n' "$example" "${output##*$'\n'}"
  expect 2 usage "$directory/$example" --no-such-option
done

# Somebody else's port, for as long as the script runs.
exec 3< <(exec python3 -c '
import signal, socket
taken = socket.socket()
taken.bind(("127.0.0.1", 0))
taken.listen()
print(taken.getsockname()[1], flush=True)
signal.pause()')
holder=$!
trap 'kill "$holder"' EXIT
read -r port <&3
expect 1 "cannot listen on 127.0.0.1:$port" "$directory/echo" "127.0.0.1:$port"
expect 1 "cannot listen on 127.0.0.1:$port" "$directory/graceful_shutdown" "127.0.0.1:$port"
expect 1 "cannot listen on 127.0.0.1:$port" "$directory/http" serve "127.0.0.1:$port"
expect 1 "cannot listen on 127.0.0.1:$port" "$directory/chat" serve "127.0.0.1:$port"
expect 1 "cannot listen on nonsense" "$directory/echo" nonsense
expect 1 "wanted http://" "$directory/http" get ftp://localhost/
expect 1 "http://127.0.0.1:1/" "$directory/http" get http://127.0.0.1:1/
expect 1 "wanted ws://" "$directory/chat" join nonsense Ada
expect 1 "/no/such/file" "$directory/blocking_library" /no/such/file
expect 1 "cannot write" "$directory/trace" /no/such/directory/trace.json
expect 2 usage "$directory/process_pool" many
echo "bad arguments and taken ports are refused"
