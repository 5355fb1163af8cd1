# shellcheck shell=sh disable=SC2154 # $state and others are everboot's
# Python, for what is on PyPI only.

# Sets $python to one that can make virtual environments. Debian's can once python3-venv is installed; one that somebody
# put before it on the path may not.
find_python() {
  for python in python3 /usr/bin/python3; do
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return 0
  done
  return 1
}

# Makes a virtual environment, which brings a pip of its own: make_venv FOLDER
make_venv() {
  find_python || die 'Python cannot make virtual environments: install python3-venv'
  logged venv.log "$python" -m venv "$1"
}
