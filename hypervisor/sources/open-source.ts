import type { ImageDescription } from '../../domain/image.ts';
import type { ByteSource } from './byte-source.ts';
import type { ImageSourceSettings } from './describe-image.ts';
import { fileByteSource } from './file-byte-source.ts';
import { glanceHeaders, glanceImageAddress } from './glance-reference.ts';
import { httpByteSource } from './http-byte-source.ts';
import { shownAddress } from './http-request.ts';
import { imageUrl } from './url-image.ts';

/** The source of a described image's bytes. Reads nothing yet. Throws as `describeImage` does of the reference. */
export function byteSource(
  { reference, title }: ImageDescription,
  { glance, fileImageRoots }: ImageSourceSettings,
): ByteSource {
  if ('file' in reference) return fileByteSource(reference.file, fileImageRoots, glance);
  if ('url' in reference) {
    const url = imageUrl(reference.url);
    return httpByteSource(
      { kind: 'url', title, addressOf: new Map([[shownAddress(url), { url, headers: {} }]]) },
      glance,
    );
  }
  const { id, servers } = glanceImageAddress(reference.glance, glance);
  const addressOf = new Map(
    servers.map((server) => [
      server,
      { url: new URL(`${server}/v2/images/${id}/file`), headers: glanceHeaders(server, glance) },
    ]),
  );
  return httpByteSource({ kind: 'glance', title, addressOf }, glance);
}
