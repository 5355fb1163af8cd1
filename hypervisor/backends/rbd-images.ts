import { type Claim, claimName } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { finalNameOf, temporaryName } from '../files/publish-file.ts';
import type { CephCluster } from '../programs/ceph.ts';
import {
  listRbdImages,
  type RbdControl,
  rbdImageSize,
  rbdMeta,
  removeRbdImage,
  removeRbdSnapshot,
  renameRbdImage,
  setRbdMeta,
} from '../programs/rbd.ts';

/** A pool that this host keeps disks in. */
export interface RbdPool {
  readonly cluster: CephCluster;
  readonly pool: string;
}

/** The prefix of imported bases' names, and the protected snapshot of each, which disks are cloned from. */
export const basePrefix = 'everboot_base_';
export const baseSnapshot = 'everboot';

/**
 * The key of an image's claim. A clone inherits what is noted at its parent, so the claim names the image, too: what
 * somebody cloned of a disk under another name carries its claim, and is not ours.
 */
const claimKey = 'everboot.claim';

function claimText(claim: Claim, image: string): string {
  return `${claimName(claim)} ${image}`;
}

/** An image's name with an operation's claim, which all temporary names for it are of. */
function claimedName(image: string, claim: Claim): string {
  return `${image}.${claimName(claim)}`;
}

/**
 * Makes an image under a temporary name, and gives it its final one when it is whole. The temporary name carries the
 * claim, so that what a crash leaves is provably the operation's from its first moment on. False: the final name is
 * taken by another image, and the new one is gone again.
 */
export async function publishRbdImage(
  { cluster, pool }: RbdPool,
  { image, claim }: { readonly image: string; readonly claim: Claim },
  control: RbdControl,
  write: (temporaryImage: string) => Promise<void>,
): Promise<boolean> {
  const temporary = temporaryName(claimedName(image, claim));
  const name = { pool, image: temporary };
  try {
    await write(temporary);
    await setRbdMeta(cluster, name, claimKey, claimText(claim, image), control);
    if (await renameRbdImage(cluster, name, image, control)) return true;
    if ((await rbdImageSize(cluster, { pool, image }, control)) === undefined) {
      // A rename that was cut short has left the name, and nothing behind it.
      await removeRbdImage(cluster, { pool, image }, control);
      if (await renameRbdImage(cluster, name, image, control)) return true;
    }
  } catch (error) {
    // What was cut short is held by its dead client for half a minute, and a silent cluster removes nothing. The next
    // attempt and the undo find it by its name.
    const isSilent = error instanceof EverbootFailure && error.code === 'StorageUnavailable';
    if (control.signal?.aborted !== true && !isSilent) {
      await removeTemporary({ cluster, pool }, temporary, {}).catch(() => undefined);
    }
    throw error;
  }
  await removeTemporary({ cluster, pool }, temporary, control);
  return false;
}

/**
 * Removes what earlier attempts of an operation left of an image. It goes before the look at the final name: of a
 * rename that was cut short both names lead to the same image, and then neither may be taken for whole.
 */
export async function removePartialImages(
  { cluster, pool }: RbdPool,
  { image, claim }: { readonly image: string; readonly claim: Claim },
  control: RbdControl,
): Promise<void> {
  const claimed = claimedName(image, claim);
  for (const name of await listRbdImages(cluster, pool, control)) {
    if (finalNameOf(name) === claimed) await removeTemporary({ cluster, pool }, name, control);
  }
}

/**
 * The size of an image with an operation's claim; undefined where there is none. Throws `imageExists` for any other.
 */
export async function claimedImageSize(
  { cluster, pool }: RbdPool,
  { image, claim }: { readonly image: string; readonly claim: Claim },
  control: RbdControl,
): Promise<number | undefined> {
  const name = { pool, image };
  const size = await rbdImageSize(cluster, name, control);
  if (size === undefined) return undefined;
  const claimed = await rbdMeta(cluster, name, claimKey, control);
  if (claimed === claimText(claim, image)) return size;
  throw imageExists({ cluster, pool }, image, claimed === undefined ? 'NotManaged' : 'InstanceExists');
}

/** InstanceExists for an image of another operation's, NotManaged for one of nobody's. */
export function imageExists({ pool }: RbdPool, image: string, code: 'InstanceExists' | 'NotManaged'): EverbootFailure {
  return new EverbootFailure(code, `${pool}/${image} is there already, and is not of this operation`, {
    remedy: 'Use another id, or remove that image; everboot never touches one that it did not make.',
  });
}

/**
 * Removes every image of an instance that carries its claim, by one operation or by any; finished ones and those that a
 * crash left behind, bases that were being imported among them. Absence is success.
 */
export async function removeInstanceImages(
  { cluster, pool }: RbdPool,
  { instanceId, operationId }: { readonly instanceId: string; readonly operationId: string | null },
  control: RbdControl,
): Promise<void> {
  for (const image of await listRbdImages(cluster, pool, control)) {
    const temporary = isTemporaryOf(image, instanceId, operationId);
    if (temporary) await removeTemporary({ cluster, pool }, image, control);
    if (temporary || !image.startsWith(`${instanceId}_`)) continue;
    const claimed = await rbdMeta(cluster, { pool, image }, claimKey, control);
    const [claim = '', of] = claimed?.split(' ') ?? [];
    const [claimant, operation] = claim.split('~');
    const isOwners = of === image && claimant === instanceId && (operationId === null || operation === operationId);
    if (isOwners) await removeRbdImage(cluster, { pool, image }, control);
  }
}

function isTemporaryOf(image: string, instanceId: string, operationId: string | null): boolean {
  const claim = claimInTemporaryName(image);
  return claim?.instanceId === instanceId && (operationId === null || claim.operationId === operationId);
}

/** The claim of a partial image, which its name carries; undefined for any other image. */
export function claimInTemporaryName(image: string): Claim | undefined {
  const [, instanceId, operationId] = finalNameOf(image)?.match(/\.([0-9a-f-]{36})~([0-9a-f-]{36})$/) ?? [];
  return instanceId === undefined || operationId === undefined ? undefined : { instanceId, operationId };
}

/** A base that was being imported may have its snapshot already. */
async function removeTemporary({ cluster, pool }: RbdPool, image: string, control: RbdControl): Promise<void> {
  if (image.startsWith(basePrefix)) await removeRbdSnapshot(cluster, { pool, image, snapshot: baseSnapshot }, control);
  await removeRbdImage(cluster, { pool, image }, control);
}
