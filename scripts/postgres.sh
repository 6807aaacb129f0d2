#!/usr/bin/env bash
# Runs a command beside a private PostgreSQL server of the system's package (Debian's is `postgresql`).
#
#   scripts/postgres.sh COMMAND [ARGUMENT...]     such as: scripts/postgres.sh crossover run postgres
#   scripts/postgres.sh start | stop | status     one that stays; `eval "$(scripts/postgres.sh start)"` tells the shell
#
# The command finds the server by CROSSOVER_POSTGRES, the URL of its port on the loopback interface, or by PGHOST (the
# folder of its Unix socket), PGPORT, PGUSER and PGDATABASE, and its process by CROSSOVER_POSTGRES_PID: what that computes is no
# foreign load. The port asks for a password, for other users of the machine can reach it; it stands in the URL. The server runs
# as an unprivileged user and keeps everything in a folder of /tmp. Server and folder go when the command ends, and also when
# this script is killed, even by kill -9.
#
# Ends with the command's status; 77 where no server is installed; `status` with 3 where none was started.
set -euo pipefail

find_programs() { # the folder of initdb and postgres
  local folder
  for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -rV) "$(dirname "$(command -v initdb || echo /)")"; do
    [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && { printf '%s\n' "$folder"; return; }
  done
  return 1
}

[ $# -gt 0 ] || { sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

# A server that stays is this script with a command that does not end. Its number and its URL stand in a file.
state=${XDG_STATE_HOME:-$HOME/.local/state}/crossover/postgres
running() { # sets pid, url and server
  { read -r pid && read -r url && read -r server; } 2>/dev/null <"$state" && kill -0 "$pid" 2>/dev/null
}
if [ $# = 1 ]; then
  case $1 in
    status)
      running || { echo "postgres.sh: none was started" >&2; exit 3; }
      printf '%s\n' "$url"
      exit ;;
    stop)
      running || { rm -f "$state"; exit 0; }
      kill "$pid"
      while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
      rm -f "$state"
      exit ;;
    start)
      if ! running; then
        mkdir -p "$(dirname "$state")"
        rm -f "$state"
        setsid "$0" bash -c 'umask 077; printf "%s\n" "$PPID" "$CROSSOVER_POSTGRES" "$CROSSOVER_POSTGRES_PID" >"$1.new" && mv "$1.new" "$1" && exec sleep infinity' \
          keeper "$state" </dev/null >/dev/null &
        until running; do
          kill -0 $! 2>/dev/null || { wait $!; exit; }
          sleep 0.1
        done
      fi
      printf 'export CROSSOVER_POSTGRES=%s CROSSOVER_POSTGRES_PID=%s\n' "$url" "$server"
      exit ;;
  esac
fi
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
export PGHOST=$work PGUSER=postgres PGDATABASE=postgres
fail() { echo "postgres.sh: $1" >&2; cat "$work/log" >&2; exit 1; }
password=$(od -An -v -tx1 -N16 /dev/urandom | tr -d ' \n')
(umask 077 && printf '%s\n' "$password" >"$work/password")
[ ${#as_user[@]} = 0 ] || chown "$user" "$work/password"
# What it holds is gone with it: nothing needs to reach the disk.
"${as_user[@]}" "$programs/initdb" -D "$work/data" -U postgres --auth-local=trust --auth-host=scram-sha-256 --pwfile="$work/password" --encoding=UTF8 --locale=C --no-sync \
  >"$work/log" 2>&1 {alive}>&- || fail "initdb failed"

# Ports that the system gives to nobody by itself. One may be taken all the same: then the next.
start_server() {
  PGPORT=$((RANDOM % 12000 + 20000))
  "${as_user[@]}" "$programs/postgres" -D "$work/data" -k "$work" -p "$PGPORT" -c listen_addresses=127.0.0.1 -c max_connections=300 -c fsync=off \
    >"$work/log" 2>&1 {alive}>&- &
  server=$!
  for attempt in $(seq 600); do
    # The last line of this file says so once connections are taken.
    grep -qs '^ready' "$work/data/postmaster.pid" && return
    kill -0 "$server" 2>/dev/null || return 1
    sleep 0.1
  done
  fail "the server is not ready after a minute"
}
for attempt in $(seq 10); do
  start_server && break
  grep -qs 'could not bind' "$work/log" && [ "$attempt" != 10 ] || fail "the server did not start"
done
export PGPORT CROSSOVER_POSTGRES=postgresql://postgres:$password@127.0.0.1:$PGPORT/postgres CROSSOVER_POSTGRES_PID=$server

cd "$OLDPWD"
# In the background, for a trap waits until a command in the foreground has ended.
"$@" <&0 {alive}>&- &
command=$!
wait "$command"
