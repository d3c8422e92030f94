# shellcheck shell=bash
# Stock kind on a Docker engine that is there already.

stock_environment() {
  export PATH=$BIN:$PATH KUBECONFIG=$CLUSTER_KUBECONFIG KIND_CLUSTER_NAME=$CLUSTER_NAME
}

stock_is_up() {
  command -v docker >/dev/null && engine_answers &&
    [[ -n $(docker ps --all --quiet --filter "label=io.x-k8s.kind.cluster=$CLUSTER_NAME" 2>/dev/null) ]]
}

stock_is_possible() {
  command -v docker >/dev/null && engine_answers &&
    { docker image inspect "$STOCK_NODE_IMAGE" || timeout 600 docker pull --quiet "$STOCK_NODE_IMAGE"; } >/dev/null 2>&1
}

stock_exec() { "$@"; }

stock_build() {
  need_go
  begin_making
  make_common_binaries
  make_fortio_image
  end_making
}

stock_up() {
  ! stock_is_up || die "a cluster is up on this machine already, and was left alone; remove it first: $0 down"
  stock_build
  timed "cluster up" stock_create
}

stock_create() {
  sed "s/kubeProxyMode: iptables/kubeProxyMode: ${KUBE_PROXY_MODE:-iptables}/" "$HERE/../../kind-config.yaml" |
    kind create cluster --image "$STOCK_NODE_IMAGE" --config - --wait 120s --quiet
  # The node has the client that belongs to it.
  docker cp --follow-link "$CLUSTER_NAME-control-plane:/usr/bin/kubectl" "$BIN/kubectl" >/dev/null
  wait_for_services
}

stock_load() {
  local archive
  for archive; do timed "loaded ${archive##*/}" kind load image-archive --name "$CLUSTER_NAME" "$archive"; done
}

stock_down() {
  stock_is_up || {
    say "no cluster is up"
    return
  }
  timed "cluster down" kind delete cluster --name "$CLUSTER_NAME" --quiet
  rm -f "$KUBECONFIG"
}
