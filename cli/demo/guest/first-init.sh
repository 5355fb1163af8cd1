#!/bin/busybox sh
# The first program in the demo's guest: loads what is needed to see the disks, then hands over to the root disk.

/bin/busybox mkdir -p /dev /proc /sys /root /sbin
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox --install -s /bin
exec >/dev/ttyS0 2>&1

# Their names begin with their order. One that does not fit this machine is no failure.
for module in /modules/*; do insmod "$module" 2>/dev/null; done

# Devices show up when their driver has looked at them, a moment after it was loaded.
tries=0
until root=$(findfs LABEL=cloudimg-rootfs 2>/dev/null); do
  tries=$((tries + 1))
  if [ "$tries" -gt 100 ]; then
    echo 'everboot-report: failed no disk has a file system labelled cloudimg-rootfs'
    poweroff -f
  fi
  sleep 0.1
done
if ! mount -t ext4 "$root" /root; then
  echo "everboot-report: failed $root cannot be mounted"
  poweroff -f
fi
for folder in dev proc sys; do mount --move "/$folder" "/root/$folder"; done
exec switch_root /root /sbin/init
