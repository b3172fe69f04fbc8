# Sourced by bin/hermit and scripts/with-node. POSIX sh.
#
# bootstrap ROOT: puts a Node of at least 24 first on PATH (the one on PATH when it is new enough, else one
# fetched with npx), and installs the dependencies when they are missing or older than the lock file.
# Words go to stderr, so that stdout stays the command's own.

say() { printf 'openhermit: %s\n' "$*" >&2; }

# node_is_new FILE: whether that node is 24 or newer.
node_is_new() {
  major=$("$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null) || return 1
  [ "$major" -ge 24 ] 2>/dev/null
}

# find_node ROOT: sets node_file. Asking a node for its version costs 40 ms, so the answer is kept in .cache
# and used for as long as that file is not newer than the answer.
find_node() {
  kept=$1/.cache/node-path
  if [ -r "$kept" ]; then
    read -r node_file < "$kept" || node_file=
    if [ -n "$node_file" ] && [ -x "$node_file" ] && [ ! "$node_file" -nt "$kept" ]; then return 0; fi
  fi
  node_file=$(command -v node || true)
  if [ -z "$node_file" ]; then
    say 'Node.js is not on PATH. Install Node 20 or newer, then run this again.'
    exit 1
  fi
  if ! node_is_new "$node_file"; then
    say "Node $("$node_file" --version) is on PATH; fetching Node 24 with npx (about 5 s, once) ..."
    node_file=$(npx --yes --package=node@24 -- sh -c 'command -v node' 2>/dev/null) || node_file=
    if [ -z "$node_file" ] || ! node_is_new "$node_file"; then
      say 'Node 24 could not be fetched from the npm registry.'
      say 'Check the network, or put a Node of at least 24 on PATH, then run this again.'
      exit 1
    fi
  fi
  if mkdir -p "$1/.cache" 2>/dev/null; then
    (printf '%s\n' "$node_file" > "$kept") 2>/dev/null || true
  fi
}

# install_dependencies ROOT: npm ci when needed, once at a time.
install_dependencies() {
  stamp=$1/node_modules/.package-lock.json
  [ -f "$stamp" ] && [ ! "$1/package-lock.json" -nt "$stamp" ] && return 0
  mkdir -p "$1/.cache" || { say "$1 is not writable; the dependencies can't be installed there."; exit 1; }
  lock=$1/.cache/install.lock
  while ! (set -C; printf '%s\n' "$$" > "$lock") 2>/dev/null; do
    owner=$(cat "$lock" 2>/dev/null || true)
    if [ -z "$owner" ] || ! kill -0 "$owner" 2>/dev/null; then rm -f "$lock"; continue; fi
    say "waiting for process $owner, which installs the dependencies ..."
    sleep 1
  done
  trap 'rm -f "$lock"' EXIT
  trap 'rm -f "$lock"; exit 130' INT TERM
  if [ ! -f "$stamp" ] || [ "$1/package-lock.json" -nt "$stamp" ]; then
    say 'installing dependencies with npm ci (about half a minute, once) ...'
    if ! (cd "$1" && npm ci --no-fund --no-audit --loglevel=error >&2); then
      say "npm ci failed. Its words stand above; when they are mended, run this again."
      exit 1
    fi
    touch "$stamp"
    say 'dependencies are installed.'
  fi
  rm -f "$lock"
  trap - EXIT INT TERM
}

# use_node ROOT: puts a Node of at least 24 first on PATH.
use_node() {
  find_node "$1"
  PATH=$(dirname "$node_file"):$PATH
  export PATH
}

bootstrap() {
  use_node "$1"
  install_dependencies "$1"
  # Compiled sources are kept between starts: a warm cache makes running TypeScript natively free.
  NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$1/.cache/node}
  export NODE_COMPILE_CACHE
}
