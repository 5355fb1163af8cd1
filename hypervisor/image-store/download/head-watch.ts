import type { ImageDescription } from '../../../domain/image.ts';

/** Most formats have everything that decides about them in front. */
const headBytes = 2 ** 20;

/**
 * Judges the first bytes of an image, the first MiB or all of it where it is smaller. Throws a refusal. `title` is what
 * messages call the image.
 */
export type JudgeHead = (
  head: Uint8Array,
  declaredFormat: string,
  title: string,
  limits: { readonly maxVirtualSizeBytes: number; readonly fileSizeBytes: number | null },
) => void;

export interface HeadWatch {
  /** Takes the image's next bytes, and judges as soon as there are enough. The size is null while nobody knows it. */
  see(bytes: Uint8Array, fileSizeBytes: number | null): void;
  /** The image is complete, however short. */
  end(fileSizeBytes: number): void;
  /** The fetch restarts at the first byte. */
  restart(): void;
}

/** Collects the head of an image while it passes. */
export function watchHead(
  { format, title }: ImageDescription,
  maxVirtualSizeBytes: number,
  judge: JudgeHead = () => undefined,
): HeadWatch {
  const head = Buffer.alloc(headBytes);
  let filled = 0;
  let judged = false;
  const judgeNow = (fileSizeBytes: number | null): void => {
    judged = true;
    judge(head.subarray(0, filled), format, title, { maxVirtualSizeBytes, fileSizeBytes });
  };
  return {
    see(bytes, fileSizeBytes) {
      if (judged) return;
      const length = Math.min(bytes.length, headBytes - filled);
      head.set(bytes.subarray(0, length), filled);
      filled += length;
      if (filled >= Math.min(headBytes, fileSizeBytes ?? headBytes)) judgeNow(fileSizeBytes);
    },
    end(fileSizeBytes) {
      if (!judged) judgeNow(fileSizeBytes);
    },
    restart() {
      filled = 0;
      judged = false;
    },
  };
}
