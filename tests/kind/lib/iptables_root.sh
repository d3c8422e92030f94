# shellcheck shell=bash
# iptables as an image has it: programs, the libraries that they are linked to, and the extensions that our rules are made of; nothing
# else, not even a shell.

# The words of init-redirect/src/backend/iptables/ruleset.rs.
EXTENSIONS=(libxt_standard libxt_tcp libxt_udp libxt_multiport libxt_owner libxt_conntrack libxt_u32 libxt_REDIRECT libxt_CT libipt_REJECT libip6t_REJECT)

# stage_iptables ROOT: puts them below ROOT, at the paths where they look for each other.
stage_iptables() {
  local root=$1 variant program family tool file
  for variant in nft legacy; do
    program=/usr/sbin/xtables-$variant-multi
    place "$program" "$root"
    for family in iptables ip6tables; do
      for tool in save restore; do ln -s "xtables-$variant-multi" "$root/usr/sbin/$family-$variant-$tool"; done
    done
    # "NAME => FILE (ADDRESS)", and the linker itself without an arrow.
    while read -r file; do place "$file" "$root"; done < <(ldd "$program" | grep --only-matching '/[^ ]*')
  done
  for file in "${EXTENSIONS[@]}"; do place "$(extension_directory)/$file.so" "$root"; done
}

# place FILE ROOT: a copy at the same path; of a link, what it leads to.
place() {
  [[ -e $1 ]] || die "$1 is missing: Debian's package iptables has it"
  install -D --mode=0755 "$1" "$2$1"
}

# Compiled into the programs.
extension_directory() {
  local directory
  for directory in /usr/lib/*/xtables /usr/lib64/xtables /usr/lib/xtables; do
    [[ ! -e $directory/libxt_tcp.so ]] || { echo "$directory"; return; }
  done
  die "iptables' extensions are nowhere below /usr/lib: Debian's package iptables has them"
}
