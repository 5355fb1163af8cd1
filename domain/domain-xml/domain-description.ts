import type { Claim } from '../claim.ts';
import type { LibvirtSettings } from '../configuration.ts';
import type { DiskPlan } from '../disk-plan.ts';
import type { StorageSettings } from '../disk-source.ts';
import type { Flavor } from '../flavors.ts';
import type { ImageDescription } from '../image.ts';
import type { InstanceSpec } from '../spec.ts';

/** How guests run, once a host knows whether it has KVM. */
export type VirtType = Exclude<LibvirtSettings['virtType'], 'auto'>;

/** How QEMU keeps what the guest writes; `none` and `writeback` are what Nova chooses between. */
export type CacheMode = 'none' | 'writeback';

/** Everything that a domain's XML says, decided already. */
export interface DomainDescription {
  readonly claim: Claim;
  readonly spec: InstanceSpec;
  readonly flavor: Flavor;
  readonly plan: DiskPlan;
  /** Where the plan's files lie. */
  readonly directory: string;
  /** Where its other disks are, and what the processor is. */
  readonly settings: StorageSettings & Pick<LibvirtSettings, 'cpuMode'>;
  readonly virtType: VirtType;
  /** The root's image; null where there is none. */
  readonly image: ImageDescription | null;
  /** For disks that are files; `none` needs a file system with O_DIRECT, see `resolveCacheMode`. */
  readonly cacheMode: CacheMode;
}

/** True: QEMU runs the guest, which is a machine with firmware, buses and cards. */
export function isMachine(virtType: VirtType): boolean {
  return virtType === 'kvm' || virtType === 'qemu';
}
