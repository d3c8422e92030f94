# shellcheck shell=bash
# What is compiled from Go modules, and one C program.

kubernetes_files=("$HERE"/hyperkube/{main.go,kindnetd.go,go.mod,go.sum})
coredns_files=("$HERE"/coredns/{main.go,go.mod,go.sum})

build_kind() { go_install "sigs.k8s.io/kind@v$KIND_VERSION"; }

build_fortio() { go_install "fortio.org/fortio@v$FORTIO_VERSION"; }

# From /, so that no go.mod of a directory above counts.
go_install() { (cd / && GOBIN=$BIN CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" "$1"); }

# `go install` asks for the list of crictl's versions, which module proxies may refuse to serve; a download of one version does not.
build_crictl() {
  local source=$KIND_HOME/crictl-source
  rm -rf "$source"
  cp -r --no-preserve=mode "$(module_directory "sigs.k8s.io/cri-tools@v$CRICTL_VERSION")" "$source"
  (cd "$source" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$BIN/crictl" ./cmd/crictl)
  rm -r "$source"
}

module_directory() { (cd / && go mod download -json "$1") | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'; }

build_kubernetes() {
  local version=k8s.io/component-base/version minor=${KUBERNETES_VERSION#1.} name
  (cd "$HERE/hyperkube" && CGO_ENABLED=0 go build -trimpath -o "$BIN/hyperkube" -ldflags \
    "-s -w -X $version.gitVersion=v$KUBERNETES_VERSION -X $version.gitMajor=1 -X $version.gitMinor=${minor%.*} -X $version.gitTreeState=clean" .)
  for name in kubeadm kubectl; do ln -sf hyperkube "$BIN/$name"; done
}

build_coredns() { (cd "$HERE/coredns" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$BIN/coredns" .); }

build_pause() { gcc -O2 -static -o "$BIN/pause" "$HERE/node/pause.c"; }

# What every kind of cluster needs.
make_common_binaries() {
  mkdir -p "$BIN"
  made kind build_kind "$KIND_VERSION"
  made fortio build_fortio "$FORTIO_VERSION"
}

# What the tests with a control plane of their own need, too (tests/src/control_plane).
make_kubernetes() {
  mkdir -p "$BIN"
  made kubernetes build_kubernetes "$KUBERNETES_VERSION" "${kubernetes_files[@]}"
}

# What a node consists of, and what speaks to it.
make_node_binaries() {
  made crictl build_crictl "$CRICTL_VERSION"
  make_kubernetes
  made coredns build_coredns "${coredns_files[@]}"
  made pause build_pause "$HERE/node/pause.c"
}
