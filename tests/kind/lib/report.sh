# shellcheck shell=bash
# What the user sees: progress with durations on stderr, errors with their remedy.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  say "$@"
  exit 1
}

# timed WHAT COMMAND...: says how long COMMAND took. Runs it plainly, so that `set -e` holds inside.
timed() {
  local what=$1 start=${EPOCHREALTIME/./} took
  shift
  "$@"
  took=$(((${EPOCHREALTIME/./} - start) / 100000))
  say "$what: $((took / 10)).$((took % 10)) s"
}

# wait_until SECONDS WHAT COMMAND...: polls, since nothing here notifies; fails with WHAT when time is up.
wait_until() {
  local seconds=$1 what=$2 deadline=$((SECONDS + $1))
  shift 2
  until "$@"; do
    ((SECONDS < deadline)) || {
      say "after $seconds s still waiting for $what"
      return 1
    }
    sleep 0.1
  done
}
