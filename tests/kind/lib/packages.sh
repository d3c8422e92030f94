# shellcheck shell=bash
# Debian's packages: installed where that is possible (root on Debian), named where it is not.

# need_packages NAME...
need_packages() {
  local package missing=()
  for package; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  [[ $EUID == 0 ]] && command -v apt-get >/dev/null || die "these Debian packages are needed: ${missing[*]}"
  timed "installed ${missing[*]}" install_packages "${missing[@]}"
}

# docker.io would start its daemon, which changes the machine's firewall. Ours runs elsewhere (lib/engine.sh), so services stay off
# while we install.
install_packages() {
  local policy=/usr/sbin/policy-rc.d made=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    made=yes
  fi
  local status=0
  apt-get update -qq >/dev/null || status=$?
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null || status=$?
  [[ -z $made ]] || rm -f $policy
  ((status == 0)) || die "apt-get install $* failed"
}

need_go() {
  command -v go >/dev/null || die "Go is needed (1.26.8 or newer, or any that downloads its toolchain): https://go.dev/dl"
}
