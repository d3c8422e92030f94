# shellcheck shell=bash
# Image archives in Docker's format, which `docker load`, `ctr images import` and `kind load image-archive` take, from tar files of layers.
# `docker import` would do for a layer, but cannot set the stop signal that a systemd node needs.

# write_archive OUT NAME[,NAME...] CONFIG-JSON LAYER.tar...
write_archive() {
  local out=$1 names=$2 config=$3 dir layer id diff_ids='' files='' name
  shift 3
  dir=$(mktemp -d "$out.XXXXXX")
  for layer; do
    id=$(sha256sum "$layer" | cut -d' ' -f1)
    ln "$layer" "$dir/$id.tar"
    diff_ids+="${diff_ids:+,}\"sha256:$id\"" files+="${files:+,}\"$id.tar\""
  done
  printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}' "$(go env GOARCH)" "$config" "$diff_ids" >"$dir/config"
  name=$(sha256sum "$dir/config" | cut -d' ' -f1).json
  mv "$dir/config" "$dir/$name"
  printf '[{"Config":"%s","RepoTags":["%s"],"Layers":[%s]}]' "$name" "${names//,/\",\"}" "$files" >"$dir/manifest.json"
  tar -C "$dir" -cf "$out" .
  rm -r "$dir"
}

# layer_of DIRECTORY OUT: a layer with everything owned by root.
layer_of() { tar -C "$1" --sort=name --owner=0 --group=0 -cf "$2" .; }
