import type { Claim } from '../domain/claim.ts';
import type { InstanceDisk, PlannedRootDisk } from '../domain/disk-plan.ts';
import { checkFlavorHoldsImage } from '../domain/flavor-limits.ts';
import type { InstanceRequest } from '../domain/host-activities.ts';
import type { BaseImage, ImageRole } from '../domain/image.ts';
import type { CreateInstanceInput, InstancePlan, InstanceResult } from '../domain/operations.ts';
import type { SealedSpec } from '../domain/spec.ts';
import { haveBaseImage } from './fetch-base-image.ts';
import { firstContact, type HostSteps, stepsOn } from './host-steps.ts';
import { imageLabel, sizeLabel } from './labels.ts';
import { type OperationTracker, trackOperation } from './operation-tracker.ts';
import { sideBySide } from './side-by-side.ts';
import { everbootFailure } from './step-failure.ts';
import { undoOnFailure } from './undo-on-failure.ts';
import { watchingHost } from './watch-host.ts';

/**
 * Creates an instance on its host: builds its disks, and boots it.
 *
 * The host plans the disks and reserves the instance's directory, while the images are claimed in its cache and fetched
 * where they are missing. A flavor that cannot hold the image is refused before any disk is made. The disks are made
 * side by side; then libvirt is told of the domain and starts it, and the instance is marked ready. When a step fails for
 * good or the caller cancels, everything is taken back, last first.
 */
export async function createInstance(input: CreateInstanceInput): Promise<InstanceResult> {
  const { spec, flavor, specDigest } = input;
  const claim: Claim = { instanceId: spec.id, operationId: input.operationId };
  const { secrets, ...openSpec } = spec;
  const request: InstanceRequest = { claim, spec: openSpec, flavor, specDigest };
  const tracker = trackOperation('create', input.host, 'Building');
  const host = stepsOn(input.host, tracker);

  return await watchingHost(input.host, tracker, () =>
    undoOnFailure(tracker, async (undo) => {
      const { plan, ready } = await firstContact(input.host, tracker, 'planInstance', `plan ${spec.name}`, request);
      if (ready !== null) return ready;

      // One undo takes back everything up to the domain: every file lies in the reserved directory, and every claim on
      // the cache and every promise of space carries this operation's id.
      undo(() => host.releaseInstance(`remove what was made for ${spec.name}`, { claim }));
      const [, ...bases] = await sideBySide<BaseImage | undefined>([
        async () => void (await host.reserveInstance(`reserve ${plan.directory}`, { request, plan })),
        ...plan.bases.map((base) => () => {
          const refuse = (bytes: number): void => refuseSmallFlavor(plan, base.role, bytes);
          return haveBaseImage(host, { claim, instanceName: spec.name, base }, refuse);
        }),
      ]);
      const images = baseImagesByRole(plan, bases);
      if (images.root !== undefined) refuseSmallFlavor(plan, 'root', images.root.virtualSizeBytes);

      const disks = await makeDisks(host, { claim, plan, spec, images });
      await fillRootDisk(host, tracker, { claim, plan, spec });
      if (plan.rootFileSystem === true && plan.disks.root !== null) {
        const order = { claim, disk: plan.disks.root, base: images.root ?? null };
        await host.extractRootFileSystem(`files of ${spec.name}: out of its root disk`, order);
      }

      let domain: string | undefined;
      if (plan.define) {
        undo(() => host.removeDomain(`remove the domain of ${spec.name}`, { claim }));
        ({ domain } = await host.defineDomain(`define the domain of ${spec.name}`, { claim }));
        if (plan.start) await host.startDomain(`start ${domain}`, { claim });
      }

      const result: InstanceResult = {
        instanceId: spec.id,
        name: spec.name,
        host: input.host,
        state: spec.boot,
        directory: plan.directory,
        disks,
        ...(domain === undefined ? {} : { domain }),
      };
      // From here on the instance lives: nothing is undone any more.
      await host.markReady(`${spec.name} is ready`, { claim, result });
      tracker.enter('Ready');
      return result;
    }),
  );
}

interface Images {
  readonly root?: BaseImage;
  readonly kernel?: BaseImage;
  readonly ramdisk?: BaseImage;
}

function baseImagesByRole(plan: InstancePlan, bases: readonly (BaseImage | undefined)[]): Images {
  return Object.fromEntries(plan.bases.map((order, index) => [order.role, bases[index]]));
}

/** The virtual size of an image is known for certain only when it was fetched. */
function refuseSmallFlavor({ disks }: InstancePlan, role: ImageRole, virtualSizeBytes: number): void {
  if (disks.root === null || role !== 'root') return;
  const problem = checkFlavorHoldsImage(disks.root.sizeBytes, virtualSizeBytes);
  if (problem !== null) throw everbootFailure('FlavorDiskTooSmall', problem);
}

/** "root disk: qcow2 overlay on 3f2a…, 20 GiB" */
function rootDiskSummary({ clone, format, storage, sizeBytes }: PlannedRootDisk, base: BaseImage | null): string {
  const kind = storage ?? (format === 'qcow2' ? 'qcow2 overlay' : 'raw copy');
  const origin = clone === undefined ? `${base?.cacheName.slice(0, 8)}…` : `${clone.pool}/${clone.image}`;
  const bytes = sizeBytes ?? base?.virtualSizeBytes;
  const how =
    clone === undefined ? `${kind} ${format === 'qcow2' ? 'on' : 'of'} ${origin}` : `${kind} clone of ${origin}`;
  return bytes === undefined ? `root disk: ${how}` : `root disk: ${how}, ${sizeLabel(bytes)}`;
}

interface DiskOrders {
  readonly claim: Claim;
  readonly plan: InstancePlan;
  readonly spec: SealedSpec;
  readonly images: Images;
}

/** Makes every file of the plan, side by side, in the order in which results list them. */
async function makeDisks(host: HostSteps, { claim, plan, spec, images }: DiskOrders): Promise<InstanceDisk[]> {
  const { root, ephemerals, swap, volumes, config, bootFiles } = plan.disks;
  const steps: (() => Promise<InstanceDisk>)[] = [];
  const base = images.root ?? null;
  if (root !== null && (base !== null || root.clone !== undefined)) {
    const summary = rootDiskSummary(root, base);
    steps.push(() => host.createRootDisk(summary, { claim, disk: root, base }));
  }
  for (const disk of ephemerals) {
    const summary = `${disk.name}: ${disk.fileSystem} "${disk.label}", ${sizeLabel(disk.sizeBytes)}, ${disk.format}`;
    steps.push(() => host.createEphemeralDisk(summary, { claim, disk }, disk.name));
  }
  if (swap !== null) {
    steps.push(() =>
      host.createSwapDisk(`swap disk: ${sizeLabel(swap.sizeBytes)}, ${swap.format}`, { claim, disk: swap }),
    );
  }
  if (config !== null) {
    const order = { claim, disk: config, spec, disks: { root, ephemerals, swap, ...(volumes && { volumes }) } };
    steps.push(() => host.writeConfigDrive(`config drive for ${spec.hostname}`, order));
  }
  for (const disk of bootFiles) {
    const base = images[disk.kind];
    if (base === undefined) continue;
    const order = plan.bases.find(({ role }) => role === disk.kind);
    const label = order === undefined ? base.cacheName : imageLabel(order);
    steps.push(() => host.copyBootFile(`${disk.name}: copy of ${label}`, { claim, disk, base }, disk.kind));
  }
  return await sideBySide(steps);
}

/** What is done inside the root disk, once it has its size and before its guest sees it. */
async function fillRootDisk(
  host: HostSteps,
  tracker: OperationTracker,
  { claim, plan, spec }: Omit<DiskOrders, 'images'>,
): Promise<void> {
  const { root: disk } = plan.disks;
  if (disk === null) return;
  if (plan.growFileSystem === true) {
    const { note } = await host.growFileSystem('root file system', { claim, disk });
    tracker.remark('growFileSystem', note);
  }
  const place = plan.injection ?? null;
  if (place === null) return;
  const title = plan.bases.find(({ role }) => role === 'root')?.image.title ?? 'of the root disk';
  const order = { claim, disk, spec, place, title };
  const { injected, warnings } = await host.injectFiles(`injection for ${spec.hostname}`, order);
  const problems = warnings.length === 0 ? [] : [`not injected: ${warnings.join('; ')}`];
  tracker.remark('injectFiles', [injected.join(', ') || 'nothing', ...problems].join('; '));
}
