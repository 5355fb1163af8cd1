import type { WorkflowHandle } from '@temporalio/client';
import * as away from './away-hosts.ts';
import * as boots from './boots.ts';
import * as cache from './cache-maintenance.ts';
import * as maintenance from './host-maintenance.ts';
import * as parked from './parked-boots.ts';
import type { HostOptions, Recorder } from './recorder.ts';

/** Makes the run that is recorded, on a host with nothing in its cache. */
type MakeRun = (recorder: Recorder) => Promise<WorkflowHandle>;

export interface Shape {
  readonly run: MakeRun;
  /** The settings of the host; absent: none. */
  readonly host?: HostOptions;
}

const injecting = { toml: '[libvirt]\ninject_partition = 0\ninject_key = true\nresize_fs_using_block_device = true\n' };
const container = { virtType: 'lxc', toml: '[libvirt]\nconnection_uri = "lxc:///system"\n' };
const volumes = { toml: '[host]\nvolume_servers = ["127.0.0.1"]\n' };

/** Every shape that a history can have. A shape that workflows get is put here, and recorded. */
export const shapes: Readonly<Record<string, Shape>> = {
  'create-cold': { run: async (recorder) => (await recorder.create()).handle },
  'create-warm': { run: boots.warmBoot },
  'create-retried': { run: boots.retriedStep },
  'create-failed': { run: boots.failedBoot },
  'create-undo-retried': { run: boots.retriedUndo },
  'create-cancelled': { run: boots.cancelledBoot },
  'create-injected': { run: boots.injectedBoot, host: injecting },
  'create-container': { run: boots.containerBoot, host: container },
  'create-from-volume': { run: boots.bootFromVolume, host: volumes },
  'create-reset': { run: parked.resetRun },
  'hold-retry': { run: parked.heldAndRetried },
  'hold-retry-changed': { run: parked.heldAndChanged },
  'hold-retry-at-the-end': { run: parked.heldAtTheEnd },
  'hold-host-gone': { run: parked.heldAndHostGone },
  'hold-abandon': { run: parked.heldAndAbandoned },
  'hold-cancelled': { run: parked.heldAndCancelled },
  'hold-deadline': { run: parked.heldTooLong },
  'host-waited-for': { run: away.waitedForHost },
  'host-unreachable-and-back': { run: away.unreachableAndBack },
  'host-gone-next-host': { run: away.nextHost },
  'host-absent-next-host': { run: away.absentHost },
  'host-gone-abandoned': { run: away.abandonedBoot },
  'host-gone-cleanup': { run: away.pendingCleanup },
  delete: { run: boots.deletion },
  'delete-host-gone': { run: away.abandonedDeletion },
  reconcile: { run: maintenance.reconciled },
  'reconcile-after-reboot': { run: maintenance.reconciledAfterReboot },
  inspect: { run: boots.inspection },
  'cache-precache': { run: cache.precachedImage },
  'cache-list': { run: cache.listedCache },
  'cache-pin': { run: cache.unpinnedImage },
  'cache-sweep': { run: cache.sweptCache },
  'cache-scrub': { run: cache.scrubbedCache },
  'cache-scrub-damaged': { run: cache.damagedImage },
};
