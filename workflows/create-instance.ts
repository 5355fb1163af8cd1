import { checkFlavorHoldsImage } from '../domain/flavor-limits.ts';
import type { InstanceRequest } from '../domain/host-activities.ts';
import type { BaseImage, ImageRole } from '../domain/image.ts';
import type { CreateInstanceInput, InstancePlan, InstanceResult } from '../domain/operations.ts';
import type { SealedSpec } from '../domain/spec.ts';
import type { StepName } from '../domain/steps.ts';
import type { Attempt } from './attempt.ts';
import { concurrently } from './concurrently.ts';
import { haveBaseImage } from './fetch-base-image.ts';
import { firstContact, type HostSteps, stepsOn } from './host-steps.ts';
import { type DiskOrders, fillRootDisk, type Images, makeDisks } from './make-disks.ts';
import { onHosts } from './on-hosts.ts';
import { trackOperation } from './operation-tracker.ts';
import { handleOperatorUpdates } from './operator-updates.ts';
import { everbootFailure } from './step-failure.ts';
import { undoOnFailure } from './undo-on-failure.ts';

/**
 * Creates an instance on its host: builds its disks, and boots it. When the host is gone it moves to the next one of
 * the request's hosts, see `onHosts`.
 */
export async function createInstance(input: CreateInstanceInput): Promise<InstanceResult> {
  const tracker = trackOperation('create', input.host, 'Building');
  const updates = handleOperatorUpdates(tracker, {
    spec: input.spec,
    flavor: input.flavor,
    specDigest: input.specDigest,
  });
  return await onHosts(input, tracker, updates, buildInstance);
}

/**
 * The host plans the disks and reserves the instance's directory, while the images are claimed in its cache and fetched
 * where they are missing. A flavor that cannot hold the image is refused before any disk is made. The disks are made
 * concurrently; then libvirt defines the domain and starts it, and the instance is marked ready. When a step fails
 * permanently or the caller cancels, everything is taken back, last first; or, with `onFailure: hold`, it is parked as
 * it is, and continues from there when an operator says so.
 */
async function buildInstance(attempt: Attempt): Promise<InstanceResult> {
  const { claim, host: hostName, history, tracker } = attempt;
  const { flavor, specDigest } = attempt.request;
  const spec = forHost(attempt.request.spec);
  const { secrets: _sealed, ...openSpec } = spec;
  const request: InstanceRequest = { claim, spec: openSpec, flavor, specDigest };
  const host = stepsOn(hostName, tracker, history);

  return await undoOnFailure(
    tracker,
    async (undo) => {
      const title = `plan ${spec.name}`;
      const { plan, ready } = await firstContact(hostName, tracker, 'planInstance', title, request, history);
      if (ready !== null) return ready;

      // One undo takes back everything up to the domain: every file is in the reserved directory, and every claim on
      // the cache and every promise of space carries this operation's id.
      undo('releaseInstance', () => host.releaseInstance(`remove what was made for ${spec.name}`, { claim }));
      const { reserved: _, ...images } = await concurrently({
        reserved: () => host.reserveInstance(`reserve ${plan.directory}`, { request, plan }),
        ...fetches(host, { claim, plan, spec }),
      });
      if (images.root !== undefined) refuseSmallFlavor(plan, 'root', images.root.virtualSizeBytes);

      const disks = await makeDisks(host, { claim, plan, spec, images });
      await fillRootDisk(host, tracker, { claim, plan, spec, images });

      let domain: string | undefined;
      if (plan.define) {
        undo('removeDomain', () => host.removeDomain(`remove the domain of ${spec.name}`, { claim }));
        const order = { claim, ...(plan.disks.volumes?.length && { volumes: plan.disks.volumes }) };
        ({ domain } = await host.defineDomain(`define the domain of ${spec.name}`, order));
        if (plan.start) {
          attempt.startsGuest();
          await host.startDomain(`start ${domain}`, order);
        }
      }

      const result: InstanceResult = {
        instanceId: spec.id,
        name: spec.name,
        host: hostName,
        state: spec.boot,
        directory: plan.directory,
        disks,
        ...(domain === undefined ? {} : { domain }),
      };
      // From here on the instance lives: nothing is undone any more.
      await host.markReady(`mark ${spec.name} ready`, { claim, result });
      attempt.lives();
      tracker.enter('Ready');
      return result;
    },
    attempt.rules,
  );
}

/** A host builds what the request says; where, and the answer to a failure, is this workflow's to decide. */
function forHost({ hosts: _others, holdFor: _patience, ...spec }: SealedSpec): SealedSpec {
  return { ...spec, onFailure: 'undo' };
}

/** The steps that have the plan's images in the cache, by the images' roles. */
function fetches(
  host: HostSteps,
  { claim, plan, spec }: Pick<DiskOrders, 'claim' | 'plan' | 'spec'>,
): { [Role in keyof Images]: () => Promise<BaseImage> } {
  return Object.fromEntries(
    plan.bases.map((base) => [
      base.role,
      () => {
        const refuse = (bytes: number): void => refuseSmallFlavor(plan, base.role, bytes);
        return haveBaseImage(host, { claim, instanceName: spec.name, base }, refuse);
      },
    ]),
  );
}

/** The virtual size of an image is known for certain only when it was fetched. */
function refuseSmallFlavor({ disks }: InstancePlan, role: ImageRole, virtualSizeBytes: number): void {
  if (disks.root === null || role !== 'root') return;
  const problem = checkFlavorHoldsImage(disks.root.sizeBytes, virtualSizeBytes);
  if (problem !== null) throw everbootFailure('FlavorDiskTooSmall', problem, 'createRootDisk' satisfies StepName);
}
