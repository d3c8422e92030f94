# shellcheck shell=bash
# A small make(1): a thing is made again when the text of its recipe or any of its inputs changed, whatever their dates say.

# made NAME RECIPE INPUT...: inputs are files (by content) or words (by themselves). RECIPE is a function without arguments.
made() {
  local name=$1 recipe=$2 stamp=$KIND_HOME/stamps/$1 key
  shift 2
  key=$(fingerprint "$recipe" "$@")
  [[ -f $stamp && $(<"$stamp") == "$key" ]] && return
  rm -f "$stamp"
  timed "made $name" "$recipe"
  mkdir -p "${stamp%/*}"
  echo "$key" >"$stamp"
}

fingerprint() {
  local input
  {
    declare -f "$1"
    shift
    for input; do
      if [[ -f $input ]]; then sha256sum <"$input"; else echo "$input"; fi
    done
  } | sha256sum
}

# stamp_of NAME: the key with which NAME was made, as an input of what is built upon it.
stamp_of() { cat "$KIND_HOME/stamps/$1"; }

# Between these nobody else makes anything in the same place.
begin_making() {
  mkdir -p "$KIND_HOME"
  exec 8<"$KIND_HOME"
  flock 8
}

end_making() { exec 8<&-; }
