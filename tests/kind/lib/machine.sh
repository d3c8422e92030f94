# shellcheck shell=bash
# One cluster at a time on a machine, and the machine as it was afterwards.

# What systemd in the nodes and the kubelet change, although it belongs to the whole machine.
shared_sysctls=(
  fs.file-max fs.nr_open fs.inotify.max_user_instances fs.inotify.max_user_watches
  kernel.panic kernel.panic_on_oops kernel.pid_max vm.overcommit_memory vm.panic_on_oom
)

# lock_machine [flock options]: until this process ends, no other `up` or `down` of this machine runs. The lock is on a directory that
# every machine has, so that there is no file to leave behind. Descriptor 9 is closed in whatever may outlive this process (lib/engine.sh).
lock_machine() {
  exec 9</run/lock
  flock "$@" 9
}

# Everything is recorded before it is changed, so that an `up` which was killed anywhere can be undone.
prepare_machine() {
  mkdir -p "$RUN"
  sysctl "${shared_sysctls[@]}" >"$RUN/sysctls.new" 2>/dev/null
  mv "$RUN/sysctls.new" "$RUN/sysctls"
  # Kind mounts it into the nodes; a machine whose kernel has no modules lacks it.
  [[ -d /lib/modules ]] || touch "$RUN/made-lib-modules"
  mkdir -p /lib/modules
  # A kubelet and systemd take many.
  at_least fs.inotify.max_user_instances 1024
  at_least fs.inotify.max_user_watches 1048576
  # `ip netns` makes the directory at first use, and mounts it onto itself.
  [[ -d /run/netns ]] || touch "$RUN/made-run-netns"
  mountpoint --quiet /run/netns || touch "$RUN/mounted-run-netns"
}

at_least() { (($(sysctl -n "$1") >= $2)) || sysctl -qw "$1=$2"; }

restore_machine() {
  local tries
  # Cgroups go from the leaves up; one whose last process is just ending is busy for a moment.
  for ((tries = 0; tries < 50; tries++)); do
    [[ -n $(our_cgroups) ]] || break
    our_cgroups | xargs rmdir 2>/dev/null || sleep 0.1
  done
  [[ -z $(our_cgroups) ]] || die "cgroups that cannot be removed: $(our_cgroups | tail -n 1)"
  [[ ! -s $RUN/sysctls ]] || sysctl -qp "$RUN/sysctls"
  [[ ! -e $RUN/made-lib-modules ]] || rmdir --ignore-fail-on-non-empty /lib/modules
}

our_cgroups() { find /sys/fs/cgroup -depth -type d -path "*/$ENGINE_NAME*" 2>/dev/null || true; }

# Last, since the namespace's existence is what refuses another `up`.
forget_machine() {
  local made=() trace
  for trace in "$RUN"/*-run-netns; do made+=("${trace##*/}"); done
  rm -rf "$RUN"
  [[ ! -e /run/netns/$ENGINE_NAME ]] || ip netns delete "$ENGINE_NAME"
  # These fail, rightly, when somebody else has namespaces by now.
  [[ ${made[*]} != *mounted-run-netns* ]] || umount /run/netns 2>/dev/null || return 0
  [[ ${made[*]} != *made-run-netns* ]] || rmdir --ignore-fail-on-non-empty /run/netns
}
