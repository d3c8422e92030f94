# shellcheck shell=bash disable=SC2034
# Versions, names and paths. Everything that is built is stamped with what it was built from (lib/made.sh), so a change here rebuilds it.

KIND_VERSION=0.33.0
# The last minor version whose kubelet still runs on cgroup v1, which CI's machine has.
KUBERNETES_VERSION=1.34.4
CRICTL_VERSION=1.36.0
FORTIO_VERSION=1.63.8
DEBIAN_SUITE=bookworm

# The node image that kind's release notes list for this version of kind.
STOCK_NODE_IMAGE=${REMORA_NODE_IMAGE:-kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d}
OWN_NODE_IMAGE=kindest/node:remora
FORTIO_IMAGE=localhost/fortio:1

# `name` in kind-config.yaml.
CLUSTER_NAME=remora
# The network namespace of our own engine, and its cgroup. The namespace's existence is what says "a cluster is up on this machine".
ENGINE_NAME=remora-kind

KIND_HOME=${REMORA_KIND_HOME:-$HOME/.cache/remora/kind}
BIN=$KIND_HOME/bin
IMAGES=$KIND_HOME/images
RUN=$KIND_HOME/run

FORTIO_ARCHIVE=$IMAGES/fortio.tar
NODE_ARCHIVE=$IMAGES/node.tar
CLUSTER_KUBECONFIG=$KIND_HOME/kubeconfig
ENGINE_SOCKET=unix://$RUN/docker.sock
