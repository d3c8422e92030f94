# shellcheck shell=bash
# kube-proxy's modes: the same Services by different rules.

check_mode() {
  case $1 in
  iptables | nftables) ;;
  *) die "kube-proxy's mode is iptables or nftables, not '$1'" ;;
  esac
}

# switch_kube_proxy MODE: returns when every node has the new mode's rules, none of the other's, and Services answer by them.
switch_kube_proxy() {
  local mode=$1 node
  check_mode "$mode"
  in_cluster kubectl --namespace kube-system get configmap kube-proxy --output yaml | sed "s/^\( *mode:\) .*/\1 $mode/" | in_cluster kubectl replace --filename - >/dev/null
  in_cluster kubectl --namespace kube-system rollout restart daemonset/kube-proxy >/dev/null
  in_cluster kubectl --namespace kube-system rollout status daemonset/kube-proxy --timeout 60s >/dev/null
  for node in $(nodes); do
    wait_until 60 "$mode rules on $node" has_only_rules_of "$mode" "$node"
    wait_until 60 "Services on $node" service_answers "$node"
  done
}

nodes() { in_cluster kind get nodes --name "$CLUSTER_NAME" 2>/dev/null; }

# has_only_rules_of MODE NODE: kube-proxy removes the other mode's rules when it starts, which is worth checking: they would go on working.
has_only_rules_of() {
  local nft iptables
  nft=$(docker exec "$2" nft list tables) || return
  iptables=$(docker exec "$2" sh -c 'iptables-save --table nat; ip6tables-save --table nat') || return
  case $1 in
  iptables) [[ $iptables == *KUBE-SVC-* && $nft != *kube-proxy* ]] ;;
  nftables) [[ $iptables != *KUBE-SVC-* && $nft == *kube-proxy* ]] ;;
  esac
}

# The cluster's DNS, from a node: a Service that every cluster has, with pods behind it.
service_answers() { docker exec "$1" timeout 1 bash -c '</dev/tcp/10.96.0.10/53' 2>/dev/null; }
