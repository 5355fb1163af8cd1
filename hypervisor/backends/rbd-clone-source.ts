import type { LibvirtSettings } from '../../domain/configuration.ts';
import type { RbdSnapshot } from '../../domain/disk-plan.ts';
import type { ImageDescription } from '../../domain/image.ts';
import { cephCluster, cephFsid } from '../ceph.ts';
import { rbdCloneableSize } from '../rbd.ts';
import type { ImageSourceSettings } from '../sources/describe-image.ts';
import { imageLocations } from '../sources/glance-locations.ts';

/** What a name in a location may be made of: nothing of it is a path, an option or another snapshot's name to Ceph. */
const plainName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/;

/**
 * The snapshot that a root disk is cloned from instead of being made of a fetched image: one that Glance names as a place
 * of the image, in the cluster of this host's disks. Null: the image is fetched.
 *
 * As in Nova's is_cloneable the image must be raw and its snapshot be there; and protected, else no clone succeeds.
 * Nobody reads the bytes then, so nobody verifies them: where the host verifies signatures nothing is cloned.
 *
 * Throws StorageUnavailable, HostUnsuitable.
 */
export async function findCloneSource(
  image: ImageDescription,
  { libvirt, sources }: { readonly libvirt: LibvirtSettings; readonly sources: ImageSourceSettings },
  signal: AbortSignal,
): Promise<RbdSnapshot | null> {
  const { verifyGlanceSignatures } = sources.glance;
  if (libvirt.imagesType !== 'rbd' || image.format !== 'raw' || verifyGlanceSignatures) return null;
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
