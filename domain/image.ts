import type { ImageSignature } from './image-signature.ts';

/** Formats that an image may be declared to have. `aki`, `ari` and `ami` are Amazon's names for raw boot files. */
export const imageFormats = ['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'ami', 'aki', 'ari'] as const;
export type ImageFormat = (typeof imageFormats)[number];

/**
 * An image as a spec names it. `glance` is an image id, or the whole URL of an image on another Glance. Addresses and
 * files have a digest, unless the host accepts images that nobody can verify.
 */
export type ImageReference =
  | { readonly glance: string }
  | { readonly url: string; readonly digest?: string; readonly format: ImageFormat }
  | { readonly file: string; readonly digest?: string; readonly format: ImageFormat };

/** A digest the image ought to have. Glance's checksum is MD5; it counts only where nothing better is known. */
export interface ImageDigest {
  readonly algorithm: 'sha256' | 'sha512' | 'sha384' | 'sha1' | 'md5';
  readonly hex: string;
}

/** An image as its source describes it, before a byte of it is read. */
export interface ImageDescription {
  readonly reference: ImageReference;
  /** For people: the image's name, or the last part of its address. */
  readonly title: string;
  readonly format: ImageFormat;
  /** Null where the source does not say. */
  readonly sizeBytes: number | null;
  /** Null only where the host allows unverified images. */
  readonly digest: ImageDigest | null;
  /** Changes when the image does: Glance's updated_at, an ETag; absent for digest-named sources. */
  readonly version?: string;
  readonly minDiskGb: number;
  readonly minRamMb: number;
  /** Glance's image properties as text; empty for other sources. */
  readonly properties: Readonly<Record<string, string>>;
  /** The signature that its bytes must match; present only where the host verifies signatures of Glance images. */
  readonly signature?: ImageSignature;
}

export type BootFileRole = 'kernel' | 'ramdisk';
export type ImageRole = 'root' | BootFileRole;

/** One image to have in the cache: what it is, and the name its file gets there. */
export interface BaseImageOrder {
  readonly role: ImageRole;
  /** The file's name in the cache, see `cacheName`. */
  readonly cacheName: string;
  readonly image: ImageDescription;
  /** True: whatever its format, the cached file is raw. Kernel and ramdisk are kept as they are. */
  readonly forceRaw: boolean;
}

/** A verified image in the host's cache. */
export interface BaseImage {
  readonly cacheName: string;
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  readonly virtualSizeBytes: number;
}
