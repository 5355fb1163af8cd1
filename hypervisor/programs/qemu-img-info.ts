import { z } from 'zod';

/** An image file as qemu-img describes it. */
export interface ImageInfo {
  /** QEMU's name of the format, the one that it was given. */
  readonly format: string;
  readonly virtualSizeBytes: number;
  /** The file below this one, as its header names it. */
  readonly backingFile?: string;
  /** A file that holds this one's data: a qcow2's data-file, or another extent of a vmdk. */
  readonly dataFile?: string;
  readonly isEncrypted: boolean;
  /** QEMU has marked the file as damaged. */
  readonly isCorrupt: boolean;
}

const path = z.string().max(4096);

/** The part of `qemu-img info --output=json` that is used; formats without a field leave it out. */
const infoSchema = z.object({
  filename: path,
  format: z.string().max(64),
  'virtual-size': z.int().nonnegative(),
  'backing-filename': path.optional(),
  encrypted: z.boolean().default(false),
  'format-specific': z
    .object({
      data: z.object({
        'data-file': path.optional(),
        corrupt: z.boolean().default(false),
        extents: z
          .array(z.object({ filename: path }))
          .max(1024)
          .default([]),
      }),
    })
    .optional(),
});

/** Reads what qemu-img printed about one file. Throws SyntaxError or ZodError when it is not what qemu-img prints. */
export function parseImageInfo(json: string): ImageInfo {
  const info = infoSchema.parse(JSON.parse(json));
  const specific = info['format-specific']?.data;
  const backingFile = info['backing-filename'];
  const dataFile =
    specific?.['data-file'] ?? specific?.extents.find(({ filename }) => filename !== info.filename)?.filename;
  return {
    format: info.format,
    virtualSizeBytes: info['virtual-size'],
    isEncrypted: info.encrypted,
    isCorrupt: specific?.corrupt ?? false,
    ...(backingFile === undefined ? {} : { backingFile }),
    ...(dataFile === undefined ? {} : { dataFile }),
  };
}
