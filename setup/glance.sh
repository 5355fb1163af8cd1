# shellcheck shell=sh disable=SC2154 # $root, $state, say and others are everboot's
# A real Glance and a real Keystone for the tests, in a virtual environment with the versions of a constraints file.

glance_constraints=$root/test/fixtures/glance/constraints.txt

# A virtual environment cannot be moved, so it is made in its place, and the copy of the constraints that makes it count
# is written last.
glance_is_there() { cmp -s "$glance_constraints" "$state/glance/constraints.txt"; }

get_glance() {
  say 'installing Glance and Keystone for the tests (about a minute)'
  rm -rf -- "$state/glance"
  make_venv "$state/glance"
  logged glance-install.log "$state/glance/bin/pip" install --disable-pip-version-check \
    --prefer-binary -c "$glance_constraints" glance keystone gunicorn
  cp -- "$glance_constraints" "$state/glance/constraints.txt"
}
