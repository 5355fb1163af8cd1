# shellcheck shell=sh disable=SC2154 # say, die and others are everboot's
# libvirt's daemon. A package starts it where systemd runs; in a container nobody does.

libvirtd_is_there() { kvm_is_open && libvirtd_answers; }

# Opening a connection is enough: other questions, such as for versions, can make libvirt start every QEMU first.
libvirtd_answers() {
  timeout 10 virsh -c "${EVERBOOT_LIBVIRT_CONNECTION_URI:-qemu:///system}" uri >/dev/null 2>&1
}

# Where no udev runs, /dev/kvm stays root's alone. libvirt then finds KVM, but its QEMUs do not, and it starts every QEMU
# again for each domain that is defined, to find out why.
kvm_is_open() {
  [ -e /dev/kvm ] && [ ! -d /run/systemd/system ] || return 0
  case $(stat -c '%G %A' /dev/kvm) in 'kvm crw-rw'* | *' crw-rw-rw-') return 0 ;; esac
  return 1
}

get_libvirtd() {
  find_root_rights || die 'libvirt does not answer. As root, run: systemctl start libvirtd'
  if ! kvm_is_open; then
    say 'opening /dev/kvm to the group kvm, as udev would'
    # shellcheck disable=SC2086 # $as_root is a list
    if ! { $as_root chgrp kvm /dev/kvm && $as_root chmod 660 /dev/kvm; }; then say 'that failed; boots may be slow'; fi
    ! libvirtd_answers || return 0
  fi
  if [ -d /run/systemd/system ]; then
    say 'libvirt does not answer: starting libvirtd'
    # shellcheck disable=SC2086 # $as_root is a list
    logged libvirtd.log $as_root systemctl start libvirtd
  else
    say 'libvirt does not answer and systemd does not run: starting virtlogd and libvirtd'
    # Daemons would hold the lock of this set-up for as long as they live. A virtlogd that runs already is no failure.
    # shellcheck disable=SC2086 # $as_root is a list
    {
      $as_root mkdir -p /run/libvirt
      $as_root virtlogd -d 2>/dev/null || :
      logged libvirtd.log $as_root libvirtd -d
    } 9>&-
  fi
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    if libvirtd_answers; then
      # libvirt starts every QEMU once to learn what it can do, and would do so in the middle of the first boot.
      timeout 120 virsh -c "${EVERBOOT_LIBVIRT_CONNECTION_URI:-qemu:///system}" capabilities >/dev/null 2>&1 || :
      return 0
    fi
    sleep 1
  done
  die "libvirtd was started and does not answer $(id -un), who has to be root or in the group libvirt." \
    'Its log may say more: journalctl -u libvirtd'
}

hint_at_libvirtd() {
  libvirtd_answers || say 'libvirt does not answer yet; boots wait for it. As root, run: systemctl start libvirtd'
}
