import type { Claim } from '../domain/claim.ts';
import type { InstanceDisk, PlannedRootDisk } from '../domain/disk-plan.ts';
import type { InjectionOrder } from '../domain/host-activities.ts';
import type { BaseImage } from '../domain/image.ts';
import type { InstancePlan } from '../domain/operations.ts';
import { sizeText } from '../domain/sizes.ts';
import type { SealedSpec } from '../domain/spec.ts';
import { concurrently } from './concurrently.ts';
import { imageLabel } from './fetch-base-image.ts';
import type { HostSteps } from './host-steps.ts';
import type { OperationTracker } from './operation-tracker.ts';

/** The images that an instance is made of. */
export interface Images {
  readonly root?: BaseImage;
  readonly kernel?: BaseImage;
  readonly ramdisk?: BaseImage;
}

/** "root disk: qcow2 overlay on 3f2a…, 20 GiB" */
function rootDiskSummary({ clone, format, storage, sizeBytes }: PlannedRootDisk, base: BaseImage | null): string {
  const kind = storage ?? (format === 'qcow2' ? 'qcow2 overlay' : 'raw copy');
  const origin = clone === undefined ? `${base?.cacheName.slice(0, 8)}…` : `${clone.pool}/${clone.image}`;
  const bytes = sizeBytes ?? base?.virtualSizeBytes;
  const how =
    clone === undefined ? `${kind} ${format === 'qcow2' ? 'on' : 'of'} ${origin}` : `${kind} clone of ${origin}`;
  return bytes === undefined ? `root disk: ${how}` : `root disk: ${how}, ${sizeText(bytes)}`;
}

export interface DiskOrders {
  readonly claim: Claim;
  readonly plan: InstancePlan;
  readonly spec: SealedSpec;
  readonly images: Images;
}

/** Makes every file of the plan, concurrently, in the order in which results list them. */
export async function makeDisks(host: HostSteps, { claim, plan, spec, images }: DiskOrders): Promise<InstanceDisk[]> {
  const { root, ephemerals, swap, volumes, config, bootFiles } = plan.disks;
  const steps: Record<string, () => Promise<InstanceDisk>> = {};
  const base = images.root ?? null;
  if (root !== null && (base !== null || root.clone !== undefined)) {
    const summary = rootDiskSummary(root, base);
    steps[root.name] = () => host.createRootDisk(summary, { claim, disk: root, base });
  }
  for (const disk of ephemerals) {
    const summary = `${disk.name}: ${disk.fileSystem} "${disk.label}", ${sizeText(disk.sizeBytes)}, ${disk.format}`;
    steps[disk.name] = () => host.createEphemeralDisk(summary, { claim, disk }, disk.name);
  }
  if (swap !== null) {
    const summary = `swap disk: ${sizeText(swap.sizeBytes)}, ${swap.format}`;
    steps[swap.name] = () => host.createSwapDisk(summary, { claim, disk: swap });
  }
  if (config !== null) {
    const order = { claim, disk: config, spec, disks: { root, ephemerals, swap, ...(volumes && { volumes }) } };
    steps[config.name] = () => host.writeConfigDrive(`config drive for ${spec.hostname}`, order);
  }
  for (const disk of bootFiles) {
    const base = images[disk.kind];
    if (base === undefined) continue;
    const order = plan.bases.find(({ role }) => role === disk.kind);
    const label = order === undefined ? base.cacheName : imageLabel(order);
    steps[disk.name] = () => host.copyBootFile(`${disk.name}: copy of ${label}`, { claim, disk, base }, disk.kind);
  }
  return Object.values(await concurrently(steps));
}

/**
 * The steps inside the root disk, once it has its size and before its guest sees it; a container's files are taken out
 * of it at the end, with all that was written into it.
 */
export async function fillRootDisk(
  host: HostSteps,
  tracker: OperationTracker,
  { claim, plan, spec, images }: DiskOrders,
): Promise<void> {
  const { root: disk } = plan.disks;
  if (disk === null) return;
  if (plan.growFileSystem === true) {
    const { note } = await host.growFileSystem('root file system', { claim, disk });
    tracker.remark('growFileSystem', note);
  }
  const place = plan.injection ?? null;
  if (place !== null) await inject(host, tracker, { claim, plan, spec }, { disk, place });
  if (plan.rootFileSystem === true) {
    const order = { claim, disk, base: images.root ?? null };
    await host.extractRootFileSystem(`files of ${spec.name}: out of its root disk`, order);
  }
}

async function inject(
  host: HostSteps,
  tracker: OperationTracker,
  { claim, plan, spec }: Omit<DiskOrders, 'images'>,
  { disk, place }: Pick<InjectionOrder, 'disk' | 'place'>,
): Promise<void> {
  const title = plan.bases.find(({ role }) => role === 'root')?.image.title ?? 'of the root disk';
  const order = { claim, disk, spec, place, title };
  const { injected, warnings } = await host.injectFiles(`injection for ${spec.hostname}`, order);
  const problems = warnings.length === 0 ? [] : [`not injected: ${warnings.join('; ')}`];
  tracker.remark('injectFiles', [injected.join(', ') || 'nothing', ...problems].join('; '));
}
