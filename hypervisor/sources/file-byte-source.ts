import type { GlanceSettings } from '../../domain/configuration.ts';
import type { ByteSource } from './byte-source.ts';
import { fileVersion, openImageFile } from './file-image.ts';

const readBytes = 2 ** 20;

/** A local image. What the operating system says of reading it is the host's error, not the source's. */
export function fileByteSource(
  path: string,
  fileImageRoots: readonly string[],
  { numRetries }: GlanceSettings,
): ByteSource {
  return {
    places: [path],
    attempts: 1 + numRetries,
    failure: 'SourceUnreachable',
    finalFailure: 'SourceUnavailable',
    distrust: () => undefined,
    async open(_place, { fromByte }, signal) {
      const file = await openImageFile(path, fileImageRoots);
      const validator = await fileVersion(file);
      const { size: sizeBytes } = await file.stat();
      // A file that has become shorter than what was copied of it is another one.
      const startByte = fromByte <= sizeBytes ? fromByte : 0;
      const body = file.createReadStream({ start: startByte, highWaterMark: readBytes, signal });
      // A stream that is closed before its end may say so when nobody listens any more.
      body.on('error', () => undefined);
      return {
        startByte,
        totalBytes: sizeBytes,
        validator,
        body,
        close: () => void body.destroy(),
      };
    },
  };
}
