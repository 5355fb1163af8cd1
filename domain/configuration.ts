import type { Flavor } from './flavors.ts';

/** A host's own name, folders and limits: `[host]`. */
export interface HostSettings {
  readonly name: string;
  readonly instancesPath: string;
  /** In seconds. */
  readonly hostUnreachableAfter: number;
  /** In seconds, too. */
  readonly reconcileInterval: number;
  readonly reservedDiskMb: number;
  readonly maxConcurrentDownloads: number;
  /** For all fetches of one worker together; null: unlimited. */
  readonly maxDownloadBytesPerSecond: number | null;
  readonly maxConcurrentDiskOps: number;
  readonly fileImageRoots: readonly string[];
  /** Folders that a volume's block device may be in. */
  readonly volumeDeviceRoots: readonly string[];
  /** Host names or addresses that a volume's NBD server may have. */
  readonly volumeServers: readonly string[];
  /** Ceph pools that a volume may be in. */
  readonly volumeRbdPools: readonly string[];
  /** Tap devices that an interface may name; one that ends with `*` stands for all that begin so. */
  readonly tapDevices: readonly string[];
}

/** `[libvirt]`, named after nova.conf. */
export interface LibvirtSettings {
  readonly connectionUri: string;
  /** For how long a boot waits for libvirt to answer, in seconds. */
  readonly unavailableTimeout: number;
  readonly resumeGuestsStateOnHostBoot: boolean;
  readonly virtType: 'auto' | 'kvm' | 'qemu' | 'lxc' | 'uml';
  /** Null: the host's model under KVM, all that QEMU can emulate without. */
  readonly cpuMode: 'none' | 'host-model' | 'host-passthrough' | 'maximum' | null;
  readonly imagesType: 'default' | 'raw' | 'flat' | 'qcow2' | 'lvm' | 'rbd';
  readonly useCowImages: boolean;
  readonly forceRawImages: boolean;
  readonly preallocateImages: 'none' | 'space';
  readonly injectPartition: number;
  readonly injectKey: boolean;
  readonly injectPassword: boolean;
  readonly resizeFsUsingBlockDevice: boolean;
  /** Null: the os type's. */
  readonly defaultEphemeralFormat: string | null;
  /** `<os type>=<command>`, as in nova.conf. */
  readonly virtMkfs: readonly string[];
  readonly imagesVolumeGroup: string | null;
  readonly sparseLogicalVolumes: boolean;
  readonly volumeClear: 'zero' | 'shred' | 'none';
  /** How much of a volume is cleared, in MiB from its start; 0: all of it. */
  readonly volumeClearSize: number;
  readonly imagesRbdPool: string | null;
  readonly imagesRbdCephConf: string | null;
  readonly rbdUser: string | null;
  /** The libvirt secret that holds the key of `rbdUser`. */
  readonly rbdSecretUuid: string | null;
  /** Seconds until a request to Ceph without an answer fails. */
  readonly rbdConnectTimeout: number;
}

/** `[glance]`. Times are in seconds, as in nova.conf. */
export interface GlanceSettings {
  /** Base URLs without the trailing `/v2`. */
  readonly apiServers: readonly string[];
  readonly numRetries: number;
  readonly allowedDirectUrlSchemes: readonly string[];
  readonly cloud: string | null;
  readonly verifyGlanceSignatures: boolean;
  /** The folder of trusted certificates, `<certificate id>.pem`. */
  readonly signatureCertificatesPath: string | null;
  readonly connectTimeout: number;
  readonly stallTimeout: number;
  readonly imageFetchTimeout: number;
  readonly imageMaxBytes: number;
  readonly allowUnverified: boolean;
}

/** `[image_cache]`. */
export interface ImageCacheSettings {
  readonly subdirectoryName: string;
  readonly removeUnusedOriginalMinimumAgeSeconds: number;
  readonly maxBytes: number | null;
  readonly managerInterval: number;
  readonly scrubInterval: number;
  readonly scrubBytesPerSecond: number;
}

/** `[config_drive]`. */
export interface ConfigDriveSettings {
  readonly forceConfigDrive: boolean;
  readonly configDriveFormat: 'iso9660' | 'vfat';
  readonly mkisofsCmd: string;
}

/** `[secrets]`. */
export interface SecretSettings {
  readonly publicKeyFile: string | null;
  readonly privateKeyFile: string | null;
}

/** `[temporal]`; null where the environment or a running `up` says it. */
export interface TemporalSettings {
  readonly profile: string | null;
  readonly address: string | null;
  readonly namespace: string;
}

/** The whole configuration, read and checked once. */
export interface Configuration {
  readonly host: HostSettings;
  readonly libvirt: LibvirtSettings;
  readonly glance: GlanceSettings;
  readonly imageCache: ImageCacheSettings;
  readonly configDrive: ConfigDriveSettings;
  readonly secrets: SecretSettings;
  readonly temporal: TemporalSettings;
  /** The built-in flavors and the configured ones, by name. */
  readonly flavors: Readonly<Record<string, Flavor>>;
}
