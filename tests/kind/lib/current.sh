# shellcheck shell=bash
# The user's own cluster, asked for by name, since tests create and delete namespaces there.

current_environment() {
  local context
  command -v kubectl >/dev/null || die "CLUSTER=current needs kubectl"
  context=$(kubectl config current-context 2>/dev/null) || die "CLUSTER=current: kubectl has no current context"
  [[ -n ${CLUSTER_CONTEXT:-} ]] || die "CLUSTER=current: name the cluster that you mean, CLUSTER_CONTEXT=$context"
  [[ $CLUSTER_CONTEXT == "$context" ]] || die "CLUSTER_CONTEXT is '$CLUSTER_CONTEXT', but kubectl's current context is '$context'; refused"
}

current_is_up() { kubectl version --request-timeout 10s >/dev/null 2>&1; }

current_exec() { "$@"; }

current_build() { say "context $CLUSTER_CONTEXT: nothing to build"; }

current_up() {
  current_is_up || die "context $CLUSTER_CONTEXT does not answer"
  say "context $CLUSTER_CONTEXT answers; nothing was changed"
}

current_load() { die "images cannot be loaded into context $CLUSTER_CONTEXT from here; push these to a registry that it pulls from: $*"; }

current_down() { say "context $CLUSTER_CONTEXT is yours; nothing was changed"; }
