import type { ImageDescription } from '../../domain/image.ts';
import { sendRequest, shownAddress } from '../http/http-request.ts';
import type { ByteSource } from './byte-source.ts';
import type { ImageSourceSettings } from './describe-image.ts';
import { fileByteSource } from './file-byte-source.ts';
import { glanceImageAddress } from './glance-reference.ts';
import { requestGlance } from './glance-request.ts';
import { httpByteSource } from './http-byte-source.ts';
import { imageUrl } from './url-image.ts';

/** The source of a described image's bytes. Reads nothing yet. Throws as `describeImage` does of the reference. */
export function byteSource({ reference, title }: ImageDescription, settings: ImageSourceSettings): ByteSource {
  const { glance, fileImageRoots } = settings;
  if ('file' in reference) return fileByteSource(reference.file, fileImageRoots, glance);
  if ('url' in reference) {
    const url = imageUrl(reference.url);
    const times = { connectTimeoutMs: glance.connectTimeout * 1000, stallTimeoutMs: glance.stallTimeout * 1000 };
    return httpByteSource(
      {
        kind: 'url',
        title,
        places: [shownAddress(url)],
        send: async (_place, headers, signal) => await sendRequest({ url, method: 'GET', headers, ...times, signal }),
      },
      glance,
    );
  }
  const { id, servers } = glanceImageAddress(reference.glance, settings);
  return httpByteSource(
    {
      kind: 'glance',
      title,
      places: servers,
      send: async (place, headers, signal) =>
        await requestGlance(place, `/v2/images/${id}/file`, headers, settings, signal),
    },
    glance,
  );
}
