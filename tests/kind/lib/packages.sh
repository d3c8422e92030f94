# shellcheck shell=bash
# What has to be there before anything is built.

# Debian's packages, with services kept from starting: docker.io's daemon would change the machine's firewall, and ours runs elsewhere
# (lib/engine.sh).
need_packages() {
  local policy=/usr/sbin/policy-rc.d status=0
  if [[ $EUID != 0 || -e $policy ]]; then
    "$HERE/../packages" "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
  "$HERE/../packages" "$@" || status=$?
  rm -f $policy
  return $status
}

need_go() {
  command -v go >/dev/null || die "Go is needed (1.26.8 or newer, or any that downloads its toolchain): https://go.dev/dl"
}
