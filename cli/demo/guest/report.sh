#!/bin/sh
# Started by init in the demo's guest: reports on the console, for everboot to read, the devices and the metadata that this machine sees.

busybox --install -s /bin
exec >/dev/ttyS0 2>&1
# The kernel's own words would get in between.
dmesg -n 1

say() { echo "everboot-report: $*"; }

# Some bytes of a device, as text: bytes DEVICE OFFSET COUNT
bytes() { dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null | tr -d '\000'; }

# Sets $type and $label to what is on a device. Each file system keeps both in places of its own.
look_at() {
  type='' label=''
  if [ "$(bytes "$1" 1080 2 | od -A n -t x1 | tr -d ' ')" = 53ef ]; then
    type=ext label=$(bytes "$1" 1144 16)
  elif [ "$(bytes "$1" 4086 10)" = SWAPSPACE2 ]; then
    type=swap label=$(bytes "$1" 1052 16)
  elif [ "$(bytes "$1" 32769 5)" = CD001 ]; then
    type=iso9660 label=$(bytes "$1" 32808 32)
  elif [ "$(bytes "$1" 54 3)" = FAT ]; then
    type=vfat label=$(bytes "$1" 43 11)
  elif [ "$(bytes "$1" 0 4)" = XFSB ]; then
    type=xfs label=$(bytes "$1" 108 12)
  fi
  # ISO 9660 and FAT fill a label up with blanks.
  label=$(echo "$label" | sed 's/ *$//')
}

mount -o remount,rw /
mkdir -p /mnt/config
config=''
for entry in /sys/class/block/*; do
  name=${entry##*/}
  case $name in loop* | ram* | fd* | zram*) continue ;; esac
  size=$(($(cat "$entry/size") * 512))
  [ "$size" -gt 0 ] || continue
  look_at "/dev/$name"
  say "disk $name $size type=$type label=$label"
  case $type:$label in
    swap:*) swapon "/dev/$name" ;;
    iso9660:config-2 | vfat:config-2 | vfat:CONFIG-2) config=/dev/$name ;;
  esac
done

# /proc/swaps has a headline, and sizes in KiB.
sed 1d /proc/swaps | while read -r device _ kibibytes _; do
  say "swap ${device##*/} $((kibibytes * 1024))"
done

if [ -n "$config" ] && mount -o ro "$config" /mnt/config; then
  metadata=$(cat /mnt/config/openstack/latest/meta_data.json)
  name=$(echo "$metadata" | sed -n 's/.*"hostname": *"\([^"]*\)".*/\1/p')
  [ -z "$name" ] || hostname "$name"
  say "hostname $(hostname)"
  echo "$metadata" | grep -oE '"(ssh|ecdsa|sk)-[^"]*"' | tr -d '"' | sort -u | while read -r key; do
    say "ssh-key $key"
  done
  umount /mnt/config
fi
say 'done'
