# Sourced by bin/hermit and scripts/with-node. POSIX sh.
#
# bootstrap ROOT: puts a Node of at least 24 first on PATH (the one on PATH when it is new enough, else one
# fetched with npx), and installs the dependencies when they are missing or older than the lock file.
# Words go to stderr, so that stdout stays the command's own.

say() { printf 'openhermit: %s\n' "$*" >&2; }

bootstrap() {
  use_node "$1"
  install_dependencies "$1"
  # Compiled sources are kept between starts: a warm cache makes running TypeScript natively free.
  NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$1/.cache/node}
  export NODE_COMPILE_CACHE
}

# use_node ROOT: puts a Node of at least 24 first on PATH.
use_node() {
  if ! kept_node "$1"; then
    given_node=$(command -v node || true)
    if [ -z "$given_node" ]; then
      say 'Node.js is not on PATH. Install Node 20 or newer, then run this again.'
      exit 1
    fi
    if node_is_new "$given_node"; then
      node_file=$given_node
    elif [ -w "$1" ]; then
      alone "$1" fetch_node
    else
      fetch_node "$1"
    fi
    if mkdir -p "$1/.cache" 2>/dev/null; then
      (printf '%s\n' "$node_file" > "$1/.cache/node-path") 2>/dev/null || true
    fi
  fi
  PATH=$(dirname "$node_file"):$PATH
  export PATH
}

# kept_node ROOT: sets node_file to the answer of an earlier start, for asking a node for its version costs 40 ms.
# It holds for as long as that file is not newer than the answer.
kept_node() {
  [ -r "$1/.cache/node-path" ] && read -r node_file < "$1/.cache/node-path" &&
    [ -n "$node_file" ] && [ -x "$node_file" ] && [ ! "$node_file" -nt "$1/.cache/node-path" ]
}

# node_is_new FILE: whether that node is 24 or newer.
node_is_new() {
  major=$("$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null) || return 1
  [ "$major" -ge 24 ] 2>/dev/null
}

# fetch_node ROOT: sets node_file to a Node 24 of the npm registry, which npx keeps in its cache.
fetch_node() {
  kept_node "$1" && return 0
  need_npm npx
  say "Node $("$given_node" --version) is on PATH; fetching Node 24 with npx (about 5 s, once) ..."
  node_file=$(cd "$1" && npx --yes --loglevel=error --package=node@24 -- sh -c 'command -v node') || node_file=
  if [ -z "$node_file" ] || ! node_is_new "$node_file"; then
    say 'Node 24 could not be fetched from the npm registry.'
    say 'Check the network, or put a Node of at least 24 on PATH, then run this again.'
    exit 1
  fi
}

# installed ROOT: whether the dependencies are there and not older than the lock file.
installed() {
  [ -f "$1/node_modules/.package-lock.json" ] && [ ! "$1/package-lock.json" -nt "$1/node_modules/.package-lock.json" ]
}

install_dependencies() { installed "$1" || alone "$1" npm_ci; }

npm_ci() {
  installed "$1" && return 0
  need_npm npm
  say 'installing dependencies with npm ci (about half a minute, once) ...'
  (cd "$1" && exec npm ci --no-fund --no-audit --loglevel=error) >&2 &
  installer=$!
  # The lock holds as long as one of the two runs: npm outlives this shell when that is killed with -9.
  printf '%s %s\n' "$$" "$installer" > "$lock/owners"
  if ! wait "$installer"; then
    say 'npm ci failed. Its words stand above; when they are mended, run this again.'
    exit 1
  fi
  installer=
  touch "$1/node_modules/.package-lock.json"
  say 'dependencies are installed.'
}

need_npm() {
  command -v "$1" >/dev/null && return 0
  say "$1 is not on PATH. Install npm, which comes with Node.js, then run this again."
  exit 1
}

# alone ROOT COMMAND: runs COMMAND ROOT while no other start of this clone fetches or installs.
alone() {
  lock=$1/.cache/install.lock
  if ! mkdir -p "$1/.cache" 2>/dev/null || [ ! -w "$1/.cache" ] || [ ! -w "$1" ]; then
    say "$1 is not writable, so its dependencies can't be installed there. Make it writable, or use a clone of your own."
    exit 1
  fi
  told=
  dead=none
  while ! mkdir "$lock" 2>/dev/null; do
    owners=$(cat "$lock/owners" 2>/dev/null || true)
    if any_runs $owners; then
      if [ -z "$told" ]; then
        say "waiting for another start, process ${owners%% *}, which installs the dependencies (if it does not, remove $lock) ..."
      fi
      told=1
      dead=none
    elif [ "$owners" = "$dead" ]; then
      break_lock
      dead=none
    else
      # Looks twice, for an owner writes its number a moment after it has taken the lock.
      dead=$owners
    fi
    sleep 1
  done
  installer=
  trap 'rm -rf "$lock"' EXIT
  trap 'end_install 130' INT
  trap 'end_install 143' TERM HUP
  printf '%s\n' "$$" > "$lock/owners"
  "$2" "$1"
  rm -rf "$lock"
  trap - EXIT INT TERM HUP
}

# break_lock: removes the lock of a start that was killed. One at a time, or the second would remove the lock that
# another start has taken since.
break_lock() {
  if mkdir "$lock.breaking" 2>/dev/null; then
    if [ "$(cat "$lock/owners" 2>/dev/null || true)" = "$dead" ]; then rm -rf "$lock"; fi
    rm -rf "$lock.breaking"
  fi
}

# any_runs PID...: whether one of the processes runs.
any_runs() {
  for pid in "$@"; do
    if kill -0 "$pid" 2>/dev/null || [ -d "/proc/$pid" ]; then return 0; fi
  done
  return 1
}

# end_install CODE: ends npm, which does not hear the terminal's Ctrl-C, and then this shell.
end_install() {
  trap '' INT TERM HUP
  if [ -n "$installer" ]; then
    kill -TERM "$installer" 2>/dev/null || true
    wait "$installer" 2>/dev/null || true
  fi
  exit "$1"
}
