#!/bin/sh
# What setup/cloud-guest.sh changes in the guest's files before they become its disk: cloud-guest-inside.sh FOLDER
set -eu
guest=$1

# The drivers that lead to the disks, and the file systems of a config drive; all others would be unpacked for nothing.
printf 'MODULES=list\nCOMPRESS=gzip\n' >"$guest/etc/initramfs-tools/conf.d/small"
for module in virtio_pci virtio_blk virtio_scsi virtio_net sd_mod ata_piix sr_mod isofs vfat nls_ascii nls_cp437; do
  printf '%s\n' "$module" >>"$guest/etc/initramfs-tools/modules"
done
chroot "$guest" update-initramfs -u -k all

printf 'LABEL=cloudimg-rootfs / ext4 errors=remount-ro 0 1\n' >"$guest/etc/fstab"
# Without it cloud-init asks the addresses of every cloud that it knows, one after the other.
printf 'datasource_list: [ ConfigDrive, None ]\n' >"$guest/etc/cloud/cloud.cfg.d/90_dpkg.cfg"
# There are no locales to choose from, and one key of a host is enough: the others take an emulated processor long.
printf 'locale: false\nssh_genkeytypes: [ed25519]\n' >"$guest/etc/cloud/cloud.cfg.d/91_small.cfg"
printf 'debian\n' >"$guest/etc/hostname"
: >"$guest/etc/machine-id"
rm -f "$guest/etc/ssh/ssh_host_"*

chroot "$guest" systemctl enable serial-getty@ttyS0.service
for unit in systemd-timesyncd apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap fstrim.timer; do
  chroot "$guest" systemctl mask "$unit"
done
rm -rf "$guest"/var/cache/apt/* "$guest"/var/lib/apt/lists/*
