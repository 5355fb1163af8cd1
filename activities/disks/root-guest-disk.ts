import type { PlannedRootDisk } from '../../domain/disk-plan.ts';
import { type DiskPlace, diskSource } from '../../domain/disk-source.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { resolveVirtType } from '../../hypervisor/libvirt/probe-kvm.ts';
import type { GuestDisk } from '../../hypervisor/programs/guestfish.ts';
import type { Host } from '../context/host.ts';

/**
 * A root disk as libguestfs' appliance is given it, and whether the appliance has to do without KVM: as the host's
 * guests do, and where these are no machines. Such a host is not set to use KVM, and one that boots the probe's small
 * guest may still hang with the appliance. Throws HostUnsuitable for a disk that the appliance cannot have.
 */
export async function rootGuestDisk(
  { configuration: { libvirt }, stateDirectory }: Host,
  disk: PlannedRootDisk,
  place: DiskPlace,
  signal: AbortSignal,
): Promise<{ readonly disk: GuestDisk; readonly forceTcg: boolean }> {
  const source = diskSource(disk, place);
  if (source.type !== 'file' && source.type !== 'block') {
    throw new EverbootFailure('HostUnsuitable', `root disks of ${source.type} cannot be changed or read from inside`);
  }
  const { virtType } = libvirt;
  const hasMachines = virtType !== 'lxc' && virtType !== 'uml';
  const forceTcg = !hasMachines || (await resolveVirtType(virtType, stateDirectory, signal)) === 'qemu';
  return { disk: { path: source.path, format: disk.format }, forceTcg };
}
