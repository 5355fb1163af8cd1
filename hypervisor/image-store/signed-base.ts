import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import type { BaseImage, BaseImageOrder } from '../../domain/image.ts';
import { findBase, readFacts } from './base-facts.ts';

/**
 * The cached file of an order, if it is there and may be used for it; undefined if it is absent.
 *
 * Throws ImageSignatureInvalid where the image's signature is to be verified and the cached file was not verified with
 * its certificate: it was fetched when the host did not verify signatures, or signed again since, or came from Nova. It
 * cannot be made up for, because what was signed are the bytes before they were converted. Throws ImageUnacceptable of
 * a file that everboot did not make and would not have made.
 */
export async function findOrderedBase(
  paths: HostPaths,
  { cacheName, image }: BaseImageOrder,
): Promise<BaseImage | undefined> {
  const base = await findBase(paths, cacheName);
  if (base === undefined || image.signature === undefined) return base;
  const { certificateId } = image.signature;
  const signedBy = (await readFacts(paths, cacheName))?.signedBy ?? null;
  if (signedBy === certificateId) return base;
  throw new EverbootFailure(
    'ImageSignatureInvalid',
    `${image.title} is in the cache as ${cacheName}, and its signature was not verified with the certificate ${certificateId} when it was fetched`,
    {
      remedy: `Delete the instances that use it, and remove it with \`everboot cache sweep\` or by hand (${base.path}); then it is fetched and verified again.`,
    },
  );
}
