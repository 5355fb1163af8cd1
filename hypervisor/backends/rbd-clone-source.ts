import type { LibvirtSettings } from '../../domain/configuration.ts';
import type { RbdSnapshot } from '../../domain/disk-plan.ts';
import { poolOf } from '../../domain/disk-source.ts';
import type { ImageDescription } from '../../domain/image.ts';
import { imageStore } from '../image-store/image-store.ts';
import { cephCluster, cephFsid } from '../programs/ceph.ts';
import { rbdCloneableSize } from '../programs/rbd.ts';
import type { ImageSourceSettings } from '../sources/describe-image.ts';
import { imageLocations } from '../sources/glance-locations.ts';
import { importedBaseName } from './rbd-base.ts';
import { baseSnapshot } from './rbd-images.ts';

/** The characters of a name in a location: none makes a path, an option or another snapshot's name to Ceph. */
const plainName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/;

interface CloneSettings {
  readonly libvirt: LibvirtSettings;
  readonly sources: ImageSourceSettings;
}

/**
 * The snapshot that a root disk is cloned from instead of being made of a fetched image: one that Glance names as a
 * place of the image, or what any host has imported of it. Null: the image is fetched.
 *
 * Nobody reads the bytes then, so nobody verifies them: where the host verifies signatures every image is fetched.
 *
 * Throws StorageUnavailable, HostUnsuitable.
 */
export async function findCloneSource(
  image: ImageDescription,
  settings: CloneSettings,
  signal: AbortSignal,
): Promise<RbdSnapshot | null> {
  const { libvirt, sources } = settings;
  if (libvirt.imagesType !== 'rbd' || sources.glance.verifyGlanceSignatures) return null;
  return (await storedByGlance(image, settings, signal)) ?? (await importedBefore(image, settings, signal));
}

/** As in Nova's is_cloneable the image must be raw and its snapshot be there; and protected, else no clone succeeds. */
async function storedByGlance(
  image: ImageDescription,
  { libvirt, sources }: CloneSettings,
  signal: AbortSignal,
): Promise<RbdSnapshot | null> {
  if (image.format !== 'raw') return null;
  const { urls } = await imageLocations(image, sources, signal);
  const places = urls.flatMap(parseRbdLocation);
  if (places.length === 0) return null;
  const cluster = cephCluster(libvirt);
  const fsid = await cephFsid(cluster, signal);
  for (const { fsid: at, ...snapshot } of places) {
    if (at === fsid && (await rbdCloneableSize(cluster, snapshot, { signal })) !== undefined) return snapshot;
  }
  return null;
}

/** An image without a digest may have changed since it was imported. */
async function importedBefore(
  image: ImageDescription,
  { libvirt }: CloneSettings,
  signal: AbortSignal,
): Promise<RbdSnapshot | null> {
  if (image.digest === null) return null;
  const { algorithm, hex } = image.digest;
  const name = importedBaseName(imageStore.names.ofImage(image, 'root'), `${algorithm}:${hex}`);
  const imported = { pool: poolOf(libvirt), image: name, snapshot: baseSnapshot };
  return (await rbdCloneableSize(cephCluster(libvirt), imported, { signal })) === undefined ? null : imported;
}

/** `rbd://<fsid>/<pool>/<image>/<snapshot>`, each of them percent-encoded, as Glance's rbd store writes it. */
export function parseRbdLocation(location: unknown): readonly (RbdSnapshot & { readonly fsid: string })[] {
  if (typeof location !== 'string' || !location.startsWith('rbd://')) return [];
  const pieces = location.slice('rbd://'.length).split('/');
  const [fsid, pool, image, snapshot] = pieces.map(decoded);
  if (pieces.length !== 4 || !fsid || !pool || !image || !snapshot) return [];
  return [pool, image, snapshot].every((name) => plainName.test(name)) ? [{ fsid, pool, image, snapshot }] : [];
}

function decoded(piece: string): string {
  try {
    return decodeURIComponent(piece);
  } catch {
    return '';
  }
}
