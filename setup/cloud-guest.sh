# shellcheck shell=sh disable=SC2154 # $root, $state, say, die and others are everboot's
# A whole Debian with cloud-init, as clouds offer it, for the tests that look at an instance from inside: a disk image that
# boots by itself, made of the distribution's packages alone, in about a minute and a half. Its Python modules are kept
# beside it, so that a test can ask its cloud-init without a boot: the package itself, once installed on a machine that is a
# cloud's instance, would set that machine up again when it boots next.

# Changes with whatever goes into the image, and with how it is made.
cloud_guest_recipe=1

# Other distributions have no packages to make it from; their tests say so.
is_debian() { grep -qx 'ID=debian' /etc/os-release 2>/dev/null; }

cloud_guest_is_there() {
  is_debian || return 0
  written=''
  read -r written 2>/dev/null <"$state/cloud-guest/recipe" || :
  [ "$written" = "$cloud_guest_recipe" ] && [ -e "$state/cloud-guest/disk.qcow2" ]
}

get_cloud_guest() {
  say 'making a Debian guest with cloud-init for the tests (about a minute and a half)'
  find_root_rights || die 'a Debian guest is made as root, so that its files are owned as they have to be'
  new=$state/cloud-guest.new
  # shellcheck disable=SC2086 # $as_root is a list
  $as_root rm -rf --one-file-system -- "$new"
  mkdir -p -- "$new"
  install_cloud_guest
  make_cloud_guest_root
  make_cloud_guest_boot
  make_cloud_guest_disk
  cp -r -- "$new/tree/usr/lib/python3/dist-packages" "$new/python"
  # shellcheck disable=SC2086 # $as_root is a list
  $as_root rm -rf --one-file-system -- "$new/tree"
  rm -f -- "$new/root" "$new/boot" "$new/disk"
  printf '%s\n' "$cloud_guest_recipe" >"$new/recipe"
  rm -rf -- "$state/cloud-guest"
  mv -- "$new" "$state/cloud-guest"
}

# Unpacks and sets up the packages in $new/tree.
install_cloud_guest() {
  suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  # shellcheck disable=SC2016 # $(REPO_URI) is apt's
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" 'Created-By: Packages' | head -n 1)
  guest_packages=linux-image-cloud-amd64,systemd-sysv,udev,dbus,kmod,zstd,e2fsprogs
  # cloud-init has ifupdown set routes with net-tools' route.
  guest_packages=$guest_packages,cloud-init,cloud-guest-utils,ifupdown,net-tools,iproute2,openssh-server,sudo
  # shellcheck disable=SC2086 # $as_root is a list
  logged cloud-guest.log $as_root mmdebstrap --variant=minbase --mode=root --format=directory --components=main \
    --include="$guest_packages" \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --customize-hook="sh '$root/setup/cloud-guest-inside.sh' \"\$1\"" \
    "$suite" "$new/tree" "${mirror:-http://deb.debian.org/debian}"
}

# mke2fs fills the file system itself, so that nothing has to be mounted.
make_cloud_guest_root() {
  truncate -s 1000M "$new/root"
  # shellcheck disable=SC2086 # $as_root is a list
  logged cloud-guest-root.log $as_root mke2fs -q -F -t ext4 -L cloudimg-rootfs -d "$new/tree" "$new/root"
}

# A FAT partition with syslinux, which the BIOS can read.
make_cloud_guest_boot() {
  truncate -s 63M "$new/boot"
  mkfs.vfat -n BOOT -h 2048 "$new/boot" >/dev/null
  syslinux --install "$new/boot"
  printf '%s\n' 'DEFAULT linux' 'PROMPT 0' 'LABEL linux' '  KERNEL vmlinuz' '  INITRD initrd' \
    '  APPEND root=LABEL=cloudimg-rootfs ro console=ttyS0 net.ifnames=0' | mcopy -i "$new/boot" - ::syslinux.cfg
  for file in "$new/tree/boot/vmlinuz-"*; do mcopy -i "$new/boot" "$file" ::vmlinuz; done
  for file in "$new/tree/boot/initrd.img-"*; do mcopy -i "$new/boot" "$file" ::initrd; done
}

make_cloud_guest_disk() {
  truncate -s 1064M "$new/disk"
  printf '%s\n' 'label: dos' 'start=2048, size=63MiB, type=6, bootable' 'start=64MiB, size=1000MiB, type=83' |
    sfdisk -q "$new/disk"
  dd if=/usr/lib/syslinux/mbr/mbr.bin of="$new/disk" bs=440 count=1 conv=notrunc status=none
  dd if="$new/boot" of="$new/disk" bs=1M seek=1 conv=notrunc,sparse status=none
  dd if="$new/root" of="$new/disk" bs=1M seek=64 conv=notrunc,sparse status=none
  qemu-img convert -f raw -O qcow2 -c -m 2 "$new/disk" "$new/disk.qcow2"
}
