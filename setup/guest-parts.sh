# shellcheck shell=sh disable=SC2154 # $state, say, die and others are everboot's
# What a small guest is made of: the distribution's kernel for clouds and a static busybox. Both are unpacked beside the
# host's own, since a host must not get another kernel, nor lose its busybox to the static one, for the sake of a demo.

# Changes with what is unpacked.
guest_recipe=1

guest_parts_is_there() {
  [ -d "$state/guest/root" ] || return 1
  written=''
  read -r written <"$state/guest/recipe" || :
  [ "$written" = "$guest_recipe" ]
}

get_guest_parts() {
  say 'getting a kernel and a busybox for a small guest'
  command -v apt-get >/dev/null 2>&1 || die 'a small guest can be made on Debian or Ubuntu only'
  new=$state/guest.new
  rm -rf -- "$new"
  mkdir -p -- "$new/packages" "$new/root/bin"
  if ! find_kernel_packages; then
    find_root_rights || die 'the package lists are empty. As root, run: apt-get update'
    refresh_package_lists
    find_kernel_packages || die 'the distribution has no kernel package that is known here: linux-image-cloud-amd64'
  fi
  # shellcheck disable=SC2086 # $kernel_packages is a list
  (cd -- "$new/packages" && logged guest-download.log apt-get download $kernel_packages busybox-static)
  for package in "$new/packages/"*.deb; do dpkg-deb -x "$package" "$new/root"; done
  rm -rf -- "$new/packages"
  # Distributions have it in one of two folders.
  [ -e "$new/root/bin/busybox" ] || ln -s ../usr/bin/busybox "$new/root/bin/busybox"
  # Where /lib is a link on the distribution, its packages may say /usr/lib; depmod and modprobe look in /lib.
  [ -e "$new/root/lib" ] || ln -s usr/lib "$new/root/lib"
  for modules in "$new/root/lib/modules/"*; do depmod -b "$new/root" "${modules##*/}"; done
  printf '%s\n' "$guest_recipe" >"$new/recipe"
  rm -rf -- "$state/guest"
  mv -- "$new" "$state/guest"
}

# Sets $kernel_packages to the packages behind the distribution's name for its newest kernel. Debian's holds the modules
# itself, Ubuntu's comes in two.
find_kernel_packages() {
  for name in linux-image-cloud-amd64 linux-image-virtual; do
    kernel_packages=$(depends_on "$name" 'linux-image-[0-9]')
    [ -n "$kernel_packages" ] || continue
    kernel_packages="$kernel_packages $(depends_on "$kernel_packages" 'linux-modules-[0-9]')"
    return 0
  done
  return 1
}

# The first dependency of a package's newest version whose name begins so: depends_on PACKAGE PATTERN
depends_on() {
  apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Depends: //p' | tr , '\n' |
    sed -n "s/^ *\\($2[^ ]*\\).*/\\1/p" | head -n 1
}
