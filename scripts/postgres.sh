#!/usr/bin/env bash
# Runs a command beside a private PostgreSQL server of the system's package (Debian's is `postgresql`).
#
#   scripts/postgres.sh COMMAND [ARGUMENT...]
#
# The command finds the server by PGHOST (the folder of its Unix socket; it listens nowhere else), PGPORT, PGUSER and
# PGDATABASE; it needs no password. The server runs as an unprivileged user and keeps everything in a folder of /tmp.
# Server and folder go when the command ends, and also when this script is killed, even by kill -9.
#
# Ends with the command's status; 77 where no server is installed.
set -euo pipefail

find_programs() { # the folder of initdb and postgres
  local folder
  for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -rV) "$(dirname "$(command -v initdb || echo /)")"; do
    [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && { printf '%s\n' "$folder"; return; }
  done
  return 1
}

[ $# -gt 0 ] || { sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
programs=$(find_programs) || { echo "postgres.sh: no PostgreSQL server is installed" >&2; exit 77; }

# Not below TMPDIR: the path of a socket holds 107 bytes.
work=$(mktemp -d /tmp/crossover-postgres.XXXXXX)
as_user=()
if [ "$(id -u)" = 0 ]; then # postgres refuses to run as root
  user=postgres
  id "$user" >/dev/null 2>&1 || user=nobody
  as_user=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
  chown "$user" "$work"
fi

# The cleaner, in a session of its own, waits for the end of a pipe whose writing end only this shell holds: that comes
# however this shell ends. A server is told to end at once (SIGQUIT); an initdb or a server that has just begun fails
# without its folder.
exec {alive}> >(exec setsid bash -c '
  trap "" INT TERM HUP
  cat >/dev/null
  while server=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$server" 2>/dev/null; do sleep 0.05; done
  until rm -rf "$1" 2>/dev/null; do sleep 0.05; done
' cleaner "$work")
cleaner=$!
finish() {
  status=$?
  trap '' INT TERM HUP
  exec {alive}>&-
  wait "$cleaner" || true
  exit "$status"
}
command=
on_signal() {
  [ -z "$command" ] || kill "$command" 2>/dev/null || true
  exit "$1"
}
trap finish EXIT
trap 'on_signal 129' HUP
trap 'on_signal 130' INT
trap 'on_signal 143' TERM

cd "$work"
export PGHOST=$work PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
fail() { echo "postgres.sh: $1" >&2; cat "$work/log" >&2; exit 1; }
# What it holds is gone with it: nothing needs to reach the disk.
"${as_user[@]}" "$programs/initdb" -D "$work/data" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync \
  >"$work/log" 2>&1 {alive}>&- || fail "initdb failed"
"${as_user[@]}" "$programs/postgres" -D "$work/data" -k "$work" -p "$PGPORT" -c listen_addresses= -c fsync=off \
  >"$work/log" 2>&1 {alive}>&- &
server=$!
for attempt in $(seq 600); do
  # The last line of this file says so once connections are taken.
  grep -qs '^ready' "$work/data/postmaster.pid" && break
  kill -0 "$server" 2>/dev/null || fail "the server did not start"
  [ "$attempt" != 600 ] || fail "the server is not ready after a minute"
  sleep 0.1
done

cd "$OLDPWD"
# In the background, for a trap waits until a command in the foreground has ended.
"$@" <&0 {alive}>&- &
command=$!
wait "$command"
