import { deviceModels } from '../domain/device-models.ts';
import type { DiskPlan, RbdSnapshot } from '../domain/disk-plan.ts';
import { EverbootFailure } from '../domain/failures.ts';
import type { InstanceRequest, PlannedInstance } from '../domain/host-activities.ts';
import { instanceDirectory, isInstanceId } from '../domain/host-paths.ts';
import type { BaseImageOrder, ImageDescription, ImageReference, ImageRole } from '../domain/image.ts';
import { refuseForeignInterfaces } from '../domain/interface-rules.ts';
import type { InstanceResult } from '../domain/operations.ts';
import { parseFlavor, parseSealedSpec } from '../domain/parse-spec.ts';
import { planDisks } from '../domain/plan-disks.ts';
import { planInjection, plansGrowth } from '../domain/plan-injection.ts';
import { refuseUnattachableDisks } from '../domain/unattachable-disks.ts';
import { checkVolumeGroup } from '../hypervisor/backends/lvm-volume.ts';
import { findCloneSource } from '../hypervisor/backends/rbd-clone-source.ts';
import { imageStore } from '../hypervisor/image-store/image-store.ts';
import { readInstanceRecord } from '../hypervisor/instance/instance-record.ts';
import { nodeInfo } from '../hypervisor/libvirt/libvirt.ts';
import { describeImage } from '../hypervisor/sources/describe-image.ts';
import { checkVolume } from '../hypervisor/volumes/check-volume.ts';
import { type Host, imageSourcesOf } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';
import { hasPendingCleanup } from './fencing/pending-cleanup.ts';

/**
 * Decides everything before anything is made: which images, which disks, which files. Makes nothing. The spec is
 * checked again here, because anyone who may start workflows can hand one in; paths are built from nothing that was not
 * checked.
 *
 * Throws what the sources say of the images, FlavorDiskTooSmall, FlavorMemoryTooSmall, HostUnsuitable, InstanceExists,
 * InstanceBusy for a ready instance that a deferred cleanup is about to remove, LibvirtUnavailable and, where disks are
 * kept in Ceph, StorageUnavailable.
 */
export async function planInstance(host: Host, request: InstanceRequest): Promise<PlannedInstance> {
  const { claim } = request;
  const spec = parseSealedSpec({ ...request.spec, secrets: {} });
  const flavor = parseFlavor(request.flavor);
  if (claim.instanceId !== spec.id || !isInstanceId(claim.operationId)) {
    throw new EverbootFailure(
      'SpecInvalid',
      'the operation’s id must be a UUID in lower case, and its claim the spec’s',
    );
  }
  const ready = await readyResult(host, request);
  // The existing result is returned again, whatever the host would make of the same request today.
  if (ready !== null) return { plan: null, ready };
  const { libvirt, configDrive } = host.configuration;
  // Asked before anything is made: what a silent libvirt knows of a domain, no undo could find out.
  if (spec.boot !== 'disks') await withWorkControl(() => nodeInfo(libvirt.connectionUri));

  const images = await describeImages(host, request);
  // Else an unknown value would show only when the images are being fetched.
  deviceModels(images.root?.properties ?? {});
  const planned = planDisks({
    spec,
    flavor,
    rootImage: images.root ?? null,
    settings: { ...libvirt, ...configDrive },
    hasKernel: images.kernel !== undefined,
    hasRamdisk: images.ramdisk !== undefined,
    osType: spec.osType ?? images.root?.properties.os_type ?? 'linux',
    suffix: '',
  });
  refuseUnattachableDisks(planned, libvirt.virtType);
  refuseForeignInterfaces(spec.interfaces, host.configuration.host);
  await withWorkControl(({ signal }) => checkVolumeGroup(libvirt, signal));
  await checkVolumes(host, planned, images.root);
  const clone = planned.root === null || images.root === undefined ? null : await cloneSource(host, images.root);
  const disks = planned.root === null || clone === null ? planned : { ...planned, root: { ...planned.root, clone } };
  const bases = (['root', 'kernel', 'ramdisk'] as const).flatMap((role): BaseImageOrder[] => {
    const image = images[role];
    if (image === undefined || (role === 'root' && (disks.root === null || clone !== null))) return [];
    const cacheName = imageStore.names.ofImage(image, role);
    return [{ role, cacheName, image, forceRaw: role === 'root' && libvirt.forceRawImages }];
  });
  const directory = instanceDirectory(host.paths, claim.instanceId);
  const boot = { define: spec.boot !== 'disks', start: spec.boot === 'running' };
  const isFetched = bases.some(({ role }) => role === 'root');
  const unfetched = images.root === undefined || isFetched ? {} : { image: images.root };
  const filling = { growFileSystem: plansGrowth(disks, libvirt), injection: planInjection(disks, libvirt) };
  const container = libvirt.virtType === 'lxc' && disks.root !== null ? { rootFileSystem: true as const } : {};
  return {
    plan: { claim, directory, disks, bases, ...unfetched, ...filling, ...container, ...boot },
    ready: null,
  };
}

async function checkVolumes(
  host: Host,
  { volumes = [] }: DiskPlan,
  image: ImageDescription | undefined,
): Promise<void> {
  const rules = { settings: host.configuration.host, minDiskGb: image?.minDiskGb ?? 0 };
  for (const volume of volumes) await checkVolume(volume, rules);
}

async function cloneSource(host: Host, image: ImageDescription): Promise<RbdSnapshot | null> {
  const { libvirt } = host.configuration;
  const sources = imageSourcesOf(host);
  return await withWorkControl(({ signal }) => findCloneSource(image, { libvirt, sources }, signal));
}

/** The result of an earlier run of the same request. Throws for a ready instance of another request. */
async function readyResult(host: Host, { claim, specDigest }: InstanceRequest): Promise<InstanceResult | null> {
  const record = await readInstanceRecord(host.paths, claim.instanceId);
  if (record?.state !== 'ready' || record.result === undefined) return null;
  const hostName = host.configuration.host.name;
  if (await hasPendingCleanup(hostName, claim.instanceId, record.claim.operationId)) {
    throw new EverbootFailure(
      'InstanceBusy',
      `the instance ${claim.instanceId} ("${record.name}") was abandoned, and is being removed from ${hostName}`,
      {
        remedy: 'Start the same request again in a moment: nothing of the old instance is there then.',
        remedyWhenParked: 'Retry in a moment: nothing of the old instance is there then.',
      },
    );
  }
  // A deferred cleanup that ended between the two looks has removed it.
  const still = await readInstanceRecord(host.paths, claim.instanceId);
  if (still?.state !== 'ready' || still.claim.operationId !== record.claim.operationId) return null;
  if (record.specDigest === specDigest) return record.result;
  throw new EverbootFailure(
    'InstanceExists',
    `the instance ${claim.instanceId} ("${record.name}") exists on ${hostName}, made from another spec`,
  );
}

type Images = { readonly [Role in ImageRole]?: ImageDescription };

/** The root image first: its properties may name the kernel and the ramdisk. */
async function describeImages(host: Host, { spec }: InstanceRequest): Promise<Images> {
  return await withWorkControl(async ({ signal }) => {
    const describe = (reference: ImageReference | undefined): Promise<ImageDescription> | undefined =>
      reference && describeImage(reference, imageSourcesOf(host), signal);
    const root = await describe(spec.image);
    const kernelReference = spec.kernel ?? siblingImage(root, 'kernel_id');
    // Without a kernel, Nova does not look at the image's ramdisk.
    const ramdiskReference = spec.ramdisk ?? (kernelReference && siblingImage(root, 'ramdisk_id'));
    const [kernel, ramdisk] = await Promise.all([describe(kernelReference), describe(ramdiskReference)]);
    return { ...(root && { root }), ...(kernel && { kernel }), ...(ramdisk && { ramdisk }) };
  });
}

/** An image that another one names by id is on the same Glance. */
function siblingImage(root: ImageDescription | undefined, property: string): ImageReference | undefined {
  const id = root?.properties[property];
  if (root === undefined || id === undefined || id === '' || !('glance' in root.reference)) return undefined;
  const address = root.reference.glance;
  return { glance: address.includes('/') ? address.replace(/[^/]*$/, id) : id };
}
