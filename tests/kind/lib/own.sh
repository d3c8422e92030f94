# shellcheck shell=bash
# Kind on an engine of our own.

own_packages=(docker.io tini containerd runc mmdebstrap iptables iproute2 procps gcc libc6-dev)

own_environment() {
  # Debian's client, whatever lies in /usr/local/bin.
  export PATH=$BIN:/usr/sbin:/usr/bin:$PATH DOCKER_HOST=$ENGINE_SOCKET DOCKER_CONFIG=$RUN/docker-config
  export KUBECONFIG=$CLUSTER_KUBECONFIG KUBECACHEDIR=$RUN/kubecache KIND_CLUSTER_NAME=$CLUSTER_NAME
}

own_is_up() { [[ -e /run/netns/$ENGINE_NAME ]]; }

own_left_something() { own_is_up || [[ -e $RUN ]]; }

own_exec() { inside "$@"; }

own_build() {
  [[ $EUID == 0 ]] || die "without a Docker engine that can pull kind's node image, root is needed to make one; or use your own cluster: CLUSTER=current"
  need_packages "${own_packages[@]}"
  need_go
  begin_making
  make_common_binaries
  make_node_binaries
  make_node_image
  make_fortio_image
  end_making
}

own_up() {
  refuse_if_up
  own_build
  lock_machine --nonblock || die "another \`up\` or \`down\` is at work on this machine; nothing was changed"
  refuse_if_up
  remove_remains
  timed "cluster up" own_create
}

# A machine that was switched off, or an `up` that was killed, leaves an engine without a process: that is in nobody's way.
refuse_if_up() {
  [[ -z $(engine_pids) ]] || die "a cluster is up on this machine already, and was left alone; remove it first: $0 down"
}

# Under the lock, so what has no process is not just being made.
remove_remains() {
  ! own_left_something || timed "removed what a cluster left that nobody ended" own_remove
}

own_create() {
  local node
  prepare_machine
  timed "engine started" start_engine
  timed "node image loaded" load_node_image
  sed "s/kubeProxyMode: iptables/kubeProxyMode: ${KUBE_PROXY_MODE:-iptables}/" "$HERE/../../kind-config.yaml" | cat - "$HERE/node/kubelet-patch.yaml" >"$RUN/kind-config.yaml"
  timed "nodes ready" inside kind create cluster --image "$OWN_NODE_IMAGE" --config "$RUN/kind-config.yaml" --wait 120s --quiet
  timed "Services answer" wait_for_services
}

wait_for_services() {
  local node
  in_cluster kubectl --namespace kube-system rollout status deployment/coredns daemonset/kube-proxy daemonset/kindnet --timeout 60s >/dev/null
  for node in $(nodes); do wait_until 60 "Services on $node" service_answers "$node"; done
}

own_load() {
  local archive
  for archive; do timed "loaded ${archive##*/}" inside kind load image-archive --name "$CLUSTER_NAME" "$archive"; done
}

own_down() {
  lock_machine --timeout 300 || die "an \`up\` or \`down\` of somebody else is at work on this machine"
  own_left_something || {
    say "no cluster is up"
    return
  }
  timed "cluster down" own_remove
}

own_remove() {
  [[ -e $RUN ]] || die "the cluster that is up was made with another REMORA_KIND_HOME, and was left alone; to take it over: mkdir -p $RUN"
  stop_engine
  restore_machine
  rm -f "$KUBECONFIG" "$KUBECONFIG.lock"
  forget_machine
}
