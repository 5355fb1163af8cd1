import { readFile } from 'node:fs/promises';
import type { Claim } from '../domain/claim.ts';
import type { Configuration } from '../domain/configuration.ts';
import { EverbootFailure } from '../domain/failures.ts';
import type { DomainOrder } from '../domain/host-activities.ts';
import { type HostPaths, instanceDirectory } from '../domain/host-paths.ts';
import { removeFile } from '../hypervisor/files/small-file.ts';
import { withInstanceLock } from '../hypervisor/instance/instance-lock.ts';
import { readInstanceRecord } from '../hypervisor/instance/instance-record.ts';
import {
  defineDomain as define,
  domainState,
  removeDomain as remove,
  startDomain as start,
} from '../hypervisor/libvirt/libvirt.ts';
import { checkVolume } from '../hypervisor/volumes/check-volume.ts';
import type { Host } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';
import { fenceOperation } from './fencing/fence-operation.ts';

/**
 * Defines the instance's domain from the libvirt.xml that was written when the directory was reserved. Its volumes are
 * looked at once more, see `checkVolumesAgain`. Throws OperationSuperseded where the operation has ended or gone to
 * another host.
 */
export async function defineDomain(
  { configuration, paths }: Host,
  { claim, volumes }: DomainOrder,
): Promise<{ readonly domain: string }> {
  return await withWorkControl(({ signal }) =>
    withInstanceLock(paths, claim.instanceId, { shared: true, signal }, async () => {
      await fenceOperation(claim);
      await checkVolumesAgain(configuration, { claim, volumes });
      const xml = await readFile(`${instanceDirectory(paths, claim.instanceId)}/libvirt.xml`, 'utf8');
      return { domain: await define(configuration.libvirt.connectionUri, xml, claim) };
    }),
  );
}

/**
 * Starts the domain; one that runs already is left alone. Throws OperationSuperseded where the operation has ended or
 * gone to another host: it may have done so in the very moment of the start, so that is asked before and after it, and
 * a guest that nobody wants is taken away at once; it may be one of an earlier attempt, too.
 */
export async function startDomain({ configuration, paths }: Host, { claim, volumes }: DomainOrder): Promise<void> {
  await withWorkControl(({ signal }) =>
    withInstanceLock(paths, claim.instanceId, { shared: true, signal }, async () => {
      const { connectionUri } = configuration.libvirt;
      await removeUnlessWanted(paths, connectionUri, claim);
      await checkVolumesAgain(configuration, { claim, volumes });
      await start(connectionUri, claim);
      await removeUnlessWanted(paths, connectionUri, claim);
    }),
  );
}

/** An operation that has ended well has left the guest to live: a late step of it takes nothing away. */
async function removeUnlessWanted(paths: HostPaths, connectionUri: string, claim: Claim): Promise<void> {
  try {
    await fenceOperation(claim);
  } catch (error) {
    const record = await readInstanceRecord(paths, claim.instanceId);
    const isReady = record?.state === 'ready' && record.claim.operationId === claim.operationId;
    const isSuperseded = error instanceof EverbootFailure && error.code === 'OperationSuperseded';
    if (isSuperseded && !isReady) await remove(connectionUri, claim);
    throw error;
  }
}

/**
 * A long time may lie between the plan and the guest, with a restart of the host in it: a name may lead to another disk
 * by now, the host may have taken one into use, or its operator off the list. A guest that runs has its volumes
 * already.
 */
async function checkVolumesAgain(
  { host, libvirt }: Configuration,
  { claim, volumes = [] }: { readonly claim: Claim; readonly volumes: DomainOrder['volumes'] },
): Promise<void> {
  if (volumes.length === 0 || (await domainState(libvirt.connectionUri, claim.instanceId)) === 'running') return;
  for (const volume of volumes) await checkVolume(volume, { settings: host, minDiskGb: 0 });
}

/**
 * Stops and forgets the domain, if it carries this operation's claim. Absence is success. It waits for a step that
 * defines or starts it, and that was abandoned. One that comes later still finds no libvirt.xml to define it by: the
 * operation runs until its undo is done, so that Temporal would not turn it away.
 */
export async function removeDomain(
  { configuration, paths }: Host,
  { claim }: { readonly claim: Claim },
): Promise<void> {
  await withWorkControl(({ signal }) =>
    withInstanceLock(paths, claim.instanceId, { shared: false, signal }, async () => {
      const record = await readInstanceRecord(paths, claim.instanceId);
      if (record?.claim.operationId === claim.operationId) {
        await removeFile(`${instanceDirectory(paths, claim.instanceId)}/libvirt.xml`);
      }
      await remove(configuration.libvirt.connectionUri, claim);
    }),
  );
}
