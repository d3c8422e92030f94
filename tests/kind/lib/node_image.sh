# shellcheck shell=bash
# The node image that our own engine runs: what kind's images/base and `kind build node-image` make, from Debian's packages and our
# binaries instead of images from a registry. systemd is PID 1, as in kind's own.

node_packages=systemd,dbus,kmod,mount,util-linux,procps,libseccomp2,bash,jq,pigz,e2fsprogs,ca-certificates
node_packages+=,iproute2,iptables,nftables,ipset,conntrack,ethtool,socat,containerd,runc,containernetworking-plugins

# Removed as kind's Dockerfile does: units that make no sense in a container, sysctls that are not a node's to set, caches.
node_clutter=(
  lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
  lib/systemd/system/{multi-user,local-fs}.target.wants/\*
  lib/systemd/system/sockets.target.wants/\*{udev,initctl}\*
  etc/systemd/system/\*.wants/\*
  usr/lib/sysctl.d/{50-pid-max,99-protect-links}.conf
  etc/apt/sources.list var/cache/apt/\* var/lib/apt/lists/\* var/lib/containerd
  usr/share/bash-completion usr/lib/cni/dhcp
)

# Debian with what a node needs. The hooks' $1 is mmdebstrap's: the root that it makes.
# shellcheck disable=SC2016
build_base() {
  local mirror
  mirror=$(apt-get indextargets --format '$(SITE)' "Codename: $DEBIAN_SUITE" 'Created-By: Packages' | head -n 1) # the one this machine uses
  mmdebstrap --quiet --variant=minbase --mode=root --format=tar --include="$node_packages" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/zoneinfo/*' \
    --customize-hook="cd \"\$1\" && rm -rf ${node_clutter[*]}" \
    --customize-hook='echo ReadKMsg=no >>"$1/etc/systemd/journald.conf"' \
    --customize-hook='ln -s /usr/lib/systemd/systemd "$1/sbin/init"' \
    --customize-hook='ln -s /dev/null "$1/etc/systemd/system/systemd-binfmt.service"' \
    --customize-hook='mkdir -p "$1/etc/containerd"' \
    --customize-hook='chroot "$1" ctr oci spec | jq ".hooks.createContainer += [{path: \"/kind/bin/mount-product-files.sh\"}] | del(.process.rlimits)" >"$1/etc/containerd/cri-base.json"' \
    "$DEBIAN_SUITE" "$IMAGES/base.tar" ${mirror:+"$mirror"}
}

# kube-proxy's image needs a part of the same Debian: the packet filters' tools with all their libraries, which `ldd` names; also of
# iptables' extensions, since a missing libm, say, shows only as Services that time out.
build_packet_filters() {
  local root=$IMAGES/root
  rm -rf "$root"
  mkdir "$root"
  tar -C "$root" -xf "$IMAGES/base.tar" ./usr ./bin ./sbin ./lib ./lib64 ./etc
  (
    cd "$root" || exit
    {
      printf '%s\n' bin sbin lib lib64 usr/sbin/{nft,conntrack,ipset} usr/sbin/*tables* usr/lib/*/xtables
      find etc/alternatives -name 'ip*tables*'
      chroot . sh -c 'ldd usr/sbin/xtables-*-multi usr/sbin/nft usr/sbin/conntrack usr/sbin/ipset usr/lib/*/xtables/*.so' |
        awk '{for (i = 1; i <= NF; i++) if ($i ~ "^/.*[^:]$") print $i}' | sort -u |
        while read -r library; do printf '%s\n' "usr$library" "$(chroot . readlink -f "$library" | cut -c2-)"; done
      find usr/lib/*/xtables -name '*.so'
    } | sort -u | tar --no-recursion -cf "$IMAGES/packet-filters.tar" -T -
  )
  rm -r "$root"
}

# The images that kubeadm will ask for. Kubernetes' components are one image under all their names: kubeadm gives the command.
write_component_images() {
  local layer=$IMAGES/layer names name
  local environment='"Env":["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]'
  new_directory "$layer/usr/local/bin"
  ln "$BIN/hyperkube" "$layer/usr/local/bin/"
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kindnetd; do ln -s hyperkube "$layer/usr/local/bin/$name"; done
  layer_of "$layer" "$IMAGES/hyperkube-layer.tar"
  names=$("$BIN/kubeadm" config images list --kubernetes-version "v$KUBERNETES_VERSION")
  write_archive "$IMAGES/hyperkube.tar" "$(grep -E '/(kube-|etcd)' <<<"$names" | paste -sd,),docker.io/kindest/kindnetd:remora" \
    "{$environment}" "$IMAGES/packet-filters.tar" "$IMAGES/hyperkube-layer.tar"
  write_binary_image coredns "$(grep coredns <<<"$names")"
  # The name is in kind's configuration of containerd.
  write_binary_image pause "$(sed -n 's/.*sandbox_image = "\(.*\)"/\1/p' "$(kind_files)/etc/containerd/config.toml")"
  rm -r "$layer" "$IMAGES/hyperkube-layer.tar"
}

# write_binary_image BINARY NAME: an image of one binary of $BIN, which is its entry point.
write_binary_image() {
  local layer=$IMAGES/$1-layer
  new_directory "$layer"
  ln "$BIN/$1" "$layer/"
  layer_of "$layer" "$layer.tar"
  write_archive "$IMAGES/$1.tar" "$2" "{\"Entrypoint\":[\"/$1\"]}" "$layer.tar"
  rm -r "$layer" "$layer.tar"
}

new_directory() {
  rm -rf "$1"
  mkdir -p "$1"
}

kind_files() { echo "$(module_directory "sigs.k8s.io/kind@v$KIND_VERSION")/images/base/files"; }

# The node's own layer: kind's files and ours above Debian, with the component images already in its containerd.
build_node_image() {
  local node=$IMAGES/node name
  write_component_images
  rm -rf "$node"
  mkdir -p "$node"/{usr/bin,usr/local/bin,opt/cni,kind/manifests,etc/kubernetes/manifests,etc/systemd/system/multi-user.target.wants,var/lib}
  cp -r --no-preserve=mode "$(kind_files)"/{etc,kind,usr} "$node/"
  chmod 755 "$node"/usr/local/bin/* "$node"/kind/bin/*
  ln "$BIN/hyperkube" "$node/usr/bin/"
  for name in kubeadm kubelet kubectl; do ln -s hyperkube "$node/usr/bin/$name"; done
  ln "$BIN/crictl" "$node/usr/local/bin/"
  ln -s /usr/bin/containerd "$node/usr/local/bin/containerd"
  ln -s /usr/lib/cni "$node/opt/cni/bin"
  for name in kubelet containerd undo-mount-hacks; do
    ln -s "/etc/systemd/system/$name.service" "$node/etc/systemd/system/multi-user.target.wants/"
  done
  # Without CAP_SYS_RESOURCE a sandbox's oom_score_adj of -998 is refused.
  sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$node/etc/containerd/config.toml"
  echo -n "v$KUBERNETES_VERSION" >"$node/kind/version"
  cp "$HERE/node/kindnet.yaml" "$node/kind/manifests/default-cni.yaml"
  preload "$node/var/lib/containerd" "$IMAGES"/{pause,coredns,hyperkube}.tar
  layer_of "$node" "$IMAGES/node-layer.tar"
  write_archive "$NODE_ARCHIVE" "$OWN_NODE_IMAGE" '{"Env":["container=docker","PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "StopSignal":"SIGRTMIN+3","Entrypoint":["/usr/local/bin/entrypoint","/sbin/init"]}' "$IMAGES/base.tar" "$IMAGES/node-layer.tar"
  rm -r "$node" "$IMAGES"/{node-layer,pause,coredns,hyperkube}.tar
}

# preload ROOT ARCHIVE...: imports into a containerd of which ROOT is the state; not unpacked, as kind does: a node unpacks at its start.
preload() (
  local root=$1 work=$IMAGES/containerd archive
  shift
  new_directory "$work"
  cat >"$work/config.toml" <<END
version = 2
root = "$root"
state = "$work/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$work/socket"
[ttrpc]
address = "$work/socket.ttrpc"
END
  containerd --config "$work/config.toml" >"$work/log" 2>&1 &
  # shellcheck disable=SC2064 # the pid of now
  trap "kill $!; wait $! || true" EXIT
  wait_until 30 "containerd, see $work/log" ctr --address "$work/socket" version >/dev/null 2>&1
  for archive; do
    ctr --address "$work/socket" --namespace k8s.io images import --all-platforms --no-unpack --digests "$archive" >/dev/null
  done
)

make_node_image() {
  mkdir -p "$IMAGES"
  made base build_base "$DEBIAN_SUITE" "$node_packages" "${node_clutter[*]}"
  made packet-filters build_packet_filters "$(stamp_of base)"
  made node-image build_node_image "$KIND_VERSION" "$KUBERNETES_VERSION" "$HERE/node/kindnet.yaml" "$(declare -f write_component_images write_binary_image preload write_archive layer_of)" \
    "$(stamp_of packet-filters)" "$(stamp_of crictl)" "$(stamp_of kubernetes)" "$(stamp_of coredns)" "$(stamp_of pause)"
}

build_fortio_image() { write_binary_image fortio "$FORTIO_IMAGE"; }

# An HTTP, gRPC and TCP server and client, for tests and examples.
make_fortio_image() {
  mkdir -p "$IMAGES"
  made fortio-image build_fortio_image "$FORTIO_IMAGE" "$(declare -f write_binary_image)" "$(stamp_of fortio)"
}
