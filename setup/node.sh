# shellcheck shell=sh disable=SC2154 # $root, $state, die and others are everboot's
# Node and the npm packages. npm's own `node` package brings Node 24 into the checkout, so that any Node which can run
# npm is enough on the machine.

# Part of the stamp: a change of how the packages are installed changes it.
npm_recipe=2

npm_stamp() {
  hash=$(sha256sum <"$root/package-lock.json") || return 1
  printf '%s %s' "$npm_recipe" "${hash%% *}"
}

npm_is_there() {
  [ -d "$root/node_modules" ] || return 1
  written=''
  if [ -f "$root/node_modules/.everboot-setup" ]; then
    # The stamp has no line end, at which read says "end of file" though it has read it.
    read -r written <"$root/node_modules/.everboot-setup" || :
  fi
  [ "$written" != "$(npm_stamp)" ] || return 0
  # Somebody who ran npm himself since the lock file changed has what is needed.
  installed=$root/node_modules/.package-lock.json
  [ -n "$(find "$installed" -newer "$root/package-lock.json" 2>/dev/null)" ]
}

get_npm() {
  # The checkout may be shared by several state folders, whose locks do not know each other.
  exec 8<"$root/package-lock.json"
  flock 8
  if npm_is_there; then
    exec 8<&-
    return 0
  fi
  say 'installing the npm packages (about a minute)'
  find_node_headers
  [ -z "$node_headers" ] || export npm_config_nodedir="$node_headers"
  avoid_second_node
  (cd -- "$root" && logged npm-ci.log npm ci --no-audit --no-fund)
  npm_stamp >"$root/node_modules/.everboot-setup"
  exec 8<&-
}

# Sets $node_headers to the folder with include/node where the machine's Node brought its headers, else to nothing, and
# npm fetches them from nodejs.org. The bindings use Node-API, so headers of another version do as well.
find_node_headers() {
  node_headers=''
  found=$(command -v node) || return 0
  prefix=$(readlink -f -- "$found")
  prefix=${prefix%/bin/*}
  if [ -e "$prefix/include/node/node_api.h" ]; then node_headers=$prefix; fi
}

# Debian's Node is a library, and its node-gyp links every binding with it. Loaded into npm's Node, such a binding brings
# a second Node into the process, which ends with a crash. A binding finds what it needs in the Node that loads it, so
# the linker is given an empty library of that name.
avoid_second_node() {
  mkdir -p -- "$state/no-node"
  printf '/* nothing */\n' >"$state/no-node/libnode.so"
  LDFLAGS="-L$state/no-node ${LDFLAGS:-}"
  export LDFLAGS
}

# Sets $node to one that runs TypeScript as it is and honours a proxy: the checkout's, else the machine's.
find_node() {
  node=$root/node_modules/.bin/node
  [ ! -x "$node" ] || return 0
  node=$(command -v node) || die 'there is no Node; install Node 24'
  version=$("$node" --version)
  is_new_enough "${version#v}" ||
    die "Node $version does not do: 22.21, 24.5 or later is needed. Run: cd $root && npm ci"
}

# The same as `engines` in package.json: older ones ignore a proxy in silence.
is_new_enough() {
  major=${1%%.*} minor=${1#*.}
  minor=${minor%%.*}
  case $major in
    22) [ "$minor" -ge 21 ] ;;
    24) [ "$minor" -ge 5 ] ;;
    *) [ "$major" -gt 24 ] ;;
  esac
}
