import type { DiskBus, VolumeSource } from './disk-plan.ts';
import type { ImageReference } from './image.ts';

export type BootMode = 'running' | 'defined' | 'disks';

/** A compact JWE for the hosts' public key. Only a host opens it, when it writes the file that needs it. */
export interface Sealed {
  readonly sealed: string;
}

export interface InlineFlavor {
  readonly vcpus: number;
  readonly memoryMb: number;
  readonly rootGb: number;
  readonly ephemeralGb: number;
  readonly swapMb: number;
}

/** An ephemeral disk by a block device mapping of its own. */
export interface EphemeralDevice extends DeviceWishes {
  readonly sizeGb: number;
  /** Absent: the os type's. */
  readonly fileSystem?: string;
}

export interface SwapDevice extends DeviceWishes {
  readonly sizeMb: number;
}

/** A disk that is there already: a block device of the host, an NBD export, an image in a Ceph pool. */
export interface VolumeDevice extends DeviceWishes {
  readonly source: VolumeSource;
  /** True: the guest boots from it, and no root disk is made. */
  readonly boot?: boolean;
  readonly readOnly?: boolean;
  readonly deviceType?: 'disk' | 'cdrom';
}

/** Device keys of a spec; absent, they are decided as Nova does. */
interface DeviceWishes {
  /** The device name in the guest: `vdb`. */
  readonly device?: string;
  readonly bus?: DiskBus;
  /** By this the guest finds it in the metadata's `devices`. */
  readonly tag?: string;
}

export interface NetworkInterface {
  readonly type: 'network' | 'bridge' | 'tap';
  /** The name of the libvirt network, of the bridge, or of the tap device, which is there already. */
  readonly source: string;
  readonly mac?: string;
  readonly model?: string;
  /** By this the guest finds the card among the `devices` of its metadata. A tagged card has a `mac`. */
  readonly tag?: string;
}

/** A file for the guest, its content as bytes in base64. */
export interface InjectedFile {
  readonly path: string;
  readonly base64: string;
  readonly mode?: string;
}

/**
 * The secret parts of a spec, in plain. They exist in the client, and in a host that writes them into a guest's disk.
 */
export interface InstanceSecrets {
  /** Base64 of the bytes. */
  readonly userData?: string;
  readonly adminPassword?: string;
  readonly files?: readonly InjectedFile[];
  /** The content of vendor_data.json. */
  readonly vendorData?: Readonly<Record<string, unknown>>;
}

/** Everything of a spec that is not secret, parsed: what is asked for, every default filled in but the host's. */
export interface InstanceSpec {
  readonly id: string;
  readonly name: string;
  readonly host?: string;
  /** Instead of `host`, in the order in which they are tried. */
  readonly hosts?: readonly string[];
  readonly project: string;
  readonly user: string;
  readonly availabilityZone: string;
  readonly hostname: string;
  /** The instance's place among those asked for together. Absent from requests of earlier releases: 0. */
  readonly launchIndex?: number;
  readonly flavor: string | InlineFlavor;
  readonly image?: ImageReference;
  readonly kernel?: ImageReference;
  readonly ramdisk?: ImageReference;
  readonly kernelCommandLine?: string;
  readonly osType?: string;
  /** Absent: one of the flavor's size. Together they are no larger than that. */
  readonly ephemerals?: readonly EphemeralDevice[];
  /** Absent: one of the flavor's size. It is no larger than that. */
  readonly swap?: SwapDevice;
  readonly volumes?: readonly VolumeDevice[];
  readonly configDrive: boolean;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sshKeys: readonly string[];
  readonly interfaces: readonly NetworkInterface[];
  readonly networkData?: Readonly<Record<string, unknown>>;
  readonly boot: BootMode;
  readonly onFailure: 'undo' | 'hold';
  /** In seconds; absent: it waits for an operator indefinitely. */
  readonly holdFor?: number;
}

/** Which secrets a spec carries, each sealed by itself; `userData` seals base64, the others seal their JSON. */
export interface SealedSecrets {
  readonly userData?: Sealed;
  readonly adminPassword?: Sealed;
  readonly files?: Sealed;
  readonly vendorData?: Sealed;
}

/** The spec as it travels: plain where it may be read, sealed where it must not. */
export interface SealedSpec extends InstanceSpec {
  readonly secrets: SealedSecrets;
}
