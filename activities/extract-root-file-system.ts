import { containerRootName } from '../domain/container-root.ts';
import { diskSource } from '../domain/disk-source.ts';
import { EverbootFailure } from '../domain/failures.ts';
import type { RootDiskOrder } from '../domain/host-activities.ts';
import { resolveVirtType } from '../hypervisor/probe-kvm.ts';
import { makeRootFileSystem, rootRoomBytes } from '../hypervisor/root-file-system/make-root-file-system.ts';
import { keepingReserve } from '../hypervisor/space-guard.ts';
import type { Host } from './host.ts';
import { makingDisk } from './make-disk.ts';

/** Makes the folder that is a container's root from its root disk, after everything was injected into that. */
export async function extractRootFileSystem(host: Host, { claim, disk, base }: RootDiskOrder): Promise<void> {
  const { libvirt, host: limits } = host.configuration;
  // The image's files are no more than it holds; that the disk is larger gives them no more room.
  const bytes = base?.virtualSizeBytes ?? 0;
  const work = { claim, name: containerRootName, bytes: rootRoomBytes(bytes) };
  await makingDisk(host, work, async ({ directory, heldLocks }, control) => {
    const source = diskSource(disk, { instanceId: claim.instanceId, directory, settings: libvirt });
    if (source.type !== 'file' && source.type !== 'block') {
      throw new EverbootFailure('InternalError', `a container’s root was planned from a disk of ${source.type}`);
    }
    const root = { disk: { path: source.path, format: disk.format }, bytes };
    await keepingReserve(directory, limits.reservedDiskMb * 2 ** 20, control, async (kept) => {
      // What the appliance runs under has nothing to do with what the host's guests do.
      const forceTcg = (await resolveVirtType('auto', host.stateDirectory, kept.signal)) !== 'kvm';
      await makeRootFileSystem(`${directory}/${containerRootName}`, root, { ...kept, heldLocks, forceTcg });
    });
  });
}
