import { domainXml } from '../domain/domain-xml.ts';
import type { InstanceRequest } from '../domain/host-activities.ts';
import { type InstanceRecord, isWithoutDomain } from '../domain/instance-record.ts';
import { refuseForeignInterfaces } from '../domain/interface-rules.ts';
import type { InstancePlan } from '../domain/operations.ts';
import { plannedStorage, settingsOfInstance } from '../domain/outside-storage.ts';
import { refuseForeignVolume } from '../domain/volume-rules.ts';
import { removeOutsideDisks } from '../hypervisor/backends/backend-of.ts';
import { publishText } from '../hypervisor/files/publish-file.ts';
import { resolveCacheMode } from '../hypervisor/host/cache-mode.ts';
import { prepareFolders } from '../hypervisor/host/prepare-host.ts';
import { makeConsoleLog } from '../hypervisor/instance/console-log.ts';
import { withInstanceLock } from '../hypervisor/instance/instance-lock.ts';
import { readInstanceRecord } from '../hypervisor/instance/instance-record.ts';
import { reserveDirectory } from '../hypervisor/instance/reserve-directory.ts';
import { removeDomain } from '../hypervisor/libvirt/libvirt.ts';
import { resolveVirtType } from '../hypervisor/libvirt/probe-kvm.ts';
import type { Host } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';
import { fenceOperation } from './fencing/fence-operation.ts';

/**
 * Takes the instance's directory, with its record, and puts the domain's XML and an empty console log into it. All of
 * it before any disk is made, as Nova does, and whatever the boot mode: so an operator sees what was meant. Throws
 * OperationSuperseded where the operation has ended or gone to another host.
 */
export async function reserveInstance(
  host: Host,
  { request, plan }: { readonly request: InstanceRequest; readonly plan: InstancePlan },
): Promise<void> {
  const { claim, spec, flavor, specDigest } = request;
  const { configuration, paths } = host;
  // The plan has been through Temporal, and its volumes get into the domain's XML as they are.
  for (const { source } of plan.disks.volumes ?? []) refuseForeignVolume(source, configuration.host);
  refuseForeignInterfaces(spec.interfaces, configuration.host);
  await withWorkControl(async (control) => {
    const { signal } = control;
    const virtType = await resolveVirtType(configuration.libvirt.virtType, host.stateDirectory, signal);
    await prepareFolders(paths);
    await withInstanceLock(paths, claim.instanceId, { shared: false, signal }, async ({ descriptor }) => {
      // A zombie attempt would clear what a later operation is building.
      await fenceOperation(claim);
      const record = {
        version: 1,
        claim,
        name: spec.name,
        host: configuration.host.name,
        specDigest,
        cacheNames: plan.bases.map(({ cacheName }) => cacheName),
        storage: plannedStorage(plan.disks, configuration.libvirt),
        ...(plan.define ? {} : { domain: false as const }),
        state: 'building',
        createdAt: new Date().toISOString(),
      } as const;
      const clearingSlots = configuration.host.maxConcurrentDiskOps;
      const removing = { ...control, heldLocks: [descriptor], clearingSlots };
      const clearBefore = async (earlier: InstanceRecord): Promise<void> => {
        const settings = settingsOfInstance(configuration.libvirt, earlier);
        if (!isWithoutDomain(earlier)) await removeDomain(settings.connectionUri, earlier.claim);
        await removeOutsideDisks(settings, earlier.claim, removing);
      };
      const directory = await reserveDirectory(paths, record, clearBefore, removing);
      const image = plan.image ?? plan.bases.find(({ role }) => role === 'root')?.image;
      const cacheMode = await resolveCacheMode(directory);
      // An earlier attempt may have written the record before the host was set to something else.
      const reserved = await readInstanceRecord(paths, claim.instanceId);
      const description = {
        claim,
        spec,
        flavor,
        plan: plan.disks,
        directory,
        settings: settingsOfInstance(configuration.libvirt, reserved),
        virtType,
        image: image ?? null,
        cacheMode,
      };
      const xml = domainXml(description);
      await publishText(`${directory}/libvirt.xml`, xml, 0o640);
      await makeConsoleLog(`${directory}/console.log`);
    });
  });
}
