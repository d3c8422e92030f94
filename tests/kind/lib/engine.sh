# shellcheck shell=bash
# A Docker engine of our own, in network, mount and process namespaces of its own. So it changes neither the machine's firewall nor
# its mounts, and ends as a whole when its first process ends. It has no way out: nothing is pulled, no traffic leaves.

# inside COMMAND...: where the engine's published ports are, the API server's among them. Not `ip netns exec`, which hides the cgroups.
inside() { nsenter --net="/run/netns/$ENGINE_NAME" "$@" 9<&-; }

start_engine() {
  ip netns add "$ENGINE_NAME"
  inside ip link set lo up
  cat >"$RUN/daemon.json" <<END
{
  "hosts": ["$ENGINE_SOCKET"],
  "data-root": "$KIND_HOME/docker", "exec-root": "$RUN/docker", "pidfile": "$RUN/docker.pid",
  "deprecated-key-path": "$RUN/key.json",
  "storage-driver": "overlay2",
  "exec-opts": ["native.cgroupdriver=cgroupfs"], "cgroup-parent": "/$ENGINE_NAME",
  "oom-score-adjust": 0,
  "runtimes": {"remora": {"path": "$HERE/node/runc-without-cap-sys-resource"}}, "default-runtime": "remora"
}
END
  # tini is the first process of the process namespace: when it is killed, the kernel kills all others. When dockerd ends, tini does.
  # /run is fresh, so that what dockerd and containerd leave there is gone with them.
  # The subshell becomes nsenter: a bash in between would keep the lock.
  (
    exec 9<&-
    # shellcheck disable=SC2016 # $0 is the inner shell's
    exec nsenter --net="/run/netns/$ENGINE_NAME" setsid unshare --mount --propagation slave --pid --fork --kill-child --mount-proc sh -ec '
      mount -t tmpfs -o mode=755 run /run
      exec tini -s -- dockerd --config-file "$0"' "$RUN/daemon.json"
  ) >"$KIND_HOME/dockerd.log" 2>&1 </dev/null &
  wait_until 30 "dockerd, see $KIND_HOME/dockerd.log" engine_answers
}

engine_answers() { timeout 10 docker version >/dev/null 2>&1; }

load_node_image() {
  local id
  id=$(tar -xOf "$NODE_ARCHIVE" ./manifest.json | sed 's/.*"Config":"\([0-9a-f]*\).*/sha256:\1/')
  [[ $(docker image inspect --format '{{.Id}}' "$OWN_NODE_IMAGE" 2>/dev/null) == "$id" ]] || inside docker load --quiet --input "$NODE_ARCHIVE" >/dev/null
}

stop_engine() {
  local pids clean=
  # In order while it answers, so that the node image, which takes 15 s to load, stays for the next `up`.
  if engine_answers && remove_containers; then
    pkill -TERM -x dockerd --ns "$(engine_pids | head -n 1)" --nslist net || true
    wait_until 10 "dockerd to end" engine_ended && clean=yes
  fi
  pids=$(engine_pids)
  # shellcheck disable=SC2086 # several
  [[ -z $pids ]] || kill -KILL $pids 2>/dev/null || true
  # A process namespace's first process is gone only when all others are.
  for pid in $pids; do wait_until 30 "process $pid to end" gone "$pid"; done
  # A dockerd that was killed would start the containers that it finds.
  [[ -n $clean ]] || rm -rf "$KIND_HOME/docker"
}

remove_containers() {
  timeout 60 docker ps --all --quiet | xargs --no-run-if-empty timeout 60 docker rm --force --volumes >/dev/null &&
    timeout 60 docker network prune --force >/dev/null && timeout 60 docker volume prune --force >/dev/null
}

engine_pids() { ip netns pids "$ENGINE_NAME" 2>/dev/null || true; }

engine_ended() { ! engine_pids | xargs --no-run-if-empty ps -o comm= -p | grep -qx dockerd; }

gone() { [[ ! -e /proc/$1 ]]; }
